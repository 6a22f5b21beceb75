//! What helps when something does not work: the report of `doctor`, the server's log, the message without an engine.

use serde_json::{Value, json};

use crate::support::{Project, Runner, binary, runners, text};
use test_client::Client;

const PIPELINE: &str = "steps:\n  - key: build\n    cmd: echo built\n    image: alpine:3\n";

#[test]
fn the_report_names_every_place_that_was_tried_and_what_it_answered() {
    let project = Project::new(PIPELINE);
    let (code, output, _) = project.output(Runner::Host, &["doctor"]);
    assert_eq!(code, 1, "{output}");
    for part in [
        concat!("✓ version   pipelens ", env!("CARGO_PKG_VERSION")),
        "· engine    unix:///nonexistent/docker.sock (`DOCKER_HOST`): ",
        "✗ engine    no container engine answered. Start Docker",
        "free for logs and results in ",
    ] {
        assert!(output.contains(part), "{part} is not in:\n{output}");
    }
    let (_, output, _) = project.output(Runner::Host, &["doctor", "--format", "json"]);
    let report: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(report["hasTrouble"], json!(true));
}

#[test]
fn the_report_says_whether_the_cache_registry_answers() {
    let project = Project::new(PIPELINE);
    let reports = |runner: Runner, repository: &str, expected: &str| {
        let settings = format!("cacheRegistry: {repository}\n");
        std::fs::write(project.state.path().join("settings.yaml"), settings).unwrap();
        let (_, output, _) = project.output(runner, &["doctor"]);
        assert!(output.contains(expected), "{expected} is not in:\n{output}");
    };
    reports(Runner::Host, "a.example/cache", "· registry  a.example/cache was not asked, because no engine answers");
    reports(
        Runner::Host,
        "a.example/cache:tag",
        "✗ registry  `a.example/cache:tag` cannot be used as `cacheRegistry`: it should",
    );
    if runners().contains(&Runner::Docker) {
        // Nothing listens there.
        reports(Runner::Docker, "127.0.0.1:1/cache", "✗ registry  127.0.0.1:1/cache cannot be read: ");
    }
}

#[test]
fn the_editor_can_ask_for_the_report_and_the_server_can_keep_a_log() {
    let project = Project::new(PIPELINE);
    let log = project.state.path().join("server.log");
    let mut command = std::process::Command::new(binary());
    command
        .args(["lsp", "--log", log.to_str().unwrap()])
        .env("PIPELENS_STATE_DIR", project.state.path())
        .env("PIPELENS_SETTINGS", "no-settings.yaml")
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let mut client = Client::spawn_command(&mut command);
    client.initialize(test_client::everything(), json!({})).unwrap();
    let report = client.request("workspace/executeCommand", json!({"command": "pipelens.doctor"})).unwrap();
    assert_eq!(report["hasTrouble"], json!(true));
    let shown = client.wait("the report", |message| {
        (message["method"] == "window/showDocument").then(|| text(&message["params"]["uri"]))
    });
    assert!(shown.ends_with("/doctor.txt"), "{shown}");
    assert_eq!(client.quit().code(), Some(0));
    assert!(log.exists());
}

