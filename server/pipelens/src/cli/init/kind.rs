//! The kinds of project `init` knows, by the files that show them, and the steps each usually has.

use std::path::Path;

use pipelens_engine::files::{MAX_FILE_BYTES, ProjectFolder};

/// One kind of project that was found, with its steps.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Distinguishes the steps of several kinds.
    pub(super) prefix: &'static str,
    pub(super) parts: Vec<Part>,
}

/// One step.
pub(super) struct Part {
    pub(super) comment: Option<&'static str>,
    pub(super) key: &'static str,
    pub(super) image: Option<String>,
    pub(super) builds_in: Option<&'static str>,
    pub(super) cmd: String,
    /// If one of these files changes, the step runs again.
    pub(super) cached_by: Option<Vec<&'static str>>,
}

type Detect = fn(&Path) -> Option<Kind>;

/// In the order their steps are written; a general tool comes after the languages it is used for.
const DETECTORS: &[Detect] =
    &[cargo, deno, node, python, go, maven, gradle, dotnet, ruby, php, elixir, swift, zig, cmake, make];

impl Kind {
    /// Returns every kind of project a folder is.
    pub(super) fn all_in(folder: &Path) -> Vec<Self> {
        let mut kinds: Vec<Self> = DETECTORS.iter().filter_map(|detect| detect(folder)).collect();
        // A makefile next to a known kind of project usually only calls its tools.
        if kinds.len() > 1 {
            kinds.retain(|kind| kind.prefix != "make");
        }
        kinds
    }

    /// The pipeline of a project of an unknown type: it runs, and shows how to continue.
    pub(super) fn unknown() -> Self {
        let mut first = root("hello", "alpine:3.22", "echo \"Replace this with the command that builds your project\"");
        first.comment = Some("Project type not recognised.");
        Self { name: "", prefix: "", parts: vec![first, then("list", "hello", "ls -la")] }
    }
}

fn root(key: &'static str, image: impl Into<String>, cmd: impl Into<String>) -> Part {
    Part { comment: None, key, image: Some(image.into()), builds_in: None, cmd: cmd.into(), cached_by: None }
}

fn then(key: &'static str, parent: &'static str, cmd: impl Into<String>) -> Part {
    Part { comment: None, key, image: None, builds_in: Some(parent), cmd: cmd.into(), cached_by: None }
}

fn has(folder: &Path, file: &str) -> bool {
    ProjectFolder::open(folder).is_ok_and(|folder| folder.has_file(Path::new(file)))
}

fn text(folder: &Path, file: &str) -> Option<String> {
    ProjectFolder::open(folder).ok()?.read_text(Path::new(file), MAX_FILE_BYTES).ok()
}

/// Reads a TOML file. One that cannot be parsed counts as empty, since it still shows the kind of project.
fn toml(folder: &Path, file: &str) -> Option<toml::Value> {
    let table = text(folder, file)?.parse::<toml::Table>().unwrap_or_default();
    Some(toml::Value::Table(table))
}

fn cargo(folder: &Path) -> Option<Kind> {
    let manifest = toml(folder, "Cargo.toml")?;
    let workspace = manifest.get("workspace");
    let packages = [manifest.get("package"), workspace.and_then(|workspace| workspace.get("package"))];
    let version = packages.into_iter().flatten().find_map(|package| package.get("rust-version")?.as_str());
    let version = version.filter(|version| is_version(version)).unwrap_or("1.90");
    let locked = if has(folder, "Cargo.lock") { " --locked" } else { "" };
    let workspace = if workspace.is_some() { " --workspace" } else { "" };
    Some(Kind {
        name: "a Cargo project",
        prefix: "rust",
        parts: vec![
            root("build", format!("rust:{version}"), format!("cargo build{workspace} --all-targets{locked}")),
            then("test", "build", format!("cargo test{workspace}{locked}")),
            then(
                "lint",
                "build",
                format!("rustup component add clippy && cargo clippy{workspace} --all-targets{locked} -- -D warnings"),
            ),
        ],
    })
}

fn node(folder: &Path) -> Option<Kind> {
    let manifest: serde_json::Value = serde_json::from_str(&text(folder, "package.json")?).ok()?;
    let (install, run, lock) = if has(folder, "pnpm-lock.yaml") {
        ("corepack enable && pnpm install --frozen-lockfile", "pnpm run", Some("pnpm-lock.yaml"))
    } else if has(folder, "yarn.lock") {
        ("corepack enable && yarn install --immutable", "yarn run", Some("yarn.lock"))
    } else if has(folder, "package-lock.json") {
        ("npm ci", "npm run", Some("package-lock.json"))
    } else {
        ("npm install", "npm run", None)
    };
    let mut install = root("install", "node:24", install);
    install.cached_by = lock.map(|lock| vec!["package.json", lock]);
    let mut parts = vec![install];
    for script in ["lint", "build", "test"] {
        if manifest.get("scripts").and_then(|scripts| scripts.get(script)).is_some() {
            parts.push(then(script, "install", format!("{run} {script}")));
        }
    }
    Some(Kind { name: "a Node package", prefix: "node", parts })
}

