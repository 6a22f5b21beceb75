//! Runs from an editor: the lenses, what is said meanwhile, how they end, and that nothing is left.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Project, Runner, binary, docker, left_of, lines, outcomes, resident_kib, runners, seven_steps, text,
};
use test_client::Client;

fn run_pipeline(client: &mut Client, project: &Project) -> String {
    client.run("pipelens.runPipeline", json!({"uri": project.uri()}))
}

/// Waits for the end of a run's progress and returns all of it.
fn progress(client: &mut Client, run_id: &str) -> Vec<Value> {
    let token = json!(format!("pipelens/{run_id}"));
    let mut values = Vec::new();
    loop {
        let value = client.wait("progress", |message| {
            let params = &message["params"];
            (message["method"] == "$/progress" && params["token"] == token).then(|| params["value"].clone())
        });
        let is_last = value["kind"] == "end";
        values.push(value);
        if is_last {
            return values;
        }
    }
}

fn assert_nothing_left(runner: Runner, run_id: &str) {
    match runner {
        Runner::Docker => assert_eq!(left_of(run_id), "", "the run left something"),
        Runner::Host => {}
    }
}

#[test]
fn a_fork_and_a_join_run_in_order_with_their_logs() {
    for runner in runners() {
        let project = Project::new(&seven_steps());
        let mut client = project.serve(runner);
        let run_id = run_pipeline(&mut client, &project);
        let events = client.run_events(&run_id);
        let ended = outcomes(&events);
        assert!(ended.iter().all(|(_, outcome)| outcome == "succeeded"), "{runner:?}: {events:#?}");
        let place = |step: &str| ended.iter().position(|(key, _)| key == step).unwrap();
        assert_eq!(ended.len(), 7);
        assert!(place("setup") < place("compile") && place("setup") < place("docs"));
        assert!(place("compile") < place("unit") && place("compile") < place("lint"));
        assert_eq!((place("join"), place("publish")), (5, 6));
        assert_eq!(lines(&events, "docs"), ["one", "docs"]);
        assert_eq!(lines(&events, "lint"), ["one", "two", "lint"]);
        let mut unit = lines(&events, "unit");
        unit.sort();
        assert_eq!(unit, ["one", "two", "unit"]);
        let end = events.last().unwrap();
        assert_eq!((text(&end["outcome"]), &end["exitCode"]), ("succeeded".to_owned(), &json!(0)));
        assert_nothing_left(runner, &run_id);
        assert_eq!(client.quit().code(), Some(0));
    }
}

#[test]
fn progress_rises_and_ends_with_the_outcome_and_the_log_is_sent_as_messages() {
    for runner in runners() {
        let project = Project::new(&seven_steps());
        let mut client = project.serve(runner);
        let run_id = run_pipeline(&mut client, &project);
        let values = progress(&mut client, &run_id);
        assert_eq!(values[0]["kind"], "begin");
        assert_eq!((&values[0]["percentage"], &values[0]["cancellable"]), (&json!(0), &json!(true)));
        let percentages: Vec<u64> =
            values[..values.len() - 1].iter().map(|value| value["percentage"].as_u64().unwrap()).collect();
        assert!(percentages.is_sorted(), "{percentages:?}");
        assert!(text(&values.last().unwrap()["message"]).starts_with('✓'));
        let shown = client.wait("the final message", |message| {
            (message["method"] == "window/showMessage").then(|| message["params"].clone())
        });
        assert_eq!(shown["type"], 3);
        assert!(text(&shown["message"]).starts_with("seven: ✓"));
        let log = client.log_text();
        assert!(log.contains("[compile] compiled\n") && log.contains("[publish] published\n"), "{log}");
        assert_eq!(client.quit().code(), Some(0));
    }
}

