//! A step with a matrix: runs of all combinations or one, and what an editor shows of them.

use serde_json::{Value, json};

use crate::support::{Project, Runner, binary, outcomes, runners, text};
use test_client::{Client, everything};

const PIPELINE: &str = r#"name: ci
default_image: pipelens-test/busybox:latest
steps:
  - key: build
    matrix:
      rust: [1.90, stable]
      os: [alpine, debian]
      exclude: [{rust: stable, os: alpine}]
    label: build with ${{ matrix.rust }}
    env: {NAME: "${{ matrix.rust }}/${{ matrix.os }}"}
    cmd: test "$MATRIX_OS" != debian || test "$MATRIX_RUST" != stable || test -e fixed; echo "$NAME" > made
    shell: sh -e
    artifacts: [made]
  - key: test
    matrix: {os: [debian, alpine], rust: [1.90]}
    builds_in: build
    cmd: echo "$(cat made) $MATRIX_RUST"
  - key: last
    depends_on: ["test (debian, 1.90)"]
    needs_artifacts: ["build (1.90, alpine)"]
    cmd: cat made
"#;

fn lines(output: &str, prefix: &str) -> Vec<String> {
    let mut found: Vec<String> = output.lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect();
    found.sort();
    found
}

#[test]
fn every_combination_runs_with_its_values_and_starts_from_its_own() {
    for runner in runners() {
        let project = Project::new(PIPELINE);
        std::fs::write(project.folder.path().join("fixed"), "").unwrap();
        let run = |more: &[&str]| {
            project.output(runner, &[&["run", "--runner", runner.name(), "pipeline.yml"], more].concat())
        };
        let (code, output, errors) = run(&["--artifacts", "out"]);
        assert_eq!(code, 0, "{output}{errors}");
        let made = |line: &str| output.lines().any(|shown| shown.trim_end().ends_with(line));
        assert!(made("1.90/alpine 1.90") && made("1.90/debian 1.90"), "{output}");
        assert!(output.lines().any(|line| line.starts_with("[last]") && line.ends_with(" 1.90/alpine")), "{output}");
        let folders = std::fs::read_dir(project.folder.path().join("out")).unwrap();
        assert_eq!(folders.count(), 3, "each combination has artifacts of its own");
        let (code, output, _) = run(&["--step", "test"]);
        assert_eq!(code, 0, "{output}");
        assert_eq!(lines(&output, "  ").len(), 4, "both, and what they build in: {output}");
        let (code, output, _) = run(&["--step", "test (alpine, 1.90)"]);
        assert_eq!(code, 0, "{output}");
        let summary = lines(&output, "  ");
        assert!(summary[0].starts_with("  build (1.90, alpine)") && summary[1].starts_with("  test (alpine, 1.90)"));
        assert_eq!(summary.len(), 2);
        let (code, output, _) = run(&["--from", "test (debian, 1.90)"]);
        assert!(code == 0 && output.contains("last"), "{output}");
        let (code, _, errors) = run(&["--step", "test (alpine, 1.91)"]);
        assert_eq!(code, 2);
        assert!(errors.contains("Did you mean `test (alpine, 1.90)`?"), "{errors}");
    }
}

