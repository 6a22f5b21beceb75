//! What is open and what closes it, to say more about an error than where parsing ended.

use brush_parser::Token;

use super::mistake::{Mistake, range};

/// What opens something and what closes it.
const PAIRS: &[(&str, &str)] = &[
    ("if", "fi"),
    ("for", "done"),
    ("while", "done"),
    ("until", "done"),
    ("select", "done"),
    ("case", "esac"),
    ("{", "}"),
    ("(", ")"),
];

/// After these words and operators a new command starts.
const STARTERS: &[&str] = &[
    "\n", ";", "&", "&&", "||", "|", "|&", ";;", ";&", ";;&", "(", ")", "if", "then", "elif", "else", "do", "while",
    "until", "{", "!", "time",
];

/// Finds a closer that closes nothing, or not what is open; without one, at the end of the text, what is still open.
///
/// Only for a command that cannot be parsed. `until` is the character where parsing ended.
pub(super) fn stray(command: &str, tokens: &[Token], until: Option<usize>) -> Option<Mistake> {
    let mut open: Vec<&Token> = Vec::new();
    let mut starts_command = true;
    for token in tokens {
        if until.is_some_and(|until| token.location().start.index > until) {
            return None;
        }
        let written = token.to_str();
        let is_operator = matches!(token, Token::Operator(..));
        let can_pair = if is_operator { matches!(written, "(" | ")") } else { starts_command };
        if can_pair && opens(written).is_some() {
            open.push(token);
        } else if can_pair && PAIRS.iter().any(|(_, closer)| *closer == written) {
            match open.last().map(|opener| (opener.to_str(), opens(opener.to_str()).unwrap_or_default())) {
                Some((_, closer)) if closer == written => {
                    open.pop();
                }
                // The end of a pattern.
                Some(("case", _)) if written == ")" => {}
                Some((opener, closer)) => return Some(wrong_closer(command, token, opener, closer)),
                None => return Some(no_opener(command, token)),
            }
        }
        starts_command =
            STARTERS.contains(&written) || (starts_command && PAIRS.iter().any(|(_, closer)| *closer == written));
    }
    let opener = open.last().filter(|_| until.is_none())?;
    let (written, closer) = (opener.to_str(), opens(opener.to_str()).unwrap_or_default());
    let message = format!("This `{written}` is not closed: `{closer}` is missing. Add it where the block ends.");
    Some(Mistake { range: range(command, opener), message })
}

fn opens(word: &str) -> Option<&'static str> {
    PAIRS.iter().find(|(opener, _)| *opener == word).map(|(_, closer)| *closer)
}

fn wrong_closer(command: &str, token: &Token, opener: &str, closer: &str) -> Mistake {
    let written = token.to_str();
    let message =
        format!("`{written}` does not close `{opener}`: `{closer}` is missing before it. Add it, or change this one.");
    Mistake { range: range(command, token), message }
}

fn no_opener(command: &str, token: &Token) -> Mistake {
    let message = format!("`{}` closes nothing here. Remove it, or add what it should close.", token.to_str());
    Mistake { range: range(command, token), message }
}
