//! The client's capabilities, from `initialize`.

use lsp_types::ClientCapabilities;
use serde_json::Value;

use crate::lsp::protocol::positions::Encoding;

/// What the client can do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ClientFeatures {
    pub(crate) encoding: Encoding,
    pub(crate) progress: bool,
    pub(crate) lens_refresh: bool,
    pub(crate) show_document: bool,
    pub(crate) message_actions: bool,
    pub(crate) run_events: bool,
    pub(crate) code_action_literals: bool,
    pub(crate) snippets: bool,
    /// The client pulls diagnostics.
    pub(crate) pulls_diagnostics: bool,
    pub(crate) process_id: Option<u32>,
}

impl ClientFeatures {
    pub(crate) fn new(
        capabilities: &ClientCapabilities,
        process_id: Option<u32>,
        can_refresh_diagnostics: bool,
    ) -> Self {
        let window = capabilities.window.as_ref();
        let workspace = capabilities.workspace.as_ref();
        let experimental = |name: &str| {
            capabilities.experimental.as_ref().and_then(|experimental| experimental.get(name))
                == Some(&Value::Bool(true))
        };
        let offered = capabilities.general.as_ref().and_then(|general| general.position_encodings.as_deref());
        Self {
            encoding: Encoding::negotiate(offered),
            progress: window.and_then(|window| window.work_done_progress) == Some(true),
            lens_refresh: workspace.and_then(|workspace| workspace.code_lens.as_ref()?.refresh_support) == Some(true),
            show_document: window.and_then(|window| window.show_document.as_ref()).is_some_and(|show| show.support),
            message_actions: window.is_some_and(|window| window.show_message.is_some()),
            run_events: experimental("pipelensRunEvents"),
            code_action_literals: capabilities
                .text_document
                .as_ref()
                .and_then(|text_document| text_document.code_action.as_ref()?.code_action_literal_support.as_ref())
                .is_some(),
            snippets: capabilities
                .text_document
                .as_ref()
                .and_then(|text_document| text_document.completion.as_ref()?.completion_item.as_ref()?.snippet_support)
                == Some(true),
            // A client that pulls but cannot be asked to pull again would miss the failures of runs.
            pulls_diagnostics: can_refresh_diagnostics
                && capabilities.text_document.as_ref().is_some_and(|text_document| text_document.diagnostic.is_some()),
            process_id,
        }
    }
}
