//! What an editor shows of a matrix, with the cursor at `¦`.

use expect_test::{Expect, expect};
use pipelens_core::ide::{
    self, Known, completion, definition, hover, outgoing_calls, prepare_rename, references, rename, run_places, symbols,
};
use pipelens_core::text::apply_edits;
use pipelens_core::{Analysis, Format, analyze};

const PIPELINE: &str = r#"steps:
- key: build
  matrix:
    rust: [1.90, stable]
    os: [alpine, debian]
    include:
    - {rust: stable, features: full}
    - {rust: nightly, os: debian}
    exclude:
    - {rust: stable, os: alpine}
  label: "Build with ${{ matrix.rust }}"
  image: rust:${{ matrix.rust }}-${{matrix.os}}
  env: {NAME: "${{ matrix.os }}!"}
  cmd: make "$MATRIX_RUST" ${MATRIX_FEATURES}
- key: test
  depends_on: ["build (1.90, alpine)", build]
  image: a:1
  cmd: x $MATRIX_RUST
"#;

/// Returns the pipeline without the cursor after a part of it.
fn at(text: &str, part: &str) -> (Analysis, usize) {
    let before = part.find('¦').unwrap();
    let part = part.replacen('¦', "", 1);
    (analyze(text, Format::Yaml), text.find(&part).unwrap() + before)
}

fn lines(analysis: &Analysis, places: &[pipelens_core::FileRange]) -> Vec<usize> {
    places.iter().map(|place| analysis.line_index.line(place.range.start) + 1).collect()
}

fn check_hover(part: &str, expected: Expect) {
    let (analysis, offset) = at(PIPELINE, part);
    expected.assert_eq(&hover(&analysis, offset).map(|hover| hover.text).unwrap_or_default());
}

