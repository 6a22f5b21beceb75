//! What a run's steps made, as a person at a terminal gets it.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Project, Runner, binary, runners, text};
use test_client::Client;

const TWO: &str = r"name: two
default_image: pipelens-test/busybox:latest
steps:
  - {key: build, cmd: 'mkdir -p out; echo app > out/app; ln -s app out/latest', artifacts: [out]}
  - {key: test, cmd: echo report > junit.xml, artifacts: [junit.xml]}
";

fn count_and_folder(output: &str) -> (String, String) {
    let line = output.lines().find_map(|line| line.strip_prefix("Artifacts: "));
    let (count, folder) = line.unwrap_or_else(|| panic!("{output}")).split_once(" in ").unwrap();
    (count.to_owned(), folder.to_owned())
}

#[test]
fn the_summary_says_where_the_artifacts_are() {
    for runner in runners() {
        let project = Project::new(TWO);
        let run = |more: &[&str]| {
            let arguments = [&["run", "pipeline.yml", "--runner", runner.name()], more].concat();
            let (code, output, errors) = project.output(runner, &arguments);
            assert_eq!(code, 0, "{output}{errors}");
            count_and_folder(&output)
        };
        let (count, folder) = run(&[]);
        assert_eq!(count, "3 files");
        assert_eq!(fs::read_to_string(format!("{folder}/build/out/latest")).unwrap(), "app\n");
        let (count, folder) = run(&["--step", "test"]);
        assert_eq!(count, "1 file");
        assert_eq!(fs::read_to_string(format!("{folder}/junit.xml")).unwrap(), "report\n");
    }
}

#[test]
fn artifacts_are_put_where_the_user_wants_them() {
    for runner in runners() {
        let project = Project::new(TWO);
        let target = project.folder.path().join("got/here");
        let arguments = ["run", "pipeline.yml", "--runner", runner.name(), "--artifacts", "got/here"];
        let run = || {
            let (code, output, errors) = project.output(runner, &arguments);
            assert_eq!(code, 0, "{output}{errors}");
            assert_eq!(
                count_and_folder(&output),
                ("3 files".to_owned(), target.canonicalize().unwrap().display().to_string())
            );
        };
        run();
        // A file of an earlier run is replaced, and one of the user's is kept.
        let (app, latest, other) =
            (target.join("build/out/app"), target.join("build/out/latest"), target.join("other"));
        fs::write(&app, "old").unwrap();
        fs::write(&other, "mine").unwrap();
        fs::remove_file(&latest).unwrap();
        fs::hard_link(&other, &latest).unwrap();
        run();
        let text = |path| fs::read_to_string(path).unwrap();
        assert_eq!((text(&app), text(&latest), text(&other)), ("app\n".into(), "app\n".into(), "mine".into()));
        assert!(
            !project.state.path().join("runs").read_dir().unwrap().any(|run| run
                .unwrap()
                .path()
                .join("artifacts")
                .exists())
        );
    }
}

#[test]
fn a_place_that_cannot_hold_artifacts_is_refused_before_anything_runs() {
    let project = Project::new(TWO);
    fs::write(project.folder.path().join("file"), "").unwrap();
    for (target, why) in [("file", "it is not a folder"), ("file/below", ""), ("/proc/artifacts", "")] {
        let arguments = ["run", "pipeline.yml", "--runner", "host", "--artifacts", target];
        let (code, output, errors) = project.output(Runner::Host, &arguments);
        assert_eq!((code, output.as_str()), (2, ""), "{errors}");
        let sentence = format!("The artifacts cannot be put in `{target}`: {why}");
        assert!(errors.contains(&sentence) && errors.contains("Choose another folder for `--artifacts`"), "{errors}");
    }
}

/// Starts a server with this setting for artifacts and the pipeline open.
fn serve(project: &Project, artifacts_dir: &Value, capabilities: Option<Value>) -> Client {
    let state = project.state.path().to_str().unwrap();
    let mut client = Client::spawn(binary(), &[("PIPELENS_STATE_DIR", state)]);
    let options = json!({"runner": "host", "artifactsDir": artifacts_dir});
    client.initialize(capabilities.unwrap_or_else(test_client::everything), options).unwrap();
    client.ignores = test_client::is_routine_or_outcome;
    client.open(&project.uri(), TWO);
    client
}

fn shown_folder(client: &mut Client) -> String {
    let shown = client.wait("the folder to be shown", |message| {
        (message["method"] == "window/showDocument").then(|| message["params"].clone())
    });
    assert_eq!(shown["external"], true, "an editor has no folders to show");
    text(&shown["uri"]).strip_prefix("file://").unwrap().to_owned()
}

