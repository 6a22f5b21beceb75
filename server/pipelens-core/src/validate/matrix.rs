//! What is wrong with the matrices of steps. Each finding is about what is written, however many combinations it concerns.

mod artifacts;
mod images;
mod paths;

use std::collections::{HashMap, HashSet};

use crate::diagnostic::{Code, Diagnostic};
use crate::expand::{self, MAX_COMBINATIONS, MAX_NAMES, Match, Size};
use crate::findings::Findings;
use crate::keys::MAX_NAME_BYTES;
use crate::model::{Assignments, Combination, Matrix, Pipeline, Step};
use crate::nearest::nearest;
use crate::plan::names::Names;
use crate::syntax::written::flow_scalar;
use crate::text::{Spanned, TextRange};

pub(super) use images::check as check_image;
pub(super) use paths::check as check_paths;

pub(super) fn check(text: &str, pipeline: &Pipeline, findings: &mut Findings) {
    let steps = pipeline.all_steps().filter_map(|step| Some((step, step.matrix.as_deref()?)));
    let mut steps = steps.peekable();
    // Nearly every pipeline has no matrix.
    if steps.peek().is_none() {
        return;
    }
    let mentioned = mentioned(text);
    for (step, matrix) in steps {
        let is_named = !step.key.value.is_empty();
        if is_named && matrix.combinations.is_none() {
            findings.push(too_many(matrix));
            continue;
        }
        findings.extend(no_combinations(step, matrix));
        findings.extend(equal_variables(matrix));
        findings.extend(equal_values(matrix));
        for entry in &matrix.exclude {
            unknown_axes(matrix, entry, findings);
        }
        idle_entries(matrix, findings);
        findings.extend(long_key(matrix));
        findings.extend(unused_axes(matrix, &mentioned));
    }
    let size = expand::size(pipeline);
    findings.extend(too_large(pipeline, size));
    if !size.is_too_large() {
        several_parents(pipeline, findings);
        artifacts::check(pipeline, findings);
    }
}

fn too_many(matrix: &Matrix) -> Diagnostic {
    let names = matrix.axes.len();
    let message = if names > MAX_NAMES {
        format!("This matrix has more than {MAX_NAMES} axes. Combine fewer.")
    } else {
        format!(
            "The matrices of a pipeline may have at most {MAX_COMBINATIONS} combinations and {MAX_NAMES} names, but with this one there are more. Shorten its lists, or split the pipeline."
        )
    };
    Diagnostic::new(Code::TooLarge, matrix.range, message)
}

fn too_large(pipeline: &Pipeline, size: Size) -> Option<Diagnostic> {
    let matrices = pipeline.steps.iter().filter_map(|step| step.matrix.as_deref());
    let largest = matrices.max_by_key(|matrix| matrix.combinations().len())?;
    let message = if size.has_too_much_text() {
        format!(
            "The steps of all combinations add up to {} MB of text. Move long commands into files of their own.",
            size.bytes / 1_000_000
        )
    } else if size.has_too_many_connections() {
        format!(
            "The combinations of this pipeline add up to {} dependencies, which is too many. Put a single step between them for the others to depend on.",
            size.connections
        )
    } else {
        return None;
    };
    Some(Diagnostic::new(Code::TooLarge, largest.range, message))
}

/// An axis without values has a finding of its own.
fn no_combinations(step: &Step, matrix: &Matrix) -> Option<Diagnostic> {
    let has_empty_axis = matrix.axes.iter().any(|axis| axis.values.is_empty());
    if step.key.value.is_empty() || has_empty_axis || !matrix.combinations().is_empty() {
        return None;
    }
    let message = if matrix.axes.is_empty() {
        "This matrix has no combinations, so the step would never run. Add an axis: `rust: [\"1.90\", stable]`."
    } else {
        "`exclude` leaves out every combination, so the step would never run. Remove an entry of it."
    };
    Some(Diagnostic::new(Code::EmptyList, matrix.range, message))
}

