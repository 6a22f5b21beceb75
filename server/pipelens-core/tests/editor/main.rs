//! What an editor is told at the cursor, which is written `¦`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to stop")]

mod after_blocks;
mod completion;
mod format;
mod graph;
mod names;
mod offers;
mod rename;
mod structure;
mod tokens;
mod variables;

use expect_test::{Expect, expect};
use pipelens_core::ide::{definition, hover, references};
use pipelens_core::{Analysis, FileRange, Format, analyze};

const STEPS: &str = r"steps:
- key: build
  cmd: make
  image: rust:1.95
- {key: test, cmd: make test, builds_in: build}
- key: ship
  cmd: make ship
  depends_on: [build, test]
";

/// Puts the cursor after the first `place` of the text.
fn at(text: &str, place: &str) -> (Analysis, usize) {
    (analyze(text, Format::Yaml), text.find(place).unwrap() + place.len())
}

fn marked(text: &str) -> (Analysis, usize) {
    let offset = text.find('¦').unwrap();
    (analyze(&text.replacen('¦', "", 1), Format::Yaml), offset)
}

fn lines(analysis: &Analysis, places: &[FileRange]) -> Vec<usize> {
    places.iter().map(|place| analysis.line_index.line(place.range.start) + 1).collect()
}

fn check_hover(place: &str, expected: Expect) {
    let (analysis, offset) = at(STEPS, place);
    expected.assert_eq(&hover(&analysis, offset).map(|hover| hover.text).unwrap_or_default());
}

#[test]
fn a_reference_is_described_by_the_step_it_names() {
    check_hover(
        "builds_in: bu",
        expect![[r#"
            **build**

            `make`

            Starts from the image `rust:1.95`."#]],
    );
    check_hover(
        "key: te",
        expect![[r#"
            **test**

            `make test`

            Starts from the filesystem of `build`, in the image `rust:1.95`.

            Runs after `build`."#]],
    );
}

#[test]
fn a_key_is_described_by_the_vocabulary() {
    check_hover(
        "ima",
        expect![[r#"
            `image`

            The image the step starts from, such as `rust:1.95`. Has no effect with `builds_in`. Default: the pipeline's `default_image`."#]],
    );
    check_hover("make te", expect![[""]]);
}

#[test]
fn a_reference_leads_to_the_key_of_its_step() {
    let (analysis, offset) = at(STEPS, "depends_on: [build, te");
    assert_eq!(lines(&analysis, &definition(&analysis, offset)), [5]);
}

#[test]
fn an_alias_leads_to_its_anchor() {
    let (analysis, offset) = at(
        r"x: &e {A: b}
steps:
- {key: a, cmd: x, env: *e}
",
        "env: *e",
    );
    assert_eq!(lines(&analysis, &definition(&analysis, offset)), [1]);
}

#[test]
fn every_reference_to_a_step_is_found_from_any_other() {
    for place in ["key: bu", "builds_in: bu", "depends_on: [bu"] {
        let (analysis, offset) = at(STEPS, place);
        assert_eq!(lines(&analysis, &references(&analysis, offset)), [2, 5, 8], "{place}");
    }
}

#[test]
fn a_step_is_described_with_its_lineage_environment_and_what_runs_before_it() {
    let text = r"env: {A: one, B: two}
default_image: alpine:3.22
steps:
- {key: a, cmd: x}
- {key: b, cmd: x, builds_in: a}
- {key: c, cmd: x, builds_in: b, env: {B: 3}, secrets: [T]}
";
    let (analysis, offset) = at(text, "key: c");
    expect![[r#"
        **c**

        `x`

        Starts from the filesystem of `b`: the image `alpine:3.22`, then `a` → `b`.

        Runs after `b`.

        ```sh
        A=one
        B=3
        T (secret)
        ```"#]]
    .assert_eq(&hover(&analysis, offset).unwrap().text);
}

#[test]
fn policies_and_runners_are_described_where_they_are_used() {
    let text = "steps:\n- {key: a, cmd: x, runner: host, cache: {policy: forever}}\n";
    for (place, expected) in [("runner: ho", "`host`\n\nDirectly"), ("policy: for", "`forever`\n\nReused as long as")] {
        let (analysis, offset) = at(text, place);
        assert!(hover(&analysis, offset).unwrap().text.starts_with(expected), "{place}");
    }
}

#[test]
fn text_from_a_file_is_never_shown_as_markdown() {
    let evil = "[x](command:y) ![i](https://h/i.png) <img src=x> `code`";
    let text = format!(
        r"env:
  FENCE: '```'
steps:
  - key: '{evil}'
    label: '{evil}'
    cmd: x
    image: a:1
  - {{key: b, cmd: x, builds_in: '{evil}'}}
"
    );
    let analysis = pipelens_core::analyze(&text, pipelens_core::Format::Yaml);
    for place in [text.find("'[x]").unwrap() + 3, text.rfind("'[x]").unwrap() + 3] {
        let hover = pipelens_core::ide::hover(&analysis, place).unwrap().text;
        assert!(hover.starts_with(r"**\[x\]\(command:y\) \!\[i\]\("), "{hover}");
        assert!(hover.contains(&format!("`` {evil} ``")), "{hover}");
        assert!(hover.contains("````sh\nFENCE=```\n````"), "{hover}");
    }
}
