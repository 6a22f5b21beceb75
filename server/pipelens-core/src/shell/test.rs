//! Conditions in `[[ … ]]`. Their mistakes are left to bash, which goes on after some of them.

use super::reader::{Read, Reader, Stop};

const BINARY: [&str; 13] = ["=", "==", "!=", "=~", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"];

impl<'a> Reader<'a> {
    /// Reads a condition after `[[`, and the `]]`.
    pub(super) fn test(&mut self) -> Read {
        self.any_of()?;
        self.skip_space();
        if self.eat_word("]]").is_some() { Ok(()) } else { Err(Stop::Unknown) }
    }

    /// Reads terms with `&&` and `||` between them.
    fn any_of(&mut self) -> Read {
        loop {
            self.deeper(Self::term)?;
            self.skip_space();
            if !(self.eat("&&") || self.eat("||")) {
                return Ok(());
            }
        }
    }

    fn term(&mut self) -> Read {
        self.skip_space();
        if self.eat_word("!").is_some() {
            return self.deeper(Self::term);
        }
        if self.eat("(") {
            self.any_of()?;
            self.skip_space();
            return if self.eat(")") { Ok(()) } else { Err(Stop::Unknown) };
        }
        let first = self.operand()?;
        self.skip_space();
        if self.ends_term() {
            return Ok(());
        }
        if (self.sees("<") || self.sees(">")) && !(self.sees("<<") || self.sees(">>") || self.sees("<(")) {
            self.at += 1;
            self.skip_space();
            return self.operand().map(|_| ());
        }
        let second = self.operand()?;
        if BINARY.contains(&second) {
            self.skip_space();
            return self.pattern_operand();
        }
        if first.len() == 2 && first.starts_with('-') { Ok(()) } else { Err(Stop::Unknown) }
    }

    fn ends_term(&mut self) -> bool {
        self.sees("&&") || self.sees("||") || self.sees(")") || self.reserved_word() == Some("]]")
    }

    fn operand(&mut self) -> Read<&'a str> {
        if matches!(self.peek(), None | Some(b'#')) || self.ends_term() {
            return Err(Stop::Unknown);
        }
        let text = self.text;
        self.word()?.map(|word| word.of(text)).ok_or(Stop::Unknown)
    }

    /// Reads a pattern or regular expression: brackets and `|` are part of it.
    fn pattern_operand(&mut self) -> Read {
        let (start, mut depth) = (self.at, 0_usize);
        loop {
            let Some(byte) = self.peek() else { return Err(Stop::Unknown) };
            match byte {
                b' ' | b'\t' | b'\n' if depth == 0 => break,
                b')' if depth == 0 => break,
                b'|' | b'&' if depth == 0 && (self.sees("||") || self.sees("&&")) => break,
                b';' | b'#' | b'<' | b'>' => return Err(Stop::Unknown),
                b'(' => {
                    depth += 1;
                    self.at += 1;
                }
                b')' => {
                    depth -= 1;
                    self.at += 1;
                }
                b'|' | b' ' | b'\t' | b'\n' => self.at += 1,
                b'&' => return Err(Stop::Unknown),
                _ => {
                    if self.word()?.is_none() {
                        return Err(Stop::Unknown);
                    }
                }
            }
        }
        if self.at > start { Ok(()) } else { Err(Stop::Unknown) }
    }

    /// Skips blanks and line breaks, but no comments.
    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n')) {
            self.at += 1;
        }
    }
}
