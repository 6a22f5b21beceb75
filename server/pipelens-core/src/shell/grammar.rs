//! The grammar of commands: lists, pipelines, blocks, functions and redirections.

use super::feature::Feature;
use super::mistake::Open;
use super::reader::{CLOSERS, Read, Reader, Stop};
use super::variables::is_name;
use crate::text::{TextEdit, TextRange};

impl Reader<'_> {
    /// Reads the whole command.
    pub(super) fn program(&mut self) -> Read {
        self.list()?;
        if self.peek().is_some() { Err(self.stray()) } else { Ok(()) }
    }

    /// Reads commands up to what can follow a list. Returns whether there were any.
    pub(super) fn list(&mut self) -> Read<bool> {
        let mut has_command = false;
        loop {
            self.skip_lines()?;
            if self.ends_list() {
                return Ok(has_command);
            }
            let start = self.at;
            self.and_or()?;
            has_command = true;
            if self.is_outermost()
                && let Some(commands) = &mut self.commands
            {
                commands.push(TextRange::new(start, self.at));
            }
            self.skip_blanks();
            if self.is_outermost() && self.peek() == Some(b'\n') && self.leaves(start) {
                self.at = self.text.len();
                return Ok(true);
            }
            match self.peek() {
                Some(b';') if !self.sees(";;") && !self.sees(";&") => self.at += 1,
                Some(b'&') => self.at += 1,
                Some(b'\n') => {}
                _ => return Ok(true),
            }
        }
    }

    /// Tells whether the command before this line break ends the shell, which then never reads what follows.
    fn leaves(&self, start: usize) -> bool {
        let command = self.text.get(start..self.at).unwrap_or_default();
        let mut words = command.split_ascii_whitespace();
        let leaves = match words.next() {
            Some("exit") => true,
            Some("exec") => words
                .next()
                .is_some_and(|word| word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')),
            _ => false,
        };
        leaves && !command.contains(['&', '|', ';', '(', '\n'])
    }

    fn ends_list(&mut self) -> bool {
        match self.peek() {
            None | Some(b')' | b';') => true,
            Some(_) => self.reserved_word().is_some_and(|word| CLOSERS.contains(&word)),
        }
    }

    fn and_or(&mut self) -> Read {
        loop {
            self.pipeline()?;
            self.skip_blanks();
            let start = self.at;
            if !(self.eat("&&") || self.eat("||")) {
                return Ok(());
            }
            let operator = TextRange::new(start, self.at);
            self.skip_lines()?;
            if self.ends_list() {
                return Err(self.unexpected(Some(operator)));
            }
        }
    }

    fn pipeline(&mut self) -> Read {
        let mut is_empty_allowed = false;
        loop {
            self.skip_blanks();
            if self.eat_word("!").is_some() {
                is_empty_allowed = true;
            } else if self.shell.is_bash() && self.eat_word("time").is_some() {
                is_empty_allowed = true;
                self.skip_blanks();
                let _ = self.eat("-p");
            } else {
                break;
            }
        }
        if is_empty_allowed && (self.ends_list() || matches!(self.peek(), Some(b'\n' | b'&' | b'|'))) {
            return Ok(());
        }
        loop {
            self.deeper(Self::command)?;
            self.skip_blanks();
            let start = self.at;
            if self.shell.is_bash() && self.eat("|&") {
                let operator = TextRange::new(start, self.at);
                let edit = TextEdit { range: operator, new_text: "2>&1 |".to_owned() };
                self.note(Feature::PipeBoth, operator, vec![edit]);
            } else if self.sees("||") || !self.eat("|") {
                return Ok(());
            }
            let operator = TextRange::new(start, self.at);
            self.skip_lines()?;
            if self.ends_list() {
                return Err(self.unexpected(Some(operator)));
            }
            // Only newer shells take it here.
            if self.eat_word("!").is_some() {
                self.is_doubtful = true;
                self.skip_blanks();
            }
        }
    }

    fn command(&mut self) -> Read {
        self.skip_blanks();
        let start = self.at;
        let is_bash = self.shell.is_bash();
        let (word, end) = self.reserved().unwrap_or(("", start));
        let place = TextRange::new(start, end);
        let open = |name, closer| Open { name, closer, range: place };
        match word {
            "if" => self.conditional(&open("if", "fi"))?,
            "while" => self.repeated(&open("while", "done"))?,
            "until" => self.repeated(&open("until", "done"))?,
            "for" => self.each(&open("for", "done"))?,
            "select" if is_bash => {
                self.note(Feature::Select, place, Vec::new());
                self.each(&open("select", "done"))?;
            }
            "case" => self.cases(&open("case", "esac"))?,
            "{" => {
                self.at = end;
                self.block(&open("{", "}"))?;
            }
            "[[" if is_bash => {
                self.at = end;
                let noted = self.note_test(place);
                self.test()?;
                self.finish_test(noted);
            }
            "function" if self.shell.has_extensions() => return self.function_word(place),
            "coproc" if is_bash => {
                self.note(Feature::Coproc, place, Vec::new());
                return self.coprocess(place);
            }
            _ if CLOSERS.contains(&word) => return Err(self.stray()),
            _ if self.peek() == Some(b'(') => self.brackets()?,
            _ => return self.simple_command(),
        }
        self.redirections()
    }

    /// Tells whether a compound command comes next.
    fn is_compound(&mut self) -> bool {
        let word = self.reserved_word().unwrap_or_default();
        self.peek() == Some(b'(') || matches!(word, "if" | "while" | "until" | "for" | "select" | "case" | "{" | "[[")
    }

    /// Reads a list that must not be empty.
    fn commands(&mut self, open: &Open) -> Read {
        if self.list()? {
            return Ok(());
        }
        if self.peek().is_none() { Err(self.not_closed(open)) } else { Err(self.unexpected(None)) }
    }

    fn close(&mut self, open: &Open) -> Read {
        let closed = if open.closer == ")" { self.eat(")") } else { self.eat_word(open.closer).is_some() };
        if closed { Ok(()) } else { Err(self.not_closed(open)) }
    }

    fn block(&mut self, open: &Open) -> Read {
        self.commands(open)?;
        self.close(open)
    }

    fn brackets(&mut self) -> Read {
        let start = self.at;
        if self.shell.is_bash() && self.sees("((") {
            let arithmetic = self.attempt(|reader| {
                reader.eat("((");
                reader.deeper(|reader| reader.arithmetic(start))
            });
            if arithmetic.is_ok() {
                self.note(Feature::Arithmetic, TextRange::new(start, start + 2), Vec::new());
                return Ok(());
            }
            if !self.may_read_again() {
                return Err(Stop::Unknown);
            }
        }
        self.at += 1;
        self.block(&Open { name: "(", closer: ")", range: TextRange::new(start, start + 1) })
    }

    fn conditional(&mut self, open: &Open) -> Read {
        self.at = open.range.end;
        loop {
            self.commands(open)?;
            if self.eat_word("then").is_none() {
                return Err(self.without("then", open));
            }
            self.commands(open)?;
            if self.eat_word("elif").is_some() {
                continue;
            }
            if self.eat_word("else").is_some() {
                self.commands(open)?;
            }
            return self.close(open);
        }
    }

    fn repeated(&mut self, open: &Open) -> Read {
        self.at = open.range.end;
        self.commands(open)?;
        self.body(open)
    }

    /// Reads `do … done`; bash also takes `{ … }` after `for`.
    fn body(&mut self, open: &Open) -> Read {
        if self.eat_word("do").is_some() {
            return self.block(open);
        }
        if matches!(open.name, "for" | "select")
            && self.shell.is_bash()
            && let Some(range) = self.eat_word("{")
        {
            return self.block(&Open { name: "{", closer: "}", range });
        }
        Err(self.without("do", open))
    }

    fn each(&mut self, open: &Open) -> Read {
        self.at = open.range.end;
        self.skip_blanks();
        let start = self.at;
        if open.name == "for" && self.shell.is_bash() && self.eat("((") {
            self.note(Feature::ForArithmetic, TextRange::new(start, self.at), Vec::new());
            // What is in its brackets is only read when it runs.
            self.attempt(|reader| reader.deeper(|reader| reader.arithmetic(start))).map_err(|_| Stop::Unknown)?;
            self.skip_blanks();
            let _ = self.eat(";");
            self.skip_lines()?;
            return self.body(open);
        }
        if self.word()?.is_none() {
            // Bash goes on after some mistakes here.
            let is_redirection = matches!(self.peek(), Some(b'<' | b'>'));
            return Err(if is_redirection { Stop::Unknown } else { self.unexpected(Some(open.range)) });
        }
        self.skip_blanks();
        if self.peek() == Some(b';') && !self.sees(";;") {
            self.at += 1;
            self.skip_lines()?;
            return self.body(open);
        }
        self.skip_lines()?;
        if self.eat_word("in").is_none() {
            return self.body(open);
        }
        loop {
            self.skip_blanks();
            if self.word()?.is_none() {
                break;
            }
        }
        match self.peek() {
            // Dash reads here-documents one line later here.
            None | Some(b'\n') => self.is_doubtful |= !self.pending.is_empty() && !self.shell.is_bash(),
            Some(b';') if !self.sees(";;") => self.at += 1,
            Some(_) => return Err(self.unexpected(None)),
        }
        self.skip_lines()?;
        self.body(open)
    }

    fn cases(&mut self, open: &Open) -> Read {
        self.at = open.range.end;
        self.skip_blanks();
        if self.word()?.is_none() {
            return Err(self.unexpected(Some(open.range)));
        }
        self.skip_lines()?;
        if self.eat_word("in").is_none() {
            return Err(self.without("in", open));
        }
        loop {
            self.skip_lines()?;
            if self.eat_word("esac").is_some() {
                return Ok(());
            }
            self.pattern(open)?;
            self.list()?;
            self.skip_blanks();
            let start = self.at;
            if self.eat(";;&") || self.eat(";&") {
                self.note(Feature::FallThrough, TextRange::new(start, self.at), Vec::new());
                if !self.shell.is_bash() {
                    self.at = start;
                    return Err(self.unexpected(None));
                }
            } else if !self.eat(";;") {
                return self.close(open);
            }
        }
    }

    /// Reads one or more patterns and their bracket.
    fn pattern(&mut self, open: &Open) -> Read {
        if self.eat("(") {
            self.skip_blanks();
        }
        loop {
            if self.word()?.is_none() {
                // Dash takes an empty pattern with one bracket more.
                if self.sees("))") {
                    return Err(Stop::Unknown);
                }
                return Err(if self.peek().is_none() { self.not_closed(open) } else { self.unexpected(None) });
            }
            self.skip_blanks();
            if self.eat(")") {
                return Ok(());
            }
            if self.sees("||") || !self.eat("|") {
                return Err(if self.peek().is_none() { self.not_closed(open) } else { self.unexpected(None) });
            }
            self.skip_blanks();
        }
    }

    /// Reads `function name` and what follows.
    fn function_word(&mut self, place: TextRange) -> Read {
        self.at = place.end;
        self.skip_blanks();
        let Some(name) = self.word()? else { return Err(self.unexpected(Some(place))) };
        let name_end = self.at;
        let has_brackets = self.function_brackets();
        let removed = TextEdit { range: TextRange::new(place.start, name.start), new_text: String::new() };
        let added = TextEdit { range: TextRange::at(name_end), new_text: "()".to_owned() };
        let mut edits = vec![removed];
        edits.extend((!has_brackets).then_some(added));
        if !is_name(name.of(self.text)) {
            edits.clear();
        }
        self.note(Feature::Function, place, edits);
        self.function_body(TextRange::new(place.start, self.at))
    }

    fn function_body(&mut self, head: TextRange) -> Read {
        self.skip_lines()?;
        if self.peek().is_none() {
            return Err(self.unexpected(Some(head)));
        }
        if self.shell.takes_any_function_body() || self.is_compound() {
            return self.deeper(Self::command);
        }
        Err(self.unexpected(None))
    }

    /// Reads what follows `coproc`: a command, which a name may come before if it is compound.
    fn coprocess(&mut self, place: TextRange) -> Read {
        self.at = place.end;
        self.skip_blanks();
        if self.is_compound() {
            return self.deeper(Self::command);
        }
        let start = self.at;
        if self.word()?.is_some() {
            self.skip_blanks();
            if self.is_compound() {
                return self.deeper(Self::command);
            }
        }
        self.at = start;
        self.simple_command()
    }

    fn simple_command(&mut self) -> Read {
        let start = self.at;
        let mut words: Vec<TextRange> = Vec::new();
        let mut is_empty = true;
        loop {
            self.skip_blanks();
            if self.redirection()? {
                is_empty = false;
                continue;
            }
            let Some(word) = self.word()? else { break };
            words.push(word);
            if is_empty && self.function_brackets() {
                return self.function_body(TextRange::new(start, self.at));
            }
            is_empty = false;
        }
        if is_empty || self.peek() == Some(b'(') {
            return Err(self.unexpected(None));
        }
        self.note_words(&words);
        match words.first().map(|first| first.of(self.text)) {
            // An alias can stand for any part of the grammar.
            Some("alias") => Err(Stop::Unknown),
            _ => Ok(()),
        }
    }

    fn function_brackets(&mut self) -> bool {
        let start = self.at;
        self.skip_blanks();
        if self.eat("(") {
            self.skip_blanks();
            if self.eat(")") {
                return true;
            }
        }
        self.at = start;
        false
    }
}
