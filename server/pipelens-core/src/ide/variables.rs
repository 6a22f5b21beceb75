//! The variables of a pipeline: what sets each, and every place in a command that names it.

mod provided;
mod setter;

use std::collections::HashMap;

use super::anchors::Targets;
use crate::analysis::Analysis;
use crate::model::{Cache, CachePolicy, Pipeline, SpannedValue, Step};
use crate::shell::variables::{Role, Variables};
use crate::syntax::offsets::Offsets;
use crate::text::{Spanned, TextRange};

pub(super) use provided::provided;
pub(super) use setter::{Setter, Variable};

/// A place that names a variable.
#[derive(Debug, Clone)]
pub(super) struct Mention<'a> {
    pub(super) name: String,
    /// The name in the file, without its quotes.
    pub(super) range: TextRange,
    pub(super) setter: Setter<'a>,
    /// The place sets the variable itself.
    pub(super) sets: bool,
    /// The command that contains it.
    pub(super) command: Option<TextRange>,
    /// Which of the file's pipelines it is in.
    pub(super) pipeline: usize,
}

impl Mention<'_> {
    /// Tells whether the cursor is on it, `$` and brace included.
    fn touches(&self, text: &str, offset: usize) -> bool {
        let before = text.get(..self.range.start).unwrap_or_default();
        let mark = ["${", "$"].iter().find(|mark| before.ends_with(**mark)).map_or(0, |mark| mark.len());
        TextRange::new(self.range.start - mark, self.range.end).touches(offset)
    }

    /// Tells whether both name the same variable.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self.setter, other.setter) {
            (Setter::Command, Setter::Command) => self.command == other.command && self.name == other.name,
            (Setter::Runner(_), Setter::Runner(_)) => self.name == other.name,
            (Setter::Nothing(_), Setter::Nothing(_)) => self.name == other.name && self.command == other.command,
            (one, another) => one.place().is_some() && one.place() == another.place(),
        }
    }
}

/// Returns the variable that is named at an offset.
pub(super) fn at(analysis: &Analysis, offset: usize) -> Option<Mention<'_>> {
    let found = mentions(analysis, |range| range.touches(offset), |_| true);
    found.into_iter().find(|mention| mention.touches(&analysis.text, offset))
}

/// Returns every place of a file that names one of some variables. A shared command has its places once for each step that runs it.
pub(super) fn named<'a>(analysis: &'a Analysis, names: &[&str]) -> Vec<Mention<'a>> {
    mentions(analysis, |_| true, |name| names.contains(&name))
}

/// Returns the variables a command at an offset can expand, and the command.
pub(super) fn command_at(analysis: &Analysis, offset: usize) -> Option<(Scope<'_>, Spanned<String>)> {
    let targets = Targets::new(analysis);
    for pipeline in &analysis.pipelines {
        for step in pipeline.all_steps() {
            let commands = commands(pipeline, step, &targets, &|range| range.touches(offset));
            if let Some(found) = commands.into_iter().next() {
                return Some(found);
            }
        }
    }
    None
}

fn mentions(
    analysis: &Analysis,
    is_wanted: impl Fn(TextRange) -> bool,
    is_named: impl Fn(&str) -> bool,
) -> Vec<Mention<'_>> {
    let is_defined = |setter: &Setter<'_>| setter.name().is_some_and(&is_named);
    let targets = Targets::new(analysis);
    let mut found = Vec::new();
    for (index, pipeline) in analysis.pipelines.iter().enumerate() {
        let first = found.len();
        let shared = pipeline.env.iter().map(|variable| Setter::Pipeline(Variable::of(variable)));
        found.extend(shared.filter(is_defined).filter_map(|setter| defined(analysis, setter, &is_wanted)));
        for step in pipeline.all_steps() {
            let own = step.env.iter().map(|variable| Setter::Step(step, Variable::of(variable)));
            let secrets = step.secrets.iter().map(|secret| Setter::Secret(step, secret));
            let services = services(step).flat_map(|(name, service)| {
                service_env(service).map(move |variable| Setter::Service(step, name.value.as_str(), variable))
            });
            let setters = own.chain(secrets).chain(services);
            found.extend(setters.filter(is_defined).filter_map(|setter| defined(analysis, setter, &is_wanted)));
            for (scope, command) in commands(pipeline, step, &targets, &is_wanted) {
                used(analysis, &scope, &command, &is_named, &mut found);
            }
            let keys = step.cache.iter().flat_map(|cache| env_keys(&cache.value));
            let mut keys = keys.filter(|key| is_wanted(key.range) && is_named(&key.value)).peekable();
            if keys.peek().is_some() {
                let scope = Scope::of_step(pipeline, step);
                found.extend(keys.map(|key| Mention {
                    name: key.value.clone(),
                    range: content(&analysis.text, key.range),
                    setter: scope.setter(&key.value),
                    sets: false,
                    command: None,
                    pipeline: 0,
                }));
            }
        }
        found.iter_mut().skip(first).for_each(|mention| mention.pipeline = index);
    }
    found
}

/// Returns the place that sets a variable.
fn defined<'a>(analysis: &Analysis, setter: Setter<'a>, is_wanted: &impl Fn(TextRange) -> bool) -> Option<Mention<'a>> {
    let range = setter.place().filter(|range| is_wanted(*range))?;
    let name = setter.name()?.to_owned();
    Some(Mention { name, range: content(&analysis.text, range), setter, sets: true, command: None, pipeline: 0 })
}

