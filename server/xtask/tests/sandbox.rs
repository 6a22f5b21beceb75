//! What runs in a sandbox leaves nothing on the machine, and what is left is noticed.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// In a sandbox, a process stays; files, a mount and a network interface come into being, as container engines make them.
const LEAVE: &str = "
    sleep 90817 & echo started
    mkdir -p /etc/cni/net.d /run/netns /var/lib/docker /tmp/pl-left \"$XDG_STATE_HOME/pipelens\"
    mount -t tmpfs none /run/netns
    cat /proc/net/dev
    touch /pipelens-was-here 2>&1";

fn is_possible() -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--net", "--pid", "--fork", "true"]).stderr(Stdio::null());
    unshare.status().is_ok_and(|status| status.success())
}

fn runs(command: [&str; 2]) -> bool {
    let wanted = command.map(|word| word.to_owned() + "\0").concat();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|line| line == wanted.as_bytes())
}

fn sandbox(script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["sandbox", "sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn nothing_that_is_done_in_a_sandbox_is_left() {
    if !is_possible() {
        return;
    }
    let places = ["/etc/cni", "/var/lib/docker", "/tmp/pl-left", "/run/netns"].map(Path::new);
    let before = places.map(Path::exists);
    let output = sandbox(LEAVE).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Read-only file system"), "{said}");
    // The last command failed, as it should.
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("started") && said.contains("lo:") && !said.contains("eth0"), "{said}");
    assert!(!said.contains("was left"), "{said}");
    assert_eq!(places.map(Path::exists), before);
    assert!(!runs(["sleep", "90817"]), "the process still runs");
    assert!(!Path::new("/pipelens-was-here").exists());
}

#[test]
fn what_is_left_on_the_machine_fails_the_chore_and_is_named() {
    if !is_possible() {
        return;
    }
    let signals = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (started, go_on) = (signals.path().join("started"), signals.path().join("go-on"));
    let script = format!("touch {}; until test -e {}; do sleep 0.05; done", started.display(), go_on.display());
    let chore = sandbox(&script).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !started.exists() {
        assert!(Instant::now() < deadline, "the sandbox did not start");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    // From outside, for nothing inside can.
    let left = tempfile::Builder::new().prefix("pl-left-").tempdir_in("/tmp").unwrap();
    std::fs::write(&go_on, "").unwrap();
    let output = chore.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let name = left.path().display().to_string();
    assert!(said.contains(&format!("this was left outside of the target directory: {name}")), "{said}");
}
