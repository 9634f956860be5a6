//! A single DO-Conv layer: its output, its folded kernel and its gradients, on any adapter.

use crate::network::{Conv2d, FORMAT_VERSION, Input, Network, Node, Op, Shape};
use crate::plan::{AxisView, Factor, Gradients, KernelId, Mode, Plan, Step, ValueId, View};
use crate::session::Executor;
use crate::{Adapter, Error, Model, Result, Tensor, Weights};

/// The name of the only node.
const NODE: &str = "layer";

/// A DO-Conv layer with its parameters: a network of one node, to look at a layer by itself.
///
/// ```
/// use doconv::{Adapter, Layer, Mode, Tensor, Weights, network::{Conv2d, DoConv, Pairing}};
/// # pollster::block_on(async {
/// let doconv = Some(DoConv { d_mul: 2, pairing: Pairing::Paper });
/// let conv = Conv2d { doconv, ..Conv2d::new(1, 1, [1, 2]) };
/// let parameters = Weights::from([
///     ("W".into(), Tensor::new([1, 1, 2], vec![3.0, 4.0])?),
///     ("D".into(), Tensor::zeros([1, 2, 2])),
/// ]);
/// let layer = Layer::new(conv, parameters)?;
/// let input = Tensor::new([1, 1, 1, 3], vec![1.0, 10.0, 100.0])?;
/// let ones = Tensor::new([1, 1, 1, 2], vec![1.0, 1.0])?;
/// let results = layer.run(&Adapter::cpu(), Mode::Folded, &input, Some(&ones)).await?;
/// assert_eq!(results["folded"].data(), [3.0, 4.0]);
/// assert_eq!(results["output"].data(), [43.0, 430.0]);
/// assert_eq!(results["grad_input"].data(), [3.0, 7.0, 4.0]);
/// assert_eq!(results["grad_W"].data(), [11.0, 110.0]);
/// # Ok::<(), doconv::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Layer {
    conv: Conv2d,
    parameters: Weights,
}

impl Layer {
    /// Puts attributes and parameters together: `W [out, cpg, S]`, `D [in, K, S]` and the constant `d_diag` of the same
    /// shape (the identity where it is absent; neither for 1×1 kernels), and `bias [out]` where the layer has one.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for attributes that contradict themselves, [`Error::Weight`] for a parameter that is
    /// missing, surplus, mis-shaped or not finite.
    pub fn new(conv: Conv2d, parameters: Weights) -> Result<Self> {
        conv.check().map_err(Error::Unsupported)?;
        let Some(attributes) = conv.doconv else {
            return Err(Error::Unsupported("the layer is not marked as DO-Conv".into()));
        };
        let s = attributes.d_mul;
        let d_shape = vec![conv.in_channels, conv.taps(), s];
        let has_d = conv.taps() > 1;
        let wanted = [
            ("W", Some(vec![conv.out_channels, conv.channels_per_group(), s]), true),
            ("D", has_d.then(|| d_shape.clone()), true),
            ("d_diag", has_d.then_some(d_shape), false),
            ("bias", conv.bias.then(|| vec![conv.out_channels]), true),
        ];
        for (name, shape, required) in &wanted {
            match (shape, parameters.get(*name)) {
                (None, None) => {}
                (Some(_), None) if !required => {}
                (Some(shape), None) => return Err(Error::weight(*name, format!("missing; its shape is {shape:?}"))),
                (None, Some(_)) => {
                    let reason = if *name == "bias" { "the layer has no bias" } else { "a 1×1 kernel has no D" };
                    return Err(Error::weight(*name, format!("surplus: {reason}")));
                }
                (Some(shape), Some(tensor)) if tensor.shape() != shape => {
                    return Err(Error::weight(*name, format!("expected shape {shape:?}, got {:?}", tensor.shape())));
                }
                _ => {}
            }
        }
        for (name, tensor) in &parameters {
            if !wanted.iter().any(|(known, ..)| known == name) {
                return Err(Error::weight(name, "surplus: a layer has W, D, d_diag and bias"));
            }
            check_finite(name, tensor)?;
        }
        Ok(Self { conv, parameters })
    }

