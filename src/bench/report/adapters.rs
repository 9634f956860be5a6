//! Whose figures stand beside whose, and what each record is called.

use super::number_format::date;
use super::read::{Adapter, Kind, Recorded, Source};

/// Adapters whose figures may be ranked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Hardware,
    Cpu,
    Software,
    Unknown,
}

impl Group {
    pub const ALL: [Group; 4] = [Group::Hardware, Group::Cpu, Group::Software, Group::Unknown];

    pub fn of(adapter: &Adapter) -> Self {
        match adapter.kind {
            Kind::Discrete | Kind::Integrated | Kind::Other => Group::Hardware,
            Kind::Cpu => Group::Cpu,
            Kind::Software => Group::Software,
            Kind::Unknown => Group::Unknown,
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Group::Hardware => "Hardware adapters",
            Group::Cpu => "CPU path",
            Group::Software => "Software adapters",
            Group::Unknown => "Adapters of unknown kind",
        }
    }

    /// What the reader should know of its figures.
    pub fn remark(self) -> &'static str {
        match self {
            Group::Hardware => "",
            Group::Cpu => "doconv’s own code for CPUs, without a GPU. Compared with CPUs only.",
            Group::Software => {
                "Shaders that run on a CPU. Their times say something of a shader compiler and of that CPU, and nothing \
                 of any GPU. Not ranked among hardware."
            }
            Group::Unknown => {
                "Their records do not say in a way known here whether they are hardware. Not ranked among hardware."
            }
        }
    }
}

/// The adapter in a word: `llvmpipe`, `CPU path`, or what a browser tells of a GPU.
pub(super) fn name(adapter: &Adapter) -> String {
    let told = [&adapter.vendor, &adapter.architecture].map(|text| text.as_deref().unwrap_or_default());
    let told = told.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
    match (adapter.kind, adapter.name.trim()) {
        (Kind::Cpu, _) => "CPU path".into(),
        (_, "") if told.is_empty() => "unnamed adapter".into(),
        (_, "") => told,
        (_, name) => name.into(),
    }
}

/// `hardware, discrete`.
pub(super) fn kind(adapter: &Adapter) -> &'static str {
    match adapter.kind {
        Kind::Discrete => "hardware, discrete",
        Kind::Integrated => "hardware, integrated",
        Kind::Other => "hardware",
        Kind::Software => "software",
        Kind::Cpu => "doconv’s own CPU code",
        Kind::Unknown => "of unknown kind",
    }
}

/// The adapter of a record in one line, such as `llvmpipe (vulkan backend, software)`.
pub fn describe(record: &Recorded) -> String {
    let adapter = &record.adapter;
    let within = browser(record).map(|browser| format!(" in {browser}")).unwrap_or_default();
    let half = half(record).map(|precision| format!(", {precision}")).unwrap_or_default();
    match adapter.kind {
        Kind::Cpu => format!("{} ({} threads){within}", name(adapter), record.environment.threads),
        _ => format!("{} ({} backend, {}{half}){within}", name(adapter), adapter.backend, kind(adapter)),
    }
}

/// The browser's name and main version out of what it calls itself: `Chromium 156`. Browsers name others beside
/// themselves, so the order counts. What is not known stays as it is.
pub(super) fn browser(record: &Recorded) -> Option<String> {
    const NAMES: [(&str, &str); 8] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("HeadlessChrome/", "Chromium"),
        ("CriOS/", "Chrome for iOS"),
        ("Chrome/", "Chrome"),
        ("Version/", "Safari"),
    ];
    let text = record.environment.browser.as_deref().filter(|text| !text.is_empty())?;
    let found = NAMES.iter().find_map(|(mark, name)| Some((name, text.split_once(mark)?.1)));
    Some(match found {
        Some((name, rest)) => {
            let version: String = rest.chars().take_while(char::is_ascii_digit).collect();
            format!("{name} {version}").trim_end().into()
        }
        None => text.into(),
    })
}

/// The precision, where it is not `f32`.
pub(super) fn half(record: &Recorded) -> Option<String> {
    Some(record.settings.precision.clone()).filter(|precision| !precision.is_empty() && precision != "f32")
}

/// The first digits of a commit.
pub(super) fn commit(record: &Recorded) -> Option<String> {
    record.commit.as_ref().map(|commit| commit.chars().take(9).collect())
}

/// What differs between the conditions of two records beside the adapter's name, and may explain a difference. The CPU path's
/// driver is doconv itself, which is what one wants to compare.
pub(super) fn differences(a: &Recorded, b: &Recorded) -> Vec<&'static str> {
    let driver = a.adapter.driver != b.adapter.driver && a.adapter.kind != Kind::Cpu;
    let all = [
        ("adapter", name(&a.adapter) != name(&b.adapter) || a.adapter.kind != b.adapter.kind),
        ("precision", half(a) != half(b)),
        ("backend", a.adapter.backend != b.adapter.backend),
        ("driver", driver),
        ("browser", a.environment.browser != b.environment.browser),
        ("operating system", a.environment.os != b.environment.os),
        ("number of threads", a.environment.threads != b.environment.threads),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
}

/// Whether two records are of the same adapter in the same surroundings.
pub(super) fn same(a: &Recorded, b: &Recorded) -> bool {
    differences(a, b).is_empty()
}

