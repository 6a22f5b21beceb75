//! Where the tests and their daemons run: in namespaces of their own, so that nothing they do reaches the machine.
//!
//! - **Processes**: when the first process of the namespace ends, the kernel ends all others.
//! - **Mounts** are private and go with the last process. The machine's files are read-only, except for the repository and the
//!   target directory. `/etc` is a copy; `/tmp` and the home folder are below the target directory; `/run` and `/var` are empty.
//! - **Network**: a loopback interface and nothing else. A Docker daemon without a bridge removes the one it finds, `docker0`: the
//!   running Docker's.
//!
//! Programs that were unpacked are in `/usr` and their settings in `/etc`, as if they were installed, where the machine has nothing of that name.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{WaitOptions, wait};
use tempfile::TempDir;

use crate::footprint::{self, MARK};
use crate::packages::{self, Program};
use crate::{interrupts, tools};

/// The namespaces; `--kill-child` takes those inside along when `unshare` itself is killed.
const UNSHARE: [&str; 7] = ["--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"];

/// The folder of a sandbox's own files, inside the one that is its `/tmp`.
const OWN: &str = ".sandbox";
const LOCK: &str = ".sandbox/lock";
const PREFIX: &str = "sandbox-";
/// Set where a sandbox is started inside another, which the tests do.
const OUTER: &str = "PIPELENS_OUTER_CHORE";

/// Fails with one sentence if this machine or this user cannot have a sandbox.
pub(crate) fn check() -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "a private container engine needs Linux");
    ensure!(rustix::process::geteuid().is_root(), "a private container engine needs root");
    ensure!(tools::find("unshare").is_some(), "`unshare` (util-linux) is missing");
    let tried = Command::new("unshare").args(UNSHARE).arg("true").output().context("cannot start unshare")?;
    let why = String::from_utf8_lossy(&tried.stderr);
    ensure!(tried.status.success(), "this machine allows no new namespaces ({})", why.trim());
    Ok(())
}

/// Makes sure that a sandbox can be had, with these programs in it.
pub(crate) fn prepare(programs: &[Program]) -> Result<()> {
    check()?;
    let missing = packages::missing(programs);
    ensure!(
        missing.is_empty() || packages::can_unpack(),
        "{} cannot be found, and there is no apt-get to get them with",
        packages::names(&missing)
    );
    packages::unpack(&missing)
}

/// Runs this program again inside a sandbox, with `arguments`, and returns how that ended.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitStatus> {
    let _interrupts = interrupts::outlive()?;
    let (scratch, lock) = new_scratch()?;
    remove_dead_control_groups();
    let control_groups = footprint::control_groups();
    // A build may have replaced the file of this process.
    let program = scratch.path().join(OWN).join("xtask");
    fs::copy("/proc/self/exe", &program).context("cannot copy this program")?;
    let mut inside = Command::new("unshare");
    inside
        .args(UNSHARE)
        .arg("--")
        .arg(program)
        .arg("sandbox-init")
        .arg(scratch.path())
        .args(arguments)
        .env(MARK, footprint::mark())
        .envs(std::env::var_os(MARK).map(|outer| (OUTER, outer)))
        // Its end tells those inside that this process is gone.
        .stdin(Stdio::piped());
    let mut inside = inside.spawn().context("cannot start unshare")?;
    // `wait` would close it.
    let input = inside.stdin.take();
    let status = inside.wait()?;
    drop(input);
    drop(lock);
    let place = scratch.path().to_owned();
    scratch.close().with_context(|| format!("cannot remove {}", place.display()))?;
    remove_control_groups(&control_groups);
    Ok(status)
}

