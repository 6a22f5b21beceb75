//! Where the tests and their daemons run: in namespaces of their own, so that nothing they do reaches the machine.
//!
//! - **Processes**: when the first process of the namespace ends, the kernel ends all others.
//! - **Mounts** are private and go with the last process. The machine's files are read-only, except for the repository and the
//!   target directory. `/etc` and `/var` can be written to, but what is written is lost; `/tmp` and the home folder are below the
//!   target directory; `/run` is empty.
//! - **Network**: a loopback interface and nothing else. A Docker daemon without a bridge removes the one it finds, `docker0`: the
//!   running Docker's.
//!
//! Programs that were unpacked are seen in `/usr` and `/etc` as if they were installed, where the machine has nothing of that name.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{WaitOptions, wait};

use crate::footprint::{self, MARK};
use crate::packages::{self, Program};
use crate::tools;

/// The namespaces; `--kill-child` takes those inside along when `unshare` itself is killed.
const UNSHARE: [&str; 7] = ["--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"];

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
    // An interrupt from the keyboard reaches those inside as well; this process stays, for it has to clean up.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _context = runtime.enter();
    let _interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let _terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;

    let folder = tools::target()?.join("tmp");
    fs::create_dir_all(&folder)?;
    remove_abandoned(&folder)?;
    let scratch = tempfile::Builder::new().prefix(&format!("sandbox-{}-", std::process::id())).tempdir_in(&folder)?;
    let control_groups = footprint::control_groups();
    // A build may have replaced the file of this process.
    let program = scratch.path().join("xtask");
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
        // Its end tells those inside that this process is gone.
        .stdin(Stdio::piped());
    let mut inside = inside.spawn().context("cannot start unshare")?;
    // `wait` would close it.
    let input = inside.stdin.take();
    let status = inside.wait()?;
    drop(input);
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
    let cargo_homes = cargo_homes();
    set_up(scratch, &cargo_homes).context("cannot set up the sandbox")?;
    let mut inside = Command::new(program);
    inside
        .args(arguments)
        .current_dir(tools::root())
        .stdin(Stdio::null())
        .env("HOME", "/tmp/home")
        .env("TMPDIR", "/tmp")
        .env("CARGO_NET_OFFLINE", "true")
        .envs(cargo_homes)
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("DOCKER_HOST");
    for (variable, folder) in HOME_FOLDERS {
        inside.env(variable, Path::new("/tmp/home").join(folder));
    }
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

/// Runs a program inside the sandbox: what `InsideProgram` does.
pub(crate) fn program(command: &[OsString]) -> Result<()> {
    let (program, arguments) = command.split_first().context("no program is named")?;
    tools::run_command(Command::new(program).args(arguments))
}

/// The folders of a home that programs write to.
pub(crate) const HOME_FOLDERS: [(&str, &str); 4] = [
    ("XDG_STATE_HOME", ".local/state"),
    ("XDG_DATA_HOME", ".local/share"),
    ("XDG_CONFIG_HOME", ".config"),
    ("XDG_CACHE_HOME", ".cache"),
];

/// Where cargo and rustup have what they need, by the variables that name it: their default depends on the home folder.
pub(crate) fn cargo_homes() -> Vec<(&'static str, PathBuf)> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let homes = [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")];
    let folder = |(name, default): (&'static str, &str)| {
        (name, std::env::var_os(name).map_or_else(|| home.join(default), PathBuf::from))
    };
    homes.into_iter().map(folder).filter(|(_, folder)| folder.is_dir()).collect()
}

