//! Whatever is accepted, wherever the cursor is: completion never leaves a file with a new syntax error.
#![expect(clippy::disallowed_methods, reason = "tests read their data from files")]

use std::collections::HashSet;
use std::path::Path;

use pipelens_core::ide::{Completion, Known, completion};
use pipelens_core::text::{TextEdit, apply_edits};
use pipelens_core::{Format, analyze};
use proptest::prelude::*;

/// Returns the good pipelines with their names.
fn fixtures() -> Vec<(String, String, Format)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/good");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(&path).unwrap(), Format::of(&path))
    };
    files.map(read).collect()
}

fn syntax_errors(text: &str, format: Format) -> usize {
    analyze(text, format).diagnostics.iter().filter(|finding| finding.code.as_str() == "syntax").count()
}

/// Expands a snippet as an editor does: with its defaults, and further lines indented as the line of the cursor is.
fn expanded(snippet: &str, line: &str) -> String {
    let mut text = String::new();
    let mut rest = snippet;
    while let Some(at) = rest.find(['$', '\\', '}']) {
        let (before, after) = rest.split_at(at);
        text.push_str(before);
        let mut marks = after.chars();
        rest = match marks.next() {
            Some('\\') => {
                text.extend(marks.next());
                marks.as_str()
            }
            Some('$') => match marks.as_str().strip_prefix('{') {
                Some(placeholder) => {
                    let (inside, after) = placeholder.split_once('}').unwrap();
                    text.push_str(inside.split_once(':').map_or("", |(_, default)| default));
                    after
                }
                None => marks.as_str().trim_start_matches(|digit: char| digit.is_ascii_digit()),
            },
            _ => {
                text.push('}');
                marks.as_str()
            }
        };
    }
    text.push_str(rest);
    let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
    text.replace('\n', &format!("\n{}", &line[..blank]))
}

/// Returns the texts after an entry was accepted: as plain text, and as a snippet.
fn accepted(text: &str, offset: usize, entry: &Completion) -> Vec<String> {
    let start = text[..offset].rfind(['\n', '\r']).map_or(0, |end| end + 1);
    let snippet = entry.snippet.as_ref().map(|snippet| expanded(snippet, &text[start..]));
    let texts = std::iter::once(entry.edit.new_text.clone()).chain(snippet);
    texts.map(|new_text| apply_edits(text, &[TextEdit { range: entry.edit.range, new_text }])).collect()
}

/// Accepts everything that is offered at an offset, and returns how much that was.
fn accept_all(text: &str, format: Format, offset: usize, seen: &mut HashSet<String>) -> usize {
    let analysis = analyze(text, format);
    let before = syntax_errors(text, format);
    let images = ["a:1".to_owned(), "odd image".to_owned()];
    let entries = completion(&analysis, offset, Known { images: &images });
    for entry in &entries {
        assert!(entry.edit.range.touches(offset), "{entry:?}");
        for after in accepted(text, offset, entry) {
            if seen.insert(after.clone()) {
                let line = text[..offset].lines().count();
                let errors = syntax_errors(&after, format);
                assert!(errors <= before, "line {line}, {offset}: {entry:?}\n{after}");
            }
        }
    }
    entries.len()
}

#[test]
fn no_entry_breaks_a_good_pipeline_at_any_place() {
    for (name, text, format) in fixtures() {
        let unended = text.trim_end().to_owned();
        for text in [text.replace('\n', "\r\n"), unended, text] {
            let mut seen = HashSet::new();
            let borders = (0..=text.len()).filter(|offset| text.is_char_boundary(*offset));
            let offered: usize = borders.map(|offset| accept_all(&text, format, offset, &mut seen)).sum();
            assert!(offered > 20, "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn no_entry_breaks_a_pipeline_in_which_something_has_been_typed(
        fixture in 0_usize..9,
        place in 0.0..1.0,
        cut in 0_usize..6,
        typed in prop_oneof![
            Just(""), Just(":"), Just(" "), Just("-"), Just("- "), Just("["), Just("{"), Just("\""), Just("'"), Just(", "), Just("$"), Just("${"),
            Just("*"), Just("<<: *"), Just("<<:"), Just("\n"), Just("\n  "), Just("\n    "), Just("\n      "), Just("\n  - "), Just("\t"),
            Just("# pipelens: ignore "), Just("\n    builds_in:"), Just("\n    image:"), Just("\n    depends_on: ["), Just("\ntriggers:"),
            Just("\ntriggers:\n  "), Just("\n    cache: {"), Just("\n    env:\n      "), Just("é"), Just("x-a: &a {b: c}\n"),
            Just("\n    cmd: echo ${"), Just("\n    soft_fail:t"),
        ],
        crlf: bool,
    ) {
        let fixtures = fixtures();
        let (_, text, format) = &fixtures[fixture % fixtures.len()];
        let start = (place * text.len() as f64) as usize;
        let end = (start + cut.saturating_sub(3)).min(text.len());
        let offset = start + typed.len();
        let text = [&text[..start], typed, &text[end..]].concat();
        let (text, offset) = if crlf {
            let breaks = text[..offset].matches('\n').count();
            (text.replace('\n', "\r\n"), offset + breaks)
        } else {
            (text, offset)
        };
        accept_all(&text, *format, offset, &mut HashSet::new());
    }
}
