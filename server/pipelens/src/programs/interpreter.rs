//! Which interpreter executes a program: the one the settings name, else that of the project's environment, else the one on the path.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pipelens_core::programs::{Failure, Language};
use pipelens_engine::programs::find;

use super::request::Request;

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
    pub(super) fn call<S: AsRef<OsStr>>(&self, loader: &[S], root: &Path) -> Command {
        let mut command = Command::new(&self.program);
        // What it prints is shown as text.
        command.args(&self.arguments).args(loader).current_dir(root).env("NO_COLOR", "1");
        command
    }
}

/// Returns the interpreters to try, in this order.
pub(super) fn candidates(request: &Request) -> Vec<Interpreter> {
    match request.language {
        Language::Python => pythons(request),
        Language::TypeScript => runtimes(request),
        Language::Other => Vec::new(),
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

/// What each runtime needs to be told so that it reads TypeScript.
const RUNTIMES: [(&str, &[&str]); 4] = [
    // It has the flag since 22.6, and needs none since 23.6.
    ("node", &["--experimental-strip-types", "--disable-warning=ExperimentalWarning"]),
    ("deno", &["run", "--allow-all", "--node-modules-dir=manual"]),
    ("tsx", &[]),
    // Last: a function that ends with a call is not among the callers it knows, so a step may be placed further out.
    ("bun", &["run"]),
];

fn runtimes(request: &Request) -> Vec<Interpreter> {
    let arguments = |program: &Path| {
        let stem = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        RUNTIMES.iter().find(|(name, _)| stem == *name).map_or(&[][..], |(_, arguments)| arguments)
    };
    if let Some(named) = &request.interpreter {
        return vec![Interpreter::new(
            named,
            arguments(Path::new(named)),
            "the setting `pipelens.programs.typescript`",
        )];
    }
    let own = |folder: &Path| ["tsx", "bun"].map(|name| folder.join("node_modules/.bin").join(name));
    let hm = request.program.parent().unwrap_or(&request.root);
    let own = own(hm).into_iter().chain(own(&request.root)).filter(|file| file.is_file());
    let mut found: Vec<Interpreter> =
        own.map(|file| Interpreter::new(&file, arguments(&file), "installed in the project")).collect();
    for (name, arguments) in RUNTIMES {
        let Some(program) = find(name, &[&request.root]) else { continue };
        if name == "node" && !reads_typescript(&program) {
            continue;
        }
        found.push(Interpreter::new(program, arguments, "from `PATH`"));
    }
    found
}

/// Whether this is a node that knows TypeScript: 22.6 or later.
fn reads_typescript(node: &Path) -> bool {
    let Ok(output) = Command::new(node).arg("--version").output() else { return false };
    let version = String::from_utf8_lossy(&output.stdout).trim().trim_start_matches('v').to_owned();
    let mut parts = version.split('.').filter_map(|part| part.parse::<u32>().ok());
    (parts.next(), parts.next()) >= (Some(22), Some(6))
}

/// Whether there are SDKs for a version of Python: all need 3.11. One that cannot be read may be newer.
fn has_sdks(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    parts.next().zip(parts.next()).is_none_or(|version| version >= (3, 11))
}

/// Says which interpreters were tried, and how to get one that works. Each comes with its version.
pub(super) fn none_usable(request: &Request, tried: &[(Interpreter, String)]) -> Failure {
    let message = match tried {
        [] if request.language == Language::TypeScript => "No runtime for TypeScript was found on `PATH`: node (22.6 or later), bun, deno or \
             tsx. Install one, or name it with the setting `pipelens.programs.typescript`."
            .to_owned(),
        [] => "No Python was found: not in the project (`.venv`, `venv`), not in `VIRTUAL_ENV`, not on `PATH`. Install it, or name it with the \
             setting `pipelens.programs.python`."
            .to_owned(),
        [(first, version), ..] if request.language == Language::TypeScript => format!(
            "The Harmont SDK, the package `@harmont/hm`, was not found from `{}` by {first}, version {version}. It belongs in `node_modules` there \
             or above.",
            request.program.parent().unwrap_or(&request.root).display()
        ),
        _ => {
            let list: Vec<String> =
                tried.iter().map(|(interpreter, version)| format!("{interpreter}, version {version}")).collect();
            let advice = match tried.iter().find(|(_, version)| has_sdks(version)) {
                Some((python, _)) => format!("Install it with `{} -m pip install harmont`.", python.words().join(" ")),
                None => "It needs Python 3.11 or later: install one, and name it with the setting `pipelens.programs.python`, or make the \
                         project's virtual environment with it."
                    .to_owned(),
            };
            format!("The Harmont SDK is not installed in any Python that was tried: {}. {advice}", list.join("; "))
        }
    };
    Failure { message, place: None, related: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(versions: &[(&str, &str)]) -> String {
        let program = PathBuf::from("/project/.hm/pipeline.py");
        let request = Request::new(program, Language::Python, String::new(), &crate::settings::Programs::default());
        let tried =
            versions.iter().map(|(path, version)| (Interpreter::new(*path, &[], "tried"), (*version).to_owned()));
        none_usable(&request, &tried.collect::<Vec<_>>()).message
    }

    #[test]
    fn the_sdk_is_to_be_installed_only_where_it_can_be() {
        assert!(told(&[("/old", "3.9"), ("/new", "3.11")]).ends_with("Install it with `/new -m pip install harmont`."));
        let old = told(&[("/old", "3.9")]);
        assert!(old.contains("`/old` (tried), version 3.9. It needs Python 3.11 or later"), "{old}");
        assert!(!old.contains("pip install"), "{old}");
    }
}
