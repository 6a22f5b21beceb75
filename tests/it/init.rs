//! `pipelens init` in real projects: what it writes has no finding and runs as it is. Nothing here needs the network.

use std::process::Command;

use crate::skipped::skipped;
use crate::support::{Project, Runner, docker, docker_host};

/// Makes a project of these files, without a pipeline.
fn project(files: &[(&str, &str)]) -> Project {
    let project = Project::new("");
    std::fs::remove_file(project.file()).unwrap();
    for (name, text) in files {
        let path = project.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    project
}

/// Writes the pipeline and checks it: there is nothing to find. Returns it.
fn initialized(project: &Project) -> String {
    let (code, said, errors) = project.output(Runner::Host, &["init"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    let (code, found, errors) = project.output(Runner::Host, &["check", "pipeline.yml"]);
    assert_eq!((code, found.as_str(), errors.as_str()), (0, "1 file checked: no findings\n", ""));
    std::fs::read_to_string(project.file()).unwrap()
}

/// Runs on this machine, and returns the log. Every step has to succeed.
fn runs(project: &Project) -> String {
    let pipeline = initialized(project);
    let (code, log, errors) = project.output(Runner::Host, &["run", "pipeline.yml", "--runner", "host"]);
    assert_eq!(code, 0, "{pipeline}\n{log}{errors}");
    log
}

/// Whether this machine has what a project is built with.
fn has(program: &str) -> bool {
    let works = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !works {
        skipped(program, "it is not installed");
    }
    works
}

const MANIFEST: &str = "[package]\nname = \"first\"\nedition = \"2021\"\n";
const LIBRARY: &str = "#[test]\nfn the_test_ran() {}\n";
const MAIN: &str = "int main(void) { return 0; }\n";

#[test]
fn a_cargo_project_is_built_and_tested() {
    let project = project(&[("Cargo.toml", MANIFEST), ("src/lib.rs", LIBRARY)]);
    let log = runs(&project);
    assert!(log.contains("the_test_ran ... ok"), "{log}");
}

#[test]
fn the_packages_of_a_monorepo_are_each_built_in_their_directory() {
    let project = project(&[
        ("api/Cargo.toml", MANIFEST),
        ("api/src/lib.rs", LIBRARY),
        (
            "scripts with a space/test_sums.py",
            "import unittest\n\nclass Sums(unittest.TestCase):\n    def test_sum(self):\n        self.assertEqual(1 + 1, 2)\n",
        ),
        ("scripts with a space/setup.cfg", ""),
    ]);
    if has("python3") {
        let log = runs(&project);
        let pipeline = std::fs::read_to_string(project.file()).unwrap();
        assert!(pipeline.contains("workdir: /workspace/api"), "{pipeline}");
        assert!(pipeline.contains("cd 'scripts with a space'"), "{pipeline}");
        assert!(log.contains("the_test_ran ... ok") && log.contains("Ran 1 test"), "{log}");
    }
}

#[test]
fn tests_written_for_unittest_need_nothing_that_is_installed() {
    let test = "import unittest\nfrom sums import add\n\nclass Sums(unittest.TestCase):\n    def test_sum(self):\n        self.assertEqual(add(1, 1), 2)\n";
    let project = project(&[("sums.py", "def add(a, b):\n    return a + b\n"), ("tests/test_sums.py", test)]);
    if has("python3") {
        let log = runs(&project);
        assert!(log.contains("Ran 1 test"), "{log}");
    }
}

#[test]
fn the_placeholder_that_npm_writes_is_not_run() {
    let manifest = r#"{"name": "x", "scripts": {"build": "echo built > out", "test": "echo \"Error: no test specified\" && exit 1"}}"#;
    let project = project(&[("package.json", manifest)]);
    if has("npm") {
        let log = runs(&project);
        assert!(!log.contains("no test specified"), "{log}");
    }
}

#[test]
fn the_packages_of_a_node_workspace_are_built_before_they_are_tested() {
    let project = project(&[
        ("package.json", r#"{"name": "x", "private": true, "workspaces": ["packages/*"]}"#),
        (
            "packages/a/package.json",
            r#"{"name": "a", "version": "1.0.0", "dependencies": {"b": "*"}, "scripts": {"build": "cp ../b/out out", "test": "cat out"}}"#,
        ),
        ("packages/b/package.json", r#"{"name": "b", "version": "1.0.0", "scripts": {"build": "echo from b > out"}}"#),
    ]);
    if has("npm") {
        let log = runs(&project);
        assert!(log.contains("from b"), "{log}");
    }
}

#[test]
fn a_makefile_without_a_test_is_only_built() {
    let project = project(&[("Makefile", "main: main.c\n\t$(CC) -o main main.c\n"), ("main.c", MAIN)]);
    if has("make") && has("cc") {
        let log = runs(&project);
        assert!(!log.contains("make test"), "{log}");
    }
}

#[test]
fn sources_without_a_tool_are_compiled() {
    let project = project(&[("main.c", MAIN)]);
    if has("gcc") {
        runs(&project);
    }
}

#[test]
fn a_step_for_an_image_says_that_it_needs_consent() {
    let project = project(&[("Dockerfile", "FROM scratch\n")]);
    let (code, said, _) = project.output(Runner::Host, &["init"]);
    assert_eq!(code, 0);
    assert!(said.contains("pipelens run ./pipeline.yml --allow-host-runner"), "{said}");
    assert!(std::fs::read_to_string(project.file()).unwrap().contains("runner: host"));
}

/// The images of the real tools are not here, so a small one takes their place; the steps and their directories are the same.
#[test]
fn the_steps_of_a_package_in_a_subfolder_run_in_containers() {
    if docker_host().is_none() {
        return;
    }
    let project = project(&[("tools/configure", "echo configured in \"$PWD\" > made\n")]);
    let (code, pipeline, _) = project.output(Runner::Host, &["init", "--stdout"]);
    assert_eq!(code, 0);
    let pipeline = pipeline
        .replace("gcc:15", "pipelens-test/busybox:latest")
        .replace("      make\n      make check\n", "      cat made\n");
    std::fs::write(project.file(), pipeline).unwrap();
    assert!(docker(&["image", "inspect", "pipelens-test/busybox:latest"]).starts_with('['));
    let (code, log, errors) = project.output(Runner::Docker, &["run", "pipeline.yml"]);
    assert_eq!(code, 0, "{log}{errors}");
    assert!(log.contains("configured in /workspace/tools"), "{log}");
}
