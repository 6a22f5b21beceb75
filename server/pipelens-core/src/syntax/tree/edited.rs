//! The tree of a text after an edit: only the item of a list that was edited is parsed again. A step of a pipeline is such an item, so a
//! keystroke in a long file costs little more than in a short one.

use super::{Builder, Entry, Kind, Node, NodeId, Tree, range_of};
use crate::syntax::parse::{MAX_DEPTH, parse_within};
use crate::text::{Change, TextRange};

/// The item that was edited.
#[derive(Debug)]
struct Place {
    /// The collections it is in, from the root to its list.
    around: Vec<NodeId>,
    item: NodeId,
    /// The node after everything in the item.
    after: NodeId,
    /// Its lines, those of comments behind it included.
    lines: TextRange,
}

impl Tree {
    /// Returns the tree of a text that was edited, or `None` if it has to be parsed as a whole. `before` is the text of this tree.
    pub(crate) fn after_edit(&self, before: &str, text: &str) -> Option<Self> {
        if !self.is_whole || self.has_aliases {
            return None;
        }
        if before == text {
            return Some(self.clone());
        }
        let change = Change::between(before, text);
        let place = self.item_around(before, change.old)?;
        let lines = TextRange::new(place.lines.start, change.moved(place.lines.end));
        let item = parsed_alone(text.get(lines.start..lines.end)?, lines.end < text.len(), place.around.len())?;
        Some(self.with_item(&place, item, change))
    }

    fn item_around(&self, before: &str, edited: TextRange) -> Option<Place> {
        let [root] = self.documents.as_slice() else { return None };
        let (mut id, mut around) = (*root, Vec::new());
        // Where the lines of the next node start, if there is one.
        let (mut next_line, mut after) = (before.len(), NodeId(self.nodes.len() as u32));
        loop {
            around.push(id);
            match &self.node(id).kind {
                Kind::Map { entries, is_flow: false } => {
                    let next = entries.partition_point(|entry| self.node(entry.key).range.start <= edited.start);
                    if let Some(Entry { key, .. }) = entries.get(next) {
                        next_line = line_start(before, self.node(*key).range.start, false)?;
                        after = *key;
                    }
                    id = entries.get(next.checked_sub(1)?)?.value;
                }
                Kind::List { items, is_flow: false } => {
                    let next = items.partition_point(|item| self.node(*item).range.start <= edited.start);
                    if let Some(item) = items.get(next) {
                        next_line = line_start(before, self.node(*item).range.start, true)?;
                        after = *item;
                    }
                    let item = *items.get(next.checked_sub(1)?)?;
                    let start = line_start(before, self.node(item).range.start, true)?;
                    // The line break before the next node stays.
                    let is_inside = edited.end < next_line || next_line == before.len();
                    return is_inside.then(|| Place { around, item, after, lines: TextRange::new(start, next_line) });
                }
                Kind::Scalar(_) | Kind::List { .. } | Kind::Map { .. } | Kind::Alias(_) => return None,
            }
        }
    }

    /// Returns this tree with other nodes for an item.
    fn with_item(&self, place: &Place, new: Self, change: Change) -> Self {
        let (first, after) = (place.item.0 as usize, place.after.0 as usize);
        let (start, end) = (place.lines.start, place.lines.end);
        let end_of_new = first + new.nodes.len() - 1;
        let move_id = |id: NodeId| NodeId((id.0 as usize - after + end_of_new) as u32);
        let move_range = |range: TextRange| TextRange::new(change.moved(range.start), change.moved(range.end));
        let (old_item, new_item) = (self.node(place.item), new.node(NodeId(1)));
        let (old_weight, new_weight, item_end) = (old_item.weight, new_item.weight, new_item.range.end + start);

        let mut nodes = Vec::with_capacity(self.nodes.len() + new.nodes.len());
        nodes.extend(self.nodes.iter().take(first).cloned());
        for id in &place.around {
            let Some(node) = nodes.get_mut(id.0 as usize) else { continue };
            // What ends before the next node ends with the item.
            node.range.end = if node.range.end > end { change.moved(node.range.end) } else { item_end };
            node.weight = node.weight - old_weight + new_weight;
            node.move_ids(&|id| if id.0 as usize >= after { move_id(id) } else { id });
        }
        let into_lines = |range: TextRange| TextRange::new(range.start + start, range.end + start);
        let new_nodes = new.nodes.into_iter().skip(1);
        nodes.extend(new_nodes.map(|node| node.moved(&|id| NodeId(id.0 + place.item.0 - 1), &into_lines)));
        nodes.extend(self.nodes.iter().skip(after).map(|node| node.clone().moved(&move_id, &move_range)));

        let mut comments: Vec<TextRange> =
            self.comments.iter().take_while(|comment| comment.start < start).copied().collect();
        comments.extend(new.comments.into_iter().map(into_lines));
        comments.extend(self.comments.iter().filter(|comment| comment.start >= end).copied().map(move_range));
        Self { nodes, documents: self.documents.clone(), comments, has_aliases: false, is_whole: true }
    }
}

impl Node {
    fn moved(mut self, move_id: &impl Fn(NodeId) -> NodeId, move_range: &impl Fn(TextRange) -> TextRange) -> Self {
        self.range = move_range(self.range);
        self.anchor = self.anchor.map(move_range);
        self.move_ids(move_id);
        self
    }

