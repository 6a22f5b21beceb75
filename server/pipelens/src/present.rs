//! Outcomes, durations and sizes in the words a person reads, the same in an editor and in a terminal.

use std::path::Path;
use std::time::Duration;

use pipelens_core::diagnostic::{Code, Severity};
use pipelens_core::plan::{Refusal, Target};
use pipelens_core::printable::markdown;
use pipelens_engine::cache::CacheDecision;
use pipelens_engine::event::{Outcome, RunOutcome};
use pipelens_engine::run::shell_word;
use pipelens_engine::runners;

/// Returns `850 ms`, `3.2 s`, `4 min 05 s` or `2 h 03 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Returns the running time of something as a clock: `00:12`, `1:02:03`.
pub(crate) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds / 3600 {
        0 => format!("{:02}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds % 3600 / 60, seconds % 60),
    }
}

/// Returns `512 B`, `3.1 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64 / 1000.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while value >= 1000.0 {
        let Some(next) = units.next() else { break };
        unit = Some(next);
        value /= 1000.0;
    }
    format!("{value:.1} {}", unit.unwrap_or(&"TB"))
}

/// Returns in Markdown what the cache would do for a step; `None` for a step that simply runs because it has no policy.
pub(crate) fn prospect(decision: &CacheDecision) -> Option<String> {
    match decision {
        CacheDecision::Hit { .. } => Some("Cache: the result of an earlier run is used.".to_owned()),
        CacheDecision::MissBuildAs { reason, .. } => Some(format!("Cache: runs, because {}.", markdown(reason))),
        CacheDecision::MissFromLast { reason: Some(reason), .. } => {
            Some(format!("Cache: runs, because {}, and starts from its last result.", markdown(reason)))
        }
        CacheDecision::MissFromLast { reason: None, .. } => Some("Cache: starts from its last result.".to_owned()),
        CacheDecision::MissNoCommit { reason: Some(reason) } => {
            Some(format!("Cache: runs, and the result is not cached: {}.", markdown(reason)))
        }
        CacheDecision::MissNoCommit { reason: None } | CacheDecision::NotNeeded => None,
    }
}

/// Returns the address of the page that documents a finding.
pub(crate) fn page(code: Code) -> String {
    format!("{}/blob/main/server/pipelens-core/docs/codes/{}.md", env!("CARGO_PKG_REPOSITORY"), code.as_str())
}

/// Returns how much a finding matters, in one word.
pub(crate) fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Information => "information",
        Severity::Hint => "hint",
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a number with thousands separators: `12,345`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a command line as a terminal without our folder in its `PATH` can start it.
pub(crate) fn startable(command: &str) -> String {
    let own = |rest| Some(format!("{} {rest}", program(&std::env::current_exe().ok()?)));
    command.strip_prefix("pipelens ").and_then(own).unwrap_or_else(|| command.to_owned())
}

/// Returns a path as the first word of a command line.
fn program(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |char: char| char.is_alphanumeric() || r"/\:._-+@".contains(char);
    if cfg!(windows) {
        // PowerShell needs the sign, and is what editors start.
        return if text.chars().all(is_plain) {
            text.into_owned()
        } else {
            format!("& '{}'", text.replace('\'', "''"))
        };
    }
    shell_word(&text)
}

/// Returns how to open a shell in a failed step.
pub(crate) fn shell(command: &str) -> String {
    format!("To open a shell in it: {}", startable(command))
}

/// Returns what an image name resolves to: `alpine:3 is alpine@sha256:…`.
pub(crate) fn image(image: &str, digest: &str) -> String {
    format!("{image} is {digest}")
}

/// Returns how a step started: `started in alpine:3`, `started on the host, attempt 2`.
pub(crate) fn started(runner: &str, image: Option<&str>, attempt: u64) -> String {
    let is_on_this_machine = runners::find(runner).is_some_and(|runner| runner.is_on_this_machine());
    let place = match image {
        _ if is_on_this_machine => " on the host".to_owned(),
        Some(image) => format!(" in {image}"),
        // It boots from its parent's snapshot, whose name means nothing to the user.
        None => String::new(),
    };
    match attempt {
        0 | 1 => format!("started{place}"),
        _ => format!("started{place}, attempt {attempt}"),
    }
}

/// What to do if no engine answers.
pub(crate) const WITHOUT_ENGINE: &str =
    "To run directly on this machine instead, without containers, set `pipelens.runner` to `host`";

/// Returns names in backticks, and how many there are more than those: "`a`, `b` and 3 more".
pub(crate) fn some_of(names: impl ExactSizeIterator<Item = String>, most: usize) -> String {
    let rest = names.len().saturating_sub(most);
    let named: Vec<String> = names.take(most).map(|name| format!("`{name}`")).collect();
    let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    named.join(", ") + &more
}

