//! How a step sees this machine. Where the kernel allows it, each step has a mount namespace, in which its workspace is at the project's place
//! whatever other steps do, and a PID namespace, from which it cannot signal the user's other processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::host::mounting::Bind;
use crate::host::place;
use crate::programs;
use crate::snapshot::shell_word;

/// What the kernel allows does not change while we run.
static BEST: OnceCell<View> = OnceCell::const_new();

/// A kernel that does not answer in this time gets no namespaces.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Puts a directory at a path, and goes to a directory below it. The rest of the arguments is the step's.
const ENTER: &str = r#""$1" --bind "$2" "$3" && cd -P "$4" && shift 4 || exit 125
"#;

/// The same, and puts more directories at their paths before it goes there.
const ENTER_WITH_BINDS: &str = r#""$1" --bind "$2" "$3" || exit 125
pipelens_mount=$1 pipelens_workdir=$4 pipelens_binds=$5
shift 5
while [ "$pipelens_binds" -gt 0 ]; do
    "$pipelens_mount" --bind "$1" "$2" || exit 125
    [ "$3" = rw ] || "$pipelens_mount" -o remount,bind,ro,nosuid,nodev,noexec "$2" 2>/dev/null || :
    shift 3
    pipelens_binds=$((pipelens_binds - 1))
done
cd -P "$pipelens_workdir" || exit 125
unset pipelens_mount pipelens_workdir pipelens_binds
"#;

/// Starts the process IDs of each step's PID namespace at a different number, because scripts name temporary files by their process ID. Not every
/// kernel supports this.
const COUNT_FROM: &str = "(echo \"$1\" >/proc/sys/kernel/ns_last_pid) 2>/dev/null; shift\n";

/// The difference between the first process IDs of two steps that start one after the other.
const APART: u32 = 1_009;
const FIRST_NUMBER: u32 = 300;
/// Every kernel allows process IDs up to 32,768.
const NUMBERS: u32 = 30_000;
static STEPS: AtomicU32 = AtomicU32::new(0);

/// Gives the step the user's own identity back: `ENTER` needs to be root in the namespace.
const BECOME_USER: &str = r#"pipelens_unshare=$1 pipelens_user=$2 pipelens_group=$3
shift 3
exec "$pipelens_unshare" --user "$pipelens_user" "$pipelens_group" -- "$@"
"#;

/// How a step sees the filesystem and the processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    /// As every other process does.
    Shared,
    Own(Namespaces),
}

/// Namespaces made by the program `unshare`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Namespaces {
    unshare: PathBuf,
    mount: PathBuf,
    /// Whether it has a PID namespace, in which its supervisor is the first process.
    has_processes: bool,
    /// Whether it needs a user namespace, because we are not root. `sudo` does not work in one.
    has_user: bool,
}

/// The shell of a run's steps, and what they see.
#[derive(Debug)]
pub(super) struct Setup {
    /// The path of the shell.
    pub(super) shell: PathBuf,
    pub(super) view: View,
}

/// Where a step runs.
#[derive(Debug)]
pub(super) struct Location<'a> {
    /// The step's directory.
    pub(super) real: &'a Path,
    /// Where the step sees it.
    pub(super) seen: &'a Path,
    /// Its working directory, in `seen`.
    pub(super) workdir: &'a Path,
    /// What else is mounted in its view.
    pub(super) binds: &'a [Bind],
}

impl Location<'_> {
    /// Returns the working directory as processes outside see it.
    pub(super) fn real_workdir(&self) -> PathBuf {
        self.workdir.strip_prefix(self.seen).map_or_else(|_| self.real.to_owned(), |below| self.real.join(below))
    }
}

impl View {
    /// Finds out what the kernel allows, once. `scratch` and `place` are directories of ours.
    pub(super) async fn best(project: &Path, shell: &Path, scratch: &Path, place: &Path) -> Self {
        match BEST.get_or_init(|| find(project, shell, scratch, place)).await {
            // It was found for another project, and this one's own programs never count.
            Self::Own(own) if !own.is_outside(project) => find(project, shell, scratch, place).await,
            view => view.clone(),
        }
    }

