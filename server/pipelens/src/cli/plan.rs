//! `pipelens plan`: what a run would do, step by step, and why it would not take more from earlier runs. Starts nothing.

use std::fmt::Write as _;

use pipelens_core::plan::{BootsFrom, Plan, PlanStep};
use pipelens_engine::cache::CacheDecision;
use serde::Serialize;

use super::output::{EXIT_USAGE, Format, RunFormat, complain, print_quoting};
use super::run::{Prepared, RunArgs, prepare};
use crate::project;

/// No container engine answered.
const EXIT_UNREACHABLE: u8 = 4;

/// Prints what a run with the same arguments would do, and returns the exit code.
pub(crate) async fn show(args: RunArgs) -> u8 {
    let request = prepare(&args).and_then(|Prepared { plan, root, settings, project, .. }| {
        project::look_request(plan, root, &settings, &project).map_err(|error| format!("{error:#}"))
    });
    let request = match request {
        Ok(request) => request,
        Err(why) => {
            complain(&why);
            return EXIT_USAGE;
        }
    };
    let decisions = match pipelens_engine::run::predict(&request).await {
        Ok(decisions) => decisions,
        Err(error) => {
            complain(&error.sentence());
            return EXIT_UNREACHABLE;
        }
    };
    let format = match args.options.format {
        RunFormat::Human => Format::Human,
        RunFormat::Json => Format::Json,
        RunFormat::Github | RunFormat::Sarif => {
            complain("`plan` prints for people or as `json`: nothing runs, so there are no problems to report");
            return EXIT_USAGE;
        }
    };
    let text = match format {
        Format::Human => table(&request.plan, &decisions),
        Format::Json => lines(&request.plan, &decisions),
    };
    match print_quoting(&text, format) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            EXIT_USAGE
        }
    }
}

/// One step per line, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    step: &'a str,
    /// `run`, `runAndKeep`, `runFromLast`, `cached` or `notNeeded`.
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

fn lines(plan: &Plan, decisions: &[CacheDecision]) -> String {
    let line = |(step, decision): (&PlanStep, &CacheDecision)| {
        let line = match decision {
            CacheDecision::Hit { key } => Line { step: &step.key, decision: "cached", reason: None, key: Some(key) },
            CacheDecision::MissBuildAs { key, reason } => {
                Line { step: &step.key, decision: "runAndKeep", reason: Some(reason), key: key.as_deref() }
            }
            CacheDecision::MissFromLast { key, reason } => {
                Line { step: &step.key, decision: "runFromLast", reason: reason.as_deref(), key: key.as_deref() }
            }
            CacheDecision::MissNoCommit { reason } => {
                Line { step: &step.key, decision: "run", reason: reason.as_deref(), key: None }
            }
            CacheDecision::NotNeeded => Line { step: &step.key, decision: "notNeeded", reason: None, key: None },
        };
        // Only strings, so serialization cannot fail.
        serde_json::to_string(&line).unwrap_or_default() + "\n"
    };
    plan.steps.iter().zip(decisions).map(line).collect()
}

fn table(plan: &Plan, decisions: &[CacheDecision]) -> String {
    let width = plan.steps.iter().map(|step| step.key.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (step, decision) in plan.steps.iter().zip(decisions) {
        let from = match &step.boots_from {
            BootsFrom::Image(image) => format!("in {image}"),
            BootsFrom::Step(parent) => {
                format!("on {}", plan.steps.get(*parent).map_or("?", |parent| parent.key.as_str()))
            }
        };
        let what = match decision {
            CacheDecision::Hit { .. } => "cached".to_owned(),
            CacheDecision::MissBuildAs { reason, .. } => format!("runs {from}: {reason}"),
            CacheDecision::MissFromLast { reason: Some(reason), .. } => format!("runs on its last result: {reason}"),
            CacheDecision::MissFromLast { reason: None, .. } => "runs on its last result".to_owned(),
            CacheDecision::MissNoCommit { reason: Some(reason) } => format!("runs {from}; not kept: {reason}"),
            CacheDecision::MissNoCommit { reason: None } => format!("runs {from}"),
            CacheDecision::NotNeeded => "not needed".to_owned(),
        };
        let padding = " ".repeat(width.saturating_sub(step.key.chars().count()));
        writeln!(text, "{}{padding}  {what}", step.key).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_a_line_with_its_reason() {
        let text = r#"name: ci
steps:
  - {key: build, cmd: make, image: "a:1"}
  - {key: test, cmd: make test, builds_in: build}
"#;
        let analysis = pipelens_core::analyze(text, pipelens_core::Format::Yaml);
        let plan = pipelens_core::plan::plan(&analysis, 0, &pipelens_core::plan::Target::Pipeline, "ci").unwrap();
        let decisions = [
            CacheDecision::MissBuildAs { key: Some("k".into()), reason: "`Cargo.lock` changed".into() },
            CacheDecision::MissNoCommit { reason: None },
        ];
        assert_eq!(table(&plan, &decisions), "build  runs in a:1: `Cargo.lock` changed\ntest   runs on build\n");
        assert_eq!(
            lines(&plan, &decisions),
            "{\"step\":\"build\",\"decision\":\"runAndKeep\",\"reason\":\"`Cargo.lock` changed\",\"key\":\"k\"}\n{\"step\":\"test\",\"decision\":\"run\"}\n"
        );
    }
}
