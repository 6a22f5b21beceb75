//! A small file cannot make a large plan.

use std::fmt::Write as _;

use pipelens_core::diagnostic::{Code, Diagnostic};
use pipelens_core::expand::expand;
use pipelens_core::plan::{Refusal, Target, plan};
use pipelens_core::{Format, analyze};

fn list(count: usize) -> String {
    (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(", ")
}

fn refused(text: &str, part: &str) -> Diagnostic {
    let analysis = analyze(text, Format::Yaml);
    let found = analysis.diagnostics.iter().find(|found| found.code == Code::TooLarge).unwrap();
    assert_eq!(&text[found.range.start..found.range.end], part);
    assert!(matches!(plan(&analysis, 0, &Target::Pipeline, "ci"), Err(Refusal::HasErrors(_))));
    found.clone()
}

#[test]
fn a_thousand_combinations_are_allowed_and_no_more() {
    let step = |key: &str, axes: &str| format!("- {{key: {key}, cmd: 'echo $MATRIX_A $MATRIX_B', matrix: {axes}}}\n");
    let most = format!("steps:\n{}", step("a", &format!("{{a: [{}], b: [{}]}}", list(40), list(25))));
    let analysis = analyze(&most, Format::Yaml);
    assert_eq!(analysis.diagnostics, []);
    assert_eq!(plan(&analysis, 0, &Target::Pipeline, "ci").unwrap().steps.len(), 1_000);
    refused(&format!("{most}{}", step("b", "{a: [1], b: [2]}")), "matrix");
    let far = format!("steps:\n{}", step("a", &format!("{{a: [{0}], b: [{0}], c: [{0}], d: [{0}]}}", list(200))));
    let found = refused(&far, "matrix");
    assert!(found.message.contains("1000 combinations"), "{}", found.message);
    let included: String = (0..1_001).map(|n| format!("{{a: {n}}}, ")).collect();
    refused(&format!("steps:\n{}", step("a", &format!("{{include: [{included}]}}"))), "matrix");
    let axes: String = (0..40).map(|n| format!("a{n}: [1], ")).collect();
    refused(&format!("steps:\n{}", step("a", &format!("{{{axes}}}"))), "matrix");
}

#[test]
fn a_long_command_is_not_copied_a_thousand_times() {
    let cmd = "echo hello; ".repeat(20_000);
    let text = format!("steps:\n- {{key: a, matrix: {{a: [{}]}}, cmd: '{cmd}'}}\n", list(1_000));
    let found = refused(&text, "matrix");
    assert!(found.message.contains("MB of text"), "{}", found.message);
    let analysis = analyze(&text, Format::Yaml);
    assert_eq!(expand(&analysis.pipelines[0]).steps.len(), 1, "what is too much is not expanded");
}

#[test]
fn steps_that_wait_for_many_combinations_are_counted() {
    let mut text = format!("steps:\n- {{key: a, cmd: x, matrix: {{a: [{}]}}}}\n", list(999));
    for n in 0..1_100 {
        writeln!(text, "- {{key: s{n}, cmd: x, depends_on: a}}").unwrap();
    }
    let found = refused(&text, "matrix");
    assert!(found.message.contains("1098900 dependencies"), "{}", found.message);
}

#[test]
fn a_key_has_a_limited_length() {
    let text = format!("steps:\n- {{key: a, cmd: 'echo $MATRIX_V', matrix: {{v: [x, {}]}}}}\n", "y".repeat(250));
    let analysis = analyze(&text, Format::Yaml);
    let found: Vec<&str> =
        analysis.diagnostics.iter().map(|found| &text[found.range.start..found.range.start + 1]).collect();
    assert_eq!(found, ["y"]);
}
