//! How a command is written in its file, and what YAML does to it before a shell sees it.

use std::cell::OnceCell;

use crate::diagnostic::{Code, Diagnostic, Fix, Severity};
use crate::shell::Dialect;
use crate::syntax::offsets::Offsets;
use crate::syntax::written::single_quoted;
use crate::text::{Spanned, TextEdit, TextRange};

/// A command and the text it was read from.
pub(super) struct Written<'a> {
    pub(super) text: &'a str,
    pub(super) cmd: &'a Spanned<String>,
    offsets: OnceCell<Option<Offsets>>,
}

impl<'a> Written<'a> {
    pub(super) fn new(text: &'a str, cmd: &'a Spanned<String>) -> Self {
        Self { text, cmd, offsets: OnceCell::new() }
    }

    /// Returns where the command's characters are in the file. Looked for once, because that takes as long as the command is.
    pub(super) fn offsets(&self) -> Option<&Offsets> {
        self.offsets.get_or_init(|| Offsets::of(self.text, self.cmd)).as_ref()
    }

    /// Returns where a part of the command is in the file; if that is unknown, the command's first line.
    pub(super) fn visible_place(&self, range: TextRange) -> TextRange {
        let exact = self.offsets().and_then(|offsets| offsets.source(range));
        exact.unwrap_or_else(|| {
            let source = self.cmd.range.of(self.text);
            TextRange::new(self.cmd.range.start, self.cmd.range.start + source.lines().next().map_or(0, str::len))
        })
    }

    /// Returns the `|` or `>` that starts the command's block.
    pub(super) fn block_indicator(&self) -> Option<(TextRange, char)> {
        let above = self.text.get(..self.cmd.range.start)?.trim_end_matches([' ', '\t']);
        let above = above.strip_suffix('\n')?.trim_end_matches(['\n', '\r', ' ', '\t']);
        let start = above.rfind('\n').map_or(0, |end| end + 1);
        let line = above.get(start..)?;
        let header = line.find(" #").and_then(|comment| line.get(..comment)).unwrap_or(line).trim_end();
        let indicator = header.rfind([' ', '\t']).map_or(0, |space| space + 1);
        let style = header.get(indicator..)?.chars().next().filter(|style| matches!(style, '|' | '>'))?;
        Some((TextRange::new(start + indicator, start + indicator + 1), style))
    }

    /// Returns the `>` of a folded command.
    fn folding(&self) -> Option<TextRange> {
        self.block_indicator().filter(|(_, style)| *style == '>').map(|(place, _)| place)
    }
}

/// Finds a `!` in front of a command, which YAML takes for a tag.
pub(super) fn tag(written: &Written<'_>) -> Option<Diagnostic> {
    let (text, cmd) = (written.text, written.cmd);
    let before = text.get(..cmd.range.start)?;
    let trimmed = before.trim_end_matches(' ');
    let start = trimmed.rfind([' ', '\t', '\n', ':']).map_or(0, |end| end + 1);
    let word = trimmed.get(start..)?;
    // `!!str` is meant as a tag; a tag before a block scalar, as in `!sh |`, only names its language.
    if !word.starts_with('!') || word.starts_with("!!") || word.starts_with("!<") {
        return None;
    }
    let place = TextRange::new(start, trimmed.len());
    let message = format!(
        "YAML takes `{word}` for a tag and leaves it out, so the shell never sees it. Put the command in quotes, or write it below `cmd: |`."
    );
    let finding = Diagnostic::new(Code::YamlTag, place, message);
    let source = cmd.range.of(text);
    let is_negation = word == "!";
    Some(match source.chars().next() {
        _ if source.contains('\n') => finding,
        Some(quote @ ('"' | '\'')) => {
            let edits = vec![
                TextEdit { range: TextRange::new(start, cmd.range.start), new_text: String::new() },
                TextEdit { range: TextRange::at(cmd.range.start + quote.len_utf8()), new_text: format!("{word} ") },
            ];
            with(finding, Fix::new("Move it into the quotes", is_negation, edits))
        }
        Some(_) => {
            let range = TextRange::new(start, cmd.range.end);
            let edits = vec![TextEdit { range, new_text: single_quoted(&format!("{word} {source}")) }];
            with(finding, Fix::new("Put the command in quotes", is_negation, edits))
        }
        None => finding,
    })
}

/// Finds a `#!` line, which only has a meaning at the start of a file.
pub(super) fn shebang(written: &Written<'_>, dialect: Dialect, can_be_chosen: bool) -> Option<Diagnostic> {
    let line = written.cmd.value.lines().next().filter(|line| line.starts_with("#!"))?;
    let mut words = line.trim_start_matches("#!").split_ascii_whitespace().filter(|word| !word.starts_with('-'));
    let path = words.next().unwrap_or_default();
    let program = path.rsplit('/').next().filter(|name| *name != "env").or_else(|| words.next()).unwrap_or_default();
    let place = written.visible_place(TextRange::new(0, line.trim_end().len()));
    let is_the_same = program.is_empty() || Dialect::of(&[program.to_owned()]) == Some(dialect);
    let shell = if dialect == Dialect::Bash { "bash" } else { "sh" };
    let message = if is_the_same {
        format!("A `#!` line has no effect here: `cmd` is run by `{shell} -c`. Remove it.")
    } else if can_be_chosen {
        format!(
            "This line has no effect: `cmd` is run by `{shell} -c`, not by `{program}`. Set `shell: {program}` in the step instead."
        )
    } else {
        format!(
            "This line has no effect: `cmd` is run by `{shell} -c`, not by `{program}`. Put the script into a file and run it with `{program}`."
        )
    };
    let mut finding = Diagnostic::new(Code::Shebang, place, message);
    if is_the_same {
        finding.severity = Severity::Hint;
    }
    Some(finding)
}