    /// The attributes.
    pub fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// The parameters by name.
    pub fn parameters(&self) -> &Weights {
        &self.parameters
    }

    /// The shape of the output for an input `[N, C, H, W]`.
    ///
    /// # Errors
    /// [`Error::Input`] if the layer cannot take the input.
    pub fn output_shape(&self, input: &[usize]) -> Result<Shape> {
        let fail = |reason: String| Error::Input { input: "input".into(), reason };
        let channels = self.conv.in_channels;
        let [n, c, h, w] = *input else {
            return Err(fail(format!("expected [N, {channels}, H, W], got {input:?}")));
        };
        if n == 0 || c != channels || h == 0 || w == 0 {
            return Err(fail(format!("expected [N, {channels}, H, W] with extents of at least 1, got {input:?}")));
        }
        let inferred = self.network([c, h, w]).infer(n);
        let inferred = inferred.map_err(|error| match error {
            Error::Network { reason, .. } => fail(reason),
            other => other,
        })?;
        Ok(inferred.nodes[0])
    }

    /// Computes the layer on an adapter in a mode: `output`, the kernel `folded` (OIHW), and, given the gradient of the
    /// output, `grad_input`, `grad_W`, `grad_D` (of the residual, and so of the effective D; not for 1×1 kernels) and
    /// `grad_bias` (where there is a bias).
    ///
    /// In mode `folded` the kernel is composed once, beforehand; in `kernel` within the run; in `feature` output and
    /// gradients go through the two convolutions, and `folded` is composed by the side.
    ///
    /// # Errors
    /// [`Error::Input`] if `input` or `grad_output` does not fit; [`Error::Unsupported`] if the mode cannot express the
    /// layer's pairing, or gradients are wanted in half precision; those of the adapter.
    pub async fn run(
        &self,
        adapter: &Adapter,
        mode: Mode,
        input: &Tensor,
        grad_output: Option<&Tensor>,
    ) -> Result<Weights> {
        let shape = self.output_shape(input.shape())?;
        check_finite_input("input", input)?;
        let mut arrays = vec![input.data()];
        if let Some(gradient) = grad_output {
            if gradient.shape() != shape {
                let reason = format!("expected the output's shape {shape:?}, got {:?}", gradient.shape());
                return Err(Error::Input { input: "grad_output".into(), reason });
            }
            check_finite_input("grad_output", gradient)?;
            arrays.push(gradient.data());
        }
        let (plan, names) = self.plan(mode, input.shape(), grad_output.is_some())?;
        let results = Executor::load(adapter, &plan).await?.run(1, &arrays).await?;
        let shapes = plan.outputs().iter().map(|&id| plan.value(id).shape);
        let named = names.into_iter().zip(results.into_iter().zip(shapes));
        named
            .map(|(name, (data, shape))| {
                let tensor = Tensor::new(shape, data)?;
                let tensor = match name {
                    "grad_W" => tensor.reshape(self.parameters["W"].shape())?,
                    "grad_D" => tensor.reshape(self.parameters["D"].shape())?,
                    "grad_bias" => tensor.reshape([self.conv.out_channels])?,
                    _ => tensor,
                };
                Ok((name.to_owned(), tensor))
            })
            .collect()
    }

    fn network(&self, shape: [usize; 3]) -> Network {
        Network {
            version: FORMAT_VERSION,
            name: NODE.into(),
            inputs: vec![Input::new("input", shape)],
            nodes: vec![Node { name: NODE.into(), inputs: vec!["input".into()], op: Op::Conv2d(self.conv.clone()) }],
            outputs: vec![NODE.into()],
            preprocess: None,
            labels: vec![],
        }
    }

