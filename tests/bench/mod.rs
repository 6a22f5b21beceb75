//! What a person feels, measured with the real binary in one run: while a step floods, while a long file is typed in, beside the
//! server that other editors have for YAML, and from the run button to the end, beside the runner that reads the same plans.

mod analysis;
mod engine;
mod flood;
mod programs;
mod second_run;
mod typing;

use std::env;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::docker::Daemon;
use crate::docker::release::Choice;
use crate::{kubernetes, packages, sandbox, tools};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    /// Typing, beside yaml-language-server.
    Analysis,
    /// Typing at an ordinary speed: delay and processor time of each key.
    Typing,
    /// Answers while a step floods.
    Flood,
    /// The second run after a change, beside the native commands.
    SecondRun,
    /// Programs that make pipelines: rendering, beside the SDK alone; buttons; typing in one.
    Programs,
    /// Runs, beside the container engine's bare calls and the Harmont CLI.
    Engine,
    /// Runs in a cluster of three nodes, beside the bare calls of Kubernetes. Only if it is named: the cluster is built first.
    Kubernetes,
}

/// Runs the benchmarks that are named, or all.
pub(crate) fn bench(names: &[Name]) -> Result<()> {
    let is_wanted = |name: Name| names.is_empty() || names.contains(&name);
    let given_host = env::var("PIPELENS_TEST_DOCKER_HOST").ok().filter(|host| !host.is_empty());
    if is_wanted(Name::Engine) && given_host.is_none() {
        sandbox::prepare(&packages::DOCKER)?;
    }
    if names.contains(&Name::Kubernetes) {
        kubernetes::measure()?;
    }
    if names == [Name::Kubernetes] {
        return Ok(());
    }
    tools::run("cargo", ["build", "--release", "--package", "pipelens", "--locked"])?;
    let binary = tools::built("release")?;
    if is_wanted(Name::Analysis) {
        analysis::measure(&binary)?;
    }
    if is_wanted(Name::Typing) {
        typing::measure(&binary)?;
    }
    if is_wanted(Name::Flood) {
        flood::measure(&binary)?;
    }
    if is_wanted(Name::SecondRun) {
        second_run::measure(&binary, given_host.as_deref())?;
    }
    if is_wanted(Name::Programs) {
        programs::measure(&binary)?;
    }
    if !is_wanted(Name::Engine) {
        return Ok(());
    }
    if let Some(host) = given_host {
        return engine::measure(&binary, &host);
    }
    tools::run("cargo", ["bench", "--no-run", "--locked", "--package", "pipelens-engine", "--bench", "figures"])?;
    ensure!(sandbox::run(&["inside-bench".into()])?.success(), "not everything could be measured");
    Ok(())
}

/// What `bench` does inside the sandbox.
pub(crate) fn inside() -> Result<()> {
    println!("starting a private Docker daemon");
    let daemon = Daemon::start(Choice::default())?;
    engine::measure(&tools::built("release")?, &daemon.host())
}

/// Returns a percentile in milliseconds.
fn millis(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

fn resident_kib(process_id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process_id}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("the system says how much memory is held")?;
    Ok(line.split_whitespace().next().context("a number")?.parse()?)
}
