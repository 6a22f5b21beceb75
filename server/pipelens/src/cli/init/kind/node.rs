//! JavaScript packages: npm, pnpm, Yarn and Bun, alone or as a workspace.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSetBuilder};
use serde_json::Value;

use super::step::{Kind, Part};
use crate::cli::init::project::{Folder, shell_word, slashes};
use crate::cli::init::versions::{self, Release};

/// The releases with long-term support, newest first. Which minor an image has is up to the registry.
const RELEASES: [Release; 7] =
    [(24, u32::MAX), (22, u32::MAX), (20, u32::MAX), (18, u32::MAX), (16, u32::MAX), (14, u32::MAX), (12, u32::MAX)];
const NEWEST: &str = "24";

const YARN_CLASSIC: &str = "npx --yes yarn@1";

/// The names that `lts/…` in `.nvmrc` can have.
const CODENAMES: [(&str, &str); 5] =
    [("krypton", "24"), ("jod", "22"), ("iron", "20"), ("hydrogen", "18"), ("gallium", "16")];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tool {
    Npm,
    /// With the command that starts its version: npx leaves the machine's own programs alone, and scripts find it too.
    Pnpm(String),
    /// Version 1.
    YarnClassic,
    /// With the command that starts the version the project was locked with.
    Yarn(String),
    Bun,
}

pub(super) fn detect(folder: Folder<'_>) -> Option<Kind> {
    let manifest: Value = serde_json::from_str(&folder.text("package.json")?).ok()?;
    let tool = Tool::of(folder, &manifest);
    let (run, image) = (tool.run(), tool.image(folder, &manifest));
    let (lock, install) = tool.install(folder);
    let members = members(folder, &manifest);
    let manifests = if members.is_empty() { "package.json" } else { "**/package.json" };
    // What a script that runs after the installation reads is not known.
    let runs_script =
        ["preinstall", "install", "postinstall", "prepare"].iter().any(|name| script(&manifest, name).is_some());
    let cached_by = lock.filter(|_| !runs_script).map(|lock| vec![manifests.to_owned(), lock.to_owned()]);
    let is_cached = cached_by.is_some();
    let deps = Part::root("deps", image, vec![install]).cached_by(cached_by.unwrap_or_default());
    let mut parts = vec![deps.mounts(&[tool.downloads()])];
    let mut parent = "deps";
    for key in ["lint", "build", "test"] {
        let commands: Vec<String> = if let Some(name) = named(&manifest, key) {
            vec![format!("{run} {name}")]
        } else {
            let with_script = members.iter().filter_map(|(path, member)| Some((path, named(member, key)?)));
            with_script.map(|(path, name)| tool.run_in(path, name)).collect()
        };
        if commands.is_empty() {
            continue;
        }
        // Where many tools keep what makes them faster the next time.
        let mut part = Part::then(key, parent, "").mounts(&["node_modules/.cache"]);
        part.commands = commands;
        parts.push(match key {
            // Without it, some test runners wait for changes.
            "test" => part.env("CI", "true"),
            // Compilers read what they wrote the last time. After a new installation they start anew.
            "build" if is_cached => part.reuses_last(),
            _ => part,
        });
        if key == "build" {
            parent = "build";
        }
    }
    let name = if members.is_empty() { "a Node package" } else { "a Node workspace" };
    Some(Kind::new(name, folder, parts))
}

/// A workspace contains the packages that its patterns match.
pub(super) fn covers(folder: Folder<'_>, below: &Path) -> bool {
    let manifest = folder.text("package.json").and_then(|text| serde_json::from_str(&text).ok());
    manifest.is_some_and(|manifest: Value| is_member(&patterns(folder, &manifest), below))
}

/// Returns the script that does what the step is for: `test:ci` is made for it, and npm's placeholder is not one.
fn named<'n>(manifest: &Value, key: &'n str) -> Option<&'n str> {
    let candidates = match key {
        "test" => vec!["test:ci", "test"],
        key => vec![key],
    };
    candidates.into_iter().find(|name| script(manifest, name).is_some_and(|script| !is_placeholder(script)))
}

fn script<'m>(manifest: &'m Value, name: &str) -> Option<&'m str> {
    manifest.get("scripts")?.get(name)?.as_str().filter(|script| !script.trim().is_empty())
}

/// `npm init` writes a test that always fails.
fn is_placeholder(script: &str) -> bool {
    let script = script.to_ascii_lowercase();
    script.contains("no test specified") || (script.starts_with("echo") && script.trim_end().ends_with("exit 1"))
}

