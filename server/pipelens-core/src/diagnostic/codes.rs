//! The one list of finding codes. Adding a code takes a row here, a page in `docs/codes/` and a fixture that shows it.

use super::severity::Severity;
use crate::nearest::nearest;

/// Generates `Code` and everything known about each code from one table.
macro_rules! codes {
    ($($code:ident = $name:literal, $severity:ident, $title:literal;)+) => {
        /// The stable name of a kind of finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($code,)+
        }

        impl Code {
            /// Every code, in the order of its documentation.
            pub const ALL: &'static [Self] = &[$(Self::$code,)+];

            /// Returns the name that settings, comments and links use.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)+
                }
            }

            /// Returns how much it matters unless settings say otherwise.
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$code => Severity::$severity,)+
                }
            }

            /// Returns what it is about, as a heading.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$code => $title,)+
                }
            }

            /// Returns the code's page in Markdown: what it means, why it matters, how to fix it, and one fenced example
            /// each under "Wrong" and "Right".
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Self::$code => include_str!(concat!("../../docs/codes/", $name, ".md")),)+
                }
            }
        }
    };
}

codes! {
    Syntax = "syntax", Error, "Text that cannot be parsed";
    TooLarge = "too-large", Error, "Too much text, or too many aliases, waits, combinations or findings";
    UndefinedAnchor = "undefined-anchor", Error, "An alias to an anchor that is not defined before it";
    RecursiveAlias = "recursive-alias", Error, "An alias inside the value it refers to";
    UnusedAnchor = "unused-anchor", Hint, "An anchor that no alias uses";
    EmptyFile = "empty-file", Information, "A file without a pipeline";
    ProgramSlug = "program-slug", Error, "A name that a program's pipeline cannot have";
    ProgramArgument = "program-argument", Error, "An argument that a pipeline in a program does not have";
    ProgramFailed = "program-failed", Error, "A program that made no pipeline";
    NotAPipeline = "not-a-pipeline", Error, "A document without `steps`, `graph` or `pipelines`";
    StepsAndGraph = "steps-and-graph", Error, "An authored pipeline and a generated plan in one mapping";
    UnsupportedVersion = "unsupported-version", Error, "A format version that does not exist";
    UnknownKey = "unknown-key", Error, "An unknown key";
    MisplacedKey = "misplaced-key", Error, "A key in the wrong place";
    MissingKey = "missing-key", Error, "A required key is missing";
    DuplicateMappingKey = "duplicate-mapping-key", Error, "The same key twice in one mapping";
    WrongType = "wrong-type", Error, "A value of the wrong type";
    BadValue = "bad-value", Error, "A value that is not allowed";
    ControlCharacter = "control-character", Error, "An invisible or terminal control character";
    EmptyList = "empty-list", Error, "An empty list where an entry is required";
    DuplicateStepKey = "duplicate-step-key", Error, "Two steps with the same key";
    CollidingStepKeys = "colliding-step-keys", Error, "Two step keys that map to the same container and image names";
    UnknownStep = "unknown-step", Error, "A reference to a step that does not exist";
    SelfReference = "self-reference", Error, "A step that refers to itself";
    Cycle = "cycle", Error, "Steps that wait for each other in a cycle";
    SeveralParents = "several-parents", Error, "A step that builds in more than one step";
    BadEdge = "bad-edge", Error, "An edge to a node that does not exist";
    ReferenceAcrossWait = "reference-across-wait", Error, "A reference to a step after a later `wait`";
    ImageWithoutEffect = "image-without-effect", Warning, "An `image` next to `builds_in`";
    RedundantDependency = "redundant-dependency", Hint, "A dependency that is already implied";
    InvalidImage = "invalid-image", Error, "An invalid image reference";
    UnpinnedImage = "unpinned-image", Hint, "An image without a fixed version";
    BadEnvName = "bad-env-name", Error, "An invalid environment variable name";
    ReplacedVariable = "replaced-variable", Warning, "A variable that replaces the one it should extend";
    UnknownPolicy = "unknown-policy", Error, "An unknown cache policy";
    MissingPolicyKey = "missing-policy-key", Error, "A key that the cache policy requires is missing";
    UnknownRunner = "unknown-runner", Error, "An unknown runner";
    ServicesOnHost = "services-on-host", Error, "Services in a step that runs on the host";
    TimeoutTooLong = "timeout-too-long", Warning, "A step timeout longer than its pipeline's";
    RelativeWorkdir = "relative-workdir", Error, "A working directory that is not an absolute path";
    MissingFolder = "missing-folder", Warning, "A working directory that does not exist in the sources";
    UnmatchedPath = "unmatched-path", Warning, "A cache policy path that matches no file";
    ShellSyntax = "shell-syntax", Error, "A command that the shell cannot parse";
    BashOnly = "bash-only", Warning, "Shell syntax that only some shells read";
    Shebang = "shebang", Warning, "A `#!` line in a command";
    YamlTag = "yaml-tag", Warning, "A `!` that YAML takes for a tag";
    FoldedCommand = "folded-command", Warning, "A folded command that does not mean what it looks like";
    ForeignExpression = "foreign-expression", Warning, "An expression that is not replaced";
    UnknownAxis = "unknown-axis", Error, "A name that no combination of the matrix has";
    UnusedAxis = "unused-axis", Hint, "An axis of a matrix that the file does not use";
    IdleMatrixEntry = "idle-matrix-entry", Warning, "An entry of a matrix that changes nothing";
    NoArtifacts = "no-artifacts", Warning, "A step that needs the artifacts of a step without any";
    OverwrittenArtifacts = "overwritten-artifacts", Warning, "Artifacts of several combinations at one path";
    UnmatchableGlob = "unmatchable-glob", Warning, "A glob of `artifacts` that can match no file";
    BadCacheMount = "bad-cache-mount", Error, "A cache mount at a path where none can be";
    OverlappingCacheMounts = "overlapping-cache-mounts", Error, "Two cache mounts of a step that are one folder, or one inside the other";
    InsideCacheMount = "inside-cache-mount", Warning, "An artifact or an `on_change` path in a cache mount";
    ReuseWithoutEffect = "reuse-without-effect", Warning, "A last result that is never started from";
    UnexpandedPath = "unexpanded-path", Warning, "A path with `~` or a variable, which are not replaced";
    UnnoticedFailure = "unnoticed-failure", Hint, "A command in which a failure goes unnoticed";
    Shellcheck = "shellcheck", Warning, "A ShellCheck finding in a command";
    SecretLiteral = "secret-literal", Warning, "A value that looks like a secret";
    SecretConsent = "secret-consent", Information, "A secret that this project is not allowed to use yet";
    YamlTrap = "yaml-trap", Hint, "A value that other YAML parsers read differently";
}

impl Code {
    /// Returns the code with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }

    /// Returns the code that a misspelt name probably means.
    pub fn nearest(name: &str) -> Option<Self> {
        Self::named(nearest(name, Self::ALL.iter().map(|code| code.as_str()))?)
    }
}
