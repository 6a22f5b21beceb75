//! The words of a shell command, for colours. It never fails: what it does not recognise gets no colour.

use super::kind::TokenKind;

const KEYWORDS: [&str; 21] = [
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "in", "function",
    "select", "time", "{", "}", "!", "[[", "]]",
];
/// Deeper substitutions are only written to exhaust a stack.
const MAX_DEPTH: usize = 64;

/// A part of the command with its kind; `start` and `end` are byte offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShellToken {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: TokenKind,
}

/// Returns the tokens of a command, in order, none inside another.
pub(super) fn lex(text: &str) -> Vec<ShellToken> {
    let mut lexer = Lexer { text, offset: 0, tokens: Vec::new(), heredocs: Vec::new(), depth: 0 };
    while lexer.offset < text.len() {
        lexer.commands(None);
        // A bracket that closes nothing.
        lexer.advance();
    }
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    offset: usize,
    tokens: Vec<ShellToken>,
    /// The ends of here-documents that begin on the next line.
    heredocs: Vec<Heredoc<'a>>,
    depth: usize,
}

struct Heredoc<'a> {
    delimiter: &'a str,
    /// `<<-`: the end may be indented by tabs.
    may_be_indented: bool,
}

/// What the next word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Command,
    Argument,
    /// After `for`, `case` and `select`: a name or a word, then `in`.
    Subject,
}

impl<'a> Lexer<'a> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.offset..)?.chars().next()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn advance(&mut self) {
        self.offset += self.peek().map_or(0, char::len_utf8);
    }

    fn token(&mut self, start: usize, kind: TokenKind) {
        if start < self.offset {
            self.tokens.push(ShellToken { start, end: self.offset, kind });
        }
    }

    /// Reads commands up to a closing bracket, which stays.
    fn commands(&mut self, close: Option<char>) {
        let mut expect = Expect::Command;
        while let Some(character) = self.peek() {
            let start = self.offset;
            match character {
                _ if Some(character) == close => return,
                ')' if close.is_none() => return,
                '\n' => {
                    self.advance();
                    self.here_documents();
                    expect = Expect::Command;
                }
                _ if character.is_whitespace() => self.advance(),
                '#' => {
                    self.offset += self.rest().find('\n').unwrap_or(self.rest().len());
                    self.token(start, TokenKind::Comment);
                }
                ';' | '&' | '|' | '(' | ')' => {
                    while self.peek().is_some_and(|next| next == character) {
                        self.advance();
                    }
                    self.token(start, TokenKind::Operator);
                    expect = Expect::Command;
                }
                '<' | '>' => self.redirection(),
                _ => expect = self.word(expect, close),
            }
        }
    }

    fn redirection(&mut self) {
        let start = self.offset;
        let is_heredoc = self.rest().starts_with("<<") && !self.rest().starts_with("<<<");
        while self.peek().is_some_and(|next| matches!(next, '<' | '>' | '&' | '|')) {
            self.advance();
        }
        let may_be_indented = is_heredoc && self.peek() == Some('-');
        if may_be_indented {
            self.advance();
        }
        self.token(start, TokenKind::Operator);
        if is_heredoc {
            while self.peek() == Some(' ') {
                self.advance();
            }
            let start = self.offset;
            let is_part = |character: char| !character.is_whitespace() && !";&|<>()".contains(character);
            self.offset += self.rest().find(|character| !is_part(character)).unwrap_or(self.rest().len());
            self.token(start, TokenKind::String);
            let word = self.text.get(start..self.offset).unwrap_or_default();
            self.heredocs.push(Heredoc { delimiter: word.trim_matches(['"', '\'', '\\']), may_be_indented });
        }
    }

    /// Colours the bodies of the here-documents whose line just ended.
    fn here_documents(&mut self) {
        for heredoc in std::mem::take(&mut self.heredocs) {
            let start = self.offset;
            loop {
                let line_end = self.rest().find('\n').map_or(self.text.len(), |end| self.offset + end);
                let line = self.text.get(self.offset..line_end).unwrap_or_default();
                let line = if heredoc.may_be_indented { line.trim_start_matches('\t') } else { line };
                let is_end = line == heredoc.delimiter;
                self.offset = line_end;
                if is_end || line_end == self.text.len() {
                    break;
                }
                self.offset += 1;
            }
            self.token(start, TokenKind::String);
        }
    }

    /// Reads one word, and returns what to expect next.
    fn word(&mut self, expect: Expect, close: Option<char>) -> Expect {
        let start = self.offset;
        let first = self.tokens.len();
        let mut is_bare = true;
        while let Some(character) = self.peek() {
            match character {
                _ if character.is_whitespace() || ";&|<>()".contains(character) || Some(character) == close => break,
                '\\' => {
                    self.advance();
                    self.advance();
                }
                '\'' => {
                    is_bare = false;
                    self.single_quoted();
                }
                '"' => {
                    is_bare = false;
                    self.double_quoted();
                }
                '$' | '`' => {
                    is_bare = false;
                    self.expansion();
                }
                _ => self.advance(),
            }
        }
        if self.offset == start {
            self.advance();
            return Expect::Argument;
        }
        let word = self.text.get(start..self.offset).unwrap_or_default();
        if let Some(name) = assignment(word).filter(|_| expect == Expect::Command) {
            // The name comes before whatever its value was made of.
            let token = ShellToken { start, end: start + name, kind: TokenKind::Variable };
            self.tokens.insert(first.min(self.tokens.len()), token);
            return Expect::Command;
        }
        let is_keyword = is_bare && KEYWORDS.contains(&word);
        match expect {
            Expect::Command if is_keyword => {
                self.token(start, TokenKind::Keyword);
                match word {
                    "for" | "case" | "select" | "function" => Expect::Subject,
                    _ => Expect::Command,
                }
            }
            Expect::Command => {
                if is_bare {
                    self.token(start, TokenKind::Function);
                }
                Expect::Argument
            }
            Expect::Subject => {
                if word == "in" {
                    self.token(start, TokenKind::Keyword);
                    return Expect::Argument;
                }
                if is_bare {
                    self.token(start, TokenKind::Variable);
                }
                Expect::Subject
            }
            Expect::Argument => {
                if is_bare && word.starts_with('-') && word.len() > 1 {
                    self.token(start, TokenKind::Parameter);
                }
                Expect::Argument
            }
        }
    }

    fn single_quoted(&mut self) {
        let start = self.offset;
        self.advance();
        self.offset += self.rest().find('\'').map_or(self.rest().len(), |end| end + 1);
        self.token(start, TokenKind::String);
    }

    /// The parts between expansions are the string; the expansions have colours of their own.
    fn double_quoted(&mut self) {
        let mut start = self.offset;
        self.advance();
        while let Some(character) = self.peek() {
            match character {
                '"' => {
                    self.advance();
                    break;
                }
                '\\' => {
                    self.advance();
                    self.advance();
                }
                '$' | '`' => {
                    self.token(start, TokenKind::String);
                    let before = self.offset;
                    self.expansion();
                    start = self.offset;
                    debug_assert!(before < start, "an expansion is at least its own mark");
                }
                _ => self.advance(),
            }
        }
        self.token(start, TokenKind::String);
    }

    fn expansion(&mut self) {
        let start = self.offset;
        let is_backtick = self.peek() == Some('`');
        self.advance();
        if is_backtick {
            self.substitution(start, '`');
            return;
        }
        match self.peek() {
            Some('(') => {
                self.advance();
                self.substitution(start, ')');
            }
            Some('{') => {
                self.offset += self.rest().find('}').map_or(self.rest().len(), |end| end + 1);
                self.token(start, TokenKind::Variable);
            }
            Some(character) if character.is_alphabetic() || character == '_' => {
                let is_name = |character: char| character.is_alphanumeric() || character == '_';
                self.offset += self.rest().find(|next| !is_name(next)).unwrap_or(self.rest().len());
                self.token(start, TokenKind::Variable);
            }
            Some(character) if character.is_ascii_digit() || "?!#@*$-".contains(character) => {
                self.advance();
                self.token(start, TokenKind::Variable);
            }
            Some(_) | None => {}
        }
    }

    /// Reads the commands inside `$(…)` or backticks; the marks are operators.
    fn substitution(&mut self, start: usize, close: char) {
        self.token(start, TokenKind::Operator);
        if self.depth >= MAX_DEPTH {
            return;
        }
        self.depth += 1;
        self.commands(Some(close));
        self.depth -= 1;
        let end = self.offset;
        if self.peek() == Some(close) {
            self.advance();
            self.token(end, TokenKind::Operator);
        }
    }
}

