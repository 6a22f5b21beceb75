//! Commands that fail, run by the real shells of this machine: which of their lines it was.

use std::path::Path;
use std::process::{Command, Stdio};

use pipelens_core::shell::{Failed, failed_line};

use crate::change::Random;
use crate::machine::{Shell, words};

const COMMANDS: usize = 120;
/// Of the commands that fail, so many of a hundred must be told.
const LEAST_TOLD_PERCENT: usize = 35;
/// Writes down the line it is on and ends with a code.
const MARK: &str = "#!/bin/sh\necho \"$1\" >>lines\nexit \"$2\"\n";

/// Returns a command of a few lines in which every part knows its line.
fn command(random: &mut Random) -> String {
    let mut text = String::new();
    let mut line = 1;
    if random.one_in(2) {
        text.push_str(random.choose(&["set -e\n", "set -ex\n", "set -eu\n"]));
        line += 1;
    }
    for _ in 0..2 + random.below(4) {
        let code = random.choose(&["0", "0", "1", "3"]);
        let part = match random.below(12) {
            0 => "echo \"a b\"".to_owned(),
            1 => "A=1".to_owned(),
            2 => format!("if ./mark {line} 0; then\n  ./mark {line} {code}\nfi"),
            3 => format!("./mark {line} {code} && ./mark {line} 0"),
            4 => format!("./mark {line} 0; exit {code}"),
            5 => format!("./mark {line} {code} || ./mark {line} 0"),
            6 => format!("f() {{\n  ./mark $1 {code}\n}}"),
            7 => format!("./mark {line} {code} | cat"),
            8 => format!("cat <<E >/dev/null\n$(./mark {line} 0)\nE\n# ./mark"),
            9 => format!("( ./mark {line} {code} )"),
            _ => format!("./mark {line} \\\n  {code}"),
        };
        line += part.matches('\n').count() + 1;
        text.push_str(&part);
        text.push('\n');
    }
    text
}

/// Runs a command, and returns its code, the line it had come to, and the last line of its trace.
fn run(words: &[String], command: &str, folder: &Path) -> (i32, usize, Option<String>) {
    let lines = folder.join("lines");
    std::fs::write(&lines, "").unwrap();
    let (program, options) = words.split_first().unwrap();
    let output = Command::new(program)
        .args(options)
        .args(["-c", command])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let come_to = std::fs::read_to_string(&lines).unwrap().lines().last().map_or(0, |line| line.parse().unwrap());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let traced = errors.lines().rev().find_map(|line| line.strip_prefix("+ ").map(str::to_owned));
    (output.status.code().unwrap(), come_to, traced)
}

#[test]
fn a_line_that_is_told_is_the_one_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mark"), MARK).unwrap();
    let made_runnable = Command::new("chmod").args(["+x", "mark"]).current_dir(folder.path()).status().unwrap();
    assert!(made_runnable.success());
    let mut random = Random(0x5DEE_CE66_D1CE_4E5B);
    let (mut failed, mut told) = (0, 0);
    for _ in 0..COMMANDS {
        let command = command(&mut random);
        for words in Shell::ALL.into_iter().filter_map(words) {
            let (code, come_to, traced) = run(&words, &command, folder.path());
            if code == 0 {
                continue;
            }
            failed += 1;
            let shell = &words;
            let line = failed_line(Failed { command: &command, shell, code: code.into(), traced: traced.as_deref() });
            if let Some(line) = line {
                told += 1;
                assert_eq!(line, come_to, "{words:?} ended with {code}, traced {traced:?}:\n{command}");
            }
        }
    }
    assert!(failed > COMMANDS / 2, "{failed}");
    assert!(told * 100 >= failed * LEAST_TOLD_PERCENT, "{told} of {failed}");
}
