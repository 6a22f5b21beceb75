//! What a run has said, and whether that can be true.

use std::path::Path;
use std::process::ExitStatus;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{LINES, STEPS};

/// Success is only what all steps had; a step's only what its last line shows. `now` is what is in the edited file since the edit.
/// Returns the outcome in a word.
pub(super) fn judge(events: &[Value], status: ExitStatus, now: u64) -> Result<String> {
    let of_kind = |kind: &'static str| of_kind(events, kind);
    let mut succeeded = 0;
    for end in of_kind("stepEnd") {
        let step = end["step"].as_str().unwrap_or_default();
        match end["outcome"].as_str() {
            Some("cached") => succeeded += 1,
            Some("succeeded") => {
                let has_ended = lines_of(events, step).any(|line| line == format!("end {step}"));
                ensure!(has_ended, "step {step} is said to have succeeded, but not ended");
                succeeded += 1;
            }
            Some(_) => {}
            None => bail!("an end without outcome: {end}"),
        }
        let ends = of_kind("stepEnd").filter(|other| other["step"] == end["step"]).count();
        ensure!(ends == 1, "step {step} has ended {ends} times");
    }
    check_versions(events, now)?;
    check_artifacts(events, now)?;
    let outcome = of_kind("runEnd").next().and_then(|end| end["outcome"].as_str()).unwrap_or("no word");
    ensure!(outcome != "succeeded" || succeeded == STEPS, "success with {succeeded} of {STEPS} steps");
    ensure!((outcome == "succeeded") == status.success(), "outcome {outcome}, but {status}");
    ensure!(outcome == "no word" || of_kind("stepEnd").count() == STEPS, "not every step has its end: {outcome}");
    Ok(outcome.to_owned())
}

/// What steps say about the edited file is its content before or after the edit, whole.
fn check_versions(events: &[Value], now: u64) -> Result<()> {
    let steps: Vec<&str> = of_kind(events, "stepStart").filter_map(|event| event["step"].as_str()).collect();
    for step in steps {
        let version = |what: &str| lines_of(events, step).find_map(|line| line.strip_prefix(what).map(str::trim));
        let (seen, made) = (version("version"), version("made"));
        for said in [seen, made].into_iter().flatten() {
            let known = said.parse::<u64>().is_ok_and(|said| said == now || said + 1 == now);
            ensure!(known, "step {step} sees `{said}`, but it was {} and is {now}", now - 1);
        }
        if step == "n" {
            // Its parent was made from what it sees, unless it was made earlier; then from what there was when the run began.
            let is_cached = outcome_of(events, "m") == Some("cached");
            let expected = if is_cached { Some((now - 1).to_string()) } else { seen.map(str::to_owned) };
            let is_right = made.is_none() || seen.is_none() || made == expected.as_deref();
            ensure!(is_right, "step n sees {made:?} made of {seen:?}, cached: {is_cached}, now: {now}");
        }
    }
    Ok(())
}

/// A step that has ended well has handed back its artifacts, whole.
fn check_artifacts(events: &[Value], now: u64) -> Result<()> {
    for (step, file) in [("d", "trail"), ("m", "made"), ("o", "kept")] {
        let Some(outcome @ ("succeeded" | "cached")) = outcome_of(events, step) else { continue };
        let said = of_kind(events, "stepArtifacts").find(|event| event["step"] == step);
        let folder = said.and_then(|event| event["folder"].as_str());
        let folder = folder.with_context(|| format!("step {step} is {outcome}, but no artifacts came"))?;
        let path = Path::new(folder).join(file);
        let content = std::fs::read_to_string(&path).with_context(|| format!("{} of step {step}", path.display()))?;
        let made = |version: u64| format!("{version}\n").repeat(LINES);
        let is_whole = match step {
            "d" => content == "a\nb\nd\n",
            "m" => content == made(now - 1) || (content == made(now) && outcome != "cached"),
            _ => content == "o\n",
        };
        ensure!(is_whole, "{} of step {step} ({outcome}) has {} bytes", path.display(), content.len());
    }
    Ok(())
}

fn of_kind<'e>(events: &'e [Value], kind: &str) -> impl Iterator<Item = &'e Value> {
    events.iter().filter(move |event| event["kind"] == kind)
}

fn outcome_of<'e>(events: &'e [Value], step: &str) -> Option<&'e str> {
    of_kind(events, "stepEnd").find(|end| end["step"] == step).and_then(|end| end["outcome"].as_str())
}

fn lines_of<'e>(events: &'e [Value], step: &str) -> impl Iterator<Item = &'e str> {
    let logs = of_kind(events, "stepLog").filter(move |log| log["step"] == step);
    logs.filter_map(|log| log["lines"].as_array()).flatten().filter_map(|line| line["text"].as_str())
}
