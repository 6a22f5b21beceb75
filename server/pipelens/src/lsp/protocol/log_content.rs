//! `workspace/textDocumentContent` of version 3.18 of the protocol, which the library does not have yet: the server gives the text of documents of its
//! own, here the logs of steps.

use lsp_types::Uri;
use lsp_types::request::Request;
use serde::{Deserialize, Serialize};

/// The scheme of the URIs of logs: `pipelens-log:/<run>/<step>.log`.
pub(crate) const SCHEME: &str = "pipelens-log";

/// The client asks for the text.
#[derive(Debug)]
pub(crate) enum ContentRequest {}

impl Request for ContentRequest {
    type Params = ContentParams;
    type Result = ContentResult;
    const METHOD: &'static str = "workspace/textDocumentContent";
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ContentParams {
    pub(crate) uri: Uri,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ContentResult {
    pub(crate) text: String,
}

/// The server says that the text has changed.
#[derive(Debug)]
pub(crate) enum ContentRefresh {}

impl Request for ContentRefresh {
    type Params = ContentRefreshParams;
    type Result = ();
    const METHOD: &'static str = "workspace/textDocumentContent/refresh";
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ContentRefreshParams {
    pub(crate) uri: Uri,
}
