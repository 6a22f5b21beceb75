//! What could stand at the cursor.

use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionResponse, CompletionTextEdit, Documentation, InsertTextFormat,
    InsertTextMode, Position, TextEdit,
};
use pipelens_core::ide::{self, Completion, CompletionKind, Known};

use super::markdown;
use crate::lsp::Shared;
use crate::lsp::convert::TextMap;
use crate::lsp::state::Document;

pub(crate) fn completion(shared: &Shared, document: &Document, position: Position) -> CompletionResponse {
    let map = document.map(shared.config.encoding());
    let has_snippets = shared.config.client().snippets;
    let images = shared.images.known();
    let entries = ide::completion(&document.analysis, map.offset(position), Known { images: &images });
    // Without placeholders a whole step would come with the wrong indentation.
    let usable = entries.into_iter().filter(|entry| has_snippets || entry.kind != CompletionKind::Snippet);
    CompletionResponse::Array(usable.enumerate().map(|(index, entry)| item(map, index, entry, has_snippets)).collect())
}

fn item(map: TextMap<'_>, index: usize, entry: Completion, has_snippets: bool) -> CompletionItem {
    let snippet = entry.snippet.filter(|_| has_snippets);
    let format = snippet.as_ref().map(|_| InsertTextFormat::SNIPPET);
    let mode = snippet.as_ref().map(|_| InsertTextMode::ADJUST_INDENTATION);
    let edit = match snippet {
        Some(snippet) => TextEdit::new(map.range(entry.edit.range), snippet),
        None => map.text_edit(&entry.edit),
    };
    CompletionItem {
        kind: Some(match entry.kind {
            CompletionKind::Key => CompletionItemKind::PROPERTY,
            CompletionKind::Step => CompletionItemKind::REFERENCE,
            CompletionKind::Value => CompletionItemKind::VALUE,
            CompletionKind::Image => CompletionItemKind::MODULE,
            CompletionKind::Variable => CompletionItemKind::VARIABLE,
            CompletionKind::Snippet => CompletionItemKind::SNIPPET,
        }),
        documentation: Some(Documentation::MarkupContent(markdown(entry.documentation))),
        // The core's order: the likeliest first.
        sort_text: Some(format!("{index:04}")),
        insert_text_format: format,
        insert_text_mode: mode,
        text_edit: Some(CompletionTextEdit::Edit(edit)),
        label: entry.label,
        ..CompletionItem::default()
    }
}