    /// The plan that [`Layer::run`] replays, as a batch of one: its inputs are `input` of the given shape and, where
    /// `backward` is wanted, `grad_output`. With it come the names of its outputs.
    ///
    /// # Errors
    /// [`Error::Input`] if the layer cannot take the input; [`Error::Unsupported`] if the mode cannot express the layer's
    /// pairing.
    pub fn plan(&self, mode: Mode, input: &[usize], backward: bool) -> Result<(Plan, Vec<&'static str>)> {
        self.output_shape(input)?;
        let parameters = self.parameters.iter().map(|(name, tensor)| (format!("{NODE}.{name}"), tensor.clone()));
        let model = Model::new(self.network([input[1], input[2], input[3]]), parameters.collect())?;
        let mut plan = Plan::of_whole_kernels(&model, mode)?.with_batch(input[0]);
        let mut names = vec!["output"];
        let gradients = backward.then(|| plan.add_gradients()).transpose()?;
        let folded = match plan.kernels().iter().position(|kernel| kernel.name == NODE) {
            Some(index) => KernelId(index),
            // Feature composition never makes the kernel.
            None => plan.add_kernel(Plan::of_whole_kernels(&model, Mode::Folded)?.kernels[0].clone()),
        };
        plan.add_kernel_map(folded);
        names.push("folded");
        if let Some(gradients) = gradients {
            for (name, value) in self.gradients(&mut plan, &gradients)? {
                plan.outputs.push(value);
                names.push(name);
            }
        }
        plan.prune();
        plan.check()?;
        Ok((plan, names))
    }

    /// The gradients that the layer has, by name.
    fn gradients(&self, plan: &mut Plan, gradients: &Gradients) -> Result<Vec<(&'static str, ValueId)>> {
        let missing = || Error::Unsupported("a gradient is missing from the plan".into());
        let of = |plan: &Plan, name: &str| {
            let mut kernels = gradients.kernels.iter();
            kernels.find(|of| plan.kernel(of.kernel).name == name).cloned()
        };
        let mut named = vec![("grad_input", gradients.inputs[0].ok_or_else(missing)?)];
        let bias = if let Some(kernel) = of(plan, NODE) {
            match kernel.factors {
                Some([w, d]) => named.extend([("grad_W", w), ("grad_D", d)]),
                None => named.push(("grad_W", kernel.values)),
            }
            kernel.bias
        } else {
            let w = of(plan, &format!("{NODE}.W")).ok_or_else(missing)?;
            let d = of(plan, &format!("{NODE}.D")).ok_or_else(missing)?;
            named.extend([("grad_W", w.values), ("grad_D", self.residual(plan, d.values))]);
            w.bias
        };
        if self.conv.bias {
            named.push(("grad_bias", bias));
        }
        Ok(named)
    }

    /// `[in, K, S, 1]` from the kernel of the depthwise convolution, `[in·S, 1, rows, columns]`.
    fn residual(&self, plan: &mut Plan, depthwise: ValueId) -> ValueId {
        let &[channels, taps, s] = self.parameters["D"].shape() else { unreachable!("checked by `new`") };
        let axes = [taps * s, 1, taps, 1].map(|stride| AxisView::new(stride as isize));
        let output = plan.add_value(format!("gradient of {NODE}.{:?}", Factor::D), [channels, taps, s, 1]);
        plan.steps.push(Step::Rearrange { view: View { offset: 0, axes }, input: depthwise, output });
        output
    }
}

fn check_finite(name: &str, tensor: &Tensor) -> Result<()> {
    match tensor.data().iter().position(|value| !value.is_finite()) {
        Some(at) => Err(Error::weight(name, format!("value {at} is {}", tensor.data()[at]))),
        None => Ok(()),
    }
}

fn check_finite_input(name: &str, tensor: &Tensor) -> Result<()> {
    check_finite(name, tensor).map_err(|error| match error {
        Error::Weight { tensor, reason } => Error::Input { input: tensor, reason },
        other => other,
    })
}
