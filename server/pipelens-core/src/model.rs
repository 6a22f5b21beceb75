//! The pipeline as its author means it, whatever spelling it was written in. Every name keeps its range.

use crate::arguments::{Service, services};
use crate::text::{Spanned, TextRange};

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

/// One pipeline: a YAML document, a JSON file, a plan, or an entry of an envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    pub spelling: Spelling,
    /// The whole pipeline.
    pub range: TextRange,
    /// The line a person reads as its heading: `name`, else its first key. The pipeline's lens stands here.
    pub heading: TextRange,
    pub name: Option<Spanned<String>>,
    pub default_image: Option<Spanned<String>>,
    pub timeout_seconds: Option<Spanned<u64>>,
    pub env: Vec<EnvVar>,
    pub fail_fast: Option<Spanned<bool>>,
    pub triggers: Vec<Trigger>,
    /// In file order. A step without a usable key is left out here (its finding says so).
    pub steps: Vec<Step>,
    /// The steps that were left out, with an empty key: checked, and never run.
    pub unnamed_steps: Vec<Step>,
    pub barriers: Vec<Barrier>,
}

/// A `wait`: what comes after depends on everything between it and the barrier before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    pub range: TextRange,
    /// How many of `Pipeline::steps` stand before it.
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
    /// `None` while it is missing or not a text; such a pipeline has an error and does not run.
    pub cmd: Option<Spanned<String>>,
    pub image: Option<Spanned<String>>,
    pub builds_in: Option<Spanned<String>>,
    pub depends_on: Vec<Spanned<String>>,
    pub env: Vec<EnvVar>,
    pub timeout_seconds: Option<Spanned<u64>>,
    pub workdir: Option<Spanned<String>>,
    pub cache: Option<Spanned<Cache>>,
    pub runner: Option<Spanned<String>>,
    pub runner_args: Option<Spanned<Value>>,
    pub artifacts: Vec<Spanned<String>>,
    pub secrets: Vec<Spanned<String>>,
    pub soft_fail: Option<Spanned<bool>>,
    pub retry: Option<Spanned<u64>>,
}

impl Step {
    /// Returns the services it asks for, without those that cannot be read: they have their finding.
    pub(crate) fn services(&self) -> impl Iterator<Item = Service> {
        self.runner_args.iter().flat_map(|arguments| services(&arguments.value)).flatten()
    }

    /// Returns what a sentence about it starts with.
    pub(crate) fn called(&self) -> String {
        if self.key.value.is_empty() { "This step".to_owned() } else { format!("Step `{}`", self.key.value) }
    }
}

/// When a step's result may be taken from an earlier run.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    pub policy: CachePolicy,
    /// A ready-made key, as plans carry it. It wins.
    pub key: Option<Spanned<String>>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum CachePolicy {
    None,
    Forever { env_keys: Vec<Spanned<String>> },
    Ttl { duration_seconds: u64, env_keys: Vec<Spanned<String>> },
    OnChange { paths: Vec<Spanned<String>> },
    Compose { sub_policies: Vec<CachePolicy> },
}

/// A value whose shape somebody else knows (`runner_args`). Mappings keep file order.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Value>>),
    Map(Vec<(Spanned<String>, Spanned<Value>)>),
}
