//! A comparison as a page: one file, without scripts.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

use super::{Comparison, Kind, Run, Spread};
use crate::training::Epoch;
use crate::{Error, Result};

/// What the template is filled with. Every text is escaped there.
#[derive(Serialize)]
struct Page {
    version: &'static str,
    network: String,
    data: String,
    adapter: String,
    counts: [usize; 3],
    epochs: u64,
    rows: Vec<Row>,
    gains: Vec<Gain>,
    plots: Vec<Plot>,
}

/// What a kind gave, in per cent.
#[derive(Serialize)]
struct Row {
    kind: &'static str,
    runs: usize,
    mean: String,
    least: String,
    most: String,
    deviation: String,
}

/// What DO-Conv gained with a seed, in points.
#[derive(Serialize)]
struct Gain {
    seed: u64,
    points: String,
}

/// Something of every epoch, of every run.
#[derive(Serialize)]
struct Plot {
    title: &'static str,
    /// What lies at the top and at the bottom.
    top: String,
    bottom: String,
    first_epoch: u64,
    last_epoch: u64,
    curves: Vec<Curve>,
}

/// Points from 0, 0 at the top left to 100, 100.
#[derive(Serialize)]
struct Curve {
    class: &'static str,
    points: String,
}

impl Comparison {
    /// A page with the table and the curves, in one file that asks for nothing and runs nothing.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the template cannot be filled: a defect of this crate.
    pub fn html(&self) -> Result<String> {
        let percent = |share: f64| format!("{:.2}", 100.0 * share);
        let row = |kind: Kind| {
            let Spread { runs, mean, range: [least, most], deviation } = self.spread(kind)?;
            let [mean, least, most, deviation] = [mean, least, most, deviation].map(percent);
            Some(Row { kind: kind.name(), runs, mean, least, most, deviation })
        };
        let gain = |(seed, gain): (u64, f64)| Gain { seed, points: format!("{:+.2}", 100.0 * gain) };
        let right = |epoch: &Epoch| epoch.validation_accuracy.map(|share| 100.0 * share);
        // The last third.
        let epochs = self.settings.epochs;
        let end = (epochs >= 4).then(|| epochs - epochs / 3);
        let page = Page {
            version: env!("CARGO_PKG_VERSION"),
            network: self.network.clone(),
            data: self.data.clone(),
            adapter: self.adapter.clone(),
            counts: self.counts,
            epochs,
            rows: Kind::ALL.into_iter().filter_map(row).collect(),
            gains: self.gains().into_iter().map(gain).collect(),
            plots: [
                self.plot("Images for validation that are right, in per cent", 1, right),
                // Where both begin far below where they end, nobody would see there which is ahead.
                end.and_then(|first| self.plot("The same towards the end", first, right)),
                self.plot("Loss of the images learned from", 1, |epoch| Some(epoch.train_loss)),
            ]
            .into_iter()
            .flatten()
            .collect(),
        };
        render(&page).map_err(|error| Error::Unsupported(format!("the page cannot be made: {error:#}")))
    }

    fn plot(&self, title: &'static str, first_epoch: u64, of: impl Fn(&Epoch) -> Option<f64>) -> Option<Plot> {
        let values = |run: &Run| -> Vec<(u64, f64)> {
            let shown = run.epochs.iter().filter(|epoch| epoch.epoch >= first_epoch);
            shown.filter_map(|epoch| Some((epoch.epoch, of(epoch)?))).collect()
        };
        let all: Vec<(u64, f64)> = self.runs.iter().flat_map(values).collect();
        let [low, high] = [f64::min, f64::max].map(|of| all.iter().map(|(_, value)| *value).reduce(of));
        let (low, high) = (low?, high?);
        let last_epoch = all.iter().map(|(epoch, _)| *epoch).max()?;
        let place = |(epoch, value): (u64, f64)| {
            let x = 100.0 * (epoch - first_epoch) as f64 / (last_epoch - first_epoch).max(1) as f64;
            let y = 100.0 * (high - value) / (high - low).max(f64::MIN_POSITIVE);
            format!("{x:.2},{y:.2}")
        };
        let line = |values: Vec<(u64, f64)>| values.into_iter().map(place).collect::<Vec<_>>().join(" ");
        let mut curves = vec![];
        for run in &self.runs {
            let class = if run.kind == Kind::Plain { "plain" } else { "doconv" };
            curves.push(Curve { class, points: line(values(run)) });
        }
        // The means lie on top.
        for (kind, class) in [(Kind::Plain, "plain mean"), (Kind::DoConv, "doconv mean")] {
            let of_kind = || self.runs.iter().filter(|run| run.kind == kind).flat_map(values);
            let mean = |epoch: u64| {
                let here: Vec<f64> = of_kind().filter(|(other, _)| *other == epoch).map(|(_, value)| value).collect();
                (!here.is_empty()).then(|| (epoch, here.iter().sum::<f64>() / here.len() as f64))
            };
            curves.push(Curve { class, points: line((first_epoch..=last_epoch).filter_map(mean).collect()) });
        }
        Some(Plot { title, top: format!("{high:.2}"), bottom: format!("{low:.2}"), first_epoch, last_epoch, curves })
    }
}

fn render(page: &Page) -> std::result::Result<String, minijinja::Error> {
    let mut environment = Environment::empty();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment
        .set_auto_escape_callback(|name| if name.ends_with(".css") { AutoEscape::None } else { AutoEscape::Html });
    // It looks like the reports of benchmarks.
    environment.add_template("page.css", include_str!("../../bench/report/page/page.css"))?;
    environment.add_template("comparison.html", include_str!("comparison.html"))?;
    environment.get_template("comparison.html")?.render(Serde(page))
}

#[cfg(test)]
mod tests {
    use super::super::tests::comparison;
    use crate::training::Epoch;

    #[test]
    fn the_page_has_the_table_the_curves_and_no_markup_of_others() {
        let page = comparison().html().unwrap();
        assert!(page.contains("80.00") && page.contains("+5.00") && page.contains("-1.00"), "{page}");
        assert!(page.contains("&lt;pictures&gt; &amp; more") && !page.contains("<pictures>"), "{page}");
        assert_eq!(page.matches("<polyline").count(), 2 * (5 + 2));
        // From half of 0.7 at the bottom to 0.9 at the top.
        assert!(page.contains("0.00,100.00 100.00,36.36"), "{page}");
        assert!(!page.contains("<script") && !page.contains("://"), "{page}");

        // The last third of four epochs.
        let mut longer = comparison();
        longer.settings.epochs = 4;
        for run in &mut longer.runs {
            let more = run.epochs.clone().into_iter().map(|epoch| Epoch { epoch: epoch.epoch + 2, ..epoch });
            run.epochs.extend(more.collect::<Vec<_>>());
        }
        let page = longer.html().unwrap();
        assert_eq!(page.matches("<polyline").count(), 3 * (5 + 2));
        let (_, end) = page.split_once("The same towards the end").unwrap();
        assert!(end.contains("epoch 3") && end.contains("0.00,100.00 100.00,36.36"), "{end}");
    }
}