fn set_up(scratch: &Path, cargo_homes: &[(&str, PathBuf)]) -> Result<()> {
    for folder in ["home", "kept", "layers"] {
        fs::create_dir_all(scratch.join(folder))?;
    }
    for (_, folder) in HOME_FOLDERS {
        fs::create_dir_all(scratch.join("home").join(folder))?;
    }
    let unpacked = packages::unpacked()?;
    let program = std::env::current_exe()?;
    // What must be seen at its own place whatever is covered, wherever people keep their clones.
    let mut kept = vec![tools::root(), tools::target()?];
    kept.extend(cargo_homes.iter().map(|(_, folder)| folder.clone()));
    kept.extend(program.parent().map(Path::to_owned));
    for (number, folder) in kept.iter().enumerate() {
        let copy = scratch.join("kept").join(number.to_string());
        fs::create_dir(&copy)?;
        mount(&["--rbind"], folder, &copy)?;
    }
    mount(&["-t", "tmpfs"], Path::new("none"), &scratch.join("layers"))?;
    let layers = scratch.join("layers");
    let usr = unpacked.join("usr");
    if usr.is_dir() {
        overlay(&[Path::new("/usr"), &usr], None, Path::new("/usr"))?;
    }
    let etc = unpacked.join("etc");
    let lower = [Some(Path::new("/etc")), etc.is_dir().then_some(etc.as_path())];
    prepare_etc(&layers.join("etc"))?;
    overlay(&lower.into_iter().flatten().collect::<Vec<_>>(), Some(&layers.join("etc")), Path::new("/etc"))?;
    overlay(&[Path::new("/var")], Some(&layers.join("var")), Path::new("/var"))?;
    for folder in ["/run", "/dev/shm"] {
        mount(&["-t", "tmpfs"], Path::new("none"), Path::new(folder))?;
    }
    mount(&["--rbind"], scratch, Path::new("/tmp"))?;
    fs::set_permissions("/tmp", std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
    for (number, folder) in kept.iter().enumerate() {
        fs::create_dir_all(folder)?;
        mount(&["--rbind"], &Path::new("/tmp/kept").join(number.to_string()), folder)?;
    }
    mount(&["-o", "remount,bind,ro"], Path::new("none"), Path::new("/"))?;
    let busybox = packages::static_busybox().context("there is no busybox")?;
    tools::run_command(Command::new(busybox).args(["ip", "link", "set", "lo", "up"]))
}

/// Writes what a program's installation would have: a user for the SSH server, and the names of this machine, which a container's
/// `/etc/hosts` has only while it is mounted.
fn prepare_etc(upper: &Path) -> Result<()> {
    let folder = upper.join("upper");
    fs::create_dir_all(&folder)?;
    let mut users = fs::read_to_string("/etc/passwd")?;
    if !users.lines().any(|line| line.starts_with("sshd:")) {
        users.push_str("sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n");
        fs::write(folder.join("passwd"), users)?;
    }
    fs::copy("/etc/hosts", folder.join("hosts"))?;
    Ok(())
}

/// Mounts layers over a folder, the first on top. What is written goes to `writable`, where there is one.
fn overlay(lower: &[&Path], writable: Option<&Path>, place: &Path) -> Result<()> {
    let lower = lower.iter().map(|layer| layer.display().to_string()).collect::<Vec<_>>().join(":");
    let mut options = format!("lowerdir={lower}");
    match writable {
        Some(writable) => {
            let (upper, work) = (writable.join("upper"), writable.join("work"));
            fs::create_dir_all(&upper)?;
            fs::create_dir_all(&work)?;
            options += &format!(",upperdir={},workdir={}", upper.display(), work.display());
        }
        // One layer alone is no overlay.
        None if !lower.contains(':') => return Ok(()),
        None => {}
    }
    mount(&["-t", "overlay", "-o", &options], Path::new("none"), place)
}

fn mount(options: &[&str], source: &Path, place: &Path) -> Result<()> {
    let output = Command::new("mount").args(options).arg(source).arg(place).output().context("cannot start mount")?;
    if !output.status.success() {
        bail!("cannot mount {}: {}", place.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Removes what earlier chores have left that were killed.
fn remove_abandoned(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(owner) = name.strip_prefix("sandbox-").and_then(|rest| rest.split('-').next()) else { continue };
        if !Path::new("/proc").join(owner).exists() {
            fs::remove_dir_all(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Removes the control groups that container engines leave behind. Those of engines that ran before are left alone, and one that is
/// in use cannot be removed.
fn remove_control_groups(before: &BTreeSet<PathBuf>) {
    for group in footprint::control_groups().iter().rev() {
        let has_new_parent = group.parent().is_some_and(|parent| !before.contains(parent));
        if has_new_parent && !before.contains(group) {
            fs::remove_dir(group).ok();
        }
    }
}
