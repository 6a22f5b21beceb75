use expect_test::{Expect, expect};
use pipelens_core::ide::{FoldKind, folds, selection};
use pipelens_core::{Format, analyze};

use super::marked;

#[test]
fn steps_strings_and_comments_fold_and_a_closing_bracket_stays_visible() {
    let text = r"# one
# two
name: ci
steps:
  - key: a
    cmd: |
      x
      y
    env: {
      A: b
    }
  - {key: b, cmd: x}

";
    let analysis = analyze(text, Format::Yaml);
    let lines: Vec<(usize, usize, bool)> = folds(&analysis)
        .iter()
        .map(|fold| (fold.start_line + 1, fold.end_line + 1, fold.kind == FoldKind::Comment))
        .collect();
    assert_eq!(lines, [(1, 2, true), (3, 12, false), (4, 12, false), (5, 11, false), (6, 8, false), (9, 10, false)]);
}

fn check_selection(text: &str, expected: Expect) {
    let (analysis, offset) = marked(text);
    let text = text.replacen('¦', "", 1);
    let shown: Vec<&str> = selection(&analysis, offset).iter().map(|range| &text[range.start..range.end]).collect();
    expected.assert_eq(&shown.join("\n---\n"));
}

#[test]
fn a_selection_grows_from_the_word_to_the_whole_text() {
    check_selection(
        r"steps:
- key: a
  cmd: 'make t¦est'
",
        expect![[r#"
            test
            ---
            make test
            ---
            'make test'
            ---
            cmd: 'make test'
            ---
            key: a
              cmd: 'make test'
            ---
            - key: a
              cmd: 'make test'
            ---
            steps:
            - key: a
              cmd: 'make test'
            ---
            steps:
            - key: a
              cmd: 'make test'
        "#]],
    );
}
