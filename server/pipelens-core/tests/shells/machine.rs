//! Asks the shells of this machine which commands they accept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::skipped::skipped;

/// A shell, and the mode in which it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shell {
    Dash,
    Busybox,
    /// As `sh`.
    BashPosix,
    Bash,
}

impl Shell {
    pub(crate) const ALL: [Self; 4] = [Self::Dash, Self::Busybox, Self::BashPosix, Self::Bash];
}

/// Which commands each shell accepts, by their position.
pub(crate) struct Accepted(Vec<(Shell, BTreeSet<usize>)>);

impl Accepted {
    pub(crate) fn by(&self, command: usize) -> impl Iterator<Item = Shell> + '_ {
        self.0.iter().filter(move |(_, accepted)| accepted.contains(&command)).map(|(shell, _)| *shell)
    }

    /// How many commands some shell accepts.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().flat_map(|(_, accepted)| accepted).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn has_every_shell(&self) -> bool {
        self.0.len() == Shell::ALL.len()
    }
}

/// Gives every command to every shell. Reports the shells that this machine does not have.
pub(crate) fn ask(commands: &[String], shells: &[Shell]) -> Accepted {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (index, command) in commands.iter().enumerate() {
        std::fs::write(folder.join(index.to_string()), command).unwrap();
    }
    let programs: Vec<(Shell, Option<Vec<String>>)> = shells.iter().map(|shell| (*shell, words(*shell))).collect();
    let missing: Vec<Shell> = programs.iter().filter(|(_, words)| words.is_none()).map(|(shell, _)| *shell).collect();
    if !missing.is_empty() {
        let left_out = commands.len() * missing.len();
        skipped(
            "dash, busybox and bash",
            &format!("{left_out} readings by {missing:?}, which this machine does not have"),
        );
    }
    let accepted = std::thread::scope(|scope| {
        let running: Vec<_> = programs
            .iter()
            .filter_map(|(shell, words)| Some((*shell, words.as_ref()?)))
            .map(|(shell, words)| (shell, scope.spawn(|| accepted(words, folder, commands.len()))))
            .collect();
        running.into_iter().map(|(shell, thread)| (shell, thread.join().unwrap())).collect()
    });
    Accepted(accepted)
}

/// One process starts the shell for each file; the shell reads it and runs nothing.
fn accepted(words: &[String], folder: &Path, count: usize) -> BTreeSet<usize> {
    let script = r#"count=$1; shift; i=0
        while [ $i -lt "$count" ]; do "$@" -n "./$i" && echo $i; i=$((i + 1)); done"#;
    let output = Command::new("sh")
        .args(["-c", script, "sh", &count.to_string()])
        .args(words)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

pub(crate) fn words(shell: Shell) -> Option<Vec<String>> {
    let (program, options): (_, &[&str]) = match shell {
        Shell::Dash => ("dash", &[]),
        Shell::Busybox => ("busybox", &["sh"]),
        Shell::BashPosix => ("bash", &["--posix"]),
        Shell::Bash => ("bash", &[]),
    };
    let path = find(program)?.to_str()?.to_owned();
    Some([path].into_iter().chain(options.iter().map(|option| (*option).to_owned())).collect())
}

/// On the PATH, or among what `cargo xtask` has unpacked.
fn find(program: &str) -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/packages/root");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["usr/bin", "bin"].map(|folder| unpacked.join(folder)));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}
