//! `doconv bench`.

use std::fs;

use doconv::bench::{Outcome, Record};

use crate::command::{doconv, folder, inside, on_cpu, text};

const QUICK: [&str; 5] = ["bench", "--filter", "dw3x3-384", "--budget", "0.001"];

fn quick(more: &[&str]) -> crate::command::Finished {
    on_cpu(&[&QUICK[..], more].concat())
}

#[test]
fn the_record_is_what_the_library_reads() {
    let folder = folder();
    let path = inside(&folder, "record.json");
    let output = quick(&["--suite", "layers", "--json", "--output", text(&path)]).success();
    let record: Record = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(serde_json::from_slice::<Record>(&fs::read(&path).unwrap()).unwrap(), record);
    let json = output.json();
    assert_eq!((&json["schema"], &json["adapter"]["name"]), (&"doconv-bench-1".into(), &"cpu".into()));
    assert_eq!((&json["settings"]["budget_ms"], &json["settings"]["suites"][0]), (&1.0.into(), &"layers".into()));
    assert_eq!(json["settings"]["precision"], "f32");
    let case = &json["results"][0];
    assert_eq!((&case["name"], &case["suite"]), (&"dw3x3-384@14".into(), &"layers".into()));
    assert_eq!((&case["mode"], &case["check"]["ok"]), (&"folded".into(), &true.into()));
    assert!(case["samples_ms"].as_array().unwrap().len() >= 6 && case["median_ms"].as_f64().unwrap() > 0.0, "{case}");
    assert!(matches!(&record.results[..], [case] if matches!(case.outcome, Outcome::Measured(_))));
}

#[test]
fn people_get_a_table() {
    let output = quick(&[]).success();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines[0].starts_with("case ") && lines[0].contains("95 % interval"), "{output:?}");
    // How much a quick run drifts is nothing to rely on.
    let verdict = lines[1].split("  ").last().and_then(|verdict| verdict.split(", drift").next());
    assert!(lines[1].starts_with("dw3x3-384@14  folded") && verdict == Some("ok"), "{output:?}");
    assert!(lines[2].starts_with("one run on cpu (cpu backend, "), "{output:?}");
    assert_eq!((lines.len(), output.stderr.as_str()), (3, ""), "{output:?}");
}

