//! One arena of nodes for a whole text, whatever its spelling. Aliases stay nodes, so nothing is ever expanded here.

mod edited;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use compact_str::CompactString;

use super::parse::{Event, ParseError, Style, parse};
use super::patch::Patch;
use super::scalar::{ScalarType, resolve};
use crate::text::TextRange;

/// People rarely write fewer bytes per node; growing a large arena copies it over and over.
const BYTES_PER_NODE: usize = 10;

/// Names a node of one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// The root of each document.
    pub(crate) documents: Vec<NodeId>,
    /// Comments with their `#`, in text order.
    pub(crate) comments: Vec<TextRange>,
    /// Whether any value may be in two places.
    pub(crate) has_aliases: bool,
    /// Whether this is the tree of the text as it is: without an error, and nothing repaired.
    is_whole: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// From the first to the last character; quotes and brackets included.
    pub(crate) range: TextRange,
    /// The `&name` in front of it.
    pub(crate) anchor: Option<TextRange>,
    /// How many nodes (and sixteenths of text) this is once every alias is followed.
    weight: u64,
    /// Whether the node ended before whatever looked at it: an alias to an open node is recursive.
    is_closed: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Scalar(Scalar),
    List { items: Vec<NodeId>, is_flow: bool },
    Map { entries: Vec<Entry>, is_flow: bool },
    Alias(AliasTarget),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// Nearly every key and value is short enough to need no allocation.
    pub(crate) text: CompactString,
    pub(crate) style: Style,
    is_tagged_text: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: NodeId,
    pub(crate) value: NodeId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AliasTarget {
    Node(NodeId),
    Undefined,
    /// The alias is inside the node it refers to.
    Recursive,
}

impl Scalar {
    pub(crate) fn resolve(&self) -> ScalarType {
        if self.style == Style::Plain && !self.is_tagged_text { resolve(&self.text) } else { ScalarType::Text }
    }
}

impl Tree {
    /// Builds the tree of the text, or of the part before its first error. Ranges are mapped back through `patch`.
    pub(crate) fn build(text: &str, patch: &Patch) -> (Self, Option<ParseError>) {
        Self::default().rebuild(text, patch)
    }

    /// Builds another tree in the memory of this one.
    pub(crate) fn rebuild(mut self, text: &str, patch: &Patch) -> (Self, Option<ParseError>) {
        self.nodes.clear();
        self.nodes.reserve(text.len() / BYTES_PER_NODE);
        let mut builder = Builder { tree: Self { nodes: self.nodes, ..Self::default() }, ..Builder::default() };
        let error = parse(text, |event, range| {
            let range = range_of(&event, text, range);
            builder.add(event, patch.original_range(range));
        });
        let tree = builder.finish();
        (Self { is_whole: error.is_none() && patch.is_empty(), ..tree }, error)
    }

    #[expect(clippy::indexing_slicing, reason = "an id is only ever made for a node of this tree")]
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Returns the node itself, or the one an alias refers to. `None`: the alias refers to nothing.
    pub(crate) fn resolved(&self, id: NodeId) -> Option<&Node> {
        let mut node = self.node(id);
        // An alias refers to an earlier node, so this ends; chains are as short as people make them.
        while let Kind::Alias(target) = node.kind {
            let AliasTarget::Node(target) = target else { return None };
            node = self.node(target);
        }
        Some(node)
    }

    /// Returns the node at the end of a chain of aliases.
    pub(crate) fn alias_target(&self, id: NodeId) -> Option<NodeId> {
        let mut id = id;
        while let Kind::Alias(target) = self.node(id).kind {
            let AliasTarget::Node(target) = target else { return None };
            id = target;
        }
        Some(id)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// Returns every alias that can be resolved, with the node it refers to.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = (TextRange, NodeId)> {
        self.nodes.iter().filter_map(|node| match node.kind {
            Kind::Alias(AliasTarget::Node(target)) => Some((node.range, target)),
            Kind::Alias(_) | Kind::Scalar(_) | Kind::List { .. } | Kind::Map { .. } => None,
        })
    }

