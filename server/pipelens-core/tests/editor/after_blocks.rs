//! Below a block of text, a list or a mapping, the same keys are offered as below a plain value, however much of the key is typed.

use std::collections::BTreeSet;

use pipelens_core::ide::{CompletionKind, Known, completion};
use pipelens_core::{Format, analyze};

fn labels(text: &str) -> BTreeSet<String> {
    let offset = text.find('¦').unwrap();
    let text = text.replacen('¦', "", 1);
    let format = if text.trim_start().starts_with('{') { Format::Json } else { Format::Yaml };
    let entries = completion(&analyze(&text, format), offset, Known::default());
    let words = entries.into_iter().filter(|entry| entry.kind != CompletionKind::Snippet);
    words.map(|entry| entry.label).collect()
}

/// What comes before the key, each as the last entry of a step.
const BEFORE: [&str; 18] = [
    "    cmd: |\n      make\n      make test\n",
    "    cmd: |\n      make\n\n      make test\n\n",
    "    cmd: >-\n      make\n      test\n",
    "    cmd: |2\n      make\n",
    "    cmd: |+ # why\n      make\n",
    "    cmd: |\n      if x; then\n        make\n      fi\n",
    "    cmd: |\n      cat <<END\n      key: value\n      END\n",
    "    cmd: \"make\n      test\"\n",
    "    cmd: make\n      test\n",
    "    cmd: 'make\n\n      test'\n",
    "    cmd:\n      make\n      test\n",
    "    cmd: &x |\n      make\n",
    "    cmd: make\n    env:\n      A: '1'\n",
    "    cmd: make\n    env:\n      A: |\n        one\n",
    "    cmd: make\n    artifacts:\n      - out\n",
    "    cmd: make\n    artifacts:\n    - out\n",
    "    cmd: make\n    cache:\n      policy: none\n",
    "    cmd: make\n    runner_args:\n      services:\n        db:\n          image: x\n          ready: |\n            true\n",
];

/// What follows the key: nothing, not even a line break; a step; keys; a pipeline's key.
const AFTER: [&str; 7] = [
    "",
    "\n",
    "\n\n",
    "\n  - key: c\n    cmd: x\n",
    "\n\n  - key: c\n    cmd: |\n      x\n",
    "\n    # about\n    retry: 1\n  - wait\n",
    "\nname: x\n",
];

const TYPED: [&str; 4] = ["", "r", "ti", "labe"];

#[test]
fn a_steps_keys_are_offered_below_every_kind_of_value() {
    for (after, typed) in AFTER.iter().flat_map(|after| TYPED.map(|typed| (after, typed))) {
        let text = |before: &str| format!("steps:\n  - key: z\n    cmd: x\n  - key: b\n{before}    {typed}¦{after}");
        let plain = labels(&text("    cmd: make\n"));
        assert!(plain.contains("label") && plain.contains("soft_fail"), "{plain:?}");
        for before in BEFORE {
            let offered = labels(&text(before));
            let missing: Vec<&String> = plain.difference(&offered).collect();
            let given = missing.iter().all(|key| before.contains(&format!("    {key}:")));
            assert!(given, "{missing:?} are not offered in\n{}", text(before));
            assert!(!offered.contains("cmd"), "{offered:?}");
        }
    }
}

#[test]
fn a_pipelines_keys_and_a_new_steps_are_offered_below_every_kind_of_value() {
    for (before, typed) in BEFORE.iter().flat_map(|before| ["", "d"].map(|typed| (before, typed))) {
        for after in ["", "\n"] {
            let text = format!("steps:\n  - key: b\n{before}{typed}¦{after}");
            let offered = labels(&text);
            assert!(offered.contains("default_image") && !offered.contains("cmd"), "{offered:?} in\n{text}");
            let text = format!("steps:\n  - key: b\n{before}  - {typed}¦{after}");
            let offered = labels(&text);
            assert!(offered.contains("depends_on") && offered.contains("cmd"), "{offered:?} in\n{text}");
        }
    }
    let offered = labels("steps:\n- key: b\n  cmd: x\nd¦");
    assert!(offered.contains("default_image"), "{offered:?}");
}

#[test]
fn in_the_text_itself_no_keys_are_offered() {
    for text in [
        "steps:\n  - key: b\n    cmd: |\n      make\n      r¦",
        "steps:\n  - key: b\n    cmd: |\n      make\n     r¦",
        "steps:\n  - key: b\n    cmd:\n      make\n      r¦",
        "steps:\n  - key: b\n    cmd: |\n      make\n      r¦\n    retry: [\n",
        "steps:\n  - key: b\n    cmd: x\n    env:\n      A: |\n        r¦\n    retry: [\n",
    ] {
        assert_eq!(labels(text), BTreeSet::new(), "{text}");
    }
}

#[test]
fn json_offers_the_same_keys_after_values_of_every_kind() {
    for typed in ["\"", "\"r", "r"] {
        let text = |before: &str, after: &str| format!("{{\"steps\": [{{\"key\": \"a\", {before}, {typed}¦{after}");
        for after in ["\"}]}", "\n}]}", "", "\n", ", \"retry\": 1}]}"] {
            let plain = labels(&text("\"cmd\": \"make\"", after));
            for before in [
                "\"cmd\": \"make\\ntest\"",
                "\"cmd\": \"make\",\n  \"env\": {\"A\": \"1\"}",
                "\"cmd\": \"make\",\n  \"artifacts\": [\n    \"out\"\n  ]",
            ] {
                let offered = labels(&text(before, after));
                let missing: Vec<&String> = plain.difference(&offered).collect();
                let is_given = |key: &str| key == "key" || before.contains(key);
                assert!(missing.iter().all(|key| is_given(key)), "{missing:?} in\n{}", text(before, after));
            }
        }
    }
}
