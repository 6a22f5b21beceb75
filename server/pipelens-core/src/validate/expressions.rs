//! Expressions: of other CI systems, which stay as they are written, and of a matrix, which are replaced in some values only.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use super::matrix::unknown_axis;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::expand;
use crate::findings::Findings;
use crate::model::{Pipeline, Step, matrix_variable};
use crate::nearest::nearest;
use crate::shell::is_name;
use crate::syntax::offsets::Offsets;
use crate::syntax::parse::floor_char_border;
use crate::syntax::tree::{Kind, NodeId, Tree};
use crate::text::{Spanned, TextRange};

/// How the expressions of a system start and end, and what it is called.
const SYSTEMS: [(&str, &str, &str); 3] =
    [("${{", "}}", "GitHub Actions"), ("<< parameters.", ">>", "CircleCI"), ("<< pipeline.", ">>", "CircleCI")];

/// Longer ones are no expressions.
const MAX_EXPRESSION_BYTES: usize = 1_000;

/// Finds them in all values but names of images, which have a finding of their own then.
pub(crate) fn check(text: &str, tree: &Tree, pipelines: &[Pipeline], findings: &mut Findings) {
    // Nearly every file has none.
    if !SYSTEMS.iter().any(|(start, ..)| memchr::memmem::find(text.as_bytes(), start.as_bytes()).is_some()) {
        return;
    }
    let authored = || pipelines.iter().filter(|pipeline| pipeline.spelling.is_authored());
    for step in authored().flat_map(Pipeline::all_steps) {
        of_matrix(text, step, findings);
    }
    let steps = Steps::new(tree, authored());
    for node in tree.nodes() {
        match &node.kind {
            Kind::Map { entries, .. } => {
                for entry in entries {
                    let key = tree.key_text(entry).unwrap_or_default();
                    if !matches!(key, "image" | "default_image") {
                        in_value(text, tree, &steps, entry.value, key, findings);
                    }
                }
            }
            Kind::List { items, .. } => items.iter().for_each(|item| in_value(text, tree, &steps, *item, "", findings)),
            Kind::Scalar(_) | Kind::Alias(_) => {}
        }
    }
}

/// The values of steps in which expressions of their matrix are replaced, and their commands, by where they are.
struct Steps<'a> {
    replaced: HashSet<TextRange>,
    commands: HashMap<TextRange, &'a Step>,
    has_any: bool,
}

impl<'a> Steps<'a> {
    fn new(tree: &Tree, pipelines: impl Iterator<Item = &'a Pipeline>) -> Self {
        let targets: HashMap<TextRange, TextRange> = match tree.has_aliases {
            true => tree.aliases().map(|(range, target)| (range, tree.node(target).range)).collect(),
            false => HashMap::new(),
        };
        let resolved = |range: TextRange| targets.get(&range).copied().unwrap_or(range);
        let mut steps = Self { replaced: HashSet::new(), commands: HashMap::new(), has_any: false };
        for step in pipelines.flat_map(Pipeline::all_steps) {
            steps.has_any = true;
            steps.replaced.extend(step.replaced_values().iter().map(|value| resolved(value.range)));
            steps.commands.extend(step.cmd.iter().map(|cmd| (resolved(cmd.range), step)));
        }
        steps
    }
}

/// Finds expressions that name nothing of the step's matrix, where they would be replaced.
fn of_matrix(text: &str, step: &Step, findings: &mut Findings) {
    for value in step.replaced_values().into_iter().filter(|value| value.value.contains("${{")) {
        // Looked for once, because that takes as long as the value is.
        let offsets = OnceCell::new();
        for expression in expand::expressions(&value.value) {
            let place = |range| {
                let offsets: &Option<Offsets> = offsets.get_or_init(|| Offsets::of(text, value));
                offsets.as_ref().and_then(|offsets| offsets.source(range)).unwrap_or(value.range)
            };
            let Some(matrix) = &step.matrix else {
                // An image has a finding of its own.
                if step.image.as_ref() != Some(value) {
                    let written = expression.range.of(&value.value);
                    let message = format!(
                        "`{written}` is replaced only in a step with a `matrix`, and this one has none. Add `matrix` with the axis `{}`, or write the value itself.",
                        expression.name
                    );
                    findings.push(Diagnostic::new(Code::ForeignExpression, place(expression.range), message));
                }
                continue;
            };
            let is_known = matrix.position(expression.name).is_some();
            let has_empty_axis = matrix.axes.iter().any(|axis| axis.name.value == expression.name);
            let is_fine = is_known || has_empty_axis || matrix.combinations.is_none();
            if is_fine || findings.omits(Code::UnknownAxis, Severity::Error) {
                continue;
            }
            let known = || matrix.names.iter().map(|name| name.name.value.as_str());
            let near =
                findings.may_compare_with(matrix.names.len()).then(|| nearest(expression.name, known())).flatten();
            let name = Spanned::new(expression.name.to_owned(), place(expression.name_range));
            let mut finding = unknown_axis(&name, near, known());
            if name.range == value.range {
                // The place of the name is unknown, so it cannot be replaced.
                finding.fixes.clear();
            }
            findings.push(finding);
        }
    }
}

fn in_value(text: &str, tree: &Tree, steps: &Steps<'_>, id: NodeId, key: &str, findings: &mut Findings) {
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
            if let (true, Some(expression)) = (steps.has_any, expand::expressions(place.of(text)).next()) {
                if !steps.replaced.contains(&node.range) {
                    let step = steps.commands.get(&node.range).copied();
                    findings.push(misplaced(text, place, expression.name, step, key == "cmd"));
                }
                continue;
            }
            findings.push(finding(place, place.of(text), system, is_command));
        }
    }
}

/// An expression of a matrix where it is not replaced.
fn misplaced(text: &str, place: TextRange, name: &str, step: Option<&Step>, is_command: bool) -> Diagnostic {
    let written = place.of(text);
    let only = "is replaced only in `image`, `label`, `env` and `cache`";
    if !is_command {
        let message = format!("`{written}` {only} of a step with a `matrix`. Write the value itself.");
        return Diagnostic::new(Code::ForeignExpression, place, message);
    }
    let matrix = step.and_then(|step| step.matrix.as_deref());
    let known = || matrix.into_iter().flat_map(|matrix| &matrix.names);
    let names = || known().map(|known| known.name.value.as_str());
    let near = names().find(|known| *known == name).or_else(|| nearest(name, names()));
    let is_unknown = near.is_none() && names().next().is_some();
    let variable = matrix_variable(near.unwrap_or(name));
    let message = match matrix {
        None if step.is_some() => {
            format!("`{written}` {only} of a step with a `matrix`, and this one has none. Write the value itself.")
        }
        _ if names().any(|known| known == name) || names().next().is_none() => {
            format!("`{written}` {only}. Write `${variable}` in `cmd`.")
        }
        _ if is_unknown => format!("`{written}` {only}, and the matrix has no axis `{name}`. Write the value itself."),
        _ => format!("`{written}` {only}, and the matrix has no axis `{name}`. Did you mean `${variable}`?"),
    };
    let finding = Diagnostic::new(Code::ForeignExpression, place, message);
    if is_unknown || (matrix.is_none() && step.is_some()) {
        return finding;
    }
    let follows = text.get(place.end..).unwrap_or_default();
    let is_word = follows.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
    let new_text = if is_word { format!("${{{variable}}}") } else { format!("${variable}") };
    finding.with_fix(format!("Change to `${variable}`"), place, new_text)
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