impl Tool {
    /// What the manifest names comes first, then the lock file that is there.
    fn of(folder: Folder<'_>, manifest: &Value) -> Self {
        let manager = manifest.get("packageManager").and_then(Value::as_str).unwrap_or_default();
        let (name, version) = manager.split_once('@').unwrap_or((manager, ""));
        let version = versions::plain(version.split('+').next().unwrap_or_default());
        match name {
            "npm" => Self::Npm,
            "pnpm" => Self::pnpm(folder, version),
            "bun" => Self::Bun,
            "yarn" if version.as_deref().is_some_and(|version| version.starts_with("1.")) => Self::YarnClassic,
            "yarn" => Self::Yarn("corepack yarn".to_owned()),
            _ if folder.has("pnpm-lock.yaml") || folder.has("pnpm-workspace.yaml") => Self::pnpm(folder, None),
            _ if folder.first(&["bun.lock", "bun.lockb"]).is_some() => Self::Bun,
            _ => match folder.text("yarn.lock") {
                Some(lock) if lock.contains("__metadata:") => Self::berry(folder, &lock),
                Some(_) => Self::YarnClassic,
                None => Self::Npm,
            },
        }
    }

    /// The version that is stated, else one that can read the lock file.
    fn pnpm(folder: Folder<'_>, stated: Option<String>) -> Self {
        let lock = folder.text("pnpm-lock.yaml").unwrap_or_default();
        let format = lock.lines().find_map(|line| line.strip_prefix("lockfileVersion:"));
        let version = match format.map(|format| format.trim_matches([' ', '\'', '"'])) {
            Some(format) if format.starts_with("5.") => "7",
            Some(format) if format.starts_with("6.") => "8",
            _ => "10",
        };
        Self::Pnpm(format!("npx --yes pnpm@{}", stated.as_deref().unwrap_or(version)))
    }

    /// A later Yarn. One that the project contains is started by any other.
    fn berry(folder: Folder<'_>, lock: &str) -> Self {
        if folder.text(".yarnrc.yml").is_some_and(|settings| settings.contains("yarnPath:")) {
            return Self::Yarn("yarn".to_owned());
        }
        let format = lock.lines().find_map(|line| line.trim().strip_prefix("version:")?.trim().parse::<u32>().ok());
        let version = match format {
            Some(..=4) => 2,
            Some(5 | 6) => 3,
            _ => 4,
        };
        Self::Yarn(format!("corepack yarn@{version}"))
    }

    fn run(&self) -> String {
        match self {
            Self::Npm => "npm run".to_owned(),
            Self::YarnClassic => format!("{YARN_CLASSIC} run"),
            Self::Pnpm(tool) | Self::Yarn(tool) => format!("{tool} run"),
            Self::Bun => "bun run".to_owned(),
        }
    }

    /// Runs a script of one package of a workspace.
    fn run_in(&self, package: &Path, script: &str) -> String {
        let path = shell_word(&slashes(package));
        match self {
            Self::Npm => format!("npm run {script} --workspace={path}"),
            Self::Pnpm(pnpm) => format!("{pnpm} --dir {path} run {script}"),
            Self::YarnClassic | Self::Yarn(_) | Self::Bun => format!("(cd {path} && {} {script})", self.run()),
        }
    }

    /// Returns the lock file, and what installs the packages.
    fn install(&self, folder: Folder<'_>) -> (Option<&'static str>, String) {
        let lock = |files: &[&'static str]| folder.first(files);
        match self {
            Self::Npm => {
                let lock = lock(&["package-lock.json", "npm-shrinkwrap.json"]);
                (lock, if lock.is_some() { "npm ci" } else { "npm install" }.to_owned())
            }
            Self::Pnpm(pnpm) => {
                let lock = lock(&["pnpm-lock.yaml"]);
                let frozen = if lock.is_some() { " --frozen-lockfile" } else { "" };
                (lock, format!("{pnpm} install{frozen}"))
            }
            Self::YarnClassic => {
                let lock = lock(&["yarn.lock"]);
                let frozen = if lock.is_some() { " --frozen-lockfile" } else { "" };
                (lock, format!("{YARN_CLASSIC} install{frozen}"))
            }
            Self::Yarn(yarn) => {
                let lock = lock(&["yarn.lock"]);
                (lock, format!("{yarn} install{}", if lock.is_some() { " --immutable" } else { "" }))
            }
            Self::Bun => {
                let lock = lock(&["bun.lock", "bun.lockb"]);
                (lock, format!("bun install{}", if lock.is_some() { " --frozen-lockfile" } else { "" }))
            }
        }
    }

    /// Returns the folder with what was downloaded.
    fn downloads(&self) -> &'static str {
        match self {
            Self::Npm => "~/.npm",
            Self::Pnpm(_) => "~/.local/share/pnpm/store",
            Self::YarnClassic => "~/.cache/yarn",
            Self::Yarn(_) => "~/.yarn/berry/cache",
            Self::Bun => "~/.bun/install/cache",
        }
    }