/// Returns a name without the quotes around it.
fn content(text: &str, range: TextRange) -> TextRange {
    let written = range.of(text);
    let is_quoted = written.len() >= 2 && (written.starts_with('"') || written.starts_with('\''));
    if is_quoted { TextRange::new(range.start + 1, range.end - 1) } else { range }
}

fn used<'a>(
    analysis: &'a Analysis,
    scope: &Scope<'a>,
    command: &Spanned<String>,
    is_named: &impl Fn(&str) -> bool,
    found: &mut Vec<Mention<'a>>,
) {
    let variables = Variables::of(&command.value);
    if variables.occurrences.is_empty() {
        return;
    }
    let Some(offsets) = Offsets::of(&analysis.text, command) else { return };
    for occurrence in variables.occurrences.iter().filter(|occurrence| is_named(occurrence.name)) {
        let Some(range) = offsets.source(occurrence.range) else { continue };
        found.push(Mention {
            name: occurrence.name.to_owned(),
            range,
            setter: if occurrence.is_local { Setter::Command } else { scope.setter(occurrence.name) },
            sets: occurrence.role == Role::Assigned,
            command: Some(command.range),
            pipeline: 0,
        });
    }
}

/// What sets the variables of a command.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) by_name: HashMap<&'a str, Setter<'a>>,
    pub(super) step: &'a Step,
    is_service: bool,
}

impl<'a> Scope<'a> {
    /// A secret takes precedence over the step's `env`, which takes precedence over its matrix, and that over the pipeline's `env`.
    pub(super) fn of_step(pipeline: &'a Pipeline, step: &'a Step) -> Self {
        let shared = pipeline.env.iter().map(|variable| Setter::Pipeline(Variable::of(variable)));
        let own = step.env.iter().map(|variable| Setter::Step(step, Variable::of(variable)));
        let secrets = step.secrets.iter().map(|secret| Setter::Secret(step, secret));
        let matrix = step.matrix.iter().flat_map(|matrix| &matrix.names).map(|name| Setter::Matrix(step, name));
        let setters = shared.chain(matrix).chain(own).chain(secrets);
        let by_name = setters.filter_map(|setter| Some((setter.name()?, setter))).collect();
        Self { by_name, step, is_service: false }
    }

    fn of_service(name: &'a str, service: &'a SpannedValue, step: &'a Step) -> Self {
        let setter = |variable: Variable<'a>| (variable.name.value.as_str(), Setter::Service(step, name, variable));
        let by_name = service_env(service).map(setter);
        Self { by_name: by_name.collect(), step, is_service: true }
    }

    /// Returns the variables the runner sets for such a command.
    pub(super) fn provided(&self) -> &'static [provided::Provided] {
        let runner = self.step.runner.as_ref().filter(|_| !self.is_service);
        provided(runner.map(|runner| runner.value.as_str()))
    }

    fn setter(&self, name: &str) -> Setter<'a> {
        if let Some(setter) = self.by_name.get(name) {
            return *setter;
        }
        let provided = self.provided().iter().find(|variable| variable.name == name);
        provided.map_or(Setter::Nothing(self.step), Setter::Runner)
    }
}

/// Returns the commands of a step and its services, at their places in the file even if an alias puts them there.
fn commands<'a>(
    pipeline: &'a Pipeline,
    step: &'a Step,
    targets: &Targets,
    is_wanted: &impl Fn(TextRange) -> bool,
) -> Vec<(Scope<'a>, Spanned<String>)> {
    let placed = |value: &str, range| Spanned::new(value.to_owned(), targets.resolved(range));
    let mut found = Vec::new();
    if let Some(cmd) =
        step.cmd.as_ref().filter(|cmd| step.dialect().is_some() && is_wanted(targets.resolved(cmd.range)))
    {
        found.push((Scope::of_step(pipeline, step), placed(&cmd.value, cmd.range)));
    }
    for (name, service) in services(step) {
        let parts = service.entries().iter().filter(|(key, _)| matches!(key.value.as_str(), "cmd" | "ready"));
        for (_, part) in parts.filter(|(_, part)| is_wanted(targets.resolved(part.range))) {
            if let SpannedValue::Text(text) = &part.value {
                found.push((Scope::of_service(&name.value, service, step), placed(text, part.range)));
            }
        }
    }
    found
}

fn services(step: &Step) -> impl Iterator<Item = (&Spanned<String>, &SpannedValue)> {
    let arguments = step.runner_args.iter().flat_map(|arguments| arguments.value.entries());
    let services = arguments.filter(|(name, _)| name.value == "services").take(1);
    services.flat_map(|(_, services)| services.value.entries()).map(|(name, service)| (name, &service.value))
}

fn service_env(service: &SpannedValue) -> impl Iterator<Item = Variable<'_>> {
    let env = service.entries().iter().filter(|(key, _)| key.value == "env");
    env.flat_map(|(_, env)| env.value.entries()).filter_map(|(name, value)| match &value.value {
        SpannedValue::Text(text) => Some(Variable { name, value: text, value_range: value.range }),
        _ => None,
    })
}

/// Returns the variables whose values are part of a step's cache key.
fn env_keys(cache: &Cache) -> Vec<&Spanned<String>> {
    fn collect<'a>(policy: &'a CachePolicy, keys: &mut Vec<&'a Spanned<String>>) {
        match policy {
            CachePolicy::None | CachePolicy::OnChange { .. } => {}
            CachePolicy::Forever { env_keys } | CachePolicy::Ttl { env_keys, .. } => keys.extend(env_keys),
            CachePolicy::Compose { sub_policies } => sub_policies.iter().for_each(|policy| collect(policy, keys)),
        }
    }
    let mut keys = Vec::new();
    collect(&cache.policy, &mut keys);
    keys
}
