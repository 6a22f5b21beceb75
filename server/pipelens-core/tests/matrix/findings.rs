//! What is wrong with a matrix: once, at the exact place, with the edit that fixes it.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use pipelens_core::diagnostic::Severity;
use pipelens_core::{Format, Project, analyze, analyze_in};

/// Returns each finding: its code, what it marks, its message, and what its first fix makes of the line.
fn report(text: &str, diagnostics: &[pipelens_core::diagnostic::Diagnostic]) -> String {
    let mut report = String::new();
    for found in diagnostics {
        let marked = &text[found.range.start..found.range.end];
        writeln!(report, "{} at `{marked}`: {}", found.code.as_str(), found.message).unwrap();
        if let Some(fix) = found.fixes.first() {
            let edits: Vec<_> = fix.edits.iter().map(|edit| edit.edit.clone()).collect();
            let fixed = pipelens_core::text::apply_edits(text, &edits);
            let changed = fixed.lines().filter(|line| !text.lines().any(|old| old == *line));
            writeln!(report, "  {}: {}", fix.title, changed.collect::<Vec<_>>().join(" / ")).unwrap();
        }
    }
    report
}

fn check(text: &str, expected: Expect) {
    let analysis = analyze(text, Format::Yaml);
    let shown: Vec<_> =
        analysis.diagnostics.iter().filter(|found| found.code.as_str() != "unpinned-image").cloned().collect();
    expected.assert_eq(&report(text, &shown));
}

