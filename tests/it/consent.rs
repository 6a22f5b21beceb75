//! What a file asks for is given by the user: secrets, for each name and project once, on the command line and in the editor; the host; access to
//! the machine.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::{Project, Runner, binary, text, texts};
use test_client::{Client, everything};

const PIPELINE: &str = "\
steps:
  - key: build
    cmd: echo built
  - key: publish
    cmd: test \"$TOKEN\" = hunter2-hunter2 && echo \"<$TOKEN>\"
    secrets: [TOKEN]
";

fn run(project: &Project, more: &[&str]) -> (i32, String, String) {
    let arguments = [&["run", "pipeline.yml", "--runner", "host"], more].concat();
    texts(project.command(Runner::Host, &arguments).env("TOKEN", "hunter2-hunter2").output().unwrap())
}

fn serve(project: &Project, capabilities: Value, settings: Value, answer: Option<&'static str>) -> Client {
    let state = project.state.path().to_str().unwrap();
    let mut client = Client::spawn(binary(), &[("PIPELENS_STATE_DIR", state), ("TOKEN", "hunter2-hunter2")]);
    client.ignores = test_client::is_routine_or_outcome;
    client.chosen_action = answer;
    client.initialize(capabilities, settings).unwrap();
    client.open(&project.uri(), PIPELINE);
    client
}

fn codes(diagnostics: &[Value]) -> Vec<String> {
    diagnostics.iter().map(|diagnostic| text(&diagnostic["code"])).filter(|code| code == "secret-consent").collect()
}

