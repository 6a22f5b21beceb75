//! One step is being typed. The others keep their outline, lenses, completion, hover and findings, and the syntax finding
//! is where a person would point.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to stop")]

#[path = "broken/json.rs"]
mod json;

use expect_test::{Expect, expect};
use pipelens_core::diagnostic::Code;
use pipelens_core::ide::{Known, completion, hover, run_places, symbols};
use pipelens_core::{Analysis, Format, analyze};

const YAML: (&str, &str) = (
    r"name: ci
env: {MODE: test}
steps:
  - key: first
    cmd: make first
    image: alpine:3.20
",
    r"  - key: third
    cmd: make third
    builds_in: first
  - key: fourth
    cmd: make fourth
    builds_in: frist
",
);
const JSON: (&str, &str) = (
    r#"{
  "name": "ci",
  "steps": [
    {
      "key": "first",
      "cmd": "make first",
      "image": "alpine:3.20"
    },
"#,
    r#"    {
      "key": "third",
      "cmd": "make third",
      "builds_in": "first"
    },
    {
      "key": "fourth",
      "cmd": "make fourth",
      "builds_in": "frist"
    }
  ]
}
"#,
);

/// Checks what must hold for the steps that are not touched, and shows the syntax findings under their lines.
fn check((before, after): (&str, &str), format: Format, broken: &str, expected: Expect) {
    let text = format!("{before}{broken}{after}");
    let analysis = analyze(&text, format);
    assert!(analysis.diagnostics.iter().any(|found| found.code == Code::Syntax), "{broken}");
    assert_whole(&analysis, &text, &["first", "third", "fourth"]);
    let frist = text.find("frist").unwrap();
    let kept = analysis.diagnostics.iter().find(|found| found.code == Code::UnknownStep);
    let kept = kept.unwrap_or_else(|| panic!("the finding of `fourth` is lost: {:#?}", analysis.diagnostics));
    assert!((frist.saturating_sub(1)..=frist).contains(&kept.range.start));
    expected.assert_eq(&render(&analysis, &text));
}

fn assert_whole(analysis: &Analysis, text: &str, steps: &[&str]) {
    let outline: Vec<String> =
        symbols(analysis).into_iter().flat_map(|symbol| symbol.children).map(|step| step.name).collect();
    let places = run_places(analysis);
    let line = |offset: usize| analysis.line_index.line(offset);
    for step in steps {
        assert!(outline.iter().any(|name| name == step), "{step} is not in {outline:?}:\n{text}");
        let key = text.find(&format!("make {step}")).unwrap();
        let place = places.iter().find(|place| place.step.as_deref() == Some(step));
        let place = place.unwrap_or_else(|| panic!("{step} has no lens:\n{text}"));
        // The lens is on the step's first line: a JSON step's brace is one line further up.
        assert!((1..=2).contains(&(line(key) - line(place.range.start))), "{step}: {place:?}\n{text}");
        let cmd = text[..key].rfind("cmd").unwrap();
        assert!(hover(analysis, cmd).is_some_and(|hover| hover.text.contains("sh -c")), "no hover in {step}:\n{text}");
    }
    let references = ["builds_in: first", "\"builds_in\": \"first\""];
    let Some(reference) = references.iter().find_map(|reference| text.find(reference)) else { return };
    let offset = reference + text[reference..].find("first").unwrap() + 1;
    let offered = completion(analysis, offset, Known::default());
    assert!(offered.iter().any(|entry| entry.label == "first"), "{offered:?}:\n{text}");
}

