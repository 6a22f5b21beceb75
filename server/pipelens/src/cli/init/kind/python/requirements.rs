//! What a Python project requires, in any of the files that can say so.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::init::project::{Folder, slashes};

/// What installs the project's packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Pip,
    Uv,
    Poetry,
    Pdm,
    Pipenv,
}

/// Files that show a project is in Python.
pub(super) const MANIFESTS: [&str; 9] = [
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "requirements.txt",
    "requirements-dev.txt",
    "requirements/base.txt",
    "Pipfile",
    "tox.ini",
    "manage.py",
];

/// The files with requirements of tests, the most specific first.
const TEST_FILES: [&str; 15] = [
    "requirements-test.txt",
    "requirements-tests.txt",
    "requirements_test.txt",
    "requirements_tests.txt",
    "test-requirements.txt",
    "test_requirements.txt",
    "requirements/test.txt",
    "requirements/tests.txt",
    "requirements/testing.txt",
    "tests/requirements.txt",
    "requirements-dev.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "requirements/dev.txt",
    "requirements/development.txt",
];

/// The names that extras and groups with the requirements of tests have.
const TEST_EXTRAS: [&str; 6] = ["test", "tests", "testing", "dev", "develop", "development"];

/// A file that is included too often is read once.
const MAX_FILES: usize = 20;

/// Everything that says what a project requires.
#[derive(Debug)]
pub(super) struct Manifests {
    pub(super) tool: Tool,
    project: Option<toml::Value>,
    project_text: String,
    pipfile: Option<toml::Value>,
    /// `setup.py`, `setup.cfg` and `tox.ini`.
    setup: String,
    tox: String,
    /// The files that are installed, with those they include.
    files: Vec<String>,
    included: BTreeSet<String>,
    /// Those of the usual manifests that are there.
    present: Vec<&'static str>,
    requirements: String,
    lock: Option<&'static str>,
    is_package: bool,
    /// `pyproject.toml` lists requirements, but does not say how to build a package that would have them.
    is_application: bool,
    extra: Option<String>,
    group: Option<String>,
}

/// A workspace of uv is one environment; what is in a package of the project is part of it.
pub(in crate::cli::init::kind) fn covers(folder: Folder<'_>, below: &Path) -> bool {
    let has_workspace = || {
        let manifest = folder.toml("pyproject.toml")?;
        manifest.get("tool")?.get("uv")?.get("workspace").map(drop)
    };
    let is_tests = below.starts_with("tests") || below.starts_with("test") || below.starts_with("requirements");
    is_tests || has_workspace().is_some()
}

impl Tool {
    /// Returns what a step needs to be told so that the environment is next to the sources.
    pub(super) fn env(self, key: &str) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Poetry if key == "deps" => Some(("POETRY_VIRTUALENVS_IN_PROJECT", "true")),
            Self::Pipenv if key == "deps" => Some(("PIPENV_VENV_IN_PROJECT", "1")),
            // Its cache and the environment are different mounts.
            Self::Uv if key == "deps" => Some(("UV_LINK_MODE", "copy")),
            Self::Poetry | Self::Pipenv | Self::Pip | Self::Uv | Self::Pdm => None,
        }
    }
}

