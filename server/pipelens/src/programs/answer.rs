//! What a loader answers.

use std::path::{Path, PathBuf};

use pipelens_core::programs::{Failure, Frame, Made, Position};
use serde::Deserialize;

use super::envelope::pipelines;
use super::request::Request;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Answer {
    #[serde(rename_all = "camelCase")]
    Made {
        envelope: String,
        made: Vec<MadeAnywhere>,
        notices: Vec<String>,
    },
    #[serde(rename_all = "camelCase")]
    NoSdk {
        /// What the import said.
        no_sdk: String,
        version: String,
    },
    Failure(Wrapped),
}

#[derive(Debug, Deserialize)]
pub(super) struct Wrapped {
    failure: FailedAnywhere,
}

/// A part of a file that was being executed: its lines from one, its columns from zero in bytes.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Place(PathBuf, usize, Option<usize>, Option<usize>, Option<usize>);

#[derive(Debug, Deserialize)]
pub(super) struct MadeAnywhere {
    declared: Option<Place>,
    /// For each step, innermost first.
    steps: Vec<Vec<Place>>,
}

#[derive(Debug, Deserialize)]
struct FailedAnywhere {
    kind: String,
    message: String,
    /// Innermost last.
    frames: Vec<Place>,
}

impl Place {
    fn frame(&self) -> Frame {
        let position = |line: usize, column| Position { line: line.saturating_sub(1), column };
        let end = self.3.zip(self.4).map(|(line, column)| position(line, column));
        Frame { start: position(self.1, self.2.unwrap_or(0)), end }
    }

    fn is_in(&self, file: &Path) -> bool {
        self.0 == file || self.0.canonicalize().ok().is_some_and(|path| file.canonicalize().ok() == Some(path))
    }
}

impl MadeAnywhere {
    /// Returns the places in one file: for each step, the innermost.
    pub(super) fn in_file(&self, file: &Path) -> Made {
        let innermost = |places: &Vec<Place>| places.iter().find(|place| place.is_in(file)).map(Place::frame);
        Made {
            declared: self.declared.as_ref().filter(|place| place.is_in(file)).map(Place::frame),
            steps: self.steps.iter().map(innermost).collect(),
        }
    }
}

impl Wrapped {
    /// Says what failed, and where in the program.
    pub(super) fn located(self, request: &Request) -> Failure {
        let FailedAnywhere { kind, message, frames } = self.failure;
        let mut own: Vec<Frame> =
            frames.iter().filter(|place| place.is_in(&request.program)).map(Place::frame).collect();
        let place = own.pop();
        let elsewhere = frames.last().filter(|last| !last.is_in(&request.program));
        let elsewhere = elsewhere.map(|last| {
            let file = last.0.strip_prefix(&request.root).unwrap_or(&last.0);
            format!(" (at {}:{})", file.display(), last.1)
        });
        let message = match (kind.as_str(), message.is_empty()) {
            ("", _) => message,
            (kind, true) => kind.to_owned(),
            (kind, false) => format!("{kind}: {message}"),
        };
        let message = format!("The program failed: {message}{}", elsewhere.unwrap_or_default());
        Failure { message, place, related: own }
    }
}

/// Completes places that the SDK did not tell: steps are looked for by the text of their commands or labels.
pub(super) fn with_guesses(mut made: Vec<Made>, envelope: &str, text: &str) -> Vec<Made> {
    let Ok(envelope) = serde_json::from_str::<serde_json::Value>(envelope) else { return made };
    for (index, (_, nodes)) in pipelines(&envelope).into_iter().enumerate() {
        if made.len() <= index {
            made.push(Made { declared: None, steps: Vec::new() });
        }
        let Some(made) = made.get_mut(index).filter(|made| made.steps.len() != nodes.len()) else { continue };
        let guess = |node: &serde_json::Value| {
            let mut words = ["cmd", "label"].into_iter().filter_map(|name| node.get("step")?.get(name)?.as_str());
            words.find_map(|words| only_line_with(text, words))
        };
        made.steps = nodes.iter().map(guess).collect();
    }
    made
}

/// Returns the only place where a text contains these words.
fn only_line_with(text: &str, words: &str) -> Option<Frame> {
    let mut found = text.lines().enumerate().filter(|(_, line)| !words.is_empty() && line.contains(words));
    let (line, content) = found.next()?;
    let column = content.find(words)?;
    let frame = Frame { start: Position { line, column }, end: Some(Position { line, column: column + words.len() }) };
    found.next().is_none().then_some(frame)
}
