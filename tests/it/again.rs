//! What is run again and what is not: earlier results, failures, the history, and a look into a failed step.

use serde_json::{Value, json};

use crate::support::{Project, Runner, docker_host, left_of, outcomes, runners, text};

const CACHED: &str = r"default_image: pipelens-test/busybox:latest
steps:
  - key: build
    cmd: echo made > made
    cache: {policy: on_change, paths: [input]}
  - key: test
    cmd: cat made input
    builds_in: build
";

#[test]
fn a_plan_shows_what_would_run_and_why() {
    for runner in runners() {
        let project = Project::new(CACHED);
        let input = project.folder.path().join("input");
        std::fs::write(&input, "1\n").unwrap();
        let plan = |project: &Project| {
            let (code, output, errors) = project.output(runner, &["plan", "--runner", runner.name(), "pipeline.yml"]);
            assert_eq!((code, errors.as_str()), (0, ""), "{runner:?}");
            output
        };
        let first = "build  runs in pipelens-test/busybox:latest: it has not run here yet\ntest   runs on build\n";
        assert_eq!(plan(&project), first);
        let run = |project: &Project| project.output(runner, &["run", "--runner", runner.name(), "pipeline.yml"]);
        assert_eq!(run(&project).0, 0);
        assert_eq!(plan(&project), "build  cached\ntest   runs on build\n");
        std::fs::write(&input, "22\n").unwrap();
        assert!(plan(&project).contains("build  runs in pipelens-test/busybox:latest: `input` changed\n"));
        let (code, output, _) = run(&project);
        assert_eq!(code, 0, "{output}");
        assert!(output.contains("[test]  22"), "{output}");
        let (code, output, _) = project.output(runner, &["clean", "."]);
        assert!(code == 0 && output.starts_with("Removed "), "{output}");
        assert_eq!(
            plan(&project),
            "build  runs in pipelens-test/busybox:latest: its snapshot no longer exists\ntest   runs on build\n"
        );
    }
}

#[test]
fn failed_and_skipped_steps_run_again_and_no_others() {
    for runner in runners() {
        let project = Project::new(
            r"default_image: pipelens-test/busybox:latest
steps:
  - key: good
    cmd: 'true'
  - key: bad
    cmd: test -e fixed
  - key: after
    cmd: 'true'
    depends_on: bad
",
        );
        let mut client = project.serve(runner);
        let uri = project.uri();
        let none = client.execute("pipelens.rerunFailed", json!({})).unwrap_err();
        assert_eq!(text(&none["message"]), "Nothing has run yet");
        let (run_id, _) = client.run_to_end("pipelens.runPipeline", json!({"uri": uri}));
        std::fs::write(project.folder.path().join("fixed"), "").unwrap();
        let (_, events) = client.run_to_end("pipelens.rerunFailed", json!({"runId": run_id}));
        let step = |key: &str| (key.to_owned(), "succeeded".to_owned());
        assert_eq!(outcomes(&events), [step("bad"), step("after")]);
        assert_eq!(client.quit().code(), Some(0));
    }
}

#[test]
fn a_shell_can_be_opened_in_a_failed_step() {
    for runner in runners() {
        let project = Project::new(
            r"default_image: pipelens-test/busybox:latest
steps:
  - key: bad
    cmd: echo evidence > evidence; exit 1
",
        );
        let mut client = project.serve(runner);
        let (run_id, _) = client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
        let answer = client.execute("pipelens.openShell", json!({"runId": run_id, "step": "bad"})).unwrap();
        let shown = client.wait("the command", |message| {
            (message["method"] == "window/showMessage").then(|| text(&message["params"]["message"]))
        });
        assert!(shown.contains(&text(&answer["command"])), "{shown}");
        // A client that opens the terminal itself gets no message.
        let args = json!({"runId": run_id, "step": "bad", "show": false});
        assert_eq!(client.execute("pipelens.openShell", args).unwrap(), answer);
        client.request("pipelens/runs", json!({})).unwrap();
        let is_shell = |message: &Value| {
            message["method"] == "window/showMessage" && text(&message["params"]["message"]).contains("shell")
        };
        assert!(client.take(is_shell).is_empty());
        // As a person would, but not at a terminal.
        let shell = text(&answer["command"]).replace(" -it", " -i");
        let mut command = std::process::Command::new("sh");
        if let Some(host) = docker_host() {
            command.env("DOCKER_HOST", host);
        }
        let output = command.args(["-c", &format!("echo 'cat evidence' | ({shell})")]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "evidence\n", "{shell}");
        let removed = client.execute("pipelens.clearCache", json!({"uri": project.uri()})).unwrap();
        assert!(removed["removedBytes"].is_u64(), "{removed}");
        assert_eq!(client.quit().code(), Some(0));
    }
}