fn deno(folder: &Path) -> Option<Kind> {
    let is_deno = has(folder, "deno.json") || has(folder, "deno.jsonc");
    is_deno.then(|| Kind {
        name: "a Deno project",
        prefix: "deno",
        parts: vec![root("lint", "denoland/deno:2.5.0", "deno lint"), then("test", "lint", "deno test")],
    })
}

fn python(folder: &Path) -> Option<Kind> {
    let project = toml(folder, "pyproject.toml");
    let requirements = has(folder, "requirements.txt");
    let is_python = has(folder, "pyproject.toml") || requirements || has(folder, "setup.py");
    if !is_python {
        return None;
    }
    let uses = |package: &str| project.as_ref().is_some_and(|project| names(project, package));
    let (image, install, run, lock) = if has(folder, "uv.lock") {
        ("ghcr.io/astral-sh/uv:0.9-python3.13-bookworm", "uv sync --frozen", "uv run ", "uv.lock")
    } else if has(folder, "poetry.lock") {
        ("python:3.13", "pip install poetry && poetry install", "poetry run ", "poetry.lock")
    } else if requirements {
        ("python:3.13", "pip install -r requirements.txt", "python -m ", "requirements.txt")
    } else {
        ("python:3.13", "pip install .", "python -m ", "pyproject.toml")
    };
    let mut install = root("install", image, install);
    install.cached_by = Some(vec![lock]).filter(|_| lock != "pyproject.toml");
    let mut parts = vec![install];
    if uses("ruff") {
        parts.push(then("lint", "install", "pip install ruff && ruff check ."));
    }
    parts.push(if uses("pytest") || folder.join("tests").is_dir() {
        then("test", "install", format!("{run}pytest"))
    } else {
        then("test", "install", "python -m unittest discover")
    });
    Some(Kind { name: "a Python project", prefix: "python", parts })
}

fn go(folder: &Path) -> Option<Kind> {
    let module = text(folder, "go.mod")?;
    let version = module.lines().find_map(|line| line.strip_prefix("go ")).map_or("1.25", str::trim);
    Some(Kind {
        name: "a Go module",
        prefix: "go",
        parts: vec![
            root("build", format!("golang:{version}"), "go build ./..."),
            then("test", "build", "go test ./..."),
            then("vet", "build", "go vet ./..."),
        ],
    })
}

fn maven(folder: &Path) -> Option<Kind> {
    has(folder, "pom.xml").then(|| Kind {
        name: "a Maven project",
        prefix: "maven",
        parts: vec![
            root("compile", "maven:3.9-eclipse-temurin-21", "mvn --batch-mode compile"),
            then("test", "compile", "mvn --batch-mode verify"),
        ],
    })
}

fn gradle(folder: &Path) -> Option<Kind> {
    let is_gradle = has(folder, "build.gradle") || has(folder, "build.gradle.kts");
    let tool = if has(folder, "gradlew") { "./gradlew" } else { "gradle" };
    is_gradle.then(|| Kind {
        name: "a Gradle project",
        prefix: "gradle",
        parts: vec![
            root("build", "gradle:8.14-jdk21", format!("{tool} assemble")),
            then("test", "build", format!("{tool} check")),
        ],
    })
}

fn dotnet(folder: &Path) -> Option<Kind> {
    let is_project = |name: &str| [".sln", ".slnx", ".csproj", ".fsproj"].iter().any(|ending| name.ends_with(ending));
    let mut entries = std::fs::read_dir(folder).ok()?.flatten();
    entries.any(|entry| entry.file_name().to_str().is_some_and(is_project)).then(|| Kind {
        name: "a .NET project",
        prefix: "dotnet",
        parts: vec![
            root("build", "mcr.microsoft.com/dotnet/sdk:9.0", "dotnet build"),
            then("test", "build", "dotnet test --no-build"),
        ],
    })
}

fn ruby(folder: &Path) -> Option<Kind> {
    let lint = if has(folder, ".rubocop.yml") { Some(then("lint", "install", "bundle exec rubocop")) } else { None };
    has(folder, "Gemfile").then(|| Kind {
        name: "a Ruby project",
        prefix: "ruby",
        parts: [root("install", "ruby:3.4", "bundle install")]
            .into_iter()
            .chain(lint)
            .chain([then("test", "install", "bundle exec rake")])
            .collect(),
    })
}

