use expect_test::{Expect, expect};
use pipelens_core::ide::{FormatStyle, format};
use pipelens_core::text::apply_edits;
use pipelens_core::{Format, analyze};
use proptest::prelude::*;

fn formatted(text: &str, kind: Format) -> Result<String, String> {
    let edits = format(&analyze(text, kind), kind, FormatStyle::default())?;
    Ok(apply_edits(text, &edits))
}

fn check(text: &str, expected: Expect) {
    let once = formatted(text, Format::Yaml).unwrap();
    expected.assert_eq(&once);
    assert_eq!(formatted(&once, Format::Yaml).unwrap(), once, "formatting twice is formatting once");
}

#[test]
fn indentation_becomes_even_and_strings_keep_their_content() {
    check(
        "\n\n# top\nname:   ci   \nenv:\n      A: 1\n      # of B\n      B:  two   # why\nsteps:\n   -   key: a\n       cmd: |\n           one\n             two\n\n           three\n       depends_on:\n       - x\n   # second\n   - {key:   b,\n      cmd: x}\n\n\n\n   - wait\n\n\n",
        expect![[r#"
            # top
            name: ci
            env:
              A: 1
              # of B
              B: two   # why
            steps:
              - key: a
                cmd: |
                  one
                    two

                  three
                depends_on:
                - x
              # second
              - {key: b,
                 cmd: x}

              - wait
        "#]],
    );
}

#[test]
fn lists_keep_the_indentation_of_the_file() {
    check(
        r"steps:
- key: a
  cmd: >-
    one
    two
- key: b
  cmd: 'a

    b'
",
        expect![[r#"
            steps:
            - key: a
              cmd: >-
                one
                two
            - key: b
              cmd: 'a

                b'
        "#]],
    );
}

#[test]
fn line_breaks_and_documents_are_kept() {
    check(
        "---\r\nsteps:\r\n   - {key: a, cmd: x}  \r\n---\r\nsteps:\r\n    - wait\r\n",
        expect![[r#"
            ---
            steps:
              - {key: a, cmd: x}
            ---
            steps:
              - wait
        "#]]
        .into_crlf(),
    );
}

/// `expect!` cannot hold carriage returns.
trait IntoCrlf {
    fn into_crlf(self) -> Expect;
}

impl IntoCrlf for Expect {
    fn into_crlf(self) -> Expect {
        let text: &'static str = Box::leak(self.data().trim_start_matches('\n').to_owned().into_boxed_str());
        let indent = text.len() - text.trim_start_matches(' ').len();
        let lines = text.lines().map(|line| line.get(indent..).unwrap_or_default()).collect::<Vec<_>>().join("\r\n");
        Expect { data: Box::leak(lines.into_boxed_str()), indent: false, ..self }
    }
}

#[test]
fn json_has_one_entry_per_line_and_short_lists_on_one_line() {
    let text = r#"{"steps":[{"key":"a","cmd":"x { } [","depends_on":["b" , "c"],"env":{}},
        {"key":"b","cmd":"\"x\"", "cache": null}]}"#;
    let once = formatted(text, Format::Json).unwrap();
    expect![[r#"
        {
          "steps": [
            {
              "key": "a",
              "cmd": "x { } [",
              "depends_on": ["b", "c"],
              "env": {}
            },
            {
              "key": "b",
              "cmd": "\"x\"",
              "cache": null
            }
          ]
        }
    "#]]
    .assert_eq(&once);
    assert_eq!(formatted(&once, Format::Json).unwrap(), once);
}

#[test]
fn broken_text_is_not_formatted() {
    let refusal = formatted("steps:\n- key: [a\n", Format::Yaml).unwrap_err();
    assert_eq!(refusal, "This file has a syntax error; fix it before formatting");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]
    #[test]
    fn formatting_any_text_keeps_its_meaning(text in "([a-z]{1,3}: ?|- |  |\n|\n  |#c|'q'|\\||>-|x|[{}\\[\\],]|\"s\"|\\&a |\\*a){0,40}") {
        if let Ok(once) = formatted(&text, Format::Yaml) {
            let before = analyze(&text, Format::Yaml);
            let after = analyze(&once, Format::Yaml);
            prop_assert_eq!(before.pipelines.len(), after.pipelines.len());
            prop_assert_eq!(before.diagnostics.len(), after.diagnostics.len());
        }
    }
}