#[test]
fn without_an_engine_the_message_names_what_was_tried_and_runs_on_this_machine() {
    let project = Project::new(PIPELINE);
    let environment = [
        ("PIPELENS_STATE_DIR", project.state.path().to_str().unwrap()),
        ("DOCKER_HOST", "unix:///nonexistent/docker.sock"),
    ];
    let mut client = Client::start(binary(), &environment, json!({"severity": {"unpinned-image": "off"}}));
    client.ignores = test_client::is_routine_or_outcome;
    client.chosen_action = Some("Run on Host");
    client.open(&project.uri(), PIPELINE);
    let run_id = client.run("pipelens.runPipeline", json!({"uri": project.uri()}));
    client.run_events(&run_id);
    let asked = client.wait("the question", |message| {
        (message["method"] == "window/showMessageRequest").then(|| message["params"].clone())
    });
    let message = text(&asked["message"]);
    assert!(message.contains("/nonexistent/docker.sock") && !message.contains("--"), "{message}");
    let titles: Vec<String> =
        asked["actions"].as_array().unwrap().iter().map(|action| text(&action["title"])).collect();
    assert_eq!(titles, ["Run on Host", "Settings"]);
    let end = client.run_event("runEnd", |event| event["runId"] != json!(run_id));
    assert_eq!(end["outcome"], "succeeded");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn steps_on_one_line_have_lenses_that_name_them() {
    let project = Project::new("steps: [{key: a, cmd: echo}, {key: b, cmd: echo}]\n");
    let mut client = project.serve(Runner::Host);
    let titles = client.lens_titles(&project.uri());
    for title in ["0: a: ▶ Run step", "0: b: ▶ Run step"] {
        assert!(titles.iter().any(|shown| shown == title), "{titles:?}");
    }
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn progress_says_nothing_twice() {
    let project =
        Project::new("steps:\n  - key: loud\n    cmd: for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.1; done\n");
    let mut client = project.serve(Runner::Host);
    let (run_id, _) = client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
    client.wait("the end of the progress", |message| (message["params"]["value"]["kind"] == "end").then_some(()));
    let token = json!(format!("pipelens/{run_id}"));
    let values = client.take(|message| message["method"] == "$/progress" && message["params"]["token"] == token);
    let said: Vec<&Value> = values.iter().map(|message| &message["params"]["value"]).collect();
    assert!(
        said.windows(2)
            .all(|pair| pair[0]["message"] != pair[1]["message"] || pair[0]["percentage"] != pair[1]["percentage"]),
        "{said:#?}"
    );
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_run_of_an_earlier_server_has_all_that_its_record_has_even_if_its_file_is_not_open() {
    let project = Project::new("name: ci\nsteps:\n  - key: a\n    cmd: echo a\n");
    let second = project.folder.path().join("second.pipeline.yml");
    let text_of_second = "name: second\nsteps:\n  - key: only\n    cmd: echo x > left; exit 3\n    artifacts: {paths: [left], when: always}\n";
    std::fs::write(&second, text_of_second).unwrap();
    let uri = project.uri().replace("pipeline.yml", "second.pipeline.yml");
    let mut client = project.serve(Runner::Host);
    let (run_id, _) = client.run_to_end("pipelens.runPipeline", json!({"uri": uri}));
    assert_eq!(client.quit().code(), Some(0));
    let mut client = project.serve(Runner::Host);
    let tree = client.request("pipelens/runs", json!({"uri": uri})).unwrap();
    let run = &tree["pipelines"][0]["runs"][0];
    assert_eq!((&run["runId"], &run["isOwn"], &run["state"]), (&json!(run_id), &json!(false), &json!("failed")));
    let step = &run["steps"]["only"];
    assert_eq!((&step["state"], &step["exitCode"]), (&json!("failed"), &json!(3)), "{run}");
    assert!(step["durationMs"].is_u64() && step["shell"].is_string() && step["log"].is_string(), "{run}");
    assert!(step["artifacts"].is_string() && run["artifacts"].is_string(), "{run}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_client_gets_the_whole_tree_of_runs_those_of_earlier_servers_too() {
    let text_of = "name: ci\nsteps:\n  - key: build\n    label: Build it\n    cmd: echo built\n  - key: test\n    cmd: exit 3\n    matrix: {n: [1, 2]}\n";
    let project = Project::new(text_of);
    let mut client = project.serve(Runner::Host);
    let (run_id, _) = client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
    let tree = client.request("pipelens/runs", json!({"uri": project.uri()})).unwrap();
    let pipeline = &tree["pipelines"][0];
    assert_eq!(
        (&tree["version"], &pipeline["name"], &pipeline["runs"][0]["runId"]),
        (&json!(1), &json!("ci"), &json!(run_id))
    );
    let (build, test) = (&pipeline["steps"][0], &pipeline["steps"][1]);
    assert_eq!(
        (&build["label"], &build["state"]["state"], &build["position"]["line"]),
        (&json!("Build it"), &json!("succeeded"), &json!(2))
    );
    assert!(std::path::Path::new(&text(&build["state"]["log"])).exists(), "{build}");
    let entry = &test["entries"][1];
    assert_eq!((&entry["state"]["state"], &entry["state"]["exitCode"]), (&json!("failed"), &json!(3)));
    assert_eq!(client.quit().code(), Some(0));
    let mut client = project.serve(Runner::Host);
    let tree = client.request("pipelens/runs", json!({})).unwrap();
    let run = &tree["pipelines"][0]["runs"][0];
    assert_eq!((&run["runId"], &run["isOwn"], &run["state"]), (&json!(run_id), &json!(false), &json!("failed")));
    assert_eq!(tree["pipelines"][0]["steps"][0]["state"]["state"], "succeeded");
    // A file that is not open is described as it is on the disk.
    let second = project.folder.path().join("second.pipeline.yml");
    std::fs::write(&second, "name: second\nsteps:\n  - key: only\n    cmd: x\n").unwrap();
    let uri = project.uri().replace("pipeline.yml", "second.pipeline.yml");
    let tree = client.request("pipelens/runs", json!({"uri": uri})).unwrap();
    assert_eq!(
        (&tree["pipelines"][0]["name"], &tree["pipelines"][0]["steps"][0]["key"]),
        (&json!("second"), &json!("only"))
    );
    std::fs::remove_file(&second).unwrap();
    assert_eq!(client.request("pipelens/runs", json!({"uri": uri})).unwrap()["pipelines"], json!([]));
    assert_eq!(client.quit().code(), Some(0));
}
