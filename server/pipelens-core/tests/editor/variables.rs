//! Variables in commands: what sets them, where they are used, and their names.

use expect_test::{Expect, expect};
use pipelens_core::ide::{definition, hover, prepare_rename, references, rename, uses};
use pipelens_core::text::apply_edits;
use pipelens_core::{FileEdit, FileId, Format, analyze};
use proptest::prelude::*;

use super::marked;

const TEXT: &str = r#"env:
  MODE: release
  A: one
steps:
- key: build
  env: {A: two, "B": "three"}
  secrets: [TOKEN]
  cmd: |
    # $A
    é "$A" '$A' $B \$B
    push --token "${TOKEN:?missing}" $HOME $NOWHERE
    DIR=$A/x; ls $DIR
  cache: {policy: forever, env_keys: [A]}
- key: test
  runner: host
  cmd: 'echo ''$A'' $MODE ${A%x} $HOSTNAME'
- key: db
  cmd: "\u0024A \"$MODE\""
  runner_args:
    services:
      db:
        image: postgres:17
        env: {USER: me}
        ready: pg_isready -U $USER $A
"#;

fn before(part: &str) -> (pipelens_core::Analysis, usize) {
    marked(&TEXT.replacen(part, &format!("¦{part}"), 1))
}

fn check_hover(part: &str, expected: Expect) {
    let (analysis, offset) = before(part);
    let text = hover(&analysis, offset).map(|hover| format!("[{}] {}", hover.range.of(TEXT), hover.text));
    expected.assert_eq(&text.unwrap_or_default());
}