    fn move_ids(&mut self, move_id: &impl Fn(NodeId) -> NodeId) {
        match &mut self.kind {
            Kind::List { items, .. } => items.iter_mut().for_each(|item| *item = move_id(*item)),
            Kind::Map { entries, .. } => {
                entries.iter_mut().for_each(|Entry { key, value }| (*key, *value) = (move_id(*key), move_id(*value)));
            }
            Kind::Scalar(_) | Kind::Alias(_) => {}
        }
    }
}

/// Returns the start of the line of a node, if there is nothing before it: only its dash, if it is an item.
fn line_start(text: &str, node: usize, is_item: bool) -> Option<usize> {
    let before = text.get(..node)?;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let rest = before.get(start..)?.trim_start_matches(' ');
    let is_alone =
        if is_item { rest.strip_prefix('-')?.starts_with(' ') && rest.trim_end() == "-" } else { rest.is_empty() };
    is_alone.then_some(start)
}

/// Parses the lines of an item. `None`: they are not one mapping, or they mean something else where they are.
fn parsed_alone(lines: &str, has_next: bool, depth: usize) -> Option<Tree> {
    // What ends a document ends it for everything that follows.
    if lines.split(['\n', '\r']).any(|line| line.starts_with("---") || line.starts_with("...")) {
        return None;
    }
    let indent = lines.get(..lines.find('-')?)?;
    // Where an item ends may depend on whether another one follows.
    let parsed = if has_next { format!("{lines}{indent}- next:\n") } else { lines.to_owned() };
    let mut builder = Builder::default();
    let error = parse_within(MAX_DEPTH - depth.min(MAX_DEPTH), &parsed, |event, range| {
        let range = range_of(&event, &parsed, range);
        builder.add(event, range);
    });
    let mut tree = builder.finish();
    let [root] = tree.documents.as_slice() else { return None };
    let Kind::List { items, is_flow: false } = &tree.node(*root).kind else { return None };
    let end = match (items.as_slice(), has_next) {
        ([_, next], true) if tree.node(*next).range.start > lines.len() => next.0 as usize,
        ([_], false) => tree.nodes.len(),
        _ => return None,
    };
    let is_mapping = matches!(tree.nodes.get(1)?.kind, Kind::Map { is_flow: false, .. });
    if error.is_some() || tree.has_aliases || !is_mapping {
        return None;
    }
    tree.nodes.truncate(end);
    Some(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::patch::Patch;

    const INSERTED: &[&str] = &[
        "a",
        "b",
        ":",
        ": ",
        "- ",
        "-",
        " ",
        "  ",
        "\n",
        "\n  - ",
        "\n    ",
        "#",
        " # c",
        "\"",
        "'",
        "|",
        ">",
        "|+",
        "&x ",
        "*x",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "---\n",
        "\n...\n",
        "\t",
        "\r\n",
        "!t ",
        "é",
        "?",
        "? ",
        "%",
        "key: v",
        "\n- ",
        "\n  key: |\n    t\n",
    ];

    const TEXTS: &[&str] = &[
        "steps:\n  - key: a\n    cmd: echo a\n  - key: b\n    cmd: |\n      one\n      two\n\n  # between\n  - key: c\n    needs: [a, b]\n",
        "name: x\nsteps:\n- key: a\n  cmd: echo a\n- key: b\n  env:\n    A: 1\n    B:\n- key: c\nafter:\n  more: 1\n",
        "pipelines:\n  - name: p\n    steps:\n      - key: a\n        cmd: x\n      - key: b # last\n        cmd: >-\n          folded\n          text\n  - name: q\n    steps: []\n# end\n",
        "steps:\r\n  - key: a\r\n    cmd: |\r\n      x\r\n  - key: b\r\n    label: 'it''s'\r\n",
        "- key: a\n  cmd: \"x\n    y\"\n- key: b\n  cmd: plain\n    more\n",
        "a: 1\nsteps:\n  - {key: a}\n  - key: b\n    when: &x yes\n  -\n    key: c\n",
    ];

    fn full(text: &str) -> Option<Tree> {
        let (tree, error) = Tree::build(text, &Patch::default());
        error.is_none().then_some(tree)
    }

    /// Returns whether only a part was parsed.
    fn edit(before: &str, text: &str) -> bool {
        let Some(old) = full(before) else { return false };
        let Some(edited) = old.after_edit(before, text) else { return false };
        let whole = full(text).unwrap_or_else(|| panic!("it does not parse:\n{text}\nafter\n{before}"));
        assert_eq!(format!("{edited:?}"), format!("{whole:?}"), "{before:?} became {text:?}");
        true
    }

    #[test]
    fn an_edited_item_gives_the_tree_of_the_whole_text() {
        let mut partly = 0;
        for before in TEXTS {
            let borders: Vec<usize> = (0..=before.len()).filter(|at| before.is_char_boundary(*at)).collect();
            for (number, start) in borders.iter().enumerate() {
                for end in borders.iter().skip(number).step_by(3).take(6) {
                    for inserted in INSERTED.iter().copied().chain([""]) {
                        let text = format!("{}{inserted}{}", &before[..*start], &before[*end..]);
                        partly += usize::from(edit(before, &text));
                    }
                }
            }
        }
        assert!(partly > 20_000, "only {partly} edits were parsed in part");
    }

    #[test]
    fn a_letter_in_a_step_is_parsed_in_part() {
        for before in TEXTS.iter().take(4) {
            let at = before.rfind("key: b").expect("the text has the step") + "key: b".len();
            assert!(edit(before, &format!("{}x{}", &before[..at], &before[at..])), "{before}");
        }
    }
}
