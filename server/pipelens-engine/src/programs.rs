//! Other programs: finds the file for a name, and runs a program with limits so that it can neither outlive us nor exhaust the machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use thiserror::Error;
#[cfg(not(unix))]
use tokio::io::AsyncWriteExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStdin, Command};

/// The limits for a program.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub time: Duration,
    /// Address space in bytes; enforced on Unix.
    pub memory_bytes: u64,
    /// Standard output in bytes. More is an error, because a truncated answer is useless.
    pub output_bytes: u64,
}

/// One call of a program.
#[derive(Debug, Clone)]
pub struct Call {
    /// The path that `find` returned.
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub folder: PathBuf,
    /// Its whole environment, in addition to `PATH`, `HOME` and the locale.
    pub variables: Vec<(String, OsString)>,
    /// A short text for its standard input.
    pub input: OsString,
}

/// How a program ended.
#[derive(Debug)]
pub struct Answer {
    pub status: ExitStatus,
    pub output: Vec<u8>,
}

/// Why there is no answer. Used as the end of a sentence that names the program.
#[derive(Debug, Error)]
pub enum ProgramError {
    #[error("could not be started: {0}")]
    Start(std::io::Error),
    #[error("could not be read from: {0}")]
    Read(std::io::Error),
    #[error("did not end within {} s", .0.as_secs_f32())]
    TooSlow(Duration),
    #[error("printed more than {}", crate::files::readable_size(*.0))]
    TooLong(u64),
}

/// The variables of our environment that a program gets.
const INHERITED: [&str; 7] = ["PATH", "HOME", "USERPROFILE", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR"];

/// Finds a program on the `PATH`. A relative directory there would be a different one in every project, and a directory
/// inside a project contains whatever the project put there, so neither is searched.
pub fn find(name: &str, projects: &[&Path]) -> Option<PathBuf> {
    find_in(&std::env::var_os("PATH")?, name, projects)
}

fn find_in(path: &std::ffi::OsStr, name: &str, projects: &[&Path]) -> Option<PathBuf> {
    let projects = projects.iter().filter_map(|project| project.canonicalize().ok());
    // If the project is the whole disk, there is no directory outside it.
    let projects: Vec<PathBuf> = projects.filter(|project| project.parent().is_some()).collect();
    let candidates = std::env::split_paths(path).filter(|folder| folder.is_absolute()).map(|folder| {
        let file = folder.join(name);
        if cfg!(windows) { file.with_extension("exe") } else { file }
    });
    candidates.filter(|file| is_executable(file)).find(|file| {
        // Check both the directory it is found in and the target of any links.
        let places = [file.parent().and_then(|folder| folder.canonicalize().ok()), file.canonicalize().ok()];
        let is_of_project = |place: &Option<PathBuf>| {
            place.as_ref().is_none_or(|place| projects.iter().any(|project| place.starts_with(project)))
        };
        !places.iter().any(is_of_project)
    })
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

/// Runs a program to its end. It and everything it starts are killed when this future is dropped or this process ends, for whatever reason.
pub async fn run(call: &Call, limits: Limits) -> Result<Answer, ProgramError> {
    let mut child = command(call, limits)
        .current_dir(&call.folder)
        .env_clear()
        .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(call.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(ProgramError::Start)?;
    let _family = Family::of(&child);
    let (output, input) = (child.stdout.take(), child.stdin.take());
    let work = async {
        // Kept open until the end: the guard at the other end sees by it that we are alive.
        let _input = hand_over(input, call).await;
        let output = read(output, limits.output_bytes).await?;
        let status = child.wait().await.map_err(ProgramError::Read)?;
        Ok(Answer { status, output })
    };
    tokio::time::timeout(limits.time, work).await.unwrap_or(Err(ProgramError::TooSlow(limits.time)))
}

async fn read(stream: Option<impl AsyncRead + Unpin>, most: u64) -> Result<Vec<u8>, ProgramError> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(most + 1).read_to_end(&mut bytes).await.map_err(ProgramError::Read)?;
    }
    if bytes.len() as u64 > most { Err(ProgramError::TooLong(most)) } else { Ok(bytes) }
}

/// Runs the program with limits, and kills its own process group when standard input ends, because then we are gone.
#[cfg(unix)]
const GUARD: &str = r#"ulimit -c 0; ulimit -v "$1" 2>/dev/null; ulimit -t "$2" 2>/dev/null; input=$3; shift 3
exec 3<&0
{ read -r word <&3; kill -KILL 0; } >/dev/null 2>&1 &
guard=$!
printf '%s' "$input" | "$@" 3<&-
code=$?
kill -KILL "$guard"
exit "$code""#;

#[cfg(unix)]
fn command(call: &Call, limits: Limits) -> Command {
    let shell = find("sh", &[&call.folder]).unwrap_or_else(|| PathBuf::from("/bin/sh"));
    let mut command = Command::new(shell);
    command.args(["-c", GUARD, "sh"]);
    command.arg((limits.memory_bytes / 1024).to_string()).arg(limits.time.as_secs().max(1).to_string());
    command.arg(&call.input).arg(&call.program).args(&call.arguments).process_group(0);
    command
}

#[cfg(unix)]
async fn hand_over(input: Option<ChildStdin>, _call: &Call) -> Option<ChildStdin> {
    input
}

#[cfg(not(unix))]
fn command(call: &Call, _limits: Limits) -> Command {
    let mut command = Command::new(&call.program);
    command.args(&call.arguments);
    command
}

#[cfg(not(unix))]
async fn hand_over(input: Option<ChildStdin>, call: &Call) -> Option<ChildStdin> {
    // If the program does not read its input, its answer will show that.
    input?.write_all(call.input.as_encoded_bytes()).await.ok();
    None
}

/// The program's process group. Dropping it kills whatever still runs.
#[cfg(unix)]
struct Family(Option<rustix::process::Pid>);

#[cfg(unix)]
impl Family {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())))
    }
}

