//! Traps that are said before they bite: what is marked, and what the fix makes of it.

use pipelens_core::diagnostic::{Code, Severity};
use pipelens_core::text::apply_edits;
use pipelens_core::{FileId, Format, analyze};

/// Returns each finding apart from hints about images: its code, its severity and what it marks.
fn found(text: &str) -> Vec<(Code, Severity, String)> {
    let found = analyze(text, Format::Yaml).diagnostics;
    let found = found.into_iter().filter(|found| found.code != Code::UnpinnedImage);
    found.map(|found| (found.code, found.severity, found.range.of(text).to_owned())).collect()
}

/// Returns the command of the only step, written with what comes after `cmd:`.
fn step(cmd: &str) -> String {
    format!("steps:\n  - key: a\n    image: node:20.1\n    cmd: {cmd}\n")
}

fn block(cmd: &str) -> String {
    step(&format!("|\n      {}", cmd.replace('\n', "\n      ")))
}

/// Returns the text with the first fix of the first finding that has one.
fn fixed(text: &str) -> String {
    let found = analyze(text, Format::Yaml).diagnostics;
    let fix = found.iter().find_map(|found| found.fixes.first());
    fix.map_or_else(|| "no fix".to_owned(), |fix| apply_edits(text, &fix.edits_in(FileId::DOCUMENT)))
}

fn marks(text: &str, code: Code) -> Vec<String> {
    found(text).into_iter().filter(|(own, ..)| *own == code).map(|(.., marked)| marked).collect()
}

#[test]
fn commands_that_shells_accept_have_no_finding() {
    for cmd in [
        "arch=$(case \"$(uname -m)\" in\n  x86_64) echo amd64 ;;\n  *) echo unknown ;;\nesac)\necho \"$arch\"",
        "files=$(\n  ls /etc | # don't show them all\n    head -2\n)\necho \"$files\"",
        "echo \"${X:?can't}\"",
        "f() echo hi\nf",
    ] {
        assert_eq!(found(&block(cmd)), [], "{cmd}");
    }
}

#[test]
fn what_only_bash_reads_is_marked_once_for_a_command() {
    for (cmd, marked) in [
        ("names=(a b)", "names=("),
        ("echo \"${names[0]}\"", "${names[0]}"),
        ("[[ -f x && -f y ]]", "[["),
        ("cat <<< x", "<<<"),
        ("diff <(a) <(b)", "<("),
        ("function f { a; }", "function"),
        ("source ./x", "source"),
        ("source x", "source"),
        ("for i in {1..5}; do a; done", "{1..5}"),
        ("mkdir -p a/{b,c}", "{b,c}"),
        ("echo $'a\\tb'", "$'"),
        ("make &> log", "&>"),
        ("make |& tee log", "|&"),
        ("x+=y", "x+="),
        ("[ a == b ]", "=="),
        ("((i++))", "(("),
        ("for ((;;)); do a; done", "(("),
        ("echo ${x:1:2}", "${x:1:2}"),
        ("echo ${x//a/b}", "${x//a/b}"),
        ("echo ${x^^}", "${x^^}"),
        ("echo ${!x}", "${!x}"),
        ("set -euo pipefail\na=(b)", "pipefail"),
        ("declare x=1", "declare"),
        ("shopt -s nullglob", "shopt"),
        ("x=$(source ./y)", "source"),
        ("echo \"$(cat <<< x)\"", "<<<"),
    ] {
        assert_eq!(marks(&block(cmd), Code::BashOnly), [marked], "{cmd}");
        assert_eq!(found(&block(cmd)).len(), 1, "{cmd}");
    }
}

#[test]
fn the_same_in_quotes_comments_and_documents_is_not_marked() {
    for cmd in [
        "bash -c 'a=(b); [[ c ]] && source d'",
        "bash <<'E'\na=(b)\n[[ c ]]\nE",
        "bash <<E\na=(b)\nE",
        "# source ./x\nmake # [[ a ]]",
        "echo \"{1..5} [[ a ]]\" '$(source x)'",
        "echo source function [[ select",
        "echo ${x:-y} ${x:=y} ${x:?y} ${x:+y} ${x#y} ${x%%y} ${#x} $# $@ ${1} ${@} $? $! $$",
        "git show HEAD@{1} stash@{0} {} {a} ${x}{ }",
        "grep -E a{1,3} f; curl http://x/{a,b}; x={a,b}",
        "x=$((1 + 2)); ( (a) ); echo $( (b) )",
        "if [ -n \"$BASH_VERSION\" ]; then a=(b); fi",
        "local x=1; a 2>&1 | tee b; c >&2; set -eu",
        "pushd() { cd \"$1\"; }\npushd x",
    ] {
        assert_eq!(marks(&block(cmd), Code::BashOnly), [""; 0], "{cmd}");
    }
}

