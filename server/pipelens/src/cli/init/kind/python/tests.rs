//! How the tests of a Python project are run, and which packages that takes.

use std::collections::BTreeSet;
use std::path::Path;

use super::requirements::{MANIFESTS, Manifests, covers, is_requirement};
use crate::cli::init::project::{Folder, shell_word};

/// So many test files show what they are written for.
const MAX_READ: usize = 50;

pub(super) enum Runner {
    /// With its arguments.
    Pytest(String),
    /// The project uses it, but has no test yet.
    PytestWithoutTests,
    /// With its arguments.
    Unittest(String),
    Django,
    None,
}

pub(super) struct Tests {
    pub(super) runner: Runner,
    /// The configuration of pytest.
    options: String,
}

/// Plug-ins of pytest, and the options that need them.
const PLUGINS: [(&str, &str); 4] = [
    ("--cov", "pytest-cov"),
    ("asyncio_mode", "pytest-asyncio"),
    ("DJANGO_SETTINGS_MODULE", "pytest-django"),
    ("-n auto", "pytest-xdist"),
];

impl Tests {
    pub(super) fn find(folder: Folder<'_>, manifests: &Manifests) -> Self {
        let (others, files): (Vec<&Path>, Vec<&Path>) =
            folder.files().filter(|file| is_test(file)).partition(|file| is_in_other_project(folder, file));
        let own = ["pytest.ini", ".pytest.ini", "pytest.toml"].iter().find_map(|file| folder.text(file));
        let options = own.or_else(|| manifests.pytest_options());
        let is_configured = options.is_some() || files.iter().any(|file| file.ends_with("conftest.py"));
        let uses_pytest = is_configured || manifests.names("pytest") || manifests.tox().contains("pytest");
        let files: Vec<&Path> = files.into_iter().filter(|file| !file.ends_with("conftest.py")).collect();
        let written_for_pytest = || {
            let texts = files.iter().take(MAX_READ).filter_map(|file| folder.text(file));
            let mut lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
            let marks = ["import pytest", "from pytest", "def test_", "async def test_"];
            lines.any(|line| marks.iter().any(|mark| line.starts_with(mark)))
        };
        let runner = if folder.has("manage.py") && !is_configured && !manifests.names("pytest-django") {
            Runner::Django
        } else if files.is_empty() {
            // From here, those of the other projects would be run.
            if uses_pytest && others.is_empty() { Runner::PytestWithoutTests } else { Runner::None }
        } else if uses_pytest || written_for_pytest() {
            Runner::Pytest(if others.is_empty() { String::new() } else { tops(&files) })
        } else {
            unittest(folder, &files)
        };
        Self { runner, options: options.unwrap_or_default() }
    }

    /// Returns the packages the tests need and nothing else installs.
    pub(super) fn packages(&self, manifests: &Manifests) -> Vec<String> {
        match self.runner {
            Runner::Pytest(_) | Runner::PytestWithoutTests => {
                let plugins =
                    PLUGINS.iter().filter(|(option, _)| self.options.contains(option)).map(|(_, plugin)| *plugin);
                let mut packages: Vec<String> = ["pytest"]
                    .into_iter()
                    .chain(plugins)
                    .filter(|package| !manifests.installs(package))
                    .map(str::to_owned)
                    .collect();
                // tox's own requirements may have a version.
                let listed = tox_dependencies(manifests.tox());
                packages.retain(|package| !listed.iter().any(|listed| is_requirement(listed, package)));
                packages.extend(listed.into_iter().filter(|package| !manifests.installs(package)));
                packages
            }
            Runner::Unittest(_) => tox_dependencies(manifests.tox()),
            Runner::Django => ["Django".to_owned()]
                .into_iter()
                .filter(|_| !manifests.names("Django") && !manifests.names("django"))
                .collect(),
            Runner::None => Vec::new(),
        }
    }
}

/// Whether pytest and unittest look here for tests.
fn is_test(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_elsewhere = file
        .iter()
        .any(|name| name == "node_modules" || name == "site-packages" || name.to_string_lossy().starts_with('.'));
    let is_named = name.starts_with("test_")
        || name.ends_with("_test.py")
        || name == "conftest.py"
        || name == "tests.py"
        || name == "test.py";
    name.ends_with(".py") && is_named && !is_elsewhere
}

/// Whether a file belongs to a project in a directory below this one, which has steps of its own.
fn is_in_other_project(folder: Folder<'_>, file: &Path) -> bool {
    let places = file.ancestors().skip(1).filter(|place| !place.as_os_str().is_empty());
    places.filter(|place| !covers(folder, place)).any(|place| {
        MANIFESTS.iter().any(|manifest| place.join(manifest).to_str().is_some_and(|manifest| folder.has(manifest)))
    })
}

/// Returns the directories and files at the top that contain the tests, as arguments.
fn tops(files: &[&Path]) -> String {
    let tops: BTreeSet<&str> = files.iter().filter_map(|file| file.iter().next()?.to_str()).collect();
    tops.iter().map(|top| format!(" {}", shell_word(top))).collect()
}

/// Its discovery enters a directory only if that is a package, so it has to begin where the tests are.
fn unittest(folder: Folder<'_>, files: &[&Path]) -> Runner {
    let start = ["tests", "test"].into_iter().find(|start| files.iter().any(|file| file.starts_with(start)));
    let ends_with_test = files.iter().all(|file| file.to_string_lossy().ends_with("_test.py"));
    let pattern = if ends_with_test { " -p '*_test.py'" } else { "" };
    Runner::Unittest(match start {
        Some(start) if folder.has(&format!("{start}/__init__.py")) => format!(" -s {start} -t .{pattern}"),
        Some(start) => format!(" -s {start}{pattern}"),
        None => pattern.to_owned(),
    })
}

/// Returns the requirements of tox's environments, without those for only some of them.
fn tox_dependencies(tox: &str) -> Vec<String> {
    let Some((_, environment)) = tox.split_once("[testenv]") else { return Vec::new() };
    let mut lines = environment.lines().take_while(|line| !line.starts_with('['));
    let Some(first) =
        lines.by_ref().find_map(|line| line.strip_prefix("deps").and_then(|rest| rest.trim_start().strip_prefix('=')))
    else {
        return Vec::new();
    };
    let more = lines.take_while(|line| line.is_empty() || line.starts_with([' ', '\t', '#']));
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || "-_.[]<>=!~,".contains(character);
    [first]
        .into_iter()
        .chain(more)
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| {
            !line.is_empty() && !line.starts_with('-') && !line.starts_with('.') && line.chars().all(is_allowed)
        })
        .map(str::to_owned)
        .collect()
}
