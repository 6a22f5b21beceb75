//! What completion offers, and what it needs to know.

use crate::text::TextEdit;

/// What an entry is, so that an editor can draw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletionKind {
    Key,
    Step,
    Value,
    Image,
    Variable,
    Snippet,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    pub label: String,
    pub kind: CompletionKind,
    /// Markdown.
    pub documentation: String,
    /// Replaces the word at the cursor.
    pub edit: TextEdit,
    /// What to insert instead where placeholders are known (`${1:name}`). Its further lines are indented relative to
    /// the line of the cursor, as editors do it.
    pub snippet: Option<String>,
}

/// What is known from outside the text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// Images that the container engine already has.
    pub images: &'a [String],
}
