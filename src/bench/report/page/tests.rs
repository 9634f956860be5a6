use std::slice::from_ref;

use serde_json::{Value, json};

use super::html;
use crate::bench::report::fixtures::{case, peak, record, source, sources};
use crate::bench::report::{Source, compare};

/// The page, with the slashes that the template engine escapes.
fn page_of(sources: &[Source]) -> String {
    html(sources, None).unwrap().replace("&#x2f;", "/")
}

/// What stands between a text and the next one of another, from behind the first.
fn part<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = page.split_once(from).unwrap_or_else(|| panic!("no {from} in {page}"));
    rest.split_once(to).map_or(rest, |(part, _)| part)
}

/// The row of a table that begins with this.
fn row<'a>(page: &'a str, name: &str) -> &'a str {
    part(page, &format!("scope=\"row\">{name}<"), "</tr>")
}

fn with(adapter: &str, kind: &str, results: &[Value]) -> Source {
    let mut record = record(adapter, kind);
    record["results"] = results.into();
    source(&format!("{adapter}.json"), &record)
}

#[test]
fn texts_from_records_are_text() {
    const BAD: &str = "<script>alert(1)</script><img src=x onerror='alert(2)'>\"&amp;</style>";
    let mut record = record(BAD, "discrete");
    for field in ["backend", "driver", "vendor", "architecture"] {
        record["adapter"][field] = BAD.into();
    }
    record["environment"] = json!({ "os": BAD, "browser": BAD, "threads": 1 });
    (record["version"], record["commit"], record["date"]) = (BAD.into(), BAD.into(), BAD.into());
    let failed = |suite: &str| json!({ "suite": suite, "name": BAD, "mode": BAD, "macs": 0, "error": BAD });
    let mut wrong = case("layers", BAD, 1.0);
    (wrong["mode"], wrong["kernels"], wrong["check"]["ok"]) = (BAD.into(), json!([BAD]), false.into());
    wrong["check"]["reference"] = BAD.into();
    let mut layer = case("layers", BAD, 2.0);
    layer["bytes"] = 1000.into();
    let peaks = [peak("f32", 1.0, 1_000_000, 0), peak("copy", 1.0, 0, 1_000_000)];
    record["results"] = [failed(BAD), failed("peak"), wrong, layer].into_iter().chain(peaks).collect();
    let one = source(BAD, &record);
    let two = Source { name: "other".into(), ..one.clone() };
    let page = html(&[one.clone(), two.clone()], Some(&compare(&one, &two))).unwrap();
    assert!(page.matches("&lt;script&gt;alert(1)").count() > 20, "the texts are there: {page}");
    for tag in ["<script", "<img", "onerror='"] {
        assert!(!page.contains(tag), "{tag}");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    // Quotes within attributes.
    for attribute in page.split("title=\"").skip(1).chain(page.split("aria-label=\"").skip(1)) {
        assert!(!attribute.split_once('"').unwrap().0.contains(['<', '>']), "{attribute}");
    }
}

#[test]
fn the_page_is_one_file_that_asks_for_nothing() {
    let page = html(&sources(&[("A", "discrete", 1.0), ("B", "software", 1.0)]), None).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline';"));
    for outside in ["http:", "https:", "src=", "<link", "<script", "@import", "url(", "style=\""] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains("&quot;Segoe"), "the style sheet is no text to be escaped");
    assert!(!page.contains("NaN") && !page.contains("inf%"));
}

#[test]
fn wrong_results_are_struck_out_and_never_the_fastest() {
    let right = case("layers", "conv", 2.0);
    let mut wrong = case("layers", "conv", 0.125);
    wrong["check"] = json!({ "ok": false, "largest_error": 7.0, "tolerance": 0.5, "reference": "truth" });
    let records = [
        with("A", "discrete", from_ref(&right)),
        with("B", "discrete", from_ref(&wrong)),
        with("C", "other", &[case("layers", "conv", 4.0)]),
    ];
    let page = html(&records, Some(&compare(&records[0], &records[1]))).unwrap();
    let table = part(&page, "<table class=\"cases several\"", "</table>");
    let of_b = row(table, "B");
    assert!(
        of_b.contains("<s>0.125 ms</s>") && of_b.contains("off by 7.00 where 0.500 is allowed; compared with: truth")
    );
    assert!(!of_b.contains("<svg") && of_b.contains("worse\">wrong<"), "{of_b}");
    assert!(row(table, "A").contains(">fastest<") && row(table, "A").contains("width=\"47.62%\""), "{table}");
    assert!(row(table, "C").contains(">2.00 ×<"), "{table}");
    let changes = part(&page, "<table class=\"changes\"", "</table>");
    assert!(changes.contains("<s>0.125</s><small>wrong") && changes.contains("worse\" data-head=\"Verdict\">wrong<"));
    assert!(row(&page, "B").contains("class=\"worse\">0 right, 1 wrong"), "{page}");
    // The same without a mistake.
    let page = html(&[with("A", "discrete", &[right]), with("B", "discrete", &[case("layers", "conv", 0.125)])], None)
        .unwrap();
    assert!(!page.contains("<s>") && row(part(&page, "cases several", "</table>"), "B").contains(">fastest<"));
}

