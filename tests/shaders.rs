//! Every shader variant is valid WGSL under the capabilities that every browser has, in half precision with that one more, and
//! translates to SPIR-V, MSL and HLSL, so that Metal and DX12 are covered without their hardware.

use doconv::gpu::choose::Policy;
use doconv::gpu::shader::{ActivationClass, Scalar, Shader};
use doconv::gpu::training::TrainShader;
use doconv::gpu::variant::Variant;
use doconv::gpu::winograd::Winograd;
use doconv::gpu::{Tier, dispatch};
use doconv::network::{PaddingMode, Pairing};
use doconv::plan::{BinaryOp, Factor, LoadedPart, Plan, PoolKind, Rule};
use doconv::{Mode, Model, Precision};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

/// Every shader in every precision that it has.
fn variants() -> Vec<Variant> {
    let of = |shader: Shader| Precision::ALL.map(|precision| Variant::new(shader, precision));
    let mut variants: Vec<Variant> = shaders().into_iter().flat_map(of).collect();
    // Those of one shader that are the same lie side by side.
    variants.dedup();
    variants
}

/// The families with every value of every parameter that the heuristics may choose.
fn shaders() -> Vec<Shader> {
    [false, true].into_iter().flat_map(shaders_that_are).collect()
}

/// Those that only training has.
fn training_shaders() -> Vec<TrainShader> {
    use TrainShader::{
        Accumulate, ActivationGradient, BatchStatistics, Blend, CrossEntropy, JoinStatistics, Load, NormGradient,
        NormSums, Normalise, PoolGradient, Reduce, SquareSum, Update,
    };
    let parts = [LoadedPart::Kernel, LoadedPart::W, LoadedPart::D, LoadedPart::Bias].map(Load);
    let mut shaders = vec![BatchStatistics, JoinStatistics, Normalise, NormSums, NormGradient, Blend, Accumulate];
    shaders.extend(parts);
    shaders.extend(ActivationClass::ALL.map(ActivationGradient));
    shaders.extend([false, true].map(|gradient| CrossEntropy { gradient }));
    let means = [false, true].map(|count_include_pad| PoolKind::Mean { count_include_pad });
    shaders.extend([PoolKind::Max].into_iter().chain(means).map(PoolGradient));
    shaders.extend([false, true].map(|channels| Reduce { channels }));
    shaders.extend([false, true].map(|join| SquareSum { join }));
    let rules = [Rule::Sgd { nesterov: false }, Rule::Sgd { nesterov: true }, Rule::AdamW];
    shaders.extend(rules.into_iter().flat_map(|rule| [false, true].map(|clips| Update { rule, clips })));
    shaders
}

