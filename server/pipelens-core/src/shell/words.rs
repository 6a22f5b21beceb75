//! Words: quotes, expansions and substitutions, each up to where it is closed.

use super::dialect::Shell;
use super::feature::Feature;
use super::mistake;
use super::reader::{Read, Reader, Stop};
use super::variables::is_name;
use crate::text::TextRange;

/// Words before a command that are not part of it.
pub(crate) const BEFORE_COMMANDS: &[&str] = &[
    "!", "{", "if", "then", "elif", "else", "while", "until", "do", "time", "exec", "env", "command", "sudo", "nohup",
];

impl<'a> Reader<'a> {
    /// Reads a word, if one comes next.
    pub(super) fn word(&mut self) -> Read<Option<TextRange>> {
        self.peek();
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b')' => break,
                b'(' if self.is_array(start) => self.array(start)?,
                b'(' if self.is_extended_glob(start) => self.extended_glob()?,
                b'(' => break,
                b'<' | b'>' if self.is_process_substitution() => self.process_substitution()?,
                b'<' | b'>' => break,
                b'[' if self.shell.is_bash() => self.subscript(start),
                b'\\' => self.skip_escape(),
                b'\'' => self.single_quoted()?,
                b'"' => self.double_quoted()?,
                b'`' => self.backquoted()?,
                b'$' => self.dollar(false)?,
                b'{' => self.brace(start),
                _ => self.at += 1,
            }
        }
        // Only a character of more than one byte can be cut, and all its bytes are read the same way.
        Ok((self.at > start).then(|| TextRange::new(start, self.at)))
    }

    /// Skips a backslash and the character it quotes; at the end of the text, only the backslash.
    pub(super) fn skip_escape(&mut self) {
        let quoted = self.text.get(self.at + 1..).and_then(|rest| rest.chars().next());
        self.at += 1 + quoted.map_or(0, char::len_utf8);
    }

    fn single_quoted(&mut self) -> Read {
        let start = self.at;
        let rest = self.text.as_bytes().get(start + 1..).unwrap_or_default();
        let Some(length) = memchr::memchr(b'\'', rest) else {
            self.at = self.text.len();
            return Err(self.stop(mistake::unclosed_word("single quote", "'", TextRange::new(start, start + 1))));
        };
        self.at = start + length + 2;
        Ok(())
    }

    pub(super) fn double_quoted(&mut self) -> Read {
        let start = self.at;
        self.at += 1;
        self.deeper(|reader| {
            while let Some(byte) = reader.peek() {
                match byte {
                    b'"' => {
                        reader.at += 1;
                        return Ok(());
                    }
                    b'\\' => reader.skip_escape(),
                    b'`' => reader.backquoted()?,
                    b'$' => reader.dollar(true)?,
                    _ => reader.at += 1,
                }
            }
            Err(reader.stop(mistake::unclosed_word("double quote", "\"", TextRange::new(start, start + 1))))
        })
    }

    /// What is inside is only read when the command runs.
    pub(super) fn backquoted(&mut self) -> Read {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.raw() {
            match byte {
                b'`' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.skip_escape(),
                _ => self.at += 1,
            }
        }
        Err(self.stop(mistake::unclosed_word("backquote", "`", TextRange::new(start, start + 1))))
    }

    /// Reads what a `$` starts, if anything.
    pub(super) fn dollar(&mut self, is_quoted: bool) -> Read {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'(') => {
                self.at += 1;
                if self.peek() == Some(b'(') {
                    self.arithmetic_or_substitution(start)
                } else {
                    self.substitution(start)
                }
            }
            Some(b'{') => {
                self.at += 1;
                self.deeper(|reader| reader.parameter(start, is_quoted))
            }
            Some(b'\'') if !is_quoted && self.shell.has_extensions() => self.ansi_c_quoted(start),
            // The number of the shell's process.
            Some(b'$') => {
                self.at += 1;
                Ok(())
            }
            Some(b'"') if !is_quoted => {
                self.note(Feature::LocaleQuote, TextRange::new(start, start + 2), Vec::new());
                Ok(())
            }
            Some(b'[') if self.shell.is_bash() => {
                self.note(Feature::BracketArithmetic, TextRange::new(start, start + 2), Vec::new());
                self.at += 1;
                self.deeper(|reader| reader.bracket_arithmetic(start))
            }
            _ => Ok(()),
        }
    }

    /// Reads `$(…)` after its bracket.
    fn substitution(&mut self, start: usize) -> Read {
        let outer = std::mem::take(&mut self.pending);
        self.substitutions += 1;
        let result = self.deeper(|reader| {
            reader.list()?;
            if reader.eat(")") {
                return Ok(());
            }
            if reader.peek().is_none() {
                let open = mistake::unclosed_word("substitution", ")", TextRange::new(start, start + 2));
                return Err(reader.stop(open));
            }
            Err(reader.stray())
        });
        self.substitutions -= 1;
        // Where the contents start that were announced inside, or before and not read yet, differs between shells.
        let has_line = self.text.get(start..self.at).is_some_and(|inner| inner.contains('\n'));
        self.is_doubtful |= !self.pending.is_empty() || (!outer.is_empty() && has_line);
        let inner = std::mem::replace(&mut self.pending, outer);
        self.pending.extend(inner);
        result
    }

    fn arithmetic_or_substitution(&mut self, start: usize) -> Read {
        let arithmetic = self.attempt(|reader| {
            reader.at += 1;
            reader.deeper(|reader| reader.arithmetic(start))
        });
        match arithmetic {
            Ok(()) => Ok(()),
            Err(_) if !self.may_read_again() => Err(Stop::Unknown),
            Err(stop) => {
                // A substitution that starts with a subshell. Shells do not agree whether it may, without a space.
                let rest = self.text.get(start..).unwrap_or_default();
                let substitution = self.attempt(|reader| reader.substitution(start));
                self.is_doubtful |= substitution.is_ok();
                match substitution {
                    Ok(()) => Ok(()),
                    Err(_) if rest.contains('#') || rest.contains("<<") || rest.contains("esac") => Err(Stop::Unknown),
                    Err(_) => Err(stop),
                }
            }
        }
    }

    /// Reads up to `))`. An error means that it is closed in another way, or not at all.
    pub(super) fn arithmetic(&mut self, start: usize) -> Read {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'(' => {
                    depth += 1;
                    self.at += 1;
                }
                b')' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                b')' if self.eat("))") => return Ok(()),
                // A substitution that starts with a subshell.
                b')' => return Err(Stop::Unknown),
                b'\\' => self.skip_escape(),
                b'\'' if self.shell.is_bash() => self.single_quoted()?,
                b'"' if self.shell.is_bash() => self.double_quoted()?,
                b'\'' | b'"' => {
                    self.is_doubtful = true;
                    self.at += 1;
                }
                b'`' => self.backquoted()?,
                b'$' => self.dollar(true)?,
                _ => self.at += 1,
            }
        }
        Err(self.stop(mistake::unclosed_word("substitution", ")", TextRange::new(start, start + 2))))
    }

    fn bracket_arithmetic(&mut self, start: usize) -> Read {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b']' if depth == 0 => {
                    self.at += 1;
                    return Ok(());
                }
                b'[' | b']' => {
                    depth = if byte == b'[' { depth + 1 } else { depth - 1 };
                    self.at += 1;
                }
                b'\\' => self.skip_escape(),
                b'\'' => self.single_quoted()?,
                b'"' => self.double_quoted()?,
                b'`' => self.backquoted()?,
                b'$' => self.dollar(true)?,
                _ => self.at += 1,
            }
        }
        Err(self.stop(mistake::unclosed_word("expansion", "]", TextRange::new(start, start + 2))))
    }

    /// Reads `${…}` after its bracket.
    fn parameter(&mut self, start: usize, is_quoted: bool) -> Read {
        let name = self.at;
        self.parameter_name();
        // `${#name}` is a length, `${name#…}` removes a pattern.
        let is_length = self.at == name + 1 && self.text.as_bytes().get(name) == Some(&b'#');
        let is_pattern = !is_length && matches!(self.peek(), Some(b'#' | b'%'));
        if is_length {
            self.parameter_name();
        }
        // Bash goes on after a name that is none; dash has no `${x:1}`.
        self.is_doubtful |= self.shell.is_bash() && self.at == name && self.peek() != Some(b'}');
        let is_plain_colon = ![":-", ":=", ":?", ":+"].iter().any(|operator| self.sees(operator));
        self.is_doubtful |= !self.shell.is_bash() && self.peek() == Some(b':') && is_plain_colon;
        let is_known = matches!(self.peek(), None | Some(b'}' | b':' | b'-' | b'=' | b'?' | b'+' | b'#' | b'%'));
        if !is_known && !self.shell.is_bash() {
            // Other shells take the operator for what they do not know, even if it is a quote.
            let operator = self.text.get(self.at..).and_then(|rest| rest.chars().next());
            self.is_doubtful |= is_length;
            self.at += operator.map_or(0, char::len_utf8);
        }
        while let Some(byte) = self.peek() {
            match byte {
                b'}' => {
                    self.at += 1;
                    self.note_parameter(TextRange::new(start, self.at));
                    return Ok(());
                }
                b'\\' => self.skip_escape(),
                b'\'' if !is_quoted || is_pattern => self.single_quoted()?,
                b'\'' => {
                    // Bash takes it for a quote in some expansions and modes.
                    self.is_doubtful |= self.shell != Shell::Dash;
                    self.at += 1;
                }
                b'"' => self.double_quoted()?,
                b'`' => self.backquoted()?,
                b'$' => self.dollar(is_quoted)?,
                _ => self.at += 1,
            }
        }
        Err(self.stop(mistake::unclosed_word("variable", "}", TextRange::new(start, start + 2))))
    }

    /// Skips the name of a variable, or the one character of a special one.
    fn parameter_name(&mut self) {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.at += 1;
        }
        if self.at == start && matches!(self.peek(), Some(b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!')) {
            self.at += 1;
        }
        if self.shell.is_bash() && self.at == start + 1 && self.text.as_bytes().get(start) == Some(&b'!') {
            self.parameter_name();
        }
    }

    fn ansi_c_quoted(&mut self, start: usize) -> Read {
        self.note(Feature::AnsiQuote, TextRange::new(start, start + 2), Vec::new());
        self.at += 1;
        while let Some(byte) = self.raw() {
            match byte {
                b'\'' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.skip_escape(),
                _ => self.at += 1,
            }
        }
        Err(self.stop(mistake::unclosed_word("`$'` quote", "'", TextRange::new(start, start + 1))))
    }

    fn is_process_substitution(&mut self) -> bool {
        self.shell.has_extensions() && (self.sees("<(") || self.sees(">("))
    }

    fn process_substitution(&mut self) -> Read {
        let start = self.at;
        self.note(Feature::ProcessSubstitution, TextRange::new(start, start + 2), Vec::new());
        self.at += 1;
        self.eat("(");
        self.substitution(start)
    }

    fn is_array(&self, start: usize) -> bool {
        let before = self.text.get(start..self.at).unwrap_or_default();
        let Some(name) = before.strip_suffix('=') else { return false };
        let name = name.strip_suffix('+').unwrap_or(name);
        let name = name.split('[').next().unwrap_or_default();
        self.shell.is_bash() && is_name(name)
    }

    /// Reads `(…)` in `name=(…)`: words on any number of lines.
    fn array(&mut self, start: usize) -> Read {
        let open = TextRange::new(self.at, self.at + 1);
        self.note(Feature::Array, TextRange::new(start, open.end), Vec::new());
        self.at += 1;
        self.deeper(|reader| {
            loop {
                reader.skip_lines()?;
                if reader.eat(")") {
                    return Ok(());
                }
                if reader.word()?.is_some() {
                    continue;
                }
                if reader.peek().is_none() {
                    let open = mistake::Open { name: "(", closer: ")", range: open };
                    return Err(reader.stop(mistake::unclosed(&open)));
                }
                return Err(reader.unexpected(None));
            }
        })
    }

    /// Skips `[…]` in `name[…]=`, which may contain blanks.
    fn subscript(&mut self, start: usize) {
        if !self.text.get(start..self.at).is_some_and(is_name) {
            self.at += 1;
            return;
        }
        let line = self.text.get(self.at..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let inner = line.find(']').and_then(|end| line.split_at_checked(end + 1));
        self.at += match inner {
            Some((subscript, after))
                if after.starts_with(['=', '+']) && !subscript.contains(['\'', '"', '`', '$', '\\', ';', '|', '&']) =>
            {
                subscript.len()
            }
            _ => {
                // Bash looks for the end of a subscript, wherever it is.
                let rest = line.split(|end: char| end.is_whitespace() || ";&|()<>".contains(end)).next();
                self.is_doubtful |= !rest.is_some_and(|rest| rest.contains(']'));
                1
            }
        };
    }

    fn is_extended_glob(&self, start: usize) -> bool {
        let before = self.text.get(start..self.at).unwrap_or_default();
        self.has_extended_globs && before.ends_with(['?', '*', '+', '@', '!'])
    }

    fn extended_glob(&mut self) -> Read {
        let start = self.at;
        self.at += 1;
        self.deeper(|reader| {
            loop {
                match reader.peek() {
                    None => {
                        let open = TextRange::new(start, start + 1);
                        return Err(reader.stop(mistake::unclosed_word("pattern", ")", open)));
                    }
                    Some(b')') => {
                        reader.at += 1;
                        return Ok(());
                    }
                    Some(b'(') => reader.extended_glob()?,
                    Some(b'\\') => reader.skip_escape(),
                    Some(b'\'') => reader.single_quoted()?,
                    Some(b'"') => reader.double_quoted()?,
                    Some(b'`') => reader.backquoted()?,
                    Some(b'$') => reader.dollar(false)?,
                    Some(_) => reader.at += 1,
                }
            }
        })
    }
}