#[test]
fn a_step_is_described_with_all_its_combinations() {
    check_hover(
        "key: bu¦ild",
        expect![[r#"
        **build**

        `Build with ${{ matrix.rust }}`

        Starts from the image `rust:${{ matrix.rust }}-${{matrix.os}}`.

        ```sh
        NAME=${{ matrix.os }}!
        ```

        4 combinations:

        - `build (1.90, alpine)` in `rust:1.90-alpine`, `NAME=alpine!`
        - `build (1.90, debian)` in `rust:1.90-debian`, `NAME=debian!`
        - `build (stable, debian)` in `rust:stable-debian`, `NAME=debian!`
        - `build (nightly, debian)` in `rust:nightly-debian`, `NAME=debian!`"#]],
    );
}

#[test]
fn a_combination_is_described_where_it_is_named() {
    check_hover(
        "[\"build (1.9¦0, alpine)",
        expect![[r#"
        **build \(1.90, alpine\)**

        `Build with 1.90`

        Starts from the image `rust:1.90-alpine`.

        ```sh
        MATRIX_OS=alpine
        MATRIX_RUST=1.90
        NAME=alpine!
        ```"#]],
    );
    let (analysis, offset) = at(PIPELINE, "[\"build (1.9¦0, alpine)");
    assert_eq!(hover(&analysis, offset).unwrap().step.unwrap().key, "build (1.90, alpine)");
}

#[test]
fn an_axis_is_described_wherever_it_is_named() {
    check_hover(
        "    ru¦st: [1.90",
        expect![[r#"
        `rust`

        An axis of step `build`. One of `1.90`, `stable`, `nightly`.

        `$MATRIX_RUST` in `cmd`, and `${{ matrix.rust }}` in `image`, `label`, `env` and `cache`."#]],
    );
    check_hover(
        "{¦{ matrix.rust }}\"",
        expect![[r#"
        `rust`

        An axis of step `build`. One of `1.90`, `stable`, `nightly`.

        `$MATRIX_RUST` in `cmd`, and `${{ matrix.rust }}` in `image`, `label`, `env` and `cache`."#]],
    );
    check_hover(
        "${MATRIX_FEAT¦URES}",
        expect![[r#"
        `MATRIX_FEATURES`

        From the matrix of step `build`. Its value is `full`."#]],
    );
    check_hover(
        "matri¦x:",
        expect![[r#"
        `matrix`

        Makes this one step for each combination of values: `{rust: ["1.90", stable], os: [alpine, debian]}` gives four, with keys such as `test (1.90, alpine)`. A value is in `$MATRIX_RUST`, and replaces `${{ matrix.rust }}` in `image`, `label`, `env` and `cache`."#]],
    );
    check_hover(
        "exclu¦de:",
        expect![[r#"
        `exclude`

        Leaves out every combination that has all the values of an entry. Comes before `include`."#]],
    );
}

#[test]
fn a_value_is_described_by_the_combinations_that_have_it() {
    check_hover(
        "[alpine, deb¦ian]",
        expect![[r#"
        `os: debian`

        In 3 combinations:

        - `build (1.90, debian)` in `rust:1.90-debian`, `NAME=debian!`
        - `build (stable, debian)` in `rust:stable-debian`, `NAME=debian!`
        - `build (nightly, debian)` in `rust:nightly-debian`, `NAME=debian!`"#]],
    );
    check_hover(
        "features: fu¦ll",
        expect![[r#"
        `features: full`

        In 1 combination:

        - `build (stable, debian)` in `rust:stable-debian`, `NAME=debian!`"#]],
    );
    check_hover(
        "- {rust: stable, os: alp¦ine}",
        expect![[r#"
        `os: alpine`

        In 1 combination:

        - `build (1.90, alpine)` in `rust:1.90-alpine`, `NAME=alpine!`"#]],
    );
}

#[test]
fn an_axis_leads_to_its_definition_and_to_its_uses() {
    for part in [
        "ru¦st: [1.90",
        "{rust: stable, features".replace("ru", "ru¦").as_str(),
        "matrix.ru¦st }}\"",
        "$MATRIX_RU¦ST\" $",
    ] {
        let (analysis, offset) = at(PIPELINE, part);
        assert_eq!(lines(&analysis, &definition(&analysis, offset)), [4], "{part}");
        assert_eq!(lines(&analysis, &references(&analysis, offset)), [4, 7, 8, 10, 11, 12, 14], "{part}");
    }
    // The other step has no matrix, so nothing sets the variable there.
    let (analysis, offset) = at(PIPELINE, "x $MATRIX_RU¦ST\n");
    assert_eq!(definition(&analysis, offset), []);
    let (analysis, offset) = at(PIPELINE, "feat¦ures: full");
    assert_eq!(lines(&analysis, &references(&analysis, offset)), [7, 14]);
}

#[test]
fn a_combination_leads_to_its_step() {
    let (analysis, offset) = at(PIPELINE, "[\"build (1.9¦0, alpine)");
    assert_eq!(lines(&analysis, &definition(&analysis, offset)), [2]);
    assert_eq!(lines(&analysis, &references(&analysis, offset)), [2, 16, 16]);
    let (analysis, offset) = at(PIPELINE, "key: te¦st");
    let calls = outgoing_calls(&analysis, offset);
    assert_eq!(
        calls.iter().map(|call| (call.step.name.as_str(), call.places.len())).collect::<Vec<_>>(),
        [("build", 2)]
    );
}

fn renamed(text: &str, part: &str, name: &str) -> String {
    let (analysis, offset) = at(text, part);
    let edits = match rename(&analysis, offset, name) {
        Ok(edits) => edits,
        Err(why) => return why,
    };
    let edits: Vec<_> = edits.into_iter().map(|edit| edit.edit).collect();
    let new = apply_edits(text, &edits);
    let changed = new.lines().zip(text.lines()).filter(|(new, old)| new != old).map(|(new, _)| new.trim());
    changed.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_axis_is_renamed_everywhere() {
    let after = renamed(PIPELINE, "ru¦st: [1.90", "rust-version");
    assert_eq!(renamed(PIPELINE, "matrix.ru¦st }}-", "rust-version"), after);
    expect![[r#"
        rust-version: [1.90, stable]
        - {rust-version: stable, features: full}
        - {rust-version: nightly, os: debian}
        - {rust-version: stable, os: alpine}
        label: "Build with ${{ matrix.rust-version }}"
        image: rust:${{ matrix.rust-version }}-${{matrix.os}}
        cmd: make "$MATRIX_RUST_VERSION" ${MATRIX_FEATURES}"#]]
    .assert_eq(&after);
    let (analysis, offset) = at(PIPELINE, "matrix.ru¦st }}-");
    let found = prepare_rename(&analysis, offset).unwrap();
    assert_eq!((found.name.as_str(), &PIPELINE[found.range.start..found.range.end]), ("rust", "rust"));
    for (name, why) in [
        ("os", "The matrix already has an axis `os`"),
        ("OS", "`OS` and `os` would both be `$MATRIX_OS`"),
        ("include", "`include` has another meaning in a matrix"),
        ("a b", "`a b` cannot name an axis. Use letters, digits, `-` and `_`"),
    ] {
        assert_eq!(renamed(PIPELINE, "ru¦st: [1.90", name), why);
    }
    let why = "`MATRIX_RUST` is made from the axis `rust` of the matrix: rename the axis";
    assert_eq!(renamed(PIPELINE, "$MATRIX_RU¦ST\" $", "MATRIX_X"), why);
    let shared = "x-m: &m {v: [1]}\nsteps:\n- {key: a, cmd: x $MATRIX_V, matrix: *m}\n- {key: b, cmd: y $MATRIX_V, matrix: *m}\n- {key: c, cmd: z $MATRIX_V, matrix: {v: [2]}}\n";
    expect![[r#"
        x-m: &m {w: [1]}
        - {key: a, cmd: x $MATRIX_W, matrix: *m}
        - {key: b, cmd: y $MATRIX_W, matrix: *m}"#]]
    .assert_eq(&renamed(shared, "{¦v: [1]", "w"));
}

#[test]
fn references_to_combinations_follow_a_renamed_step() {
    let after = renamed(PIPELINE, "key: bu¦ild", "compile");
    for part in ["[\"bui¦ld (1.90", ", bu¦ild]"] {
        assert_eq!(renamed(PIPELINE, part, "compile"), after);
    }
    expect![[r#"
        - key: compile
        depends_on: ["compile (1.90, alpine)", compile]"#]]
    .assert_eq(&after);
    let (analysis, offset) = at(PIPELINE, "[\"bui¦ld (1.90");
    let found = prepare_rename(&analysis, offset).unwrap();
    assert_eq!((found.name.as_str(), &PIPELINE[found.range.start..found.range.end]), ("build", "build"));
}

/// Returns what is offered at `¦`, each with the text that accepting it leaves of the line.
fn offered(text: &str) -> Vec<String> {
    let offset = text.find('¦').unwrap();
    let text = text.replacen('¦', "", 1);
    let analysis = analyze(&text, Format::Yaml);
    let line = analysis.line_index.line(offset);
    let entries = completion(&analysis, offset, Known::default()).into_iter();
    let accepted = |entry: ide::Completion| {
        let new = apply_edits(&text, std::slice::from_ref(&entry.edit));
        format!("{}: {}", entry.label, new.lines().nth(line).unwrap_or_default().trim())
    };
    entries.map(accepted).collect()
}

#[test]
fn names_are_offered_in_expressions() {
    let step = |rest: &str| format!("steps:\n- key: a\n  matrix: {{rust: [1], os: [2]}}\n{rest}\n");
    for (rest, expected) in [
        (
            "  image: rust:${{ ¦",
            ["matrix.rust: image: rust:${{ matrix.rust }}", "matrix.os: image: rust:${{ matrix.os }}"],
        ),
        (
            "  image: rust:${{ matrix.r¦ }}",
            ["matrix.rust: image: rust:${{ matrix.rust }}", "matrix.os: image: rust:${{ matrix.os }}"],
        ),
        ("  label: \"${{¦\"", ["matrix.rust: label: \"${{ matrix.rust }}\"", "matrix.os: label: \"${{ matrix.os }}\""]),
        (
            "  env: {A: \"${{ mat¦}}\"}",
            ["matrix.rust: env: {A: \"${{ matrix.rust }}\"}", "matrix.os: env: {A: \"${{ matrix.os }}\"}"],
        ),
    ] {
        assert_eq!(offered(&step(rest)), expected, "{rest}");
    }
    assert_eq!(offered(&step("  cmd: echo ${{ ¦")), Vec::<String>::new());
    let variables = offered(&step("  cmd: echo $MATRIX¦"));
    assert_eq!(variables[..2], ["MATRIX_OS: cmd: echo $MATRIX_OS", "MATRIX_RUST: cmd: echo $MATRIX_RUST"]);
}

#[test]
fn combinations_are_offered_as_references() {
    let text =
        |rest: &str| format!("steps:\n- {{key: a, cmd: x, matrix: {{v: [1, x]}}}}\n- key: b\n  cmd: x\n{rest}\n");
    let expected = ["a: depends_on: [a]", "a (1): depends_on: [\"a (1)\"]", "a (x): depends_on: [\"a (x)\"]"];
    assert_eq!(offered(&text("  depends_on: [¦]")), expected);
    assert_eq!(offered(&text("  builds_in: ¦"))[1], "a (1): builds_in: \"a (1)\"");
}

#[test]
fn the_parts_of_a_matrix_are_offered() {
    assert_eq!(offered("steps:\n- key: a\n  cmd: x\n  matrix:\n    ¦\n"), ["include: include:", "exclude: exclude:"]);
    let text = |rest: &str| {
        format!(
            "steps:\n- key: a\n  cmd: x\n  matrix:\n    rust: [1.90, stable]\n    os: [alpine]\n    exclude:\n{rest}\n"
        )
    };
    assert_eq!(offered(&text("    - {¦}")), ["rust: - {rust: }", "os: - {os: }"]);
    assert_eq!(offered(&text("    - {rust: ¦}")), ["1.90: - {rust: \"1.90\"}", "stable: - {rust: stable}"]);
    let keys = offered("steps:\n- key: a\n  cmd: x\n  mat¦\n");
    assert!(keys.contains(&"matrix: matrix:".to_owned()), "{keys:?}");
}

#[test]
fn every_combination_is_a_place_to_run_and_in_the_outline() {
    let analysis = analyze(PIPELINE, Format::Yaml);
    let places = run_places(&analysis);
    let shown: Vec<String> = places
        .iter()
        .map(|place| {
            let line = |range: pipelens_core::text::TextRange| analysis.line_index.line(range.start) + 1;
            let combinations: Vec<String> = place
                .combinations
                .iter()
                .map(|one| format!("{} {} `{}`", line(one.range), one.key, one.name))
                .collect();
            format!("{} {:?} {} [{}]", line(place.range), place.step, place.has_dependants, combinations.join(", "))
        })
        .collect();
    expect![[r#"
        1 None false []
        2 Some("build") true [3 build (1.90, alpine) `1.90, alpine`, 3 build (1.90, debian) `1.90, debian`, 3 build (stable, debian) `stable, debian`, 3 build (nightly, debian) `nightly, debian`]
        15 Some("test") false []"#]].assert_eq(&shown.join("\n"));
    let outline: Vec<String> =
        symbols(&analysis)[0].children[0].children.iter().map(|symbol| symbol.name.clone()).collect();
    assert_eq!(outline.len(), 4);
    assert_eq!(outline[3], "build (nightly, debian)");
}
