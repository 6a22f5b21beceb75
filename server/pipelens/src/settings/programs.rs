//! How programs that make pipelines are executed.

use std::collections::BTreeMap;
use std::path::Path;

use globset::Glob;
use schemars::JsonSchema;
use serde::Deserialize;

/// How programs that make pipelines are executed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Programs {
    /// When a program is executed. It never is in a workspace that is not trusted.
    #[schemars(extend("scope" = "machine", "default" = "run"))]
    pub(crate) render: Render,
    /// The interpreter for Python programs. Without it: the project's virtual environment, `VIRTUAL_ENV`, the tool the project is locked with (uv,
    /// Poetry), or the one on `PATH`.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) python: Option<String>,
    /// The runtime for TypeScript programs: node (22.6 or later), bun, deno or tsx. Without it, the first of them that is found.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) typescript: Option<String>,
    /// Commands that print pipelines (an envelope or a plan, in JSON), by globs of the files that they make them from: `{"ci/*.jsonnet": ["jsonnet", "{file}"]}`.
    /// `{file}` is the file's path; the text in the editor is on standard input. Where steps are made can be told in `places`.
    #[schemars(extend("scope" = "machine", "default" = serde_json::Map::new()), with = "BTreeMap<String, Vec<String>>")]
    pub(crate) commands: Commands,
}

/// Commands by globs that were checked when they were read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, Vec<String>>")]
pub(crate) struct Commands(Vec<(Glob, Vec<String>)>);

impl Commands {
    /// Returns the command for a file, by its path in the project.
    pub(crate) fn of(&self, path: &Path, root: &Path) -> Option<&[String]> {
        let path = path.strip_prefix(root).unwrap_or(path);
        let (_, words) = self.0.iter().find(|(glob, _)| glob.compile_matcher().is_match(path))?;
        Some(words)
    }
}

impl TryFrom<BTreeMap<String, Vec<String>>> for Commands {
    type Error = String;

    fn try_from(written: BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        let checked = |(glob, words): (String, Vec<String>)| {
            if words.is_empty() {
                return Err(format!("the command for `{glob}` is empty; its first word must be a program"));
            }
            let glob = Glob::new(&glob).map_err(|error| format!("`{glob}` is not a glob: {}", error.kind()))?;
            Ok((glob, words))
        };
        written.into_iter().map(checked).collect::<Result<_, _>>().map(Self)
    }
}

/// When a program is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Render {
    /// Never. What it makes cannot be run.
    Never,
    /// When you run it, and from then on when it is saved.
    #[default]
    Run,
    /// When it is opened or saved.
    Always,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(commands: serde_json::Value) -> Result<Programs, String> {
        serde_json::from_value(serde_json::json!({ "commands": commands })).map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_is_found_by_the_path_of_a_file() {
        let programs = programs(serde_json::json!({"ci/*.cue": ["cue"], "**/*.dhall": ["dhall", "{file}"]})).unwrap();
        let of = |path| programs.commands.of(Path::new(path), Path::new("/project"));
        assert_eq!(of("/project/deep/er/a.dhall").unwrap(), ["dhall", "{file}"]);
        assert_eq!(of("/project/a.jsonnet"), None);
    }

    #[test]
    fn a_command_that_cannot_be_used_is_explained() {
        let error = |commands| programs(commands).unwrap_err();
        assert_eq!(
            error(serde_json::json!({"ci/[a": ["x"]})),
            "`ci/[a` is not a glob: unclosed character class; missing ']'"
        );
        assert_eq!(
            error(serde_json::json!({"*": []})),
            "the command for `*` is empty; its first word must be a program"
        );
    }
}