/// The first process of a sandbox: sets it up, runs this program with `arguments`, and reaps whatever is left to it.
pub(crate) fn init(scratch: &Path, arguments: &[OsString]) -> Result<u8> {
    std::thread::spawn(|| {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        // Ends everything in the sandbox.
        std::process::exit(1);
    });
    let program = std::env::current_exe()?;
    let environment = tools::environment_with_home(Path::new("/tmp/home"));
    set_up(scratch).context("cannot set up the sandbox")?;
    let mut inside = Command::new(program);
    inside
        .args(arguments)
        .current_dir(tools::root())
        .stdin(Stdio::null())
        .envs(environment)
        .env("TMPDIR", "/tmp")
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("DOCKER_HOST");
    let child = inside.spawn()?;
    loop {
        // Everything whose parent has ended is a child of this process.
        let Some((ended, status)) = wait(WaitOptions::empty())? else { continue };
        if ended.as_raw_nonzero().get().unsigned_abs() == child.id() {
            let code = status.exit_status().and_then(|code| u8::try_from(code).ok());
            return Ok(code.unwrap_or(1));
        }
    }
}

/// Runs a program in a sandbox.
pub(crate) fn run_program(command: &[OsString]) -> Result<()> {
    prepare(&[packages::BUSYBOX])?;
    let arguments: Vec<OsString> =
        [OsString::from("inside-program")].into_iter().chain(command.iter().cloned()).collect();
    ensure!(run(&arguments)?.success(), "the program in the sandbox failed");
    Ok(())
}

/// Runs a program inside the sandbox: what `InsideProgram` does.
pub(crate) fn program(command: &[OsString]) -> Result<()> {
    let (program, arguments) = command.split_first().context("no program is named")?;
    tools::run_command(Command::new(program).args(arguments))
}

fn set_up(scratch: &Path) -> Result<()> {
    let (kept, layers) = (scratch.join(OWN).join("kept"), scratch.join(OWN).join("layers"));
    for folder in [&kept, &layers] {
        fs::create_dir_all(folder)?;
    }
    // What must be seen at its own place whatever is covered, wherever people keep their clones.
    let mut folders = vec![tools::root(), tools::target()?];
    folders.extend(tools::cargo_homes().into_iter().map(|(_, folder)| folder));
    for (number, folder) in folders.iter().enumerate() {
        let copy = kept.join(number.to_string());
        fs::create_dir(&copy)?;
        mount(&["--rbind"], folder, &copy)?;
    }
    mount(&["-t", "tmpfs"], Path::new("none"), &layers)?;
    show_unpacked_programs()?;
    cover_etc(&layers.join("etc"))?;
    cover_var(&layers.join("var"))?;
    for folder in ["/run", "/dev/shm"] {
        mount(&["-t", "tmpfs"], Path::new("none"), Path::new(folder))?;
    }
    mount(&["--rbind"], scratch, Path::new("/tmp"))?;
    fs::set_permissions("/tmp", Permissions::from_mode(0o1777))?;
    for folder in tools::HOME_FOLDERS {
        fs::create_dir_all(Path::new("/tmp/home").join(folder.1))?;
    }
    for (number, folder) in folders.iter().enumerate() {
        fs::create_dir_all(folder)?;
        mount(&["--rbind"], &Path::new("/tmp").join(OWN).join("kept").join(number.to_string()), folder)?;
    }
    mount(&["-o", "remount,bind,ro"], Path::new("none"), Path::new("/"))?;
    let busybox = packages::static_busybox().context("there is no static busybox")?;
    tools::run_command(Command::new(busybox).args(["ip", "link", "set", "lo", "up"]))
}

/// Shows the programs that were unpacked in `/usr`, below those that are there.
fn show_unpacked_programs() -> Result<()> {
    let unpacked = packages::unpacked()?.join("usr");
    let is_inside_another = std::env::var_os(OUTER).is_some();
    if is_inside_another || !unpacked.is_dir() {
        return Ok(());
    }
    let options = format!("lowerdir=/usr:{}", unpacked.display());
    mount(&["-t", "overlay", "-o", &options], Path::new("none"), Path::new("/usr"))
}

