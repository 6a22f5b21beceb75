//! `pipelens rerun`: runs the steps again that failed when they ran last.

use std::path::PathBuf;

use clap::Args;
use pipelens_core::plan::{Plan, Target};

use super::output::tell;
use super::past::{Past, is_failure};
use super::run::{self, RunOptions, plan_target, prepare_target};

#[derive(Debug, Args)]
pub(crate) struct RerunArgs {
    /// The pipeline file [default: the only pipeline in this directory and below]
    file: Option<PathBuf>,
    #[command(flatten)]
    options: RunOptions,
}

/// Runs the failed steps, and those that never started because of them. Returns the exit code: 0 if there are none.
pub(crate) async fn rerun(args: RerunArgs) -> u8 {
    let mut nothing_failed = false;
    let prepared = prepare_target(args.file.as_deref(), &args.options, |file, pipeline| {
        let past = Past::of(&file.root).map_err(|error| format!("{error:#}"))?;
        let whole = plan_target(file, pipeline, &Target::Pipeline)?;
        if !past.runs.iter().any(|run| run.pipeline == whole.name) {
            return Err(format!("Pipeline `{}` has not run yet; `pipelens run` runs it", whole.name));
        }
        let steps = failed_steps(&past, &whole);
        nothing_failed = steps.is_empty();
        Ok(Target::Several { steps, from: Vec::new() })
    });
    if nothing_failed {
        tell("No step failed when it ran last, so there is nothing to run again.");
        return 0;
    }
    run::start(prepared, &args.options).await
}

/// Returns the steps whose last run failed, in file order. The failure of a step with `soft_fail` is accepted.
fn failed_steps(past: &Past, plan: &Plan) -> Vec<String> {
    let last = past.last(&plan.name);
    let failed = plan.steps.iter().filter(|step| match last.get(step.key.as_str()) {
        Some((outcome, _)) if step.soft_fail => !matches!(*outcome, "failed" | "timedOut") && is_failure(outcome),
        Some((outcome, _)) => is_failure(outcome),
        None => false,
    });
    failed.map(|step| step.key.clone()).collect()
}
