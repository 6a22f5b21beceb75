//! What a program may not do, what it leaves behind, and the project's files around it.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{CI, file, host, places, project, python, render, serve, uri};
use crate::skipped::skipped;
use crate::support::{Project, Runner, text, texts};

const PATIENCE: Duration = Duration::from_secs(60);

/// A program that leaves its process id, then does `then`.
fn noting(project: &Project, then: &str) -> (String, PathBuf) {
    let note = project.state.path().join("process");
    let program =
        format!("import os\nopen({note:?} + '~', 'w').write(str(os.getpid()))\nos.rename({note:?} + '~', {note:?})\n");
    (format!("{program}{then}{CI}"), note)
}

/// Whether a process is there and more than an entry that its parent has not read yet.
pub(super) fn is_running(process: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub(super) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn an_endless_loop_is_ended_after_twenty_seconds() {
    let Some(python) = python() else { return };
    let project = project(Some(&python), "");
    let (program, note) = noting(&project, "while True: pass\n");
    fs::write(file(&project), program).unwrap();
    let (code, _, errors) = project.output(Runner::Host, &["plan", "--runner", "host"]);
    assert!(code == 2 && errors.contains("did not end within 20 s"), "{code} {errors}");
    assert!(!is_running(&fs::read_to_string(note).unwrap()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_ends_with_the_process_that_executes_it_however_that_ends() {
    let Some(python) = python() else { return };
    // The second one lets no other thread of its process run.
    for then in ["while True: pass\n", "import re\nre.match('(a+)+$', 'a' * 60 + 'b')\n"] {
        let project = project(Some(&python), "");
        let (program, note) = noting(&project, then);
        fs::write(file(&project), program).unwrap();
        let mut command = project.command(Runner::Host, &["plan", "--runner", "host"]);
        let mut pipelens = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the program runs", || note.exists());
        let process = fs::read_to_string(&note).unwrap();
        assert!(is_running(&process));
        pipelens.kill().unwrap();
        pipelens.wait().unwrap();
        wait_until("the program ends", || !is_running(&process));
    }
}

#[test]
fn a_module_that_is_open_is_imported_as_it_is_in_the_editor() {
    let Some(python) = python() else { return };
    let program = "\
import harmont as hm
from helpers import WORD


@hm.pipeline(\"ci\")
def ci():
    return hm.sh(\"echo\", label=WORD)
";
    let project = project(Some(&python), program);
    let helper = project.folder.path().join(".hm/helpers.py");
    fs::write(&helper, "WORD = 'saved'\n").unwrap();
    let mut client = serve(&project, host());
    render(&mut client, &project).unwrap();
    assert!(places(&mut client, &project).contains("    saved: 7:12 "));
    client.open(&format!("file://{}", helper.display()), "WORD = 'typed'\n");
    render(&mut client, &project).unwrap();
    let found = places(&mut client, &project);
    assert!(found.contains("    typed: 7:12 "), "{found}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_program_may_be_a_link_to_one_elsewhere_in_the_project() {
    let Some(python) = python() else { return };
    let project = project(Some(&python), "");
    fs::remove_file(file(&project)).unwrap();
    fs::create_dir(project.folder.path().join("ci")).unwrap();
    fs::write(project.folder.path().join("ci/pipeline.py"), CI).unwrap();
    std::os::unix::fs::symlink("../ci/pipeline.py", file(&project)).unwrap();
    let (code, log, errors) = project.output(Runner::Host, &["run", "--runner", "host", "--step", "good"]);
    assert!(code == 0 && log.contains("built"), "{code} {log} {errors}");
    let mut client = serve(&project, host());
    render(&mut client, &project).unwrap();
    let found = places(&mut client, &project);
    assert!(found.contains("    good: 7:13 "), "{found}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn steps_of_an_older_sdk_are_placed() {
    let old = std::env::var_os("PIPELENS_TEST_HARMONT_OLD").map(PathBuf::from).filter(|python| python.is_file());
    let Some(old) = old else {
        skipped(
            "an old Harmont SDK",
            "set PIPELENS_TEST_HARMONT_OLD to a Python that has 0.0.6, or run `cargo xtask test`",
        );
        return;
    };
    let project = project(Some(&old), CI);
    let mut client = serve(&project, host());
    client.execute("pipelens.showGraph", json!({"uri": uri(&project), "show": false})).unwrap();
    let found = places(&mut client, &project);
    for step in ["build: 6:", "good: 7:", "bad: 7:"] {
        assert!(found.contains(step), "{found}");
    }
    let titles = client.lens_titles(&uri(&project));
    assert_eq!(titles.iter().filter(|title| title.contains("▶ Run step")).count(), 3, "{titles:?}");
    assert!(text(&json!(found)).starts_with("  ci\n"), "{found}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_program_without_an_sdk_or_an_interpreter_is_told_what_was_tried() {
    let project = project(None, CI);
    let mut command = project.command(Runner::Host, &["plan", "--runner", "host"]);
    command.env("PATH", "/nonexistent").env_remove("VIRTUAL_ENV");
    let (code, _, errors) = texts(command.output().unwrap());
    assert!(code == 2 && errors.contains("No Python was found"), "{errors}");
    let mut command = project.command(Runner::Host, &["plan", "--runner", "host"]);
    let (code, _, errors) = texts(command.env_remove("VIRTUAL_ENV").env("PYTHONPATH", "").output().unwrap());
    assert!(code == 2 && errors.contains("-m pip install harmont"), "{errors}");
}

/// Programs that behave badly, and a part of what is said about each.
const BAD: [(&str, &str); 9] = [
    ("import os\nos._exit(0)\n", "before it had made its pipelines"),
    ("raise ValueError('no\\n  → but')\n", "ValueError: no"),
    ("import sys\nsys.exit(3)\n", "`sys.exit(3)`"),
    ("import missing_module\n", "No module named 'missing_module'"),
    ("while True: print('x' * 1_000_000)\n", "more than 16 MiB"),
    ("def f(:\n", "Python"),
    ("import harmont as hm\n@hm.pipeline('a')\ndef a(): return 3\n", "invalid return value"),
    ("import harmont as hm\n@hm.pipeline('a')\ndef a(): return hm.sh('x', cwd='')\n", "cwd must be a non-empty path"),
    ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "before it had made its pipelines"),
];

#[test]
fn a_bad_program_gets_a_sentence() {
    let Some(python) = python() else { return };
    for (program, expected) in BAD {
        let project = project(Some(&python), &format!("{program}{CI}"));
        let (code, _, errors) = project.output(Runner::Host, &["plan", "--runner", "host"]);
        assert!(code == 2 && errors.contains(expected), "{program}: {code} {errors}");
    }
}

/// Programs that do more than they should, and still make a pipeline.
const ODD: [&str; 5] = [
    "import sys\nassert sys.stdin.read() == ''\n",
    "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n",
    "import os\nos.chdir('/')\n",
    "print('x' * 100_000)\nimport os\nos.system('echo from a child')\n",
    "import subprocess\nsubprocess.Popen(['sleep', '1000'])\n",
];

#[test]
fn an_odd_program_is_rendered_and_leaves_nothing_running() {
    let Some(python) = python() else { return };
    for program in ODD {
        let project = project(Some(&python), &format!("{program}{CI}"));
        let began = Instant::now();
        let (code, plan, errors) = project.output(Runner::Host, &["plan", "--runner", "host"]);
        assert!(code == 0 && plan.contains("build"), "{program}: {code} {errors}");
        assert!(began.elapsed().as_secs() < 500, "it does not wait for what the program has started");
    }
}
