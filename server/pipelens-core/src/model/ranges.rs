//! Moving a model to other places: those of the program that made it.

use super::{Cache, CachePolicy, EnvVar, Pipeline, SpannedValue, Step};
use crate::text::{Spanned, TextRange};

impl Pipeline {
    /// Puts everything but its steps at one place.
    pub(crate) fn place(&mut self, range: TextRange) {
        (self.range, self.heading) = (range, range);
        put(&mut self.name, range);
        put(&mut self.default_image, range);
        put(&mut self.timeout_seconds, range);
        put(&mut self.fail_fast, range);
        place_variables(&mut self.env, range);
        for trigger in &mut self.triggers {
            trigger.range = range;
            put(&mut trigger.event, range);
        }
        self.barriers.iter_mut().for_each(|barrier| barrier.range = range);
    }
}

impl Step {
    /// Moves a step and its command.
    pub(crate) fn move_to(&mut self, moved: impl Fn(TextRange) -> TextRange) {
        let cmd = self.cmd.as_ref().map(|cmd| moved(cmd.range));
        self.place(moved(self.range));
        if let (Some(cmd), Some(range)) = (&mut self.cmd, cmd) {
            cmd.range = range;
        }
    }

    /// Puts a step and all it says at one place. Plans have no matrices.
    pub(crate) fn place(&mut self, range: TextRange) {
        self.range = range;
        self.key.range = range;
        put(&mut self.label, range);
        put(&mut self.cmd, range);
        put(&mut self.shell, range);
        put(&mut self.image, range);
        put(&mut self.builds_in, range);
        put_all(&mut self.depends_on, range);
        self.depends_on_value = self.depends_on_value.map(|_| range);
        place_variables(&mut self.env, range);
        put(&mut self.timeout_seconds, range);
        put(&mut self.workdir, range);
        if let Some(cache) = &mut self.cache {
            cache.range = range;
            place_cache(&mut cache.value, range);
        }
        for mount in &mut self.cache_mounts {
            mount.range = range;
            mount.path.range = range;
            put(&mut mount.name, range);
        }
        put(&mut self.reuse, range);
        put(&mut self.git, range);
        put(&mut self.runner, range);
        if let Some(arguments) = &mut self.runner_args {
            arguments.range = range;
            place_value(&mut arguments.value, range);
        }
        put_all(&mut self.artifacts, range);
        put(&mut self.artifacts_when, range);
        put_all(&mut self.needs_artifacts, range);
        put_all(&mut self.secrets, range);
        put(&mut self.soft_fail, range);
        put(&mut self.retry, range);
    }
}

fn put<T>(spanned: &mut Option<Spanned<T>>, range: TextRange) {
    if let Some(spanned) = spanned {
        spanned.range = range;
    }
}

fn put_all<T>(list: &mut [Spanned<T>], range: TextRange) {
    list.iter_mut().for_each(|spanned| spanned.range = range);
}

fn place_variables(variables: &mut [EnvVar], range: TextRange) {
    for variable in variables {
        variable.name.range = range;
        variable.value.range = range;
    }
}

fn place_cache(cache: &mut Cache, range: TextRange) {
    put(&mut cache.key, range);
    place_policy(&mut cache.policy, range);
}

fn place_policy(policy: &mut CachePolicy, range: TextRange) {
    match policy {
        CachePolicy::None => {}
        CachePolicy::Forever { env_keys } | CachePolicy::Ttl { env_keys, .. } => put_all(env_keys, range),
        CachePolicy::OnChange { paths } => put_all(paths, range),
        CachePolicy::Compose { sub_policies } => {
            sub_policies.iter_mut().for_each(|policy| place_policy(policy, range));
        }
    }
}

fn place_value(value: &mut SpannedValue, range: TextRange) {
    match value {
        SpannedValue::List(items) => {
            for item in items {
                item.range = range;
                place_value(&mut item.value, range);
            }
        }
        SpannedValue::Map(entries) => {
            for (name, value) in entries {
                name.range = range;
                value.range = range;
                place_value(&mut value.value, range);
            }
        }
        SpannedValue::Null
        | SpannedValue::Bool(_)
        | SpannedValue::Integer(_)
        | SpannedValue::Float(_)
        | SpannedValue::Text(_) => {}
    }
}