/// Returns `1 step`, `7 steps`.
pub(crate) fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Returns a step's outcome, as its lens and its row in a table show it.
pub(crate) fn step_outcome(outcome: &Outcome, took: Duration) -> String {
    match outcome {
        Outcome::Succeeded => format!("✓ {}", duration(took)),
        Outcome::Cached => "✓ cached".to_owned(),
        Outcome::Failed(code) => format!("✗ exit {code}"),
        Outcome::TimedOut => "⧖ timed out".to_owned(),
        Outcome::Cancelled => "■ cancelled".to_owned(),
        Outcome::Skipped(_) => "⊘ skipped".to_owned(),
        Outcome::Errored(_) => "✗ could not run".to_owned(),
    }
}

/// Returns what went wrong with a step in one sentence; `None` if nothing did.
pub(crate) fn step_failure(key: &str, outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Failed(code) => Some(format!("Step `{key}` failed: exit {code}")),
        Outcome::TimedOut => Some(format!("Step `{key}` timed out")),
        Outcome::Errored(why) => Some(format!("Step `{key}` could not run: {why}")),
        Outcome::Succeeded | Outcome::Cached | Outcome::Cancelled | Outcome::Skipped(_) => None,
    }
}

/// Returns a run's outcome, as its lens and its last line show it.
pub(crate) fn run_outcome(outcome: RunOutcome, took: Duration) -> String {
    match outcome {
        RunOutcome::Succeeded => format!("✓ {}", duration(took)),
        RunOutcome::Failed => format!("✗ failed after {}", duration(took)),
        RunOutcome::Cancelled => format!("■ cancelled after {}", duration(took)),
        RunOutcome::TimedOut => format!("⧖ timed out after {}", duration(took)),
        RunOutcome::EngineUnreachable => "✗ no container engine".to_owned(),
    }
}

/// Returns what people call a run: `ci`, or `ci · test` for less than the pipeline.
pub(crate) fn run_title(name: &str, target: &Target) -> String {
    match target {
        Target::Pipeline => name.to_owned(),
        Target::Step(step) => format!("{name} · {step}"),
        Target::From(step) => format!("{name} · from {step}"),
        Target::Several { steps, from } => {
            let from = from.iter().map(|step| format!("from {step}"));
            let chosen: Vec<String> = steps.iter().cloned().chain(from).collect();
            format!("{name} · {}", chosen.join(", "))
        }
    }
}

/// Returns where a pipeline stands after runs of some of its steps, as its lens shows it: `✗ 1 of 3 failed`, `✓ 3 of 3 passed`, or
/// `2 of 3 passed` if the others have not run since.
pub(crate) fn standing(passed: usize, failed: usize, steps: usize) -> String {
    match failed {
        0 if passed == steps => format!("✓ {passed} of {steps} passed"),
        0 => format!("{passed} of {steps} passed"),
        _ => format!("✗ {failed} of {steps} failed"),
    }
}

/// Returns why a target cannot be planned.
pub(crate) fn refusal(refusal: &Refusal, path: &str) -> String {
    match refusal {
        Refusal::HasErrors(diagnostic) => {
            format!("The pipeline has an error, so it cannot run: {}", diagnostic.message)
        }
        Refusal::IsRepaired => format!("`{path}` has a syntax error and cannot be interpreted; fix that first"),
        Refusal::NoSuchPipeline => format!("`{path}` has no pipeline that can run: it has errors"),
        Refusal::NoSuchStep { key, did_you_mean: Some(near) } => {
            format!("There is no step `{key}`. Did you mean `{near}`?")
        }
        Refusal::NoSuchStep { key, did_you_mean: None } => format!("There is no step `{key}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_readable_unit() {
        let texts = [0.85, 3.24, 245.0, 7_380.0].map(|seconds| duration(Duration::from_secs_f64(seconds)));
        assert_eq!(texts, ["850 ms", "3.2 s", "4 min 05 s", "2 h 03 min"]);
        assert_eq!(clock(Duration::from_secs(12)), "00:12");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
    }

    #[test]
    fn a_command_line_of_our_own_begins_with_the_path_of_this_program() {
        assert_eq!(startable("docker run pipelens kept-shell"), "docker run pipelens kept-shell");
        let own = std::env::current_exe().unwrap();
        assert_eq!(startable("pipelens kept-shell x"), format!("{} kept-shell x", program(&own)));
        #[cfg(unix)]
        assert_eq!(program(Path::new("/a b/it's/pipelens")), r#""/a b/it's/pipelens""#);
        #[cfg(windows)]
        assert_eq!(program(Path::new(r"C:\a b\it's\pipelens.exe")), r"& 'C:\a b\it''s\pipelens.exe'");
    }

    #[test]
    fn sizes_and_counts_are_short() {
        assert_eq!([999, 1_000, 3_100_000].map(bytes), ["999 B", "1.0 kB", "3.1 MB"]);
        assert_eq!([7, 1_234, 1_234_567].map(count), ["7", "1,234", "1,234,567"]);
    }
}
