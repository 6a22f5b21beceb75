//! How an editor may draw a finding besides its severity.

use super::{Code, Diagnostic};

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

impl Diagnostic {
    /// Returns how an editor may draw it besides its severity.
    pub fn tag(&self) -> Option<Tag> {
        if UNNECESSARY.contains(&self.code) {
            return Some(Tag::Unnecessary);
        }
        let number = shellcheck_number(self)?;
        if UNUSED_IN_SHELL.contains(&number) {
            return Some(Tag::Unnecessary);
        }
        OLD_SHELL.contains(&number).then_some(Tag::Deprecated)
    }
}

/// Returns the number at the end of ShellCheck's message: `… (SC2006).`
fn shellcheck_number(finding: &Diagnostic) -> Option<&str> {
    let message = Some(finding.message.as_str()).filter(|_| finding.code == Code::Shellcheck)?;
    message.rsplit_once("(SC")?.1.split_once(')').map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::TextRange;

    #[test]
    fn findings_about_unused_and_old_things_have_tags() {
        let tag = |code, message: &str| Diagnostic::new(code, TextRange::at(0), message).tag();
        assert_eq!(tag(Code::UnusedAnchor, ""), Some(Tag::Unnecessary));
        assert_eq!(tag(Code::RedundantDependency, ""), Some(Tag::Unnecessary));
        assert_eq!(tag(Code::ImageWithoutEffect, ""), Some(Tag::Unnecessary));
        assert_eq!(tag(Code::Shellcheck, "x appears unused (SC2034)."), Some(Tag::Unnecessary));
        assert_eq!(tag(Code::Shellcheck, "Use $(...) instead of backticks (SC2006)."), Some(Tag::Deprecated));
        assert_eq!(tag(Code::Shellcheck, "Double quote (SC2086)."), None);
        assert_eq!(tag(Code::UnknownStep, "(SC2006)"), None);
    }
}
