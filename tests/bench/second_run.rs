//! The second run of what `pipelens init` writes, after one line has changed, beside the native commands after the same change. On this machine,
//! and in an image with its toolchains if `PIPELENS_BENCH_TOOLCHAINS` names one.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::millis;
use crate::tools;

const ROUNDS: usize = 5;
const FILES: usize = 20_000;
const COMBINATIONS: usize = 50;

/// A project of one kind.
struct Project {
    name: &'static str,
    /// What it is built with.
    tool: &'static str,
    files: Vec<(String, String)>,
    /// What a person does once.
    setup: &'static str,
    /// What a person does after each change.
    native: &'static str,
    edited: &'static str,
    comment: &'static str,
}

/// Measures where each project's tools are.
pub(super) fn measure(binary: &Path, docker_host: Option<&str>) -> Result<()> {
    println!("milliseconds, median of {ROUNDS}                 first  second  native second   of that");
    let image = env::var("PIPELENS_BENCH_TOOLCHAINS").ok();
    let in_image = image.as_deref().zip(docker_host);
    for project in [rust(), node(), python(), c()] {
        if tools::find(project.tool).is_none() {
            println!("{:<40} `{}` is not installed", project.name, project.tool);
            continue;
        }
        compare(binary, &project, None)?;
        if in_image.is_some() {
            compare(binary, &project, in_image)?;
        }
    }
    mounted(binary)?;
    combined(binary)
}

/// Compares one project with its native commands; `in_image` is an image and the daemon that has it.
fn compare(binary: &Path, project: &Project, in_image: Option<(&str, &str)>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (ours, native) = (folder.path().join("ours"), folder.path().join("native"));
    for place in [&ours, &native] {
        for (name, text) in &project.files {
            let path = place.join(name);
            fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
            fs::write(path, text)?;
        }
    }
    let pipelens = |arguments: &[&str]| {
        let mut command = Command::new(binary);
        command.args(arguments).current_dir(&ours).env("PIPELENS_STATE_DIR", folder.path().join("state"));
        match in_image {
            Some((_, host)) => command.env("DOCKER_HOST", host).env("PIPELENS_RUNNER", "docker"),
            None => command.env("PIPELENS_RUNNER", "host"),
        };
        timed(&mut command)
    };
    shell(project.setup, &native)?;
    if project.setup.contains("lock") {
        shell(project.setup, &ours)?;
    }
    pipelens(&["init"])?;
    if let Some((image, _)) = in_image {
        let file = ours.join("pipeline.yml");
        let lines = fs::read_to_string(&file)?;
        let lines = lines.lines().map(|line| match line.split_once("image: ") {
            Some((before, _)) => format!("{before}image: {image}\n"),
            None => format!("{line}\n"),
        });
        fs::write(&file, lines.collect::<String>())?;
    }
    let first = pipelens(&["run"])?;
    shell(project.native, &native)?;
    let (mut our_times, mut native_times) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for place in [&ours, &native] {
            let mut file = OpenOptions::new().append(true).open(place.join(project.edited))?;
            writeln!(file, "{} {round}", project.comment)?;
        }
        native_times.push(shell(project.native, &native)?);
        our_times.push(pipelens(&["run"])?);
    }
    our_times.sort();
    native_times.sort();
    let (second, of_native) = (millis(&our_times, 50), millis(&native_times, 50));
    let name = format!("{}{}", project.name, if in_image.is_some() { ", in an image" } else { ", on this machine" });
    println!(
        "{name:<34} {:>11.0} {second:>7.0} {of_native:>14.0} {:>9.2}",
        first.as_secs_f64() * 1000.0,
        second / of_native
    );
    pipelens(&["clean"]).map(drop)
}

/// A step with a large cache mount, beside one without.
fn mounted(binary: &Path) -> Result<()> {
    let fill = format!("[ -e node_modules/{FILES} ] || for i in $(seq {FILES}); do echo $i >node_modules/$i; done");
    let step = |mount: &str| {
        format!("name: m\nsteps:\n  - {{key: a, cmd: '{}'{mount}}}\n", if mount.is_empty() { "true" } else { &fill })
    };
    let with = repeated(binary, &step(", cache_mounts: [node_modules]"))?;
    let without = repeated(binary, &step(""))?;
    println!("a step with {FILES} files in a cache mount: {with:.0} ms, without {without:.0} ms");
    Ok(())
}

/// A matrix, beside the same steps written one by one.
fn combined(binary: &Path) -> Result<()> {
    let values: Vec<String> = (0..COMBINATIONS).map(|value| value.to_string()).collect();
    let matrix = format!("name: m\nsteps:\n  - {{key: a, cmd: 'true', matrix: {{x: [{}]}}}}\n", values.join(", "));
    let steps: String = values.iter().map(|value| format!("  - {{key: a{value}, cmd: 'true'}}\n")).collect();
    let matrix = repeated(binary, &matrix)?;
    let written = repeated(binary, &format!("name: m\nsteps:\n{steps}"))?;
    println!("a matrix of {COMBINATIONS}: {matrix:.0} ms, the steps one by one {written:.0} ms");
    Ok(())
}

