//! Projects that somebody hostile has written, and the proof that looking at them starts no program and opens no file outside of them:
//! the kernel's own account of it, by `strace`.

mod attacks;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::skipped::skipped;
use crate::support::{binary, resident_kib};
use attacks::{ATTACKS, Attack};
use test_client::{Client, everything, exit_status};

/// What no output may show.
const CANARY: &str = "canary-8f3b2c1d9e7a6054";
/// A server with a small file open needs a third of it.
const MOST_KIB: u64 = 120 * 1024;
const PIPELINE: &str = "\
name: zoo
default_image: alpine:3.22
steps:
  - key: deps
    cmd: . ./lib.sh && echo $HOME
    workdir: /workspace/sub
    cache:
      policy: on_change
      paths: [Cargo.lock, src, 'empty/**', up/secret, ../outside/secret, /etc/passwd, '*']
  - key: test
    builds_in: deps
    cmd: make
    secrets: [ZOO_TOKEN]
";

/// One project, with what is around it.
struct Cage {
    place: TempDir,
}

/// How a process was asked to look.
#[derive(Debug, Clone, Copy)]
enum Look {
    Trusted,
    Untrusted,
    Check,
    Plan,
}

impl Cage {
    fn new(attack: &Attack) -> Self {
        let cage = Self { place: tempfile::tempdir().unwrap() };
        for folder in
            ["project/.git", "project/src", "project/empty", "outside/repository/.git", "home", "state", "bin"]
        {
            fs::create_dir_all(cage.path(folder)).unwrap();
        }
        fs::write(cage.path("outside/secret"), format!("{CANARY}\n")).unwrap();
        fs::write(cage.path("outside/secret.yml"), format!("steps: {CANARY}\n")).unwrap();
        fs::write(cage.path("project/.git/HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(cage.path("project/pipeline.yml"), PIPELINE).unwrap();
        fs::write(cage.path("project/src/main.rs"), "").unwrap();
        // Whatever is looked for by a name is here, in a folder of the project that is on the path.
        for program in ["git", "sh", "bash", "shellcheck", "ssh", "docker", "pipelens", "python3", "node"] {
            attacks::program(&cage.path("project"), program);
        }
        (attack.build)(&cage.path("project"), &cage.path("outside"));
        cage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The binary, with each file it opens and each program it starts written down.
    fn traced(&self, arguments: &[&str]) -> Command {
        let project = self.path("project");
        let path = std::env::join_paths([project.clone(), ".".into(), "".into(), self.path("bin")]).unwrap();
        let mut command = Command::new(strace().expect("looked for before"));
        command
            .args(["-f", "-qq", "-y", "-s", "4096", "--seccomp-bpf", "-e"])
            .arg("trace=execve,execveat,open,openat,openat2,creat")
            .arg("-o")
            .arg(self.path("trace"))
            .arg(binary())
            .args(arguments)
            .current_dir(&project)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("PIPELENS_STATE_DIR", self.path("state"))
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .env("ZOO_TOKEN", CANARY);
        command
    }

    /// Returns what the process did that it must not.
    fn offences(&self) -> Vec<String> {
        let trace = fs::read_to_string(self.path("trace")).unwrap();
        let place = self.place.path().canonicalize().unwrap();
        let (outside, project) = (place.join("outside"), place.join("project"));
        let mut starts = 0;
        let mut offences = Vec::new();
        for line in trace.lines() {
            if line.contains(" execve(") || line.contains(" execveat(") {
                starts += 1;
                if starts > 1 {
                    offences.push(line.to_owned());
                }
                continue;
            }
            // Behind the descriptor of what was opened is where it really is.
            let Some(opened) = line.rsplit_once(" = ").and_then(|(_, opened)| opened.split_once('<')) else { continue };
            let opened = Path::new(opened.1.trim_end_matches('>'));
            let is_allowed = if opened.starts_with(&place) {
                !opened.starts_with(&outside)
            } else {
                // The program itself, its libraries, and what it asks of the system and about itself.
                let system = [
                    "/etc/ld.so.cache",
                    // Where the user says what git ignores everywhere.
                    "/etc/gitconfig",
                    "/etc/machine-id",
                    "/proc/",
                    "/sys/",
                    "/lib",
                    "/usr/lib",
                    "/dev/null",
                    "/dev/urandom",
                ];
                system.iter().any(|allowed| opened.to_string_lossy().starts_with(allowed)) || opened == binary()
            };
            // A folder may be looked through on the way; a descriptor without rights reads nothing.
            if !is_allowed && !line.contains("O_PATH") {
                offences.push(line.to_owned());
            }
            if opened.starts_with(&project) && line.contains("O_CREAT") {
                offences.push(line.to_owned());
            }
        }
        assert_eq!(starts.min(1), 1, "nothing was traced: {trace}");
        offences
    }

    fn serve(&self, is_trusted: bool) {
        let mut client = Client::spawn_command(&mut self.traced(&["lsp"]));
        let options = json!({"workspaceTrusted": is_trusted, "runner": "host"});
        client.initialize(everything(), options).unwrap();
        let folder = self.path("project");
        let uri = |name: &str| format!("file://{}", folder.join(name).display());
        let main = uri("pipeline.yml");
        client.open(&main, &readable(&folder.join("pipeline.yml")).unwrap_or_else(|| PIPELINE.to_owned()));
        for name in ["other.pipeline.yml", "pipeline.json", "src/main.rs"] {
            if let Some(text) = readable(&folder.join(name)) {
                client.open(&uri(name), &text);
            }
        }
        client.diagnostics(&main, 1);
        let document = json!({"uri": main});
        let (at, range) = (
            json!({"line": 4, "character": 12}),
            json!({"start": {"line": 0, "character": 0}, "end": {"line": 9, "character": 0}}),
        );
        for (method, more) in [
            ("codeLens", json!({})),
            ("documentLink", json!({})),
            ("documentSymbol", json!({})),
            ("foldingRange", json!({})),
            ("semanticTokens/full", json!({})),
            ("inlayHint", json!({"range": range})),
            ("hover", json!({"position": at})),
            ("completion", json!({"position": at})),
            ("definition", json!({"position": at})),
            ("codeAction", json!({"range": range, "context": {"diagnostics": []}})),
            ("formatting", json!({"options": {"tabSize": 2, "insertSpaces": true}})),
        ] {
            let mut params = more;
            params["textDocument"] = document.clone();
            let answer = client.request(&format!("textDocument/{method}"), params);
            let answer = answer.unwrap_or_else(|error| panic!("{method}: {error}"));
            let outside = self.path("outside");
            assert!(!answer.to_string().contains(&format!("file://{}", outside.display())), "{method}: {answer}");
        }
        client.change(
            &main,
            2,
            &json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}),
            "# typed\n",
        );
        client.diagnostics(&main, 2);
        if !is_trusted {
            for command in ["runPipeline", "runStep", "clearCache", "showGraph", "rerunFailed", "openShell", "listRuns"]
            {
                let argument = if command == "runStep" { json!({"uri": main, "step": "deps"}) } else { Value::Null };
                let refused = client.execute(&format!("pipelens.{command}"), argument).unwrap_err();
                assert!(refused["message"].as_str().unwrap().contains("is not trusted"), "{command}: {refused}");
            }
            let written: Vec<_> = fs::read_dir(self.path("state")).unwrap().collect();
            assert!(written.is_empty(), "{written:?}");
        }
        let server = self.traced_process(client.child.id());
        let resident = resident_kib(server);
        assert!(resident < MOST_KIB, "{resident} KiB");
        assert_eq!(client.quit().code(), Some(0));
    }

    /// Returns the process that strace has started.
    fn traced_process(&self, strace: u32) -> u32 {
        let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap_or_default();
        children.split_whitespace().next().and_then(|child| child.parse().ok()).unwrap_or(strace)
    }

    fn command_line(&self, arguments: &[&str]) {
        let outputs = [self.path("stdout"), self.path("stderr")];
        let [stdout, stderr] = outputs.each_ref().map(|path| Stdio::from(fs::File::create(path).unwrap()));
        let mut command = self.traced(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().unwrap();
        let status = exit_status(&mut child);
        assert!(matches!(status.code(), Some(0..=4)), "{arguments:?}: {status}");
        for path in outputs {
            let text = fs::read(path).unwrap();
            let text = String::from_utf8_lossy(&text);
            assert!(!text.contains(CANARY), "{arguments:?}: {text}");
        }
    }

    fn look(&self, look: Look) {
        match look {
            Look::Trusted => self.serve(true),
            Look::Untrusted => self.serve(false),
            Look::Check => {
                self.command_line(&["check"]);
                assert_eq!(self.offences(), Vec::<String>::new());
                self.command_line(&["check", "pipeline.yml"]);
            }
            Look::Plan => self.command_line(&["plan", "pipeline.yml", "--runner", "host"]),
        }
    }
}

/// Returns a small text file as an editor would have it on screen.
fn readable(path: &Path) -> Option<String> {
    let metadata = path.symlink_metadata().ok()?;
    (metadata.is_file() && metadata.len() < 2_000_000).then(|| fs::read_to_string(path).ok())?
}

fn strace() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join("strace")).find(|file| file.is_file())
}

