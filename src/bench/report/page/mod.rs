//! The page: words and positions for the templates, which have no arithmetic.

mod changes;
mod plot;
mod tables;
#[cfg(test)]
mod tests;
mod text;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

use super::compare::Comparison;
use super::number_format::date;
use super::read::{Outcome, Source};
use super::{adapters, ranking, roofline};
use crate::{Error, Result};
use text::{count, join};

/// What the template is filled with. Every text is escaped there.
#[derive(Serialize)]
struct Page {
    version: &'static str,
    count: String,
    records: Vec<RecordView>,
    comparison: Option<changes::ComparisonView>,
    suites: Vec<tables::SuiteView>,
    plots: Vec<plot::PlotView>,
}

/// A row of the summary.
#[derive(Serialize)]
struct RecordView {
    label: String,
    kind: &'static str,
    platform: String,
    surroundings: String,
    /// All that the browser says of itself.
    user_agent: String,
    date: String,
    version: String,
    file: String,
    cases: String,
    /// Whether a case is wrong or failed.
    flawed: bool,
}

/// A page of records and, where there is one, of a comparison.
///
/// The page is one file: it asks for nothing, runs no script, and forbids both in its content security policy. Texts from
/// the records are escaped.
///
/// # Errors
/// [`Error::Unsupported`] if the template cannot be filled: a defect of this crate.
pub fn html(sources: &[Source], comparison: Option<&Comparison>) -> Result<String> {
    let labels = adapters::labels(sources);
    let suites = ranking::suites(sources);
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        count: count(sources.len(), "record", "records"),
        records: sources.iter().zip(&labels).map(|(source, label)| record(source, label)).collect(),
        comparison: comparison.map(changes::view),
        suites: suites.into_iter().map(|suite| tables::view(sources, &labels, suite)).collect(),
        plots: roofline::rooflines(sources).iter().map(|line| plot::view(line, sources, &labels)).collect(),
    };
    render(&page).map_err(|error| Error::Unsupported(format!("the page cannot be made: {error:#}")))
}

fn render(page: &Page) -> std::result::Result<String, minijinja::Error> {
    let mut environment = Environment::empty();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("page.css", include_str!("page.css"))?;
    environment.add_template("page.html", include_str!("page.html"))?;
    environment.add_template("tables.html", include_str!("tables.html"))?;
    environment.add_template("plot.html", include_str!("plot.html"))?;
    environment.get_template("page.html")?.render(Serde(page))
}

fn record(source: &Source, label: &str) -> RecordView {
    let recorded = &source.record;
    let (mut right, mut wrong, mut failed) = (0, 0, 0);
    for case in &recorded.results {
        *match &case.outcome {
            Outcome::Measured(figures) if figures.check.ok => &mut right,
            Outcome::Measured(_) => &mut wrong,
            Outcome::Failed(_) => &mut failed,
        } += 1;
    }
    let some = |number: usize, what: &str| if number > 0 { format!("{number} {what}") } else { String::new() };
    let stopped = if recorded.stopped { "then stopped" } else { "" };
    let browser = adapters::browser(recorded).unwrap_or_default();
    let commit = adapters::commit(recorded).map(|commit| format!("commit {commit}")).unwrap_or_default();
    RecordView {
        label: label.into(),
        kind: adapters::kind(&recorded.adapter),
        platform: join(&[&recorded.adapter.backend, &recorded.adapter.driver], ", "),
        surroundings: join(&[&browser, &recorded.environment.os], ", "),
        user_agent: recorded.environment.browser.clone().unwrap_or_default(),
        date: date(&recorded.date),
        version: join(&[&recorded.version, &commit], ", "),
        file: source.name.clone(),
        cases: join(&[&format!("{right} right"), &some(wrong, "wrong"), &some(failed, "failed"), stopped], ", "),
        flawed: wrong + failed > 0,
    }
}
