//! The words of a script, as far as they tell where it goes. It decides nothing about syntax: what it cannot read is a word that is not literal.

/// A word of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Without quotes.
    pub(super) text: String,
    /// It means just this text.
    pub(super) is_literal: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(Word),
    /// A command ends here.
    End,
    /// A command ends and a subshell begins.
    Open,
    /// A command ends and so does a subshell.
    Close,
}

/// Longer scripts are cut.
const MAX_CHARACTERS: usize = 64 << 10;

/// Returns the words of a script and where its commands end.
pub(super) fn tokens(script: &str) -> Vec<Token> {
    let characters: Vec<char> = script.chars().take(MAX_CHARACTERS).collect();
    let mut reader = Reader { characters: &characters, at: 0, tokens: Vec::new(), here: Vec::new() };
    while reader.step() {}
    reader.tokens
}

struct Reader<'a> {
    characters: &'a [char],
    at: usize,
    tokens: Vec<Token>,
    /// The ends of the here-documents that begin in the next line.
    here: Vec<String>,
}

impl Reader<'_> {
    /// Reads one token; returns `false` at the end.
    fn step(&mut self) -> bool {
        let Some(character) = self.peek() else { return false };
        match character {
            '\n' => {
                self.push(Token::End);
                std::mem::take(&mut self.here).iter().for_each(|end| self.skip_here_document(end));
            }
            ';' | '|' | '&' => self.push(Token::End),
            '(' => self.push(Token::Open),
            ')' => self.push(Token::Close),
            ' ' | '\t' | '\r' => self.at += 1,
            '#' => self.skip_until(|character| character == '\n'),
            '\\' if self.characters.get(self.at + 1) == Some(&'\n') => self.at += 2,
            '<' | '>' => self.redirection(),
            _ => {
                let word = self.word();
                // `2>file`
                let is_number = self.peek().is_some_and(|next| matches!(next, '<' | '>'))
                    && word.text.bytes().all(|byte| byte.is_ascii_digit());
                if !is_number {
                    self.tokens.push(Token::Word(word));
                }
            }
        }
        true
    }

    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn push(&mut self, token: Token) {
        self.tokens.push(token);
        self.at += 1;
    }

    fn skip_until(&mut self, ends: impl Fn(char) -> bool) {
        while self.peek().is_some_and(|character| !ends(character)) {
            self.at += 1;
        }
    }

    /// Passes `>file`, `2>&1` and `<<EOF`.
    fn redirection(&mut self) {
        let start = self.at;
        self.skip_until(|character| !matches!(character, '<' | '>' | '&' | '|' | '-'));
        let is_here_document = matches!(self.characters.get(start..self.at), Some(['<', '<'] | ['<', '<', '-']));
        self.skip_until(|character| !matches!(character, ' ' | '\t'));
        if self.peek().is_some_and(|character| !is_end(character)) {
            let word = self.word();
            if is_here_document {
                self.here.push(word.text);
            }
        }
    }

    fn skip_here_document(&mut self, end: &str) {
        while self.peek().is_some() {
            let start = self.at;
            self.skip_until(|character| character == '\n');
            let line: String = self.characters.get(start..self.at).unwrap_or_default().iter().collect();
            self.at += 1;
            if line.trim() == end {
                return;
            }
        }
    }

    fn word(&mut self) -> Word {
        let mut word = Word { text: String::new(), is_literal: self.peek() != Some('~') };
        while let Some(character) = self.peek() {
            match character {
                _ if is_end(character) => break,
                '\'' => {
                    self.at += 1;
                    while let Some(character) = self.take_unless('\'') {
                        word.text.push(character);
                    }
                }
                '"' => self.double_quoted(&mut word),
                '\\' => {
                    self.at += 1;
                    word.text.extend(self.peek().filter(|next| *next != '\n'));
                    self.at += 1;
                }
                '$' | '`' => self.expansion(&mut word),
                '*' | '?' | '[' => {
                    word.is_literal = false;
                    word.text.push(character);
                    self.at += 1;
                }
                other => {
                    word.text.push(other);
                    self.at += 1;
                }
            }
        }
        word
    }

    fn double_quoted(&mut self, word: &mut Word) {
        self.at += 1;
        while let Some(character) = self.peek() {
            match character {
                '"' => {
                    self.at += 1;
                    return;
                }
                '$' | '`' => self.expansion(word),
                '\\' => {
                    word.text.extend(self.characters.get(self.at + 1));
                    self.at += 2;
                }
                other => {
                    word.text.push(other);
                    self.at += 1;
                }
            }
        }
    }

    /// Passes `$name`, `${name}`, `$(command)` and `` `command` ``.
    fn expansion(&mut self, word: &mut Word) {
        word.is_literal = false;
        let is_command = self.peek() == Some('`');
        self.at += 1;
        if is_command {
            while self.take_unless('`').is_some() {}
            return;
        }
        let (open, close) = match self.peek() {
            Some('(') => ('(', ')'),
            Some('{') => ('{', '}'),
            Some(_) | None => return,
        };
        let mut depth = 0_usize;
        while let Some(character) = self.peek() {
            self.at += 1;
            depth += usize::from(character == open);
            depth -= usize::from(character == close);
            if depth == 0 {
                return;
            }
        }
    }

    /// Passes a character and returns it, unless it is the one that ends a quotation.
    fn take_unless(&mut self, end: char) -> Option<char> {
        let character = self.peek()?;
        self.at += 1;
        (character != end).then_some(character)
    }
}

/// Whether a character ends a word.
fn is_end(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n' | ';' | '|' | '&' | '(' | ')' | '<' | '>')
}
