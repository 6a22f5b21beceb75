//! What a linter says about commands, at its place in every spelling, and its fixes.

mod project;

use pipelens_core::diagnostic::{Code, Severity};
use pipelens_core::text::apply_edits;
use pipelens_core::{FileId, Format, analyze_in};
use project::Small;

/// Returns what is marked, and the line with the first fix applied.
fn fixed(text: &str, format: Format) -> Vec<(String, String)> {
    let analysis = analyze_in(text, format, &Small);
    let found = analysis.diagnostics.iter().filter(|found| found.code == Code::Shellcheck);
    found
        .map(|found| {
            let marked = text[found.range.start..found.range.end].to_owned();
            let line = analysis.line_index.line_range(analysis.line_index.line(found.range.start));
            let Some(fix) = found.fixes.first() else { return (marked, "no fix".to_owned()) };
            assert!(!fix.is_safe);
            let new = apply_edits(text, &fix.edits_in(FileId::DOCUMENT));
            let end = line.end + new.len() - text.len();
            (marked, new[line.start..end].trim().to_owned())
        })
        .collect()
}

fn yaml(cmd: &str) -> Vec<(String, String)> {
    fixed(
        &format!(
            r"steps:
- key: a
  image: a:1
  cmd: {cmd}
  label: x
"
        ),
        Format::Yaml,
    )
}

#[test]
fn a_lint_finding_and_its_fix_are_correct_in_every_style() {
    for (cmd, expected) in [
        ("rm $X y", "cmd: rm \"$X\" y"),
        ("\n    rm $X", "rm \"$X\""),
        ("|\n    é\n    rm $X", "rm \"$X\""),
        ("|2-  # why\n    rm $X", "rm \"$X\""),
        (">-\n    rm\n    $X", "\"$X\""),
        ("'say ''s'' $X'", "cmd: 'say ''s'' \"$X\"'"),
        ("\"\\u00e9 $X\"", "cmd: \"\\u00e9 \\\"$X\\\"\""),
    ] {
        assert_eq!(yaml(cmd), [("$X".to_owned(), expected.to_owned())], "{cmd}");
    }
    let json = "{\"steps\": [\n{\"key\": \"a\", \"image\": \"a:1\", \"cmd\": \"rm\\n $X\"}]}";
    let expected = "{\"key\": \"a\", \"image\": \"a:1\", \"cmd\": \"rm\\n \\\"$X\\\"\"}]}";
    assert_eq!(fixed(json, Format::Json), [("$X".to_owned(), expected.to_owned())]);
}

#[test]
fn a_fix_that_would_change_the_value_is_not_offered() {
    // A plain value in a file cannot begin with a quote.
    assert_eq!(yaml("$X y"), [("$X".to_owned(), "no fix".to_owned())]);
    assert_eq!(yaml("|\n    $X y"), [("$X".to_owned(), "\"$X\" y".to_owned())]);
}

#[test]
fn a_command_that_cannot_be_parsed_is_not_linted() {
    let analysis = analyze_in("steps:\n- {key: a, cmd: 'rm $X )', image: 'a:1'}\n", Format::Yaml, &Small);
    assert_eq!(analysis.diagnostics.iter().map(|found| found.code).collect::<Vec<_>>(), [Code::ShellSyntax]);
}

#[test]
fn a_comment_silences_lint_findings_and_each_keeps_its_severity() {
    let text = r"steps:
- key: a
  image: a:1
  cmd: rm $X # pipelens: ignore shellcheck
- key: b
  image: a:1
  cmd: rm $Y
";
    let analysis = analyze_in(text, Format::Yaml, &Small);
    let found: Vec<_> =
        analysis.diagnostics.iter().map(|found| (found.severity, &text[found.range.start..found.range.end])).collect();
    assert_eq!(found, [(Severity::Information, "$Y")]);
}

#[test]
fn a_shell_that_ends_at_a_failure_needs_no_check_after_cd() {
    let codes = |shell: &str| {
        let text = format!("name: a\n{shell}steps:\n  - {{key: a, image: 'alpine:3', cmd: 'cd x; ls'}}\n");
        let analysis = pipelens_core::analyze_in(&text, Format::Yaml, &Small);
        analysis.diagnostics.iter().filter(|found| found.code == Code::Shellcheck).count()
    };
    assert_eq!(codes(""), 1);
    assert_eq!(codes("shell: bash\n"), 1);
    assert_eq!(codes("shell: sh -e\n"), 0);
    assert_eq!(codes("shell: bash -euo pipefail\n"), 0);
}
