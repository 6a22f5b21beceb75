//! Aliases, and the merge key that needs one.

use super::cursor::{Cursor, Follows};
use super::entry::{Completion, CompletionKind};
use crate::analysis::Analysis;
use crate::ide::anchors::usable;
use crate::printable::code;
use crate::syntax::tree::{Kind, Node};
use crate::text::TextRange;

/// Returns the anchors above, after a `*` and as the value of `<<`; `None` where no alias is being written.
pub(super) fn aliases(analysis: &Analysis, cursor: &Cursor<'_>) -> Option<Vec<Completion>> {
    let is_merge = cursor.key == Some("<<");
    let before = cursor.before_word.strip_suffix('*');
    let is_value = |before: &&str| before.is_empty() || before.ends_with([' ', '\t', '\n', '[', ',', '{', ':']);
    let is_started = before.filter(is_value).is_some() && cursor.quote.is_none();
    if cursor.is_json || !(is_started || is_merge && cursor.word.is_empty()) || cursor.quote.is_some() {
        return None;
    }
    let anchors = usable(analysis, cursor.offset).into_iter();
    let fitting = anchors.filter(|(_, node)| !is_merge || matches!(node.kind, Kind::Map { .. }));
    let entry = |(name, node): (&str, &Node)| {
        let line = analysis.line_index.line(node.range.start) + 1;
        let doc = format!("{} in line {line}.", code(&format!("&{name}")));
        if !is_started {
            return cursor.value_entry(&format!("*{name}"), format!("*{name}"), CompletionKind::Value, &doc);
        }
        let mut entry = cursor.value_entry(name, name.to_owned(), CompletionKind::Value, &doc);
        if before.is_some_and(|before| before.ends_with(':')) {
            // `<<:*` needs a space before the `*`.
            entry.edit.range = TextRange::new(cursor.word.start - 1, cursor.word.end);
            entry.edit.new_text.insert_str(0, " *");
        }
        entry
    };
    Some(fitting.map(entry).collect())
}

/// Returns the merge key, where there is an anchor it could refer to.
pub(super) fn merge_key(analysis: &Analysis, cursor: &Cursor<'_>, present: &[&str]) -> Option<Completion> {
    let is_free = cursor.follows != Follows::Colon && cursor.quote.is_none() && !cursor.is_json;
    if present.contains(&"<<") || !is_free {
        return None;
    }
    let (name, _) =
        usable(analysis, cursor.offset).into_iter().find(|(_, node)| matches!(node.kind, Kind::Map { .. }))?;
    let doc = "Takes over the keys of an anchor; keys that are written here take precedence.";
    let mut entry = cursor.value_entry("<<", format!("<<: *{name}"), CompletionKind::Key, doc);
    let is_simple = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let comma = if cursor.follows == Follows::Entry { ", " } else { "" };
    entry.snippet = is_simple.then(|| format!("{}<<: *${{0:{name}}}{comma}", cursor.lead()));
    Some(entry)
}
