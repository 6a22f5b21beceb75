//! The pipeline as its author means it, independent of its spelling. Every name keeps its range.

mod matrix;
mod ranges;

use crate::arguments::value::Value;
use crate::shell::Dialect;
use crate::text::{Spanned, TextRange};

pub(crate) use matrix::variable as matrix_variable;
pub use matrix::{Assignments, Axis, Combination, Matrix, MatrixName};

/// Which of the four spellings a pipeline was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spelling {
    AuthoredYaml,
    AuthoredJson,
    /// Plan JSON, wire format v0.
    Plan,
    /// An entry of an envelope.
    Envelope,
}

impl Spelling {
    /// Tells whether people write it, and no generator.
    pub fn is_authored(self) -> bool {
        matches!(self, Self::AuthoredYaml | Self::AuthoredJson)
    }
}

/// One pipeline: a YAML document, a JSON file, a plan, or an entry of an envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    pub spelling: Spelling,
    /// The whole pipeline.
    pub range: TextRange,
    /// The line a person reads as its heading: `name`, else its first key. The pipeline's lens is shown here.
    pub heading: TextRange,
    pub name: Option<Spanned<String>>,
    pub default_image: Option<Spanned<String>>,
    pub timeout_seconds: Option<Spanned<u64>>,
    pub env: Vec<EnvVar>,
    pub fail_fast: Option<Spanned<bool>>,
    pub triggers: Vec<Trigger>,
    /// In file order. A step without a usable key is left out here (a finding reports it).
    pub steps: Vec<Step>,
    /// The steps that were left out, with an empty key: checked, and never run.
    pub unnamed_steps: Vec<Step>,
    pub barriers: Vec<Barrier>,
}

/// A `wait`: what comes after depends on everything between it and the barrier before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    pub range: TextRange,
    /// How many of `Pipeline::steps` come before it.
    pub after_steps: usize,
    pub continue_on_failure: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvVar {
    pub name: Spanned<String>,
    /// The source text of the scalar: `0777` stays `0777`.
    pub value: Spanned<String>,
}

/// Carried and checked, never acted on locally.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    pub range: TextRange,
    pub event: Option<Spanned<String>>,
    /// The trigger as it is written.
    pub details: Value,
}

/// One command in one container.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The whole step.
    pub range: TextRange,
    pub key: Spanned<String>,
    pub label: Option<Spanned<String>>,
    /// `None` if it is missing or not a string; such a pipeline has an error and cannot run.
    pub cmd: Option<Spanned<String>>,
    /// The program that runs it, with its options: the step's own, its pipeline's or its project's. `None`: `sh`.
    pub shell: Option<Spanned<Vec<String>>>,
    pub image: Option<Spanned<String>>,
    pub builds_in: Option<Spanned<String>>,
    pub depends_on: Vec<Spanned<String>>,
    /// The value of `depends_on` as it is written: a list, a string or an alias.
    pub depends_on_value: Option<TextRange>,
    pub env: Vec<EnvVar>,
    pub timeout_seconds: Option<Spanned<u64>>,
    pub workdir: Option<Spanned<String>>,
    pub cache: Option<Spanned<Cache>>,
    pub cache_mounts: Vec<CacheMount>,
    pub reuse: Option<Spanned<Reuse>>,
    /// Whether it gets the project's git history: its own value or its pipeline's.
    pub git: Option<Spanned<bool>>,
    pub runner: Option<Spanned<String>>,
    pub runner_args: Option<Spanned<SpannedValue>>,
    pub artifacts: Vec<Spanned<String>>,
    pub artifacts_when: Option<Spanned<ArtifactsWhen>>,
    /// The steps whose artifacts it gets.
    pub needs_artifacts: Vec<Spanned<String>>,
    pub secrets: Vec<Spanned<String>>,
    pub soft_fail: Option<Spanned<bool>>,
    pub retry: Option<Spanned<u64>>,
    /// What makes it several steps.
    pub matrix: Option<Box<Matrix>>,
    /// The key of the step whose matrix it is a combination of. Only `expand` makes such steps.
    pub template: Option<Box<str>>,
}

impl Pipeline {
    /// Returns every step, with those that have no usable key last.
    pub fn all_steps(&self) -> impl Iterator<Item = &Step> + Clone {
        self.steps.iter().chain(&self.unnamed_steps)
    }

    /// Tells whether it has this name.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.name.as_ref().is_some_and(|own| own.value == name)
    }

    /// Tells whether any step has a matrix.
    pub fn has_matrix(&self) -> bool {
        self.steps.iter().any(|step| step.matrix.is_some())
    }
}

impl Step {
    /// Returns what reads its command; `None` if that is no shell whose grammar is known.
    pub fn dialect(&self) -> Option<Dialect> {
        self.shell.as_ref().map_or(Some(Dialect::Sh), |shell| Dialect::of(&shell.value))
    }

    /// Returns every name by which it refers to another step.
    pub(crate) fn named_steps(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.builds_in.iter().chain(&self.depends_on).chain(&self.needs_artifacts)
    }

    /// Returns the combinations of its matrix.
    pub fn combinations(&self) -> &[Combination] {
        self.matrix.as_ref().map_or(&[], |matrix| matrix.combinations())
    }

