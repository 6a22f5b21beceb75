//! Completion.

use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionParams, CompletionResponse, CompletionTextEdit, Documentation,
    InsertTextFormat, InsertTextMode, TextEdit,
};
use pipelens_core::ide::{self, Completion, CompletionKind, Known};

use super::replies::{markdown, plain};
use crate::lsp::protocol::positions::TextMap;
use crate::lsp::server::Server;
use crate::lsp::session::client::{ClientFeatures, Markup};
use crate::lsp::session::documents::Documents;

pub(crate) fn completion(
    server: &Server,
    documents: &Documents,
    params: CompletionParams,
) -> Option<CompletionResponse> {
    let at = params.text_document_position;
    server.images.refresh(&server.settings);
    let document = documents.written(&at.text_document.uri)?;
    let map = document.map();
    let client = server.settings.client();
    let images = server.images.known();
    let entries = ide::completion(&document.analysis, map.offset(at.position), Known { images: &images });
    // Without placeholders a whole step would come with the wrong indentation.
    let usable = entries.into_iter().filter(|entry| client.snippets || entry.kind != CompletionKind::Snippet);
    let items = usable.enumerate().map(|(index, entry)| item(map, index, entry, client));
    Some(CompletionResponse::Array(items.collect()))
}

fn item(map: TextMap<'_>, index: usize, entry: Completion, client: ClientFeatures) -> CompletionItem {
    let snippet = entry.snippet.filter(|_| client.snippets);
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
        documentation: Some(match client.shown.documentation {
            Markup::Markdown => Documentation::MarkupContent(markdown(entry.documentation)),
            Markup::Plain | Markup::Unknown => Documentation::String(plain(&entry.documentation).value),
        }),
        // The core's order: the likeliest first.
        sort_text: Some(format!("{index:04}")),
        insert_text_format: format,
        insert_text_mode: mode,
        text_edit: Some(CompletionTextEdit::Edit(edit)),
        label: entry.label,
        ..CompletionItem::default()
    }
}
