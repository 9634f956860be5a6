//! `--adapter`: which adapter computes, and saying so.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::ValueEnum;
use doconv::gpu::{TuneEvent, TuneListener};
use doconv::{Adapter, AdapterInfo, AdapterKind, Precision, Selector, blocking};
use serde::Serialize;

use super::precision::PrecisionName;
use super::{cache, output, progress};

/// The environment variable that `--adapter` falls back on.
const VARIABLE: &str = "DOCONV_ADAPTER";

/// Which adapter computes, and how.
#[derive(clap::Args)]
pub struct AdapterArguments {
    #[command(flatten)]
    adapter: AdapterName,
    /// How numbers are stored on a GPU, and what convolutions compute with; what is not f32 needs a GPU with shader-f16
    /// (`doconv adapters`)
    #[arg(long, value_enum, default_value_t)]
    precision: PrecisionName,
    /// Which kernels run a network's convolutions on a GPU
    #[arg(long, value_enum, default_value_t)]
    tune: Tune,
}

/// Which adapter computes.
#[derive(clap::Args)]
pub struct AdapterName {
    /// What computes: a part of an adapter's or driver's name, its index in `doconv adapters`, or `cpu`
    /// [default: a hardware GPU, discrete before integrated, else the CPU]
    #[arg(long, value_name = "NAME", env = VARIABLE, hide_env_values = true)]
    adapter: Option<String>,
}

/// Where the choice of kernels comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Tune {
    /// Those of heuristics
    Off,
    /// Those that were the fastest when they were timed, here or by us; heuristics for the rest
    #[default]
    Load,
    /// Time all that could be the fastest first, and keep what was found for later calls; takes minutes
    Full,
}

impl AdapterArguments {
    /// Opens the adapter. That the CPU is used because there is no GPU is said on stderr.
    pub fn open(&self) -> Result<Adapter> {
        Ok(self.equipped(self.adapter.open()?.with_precision(self.precision.into())?))
    }

    /// With what earlier calls have left for its precision.
    fn equipped(&self, adapter: Adapter) -> Adapter {
        let (info, precision) = (adapter.info().clone(), adapter.precision());
        adapter.with_device(|device| {
            match self.tune {
                Tune::Off => device.forget_tuned(),
                Tune::Load => device.add_tuned(&cache::tuned(&info, precision)),
                Tune::Full => {
                    device.add_tuned(&cache::tuned(&info, precision));
                    device.tune_when_loading(listener(info.clone(), precision));
                }
            }
            if let Some(folder) = cache::folder() {
                // SAFETY: it is the user's own folder, in which nobody but this program writes such files.
                unsafe { device.keep_in(&folder, &info) };
            }
        })
    }
}

impl AdapterName {
    /// Opens the adapter as it is, without anything that earlier calls have left.
    pub fn open(&self) -> Result<Adapter> {
        match self.name() {
            Some(name) => Ok(blocking::open(&Selector::Named(name.to_owned()))?),
            None => open_default(),
        }
    }

    /// The name, if one was given.
    pub fn name(&self) -> Option<&str> {
        // A variable that is set to nothing counts as absent.
        let unset = std::env::var_os(VARIABLE).is_some_and(|value| value.is_empty());
        self.adapter.as_deref().filter(|name| !(name.is_empty() && unset))
    }
}

/// Shows how tuning goes on, and keeps what it finds.
fn listener(info: AdapterInfo, precision: Precision) -> TuneListener {
    let bar = progress::tuning();
    TuneListener::new(move |event| match event {
        TuneEvent::Step { label, done, total } => {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            bar.set_message(label.to_owned());
        }
        TuneEvent::Finished { tuned, layers, network_ms: [before, after] } => {
            bar.finish_and_clear();
            let noun = if layers == 1 { "layer" } else { "layers" };
            output::note(&format!(
                "timed the kernels of {layers} {noun}: the network takes {after:.2} ms instead of {before:.2} ms"
            ));
            if let Err(error) = cache::keep_tuned(&info, precision, tuned) {
                output::note(&format!("what was found is not kept: {}", output::describe(&error)));
            }
        }
    })
}

fn open_default() -> Result<Adapter> {
    let adapter = blocking::open(&Selector::Auto)?;
    if adapter.info().kind == AdapterKind::Cpu {
        let mut line = format!("no GPU found: computing on the CPU ({} threads)", doconv::cpu::threads());
        let list = blocking::list_adapters();
        let software: Vec<String> = list
            .iter()
            .enumerate()
            .filter(|(_, info)| info.kind == AdapterKind::Software)
            .map(|(index, info)| format!("{index} ({})", info.name))
            .collect();
        if !software.is_empty() {
            line += &format!("; slow software adapters can be had with --adapter: {}", software.join(", "));
        }
        output::note(&line);
    }
    Ok(adapter)
}

/// An adapter as JSON documents show it.
#[derive(Serialize)]
pub struct AdapterJson<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    device: AdapterKind,
    backend: &'a str,
    driver: &'a str,
    features: &'a [String],
    limits: &'a BTreeMap<String, u64>,
}

impl<'a> From<&'a AdapterInfo> for AdapterJson<'a> {
    fn from(info: &'a AdapterInfo) -> Self {
        Self {
            name: &info.name,
            kind: kind(info),
            device: info.kind,
            backend: &info.backend,
            driver: &info.driver,
            features: &info.features,
            limits: &info.limits,
        }
    }
}

/// `hardware`, `software` or `cpu`.
pub fn kind(info: &AdapterInfo) -> &'static str {
    match info.kind {
        AdapterKind::Cpu => "cpu",
        AdapterKind::Software => "software",
        _ => "hardware",
    }
}

/// An adapter in a few words, such as `llvmpipe (vulkan backend, software)`.
pub fn describe(info: &AdapterInfo) -> String {
    match info.kind {
        AdapterKind::Cpu => format!("{} ({} backend, {} threads)", info.name, info.backend, doconv::cpu::threads()),
        _ => format!("{} ({} backend, {})", info.name, info.backend, kind(info)),
    }
}
