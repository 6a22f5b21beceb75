//! Safe fixes, applied all at once.

use std::collections::{BTreeSet, HashSet};

use pipelens_core::diagnostic::{Diagnostic, Severity};
use pipelens_core::fixes::fix_all;
use pipelens_core::text::apply_edits;
use pipelens_core::{FileId, Format, analyze};
use proptest::prelude::*;

/// Applies safe fixes until none is left, as `check --fix` does.
fn fixed(text: &str, format: Format) -> String {
    let mut text = text.to_owned();
    loop {
        let edits = fix_all(&analyze(&text, format).diagnostics);
        if edits.is_empty() {
            return text;
        }
        text = apply_edits(&text, &edits);
    }
}

#[test]
fn safe_fixes_are_applied_together_and_guesses_are_left_alone() {
    let text = r"fail_fast: yes
env: {MODE: 0777}
steps:
- {key: a, cmd: x}
- {key: b, cmd: x, builds_in: a, image: 'i:1', depends_on: [a, a]}
- {key: c, cmd: x, builds_in: aa}
";
    let expected = r#"fail_fast: true
env: {MODE: "0777"}
steps:
- {key: a, cmd: x}
- {key: b, cmd: x, builds_in: a}
- {key: c, cmd: x, builds_in: aa}
"#;
    assert_eq!(fixed(text, Format::Yaml), expected);
}

#[test]
fn a_list_that_becomes_empty_is_removed_with_its_key() {
    let text = r"steps:
- {key: a, cmd: x}
- key: b
  cmd: x
  builds_in: a
  depends_on:
  - a
  - a
  - a
";
    assert_eq!(
        fixed(text, Format::Yaml),
        r"steps:
- {key: a, cmd: x}
- key: b
  cmd: x
  builds_in: a
"
    );
}

#[test]
fn the_trailing_comma_in_json_is_removed() {
    assert_eq!(
        fixed("{\"steps\": [{\"key\": \"a\", \"cmd\": \"x\"},]}", Format::Json),
        "{\"steps\": [{\"key\": \"a\", \"cmd\": \"x\"}]}"
    );
}

#[test]
fn an_anchor_that_is_still_used_is_not_removed() {
    let text = r"steps:
- {key: a, cmd: x}
- {key: b, cmd: x, builds_in: a, image: &i 'i:1'}
- {key: c, cmd: x, image: *i}
";
    let found = analyze(text, Format::Yaml).diagnostics;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].fixes, []);
}

#[test]
fn a_string_where_a_list_belongs_is_split_at_its_commas() {
    let fixed = |value: &str| {
        let text = format!(
            r"steps:
- key: a
  cmd: x
  image: i:1
  secrets: {value}
"
        );
        let found = analyze(&text, Format::Yaml).diagnostics;
        found[0].fixes.first().map(|fix| {
            apply_edits(&text, &fix.edits_in(FileId::DOCUMENT)).rsplit_once("secrets: ").unwrap().1.to_owned()
        })
    };
    assert_eq!(fixed("TOKEN").as_deref(), Some("[TOKEN]\n"));
    assert_eq!(fixed("A,  B,").as_deref(), Some("[A, B]\n"));
    assert_eq!(fixed("\"A, B\"").as_deref(), Some("[\"A, B\"]\n"));
    assert_eq!(fixed("A]"), None);
    assert_eq!(fixed("|\n    A"), None);
}

/// What can be wrong with a step, one line each; some are right.
const LINES: &[&str] = &[
    "builds_in: a",
    "builds_in: b",
    "builds_in: bild",
    "depends_on: a",
    "depends_on: [a, b]",
    "depends_on: [a, a, c]",
    "depends_on: [self, b]",
    "depends_on: a, b",
    "depends_on: []",
    "image: alpine:3.20",
    "image: alpine",
    "image: alpine:latest",
    "image: Alpine:3.20",
    "imag: alpine:3.20",
    "env: {MODE: 0777, a-b: x}",
    "env: {OK: yes}",
    "soft_fail: yes",
    "soft_fail: \"true\"",
    "timeout_seconds: \"60\"",
    "timeout_seconds: 0",
    "cache: {policy: ttl}",
    "cache: {policy: on-change, paths: [x]}",
    "cache: {policy: compose}",
    "runner: dokcer",
    "retry: 11",
    "workdir: src",
    "steps: []",
    "default_image: x:1",
    "cmd: make",
    "secrets: TOKEN",
    "secrets: TOKEN, OTHER",
    "artifacts: dist",
    // With a name in it, the renamed key could refer to what does not exist.
    "needs: []",
    "run: make",
    "timeout: 5m",
    "timeout-minutes: 2",
    "container: {image: 'alpine:3.20'}",
    "environment: [A=b]",
    "continue-on-error: true",
    "continue-on-error: maybe",
    "artifact_paths: {paths: [out]}",
    "when: always",
    "retries: 2",
    "name: unit tests",
];

fn assert_fixes_work(text: &str, format: Format) {
    let found = analyze(text, format).diagnostics;
    let before: HashSet<_> =
        found.iter().map(|found| (found.code, &text[found.range.start..found.range.end])).collect();
    for finding in &found {
        for fix in &finding.fixes {
            let fixed = apply_edits(text, &fix.edits_in(FileId::DOCUMENT));
            let left = analyze(&fixed, format).diagnostics;
            // If two findings have the same message about one value, fixing the first changes the second.
            let count = |found: &[Diagnostic]| found.iter().filter(|other| other.code == finding.code).count();
            assert!(count(&left) < count(&found), "`{}` does not fix {finding:?}:\n{text}\n{fixed}", fix.title);
            // What can be read now may show a hint that was hidden before, but never an error.
            let is_new = |new: &&Diagnostic| !before.contains(&(new.code, &fixed[new.range.start..new.range.end]));
            let added = left.iter().filter(is_new).find(|new| new.severity == Severity::Error);
            assert!(added.is_none(), "`{}` adds {added:?}:\n{text}\n{fixed}", fix.title);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn a_fix_removes_its_finding_and_adds_none(
        steps in prop::collection::vec(prop::collection::vec(prop::sample::select(LINES), 0..4), 1..4),
        heads in prop::collection::vec(prop::sample::select(&["fail_fast: yes", "name: ci", "version: 1", "env: {A: on}", "timeout_seconds: 30", "nam: x"][..]), 0..3),
        has_wait in any::<bool>(),
    ) {
        let heads: BTreeSet<_> = heads.into_iter().collect();
        let mut text: String = heads.iter().map(|head| format!("{head}\n")).collect();
        text.push_str("steps:\n");
        for (index, lines) in steps.iter().enumerate() {
            let key = ["a", "build", "self"][index];
            text.push_str(&format!("  - key: {key}\n    cmd: make {key}\n"));
            // If a key is defined twice, fixing the first reveals the second.
            let mut names = HashSet::new();
            let lines = lines.iter().filter(|line| names.insert(line.split(':').next()));
            lines.for_each(|line| text.push_str(&format!("    {line}\n")));
        }
        // After the steps, where a barrier forbids no reference.
        if has_wait {
            text.push_str("  - wiat\n");
        }
        assert_fixes_work(&text, Format::Yaml);
    }
}