    pub(crate) fn scalar(&self, id: NodeId) -> Option<&Scalar> {
        match &self.resolved(id)?.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::List { .. } | Kind::Map { .. } | Kind::Alias(_) => None,
        }
    }

    /// Returns the text of a scalar key, whatever its type.
    pub(crate) fn key_text(&self, entry: &Entry) -> Option<&str> {
        self.scalar(entry.key).map(|scalar| scalar.text.as_str())
    }

    pub(crate) fn items(&self, id: NodeId) -> Option<&[NodeId]> {
        match &self.resolved(id)?.kind {
            Kind::List { items, .. } => Some(items),
            Kind::Scalar(_) | Kind::Map { .. } | Kind::Alias(_) => None,
        }
    }

    /// Returns the entries of a mapping as written, merge keys included.
    pub(crate) fn own_entries(&self, id: NodeId) -> Option<&[Entry]> {
        match &self.resolved(id)?.kind {
            Kind::Map { entries, .. } => Some(entries),
            Kind::Scalar(_) | Kind::List { .. } | Kind::Alias(_) => None,
        }
    }

    /// Returns the entries of a mapping with `<<` merged: own entries first, and no merged key twice.
    pub(crate) fn entries(&self, id: NodeId) -> Cow<'_, [Entry]> {
        let own = self.own_entries(id).unwrap_or_default();
        // Nearly every mapping: nothing to merge, and a duplicate key has its own finding.
        if !own.iter().any(|entry| self.is_merge(entry)) {
            return Cow::Borrowed(own);
        }
        let mut result = Vec::new();
        let mut seen = HashSet::new();
        self.collect_entries(id, &mut result, &mut seen, 0);
        Cow::Owned(result)
    }

    pub(crate) fn get(&self, map: NodeId, key: &str) -> Option<Entry> {
        self.find(map, key, 0)
    }

    /// Looks for a key in the order in which `collect_entries` collects them.
    fn find(&self, map: NodeId, key: &str, depth: usize) -> Option<Entry> {
        if depth > super::parse::MAX_DEPTH {
            return None;
        }
        let own = self.own_entries(map)?;
        if let Some(entry) = own.iter().find(|entry| !self.is_merge(entry) && self.key_text(entry) == Some(key)) {
            return Some(*entry);
        }
        let merged = own.iter().filter(|entry| self.is_merge(entry));
        merged
            .flat_map(|entry| self.items(entry.value).unwrap_or(std::slice::from_ref(&entry.value)))
            .find_map(|map| self.find(*map, key, depth + 1))
    }

    pub(crate) fn is_merge(&self, entry: &Entry) -> bool {
        match &self.node(entry.key).kind {
            Kind::Scalar(scalar) => scalar.style == Style::Plain && scalar.text == "<<",
            Kind::List { .. } | Kind::Map { .. } | Kind::Alias(_) => false,
        }
    }

    /// Returns an alias that expands to more than `limit` nodes beyond what was written.
    pub(crate) fn alias_beyond(&self, limit: u64) -> Option<TextRange> {
        let written: u64 = self.nodes.iter().map(Node::own_weight).sum();
        let total: u64 = self.documents.iter().map(|root| self.node(*root).weight).fold(0, u64::saturating_add);
        if total <= written.saturating_add(limit) {
            return None;
        }
        let aliases = self.nodes.iter().filter(|node| matches!(node.kind, Kind::Alias(_)));
        aliases.max_by_key(|node| node.weight).map(|node| node.range)
    }

    fn collect_entries<'tree>(
        &'tree self,
        id: NodeId,
        result: &mut Vec<Entry>,
        seen: &mut HashSet<&'tree str>,
        depth: usize,
    ) {
        if depth > super::parse::MAX_DEPTH {
            return;
        }
        let Some(own) = self.own_entries(id) else { return };
        for entry in own.iter().filter(|entry| !self.is_merge(entry)) {
            if self.key_text(entry).is_none_or(|key| seen.insert(key)) {
                result.push(*entry);
            }
        }
        for entry in own.iter().filter(|entry| self.is_merge(entry)) {
            match self.items(entry.value) {
                Some(maps) => {
                    for map in maps {
                        self.collect_entries(*map, result, seen, depth + 1);
                    }
                }
                None => self.collect_entries(entry.value, result, seen, depth + 1),
            }
        }
    }
}

impl Node {
    fn own_weight(&self) -> u64 {
        match &self.kind {
            Kind::Scalar(scalar) => 1 + scalar.text.len() as u64 / 16,
            Kind::List { .. } | Kind::Map { .. } | Kind::Alias(_) => 1,
        }
    }
}

/// Turns events into nodes. Open collections wait on `open`; a mapping's key waits in its frame.
#[derive(Default)]
struct Builder<'text> {
    tree: Tree,
    open: Vec<Frame>,
    anchors: HashMap<&'text str, NodeId>,
}

struct Frame {
    node: NodeId,
    pending_key: Option<NodeId>,
}

