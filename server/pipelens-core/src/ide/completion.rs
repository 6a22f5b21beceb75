//! What could stand at the cursor: keys by place, step keys, policies, runners.

use super::names::walk;
use crate::Analysis;
use crate::keys::{self, Key, POLICIES, Place, RUNNERS, Shape};
use crate::text::{TextEdit, TextRange};

/// What an entry is, so that an editor can draw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletionKind {
    Key,
    Step,
    Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    pub label: String,
    pub kind: CompletionKind,
    /// Markdown.
    pub documentation: String,
    /// Replaces the word at the cursor.
    pub edit: TextEdit,
}

/// Returns what could stand at an offset, the likeliest first.
pub fn completion(analysis: &Analysis, offset: usize) -> Vec<Completion> {
    let Some(cursor) = Cursor::new(analysis, offset) else { return Vec::new() };
    let place = place_at(analysis, &cursor);
    if let Some(key) = cursor.key {
        return keys::find(place, key).map(|key| values(analysis, &cursor, key)).unwrap_or_default();
    }
    if let Some(key) = list_key(analysis, &cursor) {
        return keys::find(Place::Step, key).map(|key| values(analysis, &cursor, key)).unwrap_or_default();
    }
    let present = present_keys(analysis, &cursor, place);
    let known = keys::keys(place).iter().filter(|key| !present.contains(&key.name));
    let mut entries: Vec<Completion> =
        known.map(|key| cursor.entry(key.name, ": ", CompletionKind::Key, key.doc)).collect();
    if place == Place::Step && cursor.is_list_entry && !cursor.is_flow {
        entries.push(cursor.entry(
            "wait",
            "",
            CompletionKind::Value,
            "A barrier between the steps before and after it.",
        ));
    }
    entries
}

/// What the line says up to the cursor.
struct Cursor<'a> {
    offset: usize,
    line_start: usize,
    /// Where keys of this block start in their line.
    column: usize,
    /// The key whose value is being written.
    key: Option<&'a str>,
    is_list_entry: bool,
    /// Whether brackets are open on this line.
    is_flow: bool,
    /// The word at the cursor, which an entry replaces.
    word: TextRange,
}

impl<'a> Cursor<'a> {
    fn new(analysis: &'a Analysis, offset: usize) -> Option<Self> {
        let line_start = analysis.line_index.line_start(analysis.line_index.line(offset));
        let before = analysis.text.get(line_start..offset)?;
        let content = before.trim_start_matches(' ');
        let is_list_entry = content.starts_with('-');
        let block = content.trim_start_matches(['-', ' ']);
        let (bare, list_key) = in_brackets(block).unwrap_or((block, None));
        if bare.starts_with('#') {
            return None;
        }
        let word_len =
            before.len() - before.trim_end_matches(|last: char| last.is_alphanumeric() || "_-.".contains(last)).len();
        let word_len = word_len.min(bare.len());
        let behind = analysis.text.get(offset..)?;
        let is_word = |next: &char| next.is_alphanumeric() || "_-.".contains(*next);
        let behind_len: usize = behind.chars().take_while(is_word).map(char::len_utf8).sum();
        Some(Self {
            offset,
            line_start,
            column: before.len() - bare.len(),
            is_flow: bare.len() < block.len(),
            key: list_key.or_else(|| bare.split_once(':').map(|(key, _)| key.trim_matches(['"', '\'']))),
            is_list_entry,
            word: TextRange::new(offset - word_len, offset + behind_len),
        })
    }

    fn entry(&self, label: &str, suffix: &str, kind: CompletionKind, documentation: &str) -> Completion {
        let edit = TextEdit { range: self.word, new_text: format!("{label}{suffix}") };
        Completion { label: label.to_owned(), kind, documentation: documentation.to_owned(), edit }
    }
}

/// Returns what stands behind the last open bracket or its last comma, and the key whose list it is in.
fn in_brackets(line: &str) -> Option<(&str, Option<&str>)> {
    let mut open: Vec<(char, usize, usize)> = Vec::new();
    let mut quote: Option<char> = None;
    for (offset, character) in line.char_indices() {
        match (quote, character) {
            (Some(mark), _) if mark == character => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '{' | '[') => {
                let from = open.last().map_or(0, |(_, _, from)| *from);
                open.push((character, from, offset + 1));
            }
            (None, '}' | ']') => {
                open.pop();
            }
            (None, ',') => {
                if let Some((_, _, from)) = open.last_mut() {
                    *from = offset + 1;
                }
            }
            (None | Some(_), _) => {}
        }
    }
    let (bracket, key_start, start) = open.last().copied()?;
    let key = line.get(key_start..).and_then(|rest| rest.split_once(':')).map(|(key, _)| key.trim());
    let key = if bracket == '[' { key.map(|key| key.trim_matches(['"', '\''])) } else { None };
    Some((line.get(start..)?.trim_start(), key))
}