    /// Returns the values in which expressions of its matrix are replaced.
    pub(crate) fn replaced_values(&self) -> Vec<&Spanned<String>> {
        let env = self.env.iter().map(|variable| &variable.value);
        let mut values: Vec<&Spanned<String>> = self.image.iter().chain(&self.label).chain(env).collect();
        if let Some(cache) = &self.cache {
            values.extend(&cache.value.key);
            cache.value.policy.add_texts(&mut values);
        }
        values
    }

    /// Returns how a sentence about it starts.
    pub(crate) fn called(&self) -> String {
        if self.key.value.is_empty() { "This step".to_owned() } else { format!("Step `{}`", self.key.value) }
    }
}

/// A folder that outlives runs and is part of no step's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount {
    /// The whole mount: the path alone, or a mapping.
    pub range: TextRange,
    /// As it is written.
    pub path: Spanned<String>,
    pub name: Option<Spanned<String>>,
    pub sharing: Sharing,
}

/// What happens if several steps use a cache mount at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sharing {
    #[default]
    Shared,
    /// The others wait.
    Locked,
    /// Each gets a folder of its own.
    Private,
}

impl Sharing {
    /// Returns the value with a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Shared, Self::Locked, Self::Private].into_iter().find(|sharing| sharing.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Locked => "locked",
            Self::Private => "private",
        }
    }
}

/// What a step starts from if it runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reuse {
    /// Its image, or the step it builds in.
    #[default]
    Parent,
    /// Its own last result.
    Last,
}

impl Reuse {
    /// Returns the value with a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Parent, Self::Last].into_iter().find(|reuse| reuse.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Last => "last",
        }
    }
}

/// After which outcome the artifacts of a step are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArtifactsWhen {
    #[default]
    OnSuccess,
    OnFailure,
    Always,
}

impl ArtifactsWhen {
    /// Returns the value with a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::OnSuccess, Self::OnFailure, Self::Always].into_iter().find(|when| when.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OnSuccess => "on_success",
            Self::OnFailure => "on_failure",
            Self::Always => "always",
        }
    }

    /// Tells whether artifacts are copied after a success, or else a failure.
    pub fn applies(self, has_succeeded: bool) -> bool {
        match self {
            Self::OnSuccess => has_succeeded,
            Self::OnFailure => !has_succeeded,
            Self::Always => true,
        }
    }
}

/// When a step's result may be reused from an earlier run.
///
/// In a model every name keeps its range; in a plan names are plain strings.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache<Name = Spanned<String>> {
    pub policy: CachePolicy<Name>,
    /// A precomputed key, as plans carry it. It takes precedence over the policy.
    pub key: Option<Name>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum CachePolicy<Name = Spanned<String>> {
    None,
    Forever { env_keys: Vec<Name> },
    Ttl { duration_seconds: u64, env_keys: Vec<Name> },
    OnChange { paths: Vec<Name> },
    Compose { sub_policies: Vec<Self> },
}

impl Cache {
    /// Returns the same without ranges.
    pub(crate) fn plain(&self) -> Cache<String> {
        Cache { policy: self.policy.plain(), key: self.key.as_ref().map(|key| key.value.clone()) }
    }
}

impl CachePolicy {
    fn add_texts<'a>(&'a self, texts: &mut Vec<&'a Spanned<String>>) {
        match self {
            Self::None => {}
            Self::Forever { env_keys } | Self::Ttl { env_keys, .. } => texts.extend(env_keys),
            Self::OnChange { paths } => texts.extend(paths),
            Self::Compose { sub_policies } => sub_policies.iter().for_each(|policy| policy.add_texts(texts)),
        }
    }

    fn plain(&self) -> CachePolicy<String> {
        let plain = |names: &[Spanned<String>]| names.iter().map(|name| name.value.clone()).collect();
        match self {
            Self::None => CachePolicy::None,
            Self::Forever { env_keys } => CachePolicy::Forever { env_keys: plain(env_keys) },
            Self::Ttl { duration_seconds, env_keys } => {
                CachePolicy::Ttl { duration_seconds: *duration_seconds, env_keys: plain(env_keys) }
            }
            Self::OnChange { paths } => CachePolicy::OnChange { paths: plain(paths) },
            Self::Compose { sub_policies } => {
                CachePolicy::Compose { sub_policies: sub_policies.iter().map(Self::plain).collect() }
            }
        }
    }
}

/// An argument of a runner, with the places its parts were read from. Mappings keep file order.
#[derive(Debug, Clone, PartialEq)]
pub enum SpannedValue {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<SpannedValue>>),
    Map(Vec<(Spanned<String>, Spanned<SpannedValue>)>),
}

impl SpannedValue {
    /// Returns the entries of a mapping; none if it is something else.
    pub(crate) fn entries(&self) -> &[(Spanned<String>, Spanned<Self>)] {
        match self {
            Self::Map(entries) => entries,
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) | Self::Text(_) | Self::List(_) => &[],
        }
    }

    /// Returns the same value without ranges.
    pub fn plain(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Integer(value) => Value::Integer(*value),
            Self::Float(value) => Value::Float(*value),
            Self::Text(text) => Value::Text(text.clone()),
            Self::List(items) => Value::List(items.iter().map(|item| item.value.plain()).collect()),
            Self::Map(entries) => {
                Value::Map(entries.iter().map(|(name, value)| (name.value.clone(), value.value.plain())).collect())
            }
        }
    }
}
