//! Ways through the file and out of it.

use std::path::Path;

use lsp_types::{
    DocumentHighlight, DocumentHighlightKind, DocumentLink, GotoDefinitionResponse, Location, OneOf, Position,
    SymbolKind, Uri, WorkspaceSymbol,
};
use pipelens_core::ide::{self, LinkTarget};
use pipelens_core::text::TextRange;
use pipelens_engine::files::ProjectFolder;
use tower_lsp::UriExt;

use crate::lsp::Shared;
use crate::lsp::state::Document;

/// A file names a handful of others; more stops being a convenience and is work for the disk.
const MAX_PATHS: usize = 500;
/// A client shows a list; nobody reads further.
const MAX_SYMBOLS: usize = 500;

pub(crate) fn definition(shared: &Shared, document: &Document, position: Position) -> Option<GotoDefinitionResponse> {
    let encoding = shared.config.encoding();
    let place = ide::definition(&document.analysis, document.map(encoding).offset(position))?;
    document.files(encoding).location(place).map(GotoDefinitionResponse::Scalar)
}

pub(crate) fn references(
    shared: &Shared,
    document: &Document,
    position: Position,
    with_definition: bool,
) -> Vec<Location> {
    let encoding = shared.config.encoding();
    let places = ide::references(&document.analysis, document.map(encoding).offset(position)).into_iter();
    // The definition comes first.
    let wanted = places.skip(usize::from(!with_definition));
    wanted.filter_map(|place| document.files(encoding).location(place)).collect()
}

pub(crate) fn highlight(shared: &Shared, document: &Document, position: Position) -> Vec<DocumentHighlight> {
    let map = document.map(shared.config.encoding());
    let places = ide::highlights(&document.analysis, map.offset(position)).into_iter();
    places
        .map(|place| DocumentHighlight {
            range: map.range(place.range),
            kind: Some(if place.is_definition { DocumentHighlightKind::WRITE } else { DocumentHighlightKind::READ }),
        })
        .collect()
}

/// Returns links to pages, and to those files of the project that are there.
pub(crate) fn document_link(shared: &Shared, document: &Document) -> Vec<DocumentLink> {
    let map = document.map(shared.config.encoding());
    let root = document.path().map(|path| shared.config.root_of(&path));
    let mut looked_up = 0;
    let mut links = Vec::new();
    for link in ide::links(&document.analysis) {
        let target = match link.target {
            LinkTarget::Url(url) => url.parse().ok(),
            LinkTarget::Path(path) if looked_up < MAX_PATHS => {
                looked_up += 1;
                root.as_deref().and_then(|root| existing(root, &path))
            }
            LinkTarget::Path(_) => None,
        };
        if let Some(target) = target {
            links.push(DocumentLink { range: map.range(link.range), target: Some(target), tooltip: None, data: None });
        }
    }
    links
}

/// Returns the address of a file of the project. A path that leaves it, by its words or through a symlink, leads nowhere.
fn existing(root: &Path, path: &str) -> Option<Uri> {
    // Nothing outside of the project, whatever links lead there.
    let folder = ProjectFolder::open(root).ok()?;
    if folder.has_file(Path::new(path)) { Uri::from_file_path(root.join(path)) } else { None }
}

/// Returns the pipelines and steps of all open documents whose names hold the letters asked for, in their order.
pub(crate) fn workspace_symbol(shared: &Shared, query: &str) -> Vec<WorkspaceSymbol> {
    let mut found = Vec::new();
    for document in shared.state.snapshot().values().filter(|document| document.is_pipeline) {
        let map = document.map(shared.config.encoding());
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
            let steps = pipeline.children.iter().filter(|step| holds_letters(&step.name, query));
            let steps = steps.map(|step| symbol(&step.name, step.selection, SymbolKind::FUNCTION, inside));
            found.extend(steps);
            if holds_letters(&pipeline.name, query) {
                found.push(symbol(&pipeline.name, pipeline.selection, SymbolKind::MODULE, None));
            }
        }
    }
    found.truncate(MAX_SYMBOLS);
    found
}

fn holds_letters(name: &str, query: &str) -> bool {
    let mut letters = name.chars().flat_map(char::to_lowercase);
    query.chars().flat_map(char::to_lowercase).all(|wanted| letters.any(|letter| letter == wanted))
}