fn values(analysis: &Analysis, cursor: &Cursor<'_>, key: &Key) -> Vec<Completion> {
    let named = |(name, doc): &(&str, &str)| cursor.entry(name, "", CompletionKind::Value, doc);
    match key.shape {
        Shape::Policy => POLICIES.iter().map(named).collect(),
        Shape::Runner => RUNNERS.iter().map(named).collect(),
        Shape::Bool => ["true", "false"].map(|name| cursor.entry(name, "", CompletionKind::Value, key.doc)).to_vec(),
        Shape::OneOf(names) => {
            names.iter().map(|name| cursor.entry(name, "", CompletionKind::Value, key.doc)).collect()
        }
        Shape::StepKey | Shape::StepKeys => {
            let pipeline = analysis.pipelines.iter().rfind(|pipeline| pipeline.range.start <= cursor.offset);
            let steps = pipeline.into_iter().flat_map(|pipeline| &pipeline.steps);
            let unnamed = pipeline.into_iter().flat_map(|pipeline| &pipeline.unnamed_steps);
            // A value that is being written may stand behind the end of its step, but never behind the next one's start.
            let starts = steps.clone().chain(unnamed).map(|step| step.range.start);
            let own = starts.filter(|start| *start <= cursor.offset).max();
            let others = steps.filter(|step| Some(step.range.start) != own);
            others
                .map(|step| cursor.entry(&step.key.value, "", CompletionKind::Step, &super::outline::first_words(step)))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the place whose mapping has its keys in the cursor's column, nearest above the cursor.
fn place_at(analysis: &Analysis, cursor: &Cursor<'_>) -> Place {
    let mut best: Option<(usize, Place)> = None;
    let mut steps_column = None;
    walk(analysis, &mut |place, map| {
        let Some(first) = analysis.tree.own_entries(map).and_then(<[_]>::first) else { return };
        let start = analysis.tree.node(first.key).range.start;
        let column = start - analysis.line_index.line_start(analysis.line_index.line(start));
        if matches!(place, Place::Step) {
            steps_column = Some(column);
        }
        let is_around = cursor.is_flow && analysis.tree.node(map).range.touches(cursor.offset);
        let fits = (is_around || (!cursor.is_flow && column == cursor.column))
            && start <= cursor.offset.max(cursor.line_start);
        if fits && best.is_none_or(|(other, _)| other <= start) {
            best = Some((start, place));
        }
    });
    match best {
        Some((_, place)) => place,
        None if cursor.column == 0 => Place::Pipeline,
        // Deeper than the steps' own keys and in no mapping yet: a new block under the line above.
        None if steps_column.is_some_and(|column| cursor.column > column) => block_place(analysis, cursor),
        None => Place::Step,
    }
}

/// Returns the place of a block that is being started under a key.
fn block_place(analysis: &Analysis, cursor: &Cursor<'_>) -> Place {
    let above = analysis.text.get(..cursor.line_start).unwrap_or_default().trim_end();
    let line = above.rsplit('\n').next().unwrap_or_default().trim_start_matches([' ', '-']);
    match line.trim_end_matches(':') {
        "cache" | "sub_policies" => Place::Cache,
        "wait" => Place::WaitOptions,
        "triggers" => Place::Trigger,
        _ => Place::Step,
    }
}

/// Returns the key whose list a `- ` entry at the cursor continues, such as `depends_on`.
fn list_key<'a>(analysis: &'a Analysis, cursor: &Cursor<'_>) -> Option<&'a str> {
    if !cursor.is_list_entry {
        return None;
    }
    let mut lines = analysis.text.get(..cursor.line_start)?.lines().rev();
    let key = lines.find(|line| !line.trim().is_empty() && !line.trim_start().starts_with("- "))?;
    let key = key.trim_start().trim_end().strip_suffix(':')?;
    matches!(key, "depends_on").then_some(key)
}

fn present_keys<'a>(analysis: &'a Analysis, cursor: &Cursor<'_>, place: Place) -> Vec<&'a str> {
    let mut present = Vec::new();
    walk(analysis, &mut |own, map| {
        let range = analysis.tree.node(map).range;
        if own == place && range.touches(cursor.offset) {
            let entries = analysis.tree.own_entries(map).unwrap_or_default();
            let others = entries.iter().filter(|entry| !analysis.tree.node(entry.key).range.touches(cursor.offset));
            present = others.filter_map(|entry| analysis.tree.key_text(entry)).collect();
        }
    });
    present
}