impl Manifests {
    pub(super) fn read(folder: Folder<'_>) -> Self {
        let project = folder.toml("pyproject.toml");
        let table = |path: &[&str]| path.iter().try_fold(project.as_ref()?, |value, key| value.get(key));
        let (setup_py, setup_cfg) = (folder.text("setup.py"), folder.text("setup.cfg").unwrap_or_default());
        let (tool, lock) = [
            ("uv.lock", Tool::Uv),
            ("poetry.lock", Tool::Poetry),
            ("pdm.lock", Tool::Pdm),
            ("Pipfile.lock", Tool::Pipenv),
            ("Pipfile", Tool::Pipenv),
        ]
        .into_iter()
        .find(|(file, _)| folder.has(file))
        .map_or((Tool::Pip, None), |(file, tool)| (tool, Some(file)));
        // Without a lock file, pip can build what Poetry describes, but it knows nothing of Poetry's groups.
        let poetry = |key: &str| table(&["tool", "poetry", key]).is_some();
        let is_built = table(&["build-system"]).is_some() && poetry("name");
        let needs_poetry = poetry("dependencies") && !is_built || poetry("group") || poetry("dev-dependencies");
        let tool = if tool == Tool::Pip && needs_poetry { Tool::Poetry } else { tool };
        let tool = if tool == Tool::Pip && table(&["tool", "uv"]).is_some() && table(&["project"]).is_some() {
            Tool::Uv
        } else {
            tool
        };
        let builds = table(&["build-system"]).is_some() && table(&["project", "name"]).is_some();
        let is_package = builds || is_built || setup_py.is_some() || setup_cfg.contains("[metadata]");
        let names = |path: &[&str]| -> Vec<String> {
            table(path).and_then(toml::Value::as_table).map(|table| table.keys().cloned().collect()).unwrap_or_default()
        };
        let setup = format!("{}\n{setup_cfg}", setup_py.unwrap_or_default());
        let extras = names(&["project", "optional-dependencies"]);
        let in_setup = |name: &str| has_extra(&setup, name);
        let extra = TEST_EXTRAS.iter().find(|name| extras.iter().any(|extra| extra == *name) || in_setup(name));
        let groups = [names(&["dependency-groups"]), names(&["tool", "poetry", "group"])].concat();
        let is_application = !is_package && (table(&["project", "dependencies"]).is_some() || extra.is_some());
        let group = TEST_EXTRAS.iter().find(|name| groups.iter().any(|group| group == *name));
        let main = ["requirements.txt", "requirements/base.txt", "requirements/main.txt"];
        let main = folder.first(&main);
        let files: Vec<String> = main.into_iter().chain(folder.first(&TEST_FILES)).map(str::to_owned).collect();
        let mut manifests = Self {
            tool,
            pipfile: folder.toml("Pipfile"),
            tox: folder.text("tox.ini").unwrap_or_default(),
            lock: lock.filter(|lock| *lock != "Pipfile"),
            extra: extra.map(|name| (*name).to_owned()),
            group: group.map(|name| (*name).to_owned()),
            included: BTreeSet::new(),
            present: MANIFESTS.into_iter().filter(|file| folder.has(file)).collect(),
            requirements: String::new(),
            setup,
            is_package,
            is_application,
            files,
            project: project.clone(),
            project_text: folder.text("pyproject.toml").unwrap_or_default(),
        };
        for file in manifests.files.clone() {
            manifests.include(folder, &file);
        }
        manifests
    }

    fn include(&mut self, folder: Folder<'_>, file: &str) {
        if self.included.len() >= MAX_FILES || !self.included.insert(file.to_owned()) {
            return;
        }
        let Some(text) = folder.text(file) else { return };
        for line in text.lines().map(str::trim) {
            let option =
                ["-r", "-c", "--requirement", "--constraint"].iter().find_map(|option| line.strip_prefix(option));
            if let Some(other) = option.map(|rest| rest.trim_start_matches(['=', ' ']).trim()) {
                let path = Path::new(file).parent().unwrap_or(Path::new("")).join(other);
                self.include(folder, &slashes(&path));
            }
        }
        self.requirements.push_str(&text);
        self.requirements.push('\n');
    }

    /// Whether any of the files requires a package or configures it.
    pub(super) fn names(&self, package: &str) -> bool {
        let in_toml = [&self.project, &self.pipfile].into_iter().flatten().any(|value| names(value, package));
        in_toml
            || self.installs(package)
            || has_line(&self.tox, package)
            || has_line(&self.setup, package)
            || self.setup_names(package)
    }

    fn setup_names(&self, package: &str) -> bool {
        let quotes = ['"', '\''];
        self.setup.split(quotes).any(|string| is_requirement(string, package))
    }

    /// Whether the requirements that are installed contain a package.
    pub(super) fn installs(&self, package: &str) -> bool {
        if has_line(&self.requirements, package) {
            return true;
        }
        let in_table = |path: &[&str]| {
            let value =
                self.project.as_ref().and_then(|project| path.iter().try_fold(project, |value, key| value.get(key)));
            value.is_some_and(|value| names(value, package))
        };
        let extra = self.extra.as_deref().is_some_and(|extra| in_table(&["project", "optional-dependencies", extra]));
        let group = self.group.as_deref().is_some_and(|group| {
            in_table(&["dependency-groups", group]) || in_table(&["tool", "poetry", "group", group])
        });
        let always = [
            &["project", "dependencies"][..],
            &["tool", "poetry", "dependencies"],
            &["tool", "poetry", "dev-dependencies"],
            &["tool", "uv", "dev-dependencies"],
            &["tool", "pdm", "dev-dependencies"],
        ];
        let in_pipfile = || self.tool == Tool::Pipenv && self.pipfile.as_ref().is_some_and(|file| names(file, package));
        extra || group || always.iter().any(|path| in_table(path)) || in_pipfile()
    }

    /// Whether any of the files contains these words.
    pub(super) fn mentions(&self, words: &str) -> bool {
        self.project_text.contains(words) || self.setup.contains(words)
    }

    /// Returns the configuration of pytest, wherever it is.
    pub(super) fn pytest_options(&self) -> Option<String> {
        let table = self.project.as_ref().and_then(|project| project.get("tool")?.get("pytest"));
        let sections = [(&self.setup, "[tool:pytest]"), (&self.tox, "[pytest]")];
        let in_section = sections.into_iter().find_map(|(text, section)| Some(text.split_once(section)?.1.to_owned()));
        table.map(|_| self.project_text.clone()).or(in_section)
    }

