//! What a person types without thinking of it: no file, the run before, its output, settings for good.

use std::process::Output;

use serde_json::Value;

use crate::support::{Project, Runner, texts};

const TWO: &str = r#"name: ci
default_image: pipelens-test/busybox
steps:
  - {key: build, cmd: "echo built $WHO", label: Build it}
  - {key: test, cmd: "echo tests; test -e ok", depends_on: build}
"#;

fn ran(project: &Project, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    texts(output(project, arguments, variables))
}

fn output(project: &Project, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    project.command(Runner::Host, arguments).envs(variables.iter().copied()).output().unwrap()
}

const HOST: &[(&str, &str)] = &[("PIPELENS_RUNNER", "host")];

#[test]
fn the_only_pipeline_of_a_project_needs_no_name() {
    let project = Project::new(TWO);
    std::fs::write(project.folder.path().join("ok"), "").unwrap();
    std::fs::write(project.folder.path().join(".pipelens.yaml"), "").unwrap();
    let below = project.folder.path().join("src/deep");
    std::fs::create_dir_all(&below).unwrap();
    for arguments in [&["run"][..], &["run", "."], &["plan"], &["graph"], &["list"]] {
        let (code, output, errors) = ran(&project, arguments, HOST);
        assert_eq!(code, 0, "{arguments:?}: {errors}");
        assert!(output.contains("build") && output.contains("test"), "{arguments:?}: {output}");
    }
    // Those further down are other projects', or examples.
    std::fs::write(below.join("pipeline.yml"), TWO.replace("name: ci", "name: below")).unwrap();
    let (code, output, errors) = ran(&project, &["run"], HOST);
    assert_eq!(code, 0, "{output}{errors}");
    std::fs::remove_file(below.join("pipeline.yml")).unwrap();
    // From a folder without one, it is the project's.
    let in_folder = project.command(Runner::Host, &["run"]).current_dir(&below).envs(HOST.iter().copied()).output();
    let (code, output, errors) = texts(in_folder.unwrap());
    assert_eq!(code, 0, "{output}{errors}");
}

#[test]
fn a_cache_registry_is_checked_before_anything_runs() {
    let project = Project::new("steps: [{key: a, cmd: echo never, runner: host, image: a}]\n");
    let run = |repository: &str| {
        project
            .output(Runner::Host, &["run", "--runner", "host", "--allow-host-runner", "--cache-registry", repository])
    };
    let (code, output, errors) = run("registry.example/cache:tag");
    assert_eq!((code, output.as_str()), (2, ""));
    assert!(
        errors.contains("`registry.example/cache:tag` cannot be used as `cacheRegistry`: it should be"),
        "{errors}"
    );
    let (code, output, errors) = run("registry.example/cache");
    assert_eq!(code, 0, "{errors}");
    assert!(
        output.contains("Nothing is shared through `registry.example/cache`: the project has no git remote"),
        "{output}"
    );
}

#[test]
fn several_pipelines_are_listed_and_none_is_explained() {
    let project = Project::new(TWO);
    std::fs::create_dir(project.folder.path().join(".hm")).unwrap();
    std::fs::write(project.folder.path().join(".hm/release.yml"), TWO).unwrap();
    for command in ["run", "plan", "graph", "rerun"] {
        let (code, _, errors) = ran(&project, &[command], HOST);
        assert_eq!(code, 2);
        let wanted = "There are 2 pipelines here; name the one you mean: `.hm/release.yml`, `pipeline.yml`";
        assert!(errors.contains(wanted), "{command}: {errors}");
    }
    let empty = tempfile::tempdir().unwrap();
    let (code, _, errors) = ran(&project, &["run", empty.path().to_str().unwrap()], HOST);
    assert_eq!(code, 2);
    assert!(errors.contains("There is no pipeline in") && errors.contains("pipelens init"), "{errors}");
}

#[test]
fn variables_of_the_command_line_are_those_of_every_step() {
    let project = Project::new(TWO);
    std::fs::write(project.folder.path().join("ok"), "").unwrap();
    let (code, output, errors) = ran(&project, &["run", "-e", "WHO=me=you", "--env", "LANG=C"], HOST);
    assert_eq!(code, 0, "{errors}");
    assert!(output.contains("built me=you"), "{output}");
    let from_here = [("PIPELENS_RUNNER", "host"), ("WHO", "somebody")];
    let (_, output, _) = ran(&project, &["run", "-e", "WHO"], &from_here);
    assert!(output.contains("built somebody"), "{output}");
    for (word, why) in [("1X=a", "`1X` is not the name of a variable"), ("NOT_SET_HERE", "has no value here")] {
        let (code, _, errors) = ran(&project, &["run", "-e", word], HOST);
        assert_eq!(code, 2);
        assert!(errors.contains(why), "{errors}");
    }
}

