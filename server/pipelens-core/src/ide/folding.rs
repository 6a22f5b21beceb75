//! What can be folded away: every multi-line value, and adjacent comments.

use crate::analysis::Analysis;
use crate::syntax::tree::{Kind, NodeId, Tree};
use crate::text::{LineIndex, TextRange};

/// Lines that can be folded into the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fold {
    pub start_line: usize,
    /// The last line that is hidden.
    pub end_line: usize,
    pub kind: FoldKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoldKind {
    Region,
    Comment,
}

/// Returns the folds in text order; no two start on the same line.
pub fn folds(analysis: &Analysis) -> Vec<Fold> {
    let mut folds = comment_folds(analysis);
    let tree = &analysis.tree;
    for root in tree.documents.iter().copied() {
        add_region(analysis, tree.node(root).range, false, &mut folds);
        add_children(analysis, tree, root, &mut folds);
    }
    folds.sort_unstable_by_key(|fold| (fold.start_line, std::cmp::Reverse(fold.end_line)));
    folds.dedup_by_key(|fold| fold.start_line);
    folds
}

fn add_children(analysis: &Analysis, tree: &Tree, node: NodeId, folds: &mut Vec<Fold>) {
    match &tree.node(node).kind {
        Kind::Scalar(_) | Kind::Alias(_) => {}
        Kind::List { items, .. } => {
            for item in items {
                add_region(analysis, tree.node(*item).range, is_flow(tree, *item), folds);
                add_children(analysis, tree, *item, folds);
            }
        }
        Kind::Map { entries, .. } => {
            for entry in entries {
                let whole = tree.node(entry.key).range.cover(tree.node(entry.value).range);
                add_region(analysis, whole, is_flow(tree, entry.value), folds);
                add_children(analysis, tree, entry.value, folds);
            }
        }
    }
}

fn is_flow(tree: &Tree, node: NodeId) -> bool {
    match tree.node(node).kind {
        Kind::List { is_flow, .. } | Kind::Map { is_flow, .. } => is_flow,
        Kind::Scalar(_) | Kind::Alias(_) => false,
    }
}

/// The line with the closing bracket stays visible.
fn add_region(analysis: &Analysis, range: TextRange, is_flow: bool, folds: &mut Vec<Fold>) {
    let lines = &analysis.line_index;
    let start_line = lines.line(range.start);
    let end_line = lines.line(range.end.saturating_sub(1).max(range.start)).saturating_sub(usize::from(is_flow));
    if end_line > start_line {
        folds.push(Fold { start_line, end_line, kind: FoldKind::Region });
    }
}

fn comment_folds(analysis: &Analysis) -> Vec<Fold> {
    let lines = &analysis.line_index;
    let own_lines = analysis.tree.comments.iter().filter(|comment| stands_alone(&analysis.text, lines, **comment));
    let mut folds: Vec<Fold> = Vec::new();
    for line in own_lines.map(|comment| lines.line(comment.start)) {
        match folds.last_mut() {
            Some(fold) if fold.end_line + 1 == line => fold.end_line = line,
            Some(_) | None => folds.push(Fold { start_line: line, end_line: line, kind: FoldKind::Comment }),
        }
    }
    folds.retain(|fold| fold.end_line > fold.start_line);
    folds
}

fn stands_alone(text: &str, lines: &LineIndex, comment: TextRange) -> bool {
    let start = lines.line_start(lines.line(comment.start));
    text.get(start..comment.start).is_some_and(|before| before.trim().is_empty())
}
