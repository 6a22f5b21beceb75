//! What several requests answer with.

use lsp_types::{MarkupContent, MarkupKind};
use tower_lsp::jsonrpc::{Error, ErrorCode};

use crate::lsp::protocol::commands::{Refusal, UNTRUSTED};
use crate::project::NotStarted;

pub(super) fn markdown(value: String) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value }
}

/// The argument is right, but what it asks for cannot be done now. Clients show this text.
pub(super) fn refused(message: impl Into<String>) -> Error {
    Error { code: ErrorCode::ServerError(-32803), message: message.into().into(), data: None }
}

/// Like `refused`, where a client can offer a button that helps.
pub(super) fn refused_with(message: impl Into<String>, help: &Refusal) -> Error {
    Error { data: serde_json::to_value(help).ok(), ..refused(message) }
}

/// Why a run was not started.
pub(super) fn not_started(why: &NotStarted) -> Error {
    let sentence = why.sentence();
    match why {
        NotStarted::NeedsSetting { setting, .. } => {
            refused_with(sentence, &Refusal::Setting { setting: format!("pipelens.{setting}") })
        }
        NotStarted::AsksForSecrets(_) => {
            refused_with(sentence, &Refusal::Setting { setting: "pipelens.allowSecrets".to_owned() })
        }
        NotStarted::Refused(why) if why == UNTRUSTED => refused_with(sentence, &Refusal::Trust),
        NotStarted::Refused(_) => refused(sentence),
    }
}

/// The argument is wrong.
pub(super) fn invalid(message: String) -> Error {
    Error::invalid_params(message)
}

/// Returns Markdown as the text that a person would read of it.
pub(super) fn plain(markdown: &str) -> MarkupContent {
    let mut value = String::with_capacity(markdown.len());
    for line in markdown.lines().filter(|line| !line.trim_start().starts_with("```")) {
        if !value.is_empty() {
            value.push('\n');
        }
        let mut rest = line.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '\\' => value.extend(rest.next_if(char::is_ascii_punctuation).or(Some(character))),
                '`' => {}
                '*' if rest.peek() == Some(&'*') => drop(rest.next()),
                other => value.push(other),
            }
        }
    }
    MarkupContent { kind: MarkupKind::PlainText, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_has_no_marks() {
        let text = plain("`cmd` (**required**)\n\n```sh\nmake \\*\n```\nsee \\_x\\_").value;
        assert_eq!(text, "cmd (required)\n\nmake *\nsee _x_");
    }
}
