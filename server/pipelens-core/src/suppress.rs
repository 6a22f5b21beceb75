//! The comment `# pipelens: ignore <code>` silences a finding on its own line, or in what starts on the line below it: an entry or a
//! step. A comment of the shell, in a command, does the same for a line of the command.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use memchr::memmem;

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::syntax::tree::{Kind, NodeId, Tree};
use crate::text::{LineIndex, TextRange};

const MARK: &str = "pipelens:";

/// Takes the silenced findings out and returns them.
pub(crate) fn apply(text: &str, lines: &LineIndex, tree: &Tree, findings: &mut Vec<Diagnostic>) -> Vec<Diagnostic> {
    if memmem::find(text.as_bytes(), MARK.as_bytes()).is_none() {
        return Vec::new();
    }
    let mut source = Source { text, lines, run: 0..0 };
    let mut ignored: Ignored<'_> = HashMap::new();
    let mut ends = None;
    for comment in &tree.comments {
        let Some(codes) = codes(comment.of(text)) else { continue };
        let first = source.target(*comment);
        let ends = ends.get_or_insert_with(|| last_lines(tree, lines));
        let last = ends.get(&first).copied().unwrap_or(first);
        codes.into_iter().for_each(|code| ignored.entry(code).or_default().push((first, last)));
    }
    for comment in source.shell_comments(tree) {
        let Some(codes) = codes(comment.of(text)) else { continue };
        let target = source.target(comment);
        codes.into_iter().for_each(|code| ignored.entry(code).or_default().push((target, target)));
    }
    for ranges in ignored.values_mut() {
        merge(ranges);
    }
    let is_silenced = |finding: &Diagnostic| {
        let line = lines.line(finding.range.start);
        let ranges = ignored.get(finding.code.as_str()).map(Vec::as_slice).unwrap_or_default();
        let after = ranges.partition_point(|(first, _)| *first <= line);
        after.checked_sub(1).and_then(|before| ranges.get(before)).is_some_and(|(_, last)| line <= *last)
    };
    let (silenced, kept) = std::mem::take(findings).into_iter().partition(is_silenced);
    *findings = kept;
    silenced
}

/// Tells whether a run is impossible whatever is done about the finding: neither a comment nor a setting removes a cycle.
pub(crate) fn still_refuses(finding: &Diagnostic) -> bool {
    let is_harmless = matches!(
        finding.code,
        Code::UnknownKey | Code::MisplacedKey | Code::BadEnvName | Code::InvalidImage | Code::ShellSyntax
    );
    finding.code.severity() == Severity::Error && finding.severity == Severity::Error && !is_harmless
}

/// First and last lines by code.
type Ignored<'text> = HashMap<&'text str, Vec<(usize, usize)>>;

/// Sorts ranges of lines, and joins those that overlap.
fn merge(ranges: &mut Vec<(usize, usize)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, before| {
        let overlaps = next.0 <= before.1;
        if overlaps {
            before.1 = before.1.max(next.1);
        }
        overlaps
    });
}

/// Returns where the entries and items that start on each line end.
fn last_lines(tree: &Tree, lines: &LineIndex) -> BTreeMap<usize, usize> {
    let mut ends: BTreeMap<usize, usize> = BTreeMap::new();
    let mut note = |range: TextRange| {
        let end = ends.entry(lines.line(range.start)).or_default();
        *end = (*end).max(lines.line(range.end));
    };
    let range = |id: &NodeId| tree.node(*id).range;
    for node in tree.nodes() {
        match &node.kind {
            Kind::Map { entries, .. } => {
                entries.iter().for_each(|entry| note(range(&entry.key).cover(range(&entry.value))));
            }
            Kind::List { items, .. } => items.iter().for_each(|item| note(range(item))),
            Kind::Scalar(_) | Kind::Alias(_) => {}
        }
    }
    ends
}

struct Source<'a> {
    text: &'a str,
    lines: &'a LineIndex,
    /// Lines of comments, one after another, with the line below them as their end. Comments come in order, so each run is read once.
    run: Range<usize>,
}

impl Source<'_> {
    /// Returns the line that a comment is about: its own, or the next one without a comment if it has a line of its own.
    fn target(&mut self, comment: TextRange) -> usize {
        let line = self.lines.line(comment.start);
        let start = self.lines.line_start(line);
        if !self.text.get(start..comment.start).unwrap_or_default().trim().is_empty() {
            return line;
        }
        if !self.run.contains(&line) {
            let is_comment = |line: usize| self.lines.line_range(line).of(self.text).trim().starts_with('#');
            let below = (line + 1..self.lines.line_count()).find(|below| !is_comment(*below));
            self.run = line..below.unwrap_or(self.lines.line_count());
        }
        self.run.end
    }

    /// Returns the comments with the mark that are part of a command.
    fn shell_comments(&self, tree: &Tree) -> Vec<TextRange> {
        let is_yaml = |start: usize| tree.comments.binary_search_by_key(&start, |comment| comment.start).is_ok();
        let commands = tree.nodes().filter_map(|node| match &node.kind {
            Kind::Scalar(scalar) => scalar.text.contains(MARK).then_some(node.range),
            Kind::List { .. } | Kind::Map { .. } | Kind::Alias(_) => None,
        });
        let mut commands: Vec<TextRange> = commands.collect();
        commands.sort_unstable();
        let is_in_command = |start: usize| {
            let after = commands.partition_point(|command| command.start <= start);
            after.checked_sub(1).and_then(|before| commands.get(before)).is_some_and(|command| start < command.end)
        };
        let comment = |mark: usize| {
            let before = self.text.get(..mark)?.trim_end_matches([' ', '\t']);
            let start = before.len().checked_sub(1).filter(|_| before.ends_with('#'))?;
            let is_comment = self.text.get(..start)?.chars().next_back().is_none_or(char::is_whitespace);
            let end = self.lines.line_range(self.lines.line(mark)).end;
            (is_comment && !is_yaml(start) && is_in_command(start)).then(|| TextRange::new(start, end))
        };
        memmem::find_iter(self.text.as_bytes(), MARK.as_bytes()).filter_map(comment).collect()
    }
}

/// Returns the codes that a comment ignores. `None`: it is another comment.
pub(crate) fn codes(comment: &str) -> Option<Vec<&str>> {
    let words = comment.strip_prefix('#')?.trim_start().strip_prefix(MARK)?.trim_start().strip_prefix("ignore")?;
    Some(words.split([' ', ',', ':', ';', '\t', '\r', '\n']).filter(|code| !code.is_empty()).collect())
}