/// Compact ones or others; those that are neither are among both.
fn shaders_that_are(compact: bool) -> Vec<Shader> {
    let direct = |[pixels, slices, lanes]: [u32; 3], workgroup, subgroup, [pointwise, split]: [bool; 2], activation| {
        Shader::ConvDirect { pixels, slices, workgroup, lanes, pointwise, split, subgroup, compact, activation }
    };
    let subgroup = 0;
    let mut shaders = vec![Shader::CopyChannels, Shader::Constant, Shader::Rearrange, Shader::Resize, Shader::Lrn];
    shaders.extend([false, true].map(|logarithm| Shader::Softmax { logarithm }));
    shaders.extend([Shader::ResampleRows, Shader::ResampleColumns]);
    shaders.extend([false, true].map(|softmax| Shader::TopK { softmax }));
    shaders.extend(PaddingMode::ALL.map(|mode| Shader::Pad { mode }));
    for activation in ActivationClass::ALL {
        let tiles = [1, 4, 8, 16].into_iter().flat_map(|pixels| [(pixels, 1), (pixels, 2)]);
        for (pixels, slices) in tiles.chain([(1, 4), (4, 4), (8, 4)]) {
            for workgroup in [[1, 32], [4, 8], [8, 4]] {
                let lanes = 4;
                for pointwise in [false, true] {
                    let split = false;
                    shaders.push(direct([pixels, slices, lanes], workgroup, subgroup, [pointwise, split], activation));
                }
            }
        }
        for lanes in 1..=4 {
            let (workgroup, pointwise, split) = ([8, 4], false, false);
            for (pixels, slices) in [(16, 2), (8, 4)] {
                shaders.push(direct([pixels, slices, lanes], workgroup, subgroup, [pointwise, split], activation));
            }
            shaders.extend([1, 2].map(|slices| Shader::ConvTiled { slices, lanes, split, activation }));
        }
        shaders.push(Shader::ConvSum { activation });
        for (kernel, outputs) in [([3, 3], 4), ([5, 5], 4), ([7, 7], 4), ([1, 3], 2), ([3, 1], 1), ([1, 1], 4)] {
            for (stride_x, dilation_x) in [(1, 1), (2, 1), (3, 1), (1, 2)] {
                let workgroup = [8, 8];
                shaders.push(Shader::ConvDepthwise { outputs, kernel, stride_x, dilation_x, workgroup, activation });
            }
        }
        shaders.extend([1, 2, 4].map(|columns| Shader::ConvCooperative { columns, activation }));
        shaders.push(Shader::ConvGrouped { activation });
        shaders.extend(Winograd::ALL.map(|size| Shader::WinogradOutput { size, compact, activation }));
        for (pixels, slices) in [(1, 1), (1, 2), (1, 4), (4, 1), (4, 2), (4, 4)] {
            shaders.push(Shader::ConvFeature { pixels, slices, columns: 3, lanes: 4, activation });
        }
        for (columns, lanes) in [(1, 1), (2, 2), (3, 3), (4, 4), (1, 4), (2, 4)] {
            shaders.extend([2, 4].map(|slices| Shader::ConvFeature { pixels: 4, slices, columns, lanes, activation }));
        }
    }
    for channels in [2, 4] {
        shaders.extend(Winograd::ALL.map(|size| Shader::WinogradInput { size, channels, compact }));
    }
    shaders.extend(Winograd::ALL.map(|size| Shader::WinogradKernel { size }));
    for subgroup in [4, 8] {
        for (pixels, slices) in [(2, 2), (4, 2), (2, 4), (4, 4), (8, 4)] {
            for workgroup in [[8, 1], [32, 1]] {
                shaders.push(Shader::WinogradProduct { pixels, slices, workgroup, subgroup, compact });
                for activation in ActivationClass::ALL {
                    shaders.push(direct([pixels, slices, 4], workgroup, subgroup, [true, false], activation));
                    let of = |lanes| direct([pixels, slices, lanes], workgroup, subgroup, [false, false], activation);
                    shaders.extend([1, 2, 3, 4].map(of));
                }
            }
        }
    }
    let (activation, split, lanes) = (ActivationClass::Bounds, true, 4);
    for slices in [1, 2, 4] {
        shaders.push(Shader::ConvTiled { slices: slices.min(2), lanes, split, activation });
        for (pixels, pointwise) in [1, 4, 8, 16].into_iter().flat_map(|pixels| [(pixels, false), (pixels, true)]) {
            for workgroup in [[1, 32], [4, 8], [8, 4]] {
                shaders.push(direct([pixels, slices, lanes], workgroup, subgroup, [pointwise, split], activation));
            }
        }
    }
    for slices in [1, 2, 4] {
        shaders.push(Shader::WinogradProductTiled { slices: slices.min(2) });
        for pixels in [1, 4, 8, 16] {
            let shapes = [[1, 32], [4, 8], [8, 4]];
            shaders.extend(shapes.map(|workgroup| Shader::WinogradProduct {
                pixels,
                slices,
                workgroup,
                subgroup: 0,
                compact,
            }));
        }
    }
    for activation in ActivationClass::ALL {
        shaders.push(Shader::Elementwise { operator: None, broadcast: false, activation });
        for operator in BinaryOp::ALL.map(Some) {
            shaders.extend([false, true].map(|broadcast| Shader::Elementwise { operator, broadcast, activation }));
        }
    }
    let means = [true, false].map(|count_include_pad| PoolKind::Mean { count_include_pad });
    for kind in [PoolKind::Max, means[0], means[1]] {
        shaders.extend([Shader::Pool { kind }, Shader::GlobalPool { kind }]);
    }
    for pairing in [Pairing::Paper, Pairing::Torch] {
        for taps in [1, 2, 3, 4, 5, 7] {
            shaders.extend([false, true].map(|vector| Shader::Compose { taps, vector, pairing }));
        }
        shaders.extend([Factor::W, Factor::D].map(|factor| Shader::ComposeGradient { factor, pairing }));
    }
    shaders.extend(PaddingMode::ALL.map(|mode| Shader::PadGradient { mode }));
    shaders.extend([Shader::BiasGradient, Shader::SumParts, Shader::TransposeKernel, Shader::KernelMap]);
    shaders.extend(training_shaders().into_iter().map(Shader::Train));
    for slices in 1..=2 {
        shaders.extend([1, 4].map(|columns| Shader::KernelGradientDirect { slices, columns }));
        shaders.extend([1, 2].map(|columns| Shader::KernelGradientTiled { slices, columns }));
    }
    for taps in 1..=9 {
        shaders.extend([false, true].map(|multiplier| Shader::KernelGradientDepthwise { taps, multiplier }));
    }
    shaders.extend((1..=4).map(|lanes| Shader::KernelGradientGrouped { lanes }));
    shaders.extend([Shader::PeakCopy, Shader::PeakCount]);
    for chains in [3, 8] {
        shaders.extend([Scalar::F32, Scalar::F16].map(|scalar| Shader::PeakFma { scalar, chains }));
    }
    shaders
}

