//! The page of every code shows what it explains: its wrong example has the finding, its right one has not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to stop")]

#[path = "project/program.rs"]
mod program;
mod project;

use pipelens_core::diagnostic::{Code, Severity};
use pipelens_core::{Format, analyze_in};
use project::Small;

/// Returns the example under a heading, and the format its fence names.
fn example(page: &'static str, heading: &str) -> (&'static str, Format) {
    let after = page.split_once(&format!("\n## {heading}\n\n```")).unwrap().1;
    let (language, rest) = after.split_once('\n').unwrap();
    let format = if language == "json" { Format::Json } else { Format::Yaml };
    (rest.split_once("\n```\n").unwrap().0, format)
}

#[test]
fn the_wrong_example_of_every_code_has_its_finding_and_the_right_one_has_none() {
    for code in Code::ALL {
        let page = code.explanation();
        assert!(page.starts_with(&format!("# {}\n", code.title())), "{}", code.as_str());
        assert!(page.contains("\n## How to fix it\n\n"), "{}", code.as_str());
        let is_program = page.contains("```python");
        let analyze = |text, format| match is_program {
            true => program::analyze_program(text),
            false => analyze_in(text, format, &Small),
        };
        let (wrong, format) = example(page, "Wrong");
        let found = analyze(wrong, format).diagnostics;
        assert!(found.iter().any(|found| found.code == *code), "{}: {found:#?}", code.as_str());
        let (right, format) = example(page, "Right");
        let found = analyze(right, format).diagnostics;
        let is_silent = found.iter().all(|found| found.code != *code && found.severity > Severity::Warning);
        assert!(is_silent, "{}: {found:#?}", code.as_str());
    }
}
