//! The best classes, chosen on the device, so that only they come back from it.

use bytemuck::{Pod, Zeroable};

use super::executor::{Command, Executor, Program, record};
use super::layout::{loaded, map_len, slices, unpack_map};
use super::photographs::{Picture, Preprocessor};
use super::shader::Shader;
use super::variant::Variant;
use super::{Device, params};
use crate::Result;
use crate::network::Preprocess;

/// How many classes are ranked at most: every one is a pass over all of them.
pub(crate) const MOST_RANKED: usize = 64;

/// What is ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ranking {
    /// How many classes are wanted.
    pub(crate) best: usize,
    /// Whether the network gives logits, of which a softmax is wanted.
    pub(crate) softmax: bool,
}

/// A class and its probability, as the shader writes it. Where there is no best class, [`Best::class`] is `u32::MAX`, and in
/// place of a probability is what the largest value is: see `shaders/common/number_kind.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(crate) struct Best {
    pub(crate) class: u32,
    pub(crate) probability: f32,
}

impl Best {
    /// What stands in the way of a best class, if anything.
    pub(crate) fn obstacle(&self) -> Option<f32> {
        const KINDS: [f32; 4] = [f32::NEG_INFINITY, f32::NAN, f32::INFINITY, f32::NAN];
        (self.class == u32::MAX).then(|| KINDS.get(self.probability as usize).copied().unwrap_or(f32::NAN))
    }
}

/// Everything that ranking after one program needs.
#[derive(Debug)]
pub(super) struct Ranker {
    ranking: Ranking,
    command: Command,
    best: wgpu::Buffer,
    readback: wgpu::Buffer,
}

impl Executor {
    /// Whether a picture of this width and height can be preprocessed on the device.
    #[cfg(all(target_arch = "wasm32", feature = "web"))]
    pub(crate) async fn takes_pictures_of(&mut self, size: [usize; 2], how: &Preprocess) -> Result<bool> {
        Ok(self.preprocessor(how).await?.fits(size))
    }

    /// The best classes of every picture, for a network of one input `[3, H, W]`; best first.
    pub(crate) async fn classify(
        &mut self,
        pictures: &[Picture<'_>],
        how: &Preprocess,
        ranking: Ranking,
    ) -> Result<Vec<Vec<Best>>> {
        let mut results = vec![];
        for part in pictures.chunks(self.largest_batch) {
            self.device.check_alive()?;
            // As in `run`, a program that fails is given up.
            let mut program = self.take_program(part.len()).await?;
            self.preprocess_into(part, how, &program).await?;
            let ranker = match program.ranker.take().filter(|ranker| ranker.ranking == ranking) {
                Some(ranker) => ranker,
                None => self.ranker(&program, ranking).await?,
            };
            let encode = |encoder: &mut wgpu::CommandEncoder| {
                record(encoder, &program.commands);
                record(encoder, std::slice::from_ref(&ranker.command));
                encoder.copy_buffer_to_buffer(&ranker.best, 0, &ranker.readback, 0, ranker.readback.size());
            };
            let take = |bytes: &[u8]| -> Vec<Best> { bytemuck::cast_slice(bytes).to_vec() };
            let best = self.device.submit_and_read("classifying", &ranker.readback, encode, take).await?;
            results.extend(best.chunks_exact(ranking.best).map(<[Best]>::to_vec));
            program.ranker = Some(ranker);
            self.programs.push(program);
        }
        Ok(results)
    }

    /// What becomes of pictures: `[N, 3, H, W]`.
    pub(crate) async fn preprocess(&mut self, pictures: &[Picture<'_>], how: &Preprocess) -> Result<Vec<f32>> {
        let mut results = vec![];
        for part in pictures.chunks(self.largest_batch) {
            self.device.check_alive()?;
            let program = self.take_program(part.len()).await?;
            self.preprocess_into(part, how, &program).await?;
            let input = self.plan.inputs[0];
            let shape = self.plan.value(input).batched(part.len());
            let storage = self.precision().storage();
            let bytes = (storage.bytes() * map_len(shape)) as u64;
            let readback = self.device.checked("reading the input back", || self.readback_buffer(bytes)).await?;
            let encode = |encoder: &mut wgpu::CommandEncoder| {
                encoder.copy_buffer_to_buffer(program.maps.get(input), 0, &readback, 0, bytes);
            };
            let take = |bytes: &[u8]| unpack_map(shape, &loaded(storage, bytes));
            results.extend(self.device.submit_and_read("reading the input back", &readback, encode, take).await?);
            self.programs.push(program);
        }
        Ok(results)
    }

    async fn preprocess_into(&mut self, pictures: &[Picture<'_>], how: &Preprocess, program: &Program) -> Result<()> {
        let map = program.maps.get(self.plan.inputs[0]);
        self.preprocessor(how).await?.fill(pictures, map).await
    }

    async fn preprocessor(&mut self, how: &Preprocess) -> Result<&mut Preprocessor> {
        let made = match self.preprocessor.take() {
            Some(made) => made,
            None => {
                let [_, _, height, width] = self.plan.value(self.plan.inputs[0]).shape;
                Preprocessor::new(&self.device, how, [height, width], self.precision()).await?
            }
        };
        Ok(self.preprocessor.insert(made))
    }

    async fn ranker(&self, program: &Program, ranking: Ranking) -> Result<Ranker> {
        let Device { device, .. } = &self.device;
        let shader = Variant::new(Shader::TopK { softmax: ranking.softmax }, self.precision());
        let pipelines = self.device.pipelines([shader].into_iter()).await?;
        let pipeline = pipelines[&shader].clone();
        let output = self.plan.outputs[0];
        let [items, channels, height, width] = self.plan.value(output).shape;
        debug_assert_eq!(items, 1, "callers see to it");
        let params = params::TopK {
            classes: (channels * height * width) as u32,
            slices: slices(channels) as u32,
            area: (height * width) as u32,
            best: ranking.best as u32,
        };
        let bytes = (program.batch * ranking.best * size_of::<Best>()) as u64;
        self.device
            .checked("making room for the best classes", || {
                let uniform = self.uniform_buffer(bytemuck::bytes_of(&params));
                let (best, readback) = (self.map_buffer(bytes), self.readback_buffer(bytes));
                let entries = [&uniform, program.maps.get(output), &best];
                let entries: Vec<_> = (0u32..)
                    .zip(entries)
                    .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
                    .collect();
                let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some("best classes"),
                    layout: &pipeline.get_bind_group_layout(0),
                    entries: &entries,
                });
                let command = Command { pipeline, bind_group, grid: [program.batch as u32, 1, 1] };
                Ranker { ranking, command, best, readback }
            })
            .await
    }
}