#[cfg(unix)]
impl Drop for Family {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Usually the group is empty by now.
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        }
    }
}

#[cfg(not(unix))]
struct Family;

#[cfg(not(unix))]
impl Family {
    fn of(_child: &Child) -> Self {
        Self
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const LIMITS: Limits = Limits { time: Duration::from_secs(30), memory_bytes: 1 << 30, output_bytes: 1_000 };

    fn program(folder: &Path, name: &str, text: &str) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    fn call(script: &str) -> Call {
        Call {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            folder: std::env::temp_dir(),
            variables: vec![("GIVEN".into(), "yes".into())],
            input: "asked for".into(),
        }
    }

    #[test]
    fn a_program_is_never_found_in_a_project_or_in_a_relative_folder() {
        let place = tempfile::tempdir().unwrap();
        let (project, system) = (place.path().join("project"), place.path().join("system"));
        program(&project.join("bin"), "tool", "");
        let real = program(&system, "tool", "");
        std::fs::write(system.join("text"), "").unwrap();
        symlink(project.join("bin"), place.path().join("link")).unwrap();
        std::fs::create_dir(place.path().join("links")).unwrap();
        symlink(project.join("bin/tool"), place.path().join("links/tool")).unwrap();
        let find = |folders: &[&str], name: &str| {
            let folders = folders.iter().map(|folder| match *folder {
                "" | "." | "bin" => PathBuf::from(folder),
                folder => place.path().join(folder),
            });
            find_in(&std::env::join_paths(folders).unwrap(), name, &[&project])
        };
        assert_eq!(find(&["project/bin", "link", "links", "", ".", "bin", "system"], "tool"), Some(real));
        assert_eq!(find(&["project/bin", "link", "links", "", ".", "bin"], "tool"), None);
        assert_eq!(find(&["system"], "text"), None);
    }

    #[tokio::test]
    async fn a_program_gets_its_input_and_nothing_of_our_environment_that_it_does_not_need() {
        let answer = run(&call("cat; echo; echo $GIVEN ${CARGO_MANIFEST_DIR:-unset}; exit 3"), LIMITS).await.unwrap();
        assert_eq!(String::from_utf8(answer.output).unwrap(), "asked for\nyes unset\n");
        assert_eq!(answer.status.code(), Some(3));
    }

    #[tokio::test]
    async fn a_program_that_exceeds_a_limit_is_killed() {
        let slow = Limits { time: Duration::from_millis(200), ..LIMITS };
        // The child would survive if only the program itself were killed.
        let started = run(&call("sleep 1000 & echo $! >&2; wait"), slow).await.unwrap_err();
        assert_eq!(started.to_string(), "did not end within 0.2 s");
        let long = run(&call("while :; do echo yes; done"), LIMITS).await.unwrap_err();
        assert_eq!(long.to_string(), "printed more than 1.0 kB");
        let greedy = Limits { memory_bytes: 50_000_000, ..LIMITS };
        let answer = run(&call("a=aaaaaaaaaaaaaaaa; while :; do a=$a$a; done"), greedy).await.unwrap();
        assert!(!answer.status.success(), "{answer:?}");
    }
}
