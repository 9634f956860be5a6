//! The families of GPUs, each in a process of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use xtask::vulkan::Drivers;

use crate::compile::{Compiled, file_name};
use crate::device::Device;
use crate::statistics::Statistics;

/// GPUs that stand for the others of their generation. The names are those of `RADV_FORCE_FAMILY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// RDNA 3: Radeon RX 7900.
    Gfx1100,
    /// RDNA 2: Radeon RX 6800 and 6900.
    Navi21,
    /// GCN 5: Radeon RX Vega.
    Vega10,
}

impl Family {
    pub const ALL: [Self; 3] = [Self::Gfx1100, Self::Navi21, Self::Vega10];

    pub fn name(self) -> &'static str {
        match self {
            Self::Gfx1100 => "gfx1100",
            Self::Navi21 => "navi21",
            Self::Vega10 => "vega10",
        }
    }
}

/// What the compiler of a family says of all shaders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// As the driver calls the GPU.
    pub gpu: String,
    /// The driver with its version.
    pub driver: String,
    /// By the shaders' names.
    pub shaders: BTreeMap<String, Statistics>,
}

/// Names the reason for which shaders are not compiled for these GPUs.
const SKIP: &str = "DOCONV_SKIP_SHADER_STATS";

/// Why there is nothing to do here, if so.
pub fn reason_to_skip() -> Result<Option<String>> {
    if let Some(reason) = std::env::var_os(SKIP) {
        if reason.is_empty() {
            bail!("{SKIP} is set, but does not say why");
        }
        return Ok(Some(reason.to_string_lossy().into_owned()));
    }
    Ok((!cfg!(target_os = "linux")).then(|| "RADV exists on Linux only".into()))
}

fn driver() -> Result<PathBuf> {
    let found = Drivers::find().radv();
    found.with_context(|| {
        format!(
            "no RADV, Mesa's driver for AMD GPUs (manifest radeon_icd*.json): Debian has it in mesa-vulkan-drivers; \
             {SKIP}=REASON leaves this out"
        )
    })
}

/// Compiles the shaders for all families, side by side.
pub fn measure_all(shaders: &[Compiled], assembly: Option<&Path>) -> Result<BTreeMap<Family, Report>> {
    let driver = driver()?;
    let folder = xtask::target().join("shader-stats");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join("shaders.json");
    std::fs::write(&file, serde_json::to_vec(shaders)?).with_context(|| format!("cannot write {}", file.display()))?;
    let start = |family: Family| {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--family", family.name(), "--shaders"]).arg(&file);
        if let Some(folder) = assembly {
            command.arg("--assembly").arg(folder);
        }
        for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
            command.env(variable, &driver);
        }
        command.env("RADV_FORCE_FAMILY", family.name()).env("MESA_SHADER_CACHE_DISABLE", "1");
        // Settings of the user's that change what is compiled.
        for variable in ["RADV_DEBUG", "RADV_PERFTEST", "ACO_DEBUG"] {
            command.env_remove(variable);
        }
        Ok((family, command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start itself")?))
    };
    let started = Family::ALL.into_iter().map(start).collect::<Result<Vec<_>>>()?;
    let finish = |(family, child): (Family, std::process::Child)| {
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("compiling for {} failed: {}", family.name(), output.status);
        }
        let report: Report = serde_json::from_slice(&output.stdout)?;
        if report.shaders.len() != shaders.len() || shaders.is_empty() {
            bail!("{} of {} shaders were compiled for {}", report.shaders.len(), shaders.len(), family.name());
        }
        Ok((family, report))
    };
    started.into_iter().map(finish).collect()
}

/// What the process of one family does.
pub fn measure(family: Family, shaders: &Path, assembly: Option<&Path>) -> Result<()> {
    let text = std::fs::read(shaders).with_context(|| format!("cannot read {}", shaders.display()))?;
    let compiled: Vec<Compiled> = serde_json::from_slice(&text)?;
    let device = Device::open()?;
    let mut report = Report { gpu: device.name.clone(), driver: device.driver.clone(), shaders: BTreeMap::new() };
    for shader in compiled {
        let (statistics, text) = device.compile(&shader).with_context(|| shader.name.clone())?;
        if let Some(folder) = assembly {
            let file = folder.join(format!("{}.{}.s", file_name(&shader.name), family.name()));
            std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        report.shaders.insert(shader.name, statistics);
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