fn php(folder: &Path) -> Option<Kind> {
    has(folder, "composer.json").then(|| Kind {
        name: "a Composer project",
        prefix: "php",
        parts: vec![
            root("install", "composer:2.8", "composer install --no-interaction"),
            then("test", "install", "vendor/bin/phpunit"),
        ],
    })
}

fn elixir(folder: &Path) -> Option<Kind> {
    has(folder, "mix.exs").then(|| Kind {
        name: "a Mix project",
        prefix: "elixir",
        parts: vec![
            root("build", "elixir:1.18", "mix local.hex --force && mix deps.get && mix compile"),
            then("test", "build", "mix test"),
        ],
    })
}

fn swift(folder: &Path) -> Option<Kind> {
    has(folder, "Package.swift").then(|| Kind {
        name: "a Swift package",
        prefix: "swift",
        parts: vec![root("build", "swift:6.1", "swift build"), then("test", "build", "swift test")],
    })
}

fn zig(folder: &Path) -> Option<Kind> {
    has(folder, "build.zig").then(|| {
        let mut build = root("build", "alpine:3.22", "apk add zig && zig build");
        build.comment = Some("Alpine's version of Zig; use another image if the project needs another version.");
        Kind { name: "a Zig project", prefix: "zig", parts: vec![build, then("test", "build", "zig build test")] }
    })
}

fn cmake(folder: &Path) -> Option<Kind> {
    has(folder, "CMakeLists.txt").then(|| Kind {
        name: "a CMake project",
        prefix: "cmake",
        parts: vec![
            root("tools", "debian:12", "apt-get update && apt-get install -y build-essential cmake ninja-build"),
            then("build", "tools", "cmake -B build -G Ninja && cmake --build build"),
            then("test", "build", "ctest --test-dir build --output-on-failure"),
        ],
    })
}

fn make(folder: &Path) -> Option<Kind> {
    let rules = text(folder, "Makefile").or_else(|| text(folder, "makefile"))?;
    let has_rule =
        |name: &str| rules.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')));
    let mut parts = vec![root("build", "gcc:15", "make")];
    parts.extend(
        ["test", "check", "lint"]
            .into_iter()
            .filter(|rule| has_rule(rule))
            .map(|rule| then(rule, "build", format!("make {rule}"))),
    );
    Some(Kind { name: "a makefile", prefix: "make", parts })
}

/// Returns whether this is a version number, and so can be part of an image's tag.
fn is_version(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_ascii_digit() || character == '.')
}

/// Returns whether a manifest has a table for a package, or names it as a dependency: `pytest`, `pytest>=8`, `pytest[cov]`.
fn names(value: &toml::Value, package: &str) -> bool {
    match value {
        toml::Value::String(text) => {
            let rest = text.trim_start().strip_prefix(package);
            rest.is_some_and(|rest| {
                !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || "-_.".contains(next))
            })
        }
        toml::Value::Array(values) => values.iter().any(|value| names(value, package)),
        toml::Value::Table(table) => table.iter().any(|(key, value)| key == package || names(value, package)),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) | toml::Value::Datetime(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let kinds = Kind::all_in(folder.path());
        let parts = kinds.iter().flat_map(|kind| &kind.parts);
        parts.map(|part| format!("{}: {}", part.image.as_deref().unwrap_or("-"), part.cmd)).collect()
    }

    #[test]
    fn the_rust_version_of_a_workspace_applies_to_its_packages() {
        let manifest = r#"[workspace]
members = []
[workspace.package]
rust-version = "1.88"
[package]
name = 'x'
rust-version.workspace = true
"#;
        assert_eq!(parts(&[("Cargo.toml", manifest)])[0], "rust:1.88: cargo build --workspace --all-targets");
        // A word in a comment or a description is not a workspace.
        let manifest = r"# [workspace]
[package]
name = 'x'
description = 'has a [workspace]'
";
        assert_eq!(parts(&[("Cargo.toml", manifest)])[0], "rust:1.90: cargo build --all-targets");
        let manifest = "[package]\nrust-version = '1.90; curl evil'\n";
        assert_eq!(parts(&[("Cargo.toml", manifest)])[0], "rust:1.90: cargo build --all-targets");
    }

    #[test]
    fn a_python_tool_is_recognised_by_a_table_or_a_dependency() {
        let test = |manifest: &str| parts(&[("pyproject.toml", manifest)]).pop().unwrap();
        assert_eq!(test("[tool.pytest.ini_options]\n"), "-: python -m pytest");
        assert_eq!(test("[dependency-groups]\ndev = ['pytest>=8']\n"), "-: python -m pytest");
        assert_eq!(
            test(
                r"[project]
name = 'x'
description = 'no pytest here'
"
            ),
            "-: python -m unittest discover"
        );
        assert_eq!(test("[project]\ndependencies = ['pytest-cov']\n"), "-: python -m unittest discover");
    }
}
