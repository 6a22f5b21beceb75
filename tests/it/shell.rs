//! `pipelens shell`, typed into on a real pseudo terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use pipelens_engine::cache::workspace_id;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use crate::support::{Project, Runner, docker, runners};

const PIPELINE: &str = r#"name: ci
default_image: pipelens-test/busybox
env: {WHO: me}
steps:
  - {key: setup, cmd: "echo from setup > made"}
  - key: in-a-shell
    builds_in: setup
    cmd: echo never > made; exit 3
    env: {MORE: "two words"}
    cache_mounts: [kept]
    secrets: [TOKEN]
  - {key: broken, cmd: exit 1}
  - {key: after-broken, cmd: "true", builds_in: broken}
  - {key: many, cmd: "true", matrix: {os: [alpine, debian]}}
"#;

const WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What a person does at a terminal.
struct Person {
    terminal: File,
    output: Receiver<Vec<u8>>,
    /// Keeps the terminal open after the shell's end.
    theirs: OwnedFd,
    child: Child,
    shown: String,
    /// How much of it has been looked at.
    seen: usize,
}

impl Person {
    fn opens(project: &Project, runner: Runner, arguments: &[&str]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        tcsetwinsize(&ours, Winsize { ws_row: 33, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let path = ptsname(&ours, Vec::new()).unwrap();
        let theirs = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let stdio = || Stdio::from(theirs.try_clone().unwrap());
        let words: Vec<&str> = ["shell", "--runner", runner.name()].iter().chain(arguments).copied().collect();
        let child = project
            .command(runner, &words)
            .env("TOKEN", "s3cret-value")
            .env("TERM", "dumb")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        let terminal = File::from(ours);
        let (mut shown, (sender, output)) = (terminal.try_clone().unwrap(), channel());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = shown.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { terminal, output, theirs, child, shown: String::new(), seen: 0 }
    }

    /// Waits until this is shown after what was seen last.
    fn sees(&mut self, wanted: &str) {
        let deadline = Instant::now() + WITHIN;
        loop {
            if let Some(at) = self.shown[self.seen..].find(wanted) {
                self.seen += at + wanted.len();
                return;
            }
            let has_ended = self.child.try_wait().unwrap().is_some();
            match self.output.recv_timeout(LOOK_AGAIN_AFTER) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) if has_ended || Instant::now() > deadline => {
                    self.child.kill().ok();
                    panic!("never saw `{wanted}`: {}", self.shown);
                }
                Err(_) => {}
            }
        }
    }

    fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Returns the exit code. By then, the terminal is as it was.
    fn ends(mut self) -> i32 {
        let deadline = Instant::now() + WITHIN;
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code().unwrap();
            }
            if Instant::now() > deadline {
                self.child.kill().ok();
                panic!("it does not end: {}", self.shown);
            }
            // Whatever it still writes is shown if it fails.
            if let Ok(bytes) = self.output.recv_timeout(LOOK_AGAIN_AFTER) {
                self.shown.push_str(&String::from_utf8_lossy(&bytes));
            }
        };
        let mode = tcgetattr(&self.theirs).unwrap();
        assert!(mode.local_modes.contains(rustix::termios::LocalModes::ICANON), "{}", self.shown);
        code
    }
}

/// The project's containers and networks; other tests may have steps with the same key.
fn left_of(project: &Project) -> String {
    let workspace = workspace_id(&project.folder.path().canonicalize().unwrap());
    let label = format!("label=dev.pipelens.workspace={workspace}");
    let list = |words: &[&str]| docker(&[words, &["--quiet", "--filter", &label]].concat());
    [list(&["ps", "--all"]), list(&["network", "ls"])].concat()
}

