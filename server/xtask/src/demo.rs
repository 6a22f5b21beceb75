//! The main job, shown: a scripted editor opens a sample with one mistake, fixes it, and runs it. Nothing is made up: every line
//! comes out of the real server over the real protocol.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{docker, tools};
use test_client::Client;

const SAMPLE: &str = include_str!("../demo/pipeline.yml");

/// What to do after the demo.
const NEXT: &str = "
Next
  cargo install --path server/pipelens     installs the program
  pipelens init                            writes a first pipeline for your project, in its folder
  pipelens check                           finds the mistakes in it
  pipelens run pipeline.yml                runs it
  editors/README.md                        says how to set up VS Code, Neovim and other editors";

/// Plays a session, on Docker where that answers.
pub(crate) fn demo() -> Result<()> {
    run()?;
    println!("{NEXT}");
    Ok(())
}

fn run() -> Result<()> {
    println!("The demo takes about 10 seconds, after a build that takes some minutes the first time.");
    tools::run("cargo", ["build", "--package", "pipelens", "--locked"])?;
    let project = tempfile::tempdir()?;
    let file = project.path().join("pipeline.yml");
    fs::write(&file, SAMPLE)?;
    fs::write(project.path().join("hello.txt"), "Hello from the sources\n")?;
    if docker::users_socket_exists() {
        println!("\nA container engine is running: the sample runs in Docker.\n");
        match show(&file, "docker")?.as_str() {
            "succeeded" => return Ok(()),
            "engineUnreachable" => {
                println!("\nThe engine does not answer. The same on the host runner, without containers:\n")
            }
            outcome => println!(
                "\nIn Docker the sample {outcome} (see above). The same on the host runner, without containers:\n"
            ),
        }
    } else {
        println!(
            "\nNo container engine is here, so the sample runs on the host runner: directly on this machine, in a copy of"
        );
        println!("the sources. With Docker it would run in containers, with the same lenses, logs and outcomes.\n");
    }
    match show(&file, "host")?.as_str() {
        "succeeded" => Ok(()),
        outcome => bail!("the sample {outcome}"),
    }
}

/// Plays the whole session on one runner and returns the run's outcome.
fn show(file: &Path, runner: &str) -> Result<String> {
    let state = tempfile::tempdir()?;
    let binary = tools::built("debug")?;
    let state_folder = state.path().display().to_string();
    let mut client = Client::start(&binary, &[("PIPELENS_STATE_DIR", &state_folder)], json!({"runner": runner}));
    let uri = format!("file://{}", file.display());

    title("An editor opens pipeline.yml");
    client.open(&uri, SAMPLE);
    for (number, line) in SAMPLE.lines().enumerate() {
        println!("  {:>2} │ {line}", number + 1);
    }
    title("The mistake, while you type");
    let found = client.diagnostics(&uri, 1);
    let mistake = found.iter().find(|diagnostic| diagnostic["severity"] == 1).context("the sample has a mistake")?;
    println!("  line {}: {}", line(mistake) + 1, text(&mistake["message"]));

    title("The fix, one click");
    let params =
        json!({"textDocument": {"uri": uri}, "range": mistake["range"], "context": {"diagnostics": [mistake]}});
    let actions = client.request("textDocument/codeAction", params).map_err(|error| anyhow::anyhow!("{error}"))?;
    let actions = actions.as_array().cloned().unwrap_or_default();
    let fix = actions.iter().find(|action| action["kind"] == "quickfix").context("the mistake has a fix")?;
    println!("  {}", text(&fix["title"]));
    let edit = &fix["edit"]["changes"][&uri][0];
    client.change(&uri, 2, &edit["range"], &text(&edit["newText"]));
    let left = client.diagnostics(&uri, 2);
    println!("  {} errors left", left.iter().filter(|diagnostic| diagnostic["severity"] == 1).count());

    title("The run buttons");
    show_lenses(&mut client, &uri);

    title("A click on ▶ Run pipeline");
    let run_id = client.run("pipelens.runPipeline", json!({"uri": uri}));
    let outcome = follow(&mut client, &run_id);

    title("The buttons now");
    show_lenses(&mut client, &uri);
    client.quit();
    Ok(outcome)
}

/// Prints the log and the progress of a run as they come, up to the final word; returns the outcome.
fn follow(client: &mut Client, run_id: &str) -> String {
    let mut outcome = String::new();
    loop {
        let message = client.wait("the run", |message| {
            let method = message["method"].as_str()?;
            let is_ours = method.starts_with("window/") || ["$/progress", "pipelens/runEvent"].contains(&method);
            is_ours.then(|| message.clone())
        });
        let params = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "window/logMessage" => text(&params["message"]).lines().for_each(|line| println!("  {line}")),
            "$/progress" if params["value"]["kind"] != "end" => {
                let value = &params["value"];
                println!("  ··· {:>3} %  {}", value["percentage"], text(&value["message"]));
            }
            "pipelens/runEvent" if params["kind"] == "runEnd" && params["runId"] == run_id => {
                outcome = text(&params["outcome"]);
            }
            "window/showMessage" | "window/showMessageRequest" => {
                println!("\nThe final word\n  {}", text(&params["message"]));
                return outcome;
            }
            _ => {}
        }
    }
}

/// Prints the lenses, those of a line together.
fn show_lenses(client: &mut Client, uri: &str) {
    let mut shown: Vec<(u64, String)> = Vec::new();
    for lens in client.lenses(uri) {
        let (line, title) = (line(&lens) + 1, text(&lens["command"]["title"]));
        match shown.last_mut() {
            Some((last, titles)) if *last == line => *titles = format!("{titles} | {title}"),
            Some(_) | None => shown.push((line, title)),
        }
    }
    for (line, titles) in shown {
        println!("  line {line:>2}: {titles}");
    }
}

fn title(text: &str) {
    println!("\n{text}");
}

fn line(diagnostic: &Value) -> u64 {
    diagnostic["range"]["start"]["line"].as_u64().unwrap_or(0)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