#[test]
fn every_step_knows_that_it_is_in_ci() {
    let text = "name: ci\nsteps:\n  - {key: a, cmd: 'echo \"[$CI $PIPELENS]\"'}\n  - {key: b, cmd: 'echo \"[$CI]\"', env: {CI: no}}\n";
    let (code, output, errors) = ran(&Project::new(text), &["run"], HOST);
    assert_eq!(code, 0, "{errors}");
    assert!(output.contains("[a] [true 1]") && output.contains("[b] [no]"), "{output}");
}

#[test]
fn several_steps_can_be_chosen() {
    let project = Project::new(TWO);
    let (code, output, errors) = ran(&project, &["run", "--step", "build", "--step", "test", "-e", "WHO=me"], HOST);
    assert_eq!(code, 1, "{errors}");
    assert!(output.contains("built me") && output.contains("[test]  tests"), "{output}");
    let (code, output, errors) = ran(&project, &["plan", "--from", "test", "--from", "test"], HOST);
    assert_eq!((code, output.lines().count()), (0, 1), "{output}{errors}");
    let (code, output, errors) = ran(&project, &["plan", "--from", "test", "--step", "build"], HOST);
    assert_eq!((code, output.lines().count()), (0, 2), "{output}{errors}");
    let (code, _, errors) = ran(&project, &["plan", "--from", "build", "--from", "tset"], HOST);
    assert_eq!(code, 2);
    assert!(errors.contains("Did you mean `test`?"), "{errors}");
}

#[test]
fn what_failed_runs_again_until_nothing_has() {
    let project = Project::new(TWO);
    let (code, _, errors) = ran(&project, &["rerun"], HOST);
    assert_eq!(code, 2);
    assert!(errors.contains("Pipeline `ci` has not run yet; `pipelens run` runs it"), "{errors}");
    assert_eq!(ran(&project, &["run"], HOST).0, 1);
    let (code, output, _) = ran(&project, &["rerun"], HOST);
    assert_eq!(code, 1);
    assert!(output.contains("1 step on host") && output.contains("[test]"), "{output}");
    // A run of something else in between changes nothing.
    assert_eq!(ran(&project, &["run", "--step", "build"], HOST).0, 0);
    std::fs::write(project.folder.path().join("ok"), "").unwrap();
    let (code, output, errors) = ran(&project, &["rerun", "pipeline.yml"], HOST);
    assert_eq!(code, 0, "{output}{errors}");
    let (code, output, errors) = ran(&project, &["rerun"], HOST);
    assert_eq!((code, output.as_str()), (0, ""));
    assert_eq!(errors, "No step failed when it ran last, so there is nothing to run again.\n");
}

#[test]
fn steps_and_runs_are_listed_with_how_they_ended() {
    let project = Project::new(TWO);
    assert_eq!(ran(&project, &["run"], HOST).0, 1);
    let (code, output, errors) = ran(&project, &["list"], HOST);
    assert_eq!(code, 0, "{errors}");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "ci · pipeline.yml");
    assert!(lines[1].starts_with("  build  in pipelens-test/busybox  ✓ succeeded "), "{output}");
    assert!(lines[2].starts_with("  test   in pipelens-test/busybox  ✗ failed "), "{output}");
    let (_, output, _) = ran(&project, &["list", "--format", "json"], HOST);
    let listed: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(listed["pipeline"], "ci");
    assert_eq!(listed["steps"][1]["outcome"], "failed");
    assert_eq!(listed["steps"][0]["label"], "Build it");
    let (code, output, _) = ran(&project, &["list", "--runs"], HOST);
    assert_eq!(code, 0);
    assert!(
        output.starts_with("  1  ") && output.contains("ci ✗ failed in ") && output.ends_with(": test\n"),
        "{output}"
    );
    let (_, output, _) = ran(&project, &["list", "--runs", "--format", "json"], HOST);
    assert_eq!(serde_json::from_str::<Value>(&output).unwrap()["steps"][1][1], "failed");
}