#[test]
fn an_architecture_runs_batches_in_a_mode() {
    let arguments =
        ["bench", "--suite", "networks", "--arch", "resnet20", "--batch", "3", "--mode", "folded", "--json"];
    let json = on_cpu(&[&arguments[..], &["--budget", "0.001"]].concat()).success().json();
    let [case] = &json["results"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!((&case["batch"], &case["mode"], &case["check"]["ok"]), (&3.into(), &"folded".into(), &true.into()));
    let output = on_cpu(&["bench", "--batch", "0"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{output:?}");
    on_cpu(&["bench", "--suite", "networks", "--arch", "resnet21"]).fails_with(&["resnet21"]);
}

#[test]
fn what_cannot_be_done_is_said() {
    quick(&["--suite", "networks"]).fails_with(&["nothing to time", "`dw3x3-384`"]);
    for suite in ["layers", "peak"] {
        let named = format!("--suite {suite}");
        quick(&["--suite", suite, "--model", "m.safetensors"]).fails_with(&["m.safetensors", &named]);
    }
    quick(&["--model", "nowhere.safetensors"]).fails_with(&["nowhere.safetensors", "No such file"]);
    quick(&["--output", "nowhere/record.json"]).fails_with(&["nowhere/record.json"]);
    for budget in ["-1", "NaN", "soon"] {
        let output = doconv(&["bench", &format!("--budget={budget}")]);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{output:?}");
    }
}

/// Ctrl-C, as a terminal sends it.
#[cfg(unix)]
mod interrupted {
    use std::io::{BufRead, BufReader, Lines, Read, Write, pipe};
    use std::process::{Child, ChildStderr, Command, Stdio};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::command::command;

    /// A benchmark that tells on stderr how far it is.
    struct Running {
        child: Child,
        stderr: Lines<BufReader<ChildStderr>>,
        /// Sends a signal for every line: a shell that has to be started first may be late on a busy machine.
        killer: Child,
    }

    impl Running {
        fn start(arguments: &[&str], stdout: impl Into<Stdio>) -> Self {
            let arguments = [&["bench", "-v", "--adapter", "cpu"], arguments].concat();
            let mut child = command(&arguments).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
            let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
            let kill = format!("while read -r line; do kill -INT {}; done", child.id());
            let killer = Command::new("sh").args(["-c", &kill]).stdin(Stdio::piped()).spawn().unwrap();
            Self { child, stderr, killer }
        }

        fn wait_for(&mut self, text: &str) {
            let said = self.stderr.by_ref().map(Result::unwrap).find(|line| line.contains(text));
            assert!(said.is_some(), "it ended without saying `{text}`");
        }

        fn interrupt(&mut self) {
            self.killer.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        }

        /// Exit code, stdout, and what is left of stderr.
        fn end(mut self) -> (Option<i32>, String, String) {
            let mut stdout = String::new();
            if let Some(mut piped) = self.child.stdout.take() {
                piped.read_to_string(&mut stdout).unwrap();
            }
            let stderr: Vec<String> = self.stderr.map(Result::unwrap).collect();
            drop(self.killer.stdin.take());
            assert!(self.killer.wait().unwrap().success());
            (self.child.wait().unwrap().code(), stdout, stderr.join("\n"))
        }
    }

    #[test]
    fn what_is_done_is_kept() {
        let folder = folder();
        let path = inside(&folder, "record.json");
        let mut bench = Running::start(&["--suite", "layers", "--json", "--output", text(&path)], Stdio::piped());
        bench.wait_for("1 of 13 cases are done");
        bench.interrupt();
        let (code, stdout, stderr) = bench.end();
        assert_eq!(code, Some(130), "{stderr}");
        let record: Record = serde_json::from_str(&stdout).unwrap();
        assert_eq!(serde_json::from_slice::<Record>(&fs::read(&path).unwrap()).unwrap(), record);
        let done = record.results.len();
        assert!(record.stopped && (1..13).contains(&done), "{done} cases, {stderr}");
        let last = format!("stopped: {done} of 13 cases are done");
        assert!(stderr.contains("Ctrl-C again") && stderr.ends_with(&last), "{stderr}");
    }

    #[test]
    fn nothing_is_written_where_nothing_is_done() {
        let folder = folder();
        let path = inside(&folder, "record.json");
        fs::write(&path, "an older record").unwrap();
        // A whole network: a layer might have been measured well enough before the signal comes.
        let mut bench = Running::start(&["--suite", "networks", "--json", "--output", text(&path)], Stdio::piped());
        bench.wait_for("0 of 3 cases are done");
        bench.interrupt();
        let (code, stdout, stderr) = bench.end();
        assert_eq!((code, stdout.as_str()), (Some(130), ""), "{stderr}");
        assert!(stderr.ends_with("stopped before any case was done: there is no record"), "{stderr}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "an older record");
    }

    /// Whatever keeps the program from ending by itself: here nobody reads its output.
    #[test]
    fn the_second_one_ends_it_at_once() {
        let (nobody, stdout) = pipe().unwrap();
        let mut stuffing = stdout.try_clone().unwrap();
        let stuffer = thread::spawn(move || while stuffing.write_all(&[0; 1024]).is_ok() {});
        let mut bench = Running::start(&["--suite", "layers", "--json"], stdout);
        bench.wait_for("1 of 13 cases are done");
        bench.interrupt();
        bench.wait_for("Ctrl-C again");
        // Those that come right behind the first are taken for its echo.
        thread::sleep(Duration::from_millis(500));
        bench.interrupt();
        let (code, _, stderr) = bench.end();
        assert_eq!(code, Some(130), "{stderr}");
        assert!(!stderr.contains("stopped"), "it ended by itself: {stderr}");
        drop(nobody);
        stuffer.join().unwrap();
    }
}
