//! Pipelines that are programs, with the real SDK: read without executing them, rendered when asked to, run from the editor and the command line.

mod generators;
mod limits;
mod typescript;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::expect_file;
use serde_json::{Value, json};

use crate::skipped::skipped;
use crate::support::{Project, Runner, binary, text};
use test_client::Client;

/// What the Harmont tools execute for Python.
const PLAIN: &str = include_str!("../fixtures/programs/plain.py");

const CI: &str = "\
import harmont as hm


@hm.pipeline(\"ci\")
def ci():
    built = hm.sh(\"echo built > out\", label=\"build\")
    return (built.sh(\"cat out\", label=\"good\"), built.sh(\"cat missing\", label=\"bad\"))
";

/// The interpreter with the SDK, which `cargo xtask test` installs.
pub(crate) fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PIPELENS_TEST_HARMONT").map(PathBuf::from).filter(|python| python.is_file());
    if python.is_none() {
        skipped("the Harmont SDK", "set PIPELENS_TEST_HARMONT to a Python that has it, or run `cargo xtask test`");
    }
    python
}

/// A project with one program, whose virtual environment is the one with the SDK.
pub(crate) fn project(python: Option<&Path>, program: &str) -> Project {
    let project = Project::new("");
    fs::remove_file(project.file()).unwrap();
    fs::create_dir(project.folder.path().join(".hm")).unwrap();
    fs::write(file(&project), program).unwrap();
    if let Some(python) = python {
        let environment = python.ancestors().nth(2).unwrap();
        std::os::unix::fs::symlink(environment, project.folder.path().join(".venv")).unwrap();
        fs::write(project.folder.path().join(".gitignore"), ".venv\n").unwrap();
    }
    project
}

fn file(project: &Project) -> PathBuf {
    project.folder.path().join(".hm/pipeline.py")
}

fn uri(project: &Project) -> String {
    format!("file://{}", file(project).display())
}

fn serve(project: &Project, options: Value) -> Client {
    let environment = [
        ("PIPELENS_STATE_DIR", project.state.path().to_str().unwrap()),
        ("DOCKER_HOST", "unix:///nonexistent/docker.sock"),
    ];
    let mut client = Client::start(binary(), &environment, options);
    client.ignores = test_client::is_routine_or_outcome;
    client.open(&uri(project), &fs::read_to_string(file(project)).unwrap());
    client
}

fn host() -> Value {
    json!({"runner": "host", "severity": {"unpinned-image": "off"}})
}

/// Has a program rendered, as *Show graph* does.
fn render(client: &mut Client, project: &Project) -> Result<Value, Value> {
    client.execute("pipelens.showGraph", json!({"uri": uri(project), "show": false}))
}

fn programs(language: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/programs").join(language);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Returns a project with one of the programs, and what they look at.
fn project_of(python: &Path, program: &Path) -> Project {
    let project = project(Some(python), &fs::read_to_string(program).unwrap());
    fs::write(project.folder.path().join("deps.lock"), "one").unwrap();
    fs::create_dir_all(project.folder.path().join("services/api")).unwrap();
    fs::create_dir_all(project.folder.path().join("web")).unwrap();
    project
}

#[test]
fn a_program_makes_what_the_sdk_alone_prints() {
    let Some(python) = python() else { return };
    let programs = programs("python");
    assert!(programs.len() >= 20);
    for program in programs {
        let project = project_of(&python, &program);
        let plain = project.state.path().join("plain.json");
        let mut command = Command::new(&python);
        command.args(["-c", PLAIN, plain.to_str().unwrap()]).current_dir(project.folder.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
        let (code, made, errors) = project.output(Runner::Host, &["convert", ".hm/pipeline.py", "--to", "envelope"]);
        assert_eq!(code, 0, "{}: {errors}", program.display());
        assert!(errors.contains("Rendered with"), "it says that it has executed the program: {errors}");
        assert_eq!(made.trim_end(), fs::read_to_string(plain).unwrap(), "{}", program.display());
    }
}

/// Returns every step with the part of the program that made it.
fn places(client: &mut Client, project: &Project) -> String {
    places_in(client, &file(project))
}

fn places_in(client: &mut Client, file: &Path) -> String {
    let program = fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = program.lines().collect();
    let params = json!({"textDocument": {"uri": format!("file://{}", file.display())}});
    let symbols = client.request("textDocument/documentSymbol", params).unwrap();
    let mut found = String::new();
    for pipeline in symbols.as_array().unwrap() {
        found.push_str(&format!("  {}\n", text(&pipeline["name"])));
        for step in pipeline["children"].as_array().into_iter().flatten() {
            let (start, end) = (&step["range"]["start"], &step["range"]["end"]);
            let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
            let (first, last) = (number(&start["line"]), number(&end["line"]));
            let (from, to) = (number(&start["character"]), number(&end["character"]));
            // Columns count UTF-16 units.
            let units: Vec<u16> = lines[first].encode_utf16().collect();
            let end = if first == last { to } else { units.len() };
            let written = String::from_utf16(&units[from..end]).unwrap();
            let more = if first == last { String::new() } else { format!(" … line {}", last + 1) };
            found.push_str(&format!("    {}: {}:{} {written}{more}\n", text(&step["name"]), first + 1, from + 1));
        }
    }
    found
}

#[test]
fn every_step_is_at_the_expression_that_made_it() {
    let Some(python) = python() else { return };
    let mut found = String::new();
    for program in programs("python") {
        let project = project_of(&python, &program);
        let mut client = serve(&project, host());
        render(&mut client, &project).unwrap();
        found.push_str(&format!("{}\n{}", program.file_name().unwrap().display(), places(&mut client, &project)));
        assert_eq!(client.quit().code(), Some(0));
    }
    expect_file!["../fixtures/programs/python.txt"].assert_eq(&found);
}

#[test]
fn a_step_is_run_and_its_failure_is_marked_on_its_expression() {
    let Some(python) = python() else { return };
    let project = project(Some(&python), CI);
    let uri = uri(&project);
    let mut client = serve(&project, host());
    assert!(client.diagnostics(&uri, 1).is_empty());
    let titles = client.lens_titles(&uri);
    assert!(titles.iter().all(|title| title.ends_with("pipeline")), "what it makes is not known yet: {titles:?}");
    let (run_id, _) = client.run_to_end("pipelens.runPipeline", json!({"uri": uri, "pipeline": 0}));
    let titles = client.lens_titles(&uri);
    assert!(titles.iter().any(|title| title.contains("✗ exit 1")), "{titles:?}");
    assert!(titles.iter().filter(|title| title.contains("▶ Run step")).count() == 3, "{titles:?}");
    let failure = client.wait("the failure is marked", |message| {
        let found = message["params"]["diagnostics"].as_array()?.first()?;
        (message["params"]["uri"] == uri && text(&found["message"]).contains("Step `bad` failed: exit 1"))
            .then(|| found.clone())
    });
    let range = &failure["range"];
    let marked = &CI.lines().nth(6).unwrap()[range["start"]["character"].as_u64().unwrap() as usize..];
    assert!(range["start"]["line"] == 6 && marked.starts_with("cat missing"), "{failure}");
    // The parent of a step is where it was made.
    let at = json!({"textDocument": {"uri": uri}, "position": {"line": 6, "character": 20}});
    let parents = client.request("textDocument/definition", at.clone()).unwrap();
    assert_eq!(parents["range"]["start"], json!({"line": 5, "character": 12}), "{parents}");
    let hover = client.request("textDocument/hover", at).unwrap();
    assert!(text(&hover["contents"]["value"]).contains("good"), "{hover}");
    // The fix is only in the editor: its text is what is executed, not the file's.
    client.change(
        &uri,
        2,
        &json!({"start": {"line": 6, "character": 0}, "end": {"line": 7, "character": 0}}),
        "    return (built.sh(\"cat out\", label=\"good\"), built.sh(\"cat out\", label=\"bad\"))\n",
    );
    client.execute("pipelens.rerunFailed", json!({"runId": run_id})).unwrap();
    let end = client.run_event("runEnd", |event| event["runId"] != run_id);
    assert_eq!(end["outcome"], "succeeded", "{end}");
    assert_eq!(client.quit().code(), Some(0));
}

/// A program that leaves a mark wherever it is executed.
fn marking(project: &Project) -> String {
    format!("open({:?}, 'w').write('')\n{CI}", project.state.path().join("mark"))
}

#[test]
fn nothing_is_executed_by_opening_reading_typing_and_checking_and_nothing_at_all_without_trust() {
    let python = python();
    let project = project(python.as_deref(), "");
    let mark = project.state.path().join("mark");
    fs::write(file(&project), marking(&project)).unwrap();
    let uri = uri(&project);
    let mut client = serve(&project, host());
    client.diagnostics(&uri, 1);
    client.lens_titles(&uri);
    let at = json!({"textDocument": {"uri": uri}, "position": {"line": 5, "character": 8}});
    for method in ["textDocument/hover", "textDocument/definition", "textDocument/completion"] {
        client.request(method, at.clone()).unwrap();
    }
    client.change(&uri, 2, &json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}), "\n");
    client.diagnostics(&uri, 2);
    client.notify("textDocument/didSave", json!({"textDocument": {"uri": uri}}));
    client.request("textDocument/documentSymbol", json!({"textDocument": {"uri": uri}})).unwrap();
    assert_eq!(client.quit().code(), Some(0));
    assert_eq!(project.output(Runner::Host, &["check"]).0, 0);
    assert_eq!(project.output(Runner::Host, &["list"]).0, 0);
    let mut client =
        serve(&project, json!({"runner": "host", "workspaceTrusted": false, "programs": {"render": "always"}}));
    let refused = client.execute("pipelens.runPipeline", json!({"uri": uri})).unwrap_err();
    assert!(text(&refused["message"]).contains("not trusted"), "{refused}");
    assert!(render(&mut client, &project).is_err());
    assert_eq!(client.quit().code(), Some(0));
    assert!(!mark.exists());
    if python.is_some() {
        assert_eq!(project.output(Runner::Host, &["check", "--render"]).0, 0);
        assert!(mark.exists(), "only now");
    }
}

#[test]
fn what_a_program_declares_is_known_without_executing_it() {
    let program = "\
import harmont as hm


@hm.pipeline(\"Night Run\", trigger=[])
def nightly(): ...


@hm.pipeline()
def ci(): ...


@hm.pipeline(\"ci\")
def other(: ...
";
    let project = project(None, program);
    let mut client = serve(&project, host());
    let found = client.diagnostics(&uri(&project), 1);
    let codes: Vec<String> = found.iter().map(|finding| text(&finding["code"])).collect();
    assert_eq!(codes, ["program-slug", "program-argument", "program-slug", "syntax"], "{found:?}");
    let titles = client.lens_titles(&uri(&project));
    assert_eq!(titles.iter().filter(|title| title.ends_with("▶ Run pipeline")).count(), 3, "{titles:?}");
    assert_eq!(client.quit().code(), Some(0));
    let (code, report, _) = project.output(Runner::Host, &["check"]);
    assert!(code == 1 && report.contains("Did you mean `triggers`?"), "{report}");
}

#[test]
fn other_python_files_are_answered_with_nothing() {
    let project = project(None, CI);
    let other = format!("file://{}", project.folder.path().join("app.py").display());
    let mut client = serve(&project, host());
    client.open(&other, CI);
    let document = json!({"textDocument": {"uri": other}});
    assert_eq!(client.request("textDocument/codeLens", document.clone()).unwrap(), Value::Null);
    assert_eq!(client.request("textDocument/documentSymbol", document).unwrap(), Value::Null);
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn the_lenses_of_a_good_rendering_stay_while_the_program_is_broken() {
    let Some(python) = python() else { return };
    let project = project(Some(&python), CI);
    let uri = uri(&project);
    let mut client = serve(&project, host());
    render(&mut client, &project).unwrap();
    let steps =
        |client: &mut Client| client.lens_titles(&uri).into_iter().filter(|title| title.contains("▶ Run step")).count();
    assert_eq!(steps(&mut client), 3);
    // A line before them moves them; an edit of a step hides that one.
    client.change(
        &uri,
        2,
        &json!({"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 0}}),
        "x = (\n",
    );
    assert_eq!(steps(&mut client), 3);
    let lens = client.lenses(&uri).pop().unwrap();
    assert_eq!(lens["range"]["start"]["line"], 7, "{lens}");
    let inside = json!({"start": {"line": 7, "character": 30}, "end": {"line": 7, "character": 31}});
    client.change(&uri, 3, &inside, "Z");
    assert_eq!(steps(&mut client), 2);
    let refused = client.execute("pipelens.runStep", json!({"uri": uri, "step": "good"})).unwrap_err();
    assert!(text(&refused["message"]).contains("SyntaxError"), "a run renders afresh: {refused}");
    assert_eq!(steps(&mut client), 2, "a failed rendering brings back no step");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_program_is_rendered_again_when_it_is_saved_after_the_first_run() {
    let Some(python) = python() else { return };
    let project = project(Some(&python), CI);
    let uri = uri(&project);
    let mut client = serve(&project, host());
    render(&mut client, &project).unwrap();
    let end = json!({"start": {"line": 6, "character": 0}, "end": {"line": 7, "character": 0}});
    client.change(&uri, 2, &end, "    return built.sh(\"echo new\", label=\"new\")\n");
    client.notify("textDocument/didSave", json!({"textDocument": {"uri": uri}}));
    // Each rendering has the lenses refreshed, and so does what follows from it.
    let names = |client: &mut Client| -> Vec<String> {
        let document = json!({"textDocument": {"uri": uri}});
        let symbols = client.request("textDocument/documentSymbol", document).unwrap();
        symbols[0]["children"].as_array().unwrap().iter().map(|step| text(&step["name"])).collect()
    };
    while names(&mut client) != ["build", "new"] {
        client.wait("the lenses are refreshed", |message| {
            (message["method"] == "workspace/codeLens/refresh").then_some(())
        });
    }
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn the_command_line_finds_the_program_and_runs_a_step_of_it() {
    let Some(python) = python() else { return };
    let project = project(Some(&python), CI);
    fs::write(project.folder.path().join(".hm/helpers.py"), "WORD = 'made'\n").unwrap();
    let (code, log, errors) = project.output(Runner::Host, &["run", "--runner", "host", "--step", "good"]);
    assert!(code == 0 && log.contains("built"), "{code} {log} {errors}");
    let (code, drawn, _) = project.output(Runner::Host, &["graph"]);
    assert!(code == 0 && drawn.contains("├─ good"), "{drawn}");
    let (code, yaml, _) = project.output(Runner::Host, &["convert", ".hm/pipeline.py", "--to", "yaml"]);
    assert!(code == 0 && yaml.contains("builds_in: build"), "{yaml}");
}

#[test]
fn many_steps_of_one_expression_share_a_lens_that_lets_the_user_choose() {
    let Some(python) = python() else { return };
    let program = "import harmont as hm\n\n\n@hm.pipeline(\"ci\")\ndef ci():\n    return [hm.sh(f\"echo {n}\", label=f\"n{n}\") for n in range(20)]\n";
    let project = project(Some(&python), program);
    let uri = uri(&project);
    let mut client = serve(&project, host());
    render(&mut client, &project).unwrap();
    let titles = client.lens_titles(&uri);
    assert_eq!(titles.iter().filter(|title| title.contains("▶ Run step")).count(), 8, "{titles:?}");
    assert!(titles.iter().any(|title| title.ends_with("… 12 more")), "{titles:?}");
    let choose = json!({"uri": uri, "pipeline": 0, "step": "n8", "list": true});
    let choice = client.execute("pipelens.chooseCombination", choose).unwrap();
    assert_eq!(choice["combinations"].as_array().unwrap().len(), 20, "{choice}");
    let (_, events) = client.run_to_end("pipelens.runStep", json!({"uri": uri, "step": "n17"}));
    assert_eq!(events.last().unwrap()["outcome"], "succeeded");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn the_steps_of_a_program_are_symbols_of_the_workspace_once_it_was_rendered() {
    let Some(python) = python() else { return };
    let project = project(Some(&python), CI);
    let mut client = serve(&project, host());
    let symbols =
        |client: &mut Client, query: &str| client.request("workspace/symbol", json!({"query": query})).unwrap();
    assert_eq!(symbols(&mut client, "good"), json!([]), "nothing was executed");
    assert_eq!(symbols(&mut client, "ci")[0]["name"], "ci");
    render(&mut client, &project).unwrap();
    let found = symbols(&mut client, "good");
    assert_eq!(found[0]["location"]["range"]["start"]["line"], 6, "{found}");
    assert_eq!(found[0]["location"]["uri"], uri(&project));
}
