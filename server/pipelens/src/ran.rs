//! Fingerprints of what steps run, to tell whether a step has been edited since. They are equal exactly where a run would do the same, apart from
//! names that only people read and from what the step waits for.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use pipelens_core::plan::{BootsFrom, Plan, PlanStep};

/// Returns the fingerprint of each step of a plan.
pub(crate) fn fingerprints(plan: &Plan) -> Vec<u64> {
    // Steps in a row share their variables.
    let mut last: Option<(Arc<BTreeMap<String, String>>, u64)> = None;
    let steps = plan.steps.iter().map(|step| {
        let env = match &last {
            Some((env, hash)) if Arc::ptr_eq(env, &step.env) => *hash,
            Some(_) | None => {
                let mut hasher = DefaultHasher::new();
                step.env.hash(&mut hasher);
                last.insert((step.env.clone(), hasher.finish())).1
            }
        };
        fingerprint(plan, step, env)
    });
    steps.collect()
}

fn fingerprint(plan: &Plan, step: &PlanStep, env: u64) -> u64 {
    let key = |index: usize| plan.steps.get(index).map(|step| step.key.as_str());
    let mut hasher = DefaultHasher::new();
    (&step.key, &step.cmd, &step.shell, env, step.timeout_seconds, &step.workdir).hash(&mut hasher);
    match &step.boots_from {
        BootsFrom::Image(image) => (0, Some(image.as_str())).hash(&mut hasher),
        BootsFrom::Step(parent) => (1, key(*parent)).hash(&mut hasher),
    }
    (step.git, &step.runner, &step.artifacts, &step.secrets, step.soft_fail, step.retry).hash(&mut hasher);
    step.needs_artifacts.iter().for_each(|needed| key(*needed).hash(&mut hasher));
    let rest = (&step.cache, &step.cache_mounts, &step.reuse, &step.runner_args, &step.artifacts_when);
    // The derived text of a value has everything that is in it; writing to a hasher cannot fail.
    write!(Written(&mut hasher), "{rest:?}").ok();
    hasher.finish()
}

struct Written<'hasher>(&'hasher mut DefaultHasher);

impl fmt::Write for Written<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pipelens_core::plan::{Target, plan};
    use pipelens_core::{Format, analyze};

    use super::*;

    fn of(text: &str, target: &Target) -> BTreeMap<String, u64> {
        let plan = plan(&analyze(text, Format::Yaml), 0, target, "ci").unwrap();
        plan.steps.iter().map(|step| step.key.clone()).zip(fingerprints(&plan)).collect()
    }

    #[test]
    fn a_fingerprint_changes_with_what_runs_and_with_nothing_else() {
        let text = "steps:\n  - {key: a, cmd: make}\n  - {key: b, cmd: test, builds_in: a, env: {X: '1'}}\n";
        let before = of(text, &Target::Pipeline);
        assert_eq!(of(text, &Target::Step("b".to_owned())), before, "whatever else runs");
        let same = "# more\nsteps:\n  - {key: new, cmd: x}\n  - {key: a, label: A, cmd: make, depends_on: new}\n  - key: b\n    env: {X: '1'}\n    cmd: test\n    builds_in: a\n";
        let after = of(same, &Target::Pipeline);
        assert_eq!((after["a"], after["b"]), (before["a"], before["b"]));
        for edited in [
            text.replace("cmd: test", "cmd: test -v"),
            text.replace("X: '1'", "X: '2'"),
            text.replace(", builds_in: a", ", image: alpine:3"),
            text.replace("cmd: test", "cmd: test, runner: host"),
            text.replace("cmd: test", "cmd: test, cache: {policy: forever}"),
        ] {
            let after = of(&edited, &Target::Pipeline);
            assert_eq!(after["a"], before["a"], "{edited}");
            assert_ne!(after["b"], before["b"], "{edited}");
        }
    }
}
