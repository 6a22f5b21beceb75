//! What a person is told, where, for the smallest file that shows it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to stop")]

#[path = "findings/formats.rs"]
mod formats;

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use pipelens_core::diagnostic::Code;
use pipelens_core::text::apply_edits;
use pipelens_core::{FileId, Format, analyze};

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
            let line = analysis.line_index.line(related.place.range.start) + 1;
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
    check(
        r"name: ci
steps:
  - key: a
    cmd: make
    image: rust:1.95
  - wait
  - {key: b, cmd: x, builds_in: a}
",
        expect![[""]],
    );
}

#[test]
fn an_unknown_step_suggests_the_nearest_name() {
    check(
        r"steps:
- {key: build, cmd: x}
- {key: deploy, cmd: x, builds_in: bild}
",
        expect![[r#"
        - {key: deploy, cmd: x, builds_in: bild}
                                           ^^^^
        Error[unknown-step]: Step `deploy` builds in `bild`, which does not exist. Did you mean `build`?
          fix: Change `bild` to `build`
    "#]],
    );
}

#[test]
fn the_fix_of_an_unknown_step_removes_the_finding() {
    let text = r"steps:
- {key: build, cmd: x}
- {key: deploy, cmd: x, builds_in: bild}
";
    let analysis = analyze(text, Format::Yaml);
    let fixed = apply_edits(text, &analysis.diagnostics[0].fixes[0].edits_in(FileId::DOCUMENT));
    assert_eq!(render(&fixed, Format::Yaml), "");
}

#[test]
fn a_cycle_points_at_the_closing_edge_and_shows_the_others() {
    check(
        r"steps:
- {key: a, cmd: x, depends_on: c}
- {key: b, cmd: x, depends_on: a}
- {key: c, cmd: x, depends_on: [b]}
",
        expect![[r#"
            - {key: b, cmd: x, depends_on: a}
                                           ^
            Error[cycle]: These steps wait for each other in a cycle, so none of them can start: `a` → `c` → `b` → `a`. Remove one of the references.
              line 2: `a` waits for `c`
              line 4: `c` waits for `b`
        "#]],
    );
}

#[test]
fn keys_are_checked_against_their_place() {
    check(
        r"nme: x
cmd: y
steps:
- key: a
  comand: x
  fail_fast: true
  zzz: 1
",
        expect![[r#"
            nme: x
            ^^^
            Error[unknown-key]: Unknown key `nme` in a pipeline. Did you mean `name`?
              fix: Change to `name`
            cmd: y
            ^^^
            Error[misplaced-key]: `cmd` belongs in a step, not in a pipeline. Move it there.
              comand: x
              ^^^^^^
            Error[unknown-key]: Unknown key `comand` in a step. Did you mean `cmd`?
              fix: Change to `cmd`
              fail_fast: true
              ^^^^^^^^^
            Error[misplaced-key]: `fail_fast` belongs in a pipeline, not in a step. Move it there.
              zzz: 1
              ^^^
            Error[unknown-key]: Unknown key `zzz` in a step; expected one of `key`, `label`, `cmd`, `shell`, `image`, `builds_in`, `depends_on`, `env`, `matrix`, `timeout_seconds`, `workdir`, `cache`, `cache_mounts`, `reuse`, `git`, `runner`, `runner_args`, `artifacts`, `needs_artifacts`, `secrets`, `soft_fail`, `retry`.
        "#]],
    );
}

#[test]
fn values_are_checked_against_their_type() {
    check(
        r"fail_fast: yes
timeout_seconds: '5'
env: {1A: x, B: [1], C: 0777}
steps:
- key: 1
  cmd:
  retry: 11
  workdir: src
  image: Rust:1
  cache: {policy: sometimes}
  runner: dokcer
- key: b
  cmd: ''
  cache: {policy: ttl}
",
        expect![[r#"
            fail_fast: yes
                       ^^^
            Error[wrong-type]: `fail_fast` must be `true` or `false`, but `yes` is a string here. Write `true`.
              fix: Change to `true`
            timeout_seconds: '5'
                             ^^^
            Error[wrong-type]: `timeout_seconds` must be a whole number, but this is a string.
              fix: Remove the quotes
            env: {1A: x, B: [1], C: 0777}
                  ^^
            Error[bad-env-name]: `1A` is not a valid environment variable name. Use letters, digits and `_`, and do not start with a digit.
            env: {1A: x, B: [1], C: 0777}
                            ^^^
            Error[wrong-type]: `B` must be a single value, but this is a list.
            env: {1A: x, B: [1], C: 0777}
                                    ^^^^
            Hint[yaml-trap]: `C` is the string `0777` here, but YAML 1.1 parsers read it as an octal number. Put it in quotes to be clear.
              fix: Put it in quotes
            - key: 1
                   ^
            Error[wrong-type]: `key` must be a string, but this is a number. Put it in quotes.
              fix: Put it in quotes
              cmd:
                 ^
            Error[wrong-type]: `cmd` has no value; it must be a string. Add a value, or remove `cmd`.
              retry: 11
                     ^^
            Error[bad-value]: `retry` must be a whole number from 0 to 10; got 11.
              workdir: src
                       ^^^
            Error[relative-workdir]: `src` is not an absolute path, and there is no directory it could be relative to. Did you mean `/workspace/src`?
              fix: Change to `/workspace/src`
              image: Rust:1
                     ^^^^^^
            Error[invalid-image]: `Rust:1` is not a valid image name. It must be `[registry/]name[:tag]`, with a lowercase name.
              fix: Change to `rust:1`
              cache: {policy: sometimes}
                              ^^^^^^^^^
            Error[unknown-policy]: Unknown cache policy `sometimes`; expected one of `none`, `forever`, `ttl`, `on_change`, `compose`.
              runner: dokcer
                      ^^^^^^
            Error[unknown-runner]: Unknown runner `dokcer`; expected one of `docker`, `host`. Did you mean `docker`?
              fix: Change to `docker`
              cmd: ''
                   ^^
            Error[bad-value]: `cmd` is empty. Give it a value.
              cache: {policy: ttl}
                              ^^^
            Error[missing-policy-key]: The policy `ttl` requires `duration_seconds`, which is missing. The length of a `ttl` policy's window.
              fix: Add `duration_seconds`
        "#]],
    );
}

#[test]
fn step_keys_must_differ_even_as_container_names() {
    check(
        r"steps:
- {key: a b, cmd: x}
- {key: a-b, cmd: x}
- {key: a-b, cmd: x}
- {key: me, cmd: x, depends_on: me}
",
        expect![[r#"
            - {key: a-b, cmd: x}
                    ^^^
            Error[colliding-step-keys]: `a-b` and `a b` would get the same container and image names, in which only letters, digits, `_` and `-` count. Rename one of them.
              line 2: `a b` is first defined here
            - {key: a-b, cmd: x}
                    ^^^
            Error[duplicate-step-key]: Two steps have the key `a-b`, but keys must be unique. Rename one of them.
              line 3: `a-b` is first defined here
            - {key: me, cmd: x, depends_on: me}
                                            ^^
            Error[self-reference]: Step `me` depends on itself, so it can never start. Name another step, or remove this.
              fix: Remove `depends_on`
        "#]],
    );
}

#[test]
fn references_respect_barriers() {
    check(
        r"steps:
- {key: a, cmd: x, depends_on: b}
- wait
- {key: b, cmd: x, depends_on: [a, a]}
",
        expect![[r#"
            - {key: a, cmd: x, depends_on: b}
                                           ^
            Error[reference-across-wait]: Step `a` refers to `b`, which comes after a later `wait` and so waits for `a` itself. Move one of them across the `wait`.
              line 3: The `wait` between them
            - {key: b, cmd: x, depends_on: [a, a]}
                                            ^
            Hint[redundant-dependency]: `a` comes before a `wait`, so this step waits for it anyway. Remove it from `depends_on`.
              fix: Remove `a`
            - {key: b, cmd: x, depends_on: [a, a]}
                                               ^
            Hint[redundant-dependency]: `a` is listed twice. Remove it from `depends_on`.
              fix: Remove `a`
        "#]],
    );
}

#[test]
fn a_half_typed_line_causes_only_one_finding() {
    check(
        r#"steps:
- key: a
  cmd: make
  im
- key: b
  cmd: "x
- key: c
  cmd: y
  depends_on: [a, b
"#,
        expect![[r#"
              im
              ^^
            Error[syntax]: A `:` is missing after `im`. A key needs one.
              fix: Add `:`
              cmd: "x
                   ^^
            Error[syntax]: This `"` is never closed. Add `"` at the end.
              fix: Add `"`
              depends_on: [a, b
                          ^^^^^
            Error[syntax]: This bracket is never closed. Add `]`.
              fix: Add `]`
        "#]],
    );
    check(
        "steps:\n- key: a\n  cmd:make\n- key: b\n  cmd: echo a: b\n\timage: x:1\n",
        expect![[r#"
              cmd:make
              ^^^^^^^^
            Error[syntax]: A space is missing after `cmd:`. Without it, this is one word and not a key with a value.
              fix: Add the space
              cmd: echo a: b
                   ^^^^^^^^^
            Error[syntax]: There is a second `: ` on this line, so it is unclear what the key is. Put the value in quotes.
              fix: Put the value in quotes
            	image: x:1
            ^
            Error[syntax]: YAML does not allow a tab here. Indent with spaces.
              fix: Indent with spaces
        "#]],
    );
    check(
        r"steps:
<<<<<<< HEAD
- key: a
  cmd: x
=======
- key: b
  cmd: x
>>>>>>> other
- {key: c, cmd: x, depends_on: b}
",
        expect![[r#"
            <<<<<<< HEAD
            ^^^^^^^^^^^^
            Error[syntax]: This is a merge conflict. Choose one side and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`.
        "#]],
    );
}

#[test]
fn a_comment_silences_a_finding() {
    check(
        r"steps:
- key: a
  cmd: x
  # pipelens: ignore unpinned-image
  image: rust
- {key: b, cmd: x, image: rust} # pipelens: ignore unpinned-image
",
        expect![[""]],
    );
}

#[test]
fn aliases_are_followed_and_alias_bombs_are_refused() {
    check(
        r"x-a: &d {cmd: x, image: 'a:1'}
steps:
- {key: a, <<: *d}
- {key: b, <<: *e}
",
        expect![[r#"
            - {key: b, <<: *e}
                           ^^
            Error[undefined-anchor]: `*e` refers to an anchor that is not defined before it. Put `&e` in front of a value above.
        "#]],
    );
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    let found = analyze(&bomb, Format::Yaml).diagnostics;
    assert_eq!(found.iter().map(|found| found.code.as_str()).collect::<Vec<_>>(), ["too-large"]);
}

#[test]
fn a_step_without_a_key_is_still_checked() {
    check(
        r"steps:
- {key: a, cmd: x}
- cmd: x
  kye: b
  workdir: src
  image: Rust:1
  depends_on: aa
",
        expect![[r#"
              kye: b
              ^^^
            Error[unknown-key]: Unknown key `kye` in a step. Did you mean `key`?
              fix: Change to `key`
              workdir: src
                       ^^^
            Error[relative-workdir]: `src` is not an absolute path, and there is no directory it could be relative to. Did you mean `/workspace/src`?
              fix: Change to `/workspace/src`
              image: Rust:1
                     ^^^^^^
            Error[invalid-image]: `Rust:1` is not a valid image name. It must be `[registry/]name[:tag]`, with a lowercase name.
              fix: Change to `rust:1`
              depends_on: aa
                          ^^
            Error[unknown-step]: This step depends on `aa`, which does not exist. Did you mean `a`?
              fix: Change `aa` to `a`
        "#]],
    );
}

#[test]
fn a_step_starts_at_its_dash() {
    for text in [
        r"steps:
  - key: a
    cmd: x
",
        "steps:\n  -   {key: a, cmd: x}\n",
        r"steps:
- key: a
  cmd: x
",
    ] {
        let step = &analyze(text, Format::Yaml).pipelines[0].steps[0];
        assert_eq!(step.range.start, text.find('-').unwrap(), "{text}");
    }
    let json = "{\"steps\": [{\"key\": \"a\", \"cmd\": \"x\"}]}";
    assert_eq!(analyze(json, Format::Json).pipelines[0].steps[0].range.start, json.rfind('{').unwrap());
}

#[test]
fn invisible_characters_are_reported_in_every_value_that_is_printed() {
    for value in [r#""a\e[31m""#, "\"a\u{202e}b\"", "a\u{200b}b", r#""a\x9b2J""#, r#""a\u2066b""#, r#""a\0""#] {
        for step in [
            format!("{{key: {value}, cmd: x}}"),
            format!("{{key: a, cmd: x, label: {value}}}"),
            format!("{{key: a, cmd: x, secrets: [{value}]}}"),
            format!("{{key: a, cmd: x, artifacts: [{value}]}}"),
            format!("{{key: a, cmd: x, workdir: {value}}}"),
        ] {
            let analysis = analyze(&format!("steps:\n  - {step}\n"), Format::Yaml);
            let found = analysis.diagnostics.iter().find(|found| found.code == Code::ControlCharacter);
            assert!(found.is_some_and(|found| !found.fixes.is_empty()), "{step}: {:?}", analysis.diagnostics);
            let is_shown =
                |text: &str| !text.contains(|character: char| pipelens_core::printable::is_deceptive(character));
            let words = analysis.diagnostics.iter().flat_map(|found| {
                let titles = found.fixes.iter().map(|fix| &fix.title);
                std::iter::once(&found.message)
                    .chain(titles)
                    .chain(found.related.iter().map(|related| &related.message))
            });
            words.for_each(|words| assert!(is_shown(words), "{words:?}"));
        }
    }
    let allowed = r#"steps:
  - key: a
    label: |
      two
      lines
    cmd: "printf '\e[31m'"
    env: {A: "\e"}
    image: a:1
"#;
    assert_eq!(analyze(allowed, Format::Yaml).diagnostics, []);
}

#[test]
fn an_overlong_name_is_rejected_and_uses_little_memory() {
    let key = "k".repeat(300);
    let analysis = analyze(&format!("steps:\n  - {{key: {key}, cmd: x, image: 'a:1'}}\n"), Format::Yaml);
    assert_eq!(analysis.diagnostics.len(), 1, "{:?}", analysis.diagnostics);
    assert!(analysis.diagnostics[0].message.contains("300 bytes long"));
    assert!(analysis.pipelines[0].steps.is_empty());
}