/// Returns the length of the name in `NAME=value` or `NAME+=value`.
fn assignment(word: &str) -> Option<usize> {
    let (name, _) = word.split_once('=')?;
    let name = name.strip_suffix('+').unwrap_or(name);
    let is_name = name.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && name.chars().all(|character| character.is_alphanumeric() || character == '_');
    is_name.then_some(name.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &[(&str, TokenKind)]) {
        let tokens: Vec<(&str, TokenKind)> =
            lex(text).iter().map(|token| (&text[token.start..token.end], token.kind)).collect();
        assert_eq!(tokens, expected, "{text}");
    }

    use TokenKind::{Comment, Function, Keyword, Operator, Parameter, String, Variable};

    #[test]
    fn a_command_its_flags_and_its_variables_have_kinds() {
        check(
            "A=1 make -j4 \"x $B\" 'y' && ls # all",
            &[
                ("A", Variable),
                ("make", Function),
                ("-j4", Parameter),
                ("\"x ", String),
                ("$B", Variable),
                ("\"", String),
                ("'y'", String),
                ("&&", Operator),
                ("ls", Function),
                ("# all", Comment),
            ],
        );
    }

    #[test]
    fn keywords_are_recognised_only_where_a_command_begins() {
        check(
            "for f in a b; do echo if; done",
            &[
                ("for", Keyword),
                ("f", Variable),
                ("in", Keyword),
                (";", Operator),
                ("do", Keyword),
                ("echo", Function),
                (";", Operator),
                ("done", Keyword),
            ],
        );
    }

    #[test]
    fn substitutions_contain_commands() {
        check(
            "x=$(git rev-parse --short HEAD)",
            &[("x", Variable), ("$(", Operator), ("git", Function), ("--short", Parameter), (")", Operator)],
        );
    }

    #[test]
    fn a_here_document_is_one_string() {
        check(
            "cat <<'EOF' > x\nif $A\nEOF\nls",
            &[
                ("cat", Function),
                ("<<", Operator),
                ("'EOF'", String),
                (">", Operator),
                ("if $A\nEOF", String),
                ("ls", Function),
            ],
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn tokens_of_any_text_are_ordered_and_inside_it(text in "([ -~]|\n|é|\\$\\(|`|<<E|\"|'|\\\\){0,40}") {
            let mut end = 0;
            for token in lex(&text) {
                prop_assert!(end <= token.start && token.start < token.end, "{:?}", token);
                prop_assert!(text.get(token.start..token.end).is_some());
                end = token.end;
            }
        }
    }
}
