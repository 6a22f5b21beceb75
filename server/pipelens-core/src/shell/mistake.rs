//! A mistake in a command, and the words for each kind.

use crate::text::TextRange;

/// A syntax error in a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub range: TextRange,
    pub message: String,
}

/// Something that was opened and has to be closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) name: &'static str,
    pub(super) closer: &'static str,
    pub(super) range: TextRange,
}

/// A quote or expansion that is still open at the end.
pub(super) fn unclosed_word(what: &str, closer: &str, range: TextRange) -> Mistake {
    let closer = if closer.contains('`') { format!("`` {closer} ``") } else { format!("`{closer}`") };
    Mistake { range, message: format!("This {what} is not closed: {closer} is missing. Add it.") }
}

/// A block that is still open at the end.
pub(super) fn unclosed(open: &Open) -> Mistake {
    let Open { name, closer, range } = *open;
    let message = format!("This `{name}` is not closed: `{closer}` is missing. Add it where the block ends.");
    Mistake { range, message }
}

/// A closer of something else.
pub(super) fn wrong_closer(written: &str, range: TextRange, open: &Open) -> Mistake {
    let Open { name, closer, .. } = *open;
    let message =
        format!("`{written}` does not close `{name}`: `{closer}` is missing before it. Add it, or change this one.");
    Mistake { range, message }
}

/// A closer where nothing is open.
pub(super) fn no_opener(written: &str, range: TextRange) -> Mistake {
    let message = format!("`{written}` closes nothing here. Remove it, or add what it should close.");
    Mistake { range, message }
}

/// A block whose middle part is missing.
pub(super) fn without(wanted: &str, written: &str, range: TextRange, open: &Open) -> Mistake {
    let message = format!(
        "`{wanted}` is missing between `{}` and `{written}`. Add it where the condition or list ends.",
        open.name
    );
    Mistake { range, message }
}

/// Something that is not allowed where it is.
pub(super) fn unexpected(written: &str, range: TextRange) -> Mistake {
    let written = written.trim();
    let message = if written.is_empty() {
        "The shell expects something else at the end of this line. Check whether a word or bracket is missing before it."
            .to_owned()
    } else {
        format!(
            "The shell does not expect `{written}` here. Check whether a word, quote or bracket is missing before it."
        )
    };
    Mistake { range, message }
}

/// A command that ends where more is required.
pub(super) fn unfinished(last: &str, range: TextRange) -> Mistake {
    let message =
        format!("The command ends after `{last}`, but the shell expects more. Finish it, or remove `{last}`.");
    Mistake { range, message }
}
