//! Commands of the user's that print pipelines: an envelope or a plan, and, if they know it, where each step is made.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use pipelens_core::Project;
use pipelens_core::programs::{Failure, Frame, Made, Position, Rendering};
use serde::Deserialize;
use serde_json::Value;

use super::envelope::pipelines;
use super::process::{Answers, Ended, Input, Limits, run};
use super::request::{Rendered, Request, failed};

/// Where a command says the pipelines are made, by their names; a plan has the name that is empty.
type Places = BTreeMap<String, PlacesOfPipeline>;

/// A line and a column, and those of the end. All count from one; columns count characters.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Range(usize, usize, usize, usize);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PlacesOfPipeline {
    heading: Option<Range>,
    /// By the keys of the steps.
    steps: BTreeMap<String, Range>,
}

/// Executes the command for a file.
pub(super) fn render(request: &Request, project: Option<&dyn Project>, before: Option<&Rendering>) -> Rendered {
    let path = request.program.display().to_string();
    let words: Vec<String> = request.command.iter().map(|word| word.replace("{file}", &path)).collect();
    let shown = words.join(" ");
    let fail = |why: String, output: String| {
        let message = format!("`{shown}`, the command for this file in `pipelens.programs.commands`, {why}.");
        failed(request, before, Failure { message, place: None, related: Vec::new() }, output)
    };
    let Some((program, arguments)) = words.split_first() else {
        return fail("is empty".to_owned(), String::new());
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&request.root);
    let input = Input::Text(request.text.clone());
    let Ended { answer, output, why } = run(command, input, &Answers::OnOutput, Limits::default());
    if let Some(why) = why {
        return fail(why, output);
    }
    let mut printed: Value = match serde_json::from_slice(&answer) {
        Ok(printed) => printed,
        Err(error) => return fail(format!("printed something that is not JSON: {error}"), output),
    };
    let places = printed.as_object_mut().and_then(|printed| printed.remove("places"));
    let places: Places = match places.map(serde_json::from_value).transpose() {
        Ok(places) => places.unwrap_or_default(),
        Err(error) => return fail(format!("printed `places` that cannot be read: {error}"), output),
    };
    let lines: Vec<&str> = request.text.lines().collect();
    let made: Vec<Made> = pipelines(&printed).into_iter().map(|pipeline| made(pipeline, &places, &lines)).collect();
    let envelope = printed.to_string();
    let rendering = Rendering::new(&request.text, request.language, &envelope, &made, project, before);
    let notices = vec![format!("Made by `{shown}`.")];
    Rendered { rendering: Arc::new(rendering), envelope: Some(envelope), output, notices }
}

fn made((name, nodes): (&str, &[Value]), places: &Places, lines: &[&str]) -> Made {
    let places = places.get(name);
    let place = |node: &Value| {
        let key = node.pointer("/step/key")?.as_str()?;
        Some(frame(*places?.steps.get(key)?, lines))
    };
    Made {
        declared: places.and_then(|places| places.heading).map(|heading| frame(heading, lines)),
        steps: nodes.iter().map(place).collect(),
    }
}

fn frame(range: Range, lines: &[&str]) -> Frame {
    let position = |line: usize, column: usize| {
        let line = line.saturating_sub(1);
        let written = lines.get(line).copied().unwrap_or_default();
        let bytes = written.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum();
        Position { line, column: bytes }
    };
    Frame { start: position(range.0, range.1), end: Some(position(range.2, range.3)) }
}