#[test]
fn the_lens_shows_the_state() {
    let project = Project::new(
        r"steps:
  - key: ok
    cmd: read line < gate
  - key: bad
    cmd: exit 3
    depends_on: ok
",
    );
    let gate = project.folder.path().join("gate");
    std::fs::write(&gate, "").unwrap();
    let mut client = project.serve(Runner::Host);
    let uri = project.uri();
    assert_eq!(
        client.lens_titles(&uri),
        [
            "0: ▶ Run pipeline",
            "0: ◎ Watch pipeline",
            "1: ▶ Run step",
            "1: ▷ Run from here",
            "1: ◎ Watch step",
            "3: ▶ Run step",
            "3: ◎ Watch step"
        ]
    );
    let run_id = run_pipeline(&mut client, &project);
    client.run_event("stepStart", |event| event["step"] == "ok");
    client.run_events(&run_id);
    let titles = client.lens_titles(&uri);
    assert!(titles[0].starts_with("0: ✗ failed after"), "{titles:?}");
    assert_eq!(titles.len(), 10, "{titles:?}");
    // The empty gate makes `read` fail: exit 1, and what depends on it is skipped.
    assert_eq!((titles[3].as_str(), titles[7].as_str()), ("1: ✗ exit 1 · open log", "3: ⊘ skipped"));
    client.wait("a lens refresh", |message| (message["method"] == "workspace/codeLens/refresh").then_some(()));
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_failure_is_marked_on_its_line_until_the_step_runs_again() {
    for runner in runners() {
        let image = "default_image: pipelens-test/busybox:latest\n";
        let broken = format!(
            r"{image}steps:
  - key: bad
    cmd: echo why not; exit 3
"
        );
        let project = Project::new(&broken);
        let mut client = project.serve(runner);
        let uri = project.uri();
        assert_eq!(client.diagnostics(&uri, 1), Vec::<Value>::new());
        let run_id = run_pipeline(&mut client, &project);
        let events = client.run_events(&run_id);
        assert_eq!(outcomes(&events), [("bad".to_owned(), "failed".to_owned())]);
        let mark = client.wait("the failure's mark", |message| {
            let found = &message["params"]["diagnostics"][0];
            (found["code"] == "step-failed").then(|| found.clone())
        });
        assert_eq!(text(&mark["message"]), "Step `bad` failed: exit 3\nwhy not");
        assert_eq!(mark["range"], json!({"start": {"line": 3, "character": 9}, "end": {"line": 3, "character": 29}}));
        // It moves with an edit above it …
        client.change(
            &uri,
            2,
            &json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}),
            "# moved\n",
        );
        assert_eq!(client.diagnostics(&uri, 2)[0]["range"]["start"]["line"], 4);
        // … and goes when the step succeeds.
        client.change(&uri, 3, &Value::Null, &broken.replace("exit 3", "true"));
        client.run_to_end("pipelens.runStep", json!({"uri": uri, "step": "bad"}));
        client.wait("no mark", |message| {
            let params = &message["params"];
            (params["version"] == 3 && params["diagnostics"] == json!([])).then_some(())
        });
        assert_nothing_left(runner, &run_id);
        assert_eq!(client.quit().code(), Some(0));
    }
}

#[test]
fn a_step_runs_only_with_its_lineage_and_from_here_with_its_dependants() {
    for runner in runners() {
        let project = Project::new(&seven_steps());
        let mut client = project.serve(runner);
        let mut ran = |command: &str, step: &str| {
            let run_id = client.run(command, json!({"uri": project.uri(), "step": step}));
            let mut keys: Vec<String> = outcomes(&client.run_events(&run_id)).into_iter().map(|(key, _)| key).collect();
            keys.sort();
            keys.join(" ")
        };
        assert_eq!(ran("pipelens.runStep", "docs"), "docs setup");
        assert_eq!(ran("pipelens.runStep", "publish"), "publish");
        assert_eq!(ran("pipelens.runFrom", "unit"), "compile join publish setup unit");
        assert_eq!(client.quit().code(), Some(0));
    }
}

#[test]
fn progress_cancel_and_the_command_end_a_run_at_once() {
    for runner in runners() {
        let project = Project::new(
            r"default_image: pipelens-test/busybox:latest
steps:
  - key: long
    cmd: echo here; sleep 600
  - key: after
    cmd: echo no
    depends_on: long
",
        );
        let mut client = project.serve(runner);
        for way in ["progress", "command", "step"] {
            let run_id = run_pipeline(&mut client, &project);
            client.run_event("stepLog", |event| event["runId"] == run_id.as_str());
            match way {
                "progress" => {
                    client.notify("window/workDoneProgress/cancel", json!({"token": format!("pipelens/{run_id}")}));
                }
                "command" => {
                    let answer = client.execute("pipelens.cancel", json!({"runId": run_id})).unwrap();
                    assert_eq!(answer, json!({"cancelled": [run_id]}));
                }
                _ => {
                    client.execute("pipelens.cancel", json!({"uri": project.uri(), "step": "long"})).unwrap();
                }
            }
            let events = client.run_events(&run_id);
            let mut ended = outcomes(&events);
            ended.sort();
            assert_eq!(ended[1], ("long".to_owned(), "cancelled".to_owned()), "{way}: {ended:?}");
            assert!(["skipped", "cancelled"].contains(&ended[0].1.as_str()), "{way}: {ended:?}");
            assert_eq!(events.last().unwrap()["outcome"], "cancelled");
            assert_nothing_left(runner, &run_id);
        }
        assert_eq!(client.quit().code(), Some(0));
    }
}

#[test]
fn the_end_of_the_editor_ends_its_runs() {
    for runner in runners() {
        let project = Project::new(
            r"default_image: pipelens-test/busybox:latest
steps:
  - key: long
    cmd: echo here; sleep 600
",
        );
        let mut client = project.serve(runner);
        let run_id = run_pipeline(&mut client, &project);
        client.run_event("stepLog", |event| event["runId"] == run_id.as_str());
        client.close_input();
        assert_eq!(client.exit_status().code(), Some(1));
        assert_nothing_left(runner, &run_id);
    }
}