/// `a-b` and `a_b` would be the same variable.
fn equal_variables(matrix: &Matrix) -> Option<Diagnostic> {
    let mut seen: HashMap<&str, &Spanned<String>> = HashMap::new();
    for known in &matrix.names {
        let Some(first) = seen.insert(known.variable.value.as_str(), &known.name) else { continue };
        let (name, other, variable) = (&known.name.value, &first.value, &known.variable.value);
        let message = format!("`{name}` and `{other}` would both be `${variable}` in the command. Rename one of them.");
        let finding = Diagnostic::new(Code::BadValue, known.name.range, message);
        return Some(finding.with_related(first.range, format!("`{other}` is here")));
    }
    None
}

fn equal_values(matrix: &Matrix) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for axis in &matrix.axes {
        let mut seen: HashMap<&str, TextRange> = HashMap::new();
        for value in &axis.values {
            let first = *seen.entry(&value.value).or_insert(value.range);
            if first != value.range {
                let (name, written) = (&axis.name.value, &value.value);
                let message =
                    format!("`{written}` is in `{name}` twice, which makes no other combination. Remove one.");
                let finding = Diagnostic::new(Code::IdleMatrixEntry, value.range, message);
                found.push(finding.with_related(first, format!("`{written}` is first listed here")));
            }
        }
    }
    found
}

/// Finds names in `exclude` that no axis has.
fn unknown_axes(matrix: &Matrix, entry: &Assignments, findings: &mut Findings) {
    let axes = || matrix.axes.iter().map(|axis| axis.name.value.as_str());
    for (name, _) in entry.values.iter().filter(|(name, _)| !axes().any(|axis| axis == name.value)) {
        let near = findings.may_compare_with(matrix.axes.len()).then(|| nearest(&name.value, axes())).flatten();
        findings.push(unknown_axis(name, near, axes()));
    }
}

/// Returns a finding about a name that is no axis.
pub(super) fn unknown_axis<'n>(
    name: &Spanned<String>,
    near: Option<&str>,
    known: impl Iterator<Item = &'n str>,
) -> Diagnostic {
    let written = &name.value;
    match near {
        Some(near) => {
            let message = format!("The matrix has no axis `{written}`. Did you mean `{near}`?");
            let finding = Diagnostic::new(Code::UnknownAxis, name.range, message);
            let is_plain = name.range.end - name.range.start == written.len();
            let new_text = if is_plain { near.to_owned() } else { format!("\"{near}\"") };
            finding.with_fix(format!("Change `{written}` to `{near}`"), name.range, new_text)
        }
        None => {
            let known: Vec<String> = known.map(|axis| format!("`{axis}`")).collect();
            let message = match known.is_empty() {
                true => format!("The matrix has no axis `{written}`. Add it."),
                false => format!("The matrix has no axis `{written}`; expected one of {}.", known.join(", ")),
            };
            Diagnostic::new(Code::UnknownAxis, name.range, message)
        }
    }
}

fn idle_entries(matrix: &Matrix, findings: &mut Findings) {
    let idle = expand::idle(matrix);
    for entry in idle.excludes.iter().filter_map(|index| matrix.exclude.get(*index)) {
        let axis = |name: &str| matrix.axes.iter().find(|axis| axis.name.value == name);
        // A name that does not exist has a finding of its own.
        if entry.values.iter().any(|(name, _)| axis(&name.value).is_none()) {
            continue;
        }
        let foreign = entry.values.iter().find_map(|(name, value)| {
            let axis = axis(&name.value)?;
            axis.values.iter().all(|known| known.value != value.value).then_some((axis, value))
        });
        findings.push(match foreign {
            Some((axis, value)) => {
                let (name, written) = (&axis.name.value, &value.value);
                let message = format!("`{name}` has no value `{written}`, so this leaves out no combination.");
                let near = nearest(written, axis.values.iter().map(|value| value.value.as_str()));
                match near {
                    Some(near) => {
                        let message = format!("{message} Did you mean `{near}`?");
                        let finding = Diagnostic::new(Code::IdleMatrixEntry, value.range, message);
                        finding.with_fix(format!("Change to `{near}`"), value.range, flow_scalar(near))
                    }
                    None => Diagnostic::new(Code::IdleMatrixEntry, value.range, format!("{message} Remove the entry.")),
                }
            }
            None => {
                let message = "No combination has all of these values, so this leaves out none. Remove it.";
                Diagnostic::new(Code::IdleMatrixEntry, entry.range, message)
            }
        });
    }
    for entry in idle.includes.iter().filter_map(|index| matrix.include.get(*index)) {
        let message = "There is a combination with these values already, so this adds nothing. Remove it, or give it another value.";
        findings.push(Diagnostic::new(Code::IdleMatrixEntry, entry.range, message));
    }
}

