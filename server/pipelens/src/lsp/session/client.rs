//! The client's capabilities, from `initialize`.

use lsp_types::{ClientCapabilities, Diagnostic, DiagnosticTag};
use pipelens_core::diagnostic::Tag;
use serde_json::Value;

use crate::lsp::protocol::positions::Encoding;

/// What is read from `initialize` as it was sent, because the library's types do not have it as the protocol does.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SentFeatures {
    can_refresh_diagnostics: bool,
    shows_content: bool,
    loses_workspace_findings: bool,
    shown: Shown,
    tags: ShownTags,
}

impl SentFeatures {
    pub(crate) fn read(initialize: &Value) -> Self {
        let at = |path: &str| initialize.pointer("/capabilities").and_then(|capabilities| capabilities.pointer(path));
        let pushed = at("/textDocument/publishDiagnostics/tagSupport");
        // Clients of newer versions of the protocol also say it of the findings they pull.
        let pulled = at("/textDocument/diagnostic/tagSupport");
        let is = |path: &str| at(path) == Some(&Value::Bool(true));
        let has = |name: &str| {
            ["publishDiagnostics", "diagnostic"]
                .iter()
                .any(|kind| at(&format!("/textDocument/{kind}/{name}")) == Some(&Value::Bool(true)))
        };
        Self {
            can_refresh_diagnostics: at("/workspace/diagnostics/refreshSupport") == Some(&Value::Bool(true)),
            // When it is asked to pull again, Neovim 0.12 pulls those of the workspace alone, if it can, and ignores them in open documents.
            loses_workspace_findings: initialize.pointer("/clientInfo/name").is_some_and(|name| name == "Neovim"),
            shows_content: at("/workspace/textDocumentContent").is_some_and(Value::is_object),
            shown: Shown {
                hover: Markup::read(at("/textDocument/hover/contentFormat")),
                documentation: Markup::read(at("/textDocument/completion/completionItem/documentationFormat")),
                nested_symbols: is("/textDocument/documentSymbol/hierarchicalDocumentSymbolSupport"),
                preferred_actions: is("/textDocument/codeAction/isPreferredSupport"),
            },
            tags: ShownTags {
                related_information: has("relatedInformation"),
                code_description: has("codeDescriptionSupport"),
                ..pushed.or(pulled).map(ShownTags::read).unwrap_or_default()
            },
        }
    }
}

/// What the client can show in answers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shown {
    pub(crate) hover: Markup,
    pub(crate) documentation: Markup,
    pub(crate) nested_symbols: bool,
    pub(crate) preferred_actions: bool,
}

/// In which form the client can show a longer text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Markup {
    /// It has not said anything about it.
    #[default]
    Unknown,
    Plain,
    Markdown,
}

impl Markup {
    fn read(formats: Option<&Value>) -> Self {
        let Some(formats) = formats.and_then(Value::as_array) else { return Self::Unknown };
        if formats.iter().any(|format| format == "markdown") { Self::Markdown } else { Self::Plain }
    }
}

/// What of a finding the client can show, besides its message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ShownTags {
    related_information: bool,
    code_description: bool,
    unnecessary: bool,
    deprecated: bool,
}

impl ShownTags {
    fn read(support: &Value) -> Self {
        // Old clients say `true` and mean both.
        let shows = |tag: DiagnosticTag| {
            let Some(values) = support.get("valueSet").and_then(Value::as_array) else {
                return support == &Value::Bool(true);
            };
            let tag = serde_json::to_value(tag).unwrap_or_default();
            values.contains(&tag)
        };
        Self {
            unnecessary: shows(DiagnosticTag::UNNECESSARY),
            deprecated: shows(DiagnosticTag::DEPRECATED),
            ..Self::default()
        }
    }

    /// Returns a finding without what the client cannot show.
    pub(crate) fn of(self, finding: Diagnostic) -> Diagnostic {
        Diagnostic {
            related_information: finding.related_information.filter(|_| self.related_information),
            code_description: finding.code_description.filter(|_| self.code_description),
            ..finding
        }
    }

    /// Returns a tag as the protocol has it, if the client can show it.
    pub(crate) fn shown(self, tag: Tag) -> Option<DiagnosticTag> {
        match tag {
            Tag::Unnecessary => self.unnecessary.then_some(DiagnosticTag::UNNECESSARY),
            Tag::Deprecated => self.deprecated.then_some(DiagnosticTag::DEPRECATED),
        }
    }
}

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
    /// It shows those of the workspace in open documents too.
    pub(crate) pulls_workspace: bool,
    pub(crate) tags: ShownTags,
    pub(crate) shown: Shown,
    /// The client shows documents whose text the server gives.
    pub(crate) log_documents: bool,
    /// The client shows places that belong to a finding.
    pub(crate) related_information: bool,
    pub(crate) process_id: Option<u32>,
    /// The client reports changes of files if it is asked to.
    pub(crate) watches_files: bool,
    /// The client can be asked for settings.
    pub(crate) configuration: bool,
}

impl ClientFeatures {
    pub(crate) fn new(capabilities: &ClientCapabilities, process_id: Option<u32>, sent: SentFeatures) -> Self {
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
            pulls_diagnostics: sent.can_refresh_diagnostics
                && capabilities.text_document.as_ref().is_some_and(|text_document| text_document.diagnostic.is_some()),
            pulls_workspace: !sent.loses_workspace_findings,
            tags: sent.tags,
            shown: sent.shown,
            log_documents: sent.shows_content,
            related_information: sent.tags.related_information,
            process_id,
            watches_files: workspace.and_then(|workspace| workspace.did_change_watched_files?.dynamic_registration)
                == Some(true),
            configuration: workspace.and_then(|workspace| workspace.configuration) == Some(true),
        }
    }
}
