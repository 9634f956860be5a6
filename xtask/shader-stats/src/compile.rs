//! From WGSL to what Vulkan drivers take, with the options of wgpu.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use serde::{Deserialize, Serialize};

/// A shader as a driver takes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compiled {
    /// What it is called.
    pub name: String,
    /// The module that it was made from.
    pub wgsl: String,
    /// The same as SPIR-V.
    pub spirv: Vec<u32>,
    /// Which bindings of group 0 are uniform buffers, and which storage buffers.
    pub uniform: Vec<u32>,
    pub storage: Vec<u32>,
}

/// Translates shaders. Of several that are the same only the first counts.
pub fn to_spirv(shaders: BTreeMap<String, String>) -> Result<Vec<Compiled>> {
    let mut compiled: Vec<Compiled> = vec![];
    for (name, wgsl) in shaders {
        let shader = translate(&name, wgsl).with_context(|| name)?;
        if compiled.iter().all(|other| other.spirv != shader.spirv) {
            compiled.push(shader);
        }
    }
    Ok(compiled)
}

fn translate(name: &str, wgsl: String) -> Result<Compiled> {
    let module = naga::front::wgsl::parse_str(&wgsl).map_err(|error| anyhow!(error.emit_to_string(&wgsl)))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    let info = validator.validate(&module).map_err(|error| anyhow!(error.emit_to_string(&wgsl)))?;
    let pipeline = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: String::from("main") };
    let spirv = spv::write_vec(&module, &info, &options(), Some(&pipeline))?;
    let bindings_in = |wanted: fn(naga::AddressSpace) -> bool| {
        let variables = module.global_variables.iter().filter(|(_, variable)| wanted(variable.space));
        variables.filter_map(|(_, variable)| Some(variable.binding.as_ref()?.binding)).collect()
    };
    let uniform = bindings_in(|space| space == naga::AddressSpace::Uniform);
    let storage = bindings_in(|space| matches!(space, naga::AddressSpace::Storage { .. }));
    Ok(Compiled { name: name.into(), wgsl, spirv, uniform, storage })
}

/// Those of wgpu for a module that it trusts, on Vulkan 1.3.
fn options() -> spv::Options<'static> {
    let unchecked = BoundsCheckPolicy::Unchecked;
    spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::empty(),
        bounds_check_policies: BoundsCheckPolicies {
            index: unchecked,
            buffer: unchecked,
            image_load: unchecked,
            binding_array: unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Default::default()
    }
}

/// Writes the modules beside the assembly that each family makes of them.
pub fn write_wgsl(shaders: &[Compiled], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for shader in shaders {
        let file = folder.join(format!("{}.wgsl", file_name(&shader.name)));
        std::fs::write(&file, &shader.wgsl).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// A shader's name without what files should not have in theirs.
pub fn file_name(name: &str) -> String {
    name.replace(' ', ",").replace(['[', ']'], "")
}
