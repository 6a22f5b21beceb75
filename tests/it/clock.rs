//! A machine whose clock was never set.

use std::process::Command;

use crate::skipped::skipped;
use crate::support::binary;

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

#[test]
fn everything_works_with_a_clock_before_1970() {
    if !std::path::Path::new(LIBRARY).exists() {
        skipped("libfaketime", "libfaketime is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.yml");
    std::fs::write(&file, "steps:\n  - {key: a, cmd: 'echo done', cache: {policy: forever}}\n").unwrap();
    let run = |arguments: &[&str]| {
        Command::new(binary())
            .args(arguments)
            .arg(&file)
            .env("LD_PRELOAD", LIBRARY)
            .env("FAKETIME", "1960-01-01 00:00:00")
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("PIPELENS_STATE_DIR", folder.path().join("state"))
            .env("XDG_STATE_HOME", folder.path().join("state"))
            .output()
            .unwrap()
    };
    for arguments in [&["check"][..], &["graph"][..], &["run", "--runner", "host"][..]] {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    }
}
