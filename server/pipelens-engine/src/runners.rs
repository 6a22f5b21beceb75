//! The only list of runners. Every other place that needs a name, a description or a way to open a runner gets it from here.
//!
//! To add a runner, add a module that defines a [`RunnerSpec`], its `mod` line, an entry below, and a row in [`pipelens_core::runners`], which is
//! what pipelines are checked against. None of these can be forgotten: a module that is not listed is dead code, an entry
//! without a row does not compile, and a test finds a row without an entry.

pub use crate::runner::RunnerSpec;

/// Every runner; the first is the default.
pub static RUNNERS: &[&RunnerSpec] = &[
    &crate::docker::RUNNER,
    &crate::host::RUNNER,
    #[cfg(feature = "kubernetes")]
    &crate::kubernetes::RUNNER,
];

/// Returns the runner with this name.
pub fn find(name: &str) -> Option<&'static RunnerSpec> {
    RUNNERS.iter().copied().find(|runner| runner.name() == name)
}

/// Returns the runner for steps that do not name one, unless the user has chosen another.
#[expect(clippy::indexing_slicing, reason = "the list is never empty")]
pub fn default() -> &'static RunnerSpec {
    RUNNERS[0]
}

#[cfg(test)]
mod tests {
    use pipelens_core::runners::Runner;

    use super::*;

    #[test]
    fn every_runner_that_a_step_can_name_can_be_opened() {
        let vocabulary: Vec<&Runner> = pipelens_core::runners::RUNNERS.iter().collect();
        let registered: Vec<&Runner> = RUNNERS.iter().map(|runner| runner.vocabulary).collect();
        assert_eq!(registered, vocabulary);
    }
}
