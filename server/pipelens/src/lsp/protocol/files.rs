//! Which file a URI names.

use std::path::PathBuf;

use lsp_types::Uri;
use tower_lsp::UriExt as _;

/// Returns the path of a file on this machine; `None` for everything else that an editor can open, such as a document that was never saved.
pub(crate) fn path_of(uri: &Uri) -> Option<PathBuf> {
    // The library takes the path of any URI for that of a file.
    let is_file = uri.as_str().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"));
    uri.to_file_path().filter(|_| is_file).map(|path| path.into_owned())
}

/// Says why a document that is not a file cannot be run or looked at.
pub(crate) fn not_a_file(uri: &Uri) -> String {
    if uri.as_str().starts_with("untitled:") {
        return "The document was never saved, so it has no folder to run in. Save it first".to_owned();
    }
    format!("`{}` is not a file on this machine", uri.as_str())
}
