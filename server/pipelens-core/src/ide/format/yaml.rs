//! YAML: even indentation, one space after `-` and `:`, no trailing space, no two empty lines. Texts keep their content.

use super::space::{FormatStyle, set_space};
use crate::analysis::Analysis;
use crate::syntax::parse::Style;
use crate::syntax::tree::{Kind, NodeId, Tree};
use crate::text::{TextEdit, TextRange};

/// What a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Block,
    Comment,
    Empty,
    /// `---`, `...`, `%YAML`.
    Marker,
    /// The inside of a `|` or `>` text.
    BlockText,
    /// The inside of a value that began on an earlier line.
    Continued,
}

/// A column of the old text and what it becomes.
#[derive(Debug, Clone, Copy)]
struct Level {
    old: usize,
    new: usize,
}

pub(super) fn edits(analysis: &Analysis, style: FormatStyle) -> Vec<TextEdit> {
    let kinds = classify(analysis);
    let below = blocks_below(analysis, &kinds);
    let mut layout = Layout { analysis, style, kinds, visible: None, below, levels: Vec::new(), edits: Vec::new() };
    layout.lay_out();
    let mut edits = layout.edits;
    space_after_colons(analysis, &mut edits);
    edits.sort_by_key(|edit| edit.range);
    edits
}

fn classify(analysis: &Analysis) -> Vec<Line> {
    let lines = &analysis.line_index;
    let mut kinds: Vec<Line> = (0..lines.line_count())
        .map(|line| match content(analysis, line).trim() {
            "" => Line::Empty,
            text if text.starts_with('#') => Line::Comment,
            "---" | "..." => Line::Marker,
            text if text.starts_with('%') || text.starts_with("--- ") => Line::Marker,
            _ => Line::Block,
        })
        .collect();
    // Collections come before what is in them, so what is inside a line that goes on already needs no second look.
    let mut continued = 0;
    for node in analysis.tree.nodes() {
        let start = lines.line(node.range.start);
        let (inside, first) = match &node.kind {
            // Its range begins below the line of its `|`.
            Kind::Scalar(scalar) if scalar.style == Style::Block => (Line::BlockText, start),
            Kind::Scalar(_) | Kind::List { is_flow: true, .. } | Kind::Map { is_flow: true, .. } => {
                (Line::Continued, start + 1)
            }
            Kind::List { .. } | Kind::Map { .. } | Kind::Alias(_) => continue,
        };
        if node.range.is_empty() {
            continue;
        }
        let last = lines.line(node.range.end);
        if inside == Line::Continued {
            if last < continued {
                continue;
            }
            continued = last;
        }
        for kind in kinds.iter_mut().take(last + 1).skip(first) {
            *kind = inside;
        }
    }
    kinds
}

/// Returns for each line the indentation of the next line of a block below it.
fn blocks_below(analysis: &Analysis, kinds: &[Line]) -> Vec<Option<usize>> {
    let mut below = vec![None; kinds.len()];
    let mut next = None;
    for (line, (kind, below)) in kinds.iter().zip(&mut below).enumerate().rev() {
        *below = next;
        if *kind == Line::Block {
            next = Some(indentation(content(analysis, line)));
        }
    }
    below
}

/// Returns a line without its end.
fn content(analysis: &Analysis, line: usize) -> &str {
    let range = analysis.line_index.line_range(line);
    range.of(&analysis.text).trim_end_matches(['\r', '\n'])
}

fn indentation(text: &str) -> usize {
    text.len() - text.trim_start_matches(' ').len()
}

struct Layout<'a> {
    analysis: &'a Analysis,
    style: FormatStyle,
    kinds: Vec<Line>,
    /// What the nearest line above that is not empty belongs to.
    visible: Option<Line>,
    /// The indentation of the next line of a block below each line.
    below: Vec<Option<usize>>,
    levels: Vec<Level>,
    edits: Vec<TextEdit>,
}