#[test]
fn the_command_line_passes_a_secret_only_if_allowed_and_remembers_that_for_the_project() {
    let project = Project::new(PIPELINE);
    let (code, output, errors) = run(&project, &[]);
    assert_eq!((code, output.as_str()), (2, ""), "{errors}");
    assert!(errors.contains("`TOKEN` (step `publish`)") && errors.contains("--allow-secret TOKEN"), "{errors}");
    // Another name is no consent.
    assert_eq!(run(&project, &["--allow-secret", "OTHER"]).0, 2);
    let (code, output, errors) = run(&project, &["--allow-secret", "TOKEN"]);
    assert_eq!(code, 0, "{output}{errors}");
    assert!(output.contains("Secrets given: `TOKEN` to step `publish`.") && output.contains("<***>"), "{output}");
    assert_eq!(run(&project, &[]).0, 0);
    // A step that names none needs none.
    let stranger = Project { folder: tempfile::tempdir().unwrap(), state: project.state };
    std::fs::write(stranger.file(), PIPELINE).unwrap();
    assert_eq!(run(&stranger, &["--step", "build"]).0, 0);
    assert_eq!(run(&stranger, &[]).0, 2);
    let consents = stranger.state.path().join("consents");
    assert_eq!(consents.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    for file in std::fs::read_dir(consents).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_secrets_file_of_this_run_needs_no_consent_but_the_environment_does() {
    let project = Project::new(PIPELINE);
    let file = project.state.path().join("secrets");
    std::fs::write(&file, "TOKEN=hunter2-hunter2\n").unwrap();
    let more = ["--secrets-file", file.to_str().unwrap()];
    assert_eq!(run(&project, &more).0, 2, "the environment has a value, which comes first");
    let (code, output, errors) =
        project.output(Runner::Host, &[&["run", "pipeline.yml", "--runner", "host"], &more[..]].concat());
    assert_eq!(code, 0, "{output}{errors}");
}

#[test]
fn the_editor_asks_once_and_runs_after_a_yes() {
    let project = Project::new(PIPELINE);
    let mut client = serve(&project, everything(), json!({"runner": "host"}), Some("Allow and Run"));
    let uri = project.uri();
    assert_eq!(codes(&client.diagnostics(&uri, 1)).len(), 1);
    let answer = client.execute("pipelens.runPipeline", json!({"uri": uri})).unwrap();
    assert_eq!(answer, json!({"asksForSecrets": ["TOKEN"]}));
    let question = client.wait("the question", |message| {
        (message["method"] == "window/showMessageRequest").then(|| text(&message["params"]["message"]))
    });
    assert!(question.contains("`TOKEN` (step `publish`)"), "{question}");
    // What was asked for starts by itself, and what the finding said is settled.
    let begun = client.run_event("runStart", |_| true);
    let events = client.run_events(begun["runId"].as_str().unwrap());
    assert_eq!(events.last().unwrap()["outcome"], "succeeded", "{events:?}");
    client.change(&uri, 2, &Value::Null, &format!("{PIPELINE}# again\n"));
    assert_eq!(codes(&client.diagnostics(&uri, 2)), Vec::<String>::new());
    // Nor is it asked again.
    let (_, events) = client.run_to_end("pipelens.runPipeline", json!({"uri": uri}));
    assert_eq!(events.last().unwrap()["outcome"], "succeeded");
    client.quit();
}

#[test]
fn without_a_yes_nothing_runs_and_nothing_is_remembered() {
    let project = Project::new(PIPELINE);
    for answer in [None, Some("Cancel")] {
        let mut client = serve(&project, everything(), json!({"runner": "host"}), answer);
        let uri = project.uri();
        client.execute("pipelens.runPipeline", json!({"uri": uri})).unwrap();
        client.wait("the question", |message| (message["method"] == "window/showMessageRequest").then_some(()));
        // Behind the answer, and so behind whatever it would have set in motion at once.
        assert_eq!(client.execute("pipelens.cancel", Value::Null).unwrap(), json!({"cancelled": []}));
        client.quit();
        assert!(!project.state.path().join("consents").exists());
    }
}

#[test]
fn a_client_that_cannot_ask_learns_how_to_allow_it_and_a_setting_allows_it() {
    let project = Project::new(PIPELINE);
    let mut silent = everything();
    silent["window"].as_object_mut().unwrap().remove("showMessage");
    let mut client = serve(&project, silent, json!({"runner": "host"}), None);
    let refused = client.execute("pipelens.runPipeline", json!({"uri": project.uri()})).unwrap_err();
    assert!(text(&refused["message"]).contains("the setting `pipelens.allowSecrets`"), "{refused}");
    client.quit();
    let settings = json!({"runner": "host", "allowSecrets": ["TOKEN"]});
    let mut client = serve(&project, everything(), settings, None);
    assert_eq!(codes(&client.diagnostics(&project.uri(), 1)), Vec::<String>::new());
    let (_, events) = client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
    assert_eq!(events.last().unwrap()["outcome"], "succeeded");
    client.quit();
}

#[test]
fn a_file_that_asks_for_the_host_needs_the_users_consent() {
    let project = Project::new(
        r"steps:
  - key: a
    cmd: echo a
    runner: host
",
    );
    let mut client = project.serve(Runner::Docker);
    let error = client.execute("pipelens.runPipeline", Value::Null).unwrap_err();
    assert!(text(&error["message"]).contains("asks for the runner `host`"), "{error}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_file_that_asks_for_access_to_the_machine_needs_the_users_consent() {
    for argument in ["privileged: true", "mounts: ['/:/machine']"] {
        let text = format!(
            r"steps:
  - key: a
    cmd: echo a
    image: a:1
    runner_args: {{{argument}}}
"
        );
        let project = Project::new(&text);
        let mut client = project.serve(Runner::Docker);
        let error = client.execute("pipelens.runPipeline", Value::Null).unwrap_err();
        let (name, _) = argument.split_once(':').unwrap();
        let message = text_of(&error, name);
        assert!(message.contains("`pipelens.allowMachineAccess`"), "{error}");
        assert_eq!(client.quit().code(), Some(0));
        // A project's own settings cannot say it.
        std::fs::write(project.folder.path().join(".pipelens.yaml"), "allowMachineAccess: true\n").unwrap();
        let (code, _, errors) = project.output(Runner::Docker, &["run", "pipeline.yml"]);
        assert_eq!(code, 2);
        assert!(errors.contains("--allow-machine-access"), "{errors}");
    }
}

fn text_of(error: &Value, name: &str) -> String {
    let message = text(&error["message"]);
    assert!(message.contains(&format!("asks for `{name}`")), "{message}");
    message
}