#[test]
fn plan_graph_and_convert_show_every_combination() {
    let project = Project::new(PIPELINE);
    let (code, output, errors) = project.output(Runner::Host, &["plan", "--runner", "host", "pipeline.yml"]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(output.lines().count(), 6, "{output}");
    assert!(output.contains("test (alpine, 1.90)     runs on build (1.90, alpine)\n"), "{output}");
    let (_, output, _) = project.output(Runner::Host, &["graph", "pipeline.yml"]);
    assert!(output.contains("build (stable, debian)") && output.contains("build with stable"), "{output}");
    let (code, output, errors) = project.output(Runner::Host, &["convert", "--to", "plan", "pipeline.yml"]);
    assert_eq!(code, 0, "{errors}");
    let plan: Value = serde_json::from_str(&output).unwrap();
    let nodes = plan["graph"]["nodes"].as_array().unwrap();
    let env = json!({"MATRIX_OS": "debian", "MATRIX_RUST": "stable", "NAME": "stable/debian"});
    assert_eq!((nodes.len(), &nodes[2]["env"]), (6, &env));
    std::fs::write(project.folder.path().join("plan.json"), output).unwrap();
    std::fs::write(project.folder.path().join("fixed"), "").unwrap();
    let run = ["run", "--runner", "host", "--step", "test (debian, 1.90)", "plan.json"];
    let (code, output, errors) = project.output(Runner::Host, &run);
    assert!(code == 0 && output.contains("1.90/debian 1.90"), "{output}{errors}");
}

fn titles(client: &mut Client, uri: &str, line: u64) -> Vec<String> {
    let lenses = client.lenses(uri).into_iter().filter(|lens| lens["range"]["start"]["line"] == line);
    lenses.map(|lens| text(&lens["command"]["title"])).collect()
}

/// Returns a title without the time in it.
fn timeless(title: &str) -> String {
    match title.split_once(" (") {
        Some((state, name)) if state.starts_with('✓') => format!("✓ ({name}"),
        _ => title.to_owned(),
    }
}

#[test]
fn a_step_has_a_lens_for_all_its_combinations_and_one_for_each() {
    let project = Project::new(PIPELINE);
    let uri = project.uri();
    let mut client = project.serve(Runner::Host);
    assert_eq!(titles(&mut client, &uri, 3), ["▶ Run step", "▷ Run from here", "◎ Watch step"]);
    assert_eq!(titles(&mut client, &uri, 4), ["▶ 1.90, alpine", "▶ 1.90, debian", "▶ stable, debian"]);
    let one = json!({"uri": uri, "pipeline": 0, "step": "build (1.90, debian)"});
    let lens = client.lenses(&uri).into_iter().find(|lens| lens["command"]["title"] == "▶ 1.90, debian").unwrap();
    assert_eq!(
        (&lens["command"]["command"], &lens["command"]["arguments"]),
        (&json!("pipelens.runStep"), &json!([one]))
    );
    let (_, events) = client.run_to_end("pipelens.runStep", one);
    assert_eq!(outcomes(&events), [("build (1.90, debian)".to_owned(), "succeeded".to_owned())]);
    assert_eq!(titles(&mut client, &uri, 3), ["✓ 1 of 3", "▶ Run step", "▷ Run from here", "◎ Watch step"]);
    let single: Vec<String> = titles(&mut client, &uri, 4).iter().map(|title| timeless(title)).collect();
    assert_eq!(single, ["▶ 1.90, alpine", "✓ (1.90, debian)", "▶ stable, debian"]);
    // One combination fails.
    let (run_id, _) = client.run_to_end("pipelens.runStep", json!({"uri": uri, "step": "build"}));
    assert_eq!(
        titles(&mut client, &uri, 3),
        ["✗ 1 of 3 failed · open log", "▶ Run step", "▷ Run from here", "◎ Watch step"]
    );
    let lenses = client.lenses(&uri);
    let log = lenses.iter().find(|lens| text(&lens["command"]["title"]).starts_with("✗ 1 of 3")).unwrap();
    let failed = json!([{"runId": run_id, "step": "build (stable, debian)"}]);
    assert_eq!(log["command"]["arguments"], failed);
    let single: Vec<String> = titles(&mut client, &uri, 4).iter().map(|title| timeless(title)).collect();
    assert_eq!(single, ["✓ (1.90, alpine)", "✓ (1.90, debian)", "✗ exit 1 (stable, debian)", "▶ stable, debian"]);
    // The failure is marked at the command.
    let found = client.wait("the failure", |message| {
        let mut found = message["params"]["diagnostics"].as_array().into_iter().flatten();
        found.find(|found| found["code"] == "step-failed").cloned()
    });
    assert_eq!(found["range"]["start"]["line"], 10);
    assert!(text(&found["message"]).starts_with("Step `build (stable, debian)` failed: exit 1"), "{found}");
    // The key of the step means any of its combinations.
    let path = client.execute("pipelens.openLog", json!({"step": "build"})).unwrap();
    assert!(text(&path["path"]).contains("stable"), "{path}");
    client.wait("the log", |message| (message["method"] == "window/showDocument").then_some(()));
    // What failed runs again, and nothing else.
    std::fs::write(project.folder.path().join("fixed"), "").unwrap();
    let (_, events) = client.run_to_end("pipelens.rerunFailed", json!({"runId": run_id}));
    assert_eq!(outcomes(&events), [("build (stable, debian)".to_owned(), "succeeded".to_owned())]);
    assert_eq!(titles(&mut client, &uri, 3), ["✓ 3 of 3", "▶ Run step", "▷ Run from here", "◎ Watch step"]);
    let (_, lens) =
        (client.run_to_end("pipelens.runFrom", json!({"uri": uri, "step": "last"})), client.lenses(&uri)[0].clone());
    assert_eq!(lens["command"]["title"], "4 of 6 passed", "the steps of a pipeline are its combinations");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn combinations_that_run_are_cancelled_together() {
    let project = Project::new(
        "steps:\n  - key: slow\n    matrix: {n: [1, 2]}\n    cmd: test $MATRIX_N = 1 || sleep 1000\n    runner: host\n",
    );
    let uri = project.uri();
    let mut client = project.serve(Runner::Host);
    let run_id = client.run("pipelens.runStep", json!({"uri": uri, "step": "slow"}));
    client.run_event("stepEnd", |event| event["step"]["key"] == "slow (1)" || event["step"] == "slow (1)");
    assert_eq!(titles(&mut client, &uri, 1), ["■ Cancel (1 of 2 done)"]);
    let cancelled = client.execute("pipelens.cancel", json!({"uri": uri, "step": "slow"})).unwrap();
    assert_eq!(cancelled, json!({"cancelled": [run_id]}));
    let events = client.run_events(&run_id);
    assert_eq!(events.last().unwrap()["outcome"], "cancelled");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn many_combinations_share_a_lens_that_lets_the_user_choose() {
    let project =
        Project::new("steps:\n  - key: many\n    matrix: {n: [1, 2, 3, 4, 5, 6, 7]}\n    cmd: echo $MATRIX_N\n");
    let uri = project.uri();
    let state = project.state.path().to_str().unwrap().to_owned();
    let mut client = Client::spawn(binary(), &[("PIPELENS_STATE_DIR", state.as_str())]);
    client.ignores = test_client::is_routine_or_outcome;
    client.chosen_action = Some("many (5)");
    client.initialize(everything(), json!({"runner": "host"})).unwrap();
    client.open(&uri, &std::fs::read_to_string(project.file()).unwrap());
    assert_eq!(titles(&mut client, &uri, 2), ["7 combinations…"]);
    let lens = client.lenses(&uri).into_iter().find(|lens| lens["command"]["title"] == "7 combinations…").unwrap();
    assert_eq!(lens["command"]["command"], "pipelens.chooseCombination");
    let argument = lens["command"]["arguments"][0].clone();
    // A client that asks by itself only gets the keys.
    let mut list = argument.clone();
    list["list"] = json!(true);
    let keys = client.execute("pipelens.chooseCombination", list).unwrap();
    assert_eq!(keys["combinations"].as_array().unwrap().len(), 7);
    assert_eq!(client.execute("pipelens.chooseCombination", argument).unwrap(), keys);
    let question = client.wait("the question", |message| {
        (message["method"] == "window/showMessageRequest").then(|| message["params"].clone())
    });
    assert_eq!(question["message"], "Which combination of `many` should run?");
    let begun = client.run_event("runStart", |_| true);
    let events = client.run_events(begun["runId"].as_str().unwrap());
    assert_eq!(outcomes(&events), [("many (5)".to_owned(), "succeeded".to_owned())]);
    let refused = client.execute("pipelens.chooseCombination", json!({"uri": uri, "step": "other"})).unwrap_err();
    assert_eq!(text(&refused["message"]), "There is no step `other`");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_click_on_a_combination_is_a_code_action_too() {
    let project = Project::new(PIPELINE);
    let uri = project.uri();
    let mut client = project.serve(Runner::Host);
    let params = json!({
        "textDocument": {"uri": uri},
        "range": {"start": {"line": 5, "character": 0}, "end": {"line": 5, "character": 0}},
        "context": {"diagnostics": [], "only": ["source.pipelens.run"]},
    });
    let actions = client.request("textDocument/codeAction", params).unwrap();
    let titles: Vec<String> = actions.as_array().unwrap().iter().map(|action| text(&action["title"])).collect();
    assert!(titles.contains(&"▶ Run step `build`".to_owned()), "{titles:?}");
    assert!(titles.contains(&"▶ 1.90, alpine `build`".to_owned()), "{titles:?}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn hover_says_of_each_combination_what_a_run_would_do_and_what_the_last_one_did() {
    let values: Vec<String> = (10..22).map(|number| number.to_string()).collect();
    let project = Project::new(&format!(
        "steps:\n  - key: a\n    cmd: echo $MATRIX_N\n    cache: {{policy: forever}}\n    matrix: {{n: [{}]}}\n",
        values.join(", ")
    ));
    let mut client = project.serve(Runner::Host);
    let uri = project.uri();
    client.run_to_end("pipelens.runPipeline", json!({"uri": uri}));
    let at = json!({"textDocument": {"uri": uri}, "position": {"line": 1, "character": 10}});
    let said = loop {
        let hover = client.request("textDocument/hover", at.clone()).unwrap();
        let said = hover["contents"]["value"].as_str().unwrap_or_default().to_owned();
        if said.contains("- `a (19)`: Cache: the result of an earlier run is used. Last run: ✓") {
            break said;
        }
        client.wait("a new prediction", |message| (message["method"] == "workspace/codeLens/refresh").then_some(()));
    };
    assert!(said.contains("- `a (10)`: Cache: ") && !said.contains("- `a (20)`: Cache"), "{said}");
    assert!(said.contains("\n- and 2 more combinations"), "{said}");
    assert_eq!(client.quit().code(), Some(0));
}
