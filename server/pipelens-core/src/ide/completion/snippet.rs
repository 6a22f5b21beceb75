//! Snippets with placeholders, indented for the place they go to.

use super::cursor::{Cursor, Follows};
use super::entry::{Completion, CompletionKind};
use super::written::{expanded, indented};
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

/// Makes the entry for a key, with what its value starts with: a list, a mapping or a string.
pub(super) fn of_key(cursor: &Cursor<'_>, key: &Key) -> Completion {
    let plain = cursor.key_entry(key.name, json_value(key.shape), CompletionKind::Key, key.doc);
    if cursor.follows == Follows::Colon {
        return plain;
    }
    let value = if cursor.is_flow { flow_value(cursor, key.shape).to_owned() } else { block_value(cursor, key.shape) };
    let text = cursor.key_text(key.name, &value);
    let snippet = Some(text.replace(": \n", ":\n"));
    Completion { snippet, ..plain }
}

fn block_value(cursor: &Cursor<'_>, shape: Shape) -> String {
    let inner = indent(cursor, 2);
    match shape {
        Shape::Env => format!("\n{inner}${{1:NAME}}: $0"),
        Shape::Map(place) | Shape::OptionalMap(place) => format!("\n{inner}{}", first_entry(place, &inner)),
        Shape::Steps => format!("\n{inner}- key: ${{1:name}}\n{inner}  cmd: ${{2:command}}"),
        Shape::List { of: Shape::Map(place), .. } => format!("\n{inner}- {}", first_entry(*place, &inner)),
        Shape::List { .. } | Shape::TextsOrMap(_) | Shape::StepKeys => "[$0]".to_owned(),
        Shape::Text
        | Shape::Shell
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
        | Shape::MountPath
        | Shape::MountPathOrMap(_)
        | Shape::PlanEnv
        | Shape::Scalar
        | Shape::Edge
        | Shape::Argument(_)
        | Shape::Anything => "$0".to_owned(),
    }
}

/// Returns what a mapping that people write starts with: its required key, if there is one.
fn first_entry(place: Place, indent: &str) -> String {
    if let Some(any_name) = keys::any_name(place) {
        if let Shape::List { .. } = any_name.shape {
            return "${1:name}: [$0]".to_owned();
        }
        if any_name.shape == Shape::Scalar {
            return "${1:name}: $0".to_owned();
        }
        let inner = any_name.shape.place().map_or_else(|| "$0".to_owned(), |inner| first_entry(inner, indent));
        return format!("${{1:name}}:\n{indent}  {inner}");
    }
    let required = keys::keys(place).iter().find(|key| key.is_required && !place.is_wire_format());
    required.map_or_else(|| "$0".to_owned(), |key| format!("{}: $0", key.name))
}

fn flow_value(cursor: &Cursor<'_>, shape: Shape) -> &'static str {
    match json_value(shape) {
        value if cursor.is_json || value.starts_with(['{', '[']) => value,
        _ => "$0",
    }
}

/// Returns a value for JSON, where a key without one is an error.
fn json_value(shape: Shape) -> &'static str {
    match shape {
        Shape::Env | Shape::PlanEnv | Shape::Map(_) | Shape::OptionalMap(_) => "{$0}",
        Shape::List { .. } | Shape::TextsOrMap(_) | Shape::StepKeys | Shape::Steps | Shape::Edge => "[$0]",
        Shape::Bool => "${0:true}",
        Shape::Integer { min: 0, .. } => "${0:0}",
        Shape::Integer { .. } => "${0:60}",
        Shape::Text
        | Shape::Shell
        | Shape::NonEmptyText
        | Shape::Name
        | Shape::OneOf(_)
        | Shape::Version(_)
        | Shape::Image
        | Shape::StepKey
        | Shape::VariableName
        | Shape::Runner
        | Shape::Policy
        | Shape::AbsolutePath
        | Shape::Scalar
        | Shape::MountPath
        | Shape::MountPathOrMap(_)
        | Shape::Argument(_)
        | Shape::Anything => "\"$0\"",
    }
}

