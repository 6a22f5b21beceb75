//! Findings: what is wrong, where, and what to do about it. Codes are stable; severities can be set by the user.

mod explanation;

use std::borrow::Cow;

use crate::printable::printable;
use crate::syntax::parse::floor_char_border;
use crate::text::{TextEdit, TextRange};

/// Names are quoted whole up to here: a file can hold a name as long as itself, and many findings about it.
const MAX_MESSAGE_BYTES: usize = 2_000;
/// Other places of one finding.
const MAX_RELATED: usize = 50;

/// How much a finding matters, before the user's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Error,
    Warning,
    Information,
    Hint,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// The smallest range that is wrong.
    pub range: TextRange,
    /// What, why, and what to do; names in backticks.
    pub message: String,
    pub related: Vec<Related>,
    /// Edits that each mend it alone; the first is the preferred one.
    pub fixes: Vec<Fix>,
}

/// Another place that belongs to a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    pub range: TextRange,
    pub message: String,
}

/// One way to mend a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// An imperative sentence without a full stop: "Change `bild` to `build`".
    pub title: String,
    /// There is one obvious edit and it keeps what the author meant, so it can be applied unattended. Otherwise a person has
    /// to choose.
    pub is_safe: bool,
    pub edits: Vec<TextEdit>,
}

/// The stable name of a kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    Syntax,
    TooLarge,
    UndefinedAnchor,
    RecursiveAlias,
    UnusedAnchor,
    EmptyFile,
    NotAPipeline,
    StepsAndGraph,
    UnsupportedVersion,
    UnknownKey,
    MisplacedKey,
    MissingKey,
    DuplicateMappingKey,
    WrongType,
    BadValue,
    ControlCharacter,
    EmptyList,
    DuplicateStepKey,
    CollidingStepKeys,
    UnknownStep,
    SelfReference,
    Cycle,
    SeveralParents,
    BadEdge,
    ReferenceAcrossWait,
    ImageWithoutEffect,
    RedundantDependency,
    InvalidImage,
    UnpinnedImage,
    BadEnvName,
    UnknownPolicy,
    MissingPolicyKey,
    UnknownRunner,
    ServicesOnHost,
    TimeoutTooLong,
    RelativeWorkdir,
    MissingFolder,
    UnmatchedPath,
    ShellSyntax,
    Shellcheck,
    SecretLiteral,
    SecretConsent,
    YamlTrap,
}