    pub(super) fn tox(&self) -> &str {
        &self.tox
    }

    /// Returns the range of Python versions the project allows.
    pub(super) fn python_range(&self) -> Option<String> {
        let text = |path: &[&str]| {
            let value = path.iter().try_fold(self.project.as_ref()?, |value, key| value.get(key));
            value?.as_str().map(str::to_owned)
        };
        let in_setup = || {
            let rest = self.setup.split_once("python_requires")?.1.trim_start().strip_prefix('=')?;
            let line = rest.lines().next()?.trim();
            Some(line.trim_matches([' ', ',', '"', '\'']).to_owned())
        };
        let in_pipfile = || {
            let version = self.pipfile.as_ref()?.get("requires")?.get("python_version")?.as_str();
            version.map(str::to_owned)
        };
        let poetry = || text(&["tool", "poetry", "dependencies", "python"]);
        text(&["project", "requires-python"]).or_else(poetry).or_else(in_pipfile).or_else(in_setup)
    }

    /// Whether the package is installed in a place that does not depend on where the sources are.
    pub(super) fn is_installed_elsewhere(&self) -> bool {
        self.tool == Tool::Pip && self.is_package || self.tool == Tool::Uv
    }

    /// Returns the files that say what is installed.
    pub(super) fn files(&self) -> Vec<String> {
        let own = match self.tool {
            Tool::Pip if self.is_package => &["pyproject.toml", "setup.py", "setup.cfg"][..],
            Tool::Pip if self.is_application || self.group.is_some() => &["pyproject.toml"],
            Tool::Pip => &[],
            Tool::Pipenv => &["Pipfile"],
            Tool::Uv | Tool::Poetry | Tool::Pdm => &["pyproject.toml"],
        };
        let own = own.iter().filter(|file| self.present.contains(*file)).map(|file| (*file).to_owned());
        let included = self.included.iter().filter(|_| self.tool == Tool::Pip).cloned();
        included.chain(own).chain(self.lock.map(str::to_owned)).collect()
    }

    /// Whether the project is installed with what it requires.
    pub(super) fn installs_itself(&self) -> bool {
        match self.tool {
            Tool::Pip => self.is_package,
            Tool::Uv | Tool::Poetry | Tool::Pdm => true,
            Tool::Pipenv => false,
        }
    }

    /// Whether the requirements contain folders and files.
    pub(super) fn installs_other_sources(&self) -> bool {
        let is_path = |line: &str| line.starts_with(['.', '/']) || line.starts_with("-e") || line.contains("file:");
        let in_requirements = || self.requirements.lines().any(|line| is_path(line.trim()));
        let in_file = |file: &Option<toml::Value>| file.as_ref().is_some_and(|value| has_key(value, &["path", "file"]));
        let tool = |name: &str| self.project.as_ref().and_then(|project| project.get("tool")?.get(name));
        let has_url = self.project_text.contains("file:");
        match self.tool {
            Tool::Pip => in_requirements() || has_url,
            Tool::Pipenv => in_file(&self.pipfile),
            Tool::Uv => has_url || tool("uv").is_some_and(|table| has_key(table, &["path", "workspace"])),
            Tool::Poetry => has_url || tool("poetry").is_some_and(|table| has_key(table, &["path"])),
            Tool::Pdm => has_url,
        }
    }

    /// Returns what building the project requires.
    pub(super) fn build_requirements(&self) -> Vec<String> {
        let list = self.project.as_ref().and_then(|project| project.get("build-system")?.get("requires")?.as_array());
        list.into_iter().flatten().filter_map(toml::Value::as_str).map(str::to_owned).collect()
    }

    /// Returns the commands that install what the project requires, and these packages; none if there is nothing to install. `is_linked`: the
    /// project itself is not copied.
    pub(super) fn install(&self, packages: &[String], is_linked: bool) -> Vec<String> {
        let extra = self.extra.as_deref().map(|extra| format!(" --extra {extra}")).unwrap_or_default();
        let all = packages.iter().map(|package| word(package)).collect::<Vec<_>>().join(" ");
        let mut commands: Vec<String> = match self.tool {
            Tool::Pip => return self.pip(&all, is_linked),
            Tool::Uv => {
                let frozen = if self.lock.is_some() { " --frozen" } else { "" };
                // The group `dev` is always installed.
                let group =
                    self.group.as_deref().filter(|group| *group != "dev").map(|group| format!(" --group {group}"));
                let sync = format!("uv sync{frozen}{extra}{}", group.unwrap_or_default());
                let add = (!all.is_empty()).then(|| format!("uv pip install {all}"));
                return [sync].into_iter().chain(add).collect();
            }
            Tool::Poetry => {
                let extras = self.extra.as_deref().map(|extra| format!(" --extras {extra}")).unwrap_or_default();
                let group = self.group.as_deref().map(|group| format!(" --with {group}")).unwrap_or_default();
                tool("poetry", &format!("install{extras}{group}"))
            }
            Tool::Pdm => tool("pdm", "install"),
            Tool::Pipenv => tool("pipenv", if self.lock.is_some() { "sync --dev" } else { "install --dev" }),
        };
        if !all.is_empty() {
            commands.push(".venv/bin/python -m ensurepip".to_owned());
            commands.push(format!(".venv/bin/python -m pip install {all}"));
        }
        commands
    }

