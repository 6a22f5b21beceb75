//! Typing at an ordinary speed: how long after each key the findings are there, and how much processor time a key costs the server, over all
//! its threads.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use super::analysis::{Style, URI, ours, pipeline};
use super::millis;

/// A fast typist.
const KEY_EVERY: Duration = Duration::from_millis(100);
const KEYS: usize = 100;
/// Longer than every delay of the server.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) fn measure(binary: &Path) -> Result<()> {
    header();
    for lines in [1_000, 10_000] {
        in_file(binary, "YAML", (URI, &pipeline(lines, Style::Plain)?), "label: \"")?;
    }
    Ok(())
}

pub(super) fn header() {
    println!("a key every {} ms, {KEYS} keys", KEY_EVERY.as_millis());
    println!(
        "{:>13}  {:>14} {:>8} {:>8}   {:>16} {:>8}   {:>18}",
        "lines", "findings p50", "p95", "max", "CPU of a key p50", "mean", "CPU after a pause"
    );
}

/// Types at the end of a label in the middle of a file. `mark` is what comes before a label.
pub(super) fn in_file(binary: &Path, what: &str, (uri, text): (&str, &str), mark: &str) -> Result<()> {
    let lines = text.lines().count();
    let mut client = ours(binary);
    client.open(uri, text);
    client.diagnostics(uri, 1);
    thread::sleep(PAUSE);
    let (line, column) = end_of_label(text, mark)?;
    let process = client.child.id();
    let (mut times, mut used) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    for key in 0..KEYS {
        let due = begin + KEY_EVERY * u32::try_from(key)?;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let version = i32::try_from(key)? + 2;
        let at = json!({"line": line, "character": column + key});
        let before = cpu_time(process)?;
        let start = Instant::now();
        client.change(uri, version, &json!({"start": at, "end": at}), "a");
        client.diagnostics(uri, version);
        times.push(client.arrived - start);
        used.push((before, cpu_time(process)?));
    }
    let (first, last) = (used.first().context("keys were typed")?.0, used.last().context("keys were typed")?.1);
    thread::sleep(PAUSE);
    let after = cpu_time(process)? - last;
    let mut each: Vec<Duration> = used.windows(2).filter_map(|two| Some(two.get(1)?.0 - two.first()?.0)).collect();
    times.sort();
    each.sort();
    println!(
        "{:>13}  {:>11.2} ms {:>5.2} ms {:>5.2} ms   {:>13.2} ms {:>5.2} ms   {:>15.2} ms",
        format!("{lines} {what}"),
        millis(&times, 50),
        millis(&times, 95),
        millis(&times, 100),
        millis(&each, 50),
        (last - first).as_secs_f64() * 1000.0 / f64::from(u32::try_from(KEYS)?),
        after.as_secs_f64() * 1000.0,
    );
    client.quit();
    Ok(())
}

/// Returns the position of the end of a label in the middle of the file.
fn end_of_label(text: &str, mark: &str) -> Result<(usize, usize)> {
    let from = text.lines().count() / 2;
    let label_in = |(line, content): (usize, &str)| {
        let label = content.find(mark)? + mark.len();
        Some((line, label + content.get(label..)?.find('"')?))
    };
    text.lines().enumerate().skip(from).find_map(label_in).context("the file has a label in quotes")
}

/// Returns the processor time of all threads of a process.
fn cpu_time(process: u32) -> Result<Duration> {
    let mut total = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may have ended meanwhile.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        total += text.split(' ').next().context("the system says how long a thread ran")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(total))
}