/// A login, of the SSH server too, reads no start-up files of the real home folder.
const ROOT_USER: &str = "root:x:0:0:root:/tmp/home:/bin/sh\n";
/// The installation of the SSH server would have made it.
const SSH_USER: &str = "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n";

/// Puts a copy over `/etc`, with what the unpacked programs bring.
fn cover_etc(copy: &Path) -> Result<()> {
    fs::create_dir_all(copy)?;
    tools::run_command(Command::new("cp").arg("-a").arg("/etc/.").arg(copy))?;
    let unpacked = packages::unpacked()?.join("etc");
    if unpacked.is_dir() {
        tools::run_command(Command::new("cp").arg("-an").arg(unpacked.join(".")).arg(copy))?;
    }
    let (mut root, mut sshd) = (ROOT_USER, SSH_USER);
    let mut users = String::new();
    for line in fs::read_to_string("/etc/passwd")?.lines() {
        match line.split(':').next() {
            Some("root") => users += std::mem::take(&mut root),
            Some("sshd") => users += std::mem::take(&mut sshd),
            Some(_) | None => users += &format!("{line}\n"),
        }
    }
    fs::write(copy.join("passwd"), users + root + sshd)?;
    mount(&["--bind"], copy, Path::new("/etc"))
}

/// Puts an empty `/var` over the machine's.
fn cover_var(empty: &Path) -> Result<()> {
    for folder in ["cache", "lib", "log", "spool", "tmp"] {
        fs::create_dir_all(empty.join(folder))?;
    }
    fs::set_permissions(empty.join("tmp"), Permissions::from_mode(0o1777))?;
    std::os::unix::fs::symlink("/run", empty.join("run"))?;
    mount(&["--bind"], empty, Path::new("/var"))
}

fn mount(options: &[&str], source: &Path, place: &Path) -> Result<()> {
    let output = Command::new("mount").args(options).arg(source).arg(place).output().context("cannot start mount")?;
    if !output.status.success() {
        bail!("cannot mount {}: {}", place.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Makes a sandbox's folder, whose lock is held as long as it is used, and removes those of earlier chores that were killed.
/// A process number would not tell: a sandbox inside another does not see those outside.
fn new_scratch() -> Result<(TempDir, File)> {
    let folder = tools::target()?.join("tmp");
    fs::create_dir_all(&folder)?;
    let all = File::create(folder.join("sandboxes.lock"))?;
    all.lock()?;
    for entry in fs::read_dir(&folder)? {
        let place = entry?.path();
        let is_sandbox = place.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        let is_used = || File::open(place.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_err());
        if is_sandbox && !is_used() {
            fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
        }
    }
    let scratch = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&folder)?;
    fs::create_dir(scratch.path().join(OWN))?;
    let lock = File::create(scratch.path().join(LOCK))?;
    lock.lock()?;
    Ok((scratch, lock))
}

/// Removes the control groups that container engines leave behind. Those of engines that ran before are left alone, and one that is
/// in use cannot be removed.
fn remove_control_groups(before: &BTreeSet<PathBuf>) {
    for group in footprint::control_groups().difference(before) {
        remove_control_group(group);
    }
}

/// Removes the control groups of chores that were killed, which have the chore's mark in their names.
fn remove_dead_control_groups() {
    // A sandbox inside another does not see the processes of those outside.
    if std::env::var_os(MARK).is_some() {
        return;
    }
    for group in footprint::control_groups() {
        let name = group.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = name.strip_prefix("pipelens-").and_then(|mark| mark.split_once('-')?.0.parse::<u32>().ok());
        if number.is_some_and(|number| !Path::new("/proc").join(number.to_string()).exists()) {
            remove_control_group(&group);
        }
    }
}

fn remove_control_group(group: &Path) {
    for inner in fs::read_dir(group).into_iter().flatten().flatten() {
        if inner.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_control_group(&inner.path());
        }
    }
    fs::remove_dir(group).ok();
}