fn render(analysis: &Analysis, text: &str) -> String {
    let mut result = String::new();
    for found in analysis.diagnostics.iter().filter(|found| found.code != Code::UnknownStep) {
        let line = analysis.line_index.line_range(analysis.line_index.line(found.range.start));
        let source = text[line.start..line.end].trim_end().replace('\t', "→");
        let before = text[line.start..found.range.start].chars().count();
        let end = found.range.end.min(line.start + text[line.start..line.end].trim_end().len()).max(found.range.start);
        let width = text[found.range.start..end].chars().count().max(1);
        let (blanks, marks) = (" ".repeat(before), "^".repeat(width));
        result.push_str(&format!("|{source}\n|{blanks}{marks} {}: {}\n", found.code.as_str(), found.message));
    }
    result
}

#[test]
fn yaml_a_bare_key() {
    check(
        YAML,
        Format::Yaml,
        r"  - key: second
    cmd
    image: alpine:3.20
",
        expect![[r#"
            |    cmd
            |    ^^^ syntax: A `:` is missing after `cmd`. A key needs one.
        "#]],
    );
}

#[test]
fn yaml_half_a_key() {
    check(
        YAML,
        Format::Yaml,
        r"  - key: second
    cmd: make second
    ima
",
        expect![[r#"
            |    ima
            |    ^^^ syntax: A `:` is missing after `ima`. A key needs one.
        "#]],
    );
}

#[test]
fn yaml_no_space_after_a_colon() {
    check(
        YAML,
        Format::Yaml,
        "  - key:second\n    cmd: make second\n",
        expect![[r#"
            |  - key:second
            |  ^^^^^^^^^^^^ syntax: A space is missing after `key:`. Without it, this is one word and not a key with a value.
        "#]],
    );
}

#[test]
fn yaml_an_unclosed_double_quote() {
    check(
        YAML,
        Format::Yaml,
        r#"  - key: second
    cmd: "make second
    image: alpine:3.20
"#,
        expect![[r#"
            |    cmd: "make second
            |         ^^^^^^^^^^^^ syntax: This `"` is never closed. Add `"` at the end.
        "#]],
    );
}

#[test]
fn yaml_an_unclosed_single_quote() {
    check(
        YAML,
        Format::Yaml,
        r"  - key: second
    cmd: 'make second
    image: alpine:3.20
",
        expect![[r#"
            |    cmd: 'make second
            |         ^^^^^^^^^^^^ syntax: This `'` is never closed. Add `'` at the end.
        "#]],
    );
}

#[test]
fn yaml_an_unclosed_bracket() {
    check(
        YAML,
        Format::Yaml,
        r"  - key: second
    cmd: make second
    depends_on: [first
",
        expect![[r#"
            |    depends_on: [first
            |                ^^^^^^ syntax: This bracket is never closed. Add `]`.
        "#]],
    );
}

#[test]
fn yaml_an_unclosed_brace() {
    check(
        YAML,
        Format::Yaml,
        r"  - key: second
    cmd: make second
    env: {A: 1
",
        expect![[r#"
            |    env: {A: 1
            |         ^^^^^ syntax: This bracket is never closed. Add `}`.
        "#]],
    );
}

#[test]
fn yaml_an_unclosed_flow_step() {
    check(
        YAML,
        Format::Yaml,
        "  - {key: second, cmd: make second\n",
        expect![[r#"
            |  - {key: second, cmd: make second
            |    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ syntax: This bracket is never closed. Add `}`.
        "#]],
    );
}

#[test]
fn yaml_a_tab() {
    check(
        YAML,
        Format::Yaml,
        "  - key: second\n\tcmd: make second\n",
        expect![[r#"
            |→cmd: make second
            |^ syntax: YAML does not allow a tab here. Indent with spaces.
        "#]],
    );
}

#[test]
fn yaml_too_little_indentation() {
    check(
        YAML,
        Format::Yaml,
        "  - key: second\n   cmd: make second\n",
        expect![[r#"
            |   cmd: make second
            |^^^ syntax: The indentation matches no line above. Align it with the lines around it.
        "#]],
    );
}

#[test]
fn yaml_too_much_indentation() {
    check(
        YAML,
        Format::Yaml,
        r"  - key: second
    cmd: make second
      image: alpine:3.20
",
        expect![[r#"
            |      image: alpine:3.20
            |^^^^^^ syntax: The indentation matches no line above. Align it with the lines around it.
        "#]],
    );
}

#[test]
fn yaml_merge_conflict_markers() {
    check(
        YAML,
        Format::Yaml,
        r"<<<<<<< HEAD
  - key: second
    cmd: make second
=======
  - key: zweiter
    cmd: make zweiter
>>>>>>> other
",
        expect![[r#"
            |<<<<<<< HEAD
            |^^^^^^^^^^^^ syntax: This is a merge conflict. Choose one side and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`.
        "#]],
    );
}

#[test]
fn yaml_a_step_half_deleted() {
    check(
        YAML,
        Format::Yaml,
        "  - key: second\n    cm\n",
        expect![[r#"
            |    cm
            |    ^^ syntax: A `:` is missing after `cm`. A key needs one.
        "#]],
    );
}

#[test]
fn yaml_a_dash_without_space() {
    check(
        YAML,
        Format::Yaml,
        "  -key: second\n    cmd: make second\n",
        expect![[r#"
            |  -key: second
            |  ^ syntax: A space is missing after this `-`. Without it, this is a word and not a list item.
        "#]],
    );
}

#[test]
fn yaml_a_second_colon() {
    check(
        YAML,
        Format::Yaml,
        "  - key: second\n    cmd: echo a: b\n",
        expect![[r#"
            |    cmd: echo a: b
            |         ^^^^^^^^^ syntax: There is a second `: ` on this line, so it is unclear what the key is. Put the value in quotes.
        "#]],
    );
}

#[test]
fn yaml_a_reserved_character() {
    check(
        YAML,
        Format::Yaml,
        "  - key: second\n    cmd: @make\n",
        expect![[r#"
            |    cmd: @make
            |         ^^^^^ syntax: A value cannot start with `@`. Put the value in quotes.
        "#]],
    );
}

#[test]
fn yaml_a_bad_block_header() {
    check(
        YAML,
        Format::Yaml,
        "  - key: second\n    cmd: |make second\n",
        expect![[r#"
            |    cmd: |make second
            |         ^^^^^^^^^^^^ syntax: Only `+`, `-` or one digit may follow `|` or `>`. Start the text on the next line.
        "#]],
    );
}

#[test]
fn yaml_text_after_a_quote() {
    check(
        YAML,
        Format::Yaml,
        "  - key: second\n    cmd: \"make\" second\n",
        expect![[r#"
            |    cmd: "make" second
            |         ^^^^^^^^^^^^^ syntax: A value that starts with a quote ends with the next one, and nothing may follow: `second` is left over. Put the whole value in quotes.
        "#]],
    );
}

#[test]
fn yaml_an_alias_without_name() {
    check(
        YAML,
        Format::Yaml,
        "  - key: second\n    cmd: *\n",
        expect![[r#"
            |    cmd: *
            |         ^ syntax: A value that starts with `*` refers to an anchor in YAML. If it is text, put it in quotes.
        "#]],
    );
}

#[test]
fn yaml_a_list_on_its_keys_line() {
    check(
        YAML,
        Format::Yaml,
        r"  - key: second
    cmd: make second
    depends_on: - first
",
        expect![[r#"
            |    depends_on: - first
            |                ^^^^^^^ syntax: A list cannot start on the same line as its key. Put `-` on a line of its own.
        "#]],
    );
}

#[test]
fn a_file_cut_at_any_place_keeps_the_steps_before_it() {
    for ((before, after), format) in [(YAML, Format::Yaml), (JSON, Format::Json)] {
        let whole = format!("{before}{after}");
        let third = whole.find("make third").unwrap() + "make third\"".len();
        for end in third..whole.len() {
            let text = &whole[..end];
            assert_whole(&analyze(text, format), text, &["first", "third"]);
        }
    }
}
