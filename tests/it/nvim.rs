//! A real Neovim, headless, with the plugin of `editors/nvim` and the real binary. The script is `tests/it/nvim.lua`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{project as program_project, python};
use crate::skipped::skipped;
use crate::support::{Project, Runner, binary, docker_host, left_of, runners, seven_steps};

/// The Neovims to drive. Without one the tests fail if `PIPELENS_REQUIRE_NVIM` is set, else say that they skip.
fn neovims() -> Vec<PathBuf> {
    let given = std::env::var_os("PIPELENS_TEST_NVIM").unwrap_or_default();
    let neovims: Vec<PathBuf> = std::env::split_paths(&given).filter(|path| !path.as_os_str().is_empty()).collect();
    if neovims.is_empty() {
        assert!(std::env::var_os("PIPELENS_REQUIRE_NVIM").is_none(), "PIPELENS_TEST_NVIM is not set");
        skipped("Neovim", "no Neovim: set PIPELENS_TEST_NVIM, or run `cargo xtask test`");
    }
    neovims
}

fn drive(neovim: &Path, runner: Runner) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let broken = seven_steps()
        + r"  - key: last
    cmd: echo last; sleep 600
    depends_on: publsh
";
    let project = Project::new(&broken);
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(neovim)
        .args(["--clean", "--headless", "-c"])
        .arg(format!("luafile {}", repository.join("tests/it/nvim.lua").display()))
        .env("XDG_STATE_HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .env("PIPELENS", binary())
        .env("PIPELENS_PLUGIN", repository.join("editors/nvim"))
        .env("PIPELENS_FILE", project.file())
        .env("PIPELENS_RUNNER", runner.name())
        .env("PIPELENS_STATE_DIR", project.state.path())
        .env("DOCKER_HOST", docker_host().unwrap_or_default())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("Neovim starts");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && text.contains("PASS"),
        "{} on {runner:?}, {}:\n{text}",
        neovim.display(),
        output.status
    );
    let runs = std::fs::read_dir(project.state.path().join("runs")).expect("Neovim ran something");
    for run in runs {
        let run_id = run.expect("the folder can be read").file_name().to_string_lossy().into_owned();
        if runner == Runner::Docker {
            assert_eq!(left_of(&run_id), "", "a run left something");
        }
    }
}

#[test]
fn neovim_shows_the_mistake_and_the_lenses_runs_one_and_cancels_another() {
    for neovim in neovims() {
        for runner in runners() {
            drive(&neovim, runner);
        }
    }
}

/// A program, of which one step fails. Executing it leaves a mark.
const PROGRAM: &str = "\
import harmont as hm

open(\"executed\", \"w\").close()


@hm.pipeline(\"ci\")
def ci():
    built = hm.sh(\"echo built > out\", label=\"build\")
    return (
        built.sh(\"cat out\", label=\"good\"),
        built.sh(\"cat missing\", label=\"bad\"),
    )
";

#[test]
fn neovim_runs_a_program_marks_the_expression_that_failed_and_leaves_other_files_alone() {
    let Some(python) = python() else { return };
    if std::env::var_os("PIPELENS_TEST_BASEDPYRIGHT").is_none_or(|server| server.is_empty()) {
        skipped(
            "basedpyright",
            "set PIPELENS_TEST_BASEDPYRIGHT to its language server; the rest of the test runs without it",
        );
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    for neovim in neovims() {
        let project = program_project(Some(&python), PROGRAM);
        let folder = project.folder.path();
        for (path, text) in [
            ("app.py", "import os\n"),
            (".hm/lib/helpers.py", "import os\n"),
            (".hm/types.d.ts", "export {};\n"),
            (".hm/pipeline.ts", "export const pipelines = [];\n"),
            ("src/app.ts", "export {};\n"),
            ("other.txt", "text\n"),
            ("plain.yaml", "a: 1\n"),
            ("gen/pipeline.txt", "{}\n"),
        ] {
            std::fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
            std::fs::write(folder.join(path), text).unwrap();
        }
        let home = tempfile::tempdir().unwrap();
        let output = Command::new(&neovim)
            .args(["--clean", "--headless", "-c"])
            .arg(format!("luafile {}", repository.join("tests/it/programs.lua").display()))
            .env("XDG_STATE_HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path())
            .env("PIPELENS", binary())
            .env("PIPELENS_PLUGIN", repository.join("editors/nvim"))
            .env("PIPELENS_PROJECT", folder)
            .env("PIPELENS_STATE_DIR", project.state.path())
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .stdin(std::process::Stdio::null())
            .output()
            .expect("Neovim starts");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && text.contains("PASS"), "{}, {}:\n{text}", neovim.display(), output.status);
    }
}