#[test]
fn runs_of_the_project_are_listed_newest_first() {
    let project = Project::new(
        r"steps:
  - key: a
    cmd: exit 1
",
    );
    let mut client = project.serve(Runner::Host);
    let ids: Vec<String> = (0..2)
        .map(|_| {
            let (run_id, _) = client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
            run_id
        })
        .collect();
    let listed = client.execute("pipelens.listRuns", json!({})).unwrap();
    let runs = listed["runs"].as_array().unwrap();
    assert_eq!(runs.iter().map(|run| text(&run["runId"])).collect::<Vec<_>>(), [ids[1].as_str(), ids[0].as_str()]);
    assert_eq!(runs[0]["outcome"], "failed");
    assert_eq!(runs[0]["steps"], json!([{"step": "a", "outcome": "failed", "digest": null}]));
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn lens_and_hover_show_what_a_run_would_take_from_the_cache() {
    for runner in runners() {
        let project = Project::new(CACHED);
        let input = project.folder.path().join("input");
        std::fs::write(&input, "1\n").unwrap();
        let mut client = project.serve(runner);
        let uri = project.uri();
        let eventually_shown = |client: &mut test_client::Client, wanted: &str| {
            loop {
                let titles: Vec<String> =
                    client.lenses(&uri).iter().map(|lens| text(&lens["command"]["title"])).collect();
                if titles.iter().any(|title| title == wanted) {
                    return titles;
                }
                // The server asks for a look at the lenses when there is something new to see.
                client.wait(&format!("`{wanted}` instead of {titles:?}"), |message| {
                    (message["method"] == "workspace/codeLens/refresh").then_some(())
                });
            }
        };
        eventually_shown(&mut client, "▶ Run step · not cached: it has not run here yet");
        client.run_to_end("pipelens.runPipeline", json!({"uri": uri}));
        let titles = eventually_shown(&mut client, "▶ Run step · cached");
        assert!(titles.iter().any(|title| title == "▶ Run pipeline · 1 of 2 cached"), "{titles:?}");
        let at = json!({"textDocument": {"uri": uri}, "position": {"line": 2, "character": 10}});
        let hover = client.request("textDocument/hover", at).unwrap();
        let said = text(&hover["contents"]["value"]);
        assert!(said.contains("Cache: the result of an earlier run is used.\n\nLast run: ✓"), "{said}");
        std::fs::write(&input, "22\n").unwrap();
        client.change(&uri, 2, &serde_json::Value::Null, CACHED);
        eventually_shown(&mut client, "▶ Run step · not cached: `input` changed");
        assert_eq!(client.quit().code(), Some(0));
    }
}

/// Two editors on one project: what one has made the other takes, what one runs the other leaves alone, and what one leaves at its
/// death the other tidies.
#[test]
fn two_servers_share_a_project() {
    let pipeline = format!("{CACHED}  - key: slow\n    cmd: echo begun; sleep 1000\n");
    for runner in runners() {
        let project = Project::new(&pipeline);
        std::fs::write(project.folder.path().join("input"), "1\n").unwrap();
        let [mut one, mut other] = [project.serve(runner), project.serve(runner)];
        let step = |key: &str| json!({"uri": project.uri(), "step": key});
        let slow = one.run("pipelens.runStep", step("slow"));
        one.run_event("stepLog", |event| event["runId"] == slow.as_str());
        let first = other.run("pipelens.runStep", step("test"));
        let outcomes_of = |key: &str, outcome: &str| (key.to_owned(), outcome.to_owned());
        assert_eq!(
            outcomes(&other.run_events(&first)),
            [outcomes_of("build", "succeeded"), outcomes_of("test", "succeeded")]
        );
        // At the same time.
        let ids = [one.run("pipelens.runStep", step("test")), other.run("pipelens.runStep", step("test"))];
        for (client, id) in [&mut one, &mut other].into_iter().zip(&ids) {
            let all_from_before = [outcomes_of("build", "cached"), outcomes_of("test", "succeeded")];
            assert_eq!(outcomes(&client.run_events(id)), all_from_before, "{runner:?}");
        }
        let listed = one.execute("pipelens.listRuns", json!({})).unwrap();
        let mut runs: Vec<String> = listed["runs"].as_array().unwrap().iter().map(|run| text(&run["runId"])).collect();
        let mut expected = vec![first, ids[0].clone(), ids[1].clone()];
        runs.sort();
        expected.sort();
        assert_eq!(runs, expected);
        if runner == Runner::Docker {
            assert_ne!(left_of(&slow), "", "the other server's sweep takes nothing of a living one's");
        }
        one.child.kill().unwrap();
        one.child.wait().unwrap();
        let last = other.run("pipelens.runStep", step("test"));
        other.run_events(&last);
        if runner == Runner::Docker {
            assert_eq!(left_of(&slow), "");
        }
        assert_eq!(other.quit().code(), Some(0));
    }
}
