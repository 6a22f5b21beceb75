//! What *expand selection* selects at each press: the word, the value, its entry, the step, the list, the pipeline.

use crate::analysis::Analysis;
use crate::syntax::tree::{Kind, NodeId, Tree};
use crate::text::{TextRange, word_at};

/// Returns the ranges around an offset, each inside the next, smallest first. The last is the whole text.
pub fn selection(analysis: &Analysis, offset: usize) -> Vec<TextRange> {
    let tree = &analysis.tree;
    let mut ranges = vec![TextRange::new(0, analysis.text.len())];
    let mut next = tree.documents.iter().copied().find(|root| tree.node(*root).range.touches(offset));
    while let Some(node) = next {
        ranges.push(tree.node(node).range);
        next = descend(analysis, tree, node, offset, &mut ranges);
    }
    if let Some(scalar) = ranges.last().copied().filter(|_| ranges.len() > 1) {
        ranges.extend(inside_quotes(&analysis.text, scalar).filter(|inner| inner.touches(offset)));
        let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
        ranges.extend(word_at(&analysis.text, offset, is_part).filter(|word| scalar.contains_range(*word)));
    }
    // Each range must be larger than the one before.
    ranges.dedup();
    let mut smallest: Vec<TextRange> = Vec::new();
    for range in ranges.into_iter().rev() {
        if smallest.last().is_none_or(|last| range.contains_range(*last) && range != *last) {
            smallest.push(range);
        }
    }
    smallest
}

/// Returns the child that holds the offset, and adds the entry or list item around it.
fn descend(
    analysis: &Analysis,
    tree: &Tree,
    node: NodeId,
    offset: usize,
    ranges: &mut Vec<TextRange>,
) -> Option<NodeId> {
    match &tree.node(node).kind {
        Kind::Scalar(_) | Kind::Alias(_) => None,
        Kind::List { items, .. } => {
            let item = items.iter().copied().find(|item| with_dash(analysis, tree, *item).touches(offset))?;
            ranges.push(with_dash(analysis, tree, item));
            Some(item)
        }
        Kind::Map { entries, .. } => {
            let whole = |key: NodeId, value: NodeId| tree.node(key).range.cover(tree.node(value).range);
            let entry = entries.iter().find(|entry| whole(entry.key, entry.value).touches(offset))?;
            ranges.push(whole(entry.key, entry.value));
            let is_key = tree.node(entry.key).range.touches(offset);
            Some(if is_key { entry.key } else { entry.value })
        }
    }
}

fn with_dash(analysis: &Analysis, tree: &Tree, item: NodeId) -> TextRange {
    let range = tree.node(item).range;
    TextRange::new(crate::text::dash_before(&analysis.text, range.start), range.end)
}

fn inside_quotes(text: &str, range: TextRange) -> Option<TextRange> {
    let content = text.get(range.start..range.end)?;
    let quote = content.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let is_closed = content.len() > 1 && content.ends_with(quote);
    is_closed.then(|| TextRange::new(range.start + 1, range.end - 1))
}
