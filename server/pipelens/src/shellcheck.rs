//! ShellCheck's findings about commands, where it is installed. One call checks all new commands; answers are cached by the command's
//! text, so that typing elsewhere costs nothing. It reads only those commands and no other file: a project's rules can choose
//! which checks apply, never which files are opened.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::future;
use pipelens_core::diagnostic::Severity;
use pipelens_core::shell::Dialect;
use pipelens_core::text::{TextEdit, TextRange};
use pipelens_core::{Analysis, Remark};
use pipelens_engine::files::{ProjectFolder, Unreadable};
use pipelens_engine::programs::{self, Call, Limits};
use serde::Deserialize;

/// Looked for on the PATH.
const PROGRAM: &str = "shellcheck";
/// The project's own rules for it; the allowed ones are copied to the directory in which it runs.
const RULES: [&str; 2] = [".shellcheckrc", "shellcheckrc"];
/// The user's own rules, which apply if the project has none.
const USER_RULES: [&str; 2] = [".shellcheckrc", ".config/shellcheckrc"];
const MAX_RULES_BYTES: u64 = 64 * 1024;
/// Directives that are allowed. The others make it open further files, whose text its findings would show.
const ALLOWED_RULES: [&str; 4] = ["disable", "enable", "shell", "extended-analysis"];
/// Variables come from the step, the pipeline and the image; files to follow are in the image.
const NOT_SPOKEN_OF: &str = "SC1090,SC1091,SC2154";
/// Longer commands are programs and belong in a file of their own.
const MAX_COMMAND_BYTES: usize = 64 * 1024;
/// How many commands are checked in one call.
const MAX_BATCH: usize = 500;
/// How many answers are kept: every typed character makes a new command, and only the newest ones are needed again.
const MAX_KNOWN: usize = 10_000;
/// It needs a few milliseconds for a command, and a hundred megabytes for a long one.
const LIMITS: Limits =
    Limits { time: Duration::from_secs(30), memory_bytes: 2 * 1024 * 1024 * 1024, output_bytes: 32 * 1024 * 1024 };

/// The answers for one project.
#[derive(Debug)]
pub(crate) struct ShellCheck {
    root: PathBuf,
    /// Where the program is, looked up once. `None`: it is not installed.
    program: OnceLock<Option<PathBuf>>,
    known: Mutex<Known>,
}

/// A command, and the shell it is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Asked {
    command: String,
    is_bash: bool,
}

impl Asked {
    fn new(command: &str, dialect: Dialect) -> Self {
        Self { command: command.to_owned(), is_bash: dialect == Dialect::Bash }
    }

    /// The file extension by which the program knows the shell, so that a `shell` directive in the command takes precedence. For `sh`, it is
    /// the smallest shell found in images.
    fn extension(&self) -> &'static str {
        if self.is_bash { "bash" } else { "dash" }
    }
}

#[derive(Debug, Default)]
struct Known {
    rules: String,
    remarks: HashMap<Asked, Arc<[Remark]>>,
}

