//! The virtual environment of a Python project: a cache mount, so that the next run finds what this one has installed.

use super::requirements::{Manifests, Tool};

/// The folder of the environment.
pub(super) const FOLDER: &str = ".venv";

/// What an environment was made from is kept in it.
const RECORD: &str = ".venv/made-from";

/// The Python that all other tools make an environment with.
const PYTHON: &str = "python3 -c 'import sys; print(sys.version, sys.executable)'";

/// The Python that uv makes an environment with.
const UV_PYTHON: &str = "uv python find --system";

/// uv would remove an environment that it cannot use with its folder, which is a mount.
const EMPTY: &str = "find .venv -mindepth 1 -delete";

/// Build systems that copy Python files and nothing else, unless they are told to.
const COPYING: [&str; 7] = ["setuptools", "wheel", "hatchling", "flit_core", "poetry-core", "pdm-backend", "uv_build"];

/// Signs that building a package writes files or finds out its version from the sources: a later run would need both again.
const SIGNS_OF_MORE: [&str; 14] = [
    "ext_modules",
    "ext-modules",
    "cmdclass",
    "cffi_modules",
    "rust_extensions",
    "scm_version",
    "build.hooks",
    "[tool.pdm.build",
    "[tool.poetry.build",
    "dynamic",
    "attr:",
    "version = file:",
    "version=file:",
    "build = \"",
];

/// What installs the packages again after a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// Each run: the tool itself compares the environment with its lock file.
    ByTool,
    /// A change of Python or of one of these files.
    After {
        tool: Tool,
        files: Vec<String>,
        /// The sources are installed as a link to their place.
        is_linked: bool,
    },
    /// Each run, from nothing: building the sources can do anything.
    Always,
}

impl Renewal {
    pub(super) fn of(manifests: &Manifests) -> Self {
        let is_linked = manifests.installs_itself();
        if manifests.installs_other_sources() || is_linked && !only_copies(manifests) {
            return if manifests.tool == Tool::Uv { Self::ByTool } else { Self::Always };
        }
        Self::After { tool: manifests.tool, files: manifests.files(), is_linked }
    }

    /// Returns commands that install what is not installed yet.
    pub(super) fn commands(&self, install: Vec<String>) -> Vec<String> {
        match self {
            Self::Always => install,
            Self::ByTool => {
                let same = format!("[ \"$({UV_PYTHON})\" = \"$(cat {RECORD} 2>/dev/null)\" ]");
                let first = format!("{same} || {EMPTY}");
                [first].into_iter().chain(install).chain([format!("{UV_PYTHON} >{RECORD}")]).collect()
            }
            Self::After { tool, files, is_linked } => {
                let python = if *tool == Tool::Uv { UV_PYTHON } else { PYTHON };
                let place = if *is_linked { "pwd && " } else { "" };
                let files = if files.is_empty() { String::new() } else { format!(" && cat {}", files.join(" ")) };
                let mut commands = vec![
                    format!("made_from=$({place}{python}{files})"),
                    format!(r#"if [ "$made_from" != "$(cat {RECORD} 2>/dev/null)" ]; then"#),
                ];
                commands.extend((*tool == Tool::Uv).then(|| format!("  {EMPTY}")));
                commands.extend(install.into_iter().map(|command| format!("  {command}")));
                commands.push(format!(r#"  printf '%s\n' "$made_from" >{RECORD}"#));
                commands.push("fi".to_owned());
                commands
            }
        }
    }
}

/// Whether building the project does nothing but copy its Python files, so that a link to them is as good.
fn only_copies(manifests: &Manifests) -> bool {
    let requirements = manifests.build_requirements();
    let is_known = |requirement: &String| {
        let name = requirement.split(|character: char| !character.is_ascii_alphanumeric() && !"-_".contains(character));
        name.into_iter().next().is_some_and(|name| COPYING.contains(&name))
    };
    requirements.iter().all(is_known) && !SIGNS_OF_MORE.iter().any(|sign| manifests.mentions(sign))
}
