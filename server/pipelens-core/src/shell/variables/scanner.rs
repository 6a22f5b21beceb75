//! Reads a command and reports its variables. It never fails: what it does not recognise names no variable.

mod expansions;

use super::occurrence::{Occurrence, Role, is_name};
use super::scopes::{Block, Scopes};
use crate::text::TextRange;

/// Deeper substitutions are only written to exhaust a stack.
const MAX_DEPTH: usize = 64;
/// Commands that set the variables they name.
const SETTERS: [&str; 7] = ["export", "readonly", "local", "declare", "typeset", "read", "unset"];
/// Options of `read` that take an argument.
const READ_OPTIONS: &str = "adinNptu";

/// Tells whether a command may name variables although it contains neither `$` nor `=`.
pub(super) fn may_name(command: &str) -> bool {
    ["for ", "read", "unset", "export", "getopts"].iter().any(|word| command.contains(word))
}

/// Returns the occurrences of variables, and the stretches in which `$` has no meaning.
pub(super) fn scan(text: &str) -> (Vec<Occurrence<'_>>, Vec<TextRange>) {
    let mut scanner = Scanner { text, end: text.len(), ..Scanner::default() };
    while scanner.at < text.len() {
        scanner.commands(None);
        // A bracket that closes nothing.
        scanner.advance();
    }
    (scanner.scopes.occurrences, scanner.literals)
}

#[derive(Debug, Default)]
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Where reading stops: the end of the text, or of the here-document that is being read.
    end: usize,
    scopes: Scopes<'a>,
    literals: Vec<TextRange>,
    /// Here-documents that begin on the next line.
    documents: Vec<Document>,
    depth: usize,
    backquotes: usize,
    /// The next word is the target of a redirection.
    is_target: bool,
}

#[derive(Debug)]
struct Document {
    delimiter: String,
    is_quoted: bool,
    /// `<<-`: the end may be indented by tabs.
    may_be_indented: bool,
}

/// An assignment that takes effect when its command ends.
#[derive(Debug)]
struct Assignment<'a> {
    name: &'a str,
    range: TextRange,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain,
    /// `A+=x`
    Added,
    /// The variable of a `for`, whose loop begins after its words.
    Loop,
}

