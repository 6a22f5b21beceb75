//! Programs in TypeScript, in every runtime there is.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use expect_test::expect_file;
use serde_json::json;

use super::limits::{is_running, wait_until};
use super::{file, places_in, programs, project};
use crate::skipped::skipped;
use crate::support::{Runner, binary};
use test_client::Client;

/// The runtimes for TypeScript, with the folder that has the SDK for it; `cargo xtask test` installs them.
fn runtimes() -> Option<(Vec<PathBuf>, PathBuf)> {
    let tools = std::env::var_os("PIPELENS_TEST_HARMONT_TS").map(PathBuf::from).filter(|folder| folder.is_dir());
    let Some(tools) = tools else {
        skipped("the Harmont SDK for TypeScript", "set PIPELENS_TEST_HARMONT_TS, or run `cargo xtask test`");
        return None;
    };
    let found = ["node", "bun", "deno", "tsx"].map(|name| tools.join("node_modules/.bin").join(name));
    let found: Vec<PathBuf> = found.into_iter().filter(|file| file.is_file()).collect();
    assert!(!found.is_empty(), "no runtime in {}", tools.display());
    Some((found, tools.join("sdk/node_modules")))
}

/// What the Harmont tools execute for TypeScript.
const PLAIN_TYPESCRIPT: &str = "\
import { writeFileSync } from 'node:fs';
import { renderEnvelope } from '@harmont/hm';
const module = await import(process.argv[2]);
const made = module.default ?? module.pipelines;
writeFileSync(process.argv[3], renderEnvelope(Array.isArray(made) ? made : [made], { basePath: process.cwd() }));
";

#[test]
fn a_typescript_program_makes_the_same_in_every_runtime_with_each_step_at_its_expression() {
    let Some((runtimes, sdk)) = runtimes() else { return };
    let programs = programs("typescript");
    assert!(programs.len() >= 8);
    let mut expected: Option<String> = None;
    for runtime in &runtimes {
        let mut found = String::new();
        for program in &programs {
            let project = project(None, "");
            let folder = project.folder.path().join(".hm");
            fs::remove_file(file(&project)).unwrap();
            fs::write(project.folder.path().join("deps.lock"), "one").unwrap();
            std::os::unix::fs::symlink(&sdk, folder.join("node_modules")).unwrap();
            let file = folder.join("pipeline.ts");
            fs::copy(program, &file).unwrap();
            fs::write(folder.join("plain.mjs"), PLAIN_TYPESCRIPT).unwrap();
            let settings = project.state.path().join("settings.yaml");
            fs::write(settings, format!("programs: {{typescript: {:?}}}\n", runtime)).unwrap();
            let (code, made, errors) =
                project.output(Runner::Host, &["convert", ".hm/pipeline.ts", "--to", "envelope"]);
            assert_eq!(code, 0, "{} in {}: {errors}", program.display(), runtime.display());
            if runtime.ends_with("node") {
                let plain = project.state.path().join("plain.json");
                let mut command = Command::new(runtime);
                command.arg("--experimental-strip-types").arg(folder.join("plain.mjs")).arg(&file).arg(&plain);
                let output = command.current_dir(project.folder.path()).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                assert_eq!(made.trim_end(), fs::read_to_string(plain).unwrap(), "{}", program.display());
            }
            let mut client = Client::start(
                binary(),
                &[("PIPELENS_STATE_DIR", project.state.path().to_str().unwrap())],
                json!({"runner": "host", "programs": {"typescript": runtime}}),
            );
            client.ignores = test_client::is_routine_or_outcome;
            let uri = format!("file://{}", file.display());
            client.open(&uri, &fs::read_to_string(&file).unwrap());
            client.execute("pipelens.showGraph", json!({"uri": uri, "show": false})).unwrap();
            let places = places_in(&mut client, &file);
            found.push_str(&format!("{}\n{places}", program.file_name().unwrap().display()));
            assert_eq!(client.quit().code(), Some(0));
        }
        // It does not know every caller.
        if runtime.ends_with("bun") {
            continue;
        }
        match &expected {
            None => expected = Some(found),
            Some(expected) => assert_eq!(&found, expected, "{}", runtime.display()),
        }
    }
    expect_file!["../../fixtures/programs/typescript.txt"].assert_eq(&expected.unwrap_or_default());
}

#[cfg(target_os = "linux")]
#[test]
fn a_typescript_program_ends_with_the_process_that_executes_it() {
    let Some((runtimes, sdk)) = runtimes() else { return };
    for runtime in &runtimes {
        let project = project(None, "");
        let (folder, note) = (project.folder.path().join(".hm"), project.state.path().join("process"));
        fs::remove_file(file(&project)).unwrap();
        std::os::unix::fs::symlink(&sdk, folder.join("node_modules")).unwrap();
        // It leaves its process id, and never gives another task of its thread a turn.
        let program = format!(
            "import {{ renameSync, writeFileSync }} from 'node:fs';\nimport process from 'node:process';\n\
             writeFileSync({note:?} + '~', String(process.pid));\nrenameSync({note:?} + '~', {note:?});\nwhile (true) {{}}\n"
        );
        fs::write(folder.join("pipeline.ts"), program).unwrap();
        fs::write(project.state.path().join("settings.yaml"), format!("programs: {{typescript: {runtime:?}}}\n"))
            .unwrap();
        let mut command = project.command(Runner::Host, &["plan", ".hm/pipeline.ts", "--runner", "host"]);
        let mut pipelens = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the program runs", || note.exists());
        let process = fs::read_to_string(&note).unwrap();
        assert!(is_running(&process), "{}", runtime.display());
        pipelens.kill().unwrap();
        pipelens.wait().unwrap();
        wait_until(&format!("the program ends in {}", runtime.display()), || !is_running(&process));
    }
}
