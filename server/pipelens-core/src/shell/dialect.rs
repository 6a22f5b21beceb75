//! The shells that may run a command, and in what their grammars differ.

/// A command that asks which shell runs it knows what it does.
pub(super) const ASKS_FOR_BASH: &str = "BASH_VERSION";

/// What runs a command, as its author knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// `sh`: dash, busybox or bash, depending on the image.
    #[default]
    Sh,
    Bash,
}

/// One shell whose grammar is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shell {
    Bash,
    Busybox,
    Dash,
}

impl Dialect {
    /// Returns what a program reads, by its words. `None`: it is no shell whose grammar is known.
    pub fn of(words: &[String]) -> Option<Self> {
        let mut names = words.iter().map(|word| word.rsplit('/').next().unwrap_or_default());
        let name = names.next()?;
        let name = if matches!(name, "env" | "busybox") { names.find(|name| !name.starts_with('-'))? } else { name };
        match name {
            "sh" | "dash" | "ash" => Some(Self::Sh),
            "bash" => Some(Self::Bash),
            _ => None,
        }
    }

    /// Returns the shells that the author may mean, with the one that accepts most first. Only what all of them refuse is a mistake.
    pub(super) fn shells(self) -> &'static [Shell] {
        match self {
            Self::Sh => &[Shell::Bash, Shell::Dash, Shell::Busybox],
            Self::Bash => &[Shell::Bash],
        }
    }
}

impl Shell {
    pub(super) fn is_bash(self) -> bool {
        self == Self::Bash
    }

    /// `<(…)`, `$'…'`, `&>` and `function`.
    pub(super) fn has_extensions(self) -> bool {
        matches!(self, Self::Bash | Self::Busybox)
    }

    /// `f() echo`: bash requires a compound command.
    pub(super) fn takes_any_function_body(self) -> bool {
        !self.is_bash()
    }
}

/// Whether a shell that is started like this ends at the first command that fails.
pub(crate) fn ends_at_failure(words: &[String]) -> bool {
    let options = words.iter().skip(1);
    let mut is_name = false;
    options.into_iter().any(|word| {
        let is_named = std::mem::replace(&mut is_name, word.starts_with('-') && word.ends_with('o'));
        (is_named && word == "errexit") || (word.starts_with('-') && !word.starts_with("--") && word.contains('e'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn shells_are_known_by_their_names() {
        let dialects = ["sh -e", "/bin/dash", "busybox sh -e", "/usr/bin/env bash", "bash -euo pipefail"];
        let dialects = dialects.map(|text| Dialect::of(&words(text)));
        let (sh, bash) = (Some(Dialect::Sh), Some(Dialect::Bash));
        assert_eq!(dialects, [sh, sh, sh, bash, bash]);
        assert_eq!(["python3", "zsh -e", "env"].map(|text| Dialect::of(&words(text))), [None; 3]);
    }

    #[test]
    fn options_say_whether_a_failure_is_noticed() {
        assert!(
            ["sh -e", "bash -euo pipefail", "bash -o errexit", "bash -uo errexit"]
                .iter()
                .all(|text| ends_at_failure(&words(text)))
        );
        assert!(
            ["sh", "bash -u", "bash -o pipefail", "sh --noprofile"].iter().all(|text| !ends_at_failure(&words(text)))
        );
    }
}
