//! `pipelens clean --all` leaves nothing, in the engine or on this machine.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use pipelens_engine::cache::workspace_id;

use crate::support::{Project, Runner, docker, runners};

const PIPELINE: &str = r"name: ci
default_image: pipelens-test/busybox
steps:
  - {key: made, cmd: echo made > made; echo kept > kept/it, cache: {policy: forever}, cache_mounts: [kept], artifacts: [made]}
  - {key: broken, cmd: exit 1, builds_in: made}
";

/// Everything in the engine that belongs to a project.
fn in_engine(project: &Project) -> String {
    let workspace = workspace_id(&project.folder.path().canonicalize().unwrap());
    let labelled = |label: &str| format!("label=dev.pipelens.{label}={workspace}");
    let list = |words: &[&str], label: &str| docker(&[words, &["--quiet", "--filter", &labelled(label)]].concat());
    let kinds: [&[&str]; 4] = [&["ps", "--all"], &["images", "--all"], &["volume", "ls"], &["network", "ls"]];
    kinds.into_iter().flat_map(|kind| [list(kind, "workspace"), list(kind, "kept")]).collect()
}

#[test]
fn nothing_is_left_of_anything() {
    for runner in runners() {
        let project = Project::new(PIPELINE);
        let (code, output, errors) = project.output(runner, &["run", "--runner", runner.name()]);
        assert_eq!(code, 1, "{output}{errors}");
        project.output(runner, &["clean", "--dry-run", "--all"]);
        let (_, listed, _) = project.output(runner, &["clean", "--dry-run", "--all"]);
        for thing in [
            "result of `made`",
            "result of `broken`",
            "cache mount `/workspace/kept`",
            "logs and artifacts of 1 run\n",
            "database of earlier runs\n",
        ] {
            assert!(listed.contains(thing), "{thing}: {listed}");
        }
        assert!(listed.lines().last().unwrap().starts_with("Would remove "), "{listed}");
        if runner == Runner::Docker {
            assert_ne!(in_engine(&project), "");
        }
        let (code, output, errors) = project.output(runner, &["clean", "--all"]);
        assert_eq!(code, 0, "{errors}");
        assert!(output.starts_with("Removed ") && output.lines().count() == 1, "{output}");
        assert!(!project.state.path().exists());
        if runner == Runner::Docker {
            assert_eq!(in_engine(&project), "");
        }
        let (_, listed, _) = project.output(runner, &["clean", "--dry-run", "--all"]);
        assert!(!listed.contains("result of") && !listed.contains("logs"), "{listed}");
    }
}

#[test]
fn what_another_process_uses_stays_until_it_has_ended() {
    let project = Project::new("steps:\n  - {key: a, cmd: 'echo waiting; until test -e $GO; do sleep 0.05; done'}\n");
    let go = project.folder.path().join("go");
    let variable = format!("GO={}", go.display());
    let mut run = project
        .command(Runner::Host, &["run", "--runner", "host", "-e", &variable])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("waiting")));
    let (code, output, _) = project.output(Runner::Host, &["clean", "--all"]);
    assert_eq!(code, 0);
    let wanted =
        "Another pipelens process is running, so these stay: logs and artifacts of 1 run, database of earlier runs.";
    assert!(output.contains(wanted), "{output}");
    std::fs::write(go, "").unwrap();
    lines.for_each(drop);
    assert!(run.wait().unwrap().success());
    assert_eq!(project.output(Runner::Host, &["clean", "--all"]).0, 0);
    assert!(!project.state.path().exists());
}
