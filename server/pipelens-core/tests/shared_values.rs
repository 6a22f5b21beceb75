//! Values that aliases share: a fix for one step changes no other step.
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on has to stop")]

use std::collections::{BTreeMap, BTreeSet};

use expect_test::expect;
use pipelens_core::diagnostic::Diagnostic;
use pipelens_core::fixes::fix_all;
use pipelens_core::text::{TextEdit, apply_edits};
use pipelens_core::{Analysis, FileId, Format, analyze};
use proptest::prelude::*;

fn read(text: &str) -> Analysis {
    analyze(text, Format::Yaml)
}

fn fixed(text: &str) -> String {
    apply_edits(text, &fix_all(&read(text).diagnostics))
}

/// Returns the first fix of the first finding with this code, applied.
fn first_fix(text: &str, code: &str) -> Option<String> {
    let found = read(text).diagnostics;
    let finding = found.iter().find(|finding| finding.code.as_str() == code)?;
    Some(apply_edits(text, &finding.fixes.first()?.edits_in(FileId::DOCUMENT)))
}

#[test]
fn a_shared_list_is_written_out_for_the_step_that_needs_less() {
    let text = r"x-n: &n [deps, lint]
default_image: alpine:3.20
steps:
  - {key: deps, cmd: make}
  - {key: lint, cmd: make}
  - key: test
    builds_in: deps
    depends_on: *n
    cmd: make test
  - key: pub
    depends_on: *n
    cmd: make pub
";
    expect![[r#"
        x-n: &n [deps, lint]
        default_image: alpine:3.20
        steps:
          - {key: deps, cmd: make}
          - {key: lint, cmd: make}
          - key: test
            builds_in: deps
            depends_on: [lint]
            cmd: make test
          - key: pub
            depends_on: *n
            cmd: make pub
    "#]]
    .assert_eq(&fixed(text));
}

#[test]
fn a_shared_list_with_nothing_left_goes_with_its_key() {
    let text = r"x-n: &n [deps]
default_image: alpine:3.20
steps:
  - {key: deps, cmd: make}
  - {key: a, builds_in: deps, depends_on: *n, cmd: make}
  - {key: b, depends_on: *n, cmd: make}
";
    assert_eq!(fixed(text), text.replacen("depends_on: *n, ", "", 1));
}

#[test]
fn what_a_merge_key_brings_and_what_the_owner_shares_is_left_alone() {
    let merged = r"x-n: &n {depends_on: [deps, lint]}
default_image: alpine:3.20
steps:
  - {key: deps, cmd: make}
  - {key: lint, cmd: make}
  - {<<: *n, key: a, builds_in: deps, cmd: make}
  - {<<: *n, key: b, cmd: make}
";
    assert_eq!(fixed(merged), merged);
    let owner = r"default_image: alpine:3.20
steps:
  - {key: deps, cmd: make}
  - {key: lint, cmd: make}
  - {key: a, builds_in: deps, depends_on: &n [deps, lint], cmd: make}
  - {key: b, depends_on: *n, cmd: make}
";
    assert_eq!(fixed(owner), owner);
    assert_eq!(first_fix(owner, "redundant-dependency"), None);
}

#[test]
fn a_value_with_one_user_is_edited_where_it_is() {
    let text = r#"x-t: &t "60"
default_image: alpine:3.20
steps:
  - {key: a, timeout_seconds: *t, cmd: make}
"#;
    // The alias is all that is in the step; the value has no other user.
    assert_eq!(fixed(text), text);
    let text = r#"x-a: &a {retry: "3"}
default_image: alpine:3.20
steps:
  - {<<: *a, key: a, cmd: make}
"#;
    assert_eq!(fixed(text), text.replace("\"3\"", "3"));
}

#[test]
fn a_mistake_of_every_user_is_fixed_for_all() {
    let text = r#"x-a: &a {retry: "3"}
default_image: alpine:3.20
steps:
  - {<<: *a, key: a, cmd: make}
  - {<<: *a, key: b, cmd: make}
"#;
    assert_eq!(fixed(text), text.replace("\"3\"", "3"));
}

#[test]
fn a_value_that_is_read_in_two_ways_is_left_alone() {
    let text = r#"default_image: alpine:3.20
steps:
  - {key: a, retry: &n "3", cmd: make}
  - {key: b, label: *n, cmd: make}
"#;
    assert_eq!(first_fix(text, "wrong-type"), None);
}

/// What the aliases of a pipeline name, and the same written out.
const SHARED: &[(&str, &str)] = &[
    ("n", "[deps, lint]"),
    ("d", "[deps]"),
    ("t", "[deps, tset, lint, lint]"),
    ("s", "deps"),
    ("q", "\"3\""),
    ("y", "yes"),
    ("w", "src"),
    ("i", "Alpine:3.20"),
    ("e", "{A: on, B: 0777}"),
];

/// Mappings for merge keys, entry by entry.
const MERGED: &[(&str, &[(&str, &str)])] = &[
    ("m", &[("depends_on", "[deps, lint]"), ("image", "alpine:3.20")]),
    ("k", &[("retry", "\"3\""), ("soft_fail", "yes")]),
    ("l", &[("imag", "alpine:3.20"), ("timeout_seconds", "90")]),
    ("r", &[("runner", "host"), ("builds_in", "self")]),
];

const KEYS: &[&str] =
    &["depends_on", "builds_in", "retry", "label", "soft_fail", "workdir", "image", "env", "timeout_seconds", "cmd"];

/// One line of a step: a key with a shared value, or a merge key.
#[derive(Debug, Clone)]
enum Line {
    Value { key: usize, shared: usize, is_owner: bool },
    Merge(usize),
}

fn line() -> impl Strategy<Value = Line> {
    prop_oneof![
        4 => (0..KEYS.len(), 0..SHARED.len(), prop::bool::weighted(0.2))
            .prop_map(|(key, shared, is_owner)| Line::Value { key, shared, is_owner }),
        1 => (0..MERGED.len()).prop_map(Line::Merge),
    ]
}

/// Writes the same pipeline with aliases and without.
fn written(steps: &[Vec<Line>]) -> (String, String) {
    let mut aliased = String::new();
    for (name, value) in SHARED {
        aliased.push_str(&format!("x-{name}: &{name} {value}\n"));
    }
    for (name, entries) in MERGED {
        let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        aliased.push_str(&format!("x-{name}: &{name} {{{}}}\n", entries.join(", ")));
    }
    let head = "timeout_seconds: 60\nsteps:\n  - {key: deps, cmd: make, image: 'a:1'}\n  - {key: lint, cmd: make, image: 'a:1'}\n";
    let mut plain = head.to_owned();
    aliased.push_str(head);
    let mut owned = BTreeSet::new();
    for (index, lines) in steps.iter().enumerate() {
        let key = ["self", "test", "pub"][index];
        for text in [&mut aliased, &mut plain] {
            text.push_str(&format!("  - key: {key}\n"));
        }
        let mut names = BTreeSet::from(["key"]);
        // Own keys win over merged ones; the merge comes last so that this is so in the written-out text too.
        for line in lines {
            let Line::Value { key, shared, is_owner } = line else { continue };
            let (name, (anchor, value)) = (KEYS[*key], SHARED[*shared]);
            if !names.insert(name) {
                continue;
            }
            // An anchor that is defined again in a step names that value from there on.
            if *is_owner && owned.insert(anchor) {
                aliased.push_str(&format!("    {name}: &{anchor} {value}\n"));
            } else {
                aliased.push_str(&format!("    {name}: *{anchor}\n"));
            }
            plain.push_str(&format!("    {name}: {value}\n"));
        }
        let merge = lines.iter().find_map(|line| match line {
            Line::Merge(merge) => Some(MERGED[*merge]),
            Line::Value { .. } => None,
        });
        if let Some((anchor, entries)) = merge {
            aliased.push_str(&format!("    <<: *{anchor}\n"));
            for (name, value) in entries.iter().filter(|(name, _)| names.insert(name)) {
                plain.push_str(&format!("    {name}: {value}\n"));
            }
        }
        if names.insert("cmd") {
            for text in [&mut aliased, &mut plain] {
                text.push_str("    cmd: make\n");
            }
        }
    }
    (aliased, plain)
}

/// What each step means, without where it is written.
fn steps(text: &str) -> BTreeMap<String, String> {
    let analysis = read(text);
    let steps = &analysis.pipelines[0].steps;
    let plain = |step: &pipelens_core::model::Step| {
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            step.cmd.as_ref().map(|cmd| &cmd.value),
            step.image.as_ref().map(|image| &image.value),
            step.label.as_ref().map(|label| &label.value),
            step.builds_in.as_ref().map(|name| &name.value),
            step.depends_on.iter().map(|name| &name.value).collect::<Vec<_>>(),
            step.env.iter().map(|variable| (&variable.name.value, &variable.value.value)).collect::<Vec<_>>(),
            step.timeout_seconds.as_ref().map(|seconds| seconds.value),
            step.workdir.as_ref().map(|workdir| &workdir.value),
            step.runner.as_ref().map(|runner| &runner.value),
            step.soft_fail.as_ref().map(|soft_fail| soft_fail.value),
            step.retry.as_ref().map(|retry| retry.value),
        )
    };
    steps.iter().map(|step| (step.key.value.clone(), plain(step))).collect()
}

/// Returns the steps that have a finding with each code, when nothing is shared.
fn affected(plain: &str) -> BTreeMap<&'static str, BTreeSet<String>> {
    let analysis = read(plain);
    let mut affected: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for finding in &analysis.diagnostics {
        let step = analysis.pipelines[0].steps.iter().find(|step| step.range.contains_range(finding.range));
        affected.entry(finding.code.as_str()).or_default().extend(step.map(|step| step.key.value.clone()));
    }
    affected
}