/// Finds lines of a folded command that do not mean what they look like: each fold is a space.
pub(super) fn folded(written: &Written<'_>) -> Option<Diagnostic> {
    // Without one of these, joined lines are what they look like.
    if !written.cmd.value.contains(['#', '\\', '-']) {
        return None;
    }
    let folding = written.folding()?;
    let offsets = written.offsets()?;
    swallowed(written, folding, offsets)
        .or_else(|| escaped(written, folding, offsets))
        .or_else(|| separate(written, offsets))
}

/// A comment that continues on the next line of the file.
fn swallowed(written: &Written<'_>, folding: TextRange, offsets: &Offsets) -> Option<Diagnostic> {
    let comment = comment(&written.cmd.value, |range| {
        offsets.source(range).is_some_and(|place| place.of(written.text).trim_end().contains('\n'))
    })?;
    let place = offsets.source(comment)?;
    let first_line = place.of(written.text).lines().next().unwrap_or_default().trim_end().len();
    let place = TextRange::new(place.start, place.start + first_line);
    let message = "`>` joins these lines, so the lines after this comment are part of it and never run. Write `|` instead of `>`, which keeps the lines.";
    let finding = Diagnostic::new(Code::FoldedCommand, place, message);
    Some(finding.with_fix("Change `>` to `|`", folding, "|"))
}

/// Returns the first comment of a command that meets a condition.
fn comment(command: &str, is_wanted: impl Fn(TextRange) -> bool) -> Option<TextRange> {
    let bytes = command.as_bytes();
    let (mut at, mut quote) = (0, None);
    while let Some(byte) = bytes.get(at).copied() {
        match (quote, byte) {
            (None | Some(b'"'), b'\\') => at += 1,
            (None, b'\'' | b'"') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            (None, b'#') if at == 0 || bytes.get(at - 1).is_some_and(|before| b" \t\n;".contains(before)) => {
                let rest = bytes.get(at..).unwrap_or_default();
                let end = at + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                let range = TextRange::new(at, end);
                if is_wanted(range) {
                    return Some(range);
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// A `\` at the end of a line, after which folding puts a space.
fn escaped(written: &Written<'_>, folding: TextRange, offsets: &Offsets) -> Option<Diagnostic> {
    let value = &written.cmd.value;
    let ends_line = |at: usize| {
        let place = offsets.source(TextRange::new(at, at + 1))?;
        written.text.get(place.end..)?.trim_start_matches('\r').starts_with('\n').then_some(place)
    };
    let is_odd = |at: usize| {
        let before = value.get(..at).unwrap_or_default();
        (before.len() - before.trim_end_matches('\\').len()).is_multiple_of(2)
    };
    let places: Vec<TextRange> =
        value.match_indices("\\ ").map(|(at, _)| at).filter(|at| is_odd(*at)).filter_map(ends_line).collect();
    let first = places.first()?;
    let message = "`>` joins these lines with a space, so this `\\` quotes that space instead of continuing the line. Write `|` instead of `>`, or remove the `\\`.";
    let finding = Diagnostic::new(Code::FoldedCommand, *first, message);
    // Each line but the last continues: with `|`, the command is what it looks like.
    let source = written.cmd.range.of(written.text);
    let mut lines = source.lines().rev().skip_while(|line| line.trim().is_empty()).skip(1);
    if lines.all(|line| line.trim_end_matches('\r').ends_with('\\')) {
        let edits = vec![TextEdit { range: folding, new_text: "|".to_owned() }];
        return Some(with(finding, Fix::new("Change `>` to `|`", true, edits)));
    }
    let edits = places.iter().map(|place| TextEdit { range: *place, new_text: String::new() }).collect();
    Some(with(finding, Fix::new("Remove `\\`", false, edits)))
}

/// An option on a line that is indented further, which folding keeps as a line.
fn separate(written: &Written<'_>, offsets: &Offsets) -> Option<Diagnostic> {
    let value = &written.cmd.value;
    let mut at = 0;
    let mut indents = Vec::new();
    let mut first = None;
    let mut continues = true;
    for line in value.split('\n') {
        let word = line.trim_start_matches([' ', '\t']);
        let indent = line.len() - word.len();
        if indent > 0 && !word.is_empty() && !continues {
            let is_option = word.starts_with('-') && word.get(1..2).is_some_and(|next| next != " ");
            if is_option && first.is_none() {
                let length = word.find([' ', '\t']).unwrap_or(word.len());
                first = Some(TextRange::new(at + indent, at + indent + length));
            }
            indents.push(TextRange::new(at, at + indent));
        }
        continues = word.is_empty() || word.ends_with(['\\', '|']) || word.ends_with("&&");
        at += line.len() + 1;
    }
    let place = offsets.source(first?)?;
    let message = "`>` joins only lines of the same indentation, so this line is a command of its own. Align it with the line above.";
    let finding = Diagnostic::new(Code::FoldedCommand, place, message);
    let removed = |range: &TextRange| Some(TextEdit { range: offsets.source(*range)?, new_text: String::new() });
    let edits: Option<Vec<TextEdit>> = indents.iter().map(removed).collect();
    Some(match edits {
        Some(edits) => with(finding, Fix::new("Align the lines", false, edits)),
        None => finding,
    })
}

fn with(mut finding: Diagnostic, fix: Fix) -> Diagnostic {
    finding.fixes.push(fix);
    finding
}