#[test]
fn values_have_to_be_single_values_in_lists() {
    check(
        r#"steps:
- key: a
  cmd: echo $MATRIX_A $MATRIX_B $MATRIX_C $MATRIX_D $MATRIX_E $MATRIX_F
  matrix:
    a: []
    b: one
    c: [1, [2], {x: y}, ~]
    d:
    e: {x: y}
    include: {f: 1}
    exclude: [1, {b: [one]}, {}]
- {key: b, cmd: x, matrix: {}}
- {key: c, cmd: x, matrix: [1, 2]}
- {key: d, cmd: x, matrix: {include: []}}
"#,
        expect![[r#"
            empty-list at `[]`: `a` needs at least one entry, but the list is empty. Add one, or remove `a`.
            wrong-type at `one`: `b` must be a list, but this is a string.
              Make it a list:     b: [one]
            wrong-type at `[2]`: `c` must be a single value, but this is a list.
            wrong-type at `{x: y}`: `c` must be a single value, but this is a mapping.
            wrong-type at `~`: `c` has no value; it must be a single value. Add a value, or remove `c`.
            wrong-type at `:`: `d` has no value; it must be a list. Add a value, or remove `d`.
            wrong-type at `{x: y}`: `e` must be a list, but this is a mapping.
            wrong-type at `{f: 1}`: `include` must be a list, but this is a mapping.
            wrong-type at `1`: `exclude` must be a mapping, but this is a number.
            wrong-type at `[one]`: `b` must be a single value, but this is a list.
            idle-matrix-entry at `{}`: No combination has all of these values, so this leaves out none. Remove it.
              Remove `{}`:     exclude: [1, {b: [one]}]
            empty-list at `matrix`: This matrix has no combinations, so the step would never run. Add an axis: `rust: ["1.90", stable]`.
            wrong-type at `[1, 2]`: `matrix` must be a mapping, but this is a list.
            empty-list at `matrix`: This matrix has no combinations, so the step would never run. Add an axis: `rust: ["1.90", stable]`.
            empty-list at `[]`: `include` needs at least one entry, but the list is empty. Add one, or remove `include`.
        "#]],
    );
}

#[test]
fn names_of_axes_are_checked() {
    check(
        r#"steps:
- key: a
  cmd: echo $MATRIX_A $MATRIX_A_B
  matrix: {a-b: [1], a_b: [2], "": [3], "x}}": [4]}
- key: b
  cmd: echo $MATRIX_A
  matrix: {a: [1, 2], includes: [{a: 3}], excludee: [{a: 1}]}
"#,
        expect![[r#"
            bad-value at `a_b`: `a_b` and `a-b` would both be `$MATRIX_A_B` in the command. Rename one of them.
            bad-value at `""`: The name of an axis is empty. Give it one.
            bad-value at `"x}}"`: An expression cannot name the axis `x}}`. Use letters, digits, `-` and `_`.
            unknown-key at `includes`: Unknown key `includes` in a matrix. Did you mean `include`?
              Change to `include`:   matrix: {a: [1, 2], include: [{a: 3}], excludee: [{a: 1}]}
            unknown-key at `excludee`: Unknown key `excludee` in a matrix. Did you mean `exclude`?
              Change to `exclude`:   matrix: {a: [1, 2], includes: [{a: 3}], exclude: [{a: 1}]}
        "#]],
    );
}

#[test]
fn entries_that_change_nothing_are_found() {
    check(
        r#"steps:
- key: a
  cmd: echo $MATRIX_RUST $MATRIX_OS
  matrix:
    rust: [1.90, stable, "1.90"]
    os: [alpine, debian]
    include: [{rust: stable}, {rust: stable, os: alpine}]
    exclude:
    - {rust: stabel}
    - {rust: nightly-2025}
    - {sr: x}
    - {rust: "1.90", os: debian}
- key: b
  cmd: echo $MATRIX_A
  matrix: {a: [1, 2], exclude: [{a: 1}, {a: 2}]}
"#,
        expect![[r#"
            idle-matrix-entry at `"1.90"`: `1.90` is in `rust` twice, which makes no other combination. Remove one.
              Remove `1.90`:     rust: [1.90, stable]
            idle-matrix-entry at `{rust: stable}`: There is a combination with these values already, so this adds nothing. Remove it, or give it another value.
              Remove `{rust: stable}`:     include: [{rust: stable, os: alpine}]
            idle-matrix-entry at `{rust: stable, os: alpine}`: There is a combination with these values already, so this adds nothing. Remove it, or give it another value.
              Remove `{rust: stable, os: alpine}`:     include: [{rust: stable}]
            idle-matrix-entry at `stabel`: `rust` has no value `stabel`, so this leaves out no combination. Did you mean `stable`?
              Change to `stable`:     - {rust: stable}
            idle-matrix-entry at `nightly-2025`: `rust` has no value `nightly-2025`, so this leaves out no combination. Remove the entry.
            unknown-axis at `sr`: The matrix has no axis `sr`; expected one of `rust`, `os`.
            empty-list at `matrix`: `exclude` leaves out every combination, so the step would never run. Remove an entry of it.
        "#]],
    );
}

#[test]
fn expressions_are_replaced_in_four_places_only() {
    check(
        r#"env: {P: "${{ matrix.a }}"}
default_image: "x:${{ matrix.a }}"
steps:
- key: a
  matrix: {abc: [1]}
  label: "${{ matrix.abd }} ${{ matrix.other }}"
  image: "x:${{ matrix.abc }}"
  env: {A: "${{ matrix.abc }}-${{ github.sha }}"}
  cache: {policy: on_change, paths: ["${{ matrix.abc }}/x", "${{ matrix.acb }}"]}
  workdir: /x/${{ matrix.abc }}
  secrets: ["${{ matrix.abc }}"]
  cmd: echo "${{ matrix.abc }}" ${{matrix.abcd}}x ${{ matrix.other }} $MATRIX_ABC
- key: b
  label: "${{ matrix.abc }}"
  image: "x:${{ matrix.abc }}"
  cmd: echo "${{ matrix.abc }}"
"#,
        expect![[r#"
            foreign-expression at `${{ matrix.a }}`: `${{ matrix.a }}` is replaced only in `image`, `label`, `env` and `cache` of a step with a `matrix`. Write the value itself.
            invalid-image at `"x:${{ matrix.a }}"`: `${{ matrix.a }}` is replaced only in the image of a step with a `matrix` that has the axis `a`. Add it, or write the value itself.
            unknown-axis at `abd`: The matrix has no axis `abd`. Did you mean `abc`?
              Change `abd` to `abc`:   label: "${{ matrix.abc }} ${{ matrix.other }}"
            unknown-axis at `other`: The matrix has no axis `other`; expected one of `abc`.
            foreign-expression at `${{ github.sha }}`: `${{ github.sha }}` is an expression of GitHub Actions, which is never replaced here. Write the value itself, or use `$NAME` in `cmd`.
            unknown-axis at `acb`: The matrix has no axis `acb`. Did you mean `abc`?
              Change `acb` to `abc`:   cache: {policy: on_change, paths: ["${{ matrix.abc }}/x", "${{ matrix.abc }}"]}
            foreign-expression at `${{ matrix.abc }}`: `${{ matrix.abc }}` is replaced only in `image`, `label`, `env` and `cache` of a step with a `matrix`. Write the value itself.
            foreign-expression at `${{ matrix.abc }}`: `${{ matrix.abc }}` is replaced only in `image`, `label`, `env` and `cache` of a step with a `matrix`. Write the value itself.
            foreign-expression at `${{ matrix.abc }}`: `${{ matrix.abc }}` is replaced only in `image`, `label`, `env` and `cache`. Write `$MATRIX_ABC` in `cmd`.
              Change to `$MATRIX_ABC`:   cmd: echo "$MATRIX_ABC" ${{matrix.abcd}}x ${{ matrix.other }} $MATRIX_ABC
            foreign-expression at `${{matrix.abcd}}`: `${{matrix.abcd}}` is replaced only in `image`, `label`, `env` and `cache`, and the matrix has no axis `abcd`. Did you mean `$MATRIX_ABC`?
              Change to `$MATRIX_ABC`:   cmd: echo "${{ matrix.abc }}" ${MATRIX_ABC}x ${{ matrix.other }} $MATRIX_ABC
            foreign-expression at `${{ matrix.other }}`: `${{ matrix.other }}` is replaced only in `image`, `label`, `env` and `cache`, and the matrix has no axis `other`. Write the value itself.
            foreign-expression at `${{ matrix.abc }}`: `${{ matrix.abc }}` is replaced only in a step with a `matrix`, and this one has none. Add `matrix` with the axis `abc`, or write the value itself.
            invalid-image at `"x:${{ matrix.abc }}"`: `${{ matrix.abc }}` is replaced only in the image of a step with a `matrix` that has the axis `abc`. Add it, or write the value itself.
            foreign-expression at `${{ matrix.abc }}`: `${{ matrix.abc }}` is replaced only in `image`, `label`, `env` and `cache` of a step with a `matrix`, and this one has none. Write the value itself.
        "#]],
    );
}

#[test]
fn a_value_that_makes_a_bad_image_is_marked() {
    check(
        r#"steps:
- key: a
  matrix: {rust: ["1.90", "1 91", latest], os: [alpine, "de bian"], include: [{rust: Ok}]}
  image: rust:${{ matrix.rust }}-${{ matrix.os }}
  cmd: x
- key: b
  matrix: {image: ["alpine:3", Debian, "a b"]}
  image: ${{ matrix.image }}
  cmd: x
- key: c
  matrix: {v: [1, 2]}
  image: Rust:${{ matrix.v }}
  cmd: x
- key: d
  matrix: {v: [1, ""], w: [1, 2]}
  image: rust:${{ matrix.v }}
  cmd: echo $MATRIX_W
"#,
        expect![[r#"
            invalid-image at `"1 91"`: `rust:1 91-alpine` is not a valid image name. It must be `[registry/]name[:tag]`, with a lowercase name.
            invalid-image at `"de bian"`: `rust:1.90-de bian` is not a valid image name. It must be `[registry/]name[:tag]`, with a lowercase name.
            invalid-image at `Debian`: `Debian` is not a valid image name. It must be `[registry/]name[:tag]`, with a lowercase name.
            invalid-image at `"a b"`: `a b` is not a valid image name. It must be `[registry/]name[:tag]`, with a lowercase name.
            invalid-image at `Rust:${{ matrix.v }}`: `Rust:1` is not a valid image name. It must be `[registry/]name[:tag]`, with a lowercase name.
            invalid-image at `""`: `rust:` is not a valid image name. It must be `[registry/]name[:tag]`, with a lowercase name.
        "#]],
    );
    let text = "steps:\n- {key: a, cmd: x, image: 'rust:${{ matrix.v }}', matrix: {v: [\"1.90\", latest]}}\n";
    let analysis = analyze(text, Format::Yaml);
    expect![[r#"
        unpinned-image at `latest`: `rust` has the tag `latest`, so it can change without notice. Choose a version, such as `rust:1.2`.
    "#]].assert_eq(&report(text, &analysis.diagnostics));
}

#[test]
fn keys_that_collide_are_marked_at_the_values() {
    check(
        r#"steps:
- {key: a, cmd: echo $MATRIX_V $MATRIX_W, matrix: {v: [1.0, 1-0, x], w: [1, 2]}}
- {key: "b (1)", cmd: x}
- {key: b, cmd: echo $MATRIX_V, matrix: {v: [1, 2]}}
- {key: "b-2-", cmd: x}
- {key: b, cmd: x}
- {key: "b--2-", cmd: x}
- {key: c, cmd: echo $MATRIX_V, matrix: {v: [1], include: [{v: 2}, {v: 2}]}}
"#,
        expect![[r#"
            colliding-step-keys at `1-0`: `a (1-0, 1)` and `a (1.0, 1)` would get the same container and image names, in which only letters, digits, `_` and `-` count. Change one of them.
            duplicate-step-key at `b`: Two steps have the key `b (1)`, but keys must be unique. Change one of them.
            duplicate-step-key at `b`: Two steps have the key `b`, but keys must be unique. Rename one of them.
            colliding-step-keys at `"b--2-"`: `b--2-` and `b (2)` would get the same container and image names, in which only letters, digits, `_` and `-` count. Rename one of them.
            duplicate-step-key at `{v: 2}`: Two steps have the key `c (2)`, but keys must be unique. Change one of them.
        "#]],
    );
}

#[test]
fn references_to_combinations_are_checked() {
    check(
        r#"steps:
- {key: a, cmd: echo $MATRIX_V, matrix: {v: [1, 2], exclude: [{v: 9}]}}
- {key: b, cmd: x, depends_on: ["a (1)", "a (3)", a]}
- {key: c, cmd: x, builds_in: a}
- {key: d, cmd: x, builds_in: "a (2)"}
- {key: e, cmd: echo $MATRIX_V, builds_in: a, matrix: {v: [2, 3]}}
- {key: f, cmd: echo $MATRIX_W, builds_in: a, matrix: {w: [1, 2]}}
- {key: g, cmd: echo $MATRIX_V, builds_in: a, matrix: {v: [2]}}
- {key: h, cmd: echo $MATRIX_V, depends_on: ["h (1)"], matrix: {v: [1, 2]}}
- {key: i, cmd: echo $MATRIX_V, depends_on: ["j (1)"], matrix: {v: [1, 2]}}
- {key: j, cmd: echo $MATRIX_V, depends_on: [i], matrix: {v: [1, 2]}}
"#,
        expect![[r#"
            idle-matrix-entry at `9`: `v` has no value `9`, so this leaves out no combination. Remove the entry.
            unknown-step at `"a (3)"`: Step `b` depends on `a (3)`, which does not exist. Did you mean `a (1)`?
              Change `a (3)` to `a (1)`: - {key: b, cmd: x, depends_on: ["a (1)", "a (1)", a]}
            several-parents at `a`: Step `c` can build in only one step, but `a` is 2 combinations. Name one of them, such as `a (1)`, or give both steps the same axes.
              Remove `builds_in`: - {key: c, cmd: x}
            several-parents at `a`: `e (3)` would build in the same combination of `a`, which has none like it. Add it there, or exclude it here.
              Remove `builds_in`: - {key: e, cmd: echo $MATRIX_V, matrix: {v: [2, 3]}}
            several-parents at `a`: Step `f` can build in only one step, but `a` is 2 combinations. Name one of them, such as `a (1)`, or give both steps the same axes.
              Remove `builds_in`: - {key: f, cmd: echo $MATRIX_W, matrix: {w: [1, 2]}}
            self-reference at `"h (1)"`: Step `h` depends on itself, so it can never start. Name another step, or remove this.
              Remove `h (1)`: - {key: h, cmd: echo $MATRIX_V, matrix: {v: [1, 2]}}
            cycle at `i`: These steps wait for each other in a cycle, so none of them can start: `i` → `j` → `i`. Remove one of the references.
        "#]],
    );
}

#[test]
fn a_key_with_a_comma_needs_quotes_in_brackets() {
    check(
        "steps:\n- {key: a, cmd: echo $MATRIX_V $MATRIX_W, matrix: {v: [1, 2], w: [x y, z]}}\n- {key: b, cmd: x, depends_on: [a (1, z), a (2, x y), a (3, z)]}\n",
        expect![[r#"
            unknown-step at `a (1, z)`: A comma separates the items of a list, so `a (1, z)` is taken for several steps, which do not exist. Put it in quotes.
              Put it in quotes: - {key: b, cmd: x, depends_on: ["a (1, z)", a (2, x y), a (3, z)]}
            unknown-step at `a (2, x y)`: A comma separates the items of a list, so `a (2, x y)` is taken for several steps, which do not exist. Put it in quotes.
              Put it in quotes: - {key: b, cmd: x, depends_on: [a (1, z), "a (2, x y)", a (3, z)]}
            unknown-step at `a (3`: Step `b` depends on `a (3`, which does not exist. Name a step of this pipeline.
            unknown-step at `z)`: Step `b` depends on `z)`, which does not exist. Name a step of this pipeline.
            redundant-dependency at `z)`: `z)` is listed twice. Remove it from `depends_on`.
              Remove `z)`: - {key: b, cmd: x, depends_on: [a (1, z), a (2, x y), a (3]}
        "#]],
    );
}

#[test]
fn an_axis_that_the_file_does_not_use_is_a_hint() {
    check(
        "steps:\n- key: a\n  matrix: {one: [1], two-x: [2], three: [3], include: [{four: 4}]}\n  label: '${{ matrix.one }}'\n  cmd: echo $MATRIX_TWO_X\n",
        expect![[r#"
            unused-axis at `three`: Nothing in this file uses `${{ matrix.three }}` or `$MATRIX_THREE`, so only programs that read the variable see the value.
            unused-axis at `four`: Nothing in this file uses `${{ matrix.four }}` or `$MATRIX_FOUR`, so only programs that read the variable see the value.
        "#]],
    );
}

#[test]
fn matrices_of_other_systems_are_written_again() {
    for (text, expected) in [
        (
            "steps:\n  - key: a\n    strategy:\n      matrix:\n        os: [x, y]\n        include:\n          - {os: z, b: '1'}\n    cmd: echo $MATRIX_OS $MATRIX_B\n",
            expect![[r#"
                unknown-key at `strategy`: Unknown key `strategy` in a step. Did you mean `matrix`?
                  Change to `matrix`:     matrix: /       os: [x, y] /       include: [{os: z, b: '1'}]
            "#]],
        ),
        (
            "steps:\n  - key: a\n    strategy:\n      fail-fast: false\n      matrix: {os: [x]}\n    cmd: echo $MATRIX_OS\n",
            expect![[r#"
                unknown-key at `strategy`: Unknown key `strategy` in a step. Did you mean `matrix`?
                  Change to `matrix`:     matrix: /       os: [x]
            "#]],
        ),
        (
            "steps:\n  - key: a\n    parallel:\n      matrix:\n        - OS: [x, y]\n          ARCH: arm\n    cmd: echo $MATRIX_OS $MATRIX_ARCH\n",
            expect![[r#"
                unknown-key at `parallel`: Unknown key `parallel` in a step. Did you mean `matrix`?
                  Change to `matrix`:     matrix: /       OS: [x, y] /       ARCH: [arm]
            "#]],
        ),
        (
            "steps:\n  - {key: a, parallel: 4, cmd: x}\n",
            expect![[r#"
            unknown-key at `parallel`: Unknown key `parallel` in a step. A step that runs once for each combination of values has a `matrix`: `matrix: {rust: ["1.90", stable]}`.
        "#]],
        ),
        (
            "steps:\n  - key: a\n    matrix:\n      parameters:\n        os: [x, y]\n        v: [1]\n      exclude:\n        - {os: x, v: 1}\n    cmd: echo $MATRIX_OS $MATRIX_V\n",
            expect![[r#"
                unknown-key at `parameters`: Unknown key `parameters` in a matrix. Here the axes are in `matrix` itself.
                  Put the axes into `matrix`:       os: [x, y] /       v: [1]
            "#]],
        ),
        (
            "steps:\n  - {key: a, matrix: [{os: [x]}], cmd: echo $MATRIX_OS}\n",
            expect![[r#"
            wrong-type at `[{os: [x]}]`: `matrix` must be a mapping from axes to lists of values, but this is a list.
              Write the axes:   - {key: a, matrix: {os: [x]}, cmd: echo $MATRIX_OS}
        "#]],
        ),
        (
            "matrix: {os: [x]}\nsteps:\n  - {key: a, cmd: x}\n",
            expect![[r#"
            misplaced-key at `matrix`: `matrix` belongs in a step, not in a pipeline. Move it there.
        "#]],
        ),
    ] {
        check(text, expected);
    }
}

#[test]
fn a_shared_matrix_has_its_findings_once() {
    check(
        r#"x-m: &m {v: [1, 1]}
steps:
- {key: a, cmd: echo $MATRIX_V, matrix: *m}
- {key: b, cmd: echo $MATRIX_V, matrix: *m, env: &e {A: "${{ matrix.v }}"}}
- {key: c, cmd: x, env: *e}
"#,
        expect![[r#"
            idle-matrix-entry at `1`: `1` is in `v` twice, which makes no other combination. Remove one.
              Remove `1`: x-m: &m {v: [1]}
            foreign-expression at `${{ matrix.v }}`: `${{ matrix.v }}` is replaced only in a step with a `matrix`, and this one has none. Add `matrix` with the axis `v`, or write the value itself.
        "#]],
    );
}

#[test]
fn secrets_and_invisible_characters_in_values_are_found() {
    check(
        "steps:\n- {key: a, cmd: echo $MATRIX_V, matrix: {v: [AKIAQ3EGRIHN5XW2PLZT, \"a\\u200bb\", \"a\\nb\"]}}\n",
        expect![[r#"
            secret-literal at `AKIAQ3EGRIHN5XW2PLZT`: This looks like an AWS access key, and everyone who can read this file can read it. Replace it, and read the new one from a variable listed in `secrets`.
            control-character at `"a\u200bb"`: `v` contains the character U+200B, which is invisible or controls a terminal. Remove it.
              Change to `ab`: - {key: a, cmd: echo $MATRIX_V, matrix: {v: [AKIAQ3EGRIHN5XW2PLZT, "ab", "a\nb"]}}
            control-character at `"a\nb"`: `v` contains the character U+000A, which is invisible or controls a terminal. Remove it.
              Change to `ab`: - {key: a, cmd: echo $MATRIX_V, matrix: {v: [AKIAQ3EGRIHN5XW2PLZT, "a\u200bb", "ab"]}}
            colliding-step-keys at `"a\nb"`: `a (a\nb)` and `a (a\u{200b}b)` would get the same container and image names, in which only letters, digits, `_` and `-` count. Change one of them.
        "#]],
    );
}

#[derive(Debug)]
struct OnlySrc;

impl Project for OnlySrc {
    fn has_match(&self, pattern: &str) -> Option<bool> {
        Some(pattern.starts_with("src"))
    }
    fn has_folder(&self, _: &str) -> Option<bool> {
        None
    }
}

#[test]
fn a_value_that_makes_a_path_match_nothing_is_marked() {
    let text = "steps:\n- {key: a, cmd: echo, matrix: {d: [src, lib]}, image: 'a:1', cache: {policy: on_change, paths: ['${{ matrix.d }}/**']}}\n";
    let analysis = analyze_in(text, Format::Yaml, &OnlySrc);
    expect![[r#"
        unmatched-path at `lib`: `lib/**` matches no file in the project, so this policy cannot be evaluated and the step always runs. Correct the path, or remove it.
    "#]].assert_eq(&report(text, &analysis.diagnostics));
}

#[test]
fn a_finding_about_a_value_can_be_ignored() {
    let text =
        "steps:\n- key: a\n  cmd: echo $MATRIX_V\n  matrix:\n    # pipelens: ignore idle-matrix-entry\n    v: [1, 1]\n";
    let found = analyze(text, Format::Yaml).diagnostics;
    assert!(found.iter().all(|found| found.severity > Severity::Warning), "{found:?}");
}