fn has_strace() -> bool {
    let has_it = strace().is_some();
    if !has_it {
        assert!(std::env::var_os("PIPELENS_REQUIRE_STRACE").is_none(), "strace is not installed");
        skipped("strace", "no strace: install it, or run `cargo xtask test`");
    }
    has_it
}

fn every_attack(look: Look) {
    if !has_strace() {
        return;
    }
    let mut failures = Vec::new();
    for attack in ATTACKS {
        let cage = Cage::new(attack);
        let looked = std::panic::catch_unwind(|| cage.look(look));
        if let Err(panic) = looked {
            let why = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".to_owned());
            failures.push(format!("{}: {why}", attack.name));
            continue;
        }
        let offences = cage.offences();
        if !offences.is_empty() {
            failures.push(format!("{}:\n{}", attack.name, offences.join("\n")));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), ATTACKS.len(), failures.join("\n"));
}

#[test]
fn the_zoo_is_large_enough_and_every_attack_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = ATTACKS.iter().map(|attack| attack.name).collect();
    assert_eq!(names.len(), ATTACKS.len());
    assert!(ATTACKS.len() >= 60, "{}", ATTACKS.len());
}

#[test]
fn opening_any_of_them_with_trust_runs_nothing_and_reads_nothing_outside() {
    every_attack(Look::Trusted);
}

#[test]
fn opening_any_of_them_without_trust_runs_writes_and_reads_nothing() {
    every_attack(Look::Untrusted);
}

#[test]
fn checking_any_of_them_runs_nothing_and_reads_nothing_outside() {
    every_attack(Look::Check);
}

#[test]
fn planning_any_of_them_runs_nothing_and_reads_nothing_outside() {
    every_attack(Look::Plan);
}

/// The other tests would notice: this one sees what they must not see.
#[test]
fn an_allowed_program_is_started_only_with_trust() {
    if !has_strace() {
        return;
    }
    let cage = Cage::new(&ATTACKS[0]);
    attacks::program(&cage.path("bin"), "shellcheck");
    // The shell of its guard is one of the system, or of the same folder.
    attacks::program(&cage.path("bin"), "sh");
    cage.command_line(&["check", "pipeline.yml"]);
    let offences = cage.offences();
    assert!(
        offences.iter().any(|offence| offence.contains("execve(\"") && offence.contains("/bin/sh")),
        "{offences:?}"
    );
    cage.look(Look::Untrusted);
    assert_eq!(cage.offences(), Vec::<String>::new());
}
