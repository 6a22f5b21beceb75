//! The runners a step can name, as an author knows them: one table feeds checks, completion, hover and the schema. The engine has what
//! opens each of them and takes its names from here; a test there holds its list to this one.

/// One runner.
#[derive(Debug, PartialEq, Eq)]
pub struct Runner {
    pub name: &'static str,
    /// Markdown: where its commands run.
    pub doc: &'static str,
    /// The keys of `runner_args` that it understands.
    pub arguments: &'static [&'static str],
    /// A file alone cannot choose it: its commands run with the user's rights, or on machines that the user pays for.
    pub needs_consent: bool,
    /// Its commands run directly on the user's own machine.
    pub is_on_this_machine: bool,
}

/// Every runner; the first is the default.
pub const RUNNERS: &[Runner] = &[
    Runner {
        name: "docker",
        doc: "In a container of its own. This is the default.",
        arguments: &[
            "user",
            "network",
            "memory",
            "cpus",
            "platform",
            "pull",
            "privileged",
            "mounts",
            "shm_size",
            "ulimits",
            "extra_hosts",
            "init",
            "tmpfs",
            "gpus",
            "services",
        ],
        needs_consent: false,
        is_on_this_machine: false,
    },
    Runner {
        name: "host",
        doc: "Directly on this machine, without a container, in a private copy of the sources.",
        arguments: &[],
        needs_consent: true,
        is_on_this_machine: true,
    },
    #[cfg(feature = "kubernetes")]
    Runner {
        name: "kubernetes",
        doc: "In a pod of the cluster that the setting `pipelens.kubernetes` names.",
        arguments: &["user", "memory", "cpus", "platform", "shm_size", "extra_hosts", "tmpfs", "services"],
        needs_consent: true,
        is_on_this_machine: false,
    },
];

/// Returns the runner with a name.
pub fn find(name: &str) -> Option<&'static Runner> {
    RUNNERS.iter().find(|runner| runner.name == name)
}

/// Returns the runner with a name; in a constant, a name that is not in the table does not compile.
#[expect(clippy::panic, reason = "constants call it, so that a build fails and never a run")]
pub const fn named(name: &str) -> &'static Runner {
    let mut rest = RUNNERS;
    while let Some((runner, others)) = rest.split_first() {
        if is_same(runner.name.as_bytes(), name.as_bytes()) {
            return runner;
        }
        rest = others;
    }
    panic!("no runner has this name")
}

/// `==` cannot be used in constants yet.
const fn is_same(mut left: &[u8], mut right: &[u8]) -> bool {
    while let (Some((one, more)), Some((other, more_of_other))) = (left.split_first(), right.split_first()) {
        if *one != *other {
            return false;
        }
        (left, right) = (more, more_of_other);
    }
    left.is_empty() && right.is_empty()
}

/// Returns the names of all runners, as a message lists them: `docker` or `host`, with backticks.
pub fn listed() -> String {
    let names: Vec<String> = RUNNERS.iter().map(|runner| format!("`{}`", runner.name)).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

impl Runner {
    /// Whether it understands a key of `runner_args`.
    pub fn takes(&self, argument: &str) -> bool {
        self.arguments.contains(&argument)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Place, keys};

    #[test]
    fn every_key_of_runner_args_is_supported_by_some_runner() {
        for key in keys(Place::RunnerArguments) {
            assert!(RUNNERS.iter().any(|runner| runner.takes(key.name)), "no runner takes `{}`", key.name);
        }
        for argument in RUNNERS.iter().flat_map(|runner| runner.arguments) {
            assert!(keys(Place::RunnerArguments).iter().any(|key| key.name == *argument), "`{argument}` is no key");
        }
    }

    #[test]
    fn the_page_about_unknown_runners_lists_every_runner() {
        let page = include_str!("../docs/codes/unknown-runner.md");
        for runner in RUNNERS {
            assert!(page.contains(&format!("`{}`", runner.name)), "`{}` is missing", runner.name);
        }
    }
}
