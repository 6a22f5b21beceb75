//! The parts of commands that bash reads and the `sh` of many images does not.

use crate::text::{TextEdit, TextRange};

/// A part of a command that not every `sh` reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BashOnly {
    pub(crate) feature: Feature,
    pub(crate) range: TextRange,
    /// What says the same to every shell, if a few edits do; none otherwise.
    pub(crate) edits: Vec<TextEdit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feature {
    Array,
    Subscript,
    Append,
    Test,
    DoubleEquals,
    HereString,
    ProcessSubstitution,
    Function,
    Source,
    Braces,
    AnsiQuote,
    LocaleQuote,
    Arithmetic,
    BracketArithmetic,
    ForArithmetic,
    Select,
    Coproc,
    RedirectBoth,
    PipeBoth,
    FallThrough,
    Substring,
    OtherExpansion,
    Pipefail,
    Let,
    Builtin,
}

impl Feature {
    /// Tells whether busybox reads it as well, the `sh` of Alpine.
    pub(crate) fn is_in_busybox(self) -> bool {
        match self {
            Self::Test
            | Self::DoubleEquals
            | Self::ProcessSubstitution
            | Self::Function
            | Self::Source
            | Self::AnsiQuote
            | Self::RedirectBoth
            | Self::Substring
            | Self::Pipefail
            | Self::Let => true,
            Self::Array
            | Self::Subscript
            | Self::Append
            | Self::HereString
            | Self::Braces
            | Self::LocaleQuote
            | Self::Arithmetic
            | Self::BracketArithmetic
            | Self::ForArithmetic
            | Self::Select
            | Self::Coproc
            | Self::PipeBoth
            | Self::FallThrough
            | Self::OtherExpansion
            | Self::Builtin => false,
        }
    }

    /// Returns how to write it for every shell.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Array | Self::Subscript => "Use single variables, or `set -- a b` and `\"$@\"`",
            Self::Append => "Write `x=${x}…`",
            Self::Test => "Use `[ … ]` with quoted variables, or `case`",
            Self::DoubleEquals => "Write `=`",
            Self::HereString => "Use `printf '%s\\n' … |`, or a here-document",
            Self::ProcessSubstitution => "Use a pipe or a file",
            Self::Function => "Write `name() { …; }`",
            Self::Source => "Write `. ./file`",
            Self::Braces => "Write the words out, or use `$(seq 1 5)`",
            Self::AnsiQuote => "Use `printf`",
            Self::LocaleQuote => "Remove the `$`",
            Self::Arithmetic => "Use `[ … ]`, or assign `x=$((x + 1))`",
            Self::BracketArithmetic => "Write `$((…))`",
            Self::ForArithmetic => "Use `while`, or `for i in $(seq 1 5)`",
            Self::Select => "Use `read` and `case`",
            Self::Coproc => "Use a named pipe",
            Self::RedirectBoth => "Write `> file 2>&1`",
            Self::PipeBoth => "Write `2>&1 |`",
            Self::FallThrough => "Write the commands out for each pattern",
            Self::Substring | Self::OtherExpansion => "Use `${x#…}`, `${x%…}`, `cut`, `tr` or `sed`",
            Self::Pipefail => "Check the commands of a pipe one by one",
            Self::Let => "Write `x=$((x + 1))`",
            Self::Builtin => "Do without it",
        }
    }

    /// Tells whether its edits keep the meaning in every case.
    pub(crate) fn has_safe_edits(self) -> bool {
        matches!(self, Self::DoubleEquals | Self::Function | Self::RedirectBoth | Self::PipeBoth | Self::LocaleQuote)
    }
}
