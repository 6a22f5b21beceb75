//! Brackets and quotes that are open before the cursor.

use super::key::key_of;

/// Follows text character by character and tracks which quote is open.
#[derive(Default)]
struct Quotes {
    open: Option<char>,
    is_escaped: bool,
    /// A quote inside a word opens nothing.
    is_in_word: bool,
}

impl Quotes {
    /// Takes the next character, and tells whether it is outside of quotes and not a quote itself.
    fn is_outside(&mut self, character: char) -> bool {
        let is_escaped = std::mem::take(&mut self.is_escaped);
        let is_in_word = std::mem::replace(&mut self.is_in_word, !is_before_value(character));
        match (self.open, character) {
            // A quote that is not closed yet must not swallow what comes after its line.
            (_, '\n') => self.open = None,
            (Some('"'), '\\') if !is_escaped => self.is_escaped = true,
            (Some(mark), _) if mark == character && !is_escaped => self.open = None,
            (None, '"' | '\'') if !is_in_word => self.open = Some(character),
            (None, _) => return true,
            (Some(_), _) => {}
        }
        false
    }
}

/// Tells whether a value may start after a character.
fn is_before_value(character: char) -> bool {
    character.is_whitespace() || matches!(character, '[' | '{' | ',' | ':')
}

pub(super) fn open_quote(bare: &str) -> Option<char> {
    let mut quotes = Quotes::default();
    for character in bare.chars() {
        quotes.is_outside(character);
    }
    quotes.open
}

/// What the innermost open brackets contain.
pub(super) struct Inner<'a> {
    bracket: char,
    /// After the bracket, or after its last comma.
    pub(super) rest: &'a str,
    /// The key whose value the brackets are, or are an item of.
    pub(super) owner: Option<&'a str>,
}

impl<'a> Inner<'a> {
    /// The key whose list the cursor is in.
    pub(super) fn list_key(&self) -> Option<&'a str> {
        self.owner.filter(|_| self.bracket == '[')
    }
}

pub(super) fn in_brackets(text: &str) -> Option<Inner<'_>> {
    let mut open: Vec<Open> = Vec::new();
    let mut quotes = Quotes::default();
    for (offset, character) in text.char_indices().filter(|(_, character)| quotes.is_outside(*character)) {
        match character {
            '{' | '[' => {
                let entry = open.last().map_or(0, |outer| outer.item);
                open.push(Open { bracket: character, entry, item: offset + 1 });
            }
            '}' | ']' => {
                open.pop();
            }
            ',' => {
                if let Some(inner) = open.last_mut() {
                    inner.item = offset + 1;
                }
            }
            _ => {}
        }
    }
    let inner = open.last()?;
    let key = |open: &Open| text.get(open.entry..).map(str::trim_start).and_then(key_of).map(|(key, _)| key);
    // A mapping in a list belongs to the key of the list.
    let outer = open.iter().rev().nth(1).filter(|outer| outer.bracket == '[');
    let is_item =
        outer.is_some_and(|outer| text.get(outer.item..).is_some_and(|item| item.trim_start().starts_with('{')));
    let owner = if is_item { outer.and_then(key) } else { key(inner) };
    Some(Inner { bracket: inner.bracket, rest: text.get(inner.item..)?.trim_start(), owner })
}

struct Open {
    bracket: char,
    /// Where the entry starts whose value the brackets are.
    entry: usize,
    /// Where the current item inside the brackets starts.
    item: usize,
}
