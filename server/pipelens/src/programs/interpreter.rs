//! Which interpreter executes a program: the one the settings name, else that of the project's environment, else the one on the path.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pipelens_core::programs::{Failure, Language};
use pipelens_engine::programs::find;

use super::Request;

/// An interpreter, and why it was chosen.
#[derive(Debug, Clone)]
pub(super) struct Interpreter {
    program: PathBuf,
    arguments: Vec<String>,
    why: &'static str,
}

impl fmt::Display for Interpreter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}`", self.words().join(" "))?;
        write!(out, " ({})", self.why)
    }
}

impl Interpreter {
    fn new(program: impl Into<PathBuf>, arguments: &[&str], why: &'static str) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { program: program.into(), arguments, why }
    }

    fn words(&self) -> Vec<String> {
        let program = self.program.display().to_string();
        [program].into_iter().chain(self.arguments.iter().cloned()).collect()
    }

    /// Returns the command that executes a loader in a project.
    pub(super) fn call(&self, loader: &str, root: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(["-c", loader]).current_dir(root);
        command
    }
}

/// Returns the interpreters to try, in this order.
pub(super) fn candidates(request: &Request) -> Vec<Interpreter> {
    match request.language {
        Language::Python => pythons(request),
        Language::TypeScript => Vec::new(),
    }
}

fn pythons(request: &Request) -> Vec<Interpreter> {
    let root = &request.root;
    if let Some(named) = &request.interpreter {
        // A relative path would be a different program in every project, and the project's word.
        return vec![Interpreter::new(named, &[], "the setting `pipelens.programs.python`")];
    }
    let mut found = Vec::new();
    let file = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
    for name in [".venv", "venv"] {
        let python = root.join(name).join(file);
        if python.is_file() {
            found.push(Interpreter::new(python, &[], "the project's virtual environment"));
        }
    }
    if let Some(active) = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from).map(|folder| folder.join(file))
        && active.is_file()
    {
        found.push(Interpreter::new(active, &[], "`VIRTUAL_ENV`"));
    }
    for (lock, tool, arguments) in
        [("uv.lock", "uv", ["run", "--no-sync", "python"].as_slice()), ("poetry.lock", "poetry", &["run", "python"])]
    {
        if root.join(lock).is_file()
            && let Some(tool) = find(tool, &[root])
        {
            found.push(Interpreter::new(tool, arguments, "the tool that the project is locked with"));
        }
    }
    let names: &[&str] = if cfg!(windows) { &["python", "py"] } else { &["python3", "python"] };
    if let Some(python) = names.iter().find_map(|name| find(name, &[root])) {
        found.push(Interpreter::new(python, &[], "from `PATH`"));
    }
    found
}

/// Says which interpreters were tried, and how to get one that works. Each comes with its version.
pub(super) fn none_usable(request: &Request, tried: &[(Interpreter, String)]) -> Failure {
    let message = match tried {
        [] => format!(
            "No {} was found: not in the project (`.venv`, `venv`), not in `VIRTUAL_ENV`, not on `PATH`. Install it, or name it with the \
             setting `pipelens.programs.python`.",
            request.language.name()
        ),
        [(first, _), ..] => {
            let list: Vec<String> =
                tried.iter().map(|(interpreter, version)| format!("{interpreter}, version {version}")).collect();
            format!(
                "The Harmont SDK is not installed in any Python that was tried: {}. Install it with `{} -m pip install harmont`.",
                list.join("; "),
                first.words().join(" ")
            )
        }
    };
    Failure { message, place: None, related: Vec::new() }
}
