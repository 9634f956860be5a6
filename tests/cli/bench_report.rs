//! `doconv bench report`. Records of hardware are made up here, out of one of the CPU path; nothing in them was measured.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::{doconv, folder, inside, on_cpu, text};

/// A record of this machine's CPU path, of the smallest layer.
fn real() -> Value {
    let suite = ["bench", "--suite", "layers", "--filter", "dw3x3-384", "--budget", "0.001", "--json"];
    on_cpu(&suite).success().json()
}

/// The same as if another adapter had taken so long, to 1 %.
fn made_up(real: &Value, adapter: &str, kind: &str, median_ms: f64) -> Value {
    let mut record = real.clone();
    record["adapter"] = json!({
        "name": adapter, "backend": "vulkan", "driver": "made up", "type": kind, "features": [], "limits": {},
    });
    let case = &mut record["results"][0];
    (case["median_ms"], case["ci95_ms"]) = (median_ms.into(), json!([0.99 * median_ms, 1.01 * median_ms]));
    case["samples_ms"] = vec![median_ms; 6].into();
    record
}

fn write(folder: &TempDir, name: &str, record: &Value) -> PathBuf {
    let path = inside(folder, name);
    fs::write(&path, record.to_string()).unwrap();
    path
}

/// From one text to the next one of another.
fn part<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = page.split_once(from).unwrap_or_else(|| panic!("no {from} in {page}"));
    rest.split_once(to).map_or(rest, |(part, _)| part)
}

#[test]
fn records_become_a_page() {
    let folder = folder();
    let real = real();
    let mut wrong = made_up(&real, "Made-up <Wrong>", "discrete", 0.001);
    wrong["results"][0]["check"]["ok"] = false.into();
    write(&folder, "1.json", &real);
    write(&folder, "2.json", &made_up(&real, "Made-up Fast", "discrete", 1.0));
    write(&folder, "3.json", &made_up(&real, "Made-up Slow", "integrated", 3.0));
    write(&folder, "4.json", &made_up(&real, "Made-up Software", "software", 0.5));
    write(&folder, "5.json", &wrong);
    let page = inside(&folder, "report.html");
    let pattern = inside(&folder, "*.json");
    let output = doconv(&["bench", "report", text(&pattern), "--output", text(&page)]).success();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    let page = fs::read_to_string(page).unwrap();
    let hardware = part(&page, ">Hardware adapters</h3>", "<h3");
    let row = |name: &str| part(hardware, &format!("scope=\"row\">{name}<"), "</tr>");
    assert!(row("Made-up Fast").contains(">fastest<") && row("Made-up Slow").contains(">3.00 ×<"), "{hardware}");
    assert!(row("Made-up &lt;Wrong&gt;").contains("<s>0.00100 ms</s>") && !page.contains("Made-up <"), "{hardware}");
    assert!(!hardware.contains("Software") && !hardware.contains("CPU path"), "{hardware}");
    assert!(part(&page, ">Software adapters: Made-up Software<", "<h3").contains("0.500 ms"), "{page}");
    let cpu = part(&page, ">CPU path</h3>", "<h3");
    assert!(cpu.contains("dw3x3-384@14") && cpu.contains("<svg class=\"bar\""), "{cpu}");
    assert!(page.matches("<script").count() == 0 && page.contains("5 records."), "{page}");
}

#[test]
fn what_changed_is_a_table_and_a_document() {
    let folder = folder();
    let real = real();
    let mut before = made_up(&real, "Made-up", "discrete", 2.0);
    let mut after = made_up(&real, "Made-up", "discrete", 1.0);
    let case = |name: &str, median_ms: f64| {
        let mut case = made_up(&real, "", "other", median_ms)["results"][0].clone();
        case["name"] = name.into();
        case
    };
    before["results"].as_array_mut().unwrap().extend([case("same", 1.0), case("slow", 1.0), case("gone", 1.0)]);
    let mut wrong = case("wrong", 1.0);
    wrong["check"]["ok"] = false.into();
    after["results"].as_array_mut().unwrap().extend([case("same", 1.03), case("slow", 1.5), wrong.clone()]);
    wrong["check"]["ok"] = true.into();
    before["results"].as_array_mut().unwrap().push(wrong);
    let (old, new) = (write(&folder, "old.json", &before), write(&folder, "new.json", &after));
    let compare = ["bench", "report", "--compare", text(&old), text(&new)];
    let output = on_cpu(&compare).success();
    assert_eq!(output.stderr, "");
    let lines: Vec<Vec<&str>> = output.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["case", "mode", "old", "ms", "new", "ms", "new/old", "verdict"]);
    assert_eq!(lines[1], ["dw3x3-384@14", "folded", "2.00", "1.00", "0.500", "faster"]);
    assert_eq!(lines[2], ["same", "folded", "1.00", "1.03", "1.03", "within", "noise"]);
    assert_eq!(lines[3], ["slow", "folded", "1.00", "1.50", "1.50", "slower"]);
    assert_eq!(lines[4], ["gone", "folded", "1.00", "only", "in", "old"]);
    assert_eq!(lines[5], ["wrong", "folded", "1.00", "1.00", "wrong", "WRONG"]);
    assert!(output.stdout.contains("\n1 faster, 1 slower, 1 within noise, 1 wrong, 1 only in old\n"), "{output:?}");
    assert!(output.stdout.ends_with(&format!("only in {}: gone (folded)\n", text(&old))), "{output:?}");

    let page = inside(&folder, "changes.html");
    let output = on_cpu(&[&compare[..], &["--json", "--output", text(&page)]].concat()).success();
    let json = output.json();
    let verdicts: Vec<&Value> = json["cases"].as_array().unwrap().iter().map(|case| &case["verdict"]).collect();
    assert_eq!(verdicts, ["faster", "within-noise", "slower", "only-old", "wrong"]);
    assert_eq!((&json["cases"][0]["ratio"], &json["cases"][4]["ratio"]), (&0.5.into(), &Value::Null));
    assert_eq!(json["cases"][3]["new"], Value::Null);
    let page = fs::read_to_string(page).unwrap();
    let changes = part(&page, "What changed</h2>", "</section>");
    assert!(changes.contains(">faster<") && changes.contains("<s>1.00</s><small>wrong</small>"), "{changes}");
    assert!(page.contains("2 records."), "{page}");
}