#[test]
fn the_output_of_earlier_runs_can_be_read_again() {
    let project = Project::new(
        "name: ci\nsteps:\n  - {key: build, cmd: 'printf \"\\033[2Jbuilt $N\\n::error::x\\n\"'}\n  - {key: test, cmd: 'echo tested $N'}\n",
    );
    let (code, _, errors) = ran(&project, &["logs"], HOST);
    assert_eq!(code, 2);
    assert!(errors.contains("No run of this project is remembered"), "{errors}");
    for number in ["1", "2"] {
        assert_eq!(ran(&project, &["run", "-e", &format!("N={number}")], HOST).0, 0);
    }
    let (code, output, errors) = ran(&project, &["logs"], HOST);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(output, "build · ✓ succeeded\nbuilt 2\n\\::error::x\ntest · ✓ succeeded\ntested 2\n");
    let (_, output, _) = ran(&project, &["logs", "2", "test"], HOST);
    assert_eq!(output, "tested 1\n");
    let (_, output, _) = ran(&project, &["logs", "test"], HOST);
    assert_eq!(output, "tested 2\n");
    let (_, listed, _) = ran(&project, &["list", "--runs", "--format", "json"], HOST);
    let oldest: Value = serde_json::from_str(listed.lines().last().unwrap()).unwrap();
    let id = oldest["runId"].as_str().unwrap();
    assert_eq!(ran(&project, &["logs", id, "test"], HOST).1, "tested 1\n");
    assert!(ran(&project, &["logs", id, "build", "--raw-log"], HOST).1.starts_with("\u{1b}[2J"));
    let (_, files, _) = ran(&project, &["logs", id, "--files"], HOST);
    assert_eq!(std::fs::read_to_string(files.lines().nth(1).unwrap()).unwrap(), "tested 1\n");
    for (arguments, why) in [
        (&["logs", "99"][..], "There is no run `99`, and no run has had a step `99`"),
        (&["logs", "1", "tset"], "This run had no step `tset`; its steps were `build`, `test`"),
        (&["logs", "ffff", "test"], "There is no run `ffff`; `pipelens list --runs` shows all"),
    ] {
        let (code, _, errors) = ran(&project, arguments, HOST);
        assert_eq!(code, 2);
        assert!(errors.contains(why), "{errors}");
    }
    std::fs::remove_dir_all(project.state.path().join("runs")).unwrap();
    let (code, _, errors) = ran(&project, &["logs"], HOST);
    assert_eq!(code, 2);
    assert!(errors.contains("are gone"), "{errors}");
}

#[test]
fn the_users_settings_choose_a_runner_for_good() {
    let project = Project::new(TWO);
    std::fs::write(project.folder.path().join("ok"), "").unwrap();
    let (code, _, _) = ran(&project, &["run"], &[]);
    assert_eq!(code, 4, "there is no container engine");
    let settings = project.state.path().join("settings.yaml");
    std::fs::write(&settings, "# for good\nrunner: host\n").unwrap();
    let (code, output, errors) = ran(&project, &["run"], &[]);
    assert_eq!(code, 0, "{output}{errors}");
    // What is said here and now counts more.
    assert_eq!(ran(&project, &["run"], &[("PIPELENS_RUNNER", "docker")]).0, 4);
    assert_eq!(ran(&project, &["run", "--runner", "docker"], HOST).0, 4);
    for (text, why) in [
        ("runner: hsot", "unknown runner `hsot`, expected `docker` or `host`"),
        ("pipelens.runner: host", "there is no setting `pipelens.runner`; leave out `pipelens.`"),
        ("[", "cannot be used"),
    ] {
        std::fs::write(&settings, text).unwrap();
        let (code, _, errors) = ran(&project, &["run"], &[]);
        assert_eq!(code, 2, "{text}");
        assert!(errors.contains("settings.yaml") && errors.contains(why), "{errors}");
    }
    std::fs::remove_file(&settings).unwrap();
    let (code, _, errors) = ran(&project, &["run"], &[("PIPELENS_RUNNER", "k8s")]);
    assert_eq!(code, 2);
    assert!(errors.contains("The variable `PIPELENS_RUNNER` cannot be used: unknown runner `k8s`"), "{errors}");
}

#[test]
fn an_editor_gets_the_users_settings_too() {
    let project = Project::new(TWO);
    let settings = project.state.path().join("settings.yaml");
    std::fs::write(&settings, "runner: host\n").unwrap();
    let environment = [
        ("PIPELENS_STATE_DIR", project.state.path().to_str().unwrap()),
        ("PIPELENS_SETTINGS", settings.to_str().unwrap()),
        ("DOCKER_HOST", "unix:///nonexistent/docker.sock"),
    ];
    let mut client = test_client::Client::start(crate::support::binary(), &environment, serde_json::json!({}));
    client.ignores = test_client::is_routine_or_outcome;
    client.open(&project.uri(), TWO);
    let (_, events) = client.run_to_end("pipelens.runStep", serde_json::json!({"uri": project.uri(), "step": "build"}));
    let end = events.last().unwrap();
    assert_eq!(end["outcome"], "succeeded", "{end}");
}
