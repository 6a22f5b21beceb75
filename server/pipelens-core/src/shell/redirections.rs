//! Redirections, with their targets and here-documents.

use super::feature::Feature;
use super::reader::{Read, Reader, Stop};
use crate::text::{TextEdit, TextRange};

impl Reader<'_> {
    pub(super) fn redirections(&mut self) -> Read {
        loop {
            self.skip_blanks();
            if !self.redirection()? {
                return Ok(());
            }
        }
    }

    /// Reads a redirection with its target, if one comes next.
    pub(super) fn redirection(&mut self) -> Read<bool> {
        self.peek();
        let start = self.at;
        self.descriptor();
        if self.shell.has_extensions() && (self.sees("<(") || self.sees(">(")) {
            self.at = start;
            return Ok(false);
        }
        let operator_start = self.at;
        let Some(operator) = self.redirection_operator() else {
            self.at = start;
            return Ok(false);
        };
        let place = TextRange::new(start, self.at);
        self.skip_blanks();
        let word = match self.word() {
            // Nothing is expanded in a delimiter, but not every shell reads it that way.
            Err(_) if matches!(operator, "<<" | "<<-") => return Err(Stop::Unknown),
            read => read?,
        };
        let Some(word) = word else { return Err(self.unexpected(Some(place))) };
        match operator {
            "<<" | "<<-" => self.announce(word, operator == "<<-")?,
            "<<<" => self.note(Feature::HereString, TextRange::new(operator_start, operator_start + 3), Vec::new()),
            "&>" | "&>>" => {
                let edits = vec![
                    TextEdit { range: TextRange::new(operator_start, operator_start + 1), new_text: String::new() },
                    TextEdit { range: TextRange::at(word.end), new_text: " 2>&1".to_owned() },
                ];
                self.note(
                    Feature::RedirectBoth,
                    TextRange::new(operator_start, operator_start + operator.len()),
                    edits,
                );
            }
            _ => {}
        }
        Ok(true)
    }

    fn redirection_operator(&mut self) -> Option<&'static str> {
        if self.peek() == Some(b'&') {
            let operators = if self.shell.has_extensions() { &["&>>", "&>"][..] } else { &[] };
            return operators.iter().copied().find(|operator| self.eat(operator));
        }
        if !matches!(self.peek(), Some(b'<' | b'>')) {
            return None;
        }
        if self.shell.is_bash() && self.eat("<<<") {
            return Some("<<<");
        }
        ["<<-", "<<", "<&", "<>", "<", ">>", ">&", ">|", ">"].into_iter().find(|operator| self.eat(operator))
    }

    /// Skips the `2` of `2>`, and the `{name}` of `{name}>`.
    fn descriptor(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let length = match rest.first() {
            Some(b'{') if self.shell.is_bash() => {
                let name =
                    rest.iter().skip(1).take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
                if rest.get(name + 1) == Some(&b'}') { name + 2 } else { 0 }
            }
            _ => digits,
        };
        if matches!(rest.get(length), Some(b'<' | b'>')) {
            self.at += length;
        }
    }
}
