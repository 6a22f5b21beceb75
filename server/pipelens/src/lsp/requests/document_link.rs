//! Links to pages, and to those files of the project that exist.

use std::path::Path;

use lsp_types::{DocumentLink, DocumentLinkParams, Uri};
use pipelens_core::ide::{self, LinkTarget};
use pipelens_engine::files::ProjectFolder;
use tower_lsp::UriExt;

use super::log;
use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;

/// A file names a handful of others; more would be too much work for the disk.
const MAX_PATHS: usize = 500;

pub(crate) fn document_link(
    server: &Server,
    documents: &Documents,
    params: DocumentLinkParams,
) -> Option<Vec<DocumentLink>> {
    let Some(document) = documents.written_pipeline(&params.text_document.uri) else {
        return log::links(server, documents, &params.text_document.uri);
    };
    let map = document.map();
    let root = document.path().map(|path| server.settings.root_of(&path));
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
    Some(links)
}

/// Returns the URI of a file of the project. A path that leaves the project, lexically or through a symbolic link, has none.
fn existing(root: &Path, path: &str) -> Option<Uri> {
    // Never a file outside the project, even through links.
    let folder = ProjectFolder::open(root).ok()?;
    if folder.has_file(Path::new(path)) { Uri::from_file_path(root.join(path)) } else { None }
}