impl Layout<'_> {
    fn lay_out(&mut self) {
        let mut line = 0;
        while let Some(kind) = self.kinds.get(line).copied() {
            match kind {
                Line::Marker => {
                    self.levels.clear();
                    self.trim_end(line);
                }
                Line::Block => {
                    let shift = self.block_line(line);
                    self.inner_lines(line, shift);
                    self.trim_end(line);
                }
                Line::Comment => self.comment_line(line),
                Line::Empty => self.empty_line(line),
                Line::BlockText | Line::Continued => {}
            }
            if kind != Line::Empty {
                self.visible = Some(kind);
            }
            line += 1;
        }
        self.end_of_text();
    }

    /// Moves a line to its level, and returns how far its last level moved and where that is now.
    fn block_line(&mut self, line: usize) -> Level {
        let text = content(self.analysis, line);
        let start = self.analysis.line_index.line_start(line);
        let mut column = indentation(text);
        let mut new = self.enter(column, None);
        self.set(TextRange::new(start, start + column), new);
        let mut level = Level { old: column, new };
        while let Some(rest) = text.get(column..).and_then(|rest| rest.strip_prefix('-')) {
            let gap = indentation(rest);
            if gap == 0 || rest.len() == gap {
                break;
            }
            let after = start + column + 1;
            column += 1 + gap;
            // A comment after a lone dash is not content.
            if text.get(column..).is_some_and(|rest| rest.starts_with('#')) {
                break;
            }
            self.set(TextRange::new(after, after + gap), 1);
            new = self.enter(column, Some(new + 2));
            if text.get(column..).is_some_and(|rest| rest.starts_with(['|', '>'])) {
                break;
            }
            level = Level { old: column, new };
        }
        level
    }

    /// Returns the new column of an old one, as a new level if it is deeper than all.
    fn enter(&mut self, old: usize, wanted: Option<usize>) -> usize {
        while self.levels.last().is_some_and(|level| level.old > old) {
            self.levels.pop();
        }
        match self.levels.last().copied() {
            Some(level) if level.old == old => level.new,
            outer => {
                let deeper = outer.map_or(0, |level| level.new + self.style.indent);
                let new = wanted.unwrap_or(deeper);
                self.levels.push(Level { old, new });
                new
            }
        }
    }

    /// Moves the lines inside a value that starts on `line` together with it.
    fn inner_lines(&mut self, line: usize, level: Level) {
        let inside = |layout: &Self, line: usize, kind: Line| layout.kinds.get(line).copied() == Some(kind);
        let mut last = line;
        let kind = match self.kinds.get(line + 1).copied() {
            Some(kind @ (Line::BlockText | Line::Continued)) => kind,
            Some(_) | None => return,
        };
        while inside(self, last + 1, kind) {
            last += 1;
        }
        let lines = || line + 1..=last;
        let head = content(self.analysis, line);
        let has_indicator = kind == Line::BlockText && has_indentation_indicator(head);
        let first = lines().map(|line| content(self.analysis, line)).find(|text| !text.trim().is_empty());
        let old = first.map(indentation).unwrap_or_default();
        let new = if kind == Line::BlockText && !has_indicator {
            level.new + self.style.indent
        } else {
            (old + level.new).saturating_sub(level.old)
        };
        for inner in lines() {
            let text = content(self.analysis, inner);
            let start = self.analysis.line_index.line_start(inner);
            let own = indentation(text);
            if text.trim().is_empty() {
                continue;
            }
            self.set(TextRange::new(start, start + own), (own + new).saturating_sub(old));
        }
    }

    /// A comment belongs to the content below it.
    fn comment_line(&mut self, line: usize) {
        let text = content(self.analysis, line);
        let old = indentation(text);
        let start = self.analysis.line_index.line_start(line);
        let below = self.below.get(line).copied().flatten();
        let outer = self.levels.iter().rev().find(|level| level.old <= old).copied();
        let new = match outer {
            Some(level) if level.old == old => level.new,
            Some(level) if below == Some(old) => level.new + self.style.indent,
            Some(level) => level.new + (old - level.old),
            None => 0,
        };
        self.set(TextRange::new(start, start + old), new);
        self.trim_end(line);
    }

    /// Of several empty lines one stays; after a `|` block they may be part of it.
    fn empty_line(&mut self, line: usize) {
        let before = line.checked_sub(1).and_then(|before| self.kinds.get(before).copied());
        let range = self.analysis.line_index.line_range(line);
        let is_last = line + 1 == self.kinds.len();
        if self.visible == Some(Line::BlockText) {
            return;
        }
        match before {
            Some(Line::Empty) | None if !is_last => self.edits.push(TextEdit { range, new_text: String::new() }),
            Some(_) | None => self.trim_end(line),
        }
    }

    fn trim_end(&mut self, line: usize) {
        // What ends on another line may be a quoted string, whose spaces count.
        let goes_on = matches!(self.kinds.get(line + 1), Some(Line::Continued));
        let text = content(self.analysis, line);
        let kept = text.trim_end_matches([' ', '\t']).len();
        let start = self.analysis.line_index.line_start(line);
        if !goes_on && kept < text.len() && !text.trim().is_empty() {
            set_space(&self.analysis.text, TextRange::new(start + kept, start + text.len()), "", &mut self.edits);
        }
        if text.trim().is_empty() {
            set_space(&self.analysis.text, TextRange::new(start, start + text.len()), "", &mut self.edits);
        }
    }

    fn end_of_text(&mut self) {
        let text = &self.analysis.text;
        let last = (0..self.kinds.len()).rev().find(|line| self.kinds.get(*line) != Some(&Line::Empty));
        if last.is_some_and(|last| self.kinds.get(last) == Some(&Line::BlockText)) || text.trim().is_empty() {
            return;
        }
        let end = text.trim_end().len();
        self.edits.retain(|edit| edit.range.start < end);
        let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        set_space(text, TextRange::new(end, text.len()), line_end, &mut self.edits);
    }

    fn set(&mut self, range: TextRange, width: usize) {
        set_space(&self.analysis.text, range, &" ".repeat(width), &mut self.edits);
    }
}

