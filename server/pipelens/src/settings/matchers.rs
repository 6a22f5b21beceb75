//! The user's own problem matchers, in the form that VS Code has for tasks.

use std::borrow::Cow;

use pipelens_core::problems::{Field, Matcher, MatcherError, Matchers, PatternSpec};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A matcher that was checked when it was read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct ProblemMatcher {
    name: Option<String>,
    severity: Option<String>,
    folder: Option<String>,
    patterns: Vec<PatternSpec>,
}

/// Compiles all matchers.
pub(crate) fn compiled(matchers: &[ProblemMatcher]) -> Result<Matchers, MatcherError> {
    Matchers::new(matchers.iter().map(ProblemMatcher::compiled).collect::<Result<_, _>>()?)
}

impl ProblemMatcher {
    fn compiled(&self) -> Result<Matcher, MatcherError> {
        Matcher::new(self.name.clone(), self.severity.as_deref(), self.folder.clone(), self.patterns.clone())
    }
}

/// What VS Code's `problemMatcher` has. Its other keys, such as `background`, have no meaning here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    name: Option<String>,
    owner: Option<String>,
    source: Option<String>,
    severity: Option<String>,
    file_location: Option<FileLocation>,
    pattern: OneOrMany,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum FileLocation {
    In(Vec<serde_json::Value>),
    Kind(IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(WrittenPattern),
    Many(Vec<WrittenPattern>),
    Named(String),
}

#[derive(Debug, Deserialize)]
struct WrittenPattern {
    regexp: String,
    kind: Option<String>,
    file: Option<usize>,
    location: Option<usize>,
    line: Option<usize>,
    column: Option<usize>,
    #[serde(rename = "endLine")]
    end_line: Option<usize>,
    #[serde(rename = "endColumn")]
    end_column: Option<usize>,
    severity: Option<usize>,
    code: Option<usize>,
    message: Option<usize>,
    #[serde(default, rename = "loop")]
    is_loop: bool,
}

impl TryFrom<Written> for ProblemMatcher {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let name = written.source.or(written.name).or(written.owner);
        let shown = name
            .as_ref()
            .map_or_else(|| "a matcher of `problemMatchers`".to_owned(), |name| format!("the matcher `{name}`"));
        let patterns = match written.pattern {
            OneOrMany::One(pattern) => vec![pattern.spec()],
            OneOrMany::Many(patterns) => patterns.into_iter().map(WrittenPattern::spec).collect(),
            OneOrMany::Named(name) => {
                return Err(format!(
                    "{shown} cannot be used: `{name}` is a pattern of VS Code; write the pattern itself"
                ));
            }
        };
        let folder = match written.file_location {
            Some(FileLocation::In(parts)) => parts.get(1).and_then(|folder| Some(below_workspace(folder.as_str()?))),
            Some(FileLocation::Kind(IgnoredAny)) | None => None,
        };
        let matcher = Self { name, severity: written.severity, folder: folder.flatten(), patterns };
        matcher.compiled().map_err(|why| format!("{shown} cannot be used: {why}"))?;
        Ok(matcher)
    }
}

/// Returns the folder that `${workspaceFolder}/web` names.
fn below_workspace(folder: &str) -> Option<String> {
    let variables = ["${workspaceFolder}", "${workspaceRoot}", "${cwd}"];
    let rest = variables.into_iter().find_map(|variable| folder.strip_prefix(variable)).unwrap_or(folder);
    let rest = if rest.len() < folder.len() { rest.trim_start_matches('/') } else { rest };
    (!rest.is_empty()).then(|| rest.to_owned())
}

impl WrittenPattern {
    fn spec(self) -> PatternSpec {
        let groups = [
            (Field::File, self.file),
            (Field::Location, self.location),
            (Field::Line, self.line),
            (Field::Column, self.column),
            (Field::EndLine, self.end_line),
            (Field::EndColumn, self.end_column),
            (Field::Severity, self.severity),
            (Field::Code, self.code),
            (Field::Message, self.message),
        ];
        let mut groups: Vec<_> = groups.into_iter().filter_map(|(field, group)| Some((field, group?))).collect();
        // What VS Code assumes of a pattern that names no groups.
        if groups.is_empty() {
            groups = vec![(Field::File, 1), (Field::Line, 2), (Field::Column, 3), (Field::Message, 0)];
        }
        let is_file = self.kind.as_deref() == Some("file");
        PatternSpec { expression: self.regexp, groups, is_loop: self.is_loop, is_file }
    }
}

impl JsonSchema for ProblemMatcher {
    fn schema_name() -> Cow<'static, str> {
        "ProblemMatcher".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let group =
            |description: &str| serde_json::json!({"type": "integer", "minimum": 0, "description": description});
        let pattern = serde_json::json!({
            "type": "object",
            "required": ["regexp"],
            "properties": {
                "regexp": {"type": "string", "description": "The expression, without look-ahead, look-behind and back-references."},
                "kind": {"enum": ["file", "location"], "description": "`file`: the problem is about the file as a whole."},
                "file": group("The group with the path."),
                "location": group("The group with `line`, `line,column` or `line,column,endLine,endColumn`."),
                "line": group("The group with the line."),
                "column": group("The group with the column."),
                "endLine": group("The group with the last line."),
                "endColumn": group("The group with the column after the end."),
                "severity": group("The group with the severity."),
                "code": group("The group with the code."),
                "message": group("The group with the message."),
                "loop": {"type": "boolean", "description": "The last of several patterns may match any number of lines."},
            },
        });
        json_schema!({
            "type": "object",
            "required": ["pattern"],
            "properties": {
                "name": {"type": "string"},
                "owner": {"type": "string"},
                "source": {"type": "string", "description": "The name of the tool."},
                "severity": {"enum": ["error", "warning", "info"], "description": "For problems whose lines do not say it."},
                "fileLocation": {"type": ["string", "array"], "description": "`[\"relative\", \"${workspaceFolder}/web\"]`: what relative paths are relative to."},
                "pattern": {"oneOf": [pattern, {"type": "array", "items": pattern, "minItems": 1}]},
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_matcher_of_a_task_can_be_copied() {
        let matcher: ProblemMatcher = serde_json::from_value(json!({
            "owner": "eslint", "source": "mine", "background": {"activeOnStart": true}, "applyTo": "allDocuments",
            "fileLocation": ["relative", "${workspaceFolder}/web"],
            "pattern": [{"regexp": "^(.*)$", "file": 1}, {"regexp": r"^\s+(\d+):(\d+) (.*)$", "line": 1, "column": 2, "message": 3, "loop": true}],
        }))
        .unwrap();
        assert_eq!((matcher.name.as_deref(), matcher.folder.as_deref()), (Some("mine"), Some("web")));
        assert_eq!(matcher.patterns.len(), 2);
    }

    #[test]
    fn a_matcher_with_a_mistake_is_explained() {
        let why = |value| serde_json::from_value::<ProblemMatcher>(value).unwrap_err().to_string();
        assert_eq!(
            why(json!({"source": "mine", "pattern": {"regexp": "(a)", "file": 1}})),
            "the matcher `mine` cannot be used: it needs a group for `file`, and one for `line` or `location`"
        );
        assert_eq!(
            why(json!({"pattern": "$tsc"})),
            "a matcher of `problemMatchers` cannot be used: `$tsc` is a pattern of VS Code; write the pattern itself"
        );
    }
}
