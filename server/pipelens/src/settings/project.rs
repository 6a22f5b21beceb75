//! What a project can set in its own `.pipelens.yaml`, and an editor for it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, bail};
use globset::{Glob, GlobSet, GlobSetBuilder};
use pipelens_core::Analysis;
use pipelens_core::diagnostic::{Code, Diagnostic, Severity};
use pipelens_engine::files::{ProjectFolder, Unreadable};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::matchers::ProblemMatcher;

/// The name of the project's own settings file, in its root folder.
pub(crate) const PROJECT_FILE: &str = ".pipelens.yaml";

/// A longer file is not read: the parser is slow on hostile ones.
pub(super) const MAX_BYTES: u64 = 64 * 1024;
/// Settings have two levels. The parser's time grows with the square of open brackets.
pub(super) const MAX_NESTING: usize = 32;

/// Settings that a project's `.pipelens.yaml` may have. None of them can widen what a run may do.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ProjectSettings {
    /// Globs, relative to the project, for further files that are pipelines: `ci/*.yml`.
    pub(crate) files: Vec<String>,
    /// How many steps run at once. The default is the number of CPUs of the engine's machine plus two; on `host`, the number of CPUs.
    #[schemars(range(min = 1))]
    pub(crate) parallelism: Option<usize>,
    /// How tools report problems in the output of steps that pipelens does not know, in the form of VS Code's `problemMatcher`: each has a `pattern` or
    /// a list of patterns.
    pub(crate) problem_matchers: Vec<ProblemMatcher>,
    /// Overrides the severity of findings by code: `unpinned-image: off`.
    pub(crate) severity: BTreeMap<String, SeveritySetting>,
    /// The program that runs every `cmd` of a project's pipelines, with its options: `sh -e`, `bash -euo pipefail`, or a list of words. A pipeline's or
    /// step's own `shell` takes precedence. The default is `sh`.
    pub(crate) shell: Option<ShellWords>,
    /// Whether commands are checked by [ShellCheck](https://www.shellcheck.net) if it is installed (`shellcheck` on the `PATH`). By default, they are.
    pub(crate) shellcheck: Option<bool>,
}

/// A program and its options.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "OneOrMany")]
pub(crate) struct ShellWords(pub(crate) Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<OneOrMany> for ShellWords {
    type Error = String;

    fn try_from(words: OneOrMany) -> Result<Self, String> {
        let words = match words {
            OneOrMany::One(words) => words.split_whitespace().map(str::to_owned).collect(),
            OneOrMany::Many(words) => words,
        };
        if words.iter().all(String::is_empty) {
            return Err("`shell` is empty, expected a program such as `sh -e`".to_owned());
        }
        Ok(Self(words))
    }
}

impl JsonSchema for ShellWords {
    fn schema_name() -> Cow<'static, str> {
        "ShellWords".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum SeveritySetting {
    Error,
    Warning,
    Information,
    Hint,
    Off,
}

impl ProjectSettings {
    /// Reads the project's own settings. A project without the file has the defaults.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        match Self::text(root)? {
            None => Ok(Self::default()),
            Some(text) => Self::parse(&root.join(PROJECT_FILE), &text, &pipelens_core::analyze_settings(&text)),
        }
    }

    /// Returns the text of the project's own settings, if it has any.
    pub(crate) fn text(root: &Path) -> anyhow::Result<Option<String>> {
        let path = root.join(PROJECT_FILE);
        let read = ProjectFolder::open(root).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Unreadable::Missing,
            _ => Unreadable::Io(error),
        });
        let read = read.and_then(|folder| folder.read_unlinked_text(Path::new(PROJECT_FILE), MAX_BYTES));
        match read {
            Ok(text) => Ok(Some(text)),
            Err(Unreadable::Missing) => Ok(None),
            Err(reason) => bail!("`{}` is not read: {reason}", path.display()),
        }
    }

    /// Reads the text of settings that were analysed. The path is for messages.
    pub(crate) fn parse(path: &Path, text: &str, analysis: &Analysis) -> anyhow::Result<Self> {
        let path = path.display();
        if nesting(text) > MAX_NESTING {
            bail!("`{path}` is nested deeper than {MAX_NESTING} levels; settings have two");
        }
        if let Some(error) = analysis.diagnostics.iter().find(|found| found.severity == Severity::Error) {
            let line = analysis.line_index.line(error.range.start) + 1;
            bail!("`{path}` is invalid, line {line}: {}", error.message);
        }
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        let settings: Self = serde_yaml::from_str(text).with_context(|| format!("`{path}` is invalid"))?;
        globs(&settings.files).map_err(|why| anyhow::anyhow!("`{path}` is invalid: {why}"))?;
        Ok(settings)
    }

    /// Returns these settings, overridden by `over`.
    pub(crate) fn overlaid(mut self, over: &Self) -> Self {
        self.files.extend(over.files.iter().cloned());
        // The editor's are tried first.
        self.problem_matchers.splice(0..0, over.problem_matchers.iter().cloned());
        self.parallelism = over.parallelism.or(self.parallelism);
        self.shell = over.shell.clone().or(self.shell);
        self.shellcheck = over.shellcheck.or(self.shellcheck);
        self.severity.extend(over.severity.iter().map(|(code, severity)| (code.clone(), *severity)));
        self
    }

    /// Tells whether ShellCheck is asked.
    pub(crate) fn uses_shellcheck(&self) -> bool {
        self.shellcheck != Some(false) && self.severity.get(Code::Shellcheck.as_str()) != Some(&SeveritySetting::Off)
    }

    /// Applies the user's severities; what is off is left out.
    pub(crate) fn adjust(&self, diagnostic: &Diagnostic) -> Option<Diagnostic> {
        Some(Diagnostic { severity: self.severity_of(diagnostic)?, ..diagnostic.clone() })
    }

    /// Returns how much a finding matters to the user; `None` is off.
    pub(crate) fn severity_of(&self, diagnostic: &Diagnostic) -> Option<Severity> {
        Some(match self.severity.get(diagnostic.code.as_str()) {
            None => diagnostic.severity,
            Some(SeveritySetting::Error) => Severity::Error,
            Some(SeveritySetting::Warning) => Severity::Warning,
            Some(SeveritySetting::Information) => Severity::Information,
            Some(SeveritySetting::Hint) => Severity::Hint,
            Some(SeveritySetting::Off) => return None,
        })
    }
}

