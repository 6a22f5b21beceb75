//! One command as a process group, from its start until everything it has started has certainly ended.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use futures_util::future::FusedFuture as _;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::EngineError;
use crate::event::{Phase, StdStream};
use crate::host::detached;
use crate::host::view::{Location, Setup, View};
use crate::logs::StepLogs;
use crate::programs;
use crate::runner::GRACE;
use crate::step_context::{Ending, StepContext};
use crate::stop::{self, Interruption};

/// Starts the step's shell and passes on its exit code, so that an exit code is always the command's: a supervisor that dies of a signal
/// was killed from outside. It first says that it is ready, and waits for a line, so that nothing runs before it is watched; and it ignores the
/// signals that a step gets; a command that is asked to end before it has started is not started. Where another program waits for it, which may pass on something else, it also writes the code to a file. Its own standard error is closed, because shells would report there that a command was killed.
const SUPERVISOR: &str = r#"exec 3>&2 2>/dev/null
trap : HUP INT QUIT PIPE ALRM USR1 USR2
trap pipelens_asked=yes TERM
echo ready
IFS= read -r pipelens_line || exit 125
unset pipelens_line SHLVL PWD OLDPWD
pipelens_report=$1
shift
([ -z "$pipelens_asked" ] || exit 143; exec "$@" </dev/null 2>&3 3>&-)
pipelens_code=$?
[ -z "$pipelens_report" ] || echo $pipelens_code >"$pipelens_report"
exit $pipelens_code"#;

/// Kills the process group if its input ends without a line, because then we were killed. Then it kills the processes that left the group
/// (`detached`): a round may miss a child of a process that it kills.
const WATCHER: &str = r#"read -r word && exit
kill -KILL "-$1"
for round in 1 2 3; do
    for environment in /proc/[0-9]*/environ; do
        grep -qs "$2" "$environment" || continue
        process=${environment%/environ}
        kill -KILL "${process#/proc/}"
    done
done"#;

/// A signal that comes while the command starts may get lost between the supervisor and the command, so it is sent after this time at the earliest.
const COMMAND_STARTS_WITHIN: Duration = Duration::from_millis(30);

/// Linux does not allow longer arguments; a longer command is passed in a file.
const LONGEST_ARGUMENT_BYTES: usize = 128 * 1024 - 1;

/// The variables that every step inherits from our own environment.
const INHERITED: [&str; 4] = ["PATH", "HOME", "TERM", "LANG"];

/// How many rounds: a process may start another one just before it is killed.
const ROUNDS: usize = 50;

/// After the group has ended, a process that left it may still keep the output open.
const OUTPUT_ENDS_WITHIN: Duration = Duration::from_secs(2);
const READ_BYTES: usize = 64 * 1024;

/// The first line of the supervisor's output.
const READY: &[u8] = b"ready\n";
const LONGEST_REASON_BYTES: u64 = 4 * 1024;

/// The variable with the working directory's path outside the step's namespace, for example for a Docker daemon that mounts it.
const REAL_WORKDIR: &str = "PIPELENS_WORKDIR";

/// Runs the step's command; `home` is the step's own folder. Returns when its whole group has ended. If we are killed, the locks are held until then
/// too.
pub(super) async fn run(
    context: &StepContext,
    logs: &mut StepLogs,
    home: &Path,
    setup: &Setup,
    location: &Location<'_>,
    locks: Vec<File>,
) -> Result<Ending, EngineError> {
    let Started { child, family, mut watcher } =
        start(context, home, setup, location, locks, command_of(context, home)?).await?;
    context.report_phase(Phase::Running);
    let ending = match supervise(context, logs, child, &family).await {
        Ok(Ending::Exited(_)) if let Some(report) = report_of(&setup.view, home) => {
            reported(&report).await.map(Ending::Exited)
        }
        ending => ending,
    };
    logs.finish_streams().await;
    dismiss(&mut watcher).await;
    ending
}

