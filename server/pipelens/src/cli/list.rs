//! `pipelens list`: the pipelines of a project with their steps, or the runs that are remembered.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use pipelens_core::plan::{BootsFrom, Plan, Target, plan};
use pipelens_engine::run::PastRun;
use serde::Serialize;

use super::checked::{Checked, Projects};
use super::files;
use super::output::{EXIT_USAGE, Format, complain, print_quoting};
use super::past::{Past, ago, words};
use crate::{present, project};

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// A pipeline file or a directory [default: this directory and below]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// List the remembered runs of the project instead, newest first
    #[arg(long)]
    runs: bool,
    /// Output format; `json` prints one object per line
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

pub(crate) fn list(args: &ListArgs) -> anyhow::Result<u8> {
    if args.runs { runs(args) } else { pipelines(args) }
}

/// One pipeline.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    file: &'a Path,
    pipeline: &'a str,
    steps: Vec<ListedStep<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedStep<'a> {
    step: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    builds_in: Option<&'a str>,
    /// How it ended when it ran last.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
    /// When that run started, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    ran_at: Option<i64>,
}

fn pipelines(args: &ListArgs) -> anyhow::Result<u8> {
    let (paths, complaints) = files::find(args.path.as_slice());
    let mut code = 0;
    for error in complaints {
        complain(&format!("{error:#}"));
        code = EXIT_USAGE;
    }
    let mut projects = Projects::default();
    let mut text = String::new();
    for path in &paths {
        let file = match Checked::read_in(path, &mut projects) {
            Ok(file) => file,
            Err(error) => {
                complain(&format!("{error:#}"));
                code = EXIT_USAGE;
                continue;
            }
        };
        // Without a history, there is less to say.
        let past = Past::of(&file.root).ok();
        for index in 0..file.analysis.pipelines.len() {
            match plan(&file.analysis, index, &Target::Pipeline, &project::stem_of(&file.path)) {
                Ok(plan) => {
                    let last = past.as_ref().map(|past| past.last(&plan.name)).unwrap_or_default();
                    let listed = listed(files::short(&file.path), &plan, &last);
                    match args.format {
                        Format::Human => text.push_str(&human(&listed)),
                        Format::Json => text.push_str(&json(&listed)?),
                    }
                }
                Err(refusal) => {
                    complain(&present::refusal(&refusal, &file.path.display().to_string()));
                    code = 1;
                }
            }
        }
    }
    print_quoting(&text, args.format)?;
    Ok(code)
}

fn listed<'a>(file: &'a Path, plan: &'a Plan, last: &BTreeMap<&'a str, (&'a str, i64)>) -> Listed<'a> {
    let steps = plan.steps.iter().map(|step| {
        let last = last.get(step.key.as_str());
        let parent = step.parent().and_then(|parent| plan.steps.get(parent));
        ListedStep {
            step: &step.key,
            label: step.label.as_deref(),
            image: match &step.boots_from {
                BootsFrom::Image(image) => Some(image),
                BootsFrom::Step(_) => None,
            },
            builds_in: parent.map(|parent| parent.key.as_str()),
            outcome: last.map(|(outcome, _)| *outcome),
            ran_at: last.map(|(_, at)| *at),
        }
    });
    Listed { file, pipeline: &plan.name, steps: steps.collect() }
}

fn human(listed: &Listed<'_>) -> String {
    let mut text = format!("{} · {}\n", listed.pipeline, listed.file.display());
    let from = |step: &ListedStep<'_>| match (step.builds_in, step.image) {
        (Some(parent), _) => format!("on {parent}"),
        (None, image) => format!("in {}", image.unwrap_or("?")),
    };
    let width = |of: &dyn Fn(&ListedStep<'_>) -> usize| listed.steps.iter().map(of).max().unwrap_or(0);
    let key_width = width(&|step| step.step.chars().count());
    let from_width = width(&|step| from(step).chars().count());
    for step in &listed.steps {
        let last = match (step.outcome, step.ran_at) {
            (Some(outcome), Some(at)) => format!("{} {}", words(outcome), ago(at)),
            _ => String::new(),
        };
        let row = format!("  {:key_width$}  {:from_width$}  {last}", step.step, from(step));
        writeln!(text, "{}", row.trim_end()).ok();
    }
    text
}

fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

/// One remembered run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedRun<'a> {
    run_id: &'a str,
    pipeline: &'a str,
    /// In seconds since 1970.
    started_at: i64,
    duration_ms: i64,
    outcome: &'a str,
    /// The outcome of each step, by its key.
    steps: Vec<(&'a str, &'a str)>,
}

fn runs(args: &ListArgs) -> anyhow::Result<u8> {
    let past = Past::of(&project::root_around(args.path.as_deref())?)?;
    let mut text = String::new();
    for (index, run) in past.runs.iter().enumerate() {
        match args.format {
            Format::Human => text.push_str(&human_run(index + 1, run)),
            Format::Json => text.push_str(&json(&ListedRun {
                run_id: &run.run_id,
                pipeline: &run.pipeline,
                started_at: run.started_at,
                duration_ms: run.duration_ms,
                outcome: &run.outcome,
                steps: run.steps.iter().map(|step| (step.key.as_str(), step.outcome.as_str())).collect(),
            })?),
        }
    }
    if past.runs.is_empty() {
        complain("No run of this project is remembered");
        return Ok(1);
    }
    print_quoting(&text, args.format)
}

fn human_run(number: usize, run: &PastRun) -> String {
    let took = Duration::from_millis(u64::try_from(run.duration_ms).unwrap_or_default());
    let failed: Vec<&str> = run
        .steps
        .iter()
        .filter(|step| matches!(step.outcome.as_str(), "failed" | "timedOut" | "errored"))
        .map(|step| step.key.as_str())
        .collect();
    let failed = if failed.is_empty() { String::new() } else { format!(": {}", failed.join(", ")) };
    let (id, outcome) = (&run.run_id, words(&run.outcome));
    format!(
        "{number:>3}  {id}  {:>11}  {} {outcome} in {}{failed}\n",
        ago(run.started_at),
        run.pipeline,
        present::duration(took)
    )
}
