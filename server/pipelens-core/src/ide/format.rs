//! Formatting: only white space between tokens changes, and only if the result means exactly the same; otherwise it declines.

mod json;
mod space;
mod yaml;

use crate::analysis::Analysis;
use crate::diagnostic::Code;
use crate::files::Format;
use crate::syntax::patch::Patch;
use crate::syntax::tree::{Kind, Node, Tree};
use crate::text::{TextEdit, apply_edits};
use space::slice;

pub use space::FormatStyle;

/// Returns the edits that format text; comments stay. `Err` is a sentence that says why the text was not changed.
pub fn format(analysis: &Analysis, format: Format, style: FormatStyle) -> Result<Vec<TextEdit>, String> {
    let mut findings = analysis.diagnostics.iter().chain(&analysis.silenced);
    let is_other_grammar = format == Format::Json && findings.any(|finding| finding.code == Code::Syntax);
    if analysis.is_repaired || is_other_grammar {
        return Err("This file has a syntax error; fix it before formatting".to_owned());
    }
    let style = FormatStyle { indent: style.indent.clamp(1, 8) };
    let edits = match format {
        Format::Json => json::edits(&analysis.text, style).ok_or(
            "This file is nested so deeply that formatting would make it mostly indentation; it was not changed",
        )?,
        Format::Yaml => yaml::edits(analysis, style),
    };
    let formatted = apply_edits(&analysis.text, &edits);
    let (tree, error) = Tree::build(&formatted, &Patch::default());
    if error.is_some() || !says_the_same(analysis, &tree, &formatted) {
        return Err(
            "This file cannot be formatted without the risk of changing its meaning; it was not changed".to_owned()
        );
    }
    Ok(edits)
}

fn says_the_same(analysis: &Analysis, tree: &Tree, formatted: &str) -> bool {
    let before = &analysis.tree;
    let same = |(one, other): (&Node, &Node)| {
        anchor(one, &analysis.text) == anchor(other, formatted) && is_same_kind(&one.kind, &other.kind)
    };
    let comments = |tree: &Tree, text: &str| -> Vec<String> {
        tree.comments
            .iter()
            .filter_map(|range| slice(text, *range))
            .map(|comment| comment.trim_end().to_owned())
            .collect()
    };
    before.documents == tree.documents
        && before.nodes().count() == tree.nodes().count()
        && before.nodes().zip(tree.nodes()).all(same)
        && comments(before, &analysis.text) == comments(tree, formatted)
}

fn anchor<'text>(node: &Node, text: &'text str) -> Option<&'text str> {
    slice(text, node.anchor?)
}

fn is_same_kind(one: &Kind, other: &Kind) -> bool {
    match (one, other) {
        (Kind::Scalar(one), Kind::Scalar(other)) => one == other,
        (Kind::List { items: one, .. }, Kind::List { items: other, .. }) => one == other,
        (Kind::Map { entries: one, .. }, Kind::Map { entries: other, .. }) => one == other,
        (Kind::Alias(one), Kind::Alias(other)) => one == other,
        (Kind::Scalar(_) | Kind::List { .. } | Kind::Map { .. } | Kind::Alias(_), _) => false,
    }
}