/// Runs a program in place of the step's command, and `beside` with it. Returns its exit code when its whole group has ended. Then, `beside` is
/// released, and has a moment to end.
pub(super) async fn run_beside(
    context: &StepContext,
    (home, setup, location): (&Path, &Setup, &Location<'_>),
    locks: Vec<File>,
    program: Vec<OsString>,
    beside: impl Future<Output = ()>,
    release: impl FnOnce(),
) -> Result<i64, Interruption> {
    let Started { mut child, family, mut watcher } = start(context, home, setup, location, locks, program).await?;
    let beside = beside.fuse();
    tokio::pin!(beside);
    let running = async {
        let ended = tokio::select! {
            ended = child.wait() => Some(ended),
            () = &mut beside => None,
        };
        family.end().await;
        let ended = match ended {
            Some(ended) => ended,
            None => child.wait().await,
        };
        release();
        if !beside.is_terminated() {
            tokio::time::timeout(OUTPUT_ENDS_WITHIN, beside).await.ok();
        }
        ended.map_err(|source| EngineError::Spawn { source })
    };
    let ended = stop::unless_stopped(&context.stop, running).await;
    family.end().await;
    dismiss(&mut watcher).await;
    let status = ended?;
    Ok(match report_of(&setup.view, home) {
        Some(report) => reported(&report).await?,
        None => exit_code(status)?,
    })
}

/// A command that runs.
struct Started {
    child: Child,
    family: Family,
    watcher: (Child, Option<ChildStdin>),
}

/// Starts a program as the step's command, once everything watches it.
async fn start(
    context: &StepContext,
    home: &Path,
    setup: &Setup,
    location: &Location<'_>,
    locks: Vec<File>,
    program: Vec<OsString>,
) -> Result<Started, EngineError> {
    let mark = Uuid::new_v4().simple().to_string();
    let mut child = spawn(context, home, setup, location, &mark, program)?;
    let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    let group = group.ok_or_else(|| EngineError::Spawn { source: std::io::Error::other("no process id") })?;
    let family = Family { group, mark, since: detached::started(group.as_raw_nonzero().get()) };
    let mut watcher = watch(&setup.shell, &family, locks)?;
    if let Err(reason) = become_ready(&mut child).await {
        family.end().await;
        dismiss(&mut watcher).await;
        return Err(EngineError::Spawn { source: std::io::Error::other(reason) });
    }
    if let Some(mut gate) = child.stdin.take() {
        gate.write_all(b"go\n").await.map_err(|source| EngineError::Spawn { source })?;
    }
    Ok(Started { child, family, watcher })
}

/// Waits until the supervisor has what it needs, or returns what the programs that prepare it have said.
async fn become_ready(child: &mut Child) -> Result<(), String> {
    let mut word = [0; READY.len()];
    let is_ready = match &mut child.stdout {
        Some(stdout) => stdout.read_exact(&mut word).await.is_ok() && word == *READY,
        None => false,
    };
    if is_ready {
        return Ok(());
    }
    let mut reason = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let mut stderr = stderr.take(LONGEST_REASON_BYTES);
        tokio::time::timeout(OUTPUT_ENDS_WITHIN, stderr.read_to_end(&mut reason)).await.ok();
    }
    let reason = String::from_utf8_lossy(&reason);
    let reason = reason.trim();
    Err(if reason.is_empty() { "it exited before the command".into() } else { reason.into() })
}

async fn supervise(
    context: &StepContext,
    logs: &mut StepLogs,
    child: Child,
    family: &Family,
) -> Result<Ending, EngineError> {
    let begun = Instant::now();
    let ended = drain(child, logs, family);
    tokio::pin!(ended);
    let ending = tokio::select! {
        status = &mut ended => return exit_code(status?).map(Ending::Exited),
        ending = context.time_to_stop(Instant::now()) => ending,
    };
    if let Ok(status) = tokio::time::timeout_at(begun + COMMAND_STARTS_WITHIN, &mut ended).await {
        return status.map(|_| ending);
    }
    family.ask_to_end().await;
    match tokio::time::timeout(GRACE, &mut ended).await {
        Ok(status) => status.map(|_| ending),
        Err(_) => {
            family.end().await;
            ended.await.map(|_| ending)
        }
    }
}

/// Passes the output to the logs until the command has ended and all output has arrived.
async fn drain(mut child: Child, logs: &mut StepLogs, family: &Family) -> Result<ExitStatus, EngineError> {
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let mut status = None;
    let output_ends = tokio::time::sleep(Duration::MAX / 4);
    tokio::pin!(output_ends);
    loop {
        if let Some(status) = status
            && stdout.is_none()
            && stderr.is_none()
        {
            return Ok(status);
        }
        tokio::select! {
            bytes = read(&mut stdout), if stdout.is_some() => match bytes {
                Some(bytes) => logs.write(StdStream::Stdout, &bytes).await,
                None => stdout = None,
            },
            bytes = read(&mut stderr), if stderr.is_some() => match bytes {
                Some(bytes) => logs.write(StdStream::Stderr, &bytes).await,
                None => stderr = None,
            },
            result = child.wait(), if status.is_none() => {
                let result = result.map_err(|error| EngineError::UnknownExitCode { reason: error.to_string() })?;
                status = Some(result);
                // As in a container, everything the command left running is killed.
                family.end().await;
                output_ends.as_mut().reset(Instant::now() + OUTPUT_ENDS_WITHIN);
            }
            () = &mut output_ends, if status.is_some() => (stdout, stderr) = (None, None),
        }
    }
}

async fn read(stream: &mut Option<impl AsyncRead + Unpin>) -> Option<Bytes> {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let count = stream.as_mut()?.read_buf(&mut buffer).await.ok()?;
    (count > 0).then(|| buffer.freeze())
}