    fn image(&self, folder: Folder<'_>, manifest: &Value) -> String {
        match self {
            Self::Bun => "oven/bun:1.3".to_owned(),
            Self::Npm | Self::Pnpm(_) | Self::YarnClassic | Self::Yarn(_) => {
                format!("node:{}", version(folder, manifest))
            }
        }
    }
}

fn version(folder: Folder<'_>, manifest: &Value) -> String {
    let named = folder.version_in(".nvmrc", "nodejs").or_else(|| folder.version_in(".node-version", "nodejs"));
    if let Some(named) = named {
        let codename = named.strip_prefix("lts/").and_then(|name| CODENAMES.iter().find(|(known, _)| *known == name));
        return versions::plain(&named).unwrap_or_else(|| codename.map_or(NEWEST, |(_, major)| major).to_owned());
    }
    let volta = manifest.get("volta").and_then(|volta| volta.get("node")?.as_str());
    let range = volta.or_else(|| manifest.get("engines")?.get("node")?.as_str()).unwrap_or("*");
    match versions::first_allowed(range, &RELEASES) {
        Some((major, _)) => major.to_string(),
        // An exact version, or a release that is not in the list.
        None => {
            let digits = range.trim_start_matches(|character: char| !character.is_ascii_digit());
            let major: String = digits.chars().take_while(char::is_ascii_digit).take(3).collect();
            if major.is_empty() { NEWEST.to_owned() } else { major }
        }
    }
}

fn patterns(folder: Folder<'_>, manifest: &Value) -> Vec<String> {
    let list = manifest.get("workspaces");
    let list = list.and_then(|list| list.as_array().or_else(|| list.get("packages")?.as_array()));
    if let Some(list) = list {
        return list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let text = folder.text("pnpm-workspace.yaml").unwrap_or_default();
    let file: Value = serde_yaml::from_str(&text).unwrap_or_default();
    let list = file.get("packages").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn is_member(patterns: &[String], package: &Path) -> bool {
    let matches = |is_exclusion: bool| {
        let mut set = GlobSetBuilder::new();
        let wanted = patterns.iter().filter(|pattern| pattern.starts_with('!') == is_exclusion);
        for pattern in wanted {
            let pattern = pattern.trim_start_matches('!').trim_start_matches("./").trim_end_matches('/');
            if let Ok(glob) = GlobBuilder::new(pattern).literal_separator(true).build() {
                set.add(glob);
            }
        }
        set.build().is_ok_and(|set| set.is_match(package))
    };
    matches(false) && !matches(true)
}

/// Returns the packages of a workspace; each comes after those it depends on.
fn members(folder: Folder<'_>, manifest: &Value) -> Vec<(PathBuf, Value)> {
    let patterns = patterns(folder, manifest);
    if patterns.is_empty() {
        return Vec::new();
    }
    let manifests = folder.files().filter(|file| file.ends_with("package.json"));
    let mut left: Vec<(PathBuf, Value)> = manifests
        .filter(|file| !file.iter().any(|name| name == "node_modules"))
        .filter_map(|file| {
            let package = file.parent().filter(|package| is_member(&patterns, package))?;
            Some((package.to_owned(), serde_json::from_str(&folder.text(file)?).ok()?))
        })
        .collect();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let is_free = |(_, member): &(PathBuf, Value)| !left.iter().any(|(_, other)| needs(member, other));
        let index = left.iter().position(is_free).unwrap_or(0);
        ordered.push(left.remove(index));
    }
    ordered
}

fn needs(package: &Value, other: &Value) -> bool {
    let Some(name) = other.get("name").and_then(Value::as_str) else { return false };
    if package.get("name") == other.get("name") {
        return false;
    }
    ["dependencies", "devDependencies", "peerDependencies"]
        .iter()
        .any(|key| package.get(key).and_then(|list| list.get(name)).is_some())
}