#[test]
fn the_fix_writes_it_for_every_shell_or_is_not_offered() {
    for (cmd, expected) in [
        ("source ./x", Some(". ./x")),
        ("source x.env", Some(". ./x.env")),
        ("source $X y", None),
        ("function f {\n  a\n}", Some("f() {\n  a\n}")),
        ("function f() { a; }", Some("f() { a; }")),
        ("[ \"$a\" == b ] && c", Some("[ \"$a\" = b ] && c")),
        ("[[ $a == b ]] && c", Some("[ \"$a\" = b ] && c")),
        ("[[ -n $a ]]", Some("[ -n \"$a\" ]")),
        ("[[ $a == b* ]]", None),
        ("[[ $a == b || c ]]", None),
        ("make &> log", Some("make > log 2>&1")),
        ("make |& tee log", Some("make 2>&1 | tee log")),
        ("for i in {1..3}; do a; done", Some("for i in 1 2 3; do a; done")),
        ("x+=y", Some("x=${x}y")),
        ("source ./x; a=(b)", None),
    ] {
        let expected = expected.map_or_else(|| "no fix".to_owned(), block);
        assert_eq!(fixed(&block(cmd)), expected, "{cmd}");
    }
}

#[test]
fn what_the_shell_of_the_image_reads_is_a_hint() {
    for (image, cmd, severity) in [
        ("alpine:3.20", "source ./x", Severity::Hint),
        ("alpine:3.20", "cat <<< x", Severity::Warning),
        ("python:3.12-alpine", "[[ -f x ]]", Severity::Hint),
        ("debian:12", "[[ -f x ]]", Severity::Warning),
        ("fedora:40", "a=(b)", Severity::Hint),
        ("node:20", "a=(b)", Severity::Warning),
    ] {
        let text = block(cmd).replace("node:20.1", image);
        let severities: Vec<_> = found(&text).into_iter().map(|(_, severity, _)| severity).collect();
        assert_eq!(severities, [severity], "{image} {cmd}");
    }
}

#[test]
fn a_line_that_names_an_interpreter_has_no_effect() {
    for (line, severity) in [
        ("#!/bin/bash", Severity::Warning),
        ("#!/usr/bin/env python3", Severity::Warning),
        ("#!/usr/bin/env -S bash -e", Severity::Warning),
        ("#!/bin/sh -e", Severity::Hint),
    ] {
        let expected = [(Code::Shebang, severity, line.to_owned())];
        assert_eq!(found(&block(&format!("{line}\nmake"))), expected);
    }
    assert_eq!(found(&block("make\n#!/bin/bash")), []);
}

#[test]
fn an_exclamation_mark_that_yaml_takes_is_marked() {
    for (cmd, marked, expected) in [
        ("! grep -q root f", "!", "'! grep -q root f'"),
        ("! grep -q 'it' f", "!", "'! grep -q ''it'' f'"),
        ("! \"grep x\"", "!", "\"! grep x\""),
        ("!foo bar", "!foo", "'!foo bar'"),
        ("!  grep x", "!", "'! grep x'"),
    ] {
        assert_eq!(marks(&step(cmd), Code::YamlTag), [marked], "{cmd}");
        assert_eq!(fixed(&step(cmd)), step(expected), "{cmd}");
        assert_eq!(found(&step(expected)), []);
    }
    for cmd in ["!!str make", "\"! grep x\"", "|\n      ! grep x", "!bash |\n      make", "make !"] {
        assert_eq!(marks(&step(cmd), Code::YamlTag), [""; 0], "{cmd}");
    }
    let json = "{\"steps\": [{\"key\": \"a\", \"image\": \"a:1\", \"cmd\": \"! b\"}]}";
    assert!(analyze(json, Format::Json).diagnostics.is_empty());
}

#[test]
fn folded_lines_that_mislead_are_marked() {
    for (cmd, marked, expected) in [
        (">\n      # all\n      make", "# all", "|\n      # all\n      make"),
        (">-\n      a # first\n      b", "# first", "|-\n      a # first\n      b"),
        (">\n      a \\\n      -b \\\n      c", "\\", "|\n      a \\\n      -b \\\n      c"),
        (">\n      a \\\n      -b\n      c", "\\", ">\n      a \n      -b\n      c"),
        (">\n      a\n        -b c\n        -d", "-b", ">\n      a\n      -b c\n      -d"),
    ] {
        assert_eq!(marks(&step(cmd), Code::FoldedCommand), [marked], "{cmd}");
        assert_eq!(fixed(&step(cmd)), step(expected), "{cmd}");
        assert_eq!(marks(&step(expected), Code::FoldedCommand), [""; 0], "{expected}");
    }
    for cmd in [
        ">\n      make\n      --all\n      '# x' a#b",
        ">\n      make\n\n      # at the end",
        ">\n      if a; then\n        b -c\n      fi",
        ">\n      a \\\n        -b \\\n        c",
        "|\n      # all\n      make \\\n        -b",
        "make # all",
        "make\n      --all",
    ] {
        assert_eq!(marks(&step(cmd), Code::FoldedCommand), [""; 0], "{cmd}");
    }
}

