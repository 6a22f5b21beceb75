//! What a step prints and what a file says, as it reaches a terminal, a CI system and an editor.

use serde_json::{Value, json};

use crate::support::{Project, Runner, binary, lines};
use test_client::Client;

/// Prints every way to command a terminal or a CI system.
const EVIL: &str = r#"steps:
  - key: evil
    cmd: |
      printf '\033[31mred\033[0m \033]52;c;aGk=\007\033]0;title\007\033[2J\033[1A\302\233\n'
      printf '::set-env name=A::b\n'
      printf '\r::add-path::/tmp\n'
      printf '##[set-env name=A]b\n'
      printf 'x ##vso[task.setvariable variable=A]b\n'
      printf '\033[0Ksection_start:1:x\r\033[0K\n'
      printf 'see \033]8;;https://example.org\033\\the page\033]8;;\033\\\n'
      printf 'half\033]2;ti\rtle\007 and half\n'
      printf 'open \033]0;no end\n'
      printf 'after\033P1q\033\\ it\b\n'
"#;

fn assert_harmless(shown: &str) {
    for line in shown.split(['\n', '\r']) {
        assert!(!line.trim_start().starts_with("::"), "{line:?}");
        assert!(!line.trim_start().starts_with("section_start"), "{line:?}");
    }
    for part in ["##[", "##vso[", "\u{1b}]", "\u{1b}[2J", "\u{1b}[1A", "\u{9b}", "\u{7}"] {
        assert!(!shown.contains(part), "{part:?} in {shown:?}");
    }
}

#[test]
fn output_of_a_step_controls_neither_a_terminal_nor_a_ci_system() {
    let project = Project::new(EVIL);
    for format in ["human", "json"] {
        let (code, output, errors) =
            project.output(Runner::Host, &["run", "--runner", "host", "--format", format, "pipeline.yml"]);
        assert_eq!(code, 0, "{errors}");
        assert!(output.contains("add-path::/tmp"), "{output}");
        for shown in ["see the page", "half and half", "open ", "after it"] {
            assert!(output.contains(shown), "{shown:?} in {output}");
        }
        assert_harmless(&output);
        assert_harmless(&errors);
    }
    let (_, raw, _) = project.output(Runner::Host, &["run", "--runner", "host", "--raw-log", "pipeline.yml"]);
    assert!(raw.contains("##[set-env name=A]b"), "{raw}");
    let arguments = ["run", "--runner", "host", "--raw-log", "--format", "json", "pipeline.yml"];
    let (_, raw, _) = project.output(Runner::Host, &arguments);
    assert!(raw.contains(r"half\u001b]2;ti\rtle\u0007 and half"), "{raw}");
}

