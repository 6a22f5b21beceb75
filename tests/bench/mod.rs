//! What a person feels, measured with the real binary in one run: while a step floods, while a long file is typed in, beside the
//! server that other editors have for YAML, and from the run button to the end, beside the runner that reads the same plans.

mod analysis;
mod engine;
mod flood;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::tools;

/// Runs the benchmarks that are named, or all.
pub(crate) fn bench(names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| !matches!(name.as_str(), "analysis" | "engine" | "flood")) {
        bail!("there is no benchmark `{unknown}`; there are `analysis`, `engine` and `flood`");
    }
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    tools::run("cargo", ["build", "--release", "--package", "pipelens", "--locked"])?;
    let binary = tools::root().join("target/release/pipelens");
    if is_wanted("analysis") {
        analysis::measure(&binary)?;
    }
    if is_wanted("flood") {
        flood::measure(&binary)?;
    }
    if is_wanted("engine") {
        engine::measure(&binary)?;
    }
    Ok(())
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
