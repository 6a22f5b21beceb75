//! `pipelens logs`: the output of an earlier run, or of one of its steps.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use owo_colors::OwoColorize;
use pipelens_engine::run::{PastRun, log_file};

use super::past::{Past, ago, words};
use crate::{project, terminal};

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The run: its id, the beginning of its id, or its number in `pipelens list --runs` [default: the newest]
    run: Option<String>,
    /// The step [default: all]
    step: Option<String>,
    /// A file or directory of the project
    #[arg(long, value_name = "PATH", default_value = ".")]
    project: PathBuf,
    /// Print the files where the output is, instead of the output
    #[arg(long)]
    files: bool,
    /// Print the output unfiltered, including control sequences and commands for a CI system
    #[arg(long, conflicts_with = "files")]
    raw_log: bool,
}

/// One file to print.
struct Log {
    title: String,
    path: PathBuf,
}

/// Prints what is there. A run whose logs were removed is an error.
pub(crate) fn logs(args: &LogsArgs) -> anyhow::Result<u8> {
    let past = Past::of(&project::root_around(Some(&args.project))?)?;
    let (run, step) = choose(&past, args)?;
    let folder = past.log_dir(run);
    let logs = of_run(run, step, &folder)?;
    if logs.is_empty() {
        match step {
            Some(step) => bail!(
                "Step `{step}` has no log in the run of {}: it printed nothing, or its logs were removed",
                ago(run.started_at)
            ),
            None => bail!(
                "The logs of the run of {} are gone, `{}`: those of the newest 50 runs are kept",
                ago(run.started_at),
                folder.display()
            ),
        }
    }
    let printed = match args {
        LogsArgs { files: true, .. } => paths(&logs),
        _ => contents(&logs, args.raw_log),
    };
    match printed {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
        printed => printed.map(|()| 0).context("Cannot print the log"),
    }
}

/// Returns the run and the step that the arguments refer to. A single word may be either.
fn choose<'a>(past: &'a Past, args: &'a LogsArgs) -> anyhow::Result<(&'a PastRun, Option<&'a str>)> {
    let newest = || past.runs.first().context("No run of this project is remembered");
    let has = |run: &PastRun, step: &str| run.steps.iter().any(|known| known.key == step);
    let (run, step) = match (args.run.as_deref(), args.step.as_deref()) {
        (None, _) => return Ok((newest()?, None)),
        (Some(word), step) => match (past.find(word)?, step) {
            (Some(run), step) => (run, step),
            (None, Some(_)) => bail!("There is no run `{word}`; `pipelens list --runs` shows all"),
            (None, None) => {
                newest()?;
                let ran = past.runs.iter().find(|run| has(run, word));
                (
                    ran.with_context(|| format!("There is no run `{word}`, and no run has had a step `{word}`"))?,
                    Some(word),
                )
            }
        },
    };
    match step {
        Some(step) if !has(run, step) => {
            let keys: Vec<String> = run.steps.iter().map(|step| format!("`{}`", step.key)).collect();
            bail!("This run had no step `{step}`; its steps were {}", keys.join(", "))
        }
        step => Ok((run, step)),
    }
}

/// Returns the logs of a run's steps and of their services, in file order.
fn of_run(run: &PastRun, step: Option<&str>, folder: &Path) -> anyhow::Result<Vec<Log>> {
    let mut names: Vec<String> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("Cannot read `{}`", folder.display())),
    };
    names.sort_unstable();
    let mut logs = Vec::new();
    for past in run.steps.iter().filter(|past| step.is_none_or(|step| past.key == step)) {
        let own = log_file(folder, &past.key);
        let stem = own.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if own.exists() {
            logs.push(Log { title: format!("{} · {}", past.key, words(&past.outcome)), path: own });
        }
        // `KEY.SERVICE.log`
        let services = names.iter().filter_map(|name| {
            let service = name.strip_prefix(&stem)?.strip_prefix('.')?.strip_suffix(".log")?;
            Some(Log { title: format!("{} · service {service}", past.key), path: folder.join(name) })
        });
        logs.extend(services);
    }
    Ok(logs)
}

fn paths(logs: &[Log]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for log in logs {
        writeln!(output, "{}", log.path.display())?;
    }
    output.flush()
}

/// Prints files line by line: a log may be longer than memory.
fn contents(logs: &[Log], is_raw: bool) -> io::Result<()> {
    let mut output = anstream::stdout().lock();
    for log in logs {
        if logs.len() > 1 {
            let title = terminal::visible(&log.title).bold().to_string();
            writeln!(output, "{}", terminal::inert(&title))?;
        }
        if is_raw {
            // Not through the filter for colours, which would read it.
            output.flush()?;
            io::copy(&mut File::open(&log.path)?, &mut io::stdout().lock())?;
            continue;
        }
        let mut lines = BufReader::new(File::open(&log.path)?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line));
            let text = terminal::styled(text.strip_suffix('\r').unwrap_or(&text));
            // No prefix keeps a CI system from taking a line for a command.
            writeln!(output, "{}", terminal::inert(&text))?;
            line.clear();
        }
    }
    output.flush()
}
