//! What an editor is told at the cursor, which is written `¦`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to stop")]

mod completion;
mod format;
mod graph;
mod rename;
mod structure;

use expect_test::{Expect, expect};
use pipelens_core::ide::{definition, hover, references};
use pipelens_core::text::TextRange;
use pipelens_core::{Analysis, Format, analyze};

const STEPS: &str = "steps:\n- key: build\n  cmd: make\n  image: rust:1.95\n- {key: test, cmd: make test, builds_in: build}\n- key: ship\n  cmd: make ship\n  depends_on: [build, test]\n";

/// Puts the cursor behind the first `place` of the text.
fn at(text: &str, place: &str) -> (Analysis, usize) {
    (analyze(text, Format::Yaml), text.find(place).unwrap() + place.len())
}

fn marked(text: &str) -> (Analysis, usize) {
    let offset = text.find('¦').unwrap();
    (analyze(&text.replacen('¦', "", 1), Format::Yaml), offset)
}

fn lines(analysis: &Analysis, ranges: &[TextRange]) -> Vec<usize> {
    ranges.iter().map(|range| analysis.line_index.line(range.start) + 1).collect()
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

        Boots from the image `rust:1.95`."#]],
    );
    check_hover(
        "key: te",
        expect![[r#"
        **test**

        `make test`

        Boots from what `build` left behind.

        Runs after `build`."#]],
    );
}

#[test]
fn a_key_is_described_by_the_vocabulary() {
    check_hover(
        "ima",
        expect![[r#"
        `image`

        The image the step boots from, such as `rust:1.95`. Without effect beside `builds_in`. Default: the pipeline's `default_image`."#]],
    );
    check_hover("make te", expect![[""]]);
}

#[test]
fn a_reference_leads_to_the_key_of_its_step() {
    let (analysis, offset) = at(STEPS, "depends_on: [build, te");
    assert_eq!(lines(&analysis, &[definition(&analysis, offset).unwrap()]), [5]);
}

#[test]
fn an_alias_leads_to_its_anchor() {
    let (analysis, offset) = at("x: &e {A: b}\nsteps:\n- {key: a, cmd: x, env: *e}\n", "env: *e");
    assert_eq!(lines(&analysis, &[definition(&analysis, offset).unwrap()]), [1]);
}

#[test]
fn every_place_that_names_a_step_is_found_from_any_of_them() {
    for place in ["key: bu", "builds_in: bu", "depends_on: [bu"] {
        let (analysis, offset) = at(STEPS, place);
        assert_eq!(lines(&analysis, &references(&analysis, offset)), [2, 5, 8], "{place}");
    }
}