#[test]
fn failed_cases_say_why() {
    let failed =
        json!({ "suite": "layers", "name": "conv", "mode": "folded", "macs": 0, "error": "the device was lost" });
    let page = html(&[with("A", "discrete", &[failed])], None).unwrap();
    let table = part(&page, "<table class=\"cases\"", "</table>");
    assert!(table.contains("the device was lost") && table.contains("worse\">failed<"), "{table}");
    assert!(row(&page, "A").contains("0 right, 1 failed"));
    let mute = json!({ "suite": "layers", "name": "conv", "mode": "folded", "macs": 0, "error": " " });
    let page = html(&[with("A", "discrete", &[mute])], None).unwrap();
    assert!(part(&page, "<table class=\"cases\"", "</table>").contains("worse\">failed<"), "{page}");
}

#[test]
fn groups_are_apart_and_say_why() {
    let records = sources(&[("GPU", "discrete", 2.0), ("llvmpipe", "software", 0.5), ("cpu", "cpu", 0.25)]);
    let page = html(&records, None).unwrap();
    let group = |title: &str| part(&page, &format!("\">{title}"), "</table>");
    assert!(group("Hardware adapters: GPU").contains("2.00 ms"));
    let software = group("Software adapters: llvmpipe");
    assert!(software.contains("Not ranked among hardware") && software.contains("0.500 ms"));
    assert!(group("CPU path</h3>").contains("Compared with CPUs only"));
    assert!(!page.contains("fastest\""), "each is alone in its group");
}

#[test]
fn intervals_are_shown_as_numbers_and_whiskers() {
    let page = html(&[with("A", "discrete", &[case("layers", "conv", 10.0)])], None).unwrap();
    let row = row(part(&page, "<table class=\"cases\"", "</table>"), "conv");
    assert!(row.contains("<small>9.50 to 10.5</small>") && row.contains("width=\"95.24%\""), "{row}");
    assert!(row.contains("<line x1=\"90.48%\" x2=\"100.00%\""), "{row}");
}

#[test]
fn peaks_are_rates_and_make_a_roofline() {
    let mut layer = case("layers", "conv", 0.5);
    (layer["macs"], layer["bytes"]) = (200_000_000.into(), 1_000_000.into());
    let peaks = [peak("f32", 2.0, 2_000_000_000, 0), peak("copy", 1.0, 0, 100_000_000), peak("dispatch", 0.01, 0, 8)];
    let results = [vec![layer.clone()], peaks.to_vec()].concat();
    let page = page_of(&[with("A", "discrete", &results)]);
    let peaks = part(&page, "What the adapters can do</h2>", "</section>");
    assert!(row(peaks, "f32").contains(">1000 GMAC/s<small>952 to 1053<"), "{peaks}");
    assert!(row(peaks, "copy").contains(">100 GB/s<") && row(peaks, "dispatch").contains(">0.0100 ms<"), "{peaks}");
    let plot = part(&page, "Roofline of A</h2>", "</section>");
    assert!(plot.contains("Hardware adapters. f32 2.00 TFLOP/s · memory 100 GB/s · dispatch 10.0 µs."), "{plot}");
    assert_eq!((plot.matches("class=\"roof\"").count(), plot.matches("class=\"point\"").count()), (2, 1), "{plot}");
    let layer_row = part(plot, "</i> conv</th>", "</tr>");
    for cell in [">200<", ">400<", ">1000<", ">40 %<", ">arithmetic<"] {
        assert!(layer_row.contains(cell), "{cell}: {layer_row}");
    }
    let without = html(&[with("A", "discrete", &[layer])], None).unwrap();
    assert!(!without.contains("Roofline"));
}

#[test]
fn suites_that_are_not_known_have_their_own_heading() {
    let page = html(&[with("A", "discrete", &[case("attention", "heads", 1.0)])], None).unwrap();
    let suite = part(&page, ">attention</h2>", "</section>");
    assert!(suite.contains("does not know") && suite.contains(">heads<"), "{suite}");
}

#[test]
fn extreme_figures_break_nothing() {
    let mut extreme = case("layers", "conv", 1e300);
    (extreme["macs"], extreme["bytes"]) = (u64::MAX.into(), 1.into());
    let tiny = case("layers", "tiny", 1e-300);
    let peaks = [peak("f32", 1e-300, u64::MAX, 0), peak("copy", 1e300, 0, 1), peak("dispatch", 0.0, 0, 0)];
    let page = html(&[with("A", "discrete", &[vec![extreme, tiny], peaks.to_vec()].concat())], None).unwrap();
    assert!(!page.contains("NaN") && !page.contains("inf%"), "{page}");
    html(&[], None).unwrap();
    html(&[with("A", "discrete", &[])], None).unwrap();
}