fn has_indentation_indicator(head: &str) -> bool {
    let indicator = head.rsplit([' ', '\t']).find(|word| word.starts_with(['|', '>']));
    indicator.is_some_and(|indicator| indicator.contains(|character: char| character.is_ascii_digit()))
}

/// One space between a key's colon and a value on the same line.
fn space_after_colons(analysis: &Analysis, edits: &mut Vec<TextEdit>) {
    for root in analysis.tree.documents.iter().copied() {
        visit(analysis, &analysis.tree, root, edits);
    }
}

fn visit(analysis: &Analysis, tree: &Tree, node: NodeId, edits: &mut Vec<TextEdit>) {
    match &tree.node(node).kind {
        Kind::Scalar(_) | Kind::Alias(_) => {}
        Kind::List { items, .. } => items.iter().for_each(|item| visit(analysis, tree, *item, edits)),
        Kind::Map { entries, .. } => {
            for entry in entries {
                let (key, value) = (tree.node(entry.key).range, tree.node(entry.value).range);
                let between = analysis.text.get(key.end..value.start).unwrap_or_default();
                let gap = between.trim_start_matches(' ').strip_prefix(':').map(indentation).unwrap_or_default();
                let colon = key.end + indentation(between);
                let has_value = between.len() > indentation(between) + 1 + gap || !value.is_empty();
                let is_on_line = !between.contains(['\n', '\r', '#']);
                if gap > 0 && has_value && is_on_line {
                    set_space(&analysis.text, TextRange::new(colon + 1, colon + 1 + gap), " ", edits);
                }
                visit(analysis, tree, entry.value, edits);
            }
        }
    }
}