/// Returns whole steps, or the whole pipeline, where nothing has been written yet.
pub(super) fn whole(analysis: &Analysis, cursor: &Cursor<'_>, place: Place, is_new: bool) -> Vec<Completion> {
    if !is_new || cursor.quote.is_some() || matches!(cursor.follows, Follows::Colon | Follows::Something) {
        return Vec::new();
    }
    let is_blank = analysis.text.trim().len() <= cursor.word.end - cursor.word.start;
    match place {
        Place::Step if cursor.is_flow => vec![flow_step(cursor, false)],
        Place::Step if cursor.is_list_entry => steps(cursor),
        Place::Trigger if cursor.is_list_entry && !cursor.is_flow => triggers(cursor, |event, more| {
            let line = format!("\n{}", indent(cursor, 0));
            format!("event: {event}{}", more.map(|more| format!("{line}{more}")).unwrap_or_default())
        }),
        Place::Pipeline if is_blank => {
            vec![entry(cursor, "pipeline", "A pipeline with its first step.", PIPELINE)]
        }
        _ => Vec::new(),
    }
}

/// Returns a step in brackets, with its own or without.
pub(super) fn flow_step(cursor: &Cursor<'_>, is_item: bool) -> Completion {
    let inner = if cursor.is_json {
        "\"key\": \"${1:name}\", \"cmd\": \"${2:command}\""
    } else {
        "key: ${1:name}, cmd: ${2:command}"
    };
    let text = if is_item { format!("{{{inner}}}") } else { inner.to_owned() };
    entry(cursor, "step", "A step with its key and command.", &text)
}

/// Returns whole triggers in brackets.
pub(super) fn flow_triggers(cursor: &Cursor<'_>, is_list: bool) -> Vec<Completion> {
    triggers(cursor, |event, _| {
        let trigger =
            if cursor.is_json { format!("{{\"event\": \"{event}\"}}") } else { format!("{{event: {event}}}") };
        if is_list { format!("[{trigger}]") } else { trigger }
    })
}

/// Returns an entry for each event, with a further line where the event has one that matters.
fn triggers(cursor: &Cursor<'_>, text: impl Fn(&str, Option<&str>) -> String) -> Vec<Completion> {
    let events = [
        ("push", Some("branches: [${1:main}]"), "A trigger for pushes to branches."),
        ("pull_request", None, "A trigger for pull requests."),
        ("schedule", Some("cron: \"${1:0 3 * * *}\""), "A trigger at fixed times."),
    ];
    let trigger = |(event, more, doc): (&str, Option<&str>, &str)| {
        let mut plain = cursor.value_entry(event, expanded(&text(event, None)), CompletionKind::Value, doc);
        let comma = if cursor.follows == Follows::Entry { ", " } else { "" };
        plain.snippet = more.map(|more| format!("{}{}{comma}", cursor.lead(), text(event, Some(more))));
        plain
    };
    events.map(trigger).to_vec()
}

fn steps(cursor: &Cursor<'_>) -> Vec<Completion> {
    let line = format!("\n{}", indent(cursor, 0));
    let step = |label: &str, doc: &str, lines: &[&str]| entry(cursor, label, doc, &lines.join(&line));
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

fn entry(cursor: &Cursor<'_>, label: &str, doc: &str, snippet: &str) -> Completion {
    let comma = if cursor.follows == Follows::Entry { ", " } else { "" };
    let snippet = format!("{}{snippet}{comma}", cursor.lead());
    let new_text = indented(&expanded(&snippet), cursor.blanks);
    Completion {
        label: label.to_owned(),
        kind: CompletionKind::Snippet,
        documentation: doc.to_owned(),
        edit: TextEdit { range: cursor.word, new_text },
        snippet: Some(snippet),
    }
}

/// Returns the spaces of a further line; editors add those of the cursor's own line.
fn indent(cursor: &Cursor<'_>, deeper: usize) -> String {
    " ".repeat((cursor.column + deeper).saturating_sub(cursor.indentation))
}
