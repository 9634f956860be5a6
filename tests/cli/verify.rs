//! `doconv verify`.

use crate::command::{Finished, command, finish, on_cpu};

const FAULT: &str = "DOCONV_VERIFY_FAULT";

fn with_fault(arguments: &[&str], fault: &str) -> Finished {
    finish(command(arguments).env(FAULT, fault).output().unwrap())
}

/// The failures of a document.
fn failed(output: &Finished) -> Vec<[String; 3]> {
    let json = output.json();
    let failed = json["failed"].as_array().unwrap().clone();
    let of = |entry: serde_json::Value| ["kernel", "case", "error"].map(|key| entry[key].as_str().unwrap().to_owned());
    failed.into_iter().map(of).collect()
}

#[test]
fn the_cpu_path_is_right() {
    let output = on_cpu(&["verify", "--json"]).success();
    let json = output.json();
    assert_eq!((&json["adapter"]["name"], &json["adapter"]["type"]), (&"cpu".into(), &"cpu".into()));
    assert!(json["checked"].as_u64().unwrap() > 100 && failed(&output).is_empty(), "{output:?}");
    let kernels = json["kernels"].as_array().unwrap();
    let conv = kernels.iter().find(|entry| entry["kernel"] == "conv2d").unwrap();
    assert!(conv["cases"].as_u64().unwrap() > 30 && conv["worst"].as_f64().unwrap() > 0.0, "{conv}");

    let output = on_cpu(&["verify", "--quick"]).success();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines[0].starts_with("kernel ") && lines[0].ends_with("verdict"), "{output:?}");
    assert!(lines.iter().any(|line| line.starts_with("softmax ") && line.ends_with("ok")), "{output:?}");
    assert!(lines.last().unwrap().ends_with("all right") && output.stderr.is_empty(), "{output:?}");
}

/// A driver that crashes, or never answers, is a failed case: everything else is checked.
#[test]
fn the_process_may_crash_and_hang() {
    let all = on_cpu(&["verify", "--quick", "--json"]).success().json()["checked"].clone();
    for (fault, patience, reason) in
        [("abort:3", "120", "the process ended: signal: 6"), ("hang:3", "5", "no answer within 5 s")]
    {
        let arguments = ["verify", "--quick", "--json", "--adapter", "cpu", "--patience", patience];
        let output = with_fault(&arguments, fault);
        assert_eq!(output.code, Some(1), "{output:?}");
        assert_eq!(output.json()["checked"], all);
        let failed = failed(&output);
        assert!(failed.len() == 1 && failed[0][2].starts_with(reason), "{failed:?}");
        let last = output.stderr.lines().last().unwrap();
        assert_eq!(last, format!("error: 1 of {all} cases failed: {}", failed[0][0]));
    }
    let output = with_fault(&["verify", "--quick", "--adapter", "cpu"], "abort:0");
    assert!(output.code == Some(1) && output.stdout.contains("\nFAILED "), "{output:?}");
}

/// What was checked before a signal is reported.
#[cfg(unix)]
#[test]
fn interrupted_it_reports_what_was_checked() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("verify.json");
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let arguments = ["verify", "--quick", "--adapter", "cpu", "--output", path.to_str().unwrap()];
        let mut child =
            command(&arguments).env(FAULT, "hang:6").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "case 6 hangs"));
        let kill = format!("kill -{signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let last = lines.last().unwrap();
        let output = finish(child.wait_with_output().unwrap());
        assert_eq!(output.code, Some(status), "{output:?}");
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(
            (&json["checked"], &json["stopped"], json["failed"].as_array().unwrap().len()),
            (&6.into(), &true.into(), 0)
        );
        assert_eq!(last, format!("stopped: 6 of {} cases were checked", json["cases"]));
        assert!(output.stdout.contains("\n6 cases on "), "{output:?}");
        assert!(output.stdout.ends_with(": all right so far\n"), "{output:?}");
    }
}

/// On lavapipe, which the test environment has.
#[test]
fn a_wrong_kernel_and_a_lost_device_are_reported() {
    if std::env::var("DOCONV_SKIP_GPU_TESTS").is_ok_and(|value| value == "1") {
        return;
    }
    let arguments = ["verify", "--quick", "--json", "--adapter", "llvmpipe"];
    let output = with_fault(&arguments, "kernel:conv_depthwise,lose:2");
    assert_eq!(output.code, Some(1), "{output:?}");
    let json = output.json();
    assert_eq!(json["adapter"]["type"], "software");
    let failed = failed(&output);
    let lost: Vec<_> = failed.iter().filter(|[_, _, error]| error.contains("device was lost")).collect();
    let wrong: Vec<_> = failed.iter().filter(|[kernel, ..]| kernel.contains("conv_depthwise")).collect();
    assert!(lost.len() == 1 && !wrong.is_empty(), "{failed:?}");
    assert!(wrong.iter().all(|[_, case, error]| case.ends_with("f32") && error.contains("is right")), "{failed:?}");
    assert!(json["checked"].as_u64().unwrap() > 20, "{json}");
    assert!(output.stderr.lines().last().unwrap().contains("cases failed: "), "{output:?}");
}

#[test]
fn what_cannot_be_done_is_said() {
    with_fault(&["verify", "--adapter", "voodoo"], "abort:99999").fails_with(&["no adapter matches `voodoo`"]);
    let output = on_cpu(&["verify", "--patience", "0"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{output:?}");
}