#[test]
fn what_a_program_reads_of_a_step_has_colours_and_no_other_control_sequence() {
    let project = Project::new(EVIL);
    let mut client = project.serve(Runner::Host);
    let (_, events) = client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
    let (_, output, _) = project.output(Runner::Host, &["run", "--runner", "host", "--format", "json", "pipeline.yml"]);
    let printed: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for events in [events, printed] {
        expect_test::expect![[r###"
            [
                "\u{1b}[31mred\u{1b}[0m \u{1b}[0m",
                "::set-env name=A::b",
                "::add-path::/tmp",
                "##[set-env name=A]b",
                "x ##vso[task.setvariable variable=A]b",
                "",
                "see the page",
                "half and half",
                "open ",
                "after it",
            ]
        "###]]
        .assert_debug_eq(&lines(&events, "evil"));
    }
    let log = client.log_text();
    assert_harmless(&log);
    assert!(log.contains("[evil] half and half\n") && !log.contains('\u{1b}'), "{log}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn text_from_a_file_is_escaped_in_every_report() {
    let project = Project::new(
        "name: \"::error::x\\e[2J\"\nsteps:\n  - key: \"::set-env name=A::b\\r\\n::error::\\u202ex\"\n    cmd: x\n  - {key: '##[group]', cmd: x, depends_on: ['##vso[x]y']}\n",
    );
    for format in ["human", "json", "github", "sarif"] {
        let (code, output, errors) = project.output(Runner::Host, &["check", "--format", format, "pipeline.yml"]);
        assert_eq!(code, 1, "{errors}");
        for shown in [&output, &errors] {
            assert!(!shown.contains(['\u{1b}', '\u{202e}', '\r']), "{format}: {shown:?}");
        }
        let is_command = |line: &&str| line.trim_start().starts_with("::");
        let is_ours =
            |line: &str| ["::error file=", "::warning file=", "::notice file="].iter().any(|own| line.starts_with(own));
        assert!(output.lines().filter(is_command).all(is_ours), "{format}: {output}");
        assert!(format != "human" || !output.contains("##["), "{output}");
    }
    for arguments in
        [&["run", "pipeline.yml"][..], &["graph", "pipeline.yml"], &["graph", "--format", "svg", "pipeline.yml"]]
    {
        let (_, output, errors) = project.output(Runner::Host, arguments);
        for shown in [&output, &errors] {
            assert!(!shown.contains(['\u{1b}', '\u{202e}', '\r']), "{arguments:?}: {shown:?}");
            assert!(!shown.lines().any(|line| line.trim_start().starts_with("::")), "{arguments:?}: {shown}");
        }
    }
}

#[test]
fn an_editor_gets_no_control_character_and_no_link_out_of_the_project() {
    let project = Project::new(
        "steps:\n  - key: \"a\\e[2J\\u202e\"\n    cmd: cat out.link/passwd ../secret.txt in.txt\n    image: a:1\n    cache: {policy: on_change, paths: [/etc/passwd, ../secret.txt, out.link/passwd, in.txt]}\n",
    );
    let root = project.folder.path();
    std::fs::write(root.join("in.txt"), "").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc", root.join("out.link")).unwrap();
    let file = root.join("pipeline.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    let uri = format!("file://{}", file.display());
    let mut client = Client::start(binary(), &[], Value::Null);
    client.open(&uri, &text);
    let found = client.diagnostics(&uri, 1);
    let about = json!({"textDocument": {"uri": uri}});
    let at = json!({"textDocument": {"uri": uri}, "position": {"line": 1, "character": 12}});
    let answers = [
        json!(found),
        client.request("textDocument/documentSymbol", about.clone()).unwrap(),
        client.request("textDocument/codeLens", about.clone()).unwrap(),
        client.request("textDocument/hover", at).unwrap(),
    ];
    for answer in &answers {
        let mut texts = Vec::new();
        collect(answer, &mut texts);
        let titles = texts.iter().filter(|text| !text.contains(&*uri) && **text != "a\u{1b}[2J\u{202e}");
        titles.for_each(|text| assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}"));
    }
    let links = client.request("textDocument/documentLink", about).unwrap();
    let targets: Vec<&str> = links.as_array().unwrap().iter().map(|link| link["target"].as_str().unwrap()).collect();
    let files: Vec<_> = targets.iter().filter(|target| !target.starts_with("https://")).collect();
    assert_eq!(files.len(), 2, "{targets:?}");
    assert!(files.iter().all(|target| target.starts_with("file://") && target.ends_with("/in.txt")), "{targets:?}");
    assert_eq!(client.quit().code(), Some(0));
}

fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(entries) => entries.values().for_each(|value| collect(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(unix)]
#[test]
fn file_names_are_escaped_wherever_they_are_shown() {
    const HOSTILE: &str = "x\u{1b}]52;c;aGk=\u{7}\u{9b}2J\u{202e}";
    let project = Project::new("steps:\n  - {key: a, cmd: 'true'}\n");
    let root = project.folder.path();
    let file = format!("{HOSTILE}.yml");
    // The quoted line has a character that YAML allows and a terminal obeys.
    std::fs::write(root.join(&file), "steps:\n  - {key: a, cmd: x, bogus\u{85}\u{9b}2J: 1}\n").unwrap();
    // What the run says of it is a notice: a tracked file whose folder is a link now is not sent.
    std::fs::create_dir(root.join(HOSTILE)).unwrap();
    std::fs::write(root.join(HOSTILE).join("a"), "").unwrap();
    for arguments in [&["init", "-q"][..], &["add", "-A"]] {
        let status = std::process::Command::new("git").arg("-C").arg(root).args(arguments).status().unwrap();
        assert!(status.success());
    }
    std::fs::rename(root.join(HOSTILE), root.join("moved")).unwrap();
    std::os::unix::fs::symlink("moved", root.join(HOSTILE)).unwrap();
    let is_hidden = |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
    for arguments in [
        &["check", &file][..],
        &["check", "--format", "json", &file],
        &["check", "--format", "github", &file],
        &["check", "--format", "sarif", &file],
        &["run", "--runner", "host", "pipeline.yml"],
        &["run", "--runner", "host", "--format", "json", "pipeline.yml"],
        &["check", &format!("--{file}")],
    ] {
        let (_, output, errors) = project.output(Runner::Host, arguments);
        assert!(!output.contains(is_hidden), "{arguments:?}: {output:?}");
        assert!(!errors.contains(is_hidden), "{arguments:?}: {errors:?}");
        assert!(output.contains("aGk") || errors.contains("aGk"), "{arguments:?}: {output} {errors}");
    }
}
