//! What a hover says about a `wait`, a variable, and an anchor.

use std::collections::HashSet;

use super::anchors::{self, Anchor};
use super::axes::{self, Axis};
use super::combined;
use super::resolved::assignment;
use super::variables::{self, Mention, Setter, provided};
use super::waits::{self, Wait};
use crate::analysis::Analysis;
use crate::diagnostic::Code;
use crate::model::Step;
use crate::printable::{code, code_block};
use crate::text::TextRange;

/// More steps, or lines of a value, do not fit a hover window.
const MAX_LISTED: usize = 20;

/// Describes in Markdown what is at an offset.
pub(super) fn describe(analysis: &Analysis, offset: usize) -> Option<(TextRange, String)> {
    if let Some(wait) = waits::at(analysis, offset) {
        return Some((wait.range, barrier(&wait)));
    }
    if let Some(found) = axes::at(analysis, offset) {
        return Some((found.range, axis(&found)));
    }
    if let Some((pipeline, step, name, value)) = axes::value_at(analysis, offset) {
        return Some((value.range, combined::with_value(pipeline, step, name, &value.value)));
    }
    if let Some(mention) = variables::at(analysis, offset) {
        return Some((mention.range, variable(analysis, &mention)));
    }
    let anchor = anchors::at(analysis, offset)?;
    Some((anchor.touched, alias(analysis, &anchor)))
}

fn barrier(wait: &Wait<'_>) -> String {
    let mut parts =
        vec!["`wait`".to_owned(), "A barrier: every step after it waits for every step before it.".to_owned()];
    if wait.continues_on_failure {
        parts.push("The steps after it run regardless of what happened before it.".to_owned());
    }
    parts.push(match listed(wait.before) {
        Some(steps) => format!("Waits for {steps}."),
        None => "There are no steps before it to wait for.".to_owned(),
    });
    parts.push(match listed(wait.after) {
        Some(steps) => format!("Then {steps}."),
        None => "No steps wait here.".to_owned(),
    });
    parts.join("\n\n")
}

fn listed(steps: &[Step]) -> Option<String> {
    let mut shown: Vec<String> = steps.iter().take(MAX_LISTED).map(|step| code(&step.key.value)).collect();
    if steps.len() > MAX_LISTED {
        shown.push(format!("{} more", steps.len() - MAX_LISTED));
    }
    (!shown.is_empty()).then(|| shown.join(", "))
}

fn variable(analysis: &Analysis, mention: &Mention<'_>) -> String {
    let origin = match mention.setter {
        Setter::Pipeline(_) => "Set for every step, in the pipeline's `env`.".to_owned(),
        Setter::Step(step, _) => format!("Set in the `env` of {}.", called(step)),
        Setter::Secret(step, _) => format!(
            "A secret of {}: its value is read from the environment or the secrets file, and masked in all output.",
            called(step)
        ),
        Setter::Matrix(step, name) => {
            format!("From the matrix of {}. {}", called(step), axis_values(step, &name.name.value))
        }
        Setter::Service(_, name, _) => format!("Set in the `env` of service {}.", code(name)),
        Setter::Runner(provided) => provided.doc.to_owned(),
        Setter::Command => "Set by the command itself.".to_owned(),
        Setter::Nothing(step) => nothing(step),
    };
    let mut parts = vec![code(&mention.name), origin];
    if let Some(variable) = mention.setter.variable() {
        let looks_secret = |code: Code, range: TextRange| {
            code == Code::SecretLiteral
                && (range.touches(variable.value_range.start) || variable.value_range.contains_range(range))
        };
        if analysis.diagnostics.iter().any(|finding| looks_secret(finding.code, finding.range)) {
            parts.push("Its value looks like a secret, so it is not shown.".to_owned());
        } else {
            parts.push(code_block("sh", &[assignment(&mention.name, variable.value)]));
        }
    }
    parts.join("\n\n")
}

/// Returns the values that the combinations of a step have for a name, as a sentence.
pub(super) fn axis_values(step: &Step, name: &str) -> String {
    let Some(matrix) = &step.matrix else { return String::new() };
    let mut seen = HashSet::new();
    let values = matrix.combinations().iter().filter_map(|combination| matrix.value(combination, name));
    let values: Vec<&str> = values.map(|value| value.value.as_str()).filter(|value| seen.insert(*value)).collect();
    let mut shown: Vec<String> = values.iter().take(MAX_LISTED).map(|value| code(value)).collect();
    if values.len() > MAX_LISTED {
        shown.push(format!("{} more", values.len() - MAX_LISTED));
    }
    match shown.as_slice() {
        [] => "It has no values.".to_owned(),
        [only] => format!("Its value is {only}."),
        [..] => format!("One of {}.", shown.join(", ")),
    }
}

fn axis(axis: &Axis<'_>) -> String {
    let variable =
        axis.step.matrix.as_ref().and_then(|matrix| matrix.names.iter().find(|name| name.name.value == axis.name));
    let variable = variable.map(|name| name.variable.value.as_str()).unwrap_or_default();
    let head = format!("An axis of {}. {}", called(axis.step), axis_values(axis.step, axis.name));
    let uses = format!(
        "{} in `cmd`, and {} in `image`, `label`, `env` and `cache`.",
        code(&format!("${variable}")),
        code(&format!("${{{{ matrix.{} }}}}", axis.name))
    );
    [code(axis.name), head, uses].join("\n\n")
}

fn called(step: &Step) -> String {
    if step.key.value.is_empty() { "this step".to_owned() } else { format!("step {}", code(&step.key.value)) }
}

fn nothing(step: &Step) -> String {
    let runner = step.runner.as_ref().map(|runner| runner.value.as_str());
    if runner != Some("host") {
        return "Nothing in this file sets it. It is empty unless the image sets it.".to_owned();
    }
    let names: Vec<String> = provided(runner).iter().map(|variable| code(variable.name)).collect();
    format!("Nothing in this file sets it, so it is empty. On the host a step has only {}.", names.join(", "))
}

fn alias(analysis: &Analysis, anchor: &Anchor<'_>) -> String {
    let uses = match anchor.aliases.len() {
        0 => "No alias uses it.".to_owned(),
        1 => "One alias uses it.".to_owned(),
        many => format!("{many} aliases use it."),
    };
    let line = analysis.line_index.line(anchor.place.start) + 1;
    let head = if anchor.touched == anchor.place {
        format!("An anchor: {} is this value. {uses}", code(&format!("*{}", anchor.name)))
    } else {
        format!("The value of {} in line {line}.", code(&format!("&{}", anchor.name)))
    };
    let title = code(anchor.touched.of(&analysis.text));
    [title, head, value(analysis, anchor.value)].join("\n\n")
}

/// Returns a value as it is written, without the indentation of its place.
fn value(analysis: &Analysis, range: TextRange) -> String {
    let start = analysis.line_index.line_start(analysis.line_index.line(range.start));
    let column = range.start - start;
    let mut lines: Vec<String> = Vec::new();
    let written = range.of(&analysis.text);
    for (index, line) in written.lines().enumerate() {
        if index == MAX_LISTED {
            lines.push("…".to_owned());
            break;
        }
        let blank = line.len() - line.trim_start_matches(' ').len();
        let cut = if index == 0 { 0 } else { blank.min(column) };
        lines.push(line.get(cut..).unwrap_or_default().to_owned());
    }
    code_block("yaml", &lines)
}