#[test]
fn other_conditions_are_said_in_one_line() {
    let folder = folder();
    let real = real();
    let old = write(&folder, "cpu.json", &real);
    let new = write(&folder, "gpu.json", &made_up(&real, "Made-up", "discrete", 1.0));
    let output = doconv(&["bench", "report", "--compare", text(&old), text(&new), "--json"]).success();
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    for part in [
        "note: ",
        "cpu.json and ",
        "are of different adapters: CPU path (",
        "Made-up (vulkan backend, hardware, discrete)",
    ] {
        assert!(output.stderr.contains(part), "{part}: {output:?}");
    }
    assert_eq!(output.json()["differences"][0], "adapter");
    let mut other_driver = made_up(&real, "Made-up", "discrete", 1.0);
    other_driver["adapter"]["driver"] = "made up 2\u{1b}[2J".into();
    let other = write(&folder, "driver.json", &other_driver);
    let output = doconv(&["bench", "report", "--compare", text(&new), text(&other)]).success();
    assert!(output.stderr.contains("differ in driver") && output.stderr.lines().count() == 1, "{output:?}");
}

#[test]
fn what_is_no_record_is_said_and_nothing_is_written() {
    let folder = folder();
    let whole = real().to_string();
    let page = inside(&folder, "report.html");
    let fails = |name: &str, bytes: &[u8], parts: &[&str]| {
        let path = inside(&folder, name);
        fs::write(&path, bytes).unwrap();
        let parts = [&[name], parts].concat();
        doconv(&["bench", "report", text(&path), "--output", text(&page)]).fails_with(&parts);
        doconv(&["bench", "report", "--compare", text(&path), text(&path)]).fails_with(&parts);
        assert!(!page.exists());
    };
    const ORIGIN: &str = "records are what `doconv bench --output FILE` and the web page write";
    fails("empty.json", b"", &["it is empty", ORIGIN]);
    fails("cut.json", &whole.as_bytes()[..whole.len() / 2], &["it breaks off", "copy it anew"]);
    fails("text.json", b"median: 3 ms", &["no JSON", ORIGIN]);
    fails(
        "other.json",
        b"{\"schema\": \"doconv-bench-9\"}",
        &["doconv-bench-9", "this version reads \"doconv-bench-1\""],
    );
    fails("none.json", b"{\"results\": []}", &["no `schema`", ORIGIN]);
    fails("fields.json", b"{\"schema\": \"doconv-bench-1\", \"results\": []}", &["missing field `adapter`"]);
    let report = |file: &str, output: &str| doconv(&["bench", "report", file, "--output", output]);
    report("nowhere.json", text(&page)).fails_with(&["nowhere.json", "No such file", ORIGIN]);
    report("src", text(&page)).fails_with(&["src", "Is a directory", ORIGIN]);
    report("nowhere*.json", text(&page)).fails_with(&["nowhere*.json", "no file matches"]);
    let record = inside(&folder, "record.json");
    fs::write(&record, &whole).unwrap();
    report(text(&record), "nowhere/report.html").fails_with(&["nowhere/report.html", "no directory"]);
    report(text(&record), text(&record)).fails_with(&["record.json", "is one of the records"]);
    assert_eq!(fs::read_to_string(&record).unwrap(), whole);
}

#[test]
fn wrong_usage_is_said() {
    for arguments in [
        &["bench", "report"][..],
        &["bench", "report", "a.json"],
        &["bench", "report", "--output", "a.html"],
        &["bench", "report", "--compare", "a.json"],
        &["bench", "report", "a.json", "--compare", "a.json", "b.json"],
        &["bench", "report", "a.json", "--output", "a.html", "--json"],
        &["bench", "--suite", "layers", "report", "a.json", "--output", "a.html"],
    ] {
        let output = on_cpu(arguments);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{arguments:?}: {output:?}");
    }
    let help = doconv(&["bench", "report", "--help"]).success().stdout;
    assert!(
        help.contains("Examples:\n  doconv bench") && help.contains("report --compare old.json new.json"),
        "{help}"
    );
}