/// What a shader may use beyond the baseline, where it is for adapters that have it: half precision, and subgroups.
fn capabilities(variant: &Variant) -> Capabilities {
    let half = match variant.precision {
        Precision::F32 => Capabilities::empty(),
        _ => Capabilities::SHADER_FLOAT16,
    };
    match variant {
        Variant {
            shader: Shader::ConvDirect { subgroup: 1.., .. } | Shader::WinogradProduct { subgroup: 1.., .. },
            ..
        } => half | Capabilities::SUBGROUP,
        Variant { precision: Precision::F32, shader: Shader::PeakFma { scalar: Scalar::F16, .. } } => {
            Capabilities::SHADER_FLOAT16
        }
        Variant { shader: Shader::ConvCooperative { .. }, .. } => {
            Capabilities::SHADER_FLOAT16 | Capabilities::COOPERATIVE_MATRIX
        }
        _ => half,
    }
}

fn is_cooperative(variant: &Variant) -> bool {
    matches!(variant.shader, Shader::ConvCooperative { .. })
}

fn parse(wgsl: &str, capabilities: Capabilities) -> Result<(naga::Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .map_err(|error| error.emit_to_string(wgsl))?;
    Ok((module, info))
}

/// What the heuristics choose for the bundled network: proof that [`variants`] lists what is really used.
fn chosen() -> Vec<Variant> {
    let model = Model::bundled().unwrap();
    let mut shaders = vec![];
    for mode in Mode::ALL {
        let plan = Plan::new(&model, mode).unwrap();
        for (tier, batch) in [(Tier::Software, 1), (Tier::Software, 8), (Tier::Hardware, 1), (Tier::Hardware, 8)] {
            // GPUs with and without matrix units, and software adapters with subgroups of no known size, SwiftShader's and
            // lavapipe's.
            for (precision, subgroup) in
                Precision::ALL.into_iter().flat_map(|precision| [0, 4, 8].map(|size| (precision, size)))
            {
                let (cooperative, swiftshader) = (subgroup > 0, subgroup == 4);
                let policy = Policy { precision, cooperative, swiftshader, subgroup, ..tier.into() };
                let dispatches =
                    [dispatch::fold(&plan, &policy).unwrap(), dispatch::run(&plan, batch, &policy).unwrap()];
                shaders.extend(dispatches.iter().flatten().map(|dispatch| dispatch.variant()));
            }
        }
    }
    shaders
}

#[test]
fn every_variant_is_valid_and_translates() {
    let variants = variants();
    assert!(variants.len() > 500, "{} variants", variants.len());
    for shader in chosen() {
        assert!(variants.contains(&shader), "the heuristics choose {shader:?}, which is not in the list");
    }
    for shader in variants {
        let wgsl = shader.wgsl();
        let (module, info) = parse(&wgsl, capabilities(&shader)).unwrap_or_else(|error| panic!("{shader:?}:\n{error}"));

        let spirv = naga::back::spv::write_vec(&module, &info, &Default::default(), None);
        spirv.unwrap_or_else(|error| panic!("{shader:?} to SPIR-V: {error}"));

        let lang_version =
            if is_cooperative(&shader) { (2, 3) } else { naga::back::msl::Options::default().lang_version };
        let (options, pipeline) = (
            naga::back::msl::Options { fake_missing_bindings: true, lang_version, ..Default::default() },
            Default::default(),
        );
        let msl = naga::back::msl::write_string(&module, &info, &options, &pipeline);
        msl.unwrap_or_else(|error| panic!("{shader:?} to MSL: {error}"));

        // DirectX has none that naga knows of.
        if is_cooperative(&shader) {
            continue;
        }
        let options = naga::back::hlsl::Options { fake_missing_bindings: true, ..Default::default() };
        let mut text = String::new();
        let pipeline = Default::default();
        let mut writer = naga::back::hlsl::Writer::new(&mut text, &options, &pipeline);
        writer.write(&module, &info, None).unwrap_or_else(|error| panic!("{shader:?} to HLSL: {error}"));
    }
}

