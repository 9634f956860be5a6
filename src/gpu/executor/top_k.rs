//! Images in, the best classes out: both are chosen on the device, so that only they come back from it.

use wgpu::util::DeviceExt;

use super::command::{Command, record};
use super::executor::Executor;
use super::prepared::Prepared;
use super::preprocess::{ImageSource, Preprocessor};
use super::ranking::{Best, Ranker, Ranking};
use crate::Result;
use crate::gpu::kernels::{TopKParams, top_k};
use crate::gpu::shader::{Dispatch, loaded, map_len, slices, unpack_map};
use crate::network::Preprocess;

impl Executor {
    /// Whether an image of this width and height can be preprocessed on the device.
    #[cfg(all(target_arch = "wasm32", feature = "web"))]
    pub(crate) async fn can_preprocess(&mut self, size: [usize; 2], how: &Preprocess) -> Result<bool> {
        Ok(self.preprocessor(how).await?.fits(size))
    }

    /// The best classes of every image of a batch that is prepared, for a network of one input `[3, H, W]`; best first.
    pub(crate) async fn classify(
        &mut self,
        images: &[ImageSource<'_>],
        how: &Preprocess,
        ranking: Ranking,
    ) -> Result<Vec<Vec<Best>>> {
        self.device.check_alive()?;
        let at = self.at(images.len())?;
        self.preprocess_into(images, how, at).await?;
        // A run that fails or is given up takes it along, since its buffer may be left mapped.
        let ranker = match self.programs[at].ranker.take().filter(|ranker| ranker.ranking == ranking) {
            Some(ranker) => ranker,
            None => self.ranker(&self.programs[at], ranking).await?,
        };
        let program = &self.programs[at];
        let encode = |encoder: &mut wgpu::CommandEncoder| {
            record(encoder, &program.commands);
            record(encoder, &ranker.commands);
            encoder.copy_buffer_to_buffer(&ranker.best, 0, &ranker.readback, 0, ranker.readback.size());
        };
        let take = |bytes: &[u8]| -> Vec<Best> { bytemuck::cast_slice(bytes).to_vec() };
        let best = self.device.submit_and_read("classifying", &ranker.readback, encode, take).await?;
        self.programs[at].ranker = Some(ranker);
        Ok(best.chunks_exact(ranking.best).map(<[Best]>::to_vec).collect())
    }

    /// What becomes of the images of a batch that is prepared: `[N, 3, H, W]`.
    pub(crate) async fn preprocess(&mut self, images: &[ImageSource<'_>], how: &Preprocess) -> Result<Vec<f32>> {
        self.device.check_alive()?;
        let at = self.at(images.len())?;
        self.preprocess_into(images, how, at).await?;
        let (program, input) = (&self.programs[at], self.plan.inputs()[0]);
        let shape = self.plan.value(input).batched(images.len());
        let bytes = (self.storage().bytes() * map_len(shape)) as u64;
        let readback = self.device.checked("reading the input back", || self.readback_buffer(bytes)).await?;
        let encode = |encoder: &mut wgpu::CommandEncoder| {
            encoder.copy_buffer_to_buffer(program.maps.get(input), 0, &readback, 0, bytes);
        };
        let take = |bytes: &[u8]| unpack_map(shape, &loaded(self.storage(), bytes));
        self.device.submit_and_read("reading the input back", &readback, encode, take).await
    }

    async fn preprocess_into(&mut self, images: &[ImageSource<'_>], how: &Preprocess, at: usize) -> Result<()> {
        let map = self.programs[at].maps.get(self.plan.inputs()[0]).clone();
        self.preprocessor(how).await?.fill(images, &map).await
    }

    async fn preprocessor(&mut self, how: &Preprocess) -> Result<&mut Preprocessor> {
        let made = match self.preprocessor.take() {
            Some(made) => made,
            None => {
                let [_, _, height, width] = self.plan.value(self.plan.inputs()[0]).shape;
                Preprocessor::new(&self.device, how, [height, width], self.precision()).await?
            }
        };
        Ok(self.preprocessor.insert(made))
    }

    async fn ranker(&self, program: &Prepared, ranking: Ranking) -> Result<Ranker> {
        let output = self.plan.outputs()[0];
        let [items, channels, height, width] = self.plan.value(output).shape;
        debug_assert_eq!(items, 1, "callers see to it");
        let params = TopKParams {
            classes: (channels * height * width) as u32,
            slices: slices(channels) as u32,
            area: (height * width) as u32,
            best: ranking.best as u32,
        };
        let shader = top_k(ranking.softmax).in_precision(self.precision());
        let invocations = [program.batch * shader.workgroup[0] as usize, 1, 1];
        let dispatch = Dispatch::new("best classes", shader, &params, vec![], invocations);
        let pipeline = self.device.pipelines([dispatch.shader.clone()].into_iter()).await?[&dispatch.shader].clone();
        let bytes = (program.batch * ranking.best * size_of::<Best>()) as u64;
        self.device
            .checked("making room for the best classes", || {
                let (best, readback) = (self.map_buffer(bytes), self.readback_buffer(bytes));
                let bind = |part| {
                    let uniform = self.uniform_buffer(&dispatch.params_of(&part));
                    let bound = [&uniform, program.maps.get(output), &best];
                    let entries: Vec<_> = (0u32..)
                        .zip(bound)
                        .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
                        .collect();
                    let bind_group = self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                        label: Some(&dispatch.label),
                        layout: &pipeline.get_bind_group_layout(0),
                        entries: &entries,
                    });
                    Command::new(pipeline.clone(), bind_group, &part)
                };
                let commands = dispatch.parts().into_iter().map(bind).collect();
                Ranker { ranking, commands, best, readback }
            })
            .await
    }

    fn uniform_buffer(&self, contents: &[u8]) -> wgpu::Buffer {
        let (label, usage) = (Some("parameters"), wgpu::BufferUsages::UNIFORM);
        self.device.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label, contents, usage })
    }
}
