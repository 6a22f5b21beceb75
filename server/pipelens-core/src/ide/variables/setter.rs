//! What sets a variable.

use super::provided::Provided;
use crate::model::{EnvVar, MatrixName, Step};
use crate::text::{Spanned, TextRange};

/// An entry of an `env`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variable<'a> {
    pub(crate) name: &'a Spanned<String>,
    pub(crate) value: &'a str,
    pub(crate) value_range: TextRange,
}

impl<'a> Variable<'a> {
    pub(super) fn of(variable: &'a EnvVar) -> Self {
        Self { name: &variable.name, value: &variable.value.value, value_range: variable.value.range }
    }
}

/// What sets a variable.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Setter<'a> {
    /// The pipeline's `env`.
    Pipeline(Variable<'a>),
    /// The step's `env`.
    Step(&'a Step, Variable<'a>),
    Secret(&'a Step, &'a Spanned<String>),
    /// The step's matrix.
    Matrix(&'a Step, &'a MatrixName),
    /// The `env` of the step's service with this name.
    Service(&'a Step, &'a str, Variable<'a>),
    Runner(&'static Provided),
    /// The command itself.
    Command,
    /// Nothing in the file; the step that names it.
    Nothing(&'a Step),
}

impl<'a> Setter<'a> {
    /// Returns the name in the file that sets it.
    pub(crate) fn place(&self) -> Option<TextRange> {
        self.spanned().map(|name| name.range)
    }

    pub(crate) fn name(&self) -> Option<&'a str> {
        self.spanned().map(|name| name.value.as_str())
    }

    /// Returns its entry, if it is in an `env`.
    pub(crate) fn variable(&self) -> Option<Variable<'a>> {
        match self {
            Self::Pipeline(variable) | Self::Step(_, variable) | Self::Service(_, _, variable) => Some(*variable),
            Self::Secret(..) | Self::Matrix(..) | Self::Runner(_) | Self::Command | Self::Nothing(_) => None,
        }
    }

    fn spanned(&self) -> Option<&'a Spanned<String>> {
        match self {
            Self::Pipeline(variable) | Self::Step(_, variable) | Self::Service(_, _, variable) => Some(variable.name),
            Self::Secret(_, name) => Some(name),
            Self::Matrix(_, name) => Some(&name.variable),
            Self::Runner(_) | Self::Command | Self::Nothing(_) => None,
        }
    }
}
