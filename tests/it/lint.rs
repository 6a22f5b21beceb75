//! What ShellCheck says about commands: on the command line and in the editor, with the program and without it.

use std::path::Path;

use serde_json::Value;

use crate::support::{Project, Runner, binary};
use test_client::Client;

const PIPELINE: &str = r"steps:
- key: pack
  image: alpine:3.20
  cmd: |
    é=1
    tar czf $TARGET dist
- key: b
  image: alpine:3.20
  cmd: make
";

/// Notes each call, and says of every command with `$TARGET` that it wants quotes.
const PROGRAM: &str = r#"#!/bin/sh
echo called >> "$PIPELENS_STATE_DIR/calls"
cat .shellcheckrc >> "$PIPELENS_STATE_DIR/rules" 2>/dev/null
sep=
printf '{"comments": ['
for file; do
  case $file in *.dash) ;; *) continue ;; esac
  line=0
  while IFS= read -r text || [ -n "$text" ]; do
    line=$((line + 1))
    case $text in
      *' $TARGET'*)
        before=${text%%\$TARGET*}
        from=$((${#before} + 1)) to=$((${#before} + 8))
        printf '%s{"file": "%s", "line": %s, "endLine": %s, "column": %s, "endColumn": %s, "level": "info", "code": 2086, "message": "Double quote it.", "fix": null}' \
          "$sep" "$file" $line $line $from $to
        sep=,
    esac
  done < "$file"
done
printf ']}\n'
[ -z "$sep" ]
"#;

struct Lint {
    project: Project,
    program: tempfile::TempDir,
}

impl Lint {
    fn new(pipeline: &str, program: Option<&str>) -> Self {
        let lint = Self { project: Project::new(pipeline), program: tempfile::tempdir().unwrap() };
        // What the fake needs, and no ShellCheck of this machine.
        for tool in ["sh", "cat"] {
            let found =
                ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(tool)).into_iter().find(|path| path.exists());
            std::os::unix::fs::symlink(found.unwrap(), lint.program.path().join(tool)).unwrap();
        }
        if let Some(program) = program {
            let path = lint.program.path().join("shellcheck");
            // Its environment is not ours.
            let state = lint.project.state.path().to_str().unwrap();
            std::fs::write(&path, program.replace("$PIPELENS_STATE_DIR", state)).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        lint
    }

    fn check(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.project.command(Runner::Host, &[&["check"], arguments].concat());
        crate::support::texts(command.env("PATH", self.program.path()).output().unwrap())
    }

    /// Starts a server that finds the program.
    fn serve(&self, options: Value) -> Client {
        let environment = [
            ("PIPELENS_STATE_DIR", self.project.state.path().to_str().unwrap()),
            ("PATH", self.program.path().to_str().unwrap()),
            ("DOCKER_HOST", "unix:///nonexistent/docker.sock"),
        ];
        Client::start(binary(), &environment, options)
    }

    fn calls(&self) -> usize {
        let calls = std::fs::read_to_string(self.project.state.path().join("calls")).unwrap_or_default();
        calls.lines().count()
    }
}

#[test]
fn shellcheck_findings_are_shown_in_the_pipeline() {
    let lint = Lint::new(PIPELINE, Some(PROGRAM));
    let (code, output, errors) = lint.check(&["pipeline.yml"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{output}");
    assert!(output.contains("info[shellcheck]: Double quote it (SC2086)."), "{output}");
    assert!(output.contains("pipeline.yml:6:13"), "{output}");
    assert_eq!(lint.calls(), 1);
}

#[test]
fn the_projects_shellcheck_rules_apply_and_a_setting_turns_it_off() {
    let lint = Lint::new(PIPELINE, Some(PROGRAM));
    let folder = lint.project.folder.path();
    // What would make it open files does not.
    std::fs::write(folder.join(".shellcheckrc"), "disable=SC1234 external-sources=true\nsource-path=/etc\n").unwrap();
    lint.check(&["pipeline.yml"]);
    assert_eq!(std::fs::read_to_string(lint.project.state.path().join("rules")).unwrap(), "disable=SC1234\n");
    for setting in ["shellcheck: false\n", "severity: {shellcheck: off}\n"] {
        std::fs::write(folder.join(".pipelens.yaml"), setting).unwrap();
        let (code, output, _) = lint.check(&["pipeline.yml"]);
        assert_eq!((code, output.as_str()), (0, "1 file checked: no findings\n"), "{setting}");
    }
    assert_eq!(lint.calls(), 1);
}

#[test]
fn everything_else_works_without_shellcheck() {
    let lint = Lint::new(PIPELINE, None);
    assert_eq!(lint.check(&["pipeline.yml"]), (0, "1 file checked: no findings\n".to_owned(), String::new()));
}

#[test]
fn a_shellcheck_that_fails_is_reported_and_affects_nothing_else() {
    for (program, expected) in [
        ("#!/bin/sh\nexit 4\n", "versions before 0.7 cannot be used"),
        ("#!/bin/sh\necho hello\n", "did not answer in JSON"),
    ] {
        let lint = Lint::new(PIPELINE, Some(program));
        let (code, output, errors) = lint.check(&["pipeline.yml"]);
        assert_eq!((code, output.as_str()), (0, "1 file checked: no findings\n"));
        assert!(errors.contains("`shellcheck`") && errors.contains(expected), "{errors}");
    }
}

#[test]
fn in_the_editor_shellcheck_runs_in_the_background_and_only_on_new_commands() {
    let lint = Lint::new(PIPELINE, Some(PROGRAM));
    let mut client = lint.serve(Value::Null);
    let uri = lint.project.uri();
    client.open(&uri, PIPELINE);
    assert_eq!(client.diagnostics(&uri, 1), Vec::<Value>::new());
    let found = client.diagnostics(&uri, 1);
    assert_eq!((&found[0]["code"], &found[0]["severity"]), (&"shellcheck".into(), &3.into()));
    assert_eq!(found[0]["range"]["start"], serde_json::json!({"line": 5, "character": 12}));

    // A change elsewhere keeps the findings: they are there at once, and ShellCheck is not run.
    let label = serde_json::json!({"start": {"line": 1, "character": 7}, "end": {"line": 1, "character": 11}});
    client.change(&uri, 2, &label, "packed");
    assert_eq!(client.diagnostics(&uri, 2).len(), 1);
    // A new command is asked for.
    let command = serde_json::json!({"start": {"line": 8, "character": 7}, "end": {"line": 8, "character": 11}});
    client.change(&uri, 3, &command, "rm $TARGET");
    assert_eq!(client.diagnostics(&uri, 3).len(), 1);
    assert_eq!(client.diagnostics(&uri, 3).len(), 2);
    assert_eq!(lint.calls(), 2);
    client.quit();
}

/// Says that it runs, and never ends by itself.
const ENDLESS: &str = r#"#!/bin/sh
echo $$ > "$PIPELENS_STATE_DIR/process"
while :; do read -r line < /dev/zero; done
"#;

#[test]
fn shellcheck_ends_with_the_server_even_when_that_is_killed() {
    let lint = Lint::new(PIPELINE, Some(ENDLESS));
    let mut client = lint.serve(Value::Null);
    client.open(&lint.project.uri(), PIPELINE);
    let process = lint.project.state.path().join("process");
    let process = wait_for(|| std::fs::read_to_string(&process).ok()?.trim().parse::<u32>().ok());
    client.child.kill().unwrap();
    client.child.wait().unwrap();
    let stat = format!("/proc/{process}/stat");
    // A dead process may wait for whoever buries it.
    wait_for(|| {
        let stat = std::fs::read_to_string(&stat).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}

#[test]
fn shellcheck_never_runs_without_trust_and_checks_open_files_once_trusted() {
    let lint = Lint::new(PIPELINE, Some(PROGRAM));
    let mut client = lint.serve(serde_json::json!({"workspaceTrusted": false}));
    let uri = lint.project.uri();
    client.open(&uri, PIPELINE);
    assert_eq!(client.diagnostics(&uri, 1), Vec::<Value>::new());
    client.notify("pipelens/didChangeTrust", serde_json::json!({"trusted": true}));
    assert_eq!(client.diagnostics(&uri, 1)[0]["code"], "shellcheck");
    assert_eq!(lint.calls(), 1);
    client.quit();
}

/// Looks until something is there.
fn wait_for<T>(look: impl Fn() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + test_client::PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "it does not come");
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}
