//! Every shader variant is valid WGSL under the capabilities that every browser has, in half precision with that one more, and
//! translates to SPIR-V, MSL and HLSL, so that Metal and DX12 are covered without their hardware.

use doconv::gpu::kernels::conv::KernelLayouts;
use doconv::gpu::kernels::families;
use doconv::gpu::policy::{Policy, Tier};
use doconv::gpu::program::{KernelSetup, Program};
use doconv::gpu::shader::{Precisions, ShaderKey};
use doconv::plan::Plan;
use doconv::{Mode, Model, Precision};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

/// Every specialisation of every family in every precision that it has.
fn variants() -> Vec<ShaderKey> {
    let of = |key: ShaderKey| {
        let mut keys: Vec<_> = Precision::ALL.map(|precision| key.clone().in_precision(precision)).into();
        keys.dedup();
        keys
    };
    families().into_iter().flat_map(|family| (family.specialisations)()).flat_map(of).collect()
}

/// What a shader may use beyond the baseline, where it is for adapters that have it: half precision, and subgroups.
fn capabilities(key: &ShaderKey) -> Capabilities {
    let mut capabilities = Capabilities::empty();
    if key.precision != Precision::F32 || key.to_string().contains("scalar=f16") {
        capabilities |= Capabilities::SHADER_FLOAT16;
    }
    if key.count("subgroup") > 0 {
        capabilities |= Capabilities::SUBGROUP;
    }
    if is_cooperative(key) {
        capabilities |= Capabilities::SHADER_FLOAT16 | Capabilities::COOPERATIVE_MATRIX;
    }
    capabilities
}

fn is_cooperative(key: &ShaderKey) -> bool {
    key.kernel.precisions == Precisions::HalfStored
}

fn parse(wgsl: &str, capabilities: Capabilities) -> Result<(naga::Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .map_err(|error| error.emit_to_string(wgsl))?;
    Ok((module, info))
}

/// What the heuristics choose for the bundled network: proof that [`variants`] lists what is really used.
fn chosen() -> Vec<ShaderKey> {
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
                let (matrix_units, swiftshader) = (subgroup > 0, subgroup == 4);
                let policy = Policy { precision, matrix_units, swiftshader, subgroup, ..tier.into() };
                let layouts = KernelLayouts::new(&plan, &policy);
                let setup = KernelSetup::new(&plan, &policy, &layouts).unwrap();
                let program = Program::new(&plan, batch, &policy, &layouts).unwrap();
                let dispatches = setup.dispatches().chain(&program.dispatches);
                shaders.extend(dispatches.map(|dispatch| dispatch.shader.clone()));
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

/// By naga's rules, so that what Rust writes is what WGSL reads.
#[test]
fn uniform_blocks_have_one_layout() {
    for family in families().into_iter().filter(|family| family.params.bytes > 0) {
        let module = naga::front::wgsl::parse_str(family.params.wgsl).unwrap();
        let (_, block) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params")).unwrap();
        // Behind it is where a part of the grid begins.
        assert_eq!(block.inner.size(module.to_ctx()) as usize, family.params.bytes + 12, "{family:?}");
    }
}

fn key(family: &str, word: &str) -> ShaderKey {
    let found = variants().into_iter().find(|key| key.kernel.name == family && key.to_string().contains(word));
    found.unwrap_or_else(|| panic!("{family} has nothing with {word}"))
}

#[test]
fn the_check_rejects_an_invalid_shader() {
    let broken = key("softmax", "logarithm=false").wgsl().replace("var total = 0.0;", "var total = 0u;");
    assert!(parse(&broken, Capabilities::empty()).is_err());
    let beyond_the_baseline = "enable f16; @compute @workgroup_size(1) fn main() { var x = 1.0h; _ = x; }";
    assert!(parse(beyond_the_baseline, Capabilities::empty()).is_err());
    for half in [key("peak_fma", "scalar=f16"), key("lrn", "f16-storage")] {
        assert!(parse(&half.wgsl(), Capabilities::empty()).is_err(), "{half}");
        assert!(parse(&half.wgsl(), capabilities(&half)).is_ok(), "{half}");
    }
}
