//! The shells that may run a command, and in what their grammars differ.

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
