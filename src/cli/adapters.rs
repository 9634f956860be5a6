//! `doconv adapters`: what can compute here.

use anyhow::Result;
use doconv::{Adapter, blocking};
use serde::Serialize;

use super::adapter::{AdapterJson, kind};
use super::{output, table};

/// List the adapters that can compute
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  doconv adapters
  doconv adapters --json
  doconv classify photo.jpg --adapter 0

The star marks the adapter that is taken when none is named: a hardware adapter, discrete before integrated, else the
CPU. Software adapters run shaders on the CPU, far slower than doconv's own CPU code; they are only taken by name.")]
pub struct Arguments {
    /// Print one JSON document: {"adapters": […], "default": INDEX}
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    adapters: Vec<Entry<'a>>,
    default: usize,
}

#[derive(Serialize)]
struct Entry<'a> {
    index: usize,
    #[serde(flatten)]
    adapter: AdapterJson<'a>,
    default: bool,
}

pub fn main(arguments: Arguments) -> Result<()> {
    let list = blocking::list_adapters();
    let default = Adapter::default_index(&list).unwrap_or(0);
    if arguments.json {
        let entry = |(index, info)| Entry { index, adapter: AdapterJson::from(info), default: index == default };
        return output::print_json(&Document { adapters: list.iter().enumerate().map(entry).collect(), default });
    }
    let mut rows = vec![["", "index", "name", "type", "backend", "driver", "features"].map(String::from).to_vec()];
    for (index, info) in list.iter().enumerate() {
        let star = if index == default { "*" } else { "" };
        let features = if info.features.is_empty() { "-".into() } else { info.features.join(" ") };
        rows.push(vec![
            star.into(),
            index.to_string(),
            info.name.clone(),
            kind(info).into(),
            info.backend.clone(),
            info.driver.clone(),
            features,
        ]);
    }
    let mut text = table::align(&rows, &[1]);
    for (index, info) in list.iter().enumerate().filter(|(_, info)| !info.limits.is_empty()) {
        text += &format!("\nlimits of {index} ({}):\n", info.name);
        let rows: Vec<_> =
            info.limits.iter().map(|(name, &value)| vec![format!("  {name}"), value.to_string()]).collect();
        text += &table::align(&rows, &[1]);
    }
    text += &format!("\n* taken by default: {}\n", list.get(default).map_or("", |info| &info.name));
    output::print(&text)
}