/// Baseline limits: 256 invocations, 16 KiB of workgroup memory, 8 storage buffers.
#[test]
fn every_variant_keeps_the_baseline_limits() {
    for shader in variants() {
        let (module, _) = parse(&shader.wgsl(), capabilities(&shader)).unwrap();
        let [x, y, z] = module.entry_points[0].workgroup_size;
        assert!(x * y * z <= 256, "{shader:?}: {x}×{y}×{z} invocations");
        let size_of = |space: naga::AddressSpace| -> u32 {
            let of_space = module.global_variables.iter().filter(|(_, variable)| variable.space == space);
            of_space.map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx())).sum()
        };
        assert!(size_of(naga::AddressSpace::WorkGroup) <= 16 * 1024, "{shader:?}");
        let is_storage = |variable: &naga::GlobalVariable| matches!(variable.space, naga::AddressSpace::Storage { .. });
        assert!(module.global_variables.iter().filter(|(_, variable)| is_storage(variable)).count() <= 8, "{shader:?}");
    }
}

/// The layout of `Params` in WGSL is that of the Rust struct it was made from.
#[test]
fn parameter_blocks_have_the_same_size_on_both_sides() {
    use doconv::gpu::params;
    let blocks = [
        (params::Conv::WGSL, size_of::<params::Conv>()),
        (params::Compose::WGSL, size_of::<params::Compose>()),
        (params::Pool::WGSL, size_of::<params::Pool>()),
        (params::GlobalPool::WGSL, size_of::<params::GlobalPool>()),
        (params::Elementwise::WGSL, size_of::<params::Elementwise>()),
        (params::CopyChannels::WGSL, size_of::<params::CopyChannels>()),
        (params::Broadcast::WGSL, size_of::<params::Broadcast>()),
        (params::Constant::WGSL, size_of::<params::Constant>()),
        (params::ConvFeature::WGSL, size_of::<params::ConvFeature>()),
        (params::Winograd::WGSL, size_of::<params::Winograd>()),
        (params::KernelGradient::WGSL, size_of::<params::KernelGradient>()),
        (params::SumParts::WGSL, size_of::<params::SumParts>()),
        (params::BiasGradient::WGSL, size_of::<params::BiasGradient>()),
        (params::ComposeGradient::WGSL, size_of::<params::ComposeGradient>()),
        (params::TransposeKernel::WGSL, size_of::<params::TransposeKernel>()),
        (params::KernelMap::WGSL, size_of::<params::KernelMap>()),
        (params::PadGradient::WGSL, size_of::<params::PadGradient>()),
        (params::Rearrange::WGSL, size_of::<params::Rearrange>()),
        (params::Pad::WGSL, size_of::<params::Pad>()),
        (params::Resize::WGSL, size_of::<params::Resize>()),
        (params::Lrn::WGSL, size_of::<params::Lrn>()),
        (params::Softmax::WGSL, size_of::<params::Softmax>()),
        (params::ResampleRows::WGSL, size_of::<params::ResampleRows>()),
        (params::ResampleColumns::WGSL, size_of::<params::ResampleColumns>()),
        (params::TopK::WGSL, size_of::<params::TopK>()),
        (params::PeakFma::WGSL, size_of::<params::PeakFma>()),
    ];
    for (wgsl, size) in blocks {
        let module = naga::front::wgsl::parse_str(wgsl).unwrap();
        let (_, block) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params")).unwrap();
        assert_eq!(block.inner.size(module.to_ctx()) as usize, size, "{wgsl}");
    }
}

#[test]
fn the_check_rejects_an_invalid_shader() {
    let broken = Shader::Softmax { logarithm: false }.wgsl().replace("var total = 0.0;", "var total = 0u;");
    assert!(parse(&broken, Capabilities::empty()).is_err());
    let beyond_the_baseline = "enable f16; @compute @workgroup_size(1) fn main() { var x = 1.0h; _ = x; }";
    assert!(parse(beyond_the_baseline, Capabilities::empty()).is_err());
    let peak = Variant::from(Shader::PeakFma { scalar: Scalar::F16, chains: 3 });
    for half in [peak, Variant::new(Shader::Lrn, Precision::F16Storage)] {
        assert!(parse(&half.wgsl(), Capabilities::empty()).is_err(), "{half:?}");
        assert!(parse(&half.wgsl(), capabilities(&half)).is_ok(), "{half:?}");
    }
}