impl Code {
    /// Every code, in the order of its documentation.
    pub const ALL: &'static [Self] = &[
        Self::Syntax,
        Self::TooLarge,
        Self::UndefinedAnchor,
        Self::RecursiveAlias,
        Self::UnusedAnchor,
        Self::EmptyFile,
        Self::NotAPipeline,
        Self::StepsAndGraph,
        Self::UnsupportedVersion,
        Self::UnknownKey,
        Self::MisplacedKey,
        Self::MissingKey,
        Self::DuplicateMappingKey,
        Self::WrongType,
        Self::BadValue,
        Self::ControlCharacter,
        Self::EmptyList,
        Self::DuplicateStepKey,
        Self::CollidingStepKeys,
        Self::UnknownStep,
        Self::SelfReference,
        Self::Cycle,
        Self::SeveralParents,
        Self::BadEdge,
        Self::ReferenceAcrossWait,
        Self::ImageWithoutEffect,
        Self::RedundantDependency,
        Self::InvalidImage,
        Self::UnpinnedImage,
        Self::BadEnvName,
        Self::UnknownPolicy,
        Self::MissingPolicyKey,
        Self::UnknownRunner,
        Self::ServicesOnHost,
        Self::TimeoutTooLong,
        Self::RelativeWorkdir,
        Self::MissingFolder,
        Self::UnmatchedPath,
        Self::ShellSyntax,
        Self::Shellcheck,
        Self::SecretLiteral,
        Self::SecretConsent,
        Self::YamlTrap,
    ];

    /// Returns the code somebody may have meant by a name that is none.
    pub fn nearest(name: &str) -> Option<Self> {
        let near = crate::nearest::nearest(name, Self::ALL.iter().map(|code| code.as_str()))?;
        Self::ALL.iter().copied().find(|code| code.as_str() == near)
    }

    /// Returns the name settings, comments and links use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::TooLarge => "too-large",
            Self::UndefinedAnchor => "undefined-anchor",
            Self::RecursiveAlias => "recursive-alias",
            Self::UnusedAnchor => "unused-anchor",
            Self::EmptyFile => "empty-file",
            Self::NotAPipeline => "not-a-pipeline",
            Self::StepsAndGraph => "steps-and-graph",
            Self::UnsupportedVersion => "unsupported-version",
            Self::UnknownKey => "unknown-key",
            Self::MisplacedKey => "misplaced-key",
            Self::MissingKey => "missing-key",
            Self::DuplicateMappingKey => "duplicate-mapping-key",
            Self::WrongType => "wrong-type",
            Self::BadValue => "bad-value",
            Self::ControlCharacter => "control-character",
            Self::EmptyList => "empty-list",
            Self::DuplicateStepKey => "duplicate-step-key",
            Self::CollidingStepKeys => "colliding-step-keys",
            Self::UnknownStep => "unknown-step",
            Self::SelfReference => "self-reference",
            Self::Cycle => "cycle",
            Self::SeveralParents => "several-parents",
            Self::BadEdge => "bad-edge",
            Self::ReferenceAcrossWait => "reference-across-wait",
            Self::ImageWithoutEffect => "image-without-effect",
            Self::RedundantDependency => "redundant-dependency",
            Self::InvalidImage => "invalid-image",
            Self::UnpinnedImage => "unpinned-image",
            Self::BadEnvName => "bad-env-name",
            Self::UnknownPolicy => "unknown-policy",
            Self::MissingPolicyKey => "missing-policy-key",
            Self::UnknownRunner => "unknown-runner",
            Self::ServicesOnHost => "services-on-host",
            Self::TimeoutTooLong => "timeout-too-long",
            Self::RelativeWorkdir => "relative-workdir",
            Self::MissingFolder => "missing-folder",
            Self::UnmatchedPath => "unmatched-path",
            Self::ShellSyntax => "shell-syntax",
            Self::Shellcheck => "shellcheck",
            Self::SecretLiteral => "secret-literal",
            Self::SecretConsent => "secret-consent",
            Self::YamlTrap => "yaml-trap",
        }
    }

    /// Returns how much it matters unless settings say otherwise.
    pub fn severity(self) -> Severity {
        match self {
            Self::Syntax
            | Self::TooLarge
            | Self::UndefinedAnchor
            | Self::RecursiveAlias
            | Self::NotAPipeline
            | Self::StepsAndGraph
            | Self::UnsupportedVersion
            | Self::UnknownKey
            | Self::MisplacedKey
            | Self::MissingKey
            | Self::DuplicateMappingKey
            | Self::WrongType
            | Self::BadValue
            | Self::ControlCharacter
            | Self::EmptyList
            | Self::DuplicateStepKey
            | Self::CollidingStepKeys
            | Self::UnknownStep
            | Self::SelfReference
            | Self::Cycle
            | Self::SeveralParents
            | Self::BadEdge
            | Self::ReferenceAcrossWait
            | Self::InvalidImage
            | Self::BadEnvName
            | Self::UnknownPolicy
            | Self::MissingPolicyKey
            | Self::UnknownRunner
            | Self::ServicesOnHost
            | Self::RelativeWorkdir
            | Self::ShellSyntax => Severity::Error,
            Self::ImageWithoutEffect
            | Self::TimeoutTooLong
            | Self::MissingFolder
            | Self::UnmatchedPath
            | Self::Shellcheck
            | Self::SecretLiteral => Severity::Warning,
            Self::EmptyFile | Self::SecretConsent => Severity::Information,
            Self::UnusedAnchor | Self::RedundantDependency | Self::UnpinnedImage | Self::YamlTrap => Severity::Hint,
        }
    }

    /// Returns what it is about, as a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Syntax => "Text that cannot be read",
            Self::TooLarge => "More text, aliases, waits or findings than can be worked with",
            Self::UndefinedAnchor => "An alias to an anchor that is not defined before it",
            Self::RecursiveAlias => "An alias inside the value it names",
            Self::UnusedAnchor => "An anchor no alias uses",
            Self::EmptyFile => "A file without a pipeline in it",
            Self::NotAPipeline => "A document without `steps`, `graph` or `pipelines`",
            Self::StepsAndGraph => "Both an authored pipeline and a generated plan in one mapping",
            Self::UnsupportedVersion => "A version of the format that does not exist",
            Self::UnknownKey => "A key that means nothing",
            Self::MisplacedKey => "A key that belongs to another place",
            Self::MissingKey => "A key that has to be there",
            Self::DuplicateMappingKey => "The same key twice in one mapping",
            Self::WrongType => "A value of another type than the key takes",
            Self::BadValue => "A value outside of what the key takes",
            Self::ControlCharacter => "A character that cannot be seen or that controls a terminal",
            Self::EmptyList => "A list that needs at least one entry",
            Self::DuplicateStepKey => "Two steps with the same key",
            Self::CollidingStepKeys => "Two step keys that would share container and image names",
            Self::UnknownStep => "A reference to a step that does not exist",
            Self::SelfReference => "A step that refers to itself",
            Self::Cycle => "Steps that wait for each other in a circle",
            Self::SeveralParents => "A step that boots from more than one step",
            Self::BadEdge => "An edge to a node that does not exist",
            Self::ReferenceAcrossWait => "A reference to a step behind a later `wait`",
            Self::ImageWithoutEffect => "An `image` beside `builds_in`",
            Self::RedundantDependency => "A dependency that is there already",
            Self::InvalidImage => "Not an image reference",
            Self::UnpinnedImage => "An image that changes without notice",
            Self::BadEnvName => "Not a name of an environment variable",
            Self::UnknownPolicy => "A cache policy that does not exist",
            Self::MissingPolicyKey => "A key that the cache policy needs",
            Self::UnknownRunner => "A runner that does not exist",
            Self::ServicesOnHost => "Services beside a step that runs on the host",
            Self::TimeoutTooLong => "A step that may take longer than its pipeline",
            Self::RelativeWorkdir => "A working folder that is not an absolute path",
            Self::MissingFolder => "A working folder that the sources do not have",
            Self::UnmatchedPath => "A path of a cache policy that matches no file",
            Self::ShellSyntax => "A command the shell cannot read",
            Self::Shellcheck => "Something ShellCheck says about a command",
            Self::SecretLiteral => "A text that looks like a secret",
            Self::SecretConsent => "A secret that this project has not been given",
            Self::YamlTrap => "A value that other YAML readers take for something else",
        }
    }
}

