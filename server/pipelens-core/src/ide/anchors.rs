//! Anchors and the aliases that refer to them.

use std::collections::{HashMap, HashSet};

use crate::analysis::Analysis;
use crate::syntax::tree::{Kind, Node};
use crate::text::TextRange;

/// An anchor with its aliases.
#[derive(Debug)]
pub(super) struct Anchor<'a> {
    pub(super) name: &'a str,
    /// `&name`.
    pub(super) place: TextRange,
    /// The value it names.
    pub(super) value: TextRange,
    /// Each `*name`, in text order.
    pub(super) aliases: Vec<TextRange>,
    /// The one under the cursor.
    pub(super) touched: TextRange,
}

/// Returns the anchor that is defined or used at an offset.
pub(super) fn at(analysis: &Analysis, offset: usize) -> Option<Anchor<'_>> {
    let tree = &analysis.tree;
    let alias = tree.aliases().find(|(range, _)| range.touches(offset));
    let (node, touched) = match alias {
        Some((range, target)) => (tree.node(target), range),
        None => {
            let is_here = |node: &&Node| node.anchor.is_some_and(|anchor| anchor.touches(offset));
            let node = tree.nodes().find(is_here)?;
            (node, node.anchor?)
        }
    };
    let place = node.anchor?;
    let aliases = tree.aliases().filter(|(_, target)| tree.node(*target).anchor == Some(place)).map(|(range, _)| range);
    let name = place.of(&analysis.text).strip_prefix('&')?;
    Some(Anchor { name, place, value: node.range, aliases: aliases.collect(), touched })
}

/// Returns the anchors an alias at an offset could refer to, mappings first. Of two with one name, the last one counts.
pub(super) fn usable(analysis: &Analysis, offset: usize) -> Vec<(&str, &Node)> {
    let mut roots = analysis.tree.documents.iter().map(|root| analysis.tree.node(*root).range.start);
    let document = roots.rfind(|start| *start <= offset).unwrap_or_default();
    let is_before = |anchor: &TextRange| document <= anchor.start && anchor.end < offset;
    let anchored = analysis.tree.nodes().filter(|node| node.anchor.as_ref().is_some_and(is_before));
    let mut seen = HashSet::new();
    let mut found: Vec<(&str, &Node)> = Vec::new();
    for node in anchored.collect::<Vec<_>>().into_iter().rev() {
        let name = node.anchor.and_then(|anchor| anchor.of(&analysis.text).strip_prefix('&')).unwrap_or_default();
        // An alias inside the value it refers to would be recursive.
        let is_around = node.range.start <= offset && offset <= node.range.end;
        if !name.is_empty() && seen.insert(name) && !is_around {
            found.push((name, node));
        }
    }
    found.reverse();
    found.sort_by_key(|(_, node)| !matches!(node.kind, Kind::Map { .. }));
    found
}

/// Where the value of an alias is written.
#[derive(Debug)]
pub(super) struct Targets(HashMap<TextRange, TextRange>);

impl Targets {
    pub(super) fn new(analysis: &Analysis) -> Self {
        let tree = &analysis.tree;
        let targets = tree.aliases().map(|(range, target)| (range, tree.node(target).range));
        Self(if tree.has_aliases { targets.collect() } else { HashMap::new() })
    }

    /// Returns the place of a value, or of what the alias there refers to.
    pub(super) fn resolved(&self, range: TextRange) -> TextRange {
        self.0.get(&range).copied().unwrap_or(range)
    }
}
