//! Names and their places: `wait`, anchors and aliases.

use expect_test::expect;
use pipelens_core::FileRange;
use pipelens_core::ide::{definition, hover, prepare_rename, references, rename, uses};

use super::marked;

const WAITS: &str = r"steps:
- {key: a, cmd: x}
- {key: b, cmd: x}
- wait
- {key: c, cmd: x}
- wait: {continue_on_failure: true}
- {key: d, cmd: x}
";

const ANCHORS: &str = r"x-base: &base
  image: node:22
  env: {CI: 'true'}
steps:
- <<: *base
  key: a
  cmd: x
- {key: b, cmd: x, <<: *base}
";

/// Puts the cursor before a part of the text, and returns what the places found there contain, with their lines.
fn found(text: &str, part: &str, ask: fn(&pipelens_core::Analysis, usize) -> Vec<FileRange>) -> Vec<String> {
    let (analysis, offset) = marked(&text.replacen(part, &format!("¦{part}"), 1));
    let shown =
        |place: FileRange| format!("{} {}", analysis.line_index.line(place.range.start) + 1, place.range.of(text));
    ask(&analysis, offset).into_iter().map(shown).collect()
}

fn described(text: &str, part: &str) -> String {
    let (analysis, offset) = marked(&text.replacen(part, &format!("¦{part}"), 1));
    hover(&analysis, offset).map(|hover| format!("[{}] {}", hover.range.of(text), hover.text)).unwrap_or_default()
}

#[test]
fn a_wait_knows_the_steps_around_it() {
    assert_eq!(found(WAITS, "wait\n", definition), ["2 a", "3 b"]);
    assert_eq!(found(WAITS, "wait\n", references), ["4 wait", "5 c"]);
    assert_eq!(found(WAITS, "wait\n", uses), ["5 c"]);
    assert_eq!(found(WAITS, "wait:", definition), ["5 c"]);
    assert_eq!(found(WAITS, "wait:", references), ["6 wait", "7 d"]);
    let json = r#"{"steps": [{"key": "é", "cmd": "x"}, "wait", {"key": "b", "cmd": "x"}]}"#;
    assert_eq!(found(json, "wait", references), ["1 wait", "1 \"b\""]);
    expect![[r#"
        [wait] `wait`

        A barrier: every step after it waits for every step before it.

        Waits for `a`, `b`.

        Then `c`."#]]
    .assert_eq(&described(WAITS, "wait\n"));
    expect![[r#"
        [wait] `wait`

        A barrier: every step after it waits for every step before it.

        The steps after it run regardless of what happened before it.

        Waits for `c`.

        Then `d`."#]]
    .assert_eq(&described(WAITS, "wait:"));
    assert!(described(WAITS, "continue_on").starts_with("[continue_on_failure] `continue_on_failure`"));
}

#[test]
fn anchors_and_aliases_lead_to_each_other_and_show_the_value() {
    for part in ["&base", "*base\n", "*base}"] {
        assert_eq!(found(ANCHORS, part, definition), ["1 &base"], "{part}");
        assert_eq!(found(ANCHORS, part, references), ["1 &base", "5 *base", "8 *base"], "{part}");
        assert_eq!(found(ANCHORS, part, uses), ["5 *base", "8 *base"], "{part}");
    }
    expect![[r#"
        [*base] `*base`

        The value of `&base` in line 1.

        ```yaml
        image: node:22
        env: {CI: 'true'}
        ```"#]]
    .assert_eq(&described(ANCHORS, "*base\n"));
    expect![[r#"
        [&base] `&base`

        An anchor: `*base` is this value. 2 aliases use it.

        ```yaml
        image: node:22
        env: {CI: 'true'}
        ```"#]]
    .assert_eq(&described(ANCHORS, "&base"));
}

fn renamed(text: &str, name: &str) -> Result<String, String> {
    let (analysis, offset) = marked(text);
    let edits = rename(&analysis, offset, name)?;
    let edits = pipelens_core::FileEdit::in_file(&edits, pipelens_core::FileId::DOCUMENT);
    Ok(pipelens_core::text::apply_edits(&text.replacen('¦', "", 1), &edits))
}

#[test]
fn an_anchor_is_renamed_with_its_aliases() {
    for part in ["base\n  image", "*base\n", "base}"] {
        let text = ANCHORS.replacen(part, &format!("¦{part}"), 1);
        let expected = ANCHORS.replace("&base", "&é-2").replace("*base", "*é-2");
        assert_eq!(renamed(&text, "é-2").unwrap(), expected, "{part}");
    }
    let (analysis, offset) = marked(&ANCHORS.replacen("*base", "*b¦ase", 1));
    let prepared = prepare_rename(&analysis, offset).unwrap();
    assert_eq!((prepared.name.as_str(), prepared.range.of(ANCHORS)), ("base", "base"));
    let text = "x-a: &a¦ 1\nx-b: &b 2\nsteps:\n- {key: k, cmd: x, timeout_seconds: *a, retry: *b}\n";
    assert_eq!(renamed(text, "b").unwrap_err(), "An anchor `&b` already exists");
    for name in ["", "a b", "a]", "*a", "a,"] {
        assert!(renamed(text, name).unwrap_err().contains("cannot name an anchor"), "{name}");
    }
}

#[test]
fn a_second_anchor_of_the_same_name_is_another_one() {
    let text = "x-a: &¦a 1\nx-b: *a\nx-c: &a 2\nx-d: *a\nsteps:\n- {key: k, cmd: x}\n";
    assert_eq!(renamed(text, "b").unwrap(), "x-a: &b 1\nx-b: *b\nx-c: &a 2\nx-d: *a\nsteps:\n- {key: k, cmd: x}\n");
}
