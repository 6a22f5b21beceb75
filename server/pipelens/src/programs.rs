//! Programs that make pipelines: which interpreter executes them, and what came out of it. Executing happens here and nowhere else, and only when
//! a person has asked for it.

mod answer;
mod envelope;
mod generator;
mod interpreter;
mod process;
mod request;

use std::path::Path;
use std::sync::Arc;

use pipelens_core::Project;
use pipelens_core::programs::{Failure, Language, Rendering};

use crate::settings::Programs;
use answer::Answer;
use interpreter::Interpreter;
use process::{Answers, Ended, Input, Limits};
use request::failed;
pub(crate) use request::{Rendered, Request};

/// Executed by the project's own interpreter.
const PYTHON_LOADER: &str = include_str!("programs/loader.py");

/// Executed by whichever runtime there is.
const TYPESCRIPT_LOADER: &str = include_str!("programs/loader.mjs");

/// Executes a program. `before` is what it made the last time; that is kept if it fails.
pub(crate) fn render(request: &Request, project: Option<&dyn Project>, before: Option<&Rendering>) -> Rendered {
    if request.language == Language::Other {
        return generator::render(request, project, before);
    }
    let mut tried = Vec::new();
    for interpreter in interpreter::candidates(request) {
        let (answer, output) = match ask(request, &interpreter) {
            Ok(answered) => answered,
            Err((why, output)) => return failed(request, before, sentence(&interpreter, why), output),
        };
        match answer {
            Answer::NoSdk { no_sdk, version } => {
                tracing::debug!("{interpreter}: {no_sdk}");
                tried.push((interpreter, version));
            }
            Answer::Made { envelope, made, notices } => {
                let made: Vec<_> = made.iter().map(|made| made.in_file(&request.program)).collect();
                let made = answer::with_guesses(made, &envelope, &request.text);
                let rendering = Rendering::new(&request.text, request.language, &envelope, &made, project, before);
                let notices = [format!("Rendered with {interpreter}.")].into_iter().chain(notices).collect();
                return Rendered { rendering: Arc::new(rendering), envelope: Some(envelope), output, notices };
            }
            Answer::Failure(failure) => return failed(request, before, failure.located(request), output),
        }
    }
    failed(request, before, interpreter::none_usable(request, &tried), String::new())
}

fn ask(request: &Request, interpreter: &Interpreter) -> Result<(Answer, String), (String, String)> {
    let mut texts = request.others.clone();
    texts.insert(request.program.clone(), request.text.clone());
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return Err((format!("needs a temporary folder: {error}"), String::new())),
    };
    let file = folder.path().join("answer.json");
    let input = serde_json::json!({
        "root": request.root, "program": request.program, "texts": texts, "answer": file,
    });
    let (call, answers) = match request.language {
        Language::Python => (interpreter.call(&["-c", PYTHON_LOADER], &request.root), Answers::OnOutput),
        Language::TypeScript | Language::Other => {
            let loader = folder.path().join("loader.mjs");
            if let Err(error) = std::fs::write(&loader, TYPESCRIPT_LOADER) {
                return Err((format!("needs a temporary file: {error}"), String::new()));
            }
            (interpreter.call(&[loader.as_os_str()], &request.root), Answers::InFile(file))
        }
    };
    let Ended { answer, output, why } =
        process::run(call, Input::Request(input.to_string()), &answers, Limits::default());
    if let Some(why) = why {
        return Err((why, output));
    }
    match serde_json::from_slice(&answer) {
        Ok(answer) => Ok((answer, output)),
        Err(_) => Err(("ended before it had made its pipelines; does it call `os._exit`?".to_owned(), output)),
    }
}

fn sentence(interpreter: &Interpreter, why: String) -> Failure {
    Failure { message: format!("The program, executed by {interpreter}, {why}."), place: None, related: Vec::new() }
}

/// Returns the language of a program, if a path is that of one.
pub(crate) fn language(path: &Path) -> Option<Language> {
    Language::of(path.to_str()?)
}

/// Like `language`, also for the files that the user has commands for. `root` is the project.
pub(crate) fn language_in(path: &Path, root: &Path, settings: &Programs) -> Option<Language> {
    let other = || settings.commands.of(path, root).map(|_| Language::Other);
    language(path).or_else(other)
}
