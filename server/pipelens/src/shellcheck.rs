//! What ShellCheck says about commands, where it is installed. One call reads all commands it has not seen yet; answers are kept by
//! the command's text, so that typing elsewhere costs nothing.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use pipelens_core::diagnostic::Severity;
use pipelens_core::text::{TextEdit, TextRange};
use pipelens_core::{Analysis, Remark};
use serde::Deserialize;
use tokio::io::AsyncReadExt;

/// Looked for on the PATH.
const PROGRAM: &str = "shellcheck";
/// The project's own rules for it, copied to where it reads.
const RULES: [&str; 2] = [".shellcheckrc", "shellcheckrc"];
/// Variables come from the step, the pipeline and the image; files to follow are in the image.
const NOT_SPOKEN_OF: &str = "SC1090,SC1091,SC2154";
/// The smallest shell that images have. As an extension, so that a `shell` directive in the command wins.
const DIALECT: &str = "dash";
/// Longer commands are programs; they deserve a file of their own.
const MAX_COMMAND_BYTES: usize = 64 * 1024;
/// Commands of one call.
const MAX_BATCH: usize = 500;
/// Each letter that is typed makes another command; the newest are asked for again at once.
const MAX_KNOWN: usize = 10_000;
const MAX_ANSWER_BYTES: u64 = 32 * 1024 * 1024;
/// It needs some milliseconds for a command.
const PATIENCE: Duration = Duration::from_secs(30);

/// The answers for one project.
#[derive(Debug)]
pub(crate) struct ShellCheck {
    root: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    rules: Vec<u8>,
    remarks: HashMap<String, Arc<[Remark]>>,
}

impl ShellCheck {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, known: Mutex::default() }
    }

    /// Returns what is known about a command.
    pub(crate) fn remarks(&self, command: &str) -> Arc<[Remark]> {
        self.known().remarks.get(command).cloned().unwrap_or_default()
    }

    /// Reads the commands of a file that it does not know yet. Returns whether there were any, so that the file has to be analysed
    /// again. Without the program there are no answers, which is no error.
    pub(crate) async fn read(&self, analysis: &Analysis) -> anyhow::Result<bool> {
        let rules = RULES.iter().find_map(|name| std::fs::read(self.root.join(name)).ok()).unwrap_or_default();
        let unknown = self.unknown(analysis, &rules);
        for batch in unknown.chunks(MAX_BATCH) {
            let Some(answer) = ask(batch, &rules).await? else { return Ok(false) };
            let mut remarks: Vec<Vec<Remark>> = vec![Vec::new(); batch.len()];
            for comment in answer.comments {
                let index = comment.file.split('.').next().and_then(|name| name.parse::<usize>().ok());
                let Some((command, said)) = index.and_then(|index| Some((batch.get(index)?, remarks.get_mut(index)?)))
                else {
                    continue;
                };
                said.push(comment.remark(command));
            }
            let mut known = self.known();
            let answers = batch.iter().cloned().zip(remarks.into_iter().map(Arc::from));
            known.remarks.extend(answers);
        }
        Ok(!unknown.is_empty())
    }

    fn unknown(&self, analysis: &Analysis, rules: &[u8]) -> Vec<String> {
        let mut known = self.known();
        if known.rules != rules || known.remarks.len() > MAX_KNOWN {
            known.remarks.clear();
            rules.clone_into(&mut known.rules);
        }
        let commands =
            analysis.pipelines.iter().flat_map(|pipeline| pipeline.steps.iter().chain(&pipeline.unnamed_steps));
        let commands = commands.filter_map(|step| Some(&step.cmd.as_ref()?.value));
        let is_unknown = |command: &&String| {
            !command.trim().is_empty() && command.len() <= MAX_COMMAND_BYTES && !known.remarks.contains_key(*command)
        };
        commands.filter(is_unknown).collect::<BTreeSet<_>>().into_iter().cloned().collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the program over commands, in a folder of its own. `None`: it is not installed.
async fn ask(commands: &[String], rules: &[u8]) -> anyhow::Result<Option<Answer>> {
    let folder = tempfile::tempdir().context("Cannot make a folder for the commands ShellCheck reads")?;
    let names: Vec<String> = (0..commands.len()).map(|index| format!("{index}.{DIALECT}")).collect();
    if !rules.is_empty() {
        write(folder.path(), ".shellcheckrc", rules)?;
    }
    for (name, command) in names.iter().zip(commands) {
        write(folder.path(), name, command.as_bytes())?;
    }
    let mut command = tokio::process::Command::new(PROGRAM);
    command.args(["--format", "json1", "--exclude", NOT_SPOKEN_OF, "--"]).args(&names);
    command.current_dir(folder.path()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        child => child.with_context(|| format!("Cannot start `{PROGRAM}`"))?,
    };
    let mut answer = Vec::new();
    let read = async {
        if let Some(stdout) = child.stdout.take() {
            stdout.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await?;
        }
        child.wait().await
    };
    let status = tokio::time::timeout(PATIENCE, read)
        .await
        .with_context(|| format!("`{PROGRAM}` did not end within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("Cannot read from `{PROGRAM}`"))?;
    // 1: there are findings.
    ensure!(
        matches!(status.code(), Some(0 | 1)),
        "`{PROGRAM}` ended with {status}; versions before 0.7 cannot be used"
    );
    let answer = serde_json::from_slice(&answer).with_context(|| format!("`{PROGRAM}` did not answer in JSON"))?;
    Ok(Some(answer))
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).with_context(|| format!("Cannot write `{}`", path.display()))
}

/// What the program prints.
#[derive(Deserialize)]
struct Answer {
    comments: Vec<Comment>,
}

#[derive(Deserialize)]
struct Comment {
    file: String,
    #[serde(flatten)]
    place: Place,
    level: Level,
    code: u32,
    message: String,
    fix: Option<Change>,
}

/// Lines and columns count from one, columns in characters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Error,
    Warning,
    Info,
    Style,
}

#[derive(Deserialize)]
struct Change {
    replacements: Vec<Replacement>,
}

#[derive(Deserialize)]
struct Replacement {
    #[serde(flatten)]
    place: Place,
    replacement: String,
}

impl Comment {
    fn remark(self, command: &str) -> Remark {
        let severity = match self.level {
            // The command can be run, whatever comes of it.
            Level::Error | Level::Warning => Severity::Warning,
            Level::Info => Severity::Information,
            Level::Style => Severity::Hint,
        };
        let edits = self.fix.into_iter().flat_map(|fix| fix.replacements);
        let edits = edits.map(|edit| TextEdit { range: edit.place.range(command), new_text: edit.replacement });
        Remark {
            range: self.place.range(command),
            severity,
            message: format!("{} (SC{:04}).", self.message.trim_end_matches('.'), self.code),
            fix: edits.collect(),
        }
    }
}

impl Place {
    fn range(&self, command: &str) -> TextRange {
        TextRange::new(offset(command, self.line, self.column), offset(command, self.end_line, self.end_column))
    }
}

fn offset(command: &str, line: usize, column: usize) -> usize {
    let start: usize = command.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = command.get(start..).unwrap_or_default();
    let before = rest.chars().take_while(|letter| *letter != '\n').take(column.saturating_sub(1));
    start + before.map(char::len_utf8).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let command = "é\n\tls é\n";
        assert_eq!(offset(command, 1, 2), 2);
        assert_eq!(&command[offset(command, 2, 2)..offset(command, 2, 4)], "ls");
        assert_eq!(offset(command, 2, 99), command.len() - 1);
        assert_eq!(offset(command, 9, 9), command.len());
    }
}
