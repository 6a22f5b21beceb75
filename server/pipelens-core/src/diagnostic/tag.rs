//! How an editor may draw a finding besides its severity.

use super::codes::Code;

/// How an editor may draw what a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Faded out: it is not used, or changes nothing.
    Unnecessary,
    /// Struck through: there is a newer way to write it.
    Deprecated,
}

/// Codes about something that could be left out.
const UNNECESSARY: [Code; 3] = [Code::UnusedAnchor, Code::RedundantDependency, Code::ImageWithoutEffect];
/// ShellCheck's findings about variables, functions and commands that are never used or reached.
const UNUSED_IN_SHELL: [&str; 3] = ["2034", "2317", "2329"];
/// ShellCheck's findings about old spellings: `expr`, backquotes, `$[…]`, `egrep` and `fgrep`.
const OLD_SHELL: [&str; 5] = ["2003", "2006", "2007", "2196", "2197"];

impl Tag {
    /// Returns the tag of a finding.
    pub(super) fn of(code: Code, message: &str) -> Option<Self> {
        if UNNECESSARY.contains(&code) {
            return Some(Self::Unnecessary);
        }
        let number = Some(message).filter(|_| code == Code::Shellcheck).and_then(shellcheck_number)?;
        if UNUSED_IN_SHELL.contains(&number) {
            return Some(Self::Unnecessary);
        }
        OLD_SHELL.contains(&number).then_some(Self::Deprecated)
    }
}

/// Returns the number at the end of ShellCheck's message: `… (SC2006).`
fn shellcheck_number(message: &str) -> Option<&str> {
    message.rsplit_once("(SC")?.1.split_once(')').map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_about_unused_and_old_things_have_tags() {
        assert_eq!(Tag::of(Code::UnusedAnchor, ""), Some(Tag::Unnecessary));
        assert_eq!(Tag::of(Code::RedundantDependency, ""), Some(Tag::Unnecessary));
        assert_eq!(Tag::of(Code::ImageWithoutEffect, ""), Some(Tag::Unnecessary));
        assert_eq!(Tag::of(Code::Shellcheck, "x appears unused (SC2034)."), Some(Tag::Unnecessary));
        assert_eq!(Tag::of(Code::Shellcheck, "Use $(...) instead of backticks (SC2006)."), Some(Tag::Deprecated));
        assert_eq!(Tag::of(Code::Shellcheck, "Double quote (SC2086)."), None);
        assert_eq!(Tag::of(Code::UnknownStep, "(SC2006)"), None);
    }
}
