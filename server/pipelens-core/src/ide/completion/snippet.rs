//! Snippets with placeholders, indented for the place they go to.

use super::cursor::Cursor;
use super::entry::{Completion, CompletionKind};
use crate::analysis::Analysis;
use crate::keys::{self, Key, Place, Shape};
use crate::text::TextEdit;

const PIPELINE: &str = "\
name: ${1:ci}
default_image: ${2:alpine:3.22}
steps:
  - key: ${3:test}
    cmd: ${4:make test}
";

/// Returns a key with what its value starts with: a list, a mapping or a string.
pub(super) fn of_key(cursor: &Cursor<'_>, key: &Key) -> String {
    if cursor.is_in_closed_quotes() {
        return key.name.to_owned();
    }
    let name = cursor.quoted(key.name);
    if cursor.is_flow {
        return format!("{name}: {}", in_brackets(cursor, key.shape));
    }
    let inner = indent(cursor, 2);
    match key.shape {
        Shape::Env => format!("{name}:\n{inner}${{1:NAME}}: $0"),
        Shape::Map(place) | Shape::OptionalMap(place) => format!("{name}:\n{inner}{}", first_entry(place, &inner)),
        Shape::Steps => format!("{name}:\n{inner}- key: ${{1:name}}\n{inner}  cmd: ${{2:command}}"),
        Shape::List { of: Shape::Map(Place::Trigger), .. } => {
            format!("{name}:\n{inner}- {}", first_entry(Place::Trigger, &inner))
        }
        Shape::List { .. } | Shape::StepKeys => format!("{name}: [$0]"),
        Shape::Text
        | Shape::NonEmptyText
        | Shape::Name
        | Shape::Bool
        | Shape::Integer { .. }
        | Shape::OneOf(_)
        | Shape::Version(_)
        | Shape::Image
        | Shape::StepKey
        | Shape::VariableName
        | Shape::Runner
        | Shape::Policy
        | Shape::AbsolutePath
        | Shape::PlanEnv
        | Shape::Edge
        | Shape::Argument(_)
        | Shape::Anything => format!("{name}: $0"),
    }
}

/// Returns what a mapping that people write starts with: its required key, if there is one.
fn first_entry(place: Place, indent: &str) -> String {
    if let Some(any_name) = keys::any_name(place) {
        let inner = any_name.shape.place().map_or_else(|| "$0".to_owned(), |inner| first_entry(inner, indent));
        return format!("${{1:name}}:\n{indent}  {inner}");
    }
    let required = keys::keys(place).iter().find(|key| key.is_required && !place.is_wire_format());
    required.map_or_else(|| "$0".to_owned(), |key| format!("{}: $0", key.name))
}

fn in_brackets(cursor: &Cursor<'_>, shape: Shape) -> &'static str {
    match shape {
        Shape::Env | Shape::PlanEnv | Shape::Map(_) | Shape::OptionalMap(_) => "{$0}",
        Shape::List { .. } | Shape::StepKeys | Shape::Steps | Shape::Edge => "[$0]",
        Shape::Bool | Shape::Integer { .. } | Shape::Argument(_) | Shape::Anything => "$0",
        Shape::Text
        | Shape::NonEmptyText
        | Shape::Name
        | Shape::OneOf(_)
        | Shape::Version(_)
        | Shape::Image
        | Shape::StepKey
        | Shape::VariableName
        | Shape::Runner
        | Shape::Policy
        | Shape::AbsolutePath => {
            if cursor.is_json {
                "\"$0\""
            } else {
                "$0"
            }
        }
    }
}

/// Returns whole steps, or the whole pipeline, where nothing has been written yet.
pub(super) fn whole(analysis: &Analysis, cursor: &Cursor<'_>, place: Place, is_new: bool) -> Vec<Completion> {
    if !is_new || cursor.quote.is_some() {
        return Vec::new();
    }
    let step = |snippet: &str| vec![entry(cursor, "step", "A step with its key and command.", snippet.to_owned())];
    let is_blank = analysis.text.trim().len() <= cursor.word.end - cursor.word.start;
    if place == Place::Step && cursor.is_json {
        return step("\"key\": \"${1:name}\", \"cmd\": \"${2:command}\"");
    }
    if place == Place::Step && cursor.is_flow {
        return step("key: ${1:name}, cmd: ${2:command}");
    }
    if place == Place::Step && cursor.is_list_entry {
        return steps(cursor);
    }
    if place == Place::Pipeline && is_blank {
        return vec![entry(cursor, "pipeline", "A pipeline with its first step.", PIPELINE.to_owned())];
    }
    Vec::new()
}

fn steps(cursor: &Cursor<'_>) -> Vec<Completion> {
    let line = format!("\n{}", indent(cursor, 0));
    let step = |label: &str, doc: &str, lines: &[&str]| entry(cursor, label, doc, lines.join(&line));
    vec![
        step("step", "A step with its key and command.", &["key: ${1:name}", "cmd: ${2:command}"]),
        step(
            "step with an image",
            "A step that starts from its own image.",
            &["key: ${1:name}", "image: ${2:image}", "cmd: ${3:command}"],
        ),
        step(
            "step built in another step",
            "A step that starts from the filesystem another step left.",
            &["key: ${1:name}", "builds_in: ${2:step}", "cmd: ${3:command}"],
        ),
        step(
            "step with a script",
            "A step that runs a multi-line shell script.",
            &["key: ${1:name}", "cmd: |", "  ${2:command}"],
        ),
    ]
}

fn entry(cursor: &Cursor<'_>, label: &str, doc: &str, snippet: String) -> Completion {
    Completion {
        label: label.to_owned(),
        kind: CompletionKind::Snippet,
        documentation: doc.to_owned(),
        edit: TextEdit { range: cursor.word, new_text: without_placeholders(&snippet) },
        snippet: Some(snippet),
    }
}

/// Returns the text a snippet stands for: `${1:name}` is `name`.
fn without_placeholders(snippet: &str) -> String {
    let mut text = String::with_capacity(snippet.len());
    let mut rest = snippet;
    while let Some((before, after)) = rest.split_once("${") {
        text.push_str(before);
        let (placeholder, next) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(placeholder.split_once(':').map_or("", |(_, default)| default));
        rest = next;
    }
    text.push_str(rest);
    text
}

/// Returns the spaces of a further line; editors add those of the cursor's own line.
fn indent(cursor: &Cursor<'_>, deeper: usize) -> String {
    " ".repeat((cursor.column + deeper).saturating_sub(cursor.indentation))
}