    fn pip(&self, packages: &str, is_linked: bool) -> Vec<String> {
        let mut arguments: Vec<String> = self.files.iter().map(|file| format!("-r {file}")).collect();
        if self.is_application {
            arguments.push("-r .venv/requirements.txt".to_owned());
        }
        if self.is_package {
            arguments.extend(is_linked.then(|| "--use-pep517 -e".to_owned()));
            arguments.push(self.extra.as_deref().map_or_else(|| ".".to_owned(), |extra| format!("\".[{extra}]\"")));
        }
        arguments.extend(self.group.as_deref().map(|group| format!("--group {group}")));
        arguments.extend((!packages.is_empty()).then(|| packages.to_owned()));
        if arguments.is_empty() {
            return Vec::new();
        }
        // `--clear`: the sources may contain one that was made elsewhere.
        let mut commands = vec!["python3 -m venv --clear .venv".to_owned()];
        if self.group.is_some() {
            // Only since 25.1 does pip know groups.
            commands.push(".venv/bin/python -m pip install --upgrade pip".to_owned());
        }
        if self.is_application {
            let extra = self.extra.as_deref().map(|extra| format!(r#", *project["optional-dependencies"]["{extra}"]"#));
            commands.push(format!(
                r#".venv/bin/python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*project.get("dependencies", []){}, sep="\n")' > .venv/requirements.txt"#,
                extra.unwrap_or_default()
            ));
        }
        if !arguments.is_empty() {
            commands.push(format!(".venv/bin/python -m pip install {}", arguments.join(" ")));
        }
        commands
    }
}

/// Installs a tool for itself, and the project with it.
fn tool(name: &str, arguments: &str) -> Vec<String> {
    vec![
        "python3 -m venv --clear .tools".to_owned(),
        format!(".tools/bin/python -m pip install {name}"),
        "python3 -m venv --clear .venv".to_owned(),
        format!(".tools/bin/python -m {name} {arguments}"),
    ]
}

/// A requirement with a version would be a redirection: `pytest>=8`.
fn word(requirement: &str) -> String {
    if requirement.contains(['<', '>', '[', '*', ' ', '!', '~', ';']) {
        format!("\"{requirement}\"")
    } else {
        requirement.to_owned()
    }
}

fn has_extra(setup: &str, name: &str) -> bool {
    let Some((_, extras)) = setup.split_once("extras_require") else { return false };
    let quoted = [format!("'{name}':"), format!("\"{name}\":")];
    let mut lines = extras.lines().map(str::trim);
    quoted.iter().any(|quoted| extras.contains(quoted))
        || lines.any(|line| line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('=')))
}

fn has_line(text: &str, package: &str) -> bool {
    text.lines().any(|line| is_requirement(line.trim().trim_start_matches("deps ="), package))
}

/// Whether this requires a package: `pytest`, `pytest>=8`, `pytest[cov]`.
pub(super) fn is_requirement(text: &str, package: &str) -> bool {
    let rest = text.trim_start().strip_prefix(package);
    rest.is_some_and(|rest| {
        !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || "-_.=:".contains(next)) || rest.starts_with("==")
    })
}

/// Whether a manifest has a table for a package, or names it as a dependency.
fn names(value: &toml::Value, package: &str) -> bool {
    match value {
        toml::Value::String(text) => is_requirement(text, package),
        toml::Value::Array(values) => values.iter().any(|value| names(value, package)),
        toml::Value::Table(table) => table.iter().any(|(key, value)| key == package || names(value, package)),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) | toml::Value::Datetime(_) => false,
    }
}

/// Whether any table in a value has one of these keys.
fn has_key(value: &toml::Value, keys: &[&str]) -> bool {
    match value {
        toml::Value::Array(values) => values.iter().any(|value| has_key(value, keys)),
        toml::Value::Table(table) => {
            table.iter().any(|(key, value)| keys.contains(&key.as_str()) || has_key(value, keys))
        }
        _ => false,
    }
}