/// Returns the maximum number of brackets open at once, including those in strings.
pub(super) fn nesting(text: &str) -> usize {
    let mut open = 0_usize;
    text.bytes().fold(0, |most, byte| {
        open = match byte {
            b'[' | b'{' => open + 1,
            b']' | b'}' => open.saturating_sub(1),
            _ => open,
        };
        most.max(open)
    })
}

/// Reads the patterns of `files`, which match the same files in the editor and on the command line.
pub(crate) fn globs(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = Glob::new(pattern).map_err(|error| format!("The setting `pipelens.files` is invalid: {error}"))?;
        set.add(glob);
    }
    set.build().map_err(|error| format!("The setting `pipelens.files` cannot be used: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_without_words_is_refused() {
        for empty in ["\"\"", "\" \"", "[]", "[\"\"]"] {
            let why =
                serde_json::from_str::<ProjectSettings>(&format!("{{\"shell\": {empty}}}")).unwrap_err().to_string();
            assert!(why.contains("`shell` is empty"), "{why}");
        }
    }

    #[test]
    fn the_editors_settings_override_the_projects() {
        let project: ProjectSettings =
            serde_yaml::from_str("files: [ci/*.yml]\nparallelism: 2\nseverity: {a: off, b: hint}").unwrap();
        let editor: ProjectSettings =
            serde_json::from_str(r#"{"parallelism": 4, "severity": {"a": "error"}}"#).unwrap();
        let both = project.overlaid(&editor);
        assert_eq!(both.files, ["ci/*.yml"]);
        assert_eq!(both.parallelism, Some(4));
        assert_eq!(both.severity["a"], SeveritySetting::Error);
        assert_eq!(both.severity["b"], SeveritySetting::Hint);
    }

    #[test]
    fn the_projects_settings_must_be_a_small_flat_regular_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(PROJECT_FILE);
        let why = || format!("{:#}", ProjectSettings::read(folder.path()).unwrap_err());
        std::fs::write(&file, "[".repeat(60_000)).unwrap();
        assert!(why().contains("is nested deeper than 32 levels"), "{}", why());
        std::fs::write(&file, "#".repeat(70_000)).unwrap();
        assert!(why().contains("is longer than 65.5 kB"), "{}", why());
        for hostile in ["- ".repeat(30_000), "? ".repeat(30_000), "&a ".repeat(20_000), "!a ".repeat(20_000)] {
            std::fs::write(&file, hostile).unwrap();
            why();
        }
        std::fs::remove_file(&file).unwrap();
        std::fs::write(folder.path().join("token"), "secret: token").unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("token", &file).unwrap();
            assert!(why().ends_with("it is a symbolic link, not a regular file"), "{}", why());
        }
    }
}
