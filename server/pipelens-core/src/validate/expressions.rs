//! Expressions of other CI systems, which stay as they are written.

use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;
use crate::shell::is_name;
use crate::syntax::parse::floor_char_border;
use crate::syntax::tree::{Kind, NodeId, Tree};
use crate::text::TextRange;

/// How the expressions of a system start and end, and what it is called.
const SYSTEMS: [(&str, &str, &str); 3] =
    [("${{", "}}", "GitHub Actions"), ("<< parameters.", ">>", "CircleCI"), ("<< pipeline.", ">>", "CircleCI")];

/// Longer ones are no expressions.
const MAX_EXPRESSION_BYTES: usize = 1_000;

/// Finds them in all values but names of images, which have a finding of their own then.
pub(super) fn check(text: &str, tree: &Tree, findings: &mut Findings) {
    // Nearly every file has none.
    if !SYSTEMS.iter().any(|(start, ..)| memchr::memmem::find(text.as_bytes(), start.as_bytes()).is_some()) {
        return;
    }
    for node in tree.nodes() {
        match &node.kind {
            Kind::Map { entries, .. } => {
                for entry in entries {
                    let key = tree.key_text(entry).unwrap_or_default();
                    if !matches!(key, "image" | "default_image") {
                        in_value(text, tree, entry.value, key, findings);
                    }
                }
            }
            Kind::List { items, .. } => items.iter().for_each(|item| in_value(text, tree, *item, "", findings)),
            Kind::Scalar(_) | Kind::Alias(_) => {}
        }
    }
}

fn in_value(text: &str, tree: &Tree, id: NodeId, key: &str, findings: &mut Findings) {
    let node = tree.node(id);
    if !matches!(node.kind, Kind::Scalar(_)) {
        return;
    }
    let source = node.range.of(text);
    let is_command = matches!(key, "cmd" | "ready");
    // A here-document may write a file for that system.
    let is_expression =
        |at: usize| SYSTEMS.iter().any(|(start, ..)| source.get(at..).is_some_and(|rest| rest.starts_with(start)));
    let document = source.match_indices("<<").map(|(at, _)| at).find(|at| is_command && !is_expression(*at));
    for (start, end, system) in SYSTEMS {
        for (offset, _) in source.match_indices(start) {
            let rest = source.get(offset..).unwrap_or_default();
            let near = rest.get(..floor_char_border(rest, MAX_EXPRESSION_BYTES)).unwrap_or_default();
            let Some(length) = near.find(end).map(|at| at + end.len()) else { continue };
            let is_in_document = document.is_some_and(|document| document < offset);
            if is_in_document || near.get(..length).is_some_and(|found| found.contains('\n')) {
                continue;
            }
            let place = TextRange::new(node.range.start + offset, node.range.start + offset + length);
            findings.push(finding(place, place.of(text), system, is_command));
        }
    }
}

fn finding(place: TextRange, written: &str, system: &str, is_command: bool) -> Diagnostic {
    let inner = written.trim_start_matches("${{").trim_end_matches("}}").trim();
    let advice = match inner.split_once('.') {
        Some(("secrets", name)) if is_name(name) => {
            format!("List `{name}` in the step's `secrets`, and write `${name}` in `cmd`")
        }
        Some(("env" | "vars" | "inputs", name)) if is_name(name) => {
            format!("Set `{name}` in `env`, and write `${name}` in `cmd`")
        }
        _ if is_command => "Set a variable in `env`, and write `$NAME` here".to_owned(),
        _ => "Write the value itself, or use `$NAME` in `cmd`".to_owned(),
    };
    let message = format!("`{written}` is an expression of {system}, which is never replaced here. {advice}.");
    let finding = Diagnostic::new(Code::ForeignExpression, place, message);
    match inner.split_once('.') {
        Some(("env" | "secrets" | "vars", name)) if is_command && is_name(name) => {
            finding.with_fix(format!("Change to `${name}`"), place, format!("${{{name}}}"))
        }
        _ => finding,
    }
}