impl Diagnostic {
    /// Makes a finding of the code's own severity. A message may quote the text: what cannot be seen in it is written out.
    pub fn new(code: Code, range: TextRange, message: impl Into<String>) -> Self {
        let (related, fixes) = (Vec::new(), Vec::new());
        Self { code, severity: code.severity(), range, message: shown(message.into()), related, fixes }
    }

    #[must_use]
    pub(crate) fn with_related(mut self, range: TextRange, message: impl Into<String>) -> Self {
        if self.related.len() < MAX_RELATED {
            self.related.push(Related { range, message: shown(message.into()) });
        }
        self
    }

    /// Adds a way to mend it that replaces one range, for a person to choose.
    #[must_use]
    pub(crate) fn with_fix(mut self, title: impl Into<String>, range: TextRange, new_text: impl Into<String>) -> Self {
        let edits = vec![TextEdit { range, new_text: new_text.into() }];
        self.fixes.push(Fix { title: shown(title.into()), is_safe: false, edits });
        self
    }

    /// Adds the one obvious way to mend it, which keeps what the author meant.
    #[must_use]
    pub(crate) fn with_safe_fix(
        mut self,
        title: impl Into<String>,
        range: TextRange,
        new_text: impl Into<String>,
    ) -> Self {
        let edits = vec![TextEdit { range, new_text: new_text.into() }];
        self.fixes.push(Fix { title: shown(title.into()), is_safe: true, edits });
        self
    }
}

fn shown(words: String) -> String {
    let mut words = match printable(&words) {
        Cow::Borrowed(_) => words,
        Cow::Owned(shown) => shown,
    };
    if words.len() > MAX_MESSAGE_BYTES {
        words.truncate(floor_char_border(&words, MAX_MESSAGE_BYTES));
        words.push('…');
    }
    words
}
