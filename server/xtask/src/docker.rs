//! A Docker daemon of our own: its own socket, data and network, made for one run of the tests and gone with it.

pub(crate) mod release;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::docker::release::Choice;
use crate::{packages, tools};

/// A daemon on a slow machine has answered long before.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// It stops its containers first.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// A running daemon, only ever in a sandbox: one without a bridge removes the bridge of another. Dropping it stops it and removes everything it had.
pub(crate) struct Daemon {
    process: Child,
    folder: TempDir,
    choice: Choice,
}

impl Daemon {
    /// Starts a daemon and makes the images the tests use.
    pub(crate) fn start(choice: Choice) -> Result<Self> {
        // Short: a socket's path has at most 108 bytes.
        let folder = tempfile::Builder::new().prefix("pipelens-").tempdir()?;
        let process = spawn(folder.path(), choice)?;
        let mut daemon = Self { process, folder, choice };
        daemon.wait_until_it_answers()?;
        daemon.make_images()?;
        Ok(daemon)
    }

    /// Stops the daemon and its containers; what it has stays.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.end_process()
    }

    /// Starts the daemon again over what it had.
    pub(crate) fn resume(&mut self) -> Result<()> {
        self.process = spawn(self.folder.path(), self.choice)?;
        self.wait_until_it_answers()
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            let version = Command::new("docker")
                .env("PATH", self.choice.path()?)
                .args(["--host", &self.host(), "version"])
                .output()?;
            if version.status.success() {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("dockerd ended with {status}:\n{}", self.log_tail());
            }
            if deadline < Instant::now() {
                bail!("dockerd does not answer:\n{}", self.log_tail());
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    fn make_images(&self) -> Result<()> {
        let script = tools::root().join("server/pipelens-engine/tests/make-images.sh");
        let busybox = packages::static_busybox().context("there is no static busybox")?;
        let mut command = Command::new(script);
        command.env("PATH", self.choice.path()?).arg(self.host()).env("BUSYBOX", busybox);
        tools::run_command(command.stdout(Stdio::null()))
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(15)).map(|line| format!("  {line}\n")).collect()
    }

    fn stop(&mut self) -> Result<()> {
        self.end_process()?;
        for mount in mounts_below(self.folder.path())? {
            tools::run("umount", [mount])?;
        }
        Ok(())
    }

    fn end_process(&mut self) -> Result<()> {
        if self.process.try_wait()?.is_some() {
            return Ok(());
        }
        tools::run("kill", ["-TERM", &self.process.id().to_string()])?;
        let deadline = Instant::now() + STOP_DEADLINE;
        while self.process.try_wait()?.is_none() {
            if deadline < Instant::now() {
                self.process.kill()?;
                self.process.wait()?;
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// Starts a daemon over a folder. Its log grows from start to start.
fn spawn(folder: &Path, choice: Choice) -> Result<Child> {
    let log = fs::File::options().create(true).append(true).open(folder.join("log"))?;
    let path = |name: &str| folder.join(name).display().to_string();
    Command::new("dockerd")
        .env("PATH", choice.path()?)
        .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
        .args(["--host", &format!("unix://{}", path("docker.sock"))])
        // No bridge of its own: containers need no network here, and two daemons would fight over the default one.
        .args(["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false"])
        .args(choice.daemon_arguments())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start dockerd")
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("the private Docker daemon in {} was not stopped: {error:#}", self.folder.path().display());
        }
    }
}

/// Returns what is still mounted below a folder, the deepest first.
fn mounts_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    let mut below: Vec<PathBuf> = places.filter(|place| place.starts_with(folder)).collect();
    below.sort();
    below.reverse();
    Ok(below)
}

/// Returns whether the engine that the user's own environment names has its socket, for the demo to say what it will run on.
pub(crate) fn users_socket_exists() -> bool {
    match std::env::var("DOCKER_HOST") {
        Ok(host) => host.strip_prefix("unix://").is_none_or(is_socket),
        Err(_) => is_socket("/var/run/docker.sock"),
    }
}

#[cfg(unix)]
fn is_socket(path: &str) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// A named pipe cannot be asked without opening it: the run itself finds out.
#[cfg(not(unix))]
fn is_socket(_path: &str) -> bool {
    true
}
