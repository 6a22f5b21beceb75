//! The lines of a command where they are written.

use crate::syntax::offsets::Offsets;
use crate::text::{Spanned, TextRange};

/// Returns a line of a command, counted from 1, without the space around it; `None` if it is empty, or is not there as it is written.
pub fn command_line(text: &str, cmd: &Spanned<String>, number: usize) -> Option<TextRange> {
    let start = match number.checked_sub(1)? {
        0 => 0,
        before => cmd.value.match_indices('\n').nth(before - 1)?.0 + 1,
    };
    let line = cmd.value.get(start..)?.lines().next()?;
    let begin = start + (line.len() - line.trim_start().len());
    let end = start + line.trim_end().len();
    if begin >= end {
        return None;
    }
    Offsets::of(text, cmd)?.source(TextRange::new(begin, end))
}