#[test]
fn expressions_of_other_systems_are_marked_wherever_they_are() {
    let text = "env:\n  SHA: ${{ github.sha }}\nsteps:\n  - key: a\n    label: \"${{ matrix.x }}\"\n    image: node:20.1\n    cmd: echo \"${{ env.NAME }}\"\n    artifacts: [\"${{ inputs.out }}\"]\n";
    let expected = ["${{ github.sha }}", "${{ matrix.x }}", "${{ env.NAME }}", "${{ inputs.out }}"];
    assert_eq!(marks(text, Code::ForeignExpression), expected);
    assert_eq!(fixed(&step("echo \"${{ env.NAME }}\"")), step("echo \"${NAME}\""));
    assert_eq!(marks(&step("echo << parameters.x >>"), Code::ForeignExpression), ["<< parameters.x >>"]);
    for cmd in
        ["docker ps --format '{{.ID}}'", "|\n      cat > f <<'E'\n      ${{ a.b }}\n      E", "echo ${x} {{ y }}"]
    {
        assert_eq!(marks(&step(cmd), Code::ForeignExpression), [""; 0], "{cmd}");
    }
}

#[test]
fn nothing_is_replaced_in_images_and_paths() {
    let image = |image: &str| step("make").replace("node:20.1", image);
    for (written, severity) in [
        ("node:$V", Severity::Error),
        ("\"${REGISTRY}/x:1\"", Severity::Error),
        ("MyOrg/app:1", Severity::Warning),
        ("ghcr.io/MyOrg/app:1", Severity::Error),
    ] {
        assert_eq!(found(&image(written)), [(Code::InvalidImage, severity, written.to_owned())]);
    }
    assert_eq!(fixed(&image("MyOrg/app:V1")), image("myorg/app:V1"));
    assert_eq!(fixed(&image("ghcr.io/MyOrg/App:V1")), image("ghcr.io/myorg/app:V1"));
    assert_eq!(found(&image("localhost:5000/app:1")), []);
    let path = |line: &str| format!("{}    {line}\n", step("make"));
    for (line, marked) in [
        ("artifacts: [~/out]", "~/out"),
        ("artifacts: [$HOME/out]", "$HOME/out"),
        ("workdir: /home/$USER/x", "/home/$USER/x"),
        ("cache: {policy: on_change, paths: [\"${DIR}/x\"]}", "\"${DIR}/x\""),
    ] {
        assert_eq!(marks(&path(line), Code::UnexpandedPath), [marked], "{line}");
    }
    assert_eq!(found(&path("artifacts: [a~b, 'x$', '*.txt', out~/x]")), []);
    let message = |line: &str| analyze(&path(line), Format::Yaml).diagnostics.remove(0).message;
    assert!(message("workdir: ~/x").contains("`~` is not replaced here"));
    assert!(message("runner_args: {mounts: ['~/.m2:/m2']}").contains("`~` is not replaced here"));
    assert!(message("runner_args: {mounts: ['./a:/b']}").contains("`./a` is not an absolute path"));
}

#[test]
fn dotted_names_are_fine_in_services_and_a_warning_in_steps() {
    let service = "steps:\n  - key: it\n    image: node:20.1\n    cmd: make\n    runner_args:\n      services:\n        es:\n          image: elasticsearch:8.15.0\n          env: {discovery.type: single-node, a-b: \"1\"}\n";
    assert_eq!(found(service), []);
    let text = "env: {a.b: x}\nsteps:\n  - {key: a, image: 'node:20.1', cmd: make, env: {c-d: y, 1A: z}}\n";
    let expected = [("a.b", Severity::Warning), ("c-d", Severity::Warning), ("1A", Severity::Error)];
    assert_eq!(found(text), expected.map(|(name, severity)| (Code::BadEnvName, severity, name.to_owned())));
}

#[test]
fn a_name_of_a_variable_starts_with_a_letter_whatever_dots_it_has() {
    for (name, severity) in
        [("a.b", Some(Severity::Warning)), (".a", Some(Severity::Error)), ("-a", Some(Severity::Error))]
    {
        let text = format!("steps:\n  - {{key: a, cmd: make, image: 'a:1', env: {{{name}: x}}}}\n");
        assert_eq!(found(&text).first().map(|(_, severity, _)| *severity), severity, "{name}");
    }
}

#[test]
fn an_expression_after_another_one_is_found_as_well() {
    let text = block("echo << parameters.a >> << pipeline.b >>");
    assert_eq!(marks(&text, Code::ForeignExpression).len(), 2);
    let text = block("cat <<'X' > f\n<< parameters.a >>\nX");
    assert_eq!(marks(&text, Code::ForeignExpression).len(), 0);
}

#[test]
fn the_default_image_has_a_shell_too() {
    let text = "steps:\n  - {key: a, cmd: 'source ./x'}\n";
    assert_eq!(found(text).into_iter().map(|(_, severity, _)| severity).collect::<Vec<_>>(), [Severity::Hint]);
}