fn assert_only_affected_steps_change(aliased: &str, plain: &str, findings: &[&Diagnostic], edits: &[TextEdit]) {
    let allowed = affected(plain);
    let after_text = apply_edits(aliased, edits);
    let (before, after) = (steps(aliased), steps(&after_text));
    for (key, meaning) in &before {
        let has_finding =
            findings.iter().any(|finding| allowed.get(finding.code.as_str()).is_some_and(|steps| steps.contains(key)));
        assert!(
            has_finding || after.get(key) == Some(meaning),
            "`{key}` changes without a finding:\n{findings:#?}\n{aliased}\n{after_text}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_fix_changes_only_the_steps_that_have_the_finding(
        lines in prop::collection::vec(prop::collection::vec(line(), 0..5), 1..4),
    ) {
        let (aliased, plain) = written(&lines);
        let found = read(&aliased).diagnostics;
        for finding in &found {
            for fix in &finding.fixes {
                assert_only_affected_steps_change(&aliased, &plain, &[finding], &fix.edits_in(FileId::DOCUMENT));
            }
        }
        let safe: Vec<&Diagnostic> = found.iter().filter(|finding| finding.fixes.iter().any(|fix| fix.is_safe)).collect();
        assert_only_affected_steps_change(&aliased, &plain, &safe, &fix_all(&found));
    }
}
