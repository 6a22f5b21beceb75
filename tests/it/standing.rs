//! What an editor shows of a pipeline while some of its steps run, and after they have run again.

use std::fs;

use serde_json::json;

use crate::support::{Project, Runner, runners, text};
use test_client::Client;

#[test]
fn the_lens_of_a_pipeline_counts_what_has_run_again_since() {
    let project = Project::new(
        r"steps:
  - key: good
    cmd: 'true'
  - key: bad
    cmd: test -e fixed
  - key: after
    cmd: 'true'
    depends_on: bad
",
    );
    let uri = project.uri();
    let fixed = project.folder.path().join("fixed");
    let mut client = project.serve(Runner::Host);
    let run = |client: &mut Client, command: &str, argument: serde_json::Value| {
        let (run_id, _) = client.run_to_end(command, argument);
        (run_id, client.lenses(&uri)[0]["command"].clone())
    };
    let bad = json!({"uri": project.uri(), "step": "bad"});
    let (first, lens) = run(&mut client, "pipelens.runPipeline", json!({"uri": project.uri()}));
    assert!(text(&lens["title"]).starts_with("✗ failed after"), "{lens}");
    fs::write(&fixed, "").unwrap();
    let (_, lens) = run(&mut client, "pipelens.runStep", bad.clone());
    assert_eq!(lens["title"], "2 of 3 passed", "`after` was skipped, and has not run since");
    let (_, lens) = run(&mut client, "pipelens.rerunFailed", json!({"runId": first}));
    assert_eq!(lens["title"], "✓ 3 of 3 passed");
    fs::remove_file(&fixed).unwrap();
    let (failed, lens) = run(&mut client, "pipelens.runStep", bad.clone());
    assert_eq!(lens["title"], "✗ 1 of 3 failed");
    assert_eq!(lens["arguments"], json!([{"runId": failed, "step": "bad"}]), "its click opens the failure's log");
    fs::write(&fixed, "").unwrap();
    let (_, lens) = run(&mut client, "pipelens.runFrom", bad);
    assert_eq!(lens["title"], "✓ 3 of 3 passed");
    let (_, lens) = run(&mut client, "pipelens.runPipeline", json!({"uri": project.uri()}));
    let title = text(&lens["title"]);
    assert!(title.starts_with("✓ ") && !title.contains("passed"), "{title}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn while_a_step_runs_again_the_lens_of_the_pipeline_cancels_it() {
    let project = Project::new(
        r"steps:
  - {key: quick, cmd: 'true'}
  - {key: slow, cmd: sleep 1000}
",
    );
    let uri = project.uri();
    let mut client = project.serve(Runner::Host);
    client.run_to_end("pipelens.runStep", json!({"uri": uri, "step": "quick"}));
    let slow = client.run("pipelens.runStep", json!({"uri": uri, "step": "slow"}));
    client.run_event("stepStart", |event| event["step"] == "slow");
    let lens = client.lenses(&uri)[0]["command"].clone();
    assert!(text(&lens["title"]).starts_with("■ Cancel ("), "{lens}");
    assert_eq!(lens["arguments"], json!([{"runId": slow}]));
    client.execute("pipelens.cancel", lens["arguments"][0].clone()).unwrap();
    client.run_events(&slow);
    assert_eq!(client.lens_titles(&uri)[0], "0: 1 of 2 passed");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn progress_names_every_step_that_runs() {
    for runner in runners() {
        let project = Project::new(
            r"default_image: pipelens-test/busybox:latest
steps:
  - {key: first, cmd: 'true'}
  - {key: unit, cmd: echo up; sleep 1000, depends_on: first}
  - {key: lint, cmd: echo up; sleep 1000, depends_on: first}
",
        );
        let mut client = project.serve(runner);
        let run_id = client.run("pipelens.runPipeline", json!({"uri": project.uri()}));
        let report = |client: &mut Client, start: &str| {
            client.wait(start, |message| {
                let report = text(&message["params"]["value"]["message"]);
                (message["method"] == "$/progress" && report.starts_with(start)).then_some(())
            });
        };
        // Sending the sources was over when the commands began.
        report(&mut client, "1/3 unit, lint · running 00:");
        client.execute("pipelens.cancel", json!({"runId": run_id})).unwrap();
        client.run_events(&run_id);
        assert_eq!(client.quit().code(), Some(0));
    }
}
