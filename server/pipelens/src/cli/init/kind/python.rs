//! Python: pip in a virtual environment next to the sources, or the tool the project is locked with.

mod environment;
mod requirements;
mod tests;

use super::step::{Kind, Part};
use crate::cli::init::project::Folder;
use crate::cli::init::versions::{self, Release};
use environment::{FOLDER, Renewal};
pub(super) use requirements::covers;
use requirements::{MANIFESTS, Manifests, Tool};
use tests::{Runner, Tests};

const RELEASES: [Release; 8] = [(3, 13), (3, 14), (3, 12), (3, 11), (3, 10), (3, 9), (3, 8), (3, 7)];
const USUAL: &str = "3.13";

/// Without `.git`, these tools cannot find out the version.
const VERSION_TOOLS: [&str; 5] = ["setuptools_scm", "setuptools-scm", "hatch-vcs", "versioningit", "poetry-dynamic"];

pub(super) fn detect(folder: Folder<'_>) -> Option<Kind> {
    folder.first(&MANIFESTS)?;
    Some(steps(folder))
}

/// Scripts without a manifest.
pub(super) fn scripts(folder: Folder<'_>) -> Option<Kind> {
    let is_test = |name: &str| name.starts_with("test_") || name.ends_with("_test.py");
    let in_tests =
        || folder.files().any(|file| file.starts_with("tests") && file.extension().is_some_and(|end| end == "py"));
    let mut names = folder.names().filter(|name| name.ends_with(".py"));
    (names.any(|name| is_test(name) || !name.starts_with('_')) || in_tests()).then(|| steps(folder))
}

fn steps(folder: Folder<'_>) -> Kind {
    let manifests = Manifests::read(folder);
    let tests = Tests::find(folder, &manifests);
    let (packages, version) = (tests.packages(&manifests), version(folder, &manifests));
    let uses_ruff = manifests.names("ruff") || folder.first(&["ruff.toml", ".ruff.toml"]).is_some();
    let mut wanted = packages;
    wanted.extend(uses_ruff.then(|| "ruff".to_owned()).filter(|_| !manifests.installs("ruff")));
    let renewal = Renewal::of(&manifests);
    let install = manifests.install(&wanted, matches!(renewal, Renewal::After { is_linked: true, .. }));
    let image = match manifests.tool {
        Tool::Uv => format!("ghcr.io/astral-sh/uv:0.9-python{}-bookworm", major_and_minor(&version)),
        Tool::Pip | Tool::Poetry | Tool::Pdm | Tool::Pipenv => format!("python:{version}"),
    };
    let python = match (&renewal, install.is_empty()) {
        (Renewal::ByTool, _) => "uv run python",
        (_, false) => ".venv/bin/python",
        (_, true) => "python3",
    };
    let lint = uses_ruff.then(|| ("lint", format!("{python} -m ruff check .")));
    let test = match tests.runner {
        Runner::Pytest(ref arguments) => ("test", format!("{python} -m pytest{arguments}")),
        // No tests yet is not a failure: pytest's exit code for it is 5.
        Runner::PytestWithoutTests => ("test", format!("{python} -m pytest || [ $? -eq 5 ]")),
        Runner::Unittest(ref arguments) => ("test", format!("{python} -m unittest discover{arguments}")),
        Runner::Django => ("test", format!("{python} manage.py test")),
        Runner::None => ("compile", format!("{python} -m compileall -q -x '[.]venv' .")),
    };
    let commands = [lint, Some(test)].into_iter().flatten();
    let mut parts: Vec<Part> = Vec::new();
    if install.is_empty() {
        let mut parent = None;
        for (key, command) in commands {
            parts.push(match parent {
                None => Part::root(key, image.clone(), vec![command]),
                Some(parent) => Part::then(key, parent, command),
            });
            parent = parent.or(Some(key));
        }
    } else {
        let downloads: &[&str] = match manifests.tool {
            Tool::Uv => &["~/.cache/uv"],
            Tool::Pip => &["~/.cache/pip"],
            Tool::Poetry => &["~/.cache/pypoetry", "~/.cache/pip"],
            Tool::Pdm => &["~/.cache/pdm", "~/.cache/pip"],
            Tool::Pipenv => &["~/.cache/pipenv", "~/.cache/pip"],
        };
        let environment: &[&str] = if renewal == Renewal::Always { &[] } else { &[FOLDER] };
        let deps = Part::root("deps", image, renewal.commands(install)).mounts(environment).mounts(downloads);
        parts.push(deps);
        // The same mounts, so that a container can go on with the next step.
        let next = |(key, command)| Part::then(key, "deps", command).mounts(environment);
        parts.extend(commands.map(next).map(|part| if environment.is_empty() { part } else { part.mounts(downloads) }));
    }
    let has_version_tool = VERSION_TOOLS.iter().any(|tool| manifests.mentions(tool));
    if has_version_tool && let Some(deps) = parts.first_mut() {
        deps.env.push(("SETUPTOOLS_SCM_PRETEND_VERSION", "0.0.0"));
    }
    for part in &mut parts {
        part.env.extend(manifests.tool.env(part.key));
        // An installed package would be found, but only in the directory it was installed from.
        if part.key == "test" && folder.has_folder("src") && !manifests.is_installed_elsewhere() {
            part.env.push(("PYTHONPATH", "src"));
        }
    }
    Kind::new("a Python project", folder, parts)
}

fn major_and_minor(version: &str) -> String {
    version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

/// Returns the version the project says, else the usual one if its range allows it.
fn version(folder: Folder<'_>, manifests: &Manifests) -> String {
    let runtime = || folder.text("runtime.txt").and_then(|text| versions::plain(text.trim().strip_prefix("python-")?));
    let exact = folder.version_in(".python-version", "python").and_then(|text| versions::plain(&text)).or_else(runtime);
    exact.unwrap_or_else(|| {
        let range = manifests.python_range();
        let allowed = range.and_then(|range| versions::first_allowed(&range, &RELEASES));
        allowed.map_or_else(|| USUAL.to_owned(), |(major, minor)| format!("{major}.{minor}"))
    })
}
