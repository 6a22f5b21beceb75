//! What a document is as a whole, and whether its anchors and aliases are valid.

use super::{mapping, other_system, shape::Checker, wire};
use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;
use crate::keys::{Place, Shape};
use crate::lower::{DocumentKind, document_kind, root_place};
use crate::syntax::scalar::ScalarType;
use crate::syntax::tree::{AliasTarget, Kind, NodeId, Tree};
use crate::syntax::written::single_quoted;
use crate::text::TextRange;

/// How many nodes aliases may add to what is written. Thousands of jobs that share defaults stay far below that.
const ALIAS_BUDGET: u64 = 500_000;

/// Checks a document against the vocabulary.
pub(crate) fn check_document(text: &str, tree: &Tree, root: NodeId, findings: &mut Findings) {
    let kind = document_kind(tree, root).filter(|kind| !is_bitbucket(tree, root, *kind));
    let Some(kind) = kind else {
        findings.push(not_a_pipeline(tree, root));
        return;
    };
    let mut checker = Checker::new(text, tree, findings);
    checker.check(root, &Shape::Map(root_place(kind)), "the document");
    match kind {
        DocumentKind::Settings => {}
        DocumentKind::Authored => steps_and_graph(tree, root, findings),
        DocumentKind::Plan => wire::check_graph(tree, root, findings),
        DocumentKind::Envelope => wire::check_envelope(tree, root, findings),
    }
}

/// Checks the settings of a project.
pub(crate) fn check_settings(text: &str, tree: &Tree, root: NodeId, findings: &mut Findings) {
    Checker::new(text, tree, findings).check(root, &Shape::Map(Place::Settings), "the settings");
}

/// Both an envelope and a Bitbucket pipeline have `pipelines`: a list here, a mapping there.
fn is_bitbucket(tree: &Tree, root: NodeId, kind: DocumentKind) -> bool {
    kind == DocumentKind::Envelope && other_system::recognised(tree, root).is_some()
}

/// Tells whether a document has any content: there may be nothing between two `---`.
pub(crate) fn says_something(tree: &Tree, root: NodeId) -> bool {
    tree.scalar(root).is_none_or(|scalar| scalar.resolve() != ScalarType::Null)
}

/// Checks anchors and aliases of the whole text. `false`: following the aliases would never end, or nearly.
pub(crate) fn check_references(text: &str, tree: &Tree, findings: &mut Findings) -> bool {
    if let Some(range) = tree.alias_beyond(ALIAS_BUDGET) {
        let message =
            "This alias expands to so much that the pipeline would be too large. Write out only what differs.";
        findings.push(Diagnostic::new(Code::TooLarge, range, message));
        return false;
    }
    let mut used = std::collections::HashSet::new();
    for node in tree.nodes() {
        let Kind::Alias(target) = node.kind else { continue };
        let name = node.range.of(text);
        let (code, message) = match target {
            AliasTarget::Node(target) => {
                used.extend(tree.node(target).anchor);
                continue;
            }
            AliasTarget::Undefined if !is_word(name.trim_start_matches('*')) => {
                let message = format!(
                    "`{name}` starts with `*`, so YAML reads it as a reference to an anchor. If it is text, put it in quotes."
                );
                let finding = Diagnostic::new(Code::UndefinedAnchor, node.range, message);
                findings.push(finding.with_safe_fix("Put it in quotes", node.range, single_quoted(name)));
                continue;
            }
            AliasTarget::Undefined => {
                let wanted = name.replacen('*', "&", 1);
                (
                    Code::UndefinedAnchor,
                    format!(
                        "`{name}` refers to an anchor that is not defined before it. Put `{wanted}` in front of a value above."
                    ),
                )
            }
            AliasTarget::Recursive => (
                Code::RecursiveAlias,
                format!(
                    "`{name}` refers to the value that contains it, so that value would contain itself. Remove it."
                ),
            ),
        };
        findings.push(Diagnostic::new(code, node.range, message));
    }
    let anchored = tree.nodes().filter_map(|node| Some((node.anchor?, node)));
    findings.extend(anchored.filter(|(anchor, _)| !used.contains(anchor)).map(|(range, node)| {
        let name = range.of(text);
        let whole = range.cover(node.range);
        let is_on_one_line = !whole.of(text).contains('\n');
        if !is_word(name.trim_start_matches('&')) && is_on_one_line {
            let message = format!(
                "`{name}` starts with `&`, so YAML reads it as the name of an anchor and not as text. If it is text, put the value in quotes."
            );
            let written = single_quoted(whole.of(text).trim_end());
            return Diagnostic::new(Code::UnusedAnchor, range, message).with_fix("Put the value in quotes", whole, written);
        }
        let after = text.get(range.end..).unwrap_or_default();
        let blanks = after.len() - after.trim_start_matches(' ').len();
        let removed = TextRange::new(range.start, range.end + blanks);
        let message = format!("No alias uses the anchor `{name}`.");
        Diagnostic::new(Code::UnusedAnchor, range, message).with_safe_fix(format!("Remove `{name}`"), removed, "")
    }));
    true
}

/// Whether people would name an anchor like this.
fn is_word(name: &str) -> bool {
    let is_word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
    name.starts_with(char::is_alphanumeric) && name.chars().all(is_word)
}

fn not_a_pipeline(tree: &Tree, root: NodeId) -> Diagnostic {
    let Some(entries) = tree.own_entries(root) else {
        let range = tree.node(root).range;
        let message = "A pipeline must be a mapping with `steps`, but this is something else. Start with `steps:`.";
        return Diagnostic::new(Code::NotAPipeline, range, message);
    };
    let range = entries.first().map_or(tree.node(root).range, |entry| tree.node(entry.key).range);
    if let Some(other) = other_system::recognised(tree, root) {
        let message = format!(
            "This is {other}, not a pipeline. `pipelens init` writes a pipeline for this project; put the commands of this file into its steps. If it was never meant to be a pipeline, rename the file."
        );
        return Diagnostic::new(Code::NotAPipeline, range, message);
    }
    let near = entries.iter().find_map(|entry| {
        let near = crate::nearest::nearest(tree.key_text(entry)?, ["steps", "graph", "pipelines"].into_iter())?;
        Some((entry, near))
    });
    if let Some((entry, near)) = near {
        let key = tree.node(entry.key).range;
        let written = tree.key_text(entry).unwrap_or_default();
        let message = format!(
            "There is no `steps` here, so this is not a pipeline. Did you mean `{near}` instead of `{written}`?"
        );
        return mapping::with_key_fix(Diagnostic::new(Code::NotAPipeline, key, message), tree, entry.key, near);
    }
    let message = "There is no `steps` here, so nothing can be run. Add `steps:` with at least one step.";
    Diagnostic::new(Code::NotAPipeline, range, message)
}

fn steps_and_graph(tree: &Tree, root: NodeId, findings: &mut Findings) {
    let (Some(steps), Some(graph)) = (tree.get(root, "steps"), tree.get(root, "graph")) else { return };
    let message = "`graph` belongs in a generated plan and `steps` in an authored pipeline; a document cannot have both. Keep one.";
    let finding = Diagnostic::new(Code::StepsAndGraph, tree.node(graph.key).range, message);
    findings.push(finding.with_related(tree.node(steps.key).range, "`steps` is here"));
}
