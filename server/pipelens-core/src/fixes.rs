//! Applies all safe fixes at once, and turns single findings off.

use crate::analysis::Analysis;
use crate::diagnostic::{Code, Diagnostic, Fix};
use crate::files::FileId;
use crate::model::Spelling;
use crate::suppress::{self, still_refuses};
use crate::syntax::tree::Kind;
use crate::text::{TextEdit, TextRange};

/// Returns the edits of the analysed text by every safe fix that can be applied together, in text order.
///
/// Of two fixes that touch, only the first is included, because it may make the second unnecessary: apply the edits, analyse
/// again, and repeat until no edits are left. Each round fixes at least one finding, so this terminates.
pub fn fix_all<'found>(findings: impl IntoIterator<Item = &'found Diagnostic>) -> Vec<TextEdit> {
    let mut edits: Vec<TextEdit> = Vec::new();
    let safe = |fixes: &[Fix]| fixes.iter().find(|fix| fix.is_safe).map(|fix| fix.edits_in(FileId::DOCUMENT));
    for fix in findings.into_iter().filter_map(|found| safe(&found.fixes)) {
        let touches = |edit: &TextEdit| {
            edits.iter().any(|other| other.range.touches(edit.range.start) || edit.range.touches(other.range.start))
        };
        if !fix.iter().any(touches) {
            edits.extend(fix);
        }
    }
    edits.sort_by_key(|edit| edit.range);
    edits
}

/// Returns the edit that silences a finding with a comment. `None`: it cannot be silenced, or there can be no comment.
pub fn ignoring(analysis: &Analysis, finding: &Diagnostic) -> Option<Fix> {
    let is_of_whole_file = matches!(finding.code, Code::Syntax | Code::TooLarge | Code::EmptyFile | Code::NotAPipeline);
    let is_yaml = analysis.pipelines.iter().all(|pipeline| pipeline.spelling == Spelling::AuthoredYaml);
    if is_of_whole_file || !is_yaml || finding.file != FileId::DOCUMENT || still_refuses(finding) {
        return None;
    }
    let (text, lines) = (analysis.text.as_str(), &analysis.line_index);
    let line = lines.line(first_line_with_comment(analysis, finding.range));
    let code = finding.code.as_str();
    let title = format!("Ignore `{code}` here");
    if let Some(above) = line.checked_sub(1).map(|above| lines.line_range(above)) {
        let content = above.of(text).trim_end();
        if suppress::codes(content.trim_start()).is_some() {
            let range = TextRange::at(above.start + content.len());
            return Some(Fix::new(title, false, vec![TextEdit { range, new_text: format!(" {code}") }]));
        }
    }
    let start = lines.line_start(line);
    let content = lines.line_range(line).of(text);
    let visible = content.trim_start_matches('\u{feff}');
    let start = start + (content.len() - visible.len());
    let indent = visible.get(..visible.len() - visible.trim_start_matches([' ', '\t']).len()).unwrap_or_default();
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let new_text = format!("{indent}# pipelens: ignore {code}{newline}");
    Some(Fix::new(title, false, vec![TextEdit { range: TextRange::at(start), new_text }]))
}

/// Returns where the line starts that a comment above silences: that of the key, where the value has several lines of text.
fn first_line_with_comment(analysis: &Analysis, range: TextRange) -> usize {
    let (tree, lines) = (&analysis.tree, &analysis.line_index);
    for node in tree.nodes() {
        let Kind::Map { entries, .. } = &node.kind else { continue };
        let value_of = |entry: &&crate::syntax::tree::Entry| {
            let value = tree.node(entry.value);
            matches!(value.kind, Kind::Scalar(_))
                && value.range.contains_range(range)
                && lines.line(value.range.start) <= lines.line(range.start)
                && lines.line(tree.node(entry.key).range.start) < lines.line(range.start)
        };
        if let Some(entry) = entries.iter().find(value_of) {
            return tree.node(entry.key).range.start;
        }
    }
    range.start
}