#[test]
fn a_killed_server_leaves_nothing_that_runs_and_the_next_start_sweeps_the_rest() {
    if !runners().contains(&Runner::Docker) {
        return;
    }
    let project = Project::new(
        r"default_image: pipelens-test/busybox:latest
steps:
  - key: first
    cmd: echo one
  - key: long
    cmd: echo here; sleep 600
    builds_in: first
",
    );
    let mut client = project.serve(Runner::Docker);
    let run_id = run_pipeline(&mut client, &project);
    client.run_event("stepLog", |event| event["step"] == "long");
    client.child.kill().unwrap();
    client.child.wait().unwrap();
    let filter = format!("label=dev.pipelens.run={run_id}");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !docker(&["ps", "--quiet", "--filter", &filter]).is_empty() {
        assert!(Instant::now() < deadline, "a container runs on although its server is dead");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let mut next = project.serve(Runner::Docker);
    let second = next.run("pipelens.runStep", json!({"uri": project.uri(), "step": "first"}));
    next.run_events(&second);
    assert_eq!(left_of(&run_id), "", "the next start left something of the dead one");
    assert_eq!(left_of(&second), "");
    assert_eq!(next.quit().code(), Some(0));
}

#[test]
fn two_hundred_thousand_lines_reach_the_file_while_answers_come_and_memory_stays() {
    for runner in runners() {
        let project = Project::new(
            r#"default_image: pipelens-test/busybox:latest
steps:
  - key: flood
    cmd: i=0; while [ $i -lt 200000 ]; do echo "line $i of the flood"; i=$((i+1)); done
"#,
        );
        let mut client = project.serve(runner);
        let run_id = run_pipeline(&mut client, &project);
        client.run_event("stepLog", |event| event["runId"] == run_id.as_str());
        let hover = json!({"textDocument": {"uri": project.uri()}, "position": {"line": 2, "character": 6}});
        let mut peak_kib = 0;
        let end = loop {
            client.request("textDocument/hover", hover.clone()).unwrap();
            peak_kib = peak_kib.max(resident_kib(client.child.id()));
            // What was said so far is looked at and dropped, as an editor would.
            let events = client.take(|message| message["method"] != "textDocument/publishDiagnostics");
            if let Some(end) = events.iter().find(|message| message["params"]["kind"] == "stepEnd") {
                break end["params"].clone();
            }
        };
        assert_eq!(end["outcome"], "succeeded");
        let log = std::fs::read_to_string(end["logFile"].as_str().unwrap()).unwrap();
        assert_eq!(log.lines().count(), 200_000);
        assert!(log.lines().enumerate().all(|(number, line)| line.ends_with(&format!("line {number} of the flood"))));
        assert!(peak_kib < 100 * 1024, "{peak_kib} KiB resident");
        assert_eq!(client.quit().code(), Some(0));
    }
}

#[test]
fn a_client_that_never_reads_does_not_stall_the_run() {
    let project = Project::new(
        r#"steps:
  - key: flood
    cmd: i=0; while [ $i -lt 100000 ]; do echo "line $i of the flood"; i=$((i+1)); done; echo done > "$PIPELENS_MARK"
"#,
    );
    let mark = project.folder.path().join("mark");
    let text = std::fs::read_to_string(project.file()).unwrap().replace("$PIPELENS_MARK", mark.to_str().unwrap());
    std::fs::write(project.file(), text).unwrap();
    let mut client = project.serve(Runner::Host);
    client.ignores = test_client::is_anything;
    client.ask(
        "workspace/executeCommand",
        json!({"command": "pipelens.runPipeline", "arguments": [{"uri": project.uri()}]}),
    );
    client.stop_reading();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !mark.exists() {
        assert!(Instant::now() < deadline, "the step was stalled by its reader");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_client_that_refuses_progress_still_gets_its_run() {
    let project = Project::new(
        r"steps:
  - key: a
    cmd: echo a
",
    );
    let mut client = project.serve(Runner::Host);
    client.refuses_progress = true;
    let run_id = run_pipeline(&mut client, &project);
    client.run_events(&run_id);
    client.wait("the final message", |message| (message["method"] == "window/showMessage").then_some(()));
    assert!(client.take(|message| message["method"] == "$/progress").is_empty());
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_client_gets_only_what_it_declared() {
    let project = Project::new(
        r"steps:
  - key: a
    cmd: echo a
",
    );
    let environment = [("PIPELENS_STATE_DIR", project.state.path().to_str().unwrap())];
    let mut client = Client::spawn(binary(), &environment);
    client.initialize(json!({}), json!({"runner": "host"})).unwrap();
    client.open(&project.uri(), &std::fs::read_to_string(project.file()).unwrap());
    client.run("pipelens.runPipeline", json!({}));
    client.wait("the final message", |message| (message["method"] == "window/showMessage").then_some(()));
    let others = client.take(|message| {
        let method = message["method"].as_str().unwrap_or("");
        !["window/logMessage", "textDocument/publishDiagnostics", ""].contains(&method)
    });
    assert_eq!(others, Vec::<Value>::new());
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn the_clients_own_progress_token_is_used() {
    let project = Project::new(
        r"steps:
  - key: a
    cmd: echo a
",
    );
    let mut client = project.serve(Runner::Host);
    let params = json!({"command": "pipelens.runPipeline", "arguments": [], "workDoneToken": "mine"});
    client.request("workspace/executeCommand", params).unwrap();
    client.wait("the end of progress", |message| {
        (message["params"]["token"] == "mine" && message["params"]["value"]["kind"] == "end").then_some(())
    });
    assert!(client.take(|message| message["method"] == "window/workDoneProgress/create").is_empty());
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn the_log_of_a_failure_is_opened_from_its_message() {
    let project = Project::new(
        r"steps:
  - key: bad
    cmd: echo the reason; exit 1
",
    );
    let mut client = project.serve(Runner::Host);
    client.chosen_action = Some("Open log");
    run_pipeline(&mut client, &project);
    let uri = client.wait("the log to be shown", |message| {
        (message["method"] == "window/showDocument").then(|| text(&message["params"]["uri"]))
    });
    let log = std::fs::read_to_string(uri.strip_prefix("file://").unwrap()).unwrap();
    assert!(log.contains("the reason"), "{log}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_run_that_cannot_start_is_refused_with_the_reason() {
    let project = Project::new(
        r"steps:
  - key: a
    cmd: echo a
    builds_in: b
",
    );
    let mut client = project.serve(Runner::Host);
    let uri = project.uri();
    let mut refusal = |command: &str, argument: Value| {
        let error = client.execute(command, argument).unwrap_err();
        format!("{} {}", error["code"], text(&error["message"]))
    };
    let has_errors = refusal("pipelens.runPipeline", json!({"uri": uri}));
    assert!(
        has_errors.starts_with("-32803 The pipeline has an error on line 4, so it cannot run: Step `a`"),
        "{has_errors}"
    );
    assert!(
        refusal("pipelens.runStep", json!({"uri": uri}))
            .starts_with("-32602 `pipelens.runStep` needs the key of a step")
    );
    assert!(refusal("pipelens.runStep", json!({"url": uri})).starts_with("-32602 The argument of `pipelens.runStep`"));
    assert!(refusal("pipelens.nonsense", json!({})).starts_with("-32602 There is no command"));
    assert!(refusal("pipelens.openLog", json!({})).starts_with("-32803 Nothing has run yet"));
    assert!(
        refusal("pipelens.runPipeline", json!({"uri": "file:///no/pipeline.yml"})).starts_with("-32803 Cannot read")
    );
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_step_that_runs_is_not_started_twice() {
    let project = Project::new(
        r"steps:
  - key: long
    cmd: echo here; sleep 600
",
    );
    let mut client = project.serve(Runner::Host);
    let run_id = run_pipeline(&mut client, &project);
    client.run_event("stepLog", |_| true);
    let error = client.execute("pipelens.runStep", json!({"uri": project.uri(), "step": "long"})).unwrap_err();
    assert_eq!(text(&error["message"]), "Step `long` is already running; cancel that run first");
    assert!(client.lens_titles(&project.uri())[1].starts_with("1: ■ Cancel ("));
    client.execute("pipelens.cancel", Value::Null).unwrap();
    client.run_events(&run_id);
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_run_continues_although_its_file_was_deleted() {
    let project = Project::new(
        r#"steps:
  - key: a
    cmd: echo here; while [ -e "$GATE" ]; do sleep 0.05; done
"#,
    );
    let gate = project.folder.path().join("gate");
    std::fs::write(&gate, "").unwrap();
    let text = std::fs::read_to_string(project.file()).unwrap().replace("$GATE", gate.to_str().unwrap());
    std::fs::write(project.file(), text).unwrap();
    let mut client = project.serve(Runner::Host);
    let run_id = run_pipeline(&mut client, &project);
    client.run_event("stepLog", |_| true);
    std::fs::remove_file(project.file()).unwrap();
    client.notify("textDocument/didClose", json!({"textDocument": {"uri": project.uri()}}));
    std::fs::remove_file(gate).unwrap();
    assert_eq!(client.run_events(&run_id).last().unwrap()["outcome"], "succeeded");
    assert_eq!(client.quit().code(), Some(0));
}