/// What the next word of a simple command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect<'a> {
    Command,
    Argument,
    /// Names that the command sets.
    Names(&'a str),
    /// The argument of an option of `read`.
    Skipped,
    /// The name after `for` and `select`.
    LoopName,
    /// The two arguments of `getopts`.
    Options,
    OptionName,
    /// The name after `function`.
    FunctionName,
    /// What follows the name of a function.
    FunctionBody,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..self.end).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    /// Reads commands up to a closing mark, which stays.
    fn commands(&mut self, close: Option<char>) {
        let mut expect = Expect::Command;
        // Assignments in front of a command are only for that command.
        let mut assigned: Vec<Assignment<'a>> = Vec::new();
        while let Some(character) = self.peek() {
            if Some(character) == close || matches!(character, '\n' | ';' | '&' | '|' | '(' | ')') {
                self.apply(&mut assigned);
            }
            match character {
                _ if Some(character) == close && character != ')' => return,
                '\n' => {
                    self.advance();
                    self.here_documents();
                    self.scopes.end_list();
                    expect = Expect::Command;
                }
                _ if character.is_whitespace() => self.advance(),
                '#' => {
                    let start = self.at;
                    self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                    self.literals.push(TextRange::new(start, self.at + usize::from(self.at == self.text.len())));
                }
                ';' | '&' | '|' => {
                    self.operator();
                    expect = Expect::Command;
                }
                '(' => {
                    self.advance();
                    self.is_target = false;
                    if self.rest().starts_with(')') {
                        self.advance();
                        expect = Expect::FunctionBody;
                    } else {
                        self.scopes.open(Block::Subshell);
                        expect = Expect::Command;
                    }
                }
                ')' => {
                    let is_inner = matches!(self.scopes.innermost(), Some(Block::Subshell | Block::Case));
                    if !is_inner && Some(character) == close {
                        return;
                    }
                    self.advance();
                    self.scopes.close_one_of(&[Block::Subshell]);
                    expect = Expect::Command;
                }
                '<' | '>' => self.redirection(),
                _ => expect = self.word(expect, close, &mut assigned),
            }
        }
        self.apply(&mut assigned);
    }

    fn apply(&mut self, assigned: &mut Vec<Assignment<'a>>) {
        for Assignment { name, range, kind } in assigned.drain(..) {
            match kind {
                Kind::Plain => self.scopes.add(name, range, Role::Assigned),
                Kind::Added => self.scopes.extend(name, range),
                Kind::Loop => {
                    self.scopes.open(Block::Loop);
                    self.scopes.add(name, range, Role::Assigned);
                }
            }
        }
    }

    fn operator(&mut self) {
        let rest = self.rest();
        let length = rest.len() - rest.trim_start_matches([';', '&', '|']).len();
        let written = rest.get(..length).unwrap_or_default();
        self.at += length;
        match written {
            "&&" | "||" => self.scopes.condition(),
            "|" | "|&" => self.scopes.pipe(),
            _ if written.starts_with(";;") || written == ";&" => self.scopes.next_branch(),
            _ => self.scopes.end_list(),
        }
    }

    fn redirection(&mut self) {
        let opens_document = self.rest().starts_with("<<") && !self.rest().starts_with("<<<");
        self.at += self.rest().len() - self.rest().trim_start_matches(['<', '>', '&', '|']).len();
        if !opens_document {
            self.is_target = true;
            return;
        }
        let may_be_indented = self.rest().starts_with('-');
        self.at += usize::from(may_be_indented);
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        let ends = |character: char| character.is_whitespace() || ";&|<>()".contains(character);
        let word = self.rest().get(..self.rest().find(ends).unwrap_or(self.rest().len())).unwrap_or_default();
        self.at += word.len();
        let delimiter = word.replace(['"', '\'', '\\'], "");
        self.documents.push(Document { is_quoted: delimiter != word, delimiter, may_be_indented });
    }

    /// Reads the bodies of the here-documents whose line just ended.
    fn here_documents(&mut self) {
        for document in std::mem::take(&mut self.documents) {
            let start = self.at;
            let mut next = start;
            let mut body_end = self.end;
            while let Some(rest) = self.text.get(next..self.end).filter(|rest| !rest.is_empty()) {
                let line = rest.split('\n').next().unwrap_or_default();
                let shown = if document.may_be_indented { line.trim_start_matches('\t') } else { line };
                let line_start = next;
                next = (next + line.len() + 1).min(self.end);
                if shown == document.delimiter {
                    body_end = line_start;
                    break;
                }
            }
            if document.is_quoted {
                self.literals.push(TextRange::new(start, body_end + usize::from(body_end == self.text.len())));
                self.at = next;
                continue;
            }
            let end = std::mem::replace(&mut self.end, body_end);
            self.quoted(None);
            self.end = end;
            self.at = next.max(self.at);
        }
    }

    /// Reads one word, and returns what to expect next.
    fn word(&mut self, expect: Expect<'a>, close: Option<char>, assigned: &mut Vec<Assignment<'a>>) -> Expect<'a> {
        let start = self.at;
        // Before the word is read: it may contain commands.
        let is_target = std::mem::take(&mut self.is_target);
        let is_end = |character: char| character.is_whitespace() || ";&|<>()".contains(character);
        while let Some(character) = self.peek() {
            match character {
                _ if is_end(character) || Some(character) == close => break,
                '\\' => self.escaped(),
                '\'' => self.single_quoted(),
                '"' => {
                    self.advance();
                    self.quoted(Some('"'));
                }
                '$' | '`' => self.expansion(false),
                _ => self.advance(),
            }
        }
        if self.at == start {
            self.advance();
            return expect;
        }
        let word = self.text.get(start..self.at).unwrap_or_default();
        if is_target {
            return expect;
        }
        match expect {
            Expect::Command => self.first_word(word, start, assigned),
            Expect::Names(setter) => self.named(setter, word, start),
            Expect::Skipped => Expect::Names("read"),
            Expect::LoopName => {
                if is_name(word) {
                    let range = TextRange::new(start, self.at);
                    assigned.push(Assignment { name: word, range, kind: Kind::Loop });
                }
                // The words after `in` are expanded first.
                Expect::Argument
            }
            Expect::Options => Expect::OptionName,
            Expect::OptionName => {
                self.assign(word, start);
                Expect::Argument
            }
            Expect::FunctionName => Expect::FunctionBody,
            Expect::FunctionBody if word == "{" => {
                self.scopes.open(Block::Branch);
                Expect::Command
            }
            Expect::FunctionBody => self.first_word(word, start, assigned),
            Expect::Argument => Expect::Argument,
        }
    }

    fn first_word(&mut self, word: &'a str, start: usize, assigned: &mut Vec<Assignment<'a>>) -> Expect<'a> {
        if let Some((name, _)) = word.split_once('=') {
            let plain = name.strip_suffix('+').unwrap_or(name);
            if is_name(plain) {
                let range = TextRange::new(start, start + plain.len());
                let kind = if plain == name { Kind::Plain } else { Kind::Added };
                assigned.push(Assignment { name: plain, range, kind });
                return Expect::Command;
            }
        }
        assigned.clear();
        match word {
            "if" => self.scopes.open(Block::Branch),
            "while" | "until" => self.scopes.open(Block::Loop),
            "case" => self.scopes.open(Block::Case),
            "elif" | "else" => self.scopes.next_branch(),
            "{" => self.scopes.open(Block::Group),
            "fi" => self.scopes.close_one_of(&[Block::Branch]),
            "done" => self.scopes.close_one_of(&[Block::Loop]),
            "esac" => self.scopes.close_one_of(&[Block::Case]),
            "}" => self.scopes.close_one_of(&[Block::Group, Block::Branch]),
            _ => {}
        }
        match word {
            "if" | "while" | "until" | "then" | "do" | "else" | "elif" | "{" | "!" | "time" => Expect::Command,
            "for" | "select" => Expect::LoopName,
            "function" => Expect::FunctionName,
            "getopts" => Expect::Options,
            _ if SETTERS.contains(&word) => Expect::Names(word),
            _ => Expect::Argument,
        }
    }

    /// A word after a command that sets variables.
    fn named(&mut self, setter: &'a str, word: &'a str, start: usize) -> Expect<'a> {
        if let Some(option) = word.strip_prefix(['-', '+']) {
            let takes_argument = setter == "read" && option.len() == 1 && READ_OPTIONS.contains(option);
            return if takes_argument { Expect::Skipped } else { Expect::Names(setter) };
        }
        let (name, is_set) = word.split_once('=').map_or((word, false), |(name, _)| (name, true));
        let range = TextRange::new(start, start + name.len());
        match setter {
            _ if !is_name(name) => {}
            _ if is_set => self.scopes.add(name, range, Role::Assigned),
            "export" | "readonly" => self.scopes.add(name, range, Role::Expanded),
            "unset" => {
                self.scopes.add(name, range, Role::Expanded);
                self.scopes.take_over(name);
            }
            _ => self.scopes.add(name, range, Role::Assigned),
        }
        Expect::Names(setter)
    }

    fn assign(&mut self, word: &'a str, start: usize) {
        if is_name(word) {
            self.scopes.add(word, TextRange::new(start, start + word.len()), Role::Assigned);
        }
    }
}
