use pipelens_core::ide::{prepare_rename, rename};
use pipelens_core::text::apply_edits;
use pipelens_core::{FileEdit, FileId};
use proptest::prelude::*;

use super::marked;

fn renamed(text: &str, name: &str) -> Result<String, String> {
    let (analysis, offset) = marked(text);
    rename(&analysis, offset, name)
        .map(|edits| apply_edits(&text.replacen('¦', "", 1), &FileEdit::in_file(&edits, FileId::DOCUMENT)))
}

#[test]
fn a_rename_changes_the_key_and_every_reference_and_keeps_their_quotes() {
    let text = r#"steps:
- {key: b¦uild, cmd: build}
- {key: t, cmd: x, builds_in: "build", depends_on: ['build', build]}
- key: u
  cmd: x
  depends_on: build
"#;
    assert_eq!(
        renamed(text, "compile").unwrap(),
        r#"steps:
- {key: compile, cmd: build}
- {key: t, cmd: x, builds_in: "compile", depends_on: ['compile', compile]}
- key: u
  cmd: x
  depends_on: compile
"#
    );
}

#[test]
fn a_rename_can_start_from_any_reference() {
    let text = r"steps:
- {key: a, cmd: x}
- {key: b, cmd: x, depends_on: [a¦]}
";
    assert_eq!(
        renamed(text, "c").unwrap(),
        r"steps:
- {key: c, cmd: x}
- {key: b, cmd: x, depends_on: [c]}
"
    );
    let (analysis, offset) = marked("steps:\n- {key: 'a¦b', cmd: x}\n");
    let found = prepare_rename(&analysis, offset).unwrap();
    assert_eq!((found.name.as_str(), found.range.start, found.range.end), ("ab", 16, 18));
    let (analysis, offset) = marked("steps:\n- {key: a, cm¦d: x}\n");
    assert_eq!(prepare_rename(&analysis, offset), None);
}

#[test]
fn a_rename_leaves_aliases_of_the_key_unchanged() {
    let text = r"steps:
- {key: &a ol¦d, cmd: x}
- {key: b, cmd: x, builds_in: *a}
";
    assert_eq!(
        renamed(text, "new").unwrap(),
        r"steps:
- {key: &a new, cmd: x}
- {key: b, cmd: x, builds_in: *a}
"
    );
}

#[test]
fn in_a_plan_only_the_key_changes_because_edges_use_positions() {
    let text = r#"{"graph": {"nodes": [{"step": {"key": "a¦", "cmd": "x"}, "env": {}}, {"step": {"key": "b", "cmd": "x"}, "env": {}}], "edges": [[0, 1, "builds_in"]]}}"#;
    assert_eq!(renamed(text, "q\"").unwrap(), text.replace("a¦", "q\\\""));
}

#[test]
fn a_name_that_cannot_be_a_key_is_rejected_with_a_reason() {
    let refusal = |name: &str| {
        renamed(
            r"steps:
- {key: a¦, cmd: x}
- {key: b.c, cmd: x}
",
            name,
        )
        .unwrap_err()
    };
    assert_eq!(refusal("b.c"), "A step `b.c` already exists");
    assert!(refusal("b-c").contains("get the same container and image names as step `b.c`"));
    assert_eq!(refusal(" "), "A step's key must not be empty");
    for name in ["true", "on", "yes", "12", "a b", "a: b", "-a", "*a", "~"] {
        assert!(refusal(name).contains("would need quotes in YAML"), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn renaming_back_restores_the_text(
        steps in 1_usize..6,
        quotes in proptest::collection::vec(0_usize..3, 12),
        chosen in 0_usize..6,
        name in "[a-z_][a-zA-Z0-9_.-]{0,8}",
    ) {
        let quoted = |place: usize, name: &str| match quotes[place % quotes.len()] {
            0 => name.to_owned(),
            1 => format!("'{name}'"),
            _ => format!("\"{name}\""),
        };
        let mut text = "steps:\n".to_owned();
        for step in 0..steps {
            text.push_str(&format!("- key: {}\n  cmd: x\n", quoted(step, &format!("k{step}"))));
            if step > 0 {
                text.push_str(&format!("  depends_on: [{}]\n", quoted(step + 6, &format!("k{}", step / 2))));
            }
        }
        let old = format!("k{}", chosen % steps);
        let at = text.find(&old).unwrap();
        let analysis = pipelens_core::analyze(&text, pipelens_core::Format::Yaml);
        if let Ok(edits) = rename(&analysis, at, &name) {
            let there = apply_edits(&text, &FileEdit::in_file(&edits, FileId::DOCUMENT));
            let analysis = pipelens_core::analyze(&there, pipelens_core::Format::Yaml);
            prop_assert!(analysis.diagnostics.iter().all(|found| found.severity > pipelens_core::diagnostic::Severity::Warning));
            let back = rename(&analysis, at, &old).unwrap();
            prop_assert_eq!(apply_edits(&there, &FileEdit::in_file(&back, FileId::DOCUMENT)), text);
        }
    }
}
