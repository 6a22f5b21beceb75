//! What can be folded in the output of a step: groups that tools mark, commands that `set -x` prints, headings between rules, and indented blocks.

use super::plain::plain;

/// Lines from the first to the last, from 0. The first is shown when the others are folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Section {
    pub start_line: usize,
    pub end_line: usize,
}

/// More are not of use.
const MAX_SECTIONS: usize = 5_000;
/// So many indented lines are a block.
const LEAST_INDENTED: usize = 2;
/// A rule is so long at least, on each side of its heading.
const LEAST_RULE: usize = 3;

/// Returns the sections of a step's output, in order.
pub fn sections(text: &str) -> Vec<Section> {
    let lines: Vec<String> = text.lines().map(|line| plain(line).into_owned()).collect();
    let mut sections = groups(&lines);
    // In a diff, `+` is something else.
    if !lines.iter().any(|line| line.starts_with("@@ ")) {
        sections.extend(between(&lines, |line| line.starts_with("+ ").then_some('+')));
    }
    sections.extend(between(&lines, rule));
    sections.extend(indented(&lines));
    sections.retain(|section| section.end_line > section.start_line);
    sections.sort_unstable();
    // Of those that begin on the same line, an editor folds one.
    sections.dedup_by(|next, kept| {
        let is_same = next.start_line == kept.start_line;
        if is_same {
            kept.end_line = kept.end_line.max(next.end_line);
        }
        is_same
    });
    sections.truncate(MAX_SECTIONS);
    sections
}

/// `::group::name` … `::endgroup::`, which may contain others.
fn groups(lines: &[String]) -> Vec<Section> {
    let (mut open, mut sections) = (Vec::new(), Vec::new());
    for (at, line) in lines.iter().enumerate() {
        let line = line.trim_start();
        if line.starts_with("::group::") || line.starts_with("##[group]") {
            open.push(at);
        } else if (line.starts_with("::endgroup::") || line.starts_with("##[endgroup]"))
            && let Some(start_line) = open.pop()
        {
            sections.push(Section { start_line, end_line: at });
        }
    }
    sections.extend(open.into_iter().map(|start_line| Section { start_line, end_line: lines.len() - 1 }));
    sections
}

/// Sections that begin with a heading and end before the next one of the same kind, or of the kind `=`.
fn between(lines: &[String], kind: impl Fn(&str) -> Option<char>) -> Vec<Section> {
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut sections = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(kind) = kind(line) else { continue };
        open.retain(|(other, start_line)| {
            let ends = *other == kind || kind == '=';
            if ends {
                sections.push(Section { start_line: *start_line, end_line: at - 1 });
            }
            !ends
        });
        open.push((kind, at));
    }
    let end_line = lines.len().saturating_sub(1);
    sections.extend(open.into_iter().map(|(_, start_line)| Section { start_line, end_line }));
    sections
}

/// Returns the character of a rule around a heading: `=== FAILURES ===`, `___ test ___`.
fn rule(line: &str) -> Option<char> {
    let line = line.trim_end();
    let first = line.chars().next().filter(|first| matches!(first, '=' | '_' | '-'))?;
    let before = line.len() - line.trim_start_matches(first).len();
    let heading = line.trim_matches(first);
    let after = line.len() - line.trim_end_matches(first).len();
    let is_heading = heading.starts_with(' ') && heading.ends_with(' ') && heading.len() > 2;
    (before >= LEAST_RULE && after >= LEAST_RULE && is_heading).then_some(first)
}

/// A line and the indented ones below it.
fn indented(lines: &[String]) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut head = None;
    let mut last = 0;
    let mut close = |head: Option<usize>, last: usize| {
        if let Some(head) = head
            && last >= head + LEAST_INDENTED
        {
            sections.push(Section { start_line: head, end_line: last });
        }
    };
    for (at, line) in lines.iter().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            last = at;
        } else {
            close(head, last);
            (head, last) = (Some(at), at);
        }
    }
    close(head, last);
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> Vec<(usize, usize)> {
        sections(text).into_iter().map(|section| (section.start_line, section.end_line)).collect()
    }

    #[test]
    fn groups_traces_headings_and_blocks_are_sections() {
        assert_eq!(folded("a\n::group::b\nc\n::group::d\ne\n::endgroup::\n::endgroup::\nf"), [(1, 6), (3, 5)]);
        assert_eq!(folded("::group::b\nc\nd"), [(0, 2)]);
        assert_eq!(folded("x\n+ make\nbuilt\ndone\n+ make test\n\x1b[31mfailed\x1b[0m"), [(1, 3), (4, 5)]);
        assert_eq!(
            folded("==== test session ====\na\n=== FAILURES ===\n____ one ____\nb\n___ two ___\nc\n=== end ==="),
            [(0, 1), (2, 6), (3, 4), (5, 6)]
        );
        assert_eq!(folded("error: x\n  --> a.rs:1:2\n   |\n\n 1 | a\nnext\n one"), [(0, 4)]);
    }

    #[test]
    fn plain_output_and_diffs_have_no_sections() {
        assert_eq!(folded("a\nb\nc\n"), []);
        assert_eq!(folded("@@ -1 +1 @@\n+ a\n+ b\nc"), []);
        assert_eq!(folded(""), []);
        assert_eq!(folded("----\na\n----\nb\n-- x --\nc"), []);
    }
}
