//! Variables after a `$` in a command; elsewhere there is nothing to offer in a shell command.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use super::entry::{Completion, CompletionKind};
use super::values::{pipeline_at, shortened, step_at};
use crate::analysis::Analysis;
use crate::ide::described::axis_values;
use crate::ide::variables::{Scope, Setter, command_at};
use crate::printable::code;
use crate::shell::variables::{Variables, is_name};
use crate::syntax::offsets::Offsets;
use crate::text::{Spanned, TextEdit, TextRange};

pub(super) fn variables(analysis: &Analysis, cursor: &Cursor<'_>) -> Vec<Completion> {
    let Some(reference) = Reference::at(&analysis.text, cursor) else { return Vec::new() };
    let found = command_at(analysis, cursor.offset);
    if found.as_ref().is_some_and(|(_, command)| is_literal(analysis, command, reference.dollar)) {
        return Vec::new();
    }
    // The command of a step that cannot be read yet.
    let scope = found.map(|(scope, _)| scope).or_else(|| {
        let pipeline = pipeline_at(analysis, cursor)?;
        let step = step_at(pipeline, cursor).filter(|step| step.dialect().is_some())?;
        Some(Scope::of_step(pipeline, step))
    });
    let Some(scope) = scope else { return Vec::new() };
    let known: BTreeMap<&str, String> = scope
        .by_name
        .iter()
        .filter(|(name, _)| is_name(name))
        .map(|(name, setter)| (*name, described(setter)))
        .collect();
    let provided = scope.provided().iter().filter(|variable| !known.contains_key(variable.name));
    let provided: Vec<(&str, String)> = provided.map(|variable| (variable.name, variable.doc.to_owned())).collect();
    let entry = |(name, doc): (&str, String)| Completion {
        label: name.to_owned(),
        kind: CompletionKind::Variable,
        documentation: doc,
        edit: TextEdit { range: reference.name, new_text: format!("{name}{}", reference.missing_brace) },
        snippet: None,
    };
    known.into_iter().chain(provided).map(entry).collect()
}

fn described(setter: &Setter<'_>) -> String {
    match setter {
        Setter::Secret(..) => "A secret of this step.".to_owned(),
        Setter::Matrix(step, name) => axis_values(step, &name.name.value),
        Setter::Pipeline(variable) | Setter::Step(_, variable) | Setter::Service(_, _, variable) => {
            code(&shortened(variable.value))
        }
        Setter::Runner(provided) => provided.doc.to_owned(),
        Setter::Command | Setter::Nothing(_) => String::new(),
    }
}

/// A `$` with the name that is being written after it.
struct Reference {
    dollar: usize,
    name: TextRange,
    /// The `}` that is not there yet.
    missing_brace: &'static str,
}

impl Reference {
    fn at(text: &str, cursor: &Cursor<'_>) -> Option<Self> {
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let (before, after) = (text.get(..cursor.offset)?, text.get(cursor.offset..)?);
        let head = before.trim_end_matches(is_part);
        let rest = after.trim_start_matches(is_part);
        let name = TextRange::new(head.len(), cursor.offset + (after.len() - rest.len()));
        let (dollar, missing_brace) = if head.ends_with('$') {
            (head.len() - 1, "")
        } else {
            let dollar = head.strip_suffix('{')?.strip_suffix('$')?.len();
            // After the name there may be an operator with a brace after it.
            let is_open = rest.is_empty() || rest.starts_with([' ', '\n', '\r', '"', '\'', '\\', ';', ')', '/']);
            (dollar, if is_open { "}" } else { "" })
        };
        let marks = before.get(..dollar)?;
        let backslashes = marks.len() - marks.trim_end_matches('\\').len();
        // Between double quotes of YAML or JSON, two of them are one in the command.
        let written = if cursor.quote == Some('"') { backslashes / 2 } else { backslashes };
        (written % 2 == 0).then_some(Self { dollar, name, missing_brace })
    }
}

/// Tells whether the shell would not expand a `$` there.
fn is_literal(analysis: &Analysis, command: &Spanned<String>, dollar: usize) -> bool {
    let Some(offsets) = Offsets::of(&analysis.text, command) else { return false };
    let variables = Variables::of(&command.value);
    let mut places = variables.literals.iter().filter_map(|literal| offsets.source(*literal));
    places.any(|place| place.start <= dollar && dollar < place.end)
}