impl ShellCheck {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, program: OnceLock::new(), known: Mutex::default() }
    }

    /// Returns what is known about a command.
    pub(crate) fn remarks(&self, command: &str, dialect: Dialect) -> Arc<[Remark]> {
        self.known().remarks.get(&Asked::new(command, dialect)).cloned().unwrap_or_default()
    }

    /// Reads the commands of some files that it does not know yet, all at once. If the program is not installed, there are no answers,
    /// which is not an error. Returns whether there is something new to say, so that the files have to be analysed again.
    pub(crate) async fn read<'a>(&self, analyses: impl IntoIterator<Item = &'a Analysis>) -> anyhow::Result<bool> {
        let Some(program) = self.program.get_or_init(|| programs::find(PROGRAM, &[&self.root])) else {
            return Ok(false);
        };
        let rules = rules(&self.root);
        let unknown = self.unknown(analyses, &rules);
        let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let batches: Vec<&[Asked]> = unknown.chunks(MAX_BATCH).collect();
        let (mut is_new, mut failed) = (false, None);
        for group in batches.chunks(at_once) {
            let mut running = Vec::with_capacity(group.len());
            for batch in group {
                running.push(self.read_batch(program, batch, &rules));
            }
            for answered in future::join_all(running).await {
                match answered {
                    Ok(has_remarks) => is_new |= has_remarks,
                    Err(error) => {
                        failed.get_or_insert(error);
                    }
                }
            }
        }
        failed.map_or(Ok(is_new), Err)
    }

    /// Tells whether it has anything to say about a file.
    pub(crate) fn has_remarks(&self, analysis: &Analysis) -> bool {
        let known = self.known();
        commands(analysis).any(|asked| known.remarks.get(&asked).is_some_and(|remarks| !remarks.is_empty()))
    }

    async fn read_batch(&self, program: &Path, batch: &[Asked], rules: &str) -> anyhow::Result<bool> {
        let answer = ask(program, batch, rules).await?;
        let mut remarks: Vec<Vec<Remark>> = vec![Vec::new(); batch.len()];
        for comment in answer.comments {
            let index = comment.file.split('.').next().and_then(|name| name.parse::<usize>().ok());
            let Some((command, said)) = index.and_then(|index| Some((batch.get(index)?, remarks.get_mut(index)?)))
            else {
                continue;
            };
            said.push(comment.remark(&command.command));
        }
        let is_new = remarks.iter().any(|remarks| !remarks.is_empty());
        let answers = batch.iter().cloned().zip(remarks.into_iter().map(Arc::from));
        self.known().remarks.extend(answers);
        Ok(is_new)
    }

    fn unknown<'a>(&self, analyses: impl IntoIterator<Item = &'a Analysis>, rules: &str) -> Vec<Asked> {
        let mut known = self.known();
        if known.rules != rules || known.remarks.len() > MAX_KNOWN {
            known.remarks.clear();
            rules.clone_into(&mut known.rules);
        }
        let is_unknown = |asked: &Asked| {
            let command = &asked.command;
            !command.trim().is_empty() && command.len() <= MAX_COMMAND_BYTES && !known.remarks.contains_key(asked)
        };
        let commands = analyses.into_iter().flat_map(commands);
        commands.filter(is_unknown).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the commands that are for a shell the program knows.
fn commands(analysis: &Analysis) -> impl Iterator<Item = Asked> {
    analysis.all_steps().filter_map(|step| Some(Asked::new(&step.cmd.as_ref()?.value, step.dialect()?)))
}

/// Runs the program on commands, in a directory of its own.
async fn ask(program: &Path, commands: &[Asked], rules: &str) -> anyhow::Result<Answer> {
    let folder = tempfile::tempdir().context("Cannot make a folder for the commands ShellCheck reads")?;
    let name = |(index, asked): (usize, &Asked)| format!("{index}.{}", asked.extension());
    let names: Vec<String> = commands.iter().enumerate().map(name).collect();
    // Even if it is empty: without one here, it looks for another in the folders above and in the user's.
    write(folder.path(), ".shellcheckrc", rules.as_bytes())?;
    for (name, command) in names.iter().zip(commands) {
        write(folder.path(), name, command.command.as_bytes())?;
    }
    let options = ["--format", "json1", "--exclude", NOT_SPOKEN_OF, "--"].map(str::to_owned);
    let call = Call {
        program: program.to_owned(),
        arguments: options.into_iter().chain(names).map(Into::into).collect(),
        folder: folder.path().to_owned(),
        variables: Vec::new(),
        input: std::ffi::OsString::new(),
    };
    let answer = programs::run(&call, LIMITS).await.map_err(|error| anyhow::anyhow!("`{PROGRAM}` {error}"))?;
    // 1: there are findings.
    ensure!(
        matches!(answer.status.code(), Some(0 | 1)),
        "`{PROGRAM}` ended with {}; versions before 0.7 cannot be used",
        answer.status
    );
    let answer = serde_json::from_slice(&answer.output);
    answer.with_context(|| format!("`{PROGRAM}` did not answer in JSON"))
}

/// Returns the allowed part of the project's rules, or else of the user's.
fn rules(root: &Path) -> String {
    let project = first_of(root, &RULES);
    let text = project.or_else(|| first_of(&dirs::home_dir()?, &USER_RULES));
    allowed(&text.unwrap_or_default())
}

fn first_of(folder: &Path, names: &[&str]) -> Option<String> {
    let folder = ProjectFolder::open(folder).ok()?;
    names.iter().find_map(|name| match folder.read_unlinked_text(Path::new(name), MAX_RULES_BYTES) {
        Ok(text) => Some(text),
        Err(Unreadable::Missing) => None,
        Err(reason) => {
            tracing::warn!("`{name}` is not used: {reason}");
            None
        }
    })
}

/// Keeps the settings that only choose among ShellCheck's own checks.
fn allowed(rules: &str) -> String {
    let is_allowed = |word: &&str| {
        let Some((key, value)) = word.split_once('=') else { return false };
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, ',' | '-' | '_');
        ALLOWED_RULES.contains(&key) && !value.is_empty() && value.chars().all(is_plain)
    };
    let lines = rules.lines().map(|line| line.split('#').next().unwrap_or_default());
    let words = lines.flat_map(str::split_whitespace).filter(is_allowed);
    words.fold(String::new(), |text, word| text + word + "\n")
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
            // The command can be run; that is all this checks.
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
    fn rules_can_choose_checks_but_not_open_files() {
        let rules = "# a comment\ndisable=SC2086,SC2046 external-sources=true\nsource-path=/etc source-path=\"a disable=all\"\nenable=all\nshell=bash\r\nextended-analysis=false # disable=SC1000\ndisable=\n";
        assert_eq!(
            allowed(rules),
            r"disable=SC2086,SC2046
enable=all
shell=bash
extended-analysis=false
"
        );
    }

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let command = "é\n\tls é\n";
        assert_eq!(offset(command, 1, 2), 2);
        assert_eq!(&command[offset(command, 2, 2)..offset(command, 2, 4)], "ls");
        assert_eq!(offset(command, 2, 99), command.len() - 1);
        assert_eq!(offset(command, 9, 9), command.len());
    }
}
