//! What a person is told, where, for the smallest file that shows it.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use pipelens_core::text::apply_edits;
use pipelens_core::{Format, analyze};

/// Renders each finding under its line.
fn render(text: &str, format: Format) -> String {
    let analysis = analyze(text, format);
    let mut result = String::new();
    for found in &analysis.diagnostics {
        let line = analysis.line_index.line_range(analysis.line_index.line(found.range.start));
        let source = text[line.start..line.end].trim_end();
        let before = text[line.start..found.range.start].chars().count();
        let end = found.range.end.min(line.start + source.len()).max(found.range.start);
        let width = text[found.range.start..end].chars().count().max(1);
        writeln!(result, "{source}\n{}{}", " ".repeat(before), "^".repeat(width)).unwrap();
        writeln!(result, "{:?}[{}]: {}", found.severity, found.code.as_str(), found.message).unwrap();
        for related in &found.related {
            let line = analysis.line_index.line(related.range.start) + 1;
            writeln!(result, "  line {line}: {}", related.message).unwrap();
        }
        for fix in &found.fixes {
            writeln!(result, "  fix: {}", fix.title).unwrap();
        }
    }
    result
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&render(text, Format::Yaml));
}

#[test]
fn a_good_pipeline_has_no_finding() {
    check("name: ci\nsteps:\n  - key: a\n    cmd: make\n    image: rust:1.95\n  - wait\n  - {key: b, cmd: x, builds_in: a}\n", expect![[""]]);
}