#[test]
fn the_editor_opens_the_artifacts_of_a_step_and_of_a_run() {
    for runner in runners() {
        let project = Project::new(TWO);
        let mut client = project.serve(runner);
        let refused = client.execute("pipelens.openArtifacts", json!({})).unwrap_err();
        assert_eq!(refused["message"], "No run has left artifacts");
        client.chosen_action = Some("Open artifacts");
        client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
        let message = client.wait("the final message", |message| {
            (message["method"] == "window/showMessageRequest").then(|| message["params"].clone())
        });
        assert_eq!(message["actions"], json!([{"title": "Open artifacts"}]));
        let (count, folder) = text(&message["message"])
            .split_once(". Artifacts: ")
            .and_then(|(_, rest)| rest.split_once(" in "))
            .map(|(count, folder)| (count.to_owned(), folder.to_owned()))
            .unwrap();
        assert_eq!(count, "3 files");
        assert_eq!(shown_folder(&mut client), folder);
        let lenses = client.lenses(&project.uri());
        let opens = |lens: &&Value| lens["command"]["command"] == "pipelens.openArtifacts";
        let commands: Vec<&Value> = lenses.iter().filter(opens).map(|lens| &lens["command"]).collect();
        let titles: Vec<&Value> = commands.iter().map(|command| &command["title"]).collect();
        assert_eq!(titles, ["Open artifacts (2 files)", "Open artifacts (1 file)"]);
        let answer = client.execute("pipelens.openArtifacts", commands[1]["arguments"][0].clone()).unwrap();
        assert_eq!(answer["path"], format!("{folder}/test"));
        assert_eq!(shown_folder(&mut client), format!("{folder}/test"));
        let cursor = json!({"line": 4, "character": 10});
        let actions = client.request(
            "textDocument/codeAction",
            json!({"textDocument": {"uri": project.uri()}, "range": {"start": cursor, "end": cursor}, "context": {"diagnostics": []}}),
        );
        let actions = actions.unwrap();
        let titles: Vec<String> = actions.as_array().unwrap().iter().map(|action| text(&action["title"])).collect();
        assert!(titles.contains(&"Open artifacts (1 file) `test`".to_owned()), "{titles:?}");
        let refused = client.execute("pipelens.openArtifacts", json!({"step": "other"})).unwrap_err();
        assert_eq!(refused["message"], "Step `other` has left no artifacts");
        fs::remove_dir_all(&folder).unwrap();
        let refused = client.execute("pipelens.openArtifacts", json!({"step": "test"})).unwrap_err();
        assert_eq!(refused["message"], format!("The artifacts are no longer in `{folder}/test`; run the step again"));
        assert_eq!(client.quit().code(), Some(0));
    }
}

#[test]
fn a_client_that_shows_no_documents_gets_the_path() {
    let project = Project::new(TWO);
    let mut capabilities = test_client::everything();
    capabilities["window"] = json!({});
    let mut client = serve(&project, &Value::Null, Some(capabilities));
    client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
    let answer = client.execute("pipelens.openArtifacts", json!({"step": "test"})).unwrap();
    let said = format!("The artifacts are in {}", text(&answer["path"]));
    client.wait("the path", |message| (message["params"]["message"] == *said).then_some(()));
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn the_setting_puts_artifacts_into_a_folder_of_the_project_or_anywhere_the_user_says() {
    let elsewhere = tempfile::tempdir().unwrap();
    let project = Project::new(TWO);
    let inside = project.folder.path().join("made/here");
    for (setting, target) in [("made/here", inside.as_path()), (elsewhere.path().to_str().unwrap(), elsewhere.path())] {
        let mut client = serve(&project, &json!(setting), None);
        client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
        assert_eq!(fs::read_to_string(target.join("build/out/latest")).unwrap(), "app\n");
        let answer = client.execute("pipelens.openArtifacts", json!({})).unwrap();
        assert_eq!(answer["path"], json!(target.canonicalize().unwrap()));
        shown_folder(&mut client);
        assert_eq!(client.quit().code(), Some(0));
    }
}

#[test]
fn a_project_cannot_lead_its_artifacts_out() {
    use std::os::unix::fs::symlink;

    let outside = tempfile::tempdir().unwrap();
    let project = Project::new(TWO);
    let root = project.folder.path();
    symlink(outside.path(), root.join("link")).unwrap();
    fs::create_dir_all(root.join("folder")).unwrap();
    symlink(outside.path(), root.join("folder/build")).unwrap();
    // Only the user can name a folder.
    fs::write(root.join(".pipelens.yaml"), format!("artifactsDir: {}\n", outside.path().display())).unwrap();
    for (setting, why) in [
        ("link", "is a link"),
        ("link/below", "is a link"),
        ("folder", "is a link"),
        ("../other", "a relative path is a folder inside the project"),
        ("pipeline.yml", "it is not a folder"),
    ] {
        let mut client = serve(&project, &json!(setting), None);
        let refused = client.execute("pipelens.runPipeline", json!({"uri": project.uri()})).unwrap_err();
        let message = text(&refused["message"]);
        assert!(message.contains(why) && message.ends_with("the setting `pipelens.artifactsDir`"), "{message}");
        assert_eq!(client.quit().code(), Some(0));
    }
    let mut client = serve(&project, &Value::Null, None);
    client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(client.quit().code(), Some(0));
}
