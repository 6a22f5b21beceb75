//! What the values of keys have to be.

use super::place::Place;

/// What a value has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    Text,
    NonEmptyText,
    /// A name that people read: one line of visible characters, of limited length.
    Name,
    Bool,
    Integer {
        min: u64,
        max: u64,
    },
    /// The only version there is.
    Version(&'static str),
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// A string with a meaning of its own, so that completion and hover know what it is.
    Image,
    StepKey,
    /// The name of an environment variable or a secret.
    VariableName,
    Runner,
    Policy,
    AbsolutePath,
    /// One step key, or a list of them.
    StepKeys,
    /// A program and its options, as words in one string or in a list.
    Shell,
    /// A mapping from names to scalars; in a plan, to strings.
    Env,
    PlanEnv,
    Map(Place),
    /// A mapping, or nothing at all.
    OptionalMap(Place),
    /// A list of strings, or a mapping that contains it.
    TextsOrMap(Place),
    /// The path of a cache mount.
    MountPath,
    /// The path of a cache mount, or a mapping that contains it.
    MountPathOrMap(Place),
    List {
        of: &'static Shape,
        may_be_empty: bool,
    },
    /// A single value of any type, taken as it is written.
    Scalar,
    /// Steps and barriers.
    Steps,
    /// `[from, to, kind]`.
    Edge,
    /// A string or a number that has to follow a rule.
    Argument(Argument),
    Anything,
}

/// What an argument of a runner may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    Any,
    Network,
    Memory,
    Cpus,
    Mount,
    Ready,
    Ulimit,
    ExtraHost,
    Tmpfs,
    Gpus,
}

impl Shape {
    /// Returns the kind of mapping found in such a value: the value itself, or each item of its list.
    pub(crate) fn place(&self) -> Option<Place> {
        match self {
            Self::Map(place) | Self::OptionalMap(place) | Self::TextsOrMap(place) | Self::MountPathOrMap(place) => {
                Some(*place)
            }
            Self::List { of, .. } => of.place(),
            Self::Steps => Some(Place::Step),
            Self::Text
            | Self::NonEmptyText
            | Self::Name
            | Self::Bool
            | Self::Integer { .. }
            | Self::Version(_)
            | Self::OneOf(_)
            | Self::Image
            | Self::StepKey
            | Self::VariableName
            | Self::Runner
            | Self::Policy
            | Self::AbsolutePath
            | Self::MountPath
            | Self::StepKeys
            | Self::Shell
            | Self::Env
            | Self::PlanEnv
            | Self::Scalar
            | Self::Edge
            | Self::Argument(_)
            | Self::Anything => None,
        }
    }

    /// Tells whether such a value is a list of strings.
    pub(crate) fn is_list_of_texts(&self) -> bool {
        matches!(
            self,
            Self::StepKeys
                | Self::TextsOrMap(_)
                | Self::List { of: Self::VariableName | Self::NonEmptyText | Self::MountPathOrMap(_), .. }
        )
    }
}
