//! Quotes and what is expanded in them: names, braces, substitutions, arithmetic.

use super::{MAX_DEPTH, Scanner};
use crate::shell::variables::occurrence::{Role, is_name};
use crate::text::TextRange;

impl<'a> Scanner<'a> {
    pub(super) fn escaped(&mut self) {
        self.advance();
        // Backquotes take a backslash away before the command in them is read.
        if self.backquotes == 0 || self.peek() != Some('$') {
            self.advance();
        }
    }

    pub(super) fn single_quoted(&mut self) {
        let start = self.at;
        self.advance();
        self.at += self.rest().find('\'').map_or(self.rest().len(), |end| end + 1);
        self.literals.push(TextRange::new(start, self.at));
    }

    /// Reads text in which only `$`, backquotes and backslashes have a meaning, up to and with the mark that ends it.
    pub(super) fn quoted(&mut self, close: Option<char>) {
        while let Some(character) = self.peek() {
            match character {
                _ if Some(character) == close => {
                    self.advance();
                    return;
                }
                '\\' => self.escaped(),
                '$' | '`' => self.expansion(true),
                _ => self.advance(),
            }
        }
    }

    pub(super) fn expansion(&mut self, is_quoted: bool) {
        let is_backquote = self.peek() == Some('`');
        self.advance();
        if is_backquote {
            self.backquotes += 1;
            self.substitution('`');
            self.backquotes -= 1;
            return;
        }
        match self.peek() {
            Some('(') if self.rest().starts_with("((") => self.arithmetic(),
            Some('(') => {
                self.advance();
                self.substitution(')');
            }
            Some('{') => {
                self.advance();
                self.braced(is_quoted);
            }
            Some('\'') if !is_quoted => self.ansi_quoted(),
            Some(_) | None => self.name(),
        }
    }

    /// Reads a name, if there is one.
    fn name(&mut self) {
        let start = self.at;
        let length = self.rest().bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let name = self.rest().get(..length).unwrap_or_default();
        if is_name(name) {
            self.at += length;
            self.scopes.add(name, TextRange::new(start, self.at), Role::Expanded);
        }
    }

    /// `$'…'`, where a backslash keeps a quote.
    fn ansi_quoted(&mut self) {
        let start = self.at;
        self.advance();
        while let Some(character) = self.peek() {
            self.advance();
            match character {
                '\\' => self.advance(),
                '\'' => break,
                _ => {}
            }
        }
        self.literals.push(TextRange::new(start, self.at));
    }

    /// Reads `NAME:-word}`.
    fn braced(&mut self, is_quoted: bool) {
        let is_prefix = |rest: &str| {
            rest.starts_with(['#', '!']) && rest.get(1..2).is_some_and(|next| next != "}" && is_name(next))
        };
        if is_prefix(self.rest()) {
            self.advance();
        }
        self.name();
        if self.depth >= MAX_DEPTH {
            return;
        }
        self.depth += 1;
        while let Some(character) = self.peek() {
            match character {
                '}' => {
                    self.advance();
                    break;
                }
                '\\' => self.escaped(),
                '\'' if !is_quoted => self.single_quoted(),
                '"' => {
                    self.advance();
                    // In a quoted expansion, quotes inside the braces only toggle.
                    if !is_quoted {
                        self.quoted(Some('"'));
                    }
                }
                '$' | '`' => self.expansion(is_quoted),
                _ => self.advance(),
            }
        }
        self.depth -= 1;
    }

    /// Reads the commands of a substitution.
    fn substitution(&mut self, close: char) {
        if self.depth >= MAX_DEPTH {
            return;
        }
        self.depth += 1;
        let outer = self.scopes.enter();
        self.commands(Some(close));
        self.scopes.leave(outer);
        self.depth -= 1;
        if self.peek() == Some(close) {
            self.advance();
        }
    }

    /// Reads `((…))`, where a name needs no `$`.
    fn arithmetic(&mut self) {
        self.at += 2;
        let mut open = 0_usize;
        while let Some(character) = self.peek() {
            match character {
                '(' => open += 1,
                ')' if open == 0 => break,
                ')' => open -= 1,
                '$' | '`' => {
                    if self.depth >= MAX_DEPTH {
                        return;
                    }
                    self.depth += 1;
                    self.expansion(true);
                    self.depth -= 1;
                    continue;
                }
                _ if character.is_ascii_alphabetic() || character == '_' => {
                    self.name();
                    continue;
                }
                _ if character.is_ascii_digit() => {
                    let digits = self.rest().bytes().take_while(|byte| byte.is_ascii_alphanumeric()).count();
                    self.at += digits;
                    continue;
                }
                _ => {}
            }
            self.advance();
        }
        self.at += if self.rest().starts_with("))") { 2 } else { self.peek().map_or(0, char::len_utf8) };
    }
}
