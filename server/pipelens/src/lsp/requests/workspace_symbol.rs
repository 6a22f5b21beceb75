//! The pipelines and steps of all open documents, by name.

use lsp_types::{Location, OneOf, SymbolKind, WorkspaceSymbol, WorkspaceSymbolParams, WorkspaceSymbolResponse};
use pipelens_core::ide;
use pipelens_core::text::TextRange;

use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;

/// People do not read a longer list to its end.
const MAX_SYMBOLS: usize = 500;

/// Returns everything whose name contains the query's characters in their order.
pub(crate) fn workspace_symbol(
    _: &Server,
    documents: &Documents,
    params: WorkspaceSymbolParams,
) -> Option<WorkspaceSymbolResponse> {
    let query = params.query.as_str();
    let mut found = Vec::new();
    for document in documents.pipelines() {
        let map = document.map();
        let symbol = |name: &str, range: TextRange, kind: SymbolKind, container: Option<&str>| WorkspaceSymbol {
            name: name.to_owned(),
            kind,
            tags: None,
            container_name: container.map(str::to_owned),
            location: OneOf::Left(Location::new(document.uri.clone(), map.range(range))),
            data: None,
        };
        for pipeline in ide::symbols(&document.analysis) {
            let inside = Some(pipeline.name.as_str());
            let steps = pipeline.children.iter().filter(|step| has_letters(&step.name, query));
            let steps = steps.map(|step| symbol(&step.name, step.selection, SymbolKind::FUNCTION, inside));
            found.extend(steps);
            if has_letters(&pipeline.name, query) {
                found.push(symbol(&pipeline.name, pipeline.selection, SymbolKind::MODULE, None));
            }
        }
    }
    found.truncate(MAX_SYMBOLS);
    Some(WorkspaceSymbolResponse::Nested(found))
}

fn has_letters(name: &str, query: &str) -> bool {
    let mut letters = name.chars().flat_map(char::to_lowercase);
    query.chars().flat_map(char::to_lowercase).all(|wanted| letters.any(|letter| letter == wanted))
}