impl<'text> Builder<'text> {
    fn add(&mut self, event: Event<'text>, range: TextRange) {
        match event {
            Event::DocumentStart => self.anchors.clear(),
            Event::Scalar { text, style, is_tagged_text } => {
                let text = CompactString::from(text);
                let weight = 1 + text.len() as u64 / 16;
                let id = self.push(Kind::Scalar(Scalar { text, style, is_tagged_text }), range, weight);
                self.attach(id);
            }
            Event::ListStart { is_flow } => self.start(Kind::List { items: Vec::new(), is_flow }, range),
            Event::MapStart { is_flow } => self.start(Kind::Map { entries: Vec::new(), is_flow }, range),
            Event::End => self.end(Some(range)),
            Event::Anchor(anchor) => {
                let Some(last) = self.tree.nodes.len().checked_sub(1) else { return };
                if let Some(node) = self.tree.nodes.get_mut(last) {
                    node.anchor = Some(range);
                }
                self.anchors.insert(anchor, NodeId(last as u32));
            }
            Event::Alias(anchor) => self.alias(anchor, range),
            Event::Comment => self.tree.comments.push(range),
        }
    }

    fn alias(&mut self, anchor: &str, range: TextRange) {
        self.tree.has_aliases = true;
        let (target, weight) = match self.anchors.get(anchor).copied() {
            None => (AliasTarget::Undefined, 1),
            Some(node) if !self.tree.node(node).is_closed => (AliasTarget::Recursive, 1),
            Some(node) => (AliasTarget::Node(node), self.tree.node(node).weight),
        };
        let id = self.push(Kind::Alias(target), range, weight);
        self.attach(id);
    }

    fn push(&mut self, kind: Kind, range: TextRange, weight: u64) -> NodeId {
        let id = NodeId(self.tree.nodes.len() as u32);
        let is_closed = matches!(kind, Kind::Scalar(_) | Kind::Alias(_));
        self.tree.nodes.push(Node { kind, range, anchor: None, weight, is_closed });
        id
    }

    fn start(&mut self, kind: Kind, range: TextRange) {
        let node = self.push(kind, range, 1);
        self.open.push(Frame { node, pending_key: None });
    }

    /// Closes the innermost collection; without a range, because the text ended in it.
    fn end(&mut self, end: Option<TextRange>) {
        let Some(frame) = self.open.pop() else { return };
        if let Some(key) = frame.pending_key {
            let place = TextRange::at(self.tree.node(key).range.end);
            let empty = Scalar { text: CompactString::default(), style: Style::Plain, is_tagged_text: false };
            let value = self.push(Kind::Scalar(empty), place, 1);
            self.add_entry(frame.node, Entry { key, value });
        }
        if let Some(node) = self.tree.nodes.get_mut(frame.node.0 as usize) {
            node.is_closed = true;
            let is_flow = match node.kind {
                Kind::List { is_flow, .. } | Kind::Map { is_flow, .. } => is_flow,
                Kind::Scalar(_) | Kind::Alias(_) => false,
            };
            // A block collection ends with its last child: the parser reports the start of whatever comes next.
            if let (true, Some(end)) = (is_flow, end) {
                node.range = node.range.cover(end);
            }
        }
        self.attach(frame.node);
    }

    /// Adds a finished node to the innermost open collection.
    fn attach(&mut self, id: NodeId) {
        let Some(frame) = self.open.last_mut() else {
            self.tree.documents.push(id);
            return;
        };
        let parent = frame.node;
        let is_map = matches!(self.tree.node(parent).kind, Kind::Map { .. });
        if !is_map {
            let child = self.tree.node(id);
            let (range, weight) = (child.range, child.weight);
            if let Some(Node { kind: Kind::List { items, .. }, range: own, weight: total, .. }) =
                self.tree.nodes.get_mut(parent.0 as usize)
            {
                items.push(id);
                *own = own.cover(range);
                *total = total.saturating_add(weight);
            }
            return;
        }
        match frame.pending_key.take() {
            None => frame.pending_key = Some(id),
            Some(key) => self.add_entry(parent, Entry { key, value: id }),
        }
    }

    fn add_entry(&mut self, map: NodeId, entry: Entry) {
        let key = self.tree.node(entry.key);
        let value = self.tree.node(entry.value);
        let weight = key.weight.saturating_add(value.weight);
        // An empty value has no place of its own; the collection ends with the key then.
        let range = if value.range.is_empty() { key.range } else { key.range.cover(value.range) };
        if let Some(Node { kind: Kind::Map { entries, .. }, range: own, weight: total, .. }) =
            self.tree.nodes.get_mut(map.0 as usize)
        {
            *own = if own.is_empty() && entries.is_empty() { range } else { own.cover(range) };
            entries.push(entry);
            *total = total.saturating_add(weight);
        }
    }

    fn finish(mut self) -> Tree {
        while !self.open.is_empty() {
            self.end(None);
        }
        self.tree
    }
}

/// A block scalar's range includes the empty lines after it; what a person sees ends with its last character.
fn range_of(event: &Event<'_>, text: &str, range: TextRange) -> TextRange {
    if !matches!(event, Event::Scalar { style: Style::Block, .. }) {
        return range;
    }
    let len = text.get(range.start..range.end).map_or(0, |content| content.trim_end().len());
    TextRange::new(range.start, range.start + len)
}