/// Returns the median of the runs of a pipeline after the first, in milliseconds.
fn repeated(binary: &Path, pipeline: &str) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let project = folder.path().join("project");
    fs::create_dir(&project)?;
    fs::write(project.join("pipeline.yml"), pipeline)?;
    let run = || {
        let mut command = Command::new(binary);
        command.args(["run", "--runner", "host"]).current_dir(&project);
        timed(command.env("PIPELENS_STATE_DIR", folder.path().join("state")))
    };
    run()?;
    let mut times = (0..ROUNDS).map(|_| run()).collect::<Result<Vec<_>>>()?;
    times.sort();
    Ok(millis(&times, 50))
}

fn shell(commands: &str, folder: &Path) -> Result<Duration> {
    timed(Command::new("sh").args(["-ec", commands]).current_dir(folder))
}

fn timed(command: &mut Command) -> Result<Duration> {
    command.env("PIPELENS_SETTINGS", "no-settings.yaml");
    let began = Instant::now();
    let output = command.output().with_context(|| format!("{command:?} starts"))?;
    let took = began.elapsed();
    let text = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&text));
    Ok(took)
}

fn files(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn rust() -> Project {
    let test = "pub fn add(a: u64, b: u64) -> u64 {\n    a + b\n}\n\n#[test]\nfn adds() {\n    assert_eq!(add(1, 2), 3);\n    assert!(regex::Regex::new(\"a+\").unwrap().is_match(\"caat\"));\n    assert!(serde_json::json!([1]).is_array());\n}\n";
    let manifest = "[package]\nname = \"sums\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\nserde_json = \"1\"\nregex = \"1\"\n";
    Project {
        name: "Rust with two dependencies",
        tool: "cargo",
        files: files(&[("Cargo.toml", manifest), ("src/lib.rs", test), (".gitignore", "target\n")]),
        setup: "cargo generate-lockfile",
        native: "cargo build --all-targets --locked; cargo test --locked; cargo clippy --all-targets --locked -- -D warnings",
        edited: "src/lib.rs",
        comment: "//",
    }
}

fn node() -> Project {
    let manifest = r#"{"name": "sums", "version": "1.0.0", "scripts": {"build": "tsc", "test": "node --test dist"},
"devDependencies": {"typescript": "5.9.2", "@types/node": "20.19.0"}}"#;
    let settings = r#"{"compilerOptions": {"outDir": "dist", "rootDir": "src", "target": "es2022", "module": "commonjs", "strict": true,
"esModuleInterop": true, "incremental": true, "types": ["node"]}}"#;
    let test = "import test from \"node:test\";\nimport assert from \"node:assert\";\nimport { add } from \"./sum\";\ntest(\"adds\", () => { assert.equal(add(1, 2), 3); });\n";
    Project {
        name: "Node with TypeScript",
        tool: "npm",
        files: files(&[
            ("package.json", manifest),
            ("tsconfig.json", settings),
            ("src/sum.ts", "export const add = (a: number, b: number): number => a + b;\n"),
            ("src/sum.test.ts", test),
            (".gitignore", "node_modules\ndist\n"),
        ]),
        setup: "npm install --silent --package-lock-only",
        native: "[ -d node_modules ] || npm ci; npm run build; CI=true npm run test",
        edited: "src/sum.ts",
        comment: "//",
    }
}

fn python() -> Project {
    Project {
        name: "Python with pytest",
        tool: "python3",
        files: files(&[
            ("requirements.txt", "pytest==8.4.1\nrequests==2.32.4\n"),
            ("sums.py", "import requests\n\n\ndef add(a, b):\n    return a + b\n"),
            ("tests/test_sums.py", "from sums import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"),
            ("conftest.py", ""),
            (".gitignore", ".venv\n__pycache__\n"),
        ]),
        setup: "python3 -m venv .venv; .venv/bin/python -m pip install -q -r requirements.txt",
        native: ".venv/bin/python -m pytest",
        edited: "sums.py",
        comment: "#",
    }
}

fn c() -> Project {
    let makefile = "all: sums\nsums: $(patsubst %.c,%.o,$(wildcard *.c))\n\tgcc -o $@ $^\n%.o: %.c\n\tgcc -O2 -c -o $@ $<\ntest: sums\n\t./sums\n.PHONY: all test\n";
    let mut files =
        files(&[("Makefile", makefile), ("main.c", "int main(void) { return 0; }\n"), (".gitignore", "*.o\nsums\n")]);
    files.extend((0..40).map(|file| {
        let function = |number| {
            format!("int f{file}_{number}(int x) {{ int s = 0; for (int k = 0; k < x; k++) s += k * {number} + rand(); return s; }}\n")
        };
        (format!("f{file}.c"), format!("#include <stdlib.h>\n{}", (0..60).map(function).collect::<String>()))
    }));
    Project {
        name: "C, 41 files with make",
        tool: "gcc",
        files,
        setup: "true",
        native: "make; make test",
        edited: "f3.c",
        comment: "//",
    }
}
