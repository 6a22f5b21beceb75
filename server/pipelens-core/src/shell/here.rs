//! Here-documents: where their contents end.

use super::dialect::Shell;
use super::document::Document;
use super::reader::{Read, Reader, Stop};
use crate::text::TextRange;

impl<'a> Reader<'a> {
    /// Skips the contents of everything announced on the line that has just ended.
    pub(super) fn read_documents(&mut self) -> Read {
        for document in std::mem::take(&mut self.pending) {
            if self.shell == Shell::Bash || document.is_literal {
                self.skip_document(&document);
            } else {
                self.deeper(|reader| reader.read_expanded_document(&document))?;
            }
        }
        Ok(())
    }

    /// Skips lines up to the delimiter or the end: bash does not read expansions before the command runs.
    fn skip_document(&mut self, document: &Document) {
        let mut is_continued = false;
        while let Some(line) = self.line() {
            let content = document.stripped(line);
            let before = line.len() - content.len();
            if !is_continued && content == document.delimiter {
                self.at += line.len();
                self.eat_line_end();
                return;
            }
            // In a substitution, its bracket may follow on the same line.
            let rest = content.strip_prefix(&*document.delimiter);
            if !is_continued
                && self.substitutions > 0
                && self.shell.is_bash()
                && rest.is_some_and(|rest| rest.contains(')'))
            {
                self.at += before + document.delimiter.len();
                return;
            }
            let backslashes = line.len() - line.trim_end_matches('\\').len();
            is_continued = !document.is_literal && backslashes % 2 == 1;
            self.at += line.len();
            self.eat_line_end();
        }
    }

    /// Reads the expansions in the contents as well: a delimiter inside one of them does not count.
    fn read_expanded_document(&mut self, document: &Document) -> Read {
        loop {
            let Some(line) = self.line() else { return Ok(()) };
            if document.stripped(line) == document.delimiter {
                self.at += line.len();
                self.eat_line_end();
                return Ok(());
            }
            loop {
                match self.raw() {
                    None => return Ok(()),
                    Some(b'\n') => {
                        self.at += 1;
                        break;
                    }
                    Some(b'\\') => self.skip_escape(),
                    Some(b'$') => self.dollar(true)?,
                    Some(b'`') => self.backquoted()?,
                    Some(_) => self.at += 1,
                }
            }
        }
    }

    /// Returns the rest of this line, if there is one.
    fn line(&self) -> Option<&'a str> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        rest.split('\n').next()
    }

    fn eat_line_end(&mut self) {
        self.at += usize::from(self.raw() == Some(b'\n'));
    }

    /// Remembers a document; `word` is the place of its delimiter.
    pub(super) fn announce(&mut self, word: TextRange, may_be_indented: bool) -> Read {
        self.pending.push(Document::new(word.of(self.text), may_be_indented).ok_or(Stop::Unknown)?);
        Ok(())
    }
}