/// Returns the step's shell with its command.
fn command_of(context: &StepContext, home: &Path) -> Result<Vec<OsString>, EngineError> {
    let (cmd, shell) = (&context.step().cmd, &context.step().shell);
    let mut words: Vec<OsString> = shell.iter().map(OsString::from).collect();
    if cmd.len() < LONGEST_ARGUMENT_BYTES {
        words.extend(["-c".into(), cmd.into()]);
    } else {
        let script = home.join("cmd");
        crate::private::write(&script, cmd.as_bytes()).map_err(|source| EngineError::File {
            doing: "Writing the command",
            path: script.clone(),
            source,
        })?;
        words.push(script.into());
    }
    Ok(words)
}

fn spawn(
    context: &StepContext,
    home: &Path,
    setup: &Setup,
    location: &Location<'_>,
    mark: &str,
    program: Vec<OsString>,
) -> Result<Child, EngineError> {
    let mut command = setup.view.command(&setup.shell, SUPERVISOR, location);
    command.arg(report_of(&setup.view, home).unwrap_or_default()).args(program);
    command.env_clear();
    let inherited = INHERITED.iter().copied().chain(context.host_env.iter().map(String::as_str));
    command.envs(inherited.filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.env(REAL_WORKDIR, location.real_workdir());
    command.envs(context.variables()?);
    command.env(detached::VARIABLE, mark);
    command.process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|source| EngineError::Spawn { source })
}

/// Returns this machine's shell, never one inside the project.
pub(super) fn shell(project: &Path) -> Result<PathBuf, EngineError> {
    let missing = || std::io::Error::new(std::io::ErrorKind::NotFound, "`sh` is not on the `PATH`");
    programs::find("sh", &[project]).ok_or_else(|| EngineError::Spawn { source: missing() })
}

/// The watcher writes nothing, so the locks are its output: a file that another process inherits stays locked as long as that process runs.
fn watch(shell: &Path, family: &Family, locks: Vec<File>) -> Result<(Child, Option<ChildStdin>), EngineError> {
    let mut command = Command::new(shell);
    let marked = format!("{}={}", detached::VARIABLE, family.mark);
    command.args(["-c", WATCHER, "sh", &family.group.as_raw_nonzero().to_string(), &marked]);
    // In a group of its own, because it must outlive both the step's group and ours.
    command.process_group(0);
    let mut outputs = locks.into_iter().map(Stdio::from);
    let mut output = || outputs.next().unwrap_or_else(Stdio::null);
    command.stdin(Stdio::piped()).stdout(output()).stderr(output());
    let mut watcher = command.spawn().map_err(|source| EngineError::Spawn { source })?;
    let words = watcher.stdin.take();
    Ok((watcher, words))
}

/// Tells the watcher that there is nothing left to kill, because the group's number may soon belong to other processes.
async fn dismiss((watcher, words): &mut (Child, Option<ChildStdin>)) {
    if let Some(words) = words {
        words.write_all(b"done\n").await.ok();
    }
    watcher.wait().await.ok();
}

/// Everything a command has started. If we panic in the middle of a step, the watcher's input ends, and it kills the command.
struct Family {
    group: Pid,
    /// The mark by which processes that have left the group are found.
    mark: String,
    /// When its first process started.
    since: Option<u64>,
}

impl Family {
    /// Each process is asked once: a second signal would run its handler again.
    async fn ask_to_end(&self) {
        self.signal(Signal::TERM, 1, Some(self.group)).await;
    }

    async fn end(&self) {
        self.signal(Signal::KILL, ROUNDS, None).await;
    }

    /// Sends a signal to the group and to processes that are not in the group `skipped`, until there are none left or the rounds are over.
    async fn signal(&self, signal: Signal, rounds: usize, skipped: Option<Pid>) {
        // The group may be empty by now.
        kill_process_group(self.group, signal).ok();
        let (mark, since) = (self.mark.clone(), self.since);
        let detached = tokio::task::spawn_blocking(move || {
            (0..rounds).find(|_| detached::signal(&mark, since, signal, skipped) == 0)
        });
        detached.await.ok();
    }
}

/// Returns the file to which the supervisor writes the exit code if its own does not arrive for certain: `unshare` waits for the first process
/// of a PID namespace, and older ones return 1 if it is killed.
fn report_of(view: &View, home: &Path) -> Option<PathBuf> {
    (*view != View::Shared).then(|| home.join("code"))
}

async fn reported(report: &Path) -> Result<i64, EngineError> {
    let code = tokio::fs::read_to_string(report).await.unwrap_or_default();
    code.trim().parse().map_err(|_| {
        let reason = "its supervisor was killed by something else".into();
        EngineError::NoReport { reason }
    })
}

/// Returns the exit code that the supervisor passed on.
fn exit_code(status: ExitStatus) -> Result<i64, EngineError> {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(code.into()),
        (None, Some(signal)) => {
            let reason = format!("its shell was killed by signal {signal}, sent by something else");
            Err(EngineError::NoReport { reason })
        }
        (None, None) => Err(EngineError::UnknownExitCode { reason: "the system reported no exit code".into() }),
    }
}