    /// Returns the command that runs a script of the shell for a step. The script's arguments follow.
    pub(super) fn command(&self, shell: &Path, script: &str, location: &Location<'_>) -> Command {
        match self {
            Self::Shared => {
                let mut command = Command::new(shell);
                command.current_dir(location.workdir).args(["-c", script, "sh"]);
                command
            }
            Self::Own(namespaces) => namespaces.command(shell, script, location),
        }
    }
}

impl Namespaces {
    /// Whether a search outside a project finds the same programs.
    fn is_outside(&self, project: &Path) -> bool {
        ["unshare", "mount"]
            .into_iter()
            .zip([&self.unshare, &self.mount])
            .all(|(name, program)| programs::find(name, &[project]).is_some_and(|found| found == *program))
    }

    /// Returns the command line with which a person's shell opens another one there.
    pub(super) fn shell_line(&self, location: &Location<'_>, variables: &str) -> String {
        let word = |path: &Path| shell_word(&path.to_string_lossy());
        let (real, seen, workdir) = (word(location.real), word(location.seen), word(location.workdir));
        let (outer, inner) = if self.has_user {
            let [user, group] = ids();
            (" --user --map-root-user", format!("unshare --user {user} {group} "))
        } else {
            ("", String::new())
        };
        let script = shell_word(&format!("mount --bind {real} {seen} && cd {workdir} && exec {inner}sh"));
        // Locked, so that no run removes the place meanwhile.
        let lock = word(&place::lock_of(location.seen));
        format!("mkdir -p -m 700 {seen} && flock -s {lock} env {variables}unshare --mount{outer} sh -c {script}")
    }

    fn command(&self, shell: &Path, script: &str, location: &Location<'_>) -> Command {
        let mut command = Command::new(&self.unshare);
        command.current_dir("/").arg("--mount");
        if self.has_processes {
            command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        }
        if self.has_user {
            command.args(["--user", "--map-root-user"]);
        }
        command.arg("--").arg(shell).arg("-c");
        let binds = location.binds;
        let enter = if binds.is_empty() { ENTER } else { ENTER_WITH_BINDS };
        let location = [&self.mount, location.real, location.seen, location.workdir];
        let then = if self.has_user { BECOME_USER } else { script };
        let count_from = if self.has_processes { COUNT_FROM } else { "" };
        command.arg(format!("{enter}{count_from}{then}")).arg("sh").args(location);
        if !binds.is_empty() {
            command.arg(binds.len().to_string()).args(binds.iter().flat_map(Bind::arguments));
        }
        if self.has_processes {
            let steps = STEPS.fetch_add(1, Ordering::Relaxed);
            let number = steps.wrapping_mul(APART).wrapping_add(std::process::id()) % NUMBERS;
            command.arg((FIRST_NUMBER + number).to_string());
        }
        if self.has_user {
            let [user, group] = ids();
            command.arg(&self.unshare).args([user, group]).arg(shell).args(["-c", script, "sh"]);
        }
        command
    }

    async fn work(&self, shell: &Path, scratch: &Path, place: &Path) -> bool {
        let test = if self.has_processes { "[ -e here ] && [ $$ = 1 ] && [ -e /proc/self ]" } else { "[ -e here ]" };
        let mut command =
            self.command(shell, test, &Location { real: scratch, seen: place, workdir: place, binds: &[] });
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let status = tokio::time::timeout(ANSWERS_WITHIN, command.status()).await;
        status.is_ok_and(|status| status.is_ok_and(|status| status.success()))
    }
}

async fn find(project: &Path, shell: &Path, scratch: &Path, place: &Path) -> View {
    let program = |name| programs::find(name, &[project]);
    let (Some(unshare), Some(mount)) = (program("unshare"), program("mount")) else { return View::Shared };
    if crate::private::write(&scratch.join("here"), b"").is_err() {
        return View::Shared;
    }
    let is_root = rustix::process::geteuid().is_root();
    for has_user in [false, true].into_iter().skip(usize::from(!is_root)) {
        for has_processes in [true, false] {
            let candidate = Namespaces { unshare: unshare.clone(), mount: mount.clone(), has_processes, has_user };
            if candidate.work(shell, scratch, place).await {
                return View::Own(candidate);
            }
        }
    }
    View::Shared
}

/// The arguments of `unshare` that map the user to itself.
fn ids() -> [String; 2] {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    [format!("--map-user={user}"), format!("--map-group={group}")]
}