/// A name for every record that no other one has: the adapter's, and of what tells those with the same name apart as much as
/// is needed.
pub(super) fn labels(sources: &[Source]) -> Vec<String> {
    type Property = fn(&Source) -> Option<String>;
    const PROPERTIES: [Property; 8] = [
        |source| half(&source.record),
        |source| browser(&source.record),
        |source| Some(source.record.adapter.backend.clone()),
        |source| Some(source.record.environment.os.clone()),
        |source| commit(&source.record).map(|commit| format!("commit {commit}")),
        |source| Some(source.record.adapter.driver.clone()),
        |source| Some(date(&source.record.date)),
        |source| Some(source.name.clone()),
    ];
    let mut labels: Vec<String> = sources.iter().map(|source| name(&source.record.adapter)).collect();
    for property in PROPERTIES {
        let values: Vec<Option<String>> = sources.iter().map(property).collect();
        let differs =
            |at: usize| (0..labels.len()).any(|other| labels[other] == labels[at] && values[other] != values[at]);
        let label = |at: usize| match values[at].as_deref().filter(|value| !value.is_empty() && differs(at)) {
            Some(value) => format!("{} · {value}", labels[at]),
            None => labels[at].clone(),
        };
        labels = (0..labels.len()).map(label).collect();
    }
    // The same file twice.
    let count = |at: usize| labels[..at].iter().filter(|label| **label == labels[at]).count();
    (0..labels.len())
        .map(|at| match count(at) {
            0 => labels[at].clone(),
            before => format!("{} ({})", labels[at], before + 1),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixtures::{record, source, sources};

    const CHROME: &str =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";

    #[test]
    fn only_what_computes_alike_is_in_one_group() {
        let of = |kind: &str| Group::of(&source("r", &record("x", kind)).record.adapter);
        assert_eq!(["discrete", "integrated", "other"].map(of), [Group::Hardware; 3]);
        assert_eq!(["cpu", "software", "quantum"].map(of), [Group::Cpu, Group::Software, Group::Unknown]);
    }

    #[test]
    fn browsers_are_known_by_what_they_call_themselves() {
        let named = |text: &str| {
            let mut record = record("x", "other");
            record["environment"]["browser"] = text.into();
            browser(&source("r", &record).record)
        };
        assert_eq!(named(CHROME).unwrap(), "Chrome 156");
        assert_eq!(named(&format!("{CHROME} Edg/155.1")).unwrap(), "Edge 155");
        assert_eq!(named("Mozilla/5.0 (X11; rv:150.0) Gecko/20100101 Firefox/150.0").unwrap(), "Firefox 150");
        assert_eq!(
            named("AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15").unwrap(),
            "Safari 26"
        );
        assert_eq!((named("Lynx"), named("")), (Some("Lynx".into()), None));
    }

    #[test]
    fn labels_say_no_more_than_is_needed() {
        let mut records = sources(&[("A", "discrete", 1.0), ("B", "discrete", 1.0), ("", "other", 1.0)]);
        assert_eq!(labels(&records), ["A", "B", "unnamed adapter"]);
        records[2].record.adapter.vendor = Some("apple".into());
        records[1].record.adapter.name = "A".into();
        records[1].record.environment.browser = Some(CHROME.into());
        assert_eq!(labels(&records), ["A", "A · Chrome 156", "apple"]);
        records[1].record.settings.precision = "f16-storage".into();
        assert_eq!(labels(&records)[..2], ["A", "A · f16-storage"]);
        records[1].record.settings.precision = "f32".into();
        records[1].record.environment.browser = None;
        (records[0].record.commit, records[1].record.commit) = (Some("0123456789ab".into()), Some("cd".into()));
        assert_eq!(labels(&records)[..2], ["A · commit 012345678", "A · commit cd"]);
        records[1].record.commit = records[0].record.commit.clone();
        records[1].record.date = "2026-02-01T00:00:00Z".into();
        assert_eq!(labels(&records)[..2], ["A · 2026-01-02 03:04 UTC", "A · 2026-02-01 00:00 UTC"]);
        let twice = [records[0].clone(), records[0].clone()];
        assert_eq!(labels(&twice), ["A", "A (2)"]);
        let copied = [records[0].clone(), Source { name: "copy.json".into(), ..records[0].clone() }];
        assert_eq!(labels(&copied), ["A · 0.json", "A · copy.json"]);
    }

    #[test]
    fn other_conditions_are_named() {
        let [a, mut b] = [source("a", &record("A", "discrete")), source("b", &record("A", "discrete"))];
        assert!(same(&a.record, &b.record));
        b.record.adapter.driver = "made up 2.0".into();
        b.record.environment.threads = 4;
        assert_eq!(differences(&a.record, &b.record), ["driver", "number of threads"]);
        b.record.settings.precision = "f16".into();
        assert_eq!(differences(&a.record, &b.record), ["precision", "driver", "number of threads"]);
        b.record.adapter.kind = Kind::Software;
        assert_eq!(differences(&a.record, &b.record)[0], "adapter");
        let [mut a, mut b] = [source("a", &record("cpu", "cpu")), source("b", &record("cpu", "cpu"))];
        (a.record.adapter.driver, b.record.adapter.driver) = ("doconv 0.1".into(), "doconv 0.2".into());
        assert!(same(&a.record, &b.record));
    }
}