#[test]
fn a_hover_says_what_sets_a_variable_and_its_value_unless_it_is_a_secret() {
    check_hover(
        "$A\" '",
        expect![[r#"
        [A] `A`

        Set in the `env` of step `build`.

        ```sh
        A=two
        ```"#]],
    );
    check_hover(
        "MODE ${",
        expect![[r#"
        [MODE] `MODE`

        Set for every step, in the pipeline's `env`.

        ```sh
        MODE=release
        ```"#]],
    );
    check_hover(
        "TOKEN:?",
        expect![[r#"
        [TOKEN] `TOKEN`

        A secret of step `build`: its value is read from the environment or the secrets file, and masked in all output."#]],
    );
    check_hover(
        "{TOKEN:?",
        expect![[r#"
        [TOKEN] `TOKEN`

        A secret of step `build`: its value is read from the environment or the secrets file, and masked in all output."#]],
    );
    check_hover(
        "HOME",
        expect![[r#"
        [HOME] `HOME`

        The home directory of the user that runs the command."#]],
    );
    check_hover(
        "NOWHERE",
        expect![[r#"
        [NOWHERE] `NOWHERE`

        Nothing in this file sets it. It is empty unless the image sets it."#]],
    );
    check_hover(
        "HOSTNAME",
        expect![[r#"
        [HOSTNAME] `HOSTNAME`

        Nothing in this file sets it, so it is empty. On the host a step has only `PWD`, `HOME`, `PATH`, `TERM`, `LANG`."#]],
    );
    check_hover(
        "$DIR",
        expect![[r#"
        [DIR] `DIR`

        Set by the command itself."#]],
    );
    check_hover(
        "USER $A",
        expect![[r#"
        [USER] `USER`

        Set in the `env` of service `db`.

        ```sh
        USER=me
        ```"#]],
    );
    check_hover("u0024A", expect![""]);
    check_hover(
        "A \\\"$MODE",
        expect![[r#"
        [A] `A`

        Set for every step, in the pipeline's `env`.

        ```sh
        A=one
        ```"#]],
    );
    check_hover("$A' $B", expect![""]);
    check_hover(
        "B \\$B",
        expect![[r#"
        [B] `B`

        Set in the `env` of step `build`.

        ```sh
        B=three
        ```"#]],
    );
}

#[test]
fn a_value_that_looks_like_a_secret_is_not_shown() {
    let text =
        "env: {GITHUB_TOKEN: ghp_0123456789abcdefghijABCDEFGHIJ012345}\nsteps:\n- {key: a, cmd: push $¦GITHUB_TOKEN}\n";
    let (analysis, offset) = marked(text);
    assert!(analysis.diagnostics.iter().any(|finding| finding.code.as_str() == "secret-literal"));
    let shown = hover(&analysis, offset).unwrap().text;
    assert!(shown.contains("looks like a secret") && !shown.contains("ghp_"), "{shown}");
}

/// Returns the lines of places, with what is there.
fn places(part: &str, ask: fn(&pipelens_core::Analysis, usize) -> Vec<pipelens_core::FileRange>) -> Vec<String> {
    let (analysis, offset) = before(part);
    let found = ask(&analysis, offset).into_iter();
    found.map(|place| format!("{} {}", analysis.line_index.line(place.range.start) + 1, place.range.of(TEXT))).collect()
}

#[test]
fn uses_lead_to_what_sets_them_and_back() {
    for part in ["A: two", "A\" '$A'", "A/x", "A]}"] {
        assert_eq!(places(part, definition), ["6 A"], "{part}");
        assert_eq!(places(part, references), ["6 A", "10 A", "12 A", "13 A"], "{part}");
        assert_eq!(places(part, uses), ["10 A", "12 A", "13 A"], "{part}");
    }
    for part in ["A: one", "A%x", "A \\\"$MODE"] {
        assert_eq!(places(part, references), ["3 A", "16 A", "18 A"], "{part}");
    }
    assert_eq!(places("MODE ${", references), ["2 MODE", "16 MODE", "18 MODE"]);
    assert_eq!(places("TOKEN:?", references), ["7 TOKEN", "11 TOKEN"]);
    assert_eq!(places("USER $A", references), ["23 USER", "24 USER"]);
    assert_eq!(places("DIR\n", references), ["12 DIR", "12 DIR"]);
    assert_eq!(places("DIR\n", definition), ["12 DIR"]);
    assert_eq!(places("HOME", definition), [""; 0]);
    assert_eq!(places("B\": ", references), ["6 B", "10 B"]);
    assert_eq!(places("$A\n    é", references), [""; 0]);
}

fn renamed(text: &str, name: &str) -> Result<String, String> {
    let (analysis, offset) = marked(text);
    let edits = rename(&analysis, offset, name)?;
    Ok(apply_edits(&text.replacen('¦', "", 1), &FileEdit::in_file(&edits, FileId::DOCUMENT)))
}

#[test]
fn a_rename_changes_the_entry_and_the_commands_in_its_scope() {
    for part in ["A: two", "A\" '$A'", "A/x", "A]}"] {
        let expected = TEXT
            .replace("{A: two", "{ROOT: two")
            .replace("é \"$A\"", "é \"$ROOT\"")
            .replace("DIR=$A", "DIR=$ROOT")
            .replace("[A]", "[ROOT]");
        assert_eq!(renamed(&TEXT.replacen(part, &format!("¦{part}"), 1), "ROOT").unwrap(), expected, "{part}");
    }
    let expected = TEXT.replace("A: one", "ROOT: one").replace("${A%", "${ROOT%").replace("u0024A", "u0024ROOT");
    assert_eq!(renamed(&TEXT.replacen("A%x", "¦A%x", 1), "ROOT").unwrap(), expected);
    let expected = TEXT.replace("DIR", "ROOT");
    assert_eq!(renamed(&TEXT.replacen("DIR=", "D¦IR=", 1), "ROOT").unwrap(), expected);
    let (analysis, offset) = before("B\": ");
    let prepared = prepare_rename(&analysis, offset).unwrap();
    assert_eq!((prepared.name.as_str(), prepared.range.of(TEXT)), ("B", "B"));
}

#[test]
fn a_rename_that_would_change_what_a_command_means_is_refused() {
    let refusal = |part: &str, name: &str| renamed(&TEXT.replacen(part, &format!("¦{part}"), 1), name).unwrap_err();
    assert!(refusal("TOKEN:?", "KEY").starts_with("`TOKEN` is a secret"));
    assert!(refusal("TOKEN]", "KEY").starts_with("`TOKEN` is a secret"));
    assert!(refusal("HOME", "KEY").starts_with("`HOME` is set by the runner"));
    assert!(refusal("NOWHERE", "KEY").starts_with("Nothing in this file sets `NOWHERE`"));
    for name in ["B", "MODE", "TOKEN", "DIR", "NOWHERE"] {
        assert_eq!(refusal("A: two", name), format!("There is already a variable `{name}` where this one is used"));
    }
    assert_eq!(refusal("A: one", "B"), "There is already a variable `B` where this one is used");
    for name in ["", "1", "a b", "a-b", "é", "a.b"] {
        assert!(refusal("A: two", name).contains("cannot name a variable"), "{name}");
    }
    let (analysis, offset) = before("TOKEN:?");
    assert_eq!(prepare_rename(&analysis, offset), None);
}

#[test]
fn a_shared_command_is_renamed_for_every_step_that_runs_it() {
    let text = "x-run: &run echo $A\nsteps:\n- {key: a, cmd: *run, env: {¦A: 1}}\n- {key: b, cmd: *run, env: {A: 2}}\n- {key: c, cmd: x $A, env: {A: 3}}\n";
    let expected = text.replace('¦', "").replace("echo $A", "echo $B").replace("A: 1", "B: 1").replace("A: 2", "B: 2");
    assert_eq!(renamed(text, "B").unwrap(), expected);
    let secret = text.replace("env: {A: 2}", "secrets: [A]");
    assert!(renamed(&secret, "B").unwrap_err().starts_with("`A` is a secret"));
}

#[test]
fn another_document_is_another_pipeline() {
    let text = "env: {¦A: 1}\nsteps: [{key: a, cmd: x $A}]\n---\nenv: {A: 1, B: 2}\nsteps: [{key: a, cmd: x $A $B}]\n";
    let expected =
        "env: {B: 1}\nsteps: [{key: a, cmd: x $B}]\n---\nenv: {A: 1, B: 2}\nsteps: [{key: a, cmd: x $A $B}]\n";
    assert_eq!(renamed(text, "B").unwrap(), expected);
}

/// A command in every style, with line breaks of both kinds.
fn styles(command: &str) -> Vec<String> {
    let indented = |width: usize| command.replace('\n', &format!("\n{}", " ".repeat(width)));
    let head = "env: {VALUE: 1}\nsteps:\n- key: ö\n  cmd: ";
    let mut texts = vec![
        format!("{head}|\n    {}\n", indented(4)),
        format!("{head}|2-\n      {}", indented(6)),
        format!("{head}\"{}\"\n", command.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")),
        format!("{head}'{}'\n", command.replace('\'', "''").replace('\n', "\n\n   ")),
    ];
    let with_returns: Vec<String> = texts.iter().map(|text| text.replace('\n', "\r\n")).collect();
    texts.extend(with_returns);
    texts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn renaming_there_and_back_restores_the_text(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("$VALUE"), Just("${VALUE:-x}"), Just("'$VALUE'"), Just("\\$VALUE"), Just("\"é $VALUE\""), Just("$(x $VALUE)"),
                Just("# $VALUE"), Just("\n"), Just("&& VALUE=1"), Just("; export VALUE"), Just("𝄞"), Just("`echo $VALUE`"),
            ],
            1..8,
        ),
    ) {
        let command = format!("x {}\nx $VALUE", parts.join(" "));
        for text in styles(&command) {
            let analysis = analyze(&text, Format::Yaml);
            let offset = text.find("VALUE").unwrap();
            let edits = rename(&analysis, offset, "ANOTHER").unwrap();
            let there = apply_edits(&text, &FileEdit::in_file(&edits, FileId::DOCUMENT));
            prop_assert!(there.contains("$ANOTHER") || command.contains("VALUE=1"), "{}", there);
            let analysis = analyze(&there, Format::Yaml);
            let back = rename(&analysis, offset, "VALUE").unwrap();
            prop_assert_eq!(apply_edits(&there, &FileEdit::in_file(&back, FileId::DOCUMENT)), text);
        }
    }
}