/// The key of a combination is a name like any other. Reported at the longest value of the first one that is too long.
fn long_key(matrix: &Matrix) -> Option<Diagnostic> {
    let long = matrix.combinations().iter().find(|combination| combination.key.len() > MAX_NAME_BYTES)?;
    let longest = matrix.assignments(long).map(|(_, value)| value).max_by_key(|value| value.value.len())?;
    let message = format!(
        "The key of a combination with this value is longer than {MAX_NAME_BYTES} bytes. Shorten the value, or put it into a file or an `include` that extends a combination."
    );
    Some(Diagnostic::new(Code::BadValue, longest.range, message))
}

/// Returns the names of variables and axes that the text mentions.
fn mentioned(text: &str) -> HashSet<&str> {
    let variables = text.match_indices("MATRIX_").map(|(start, _)| {
        let rest = text.get(start..).unwrap_or_default();
        rest.split(|character: char| !character.is_ascii_alphanumeric() && character != '_').next().unwrap_or_default()
    });
    variables.chain(expand::expressions(text).map(|expression| expression.name)).collect()
}

/// Programs may read the variable, so this is no more than a hint.
fn unused_axes(matrix: &Matrix, mentioned: &HashSet<&str>) -> Vec<Diagnostic> {
    let is_used = |name: &str, variable: &str| mentioned.contains(name) || mentioned.contains(variable);
    // A bad name has a finding of its own.
    let is_good = |name: &str| !name.trim().is_empty() && !name.contains("}}");
    let named = matrix.names.iter().filter(|known| is_good(&known.name.value));
    let unused = named.filter(|known| !is_used(&known.name.value, &known.variable.value));
    let finding = |known: &crate::model::MatrixName| {
        let (name, variable) = (&known.name.value, &known.variable.value);
        let message = format!(
            "Nothing in this file uses `${{{{ matrix.{name} }}}}` or `${variable}`, so only programs that read the variable see the value."
        );
        Diagnostic::new(Code::UnusedAxis, known.name.range, message)
    };
    unused.map(finding).collect()
}

/// Finds steps that would start from the filesystems of several combinations.
fn several_parents(pipeline: &Pipeline, findings: &mut Findings) {
    let names = Names::new(pipeline);
    for step in &pipeline.steps {
        let Some(parent) = &step.builds_in else { continue };
        let how = expand::matches(pipeline, &names, step, &parent.value);
        let position = names.get(&parent.value).filter(|_| how != Match::One);
        let Some(other) = position.and_then(|position| pipeline.steps.get(position)) else { continue };
        let (own, written, count) = (step.called(), &parent.value, other.combinations().len());
        if count < 2 {
            continue;
        }
        let message = match how {
            Match::One => continue,
            Match::All => format!(
                "{own} can build in only one step, but `{written}` is {count} combinations. Name one of them, such as `{}`, or give both steps the same axes.",
                other.combinations().first().map(|first| first.key.as_str()).unwrap_or_default()
            ),
            Match::Same => {
                let Some(orphan) = orphan(step, other) else { continue };
                format!(
                    "`{}` would build in the same combination of `{written}`, which has none like it. Add it there, or exclude it here.",
                    orphan.key
                )
            }
        };
        let finding = Diagnostic::new(Code::SeveralParents, parent.range, message);
        let place = other.matrix.as_ref().map_or(other.key.range, |matrix| matrix.range);
        findings.push(finding.with_related(place, format!("The matrix of `{written}`")));
    }
}

/// Returns a combination of a step that another step with the same axes does not have.
fn orphan<'a>(step: &'a Step, other: &Step) -> Option<&'a Combination> {
    let (own, other) = (step.matrix.as_deref()?, other.matrix.as_deref()?);
    let known: HashSet<_> = other.combinations().iter().map(|one| expand::identity(other, one)).collect();
    own.combinations().iter().find(|one| !known.contains(&expand::identity(own, one)))
}