#[test]
fn a_shell_has_what_the_steps_command_would_have() {
    for runner in runners() {
        let project = Project::new(PIPELINE);
        let mut person = Person::opens(&project, runner, &["--allow-secret", "TOKEN", "pipeline.yml", "in-a-shell"]);
        person.sees("The step would now run:");
        // What is typed while something runs may be lost.
        person.types("PS1='go''on> '\n");
        person.sees("goon> ");
        person.types("cat made; echo \"<$WHO $MORE $TOKEN $CI>\"; touch kept/file\n");
        person.sees("from setup");
        person.sees("<me two words s3cret-value true>");
        person.sees("goon> ");
        // Ctrl-C is for what runs in the shell.
        person.types("sh -c 'echo sle\"\"eps; exec sleep 1000'\n");
        person.sees("sleeps");
        person.types("\x03");
        person.sees("goon> ");
        // The size follows the shell's start.
        person.types("until stty size | grep 99; do sleep 0.1; done; (exit 7)\n");
        person.sees("33 99");
        person.sees("goon> ");
        person.types("\x04");
        assert_eq!(person.ends(), 7);
        if runner == Runner::Docker {
            assert_eq!(left_of(&project), "");
        }
        // Its cache mount is the step's, and it is no run.
        let mut again = Person::opens(&project, runner, &["--allow-secret", "TOKEN", "in-a-shell"]);
        again.sees("The step would now run:");
        again.types("ls ke\"\"pt; exit\n");
        again.sees("file");
        assert_eq!(again.ends(), 0);
        let (_, runs, _) = project.output(runner, &["list", "--runs"]);
        assert!(!runs.contains("in-a-shell") && !runs.contains("✓"), "{runs}");
        project.output(runner, &["clean", "--all"]);
    }
}

#[test]
fn a_failed_step_can_be_looked_at_with_its_cache_mounts() {
    for runner in runners() {
        let project = Project::new(PIPELINE);
        let mut early = Person::opens(&project, runner, &["--failed", "in-a-shell", "--allow-secret", "TOKEN"]);
        early.sees("What `in-a-shell` left when it failed is not kept.");
        assert_eq!(early.ends(), 1);
        let run = project
            .command(runner, &["run", "--step", "in-a-shell", "--runner", runner.name(), "--allow-secret", "TOKEN"])
            .env("TOKEN", "s3cret-value")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(said.contains("pipelens shell --failed in-a-shell"), "{said}");
        let mut person = Person::opens(&project, runner, &["--failed", "in-a-shell"]);
        person.sees("as it failed");
        person.types("cat made; echo \"<$TOKEN>\"; ls -d ke\"\"pt; exit\n");
        person.sees("never");
        person.sees("<s3cret-value>");
        person.sees("kept");
        assert_eq!(person.ends(), 0);
        project.output(runner, &["clean", "--all"]);
    }
}

#[test]
fn without_a_shell_to_open_a_sentence_says_why() {
    let project = Project::new(PIPELINE);
    let (code, _, errors) = project.output(Runner::Host, &["shell", "--runner", "host", "in-a-shell"]);
    assert_eq!(code, 2);
    assert!(errors.contains("needs a terminal"), "{errors}");
    let says = |arguments: &[&str], wanted: &str, code: i32| {
        let mut person = Person::opens(&project, Runner::Host, arguments);
        person.sees(wanted);
        assert_eq!(person.ends(), code, "{arguments:?}");
    };
    says(&["in-a-shel"], "Did you mean `in-a-shell`?", 2);
    says(&["in-a-shell"], "--allow-secret TOKEN", 2);
    says(&["many"], "Step `many` has 2 combinations; name one: `many (alpine)`, `many (debian)`", 2);
    says(&["after-broken"], "Needs `broken`, which failed", 1);
    let mut one = Person::opens(&project, Runner::Host, &["many (debian)"]);
    one.sees("The step would now run:");
    one.types("echo \"<$MATRIX_OS>\"; exit\n");
    one.sees("<debian>");
    assert_eq!(one.ends(), 0);
}

#[test]
fn services_run_beside_a_shell_and_end_with_it() {
    if !runners().contains(&Runner::Docker) {
        return;
    }
    let text = r"name: ci
default_image: pipelens-test/busybox
steps:
  - key: served-shell
    cmd: exit 1
    runner_args:
      services:
        web: {image: pipelens-test/web}
        other: {image: pipelens-test/web}
";
    let project = Project::new(text);
    let mut person = Person::opens(&project, Runner::Docker, &["served-shell"]);
    person.sees("The step would now run:");
    person.types("wget -qO- http://web:8080/; wget -qO- http://other:8080/; echo; echo do\"\"ne\n");
    person.sees("served");
    person.sees("done");
    assert_ne!(left_of(&project), "");
    person.types("\x04");
    assert_eq!(person.ends(), 0);
    assert_eq!(left_of(&project), "");
}
