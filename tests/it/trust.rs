//! Trust: what a client says of it, what happens when it is withdrawn, and files that are named by a command.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Project, Runner, binary, text};
use test_client::{Client, everything};

const ENDLESS: &str = r"steps:
  - key: a
    cmd: echo begun; while :; do sleep 0.1; done
";

fn serve(project: &Project, options: Value) -> Client {
    let state = project.state.path().to_str().unwrap();
    let environment = [("PIPELENS_STATE_DIR", state), ("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
    let mut client = Client::spawn(binary(), &environment);
    client.ignores = test_client::is_routine_or_outcome;
    client.initialize(everything(), options).unwrap();
    client
}

fn is_refused(client: &mut Client, project: &Project) -> bool {
    match client.execute("pipelens.runPipeline", json!({"uri": project.uri()})) {
        Ok(_) => false,
        Err(error) => {
            assert!(text(&error["message"]).contains("is not trusted"), "{error}");
            assert_eq!(error["data"], json!({"help": "trust"}));
            true
        }
    }
}

#[test]
fn anything_but_true_counts_as_untrusted() {
    let project = Project::new(
        r"steps:
  - key: a
    cmd: echo ran
",
    );
    for said in [json!(false), Value::Null, json!("true"), json!(1), json!({"trusted": true})] {
        for options in [
            json!({"runner": "host", "workspaceTrusted": said}),
            json!({"pipelens": {"runner": "host", "workspaceTrusted": said}}),
        ] {
            let mut client = serve(&project, options);
            assert!(is_refused(&mut client, &project), "{said}");
            client.quit();
        }
        let mut client = serve(&project, json!({"runner": "host", "workspaceTrusted": true}));
        for params in [json!({"trusted": said}), said.clone(), json!({}), json!([said])] {
            if params.is_object() && params["trusted"] == json!(true) {
                continue;
            }
            client.notify("pipelens/didChangeTrust", json!({"trusted": true}));
            client.notify("pipelens/didChangeTrust", params.clone());
            assert!(is_refused(&mut client, &project), "{params}");
        }
        client.notify("pipelens/didChangeTrust", json!({"trusted": true}));
        assert!(!is_refused(&mut client, &project));
        client.quit();
    }
}

#[test]
fn a_run_ends_when_trust_is_withdrawn() {
    let project = Project::new(ENDLESS);
    let mut client = project.serve(Runner::Host);
    let run_id = client.run("pipelens.runPipeline", json!({"uri": project.uri()}));
    client.run_event("stepLog", |event| event["lines"][0]["text"] == "begun");
    client.notify("pipelens/didChangeTrust", json!({"trusted": false}));
    let events = client.run_events(&run_id);
    assert_eq!(events.last().unwrap()["outcome"], "cancelled", "{events:?}");
    assert!(is_refused(&mut client, &project));
    client.quit();
}

#[test]
fn a_pipe_named_by_a_command_blocks_nothing() {
    let project = Project::new(ENDLESS);
    let mut client = project.serve(Runner::Host);
    for name in ["a.pipeline.yml", "b.pipeline.yml"] {
        let path = project.folder.path().join(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        for command in ["runPipeline", "showGraph"] {
            let uri = format!("file://{}", path.display());
            let refused = client.execute(&format!("pipelens.{command}"), json!({"uri": uri})).unwrap_err();
            assert!(text(&refused["message"]).contains("a named pipe, not a regular file"), "{refused}");
        }
    }
    for (name, target) in [("c.pipeline.yml", "/dev/zero"), ("d.pipeline.yml", "/etc/passwd")] {
        let path = project.folder.path().join(name);
        std::os::unix::fs::symlink(target, &path).unwrap();
        let uri = format!("file://{}", path.display());
        let refused = client.execute("pipelens.runPipeline", json!({"uri": uri})).unwrap_err();
        assert!(text(&refused["message"]).contains("leads out of the project"), "{refused}");
    }
    client.quit();
}

/// In VS Code a workspace may bring settings of its own, but none of this scope.
#[test]
fn a_workspace_cannot_set_what_runs_where() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| -> Value { serde_json::from_slice(&std::fs::read(root.join(path)).unwrap()).unwrap() };
    let package = read("editors/vscode/package.json");
    let settings = &package["contributes"]["configuration"]["properties"];
    let restricted = package["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"].as_array().unwrap();
    // What a project may say in a file of its own, it may say here too; what is shown decides nothing.
    let harmless = ["files", "parallelism", "problemMatchers", "severity", "shell", "shellcheck", "lenses", "run"];
    let mut groups = BTreeSet::new();
    for (setting, definition) in settings.as_object().unwrap() {
        let group = setting.split('.').nth(1).unwrap();
        groups.insert(group);
        let is_machines = definition["scope"] == "machine" && restricted.contains(&json!(setting));
        assert_eq!(is_machines, !harmless.contains(&group), "{setting}");
    }
    for name in read("schemas/settings.schema.json")["properties"].as_object().unwrap().keys() {
        assert!(groups.contains(name.as_str()), "{name} is missing");
    }
    assert!(groups.contains("server"));
}

#[test]
fn nothing_runs_in_an_untrusted_workspace() {
    let project = Project::new(
        r"steps:
  - key: a
    cmd: echo a
",
    );
    let mut client = Client::spawn(binary(), &[]);
    client.ignores = test_client::is_routine_or_outcome;
    client.initialize(everything(), json!({"runner": "host", "workspaceTrusted": false})).unwrap();
    client.open(&project.uri(), &std::fs::read_to_string(project.file()).unwrap());
    let error = client.execute("pipelens.runPipeline", Value::Null).unwrap_err();
    assert!(text(&error["message"]).starts_with("This workspace is not trusted"), "{error}");
    client.notify("pipelens/didChangeTrust", json!({"trusted": true}));
    let (_, events) = client.run_to_end("pipelens.runPipeline", Value::Null);
    assert_eq!(events.last().unwrap()["outcome"], "succeeded");
    assert_eq!(client.quit().code(), Some(0));
}