#[test]
fn an_unknown_step_names_the_nearest() {
    check("steps:\n- {key: build, cmd: x}\n- {key: deploy, cmd: x, builds_in: bild}\n", expect![[r#"
        - {key: deploy, cmd: x, builds_in: bild}
                                           ^^^^
        Error[unknown-step]: Step `deploy` builds in `bild`, which does not exist. Did you mean `build`?
          fix: Change `bild` to `build`
    "#]]);
}

#[test]
fn the_fix_of_an_unknown_step_mends_it() {
    let text = "steps:\n- {key: build, cmd: x}\n- {key: deploy, cmd: x, builds_in: bild}\n";
    let analysis = analyze(text, Format::Yaml);
    let mended = apply_edits(text, &analysis.diagnostics[0].fixes[0].edits);
    assert_eq!(render(&mended, Format::Yaml), "");
}

#[test]
fn a_cycle_points_at_the_closing_edge_and_shows_the_others() {
    check("steps:\n- {key: a, cmd: x, depends_on: c}\n- {key: b, cmd: x, depends_on: a}\n- {key: c, cmd: x, depends_on: [b]}\n", expect![[r#"
        nme: x
        ^^^
        Error[unknown-key]: `nme` means nothing in a pipeline. Did you mean `name`?
          fix: Change to `name`
        cmd: y
        ^^^
        Error[misplaced-key]: `cmd` belongs to a step, not to a pipeline. Move it there.
        - key: a
          ^^^
        Error[missing-key]: This step has no `cmd`. Add `cmd:` with the command to run.
          fix: Add `cmd`
          comand: x
          ^^^^^^
        Error[unknown-key]: `comand` means nothing in a step, which knows `key`, `label`, `cmd`, `image`, `builds_in`, `depends_on`, `env`, `timeout_seconds`, `workdir`, `cache`, `runner`, `runner_args`, `artifacts`, `secrets`, `soft_fail`, `retry`.
          fail_fast: true
          ^^^^^^^^^
        Error[misplaced-key]: `fail_fast` belongs to a pipeline, not to a step. Move it there.
          zzz: 1
          ^^^
        Error[unknown-key]: `zzz` means nothing in a step, which knows `key`, `label`, `cmd`, `image`, `builds_in`, `depends_on`, `env`, `timeout_seconds`, `workdir`, `cache`, `runner`, `runner_args`, `artifacts`, `secrets`, `soft_fail`, `retry`.
    "#]]);
}

#[test]
fn keys_are_checked_against_their_place() {
    check("nme: x\ncmd: y\nsteps:\n- key: a\n  comand: x\n  fail_fast: true\n  zzz: 1\n", expect![[""]]);
}

#[test]
fn values_are_checked_against_their_type() {
    check("fail_fast: yes\ntimeout_seconds: '5'\nenv: {1A: x, B: [1], C: 0777}\nsteps:\n- key: 1\n  cmd:\n  retry: 11\n  workdir: src\n  image: Rust:1\n  cache: {policy: sometimes}\n  runner: dokcer\n- key: b\n  cmd: ''\n  cache: {policy: ttl}\n", expect![[""]]);
}

#[test]
fn step_keys_must_differ_even_as_container_names() {
    check("steps:\n- {key: a b, cmd: x}\n- {key: a-b, cmd: x}\n- {key: a-b, cmd: x}\n- {key: me, cmd: x, depends_on: me}\n", expect![[""]]);
}

#[test]
fn references_respect_barriers() {
    check("steps:\n- {key: a, cmd: x, depends_on: b}\n- wait\n- {key: b, cmd: x, depends_on: [a, a]}\n", expect![[""]]);
}

#[test]
fn a_line_that_is_being_typed_is_one_finding() {
    check("steps:\n- key: a\n  cmd: make\n  im\n- key: b\n  cmd: \"x\n- key: c\n  cmd: y\n  depends_on: [a, b\n", expect![[""]]);
    check("steps:\n- key: a\n  cmd:make\n- key: b\n  cmd: echo a: b\n\timage: x:1\n", expect![[""]]);
    check("steps:\n<<<<<<< HEAD\n- key: a\n  cmd: x\n=======\n- key: b\n  cmd: x\n>>>>>>> other\n- {key: c, cmd: x, depends_on: b}\n", expect![[""]]);
}

#[test]
fn other_documents_are_told_what_is_missing() {
    check("", expect![[""]]);
    check("# nothing\n", expect![[""]]);
    check("stepz: []\n", expect![[""]]);
    check("- a\n", expect![[""]]);
    check("steps: []\n", expect![[""]]);
}

#[test]
fn a_comment_silences_a_finding() {
    check("steps:\n- key: a\n  cmd: x\n  # pipelens: ignore unpinned-image\n  image: rust\n- {key: b, cmd: x, image: rust} # pipelens: ignore unpinned-image\n", expect![[""]]);
}

#[test]
fn aliases_are_followed_and_bombs_are_answered() {
    check("x-a: &d {cmd: x, image: 'a:1'}\nsteps:\n- {key: a, <<: *d}\n- {key: b, <<: *e}\n", expect![[""]]);
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    let found = analyze(&bomb, Format::Yaml).diagnostics;
    assert_eq!(found.iter().map(|found| found.code.as_str()).collect::<Vec<_>>(), ["too-large"]);
}

#[test]
fn json_is_checked_strictly() {
    let check = |text: &str, expected: Expect| expected.assert_eq(&render(text, Format::Json));
    check("{\"steps\": [{\"key\": \"a\", \"cmd\": \"x\",}]}", expect![[""]]);
    check("steps: [{key: a, cmd: x}]", expect![[""]]);
    check("\u{feff}{\"steps\": [{\"key\": \"a\"\n\"cmd\": \"x\"}]}", expect![[""]]);
}

#[test]
fn plans_are_checked_as_their_format_allows() {
    let check = |text: &str, expected: Expect| expected.assert_eq(&render(text, Format::Json));
    check("{\"version\": \"9\", \"extra\": 1, \"graph\": {\"nodes\": [{\"step\": {\"key\": \"a\", \"cmd\": \"\", \"image\": null}, \"env\": {}},\n {\"step\": {\"key\": \"b\", \"cmd\": \"x\"}, \"env\": {\"A\": 1}}],\n \"edges\": [[0, 1, \"builds_in\"],\n [1, 1, \"builds_in\"],\n [0, 7, \"depends_on\"]]}}", expect![[""]]);
}
