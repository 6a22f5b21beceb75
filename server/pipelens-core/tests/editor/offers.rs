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
    // In a program, nothing is offered.
    let mut files: Vec<_> = files.filter(|file| file.extension().is_none_or(|extension| extension != "py")).collect();
    files.sort();
    files.into_iter().map(read).collect()
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
        fixture: prop::sample::Index,
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
        let (_, text, format) = fixture.get(&fixtures);
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

/// Returns the text after the entry with this label was accepted at `¦`: its snippet, if it has one.
fn taken(text: &str, label: &str) -> String {
    let offset = text.find('¦').unwrap();
    let text = text.replacen('¦', "", 1);
    let format = if text.trim_start().starts_with('{') { Format::Json } else { Format::Yaml };
    let entries = completion(&analyze(&text, format), offset, Known::default());
    let entry = entries.iter().find(|entry| entry.label == label);
    assert!(entry.is_some(), "{label} is not among {entries:?} in {text}");
    let entry = entry.unwrap();
    accepted(&text, offset, entry).pop().unwrap()
}

fn labels(text: &str) -> Vec<String> {
    let offset = text.find('¦').unwrap();
    let analysis = analyze(&text.replacen('¦', "", 1), Format::Yaml);
    completion(&analysis, offset, Known::default()).into_iter().map(|entry| entry.label).collect()
}

const HEAD: &str = "steps:\n- {key: a, cmd: x}\n- key: b\n  cmd: x\n";

#[test]
fn a_space_is_added_after_a_colon_and_a_colon_only_once() {
    let value = |line: &str, label: &str| taken(&format!("{HEAD}  {line}\n"), label).replace(HEAD, "");
    assert_eq!(value("builds_in:¦", "a"), "  builds_in: a\n");
    assert_eq!(value("builds_in: ¦", "a"), "  builds_in: a\n");
    assert_eq!(value("builds_in:\t¦", "a"), "  builds_in:\ta\n");
    assert_eq!(value("runner:do¦", "docker"), "  runner: docker\n");
    assert_eq!(value("ret¦: 2", "retry"), "  retry: 2\n");
    assert_eq!(value("\"ret¦\": 2", "retry"), "  \"retry\": 2\n");
    assert_eq!(value("ret¦", "retry"), "  retry: \n");
    assert_eq!(value("secrets:¦\n  env: {T: 1}", "T"), "  secrets: [T]\n  env: {T: 1}\n");
    assert_eq!(taken("steps:\n-¦\n", "wait"), "steps:\n- wait\n");
}

#[test]
fn entries_of_lists_get_their_dash() {
    let entry = |lines: &str, label: &str| taken(&format!("{HEAD}  {lines}\n"), label).replace(HEAD, "");
    assert_eq!(entry("depends_on:\n    ¦", "a"), "  depends_on:\n    - a\n");
    assert_eq!(entry("depends_on:\n  - a\n  ¦", "a"), "  depends_on:\n  - a\n  - a\n");
    assert_eq!(entry("depends_on:\n  -¦", "a"), "  depends_on:\n  - a\n");
    assert_eq!(taken("steps:\n  ¦\n", "step"), "steps:\n  - key: name\n    cmd: command\n");
    assert_eq!(taken("steps: [¦]\n", "step"), "steps: [{key: name, cmd: command}]\n");
    let steps = "steps:\n- {key: a, cmd: x}\n";
    assert_eq!(
        taken(&format!("triggers:\n  ¦\n{steps}"), "push"),
        format!("triggers:\n  - event: push\n    branches: [main]\n{steps}")
    );
    assert_eq!(
        taken(&format!("triggers:\n  - ¦\n{steps}"), "pull_request"),
        format!("triggers:\n  - event: pull_request\n{steps}")
    );
    assert_eq!(
        taken(&format!("triggers: ¦\n{steps}"), "schedule"),
        format!("triggers: [{{event: schedule}}]\n{steps}")
    );
    assert_eq!(taken(&format!("triggers: [¦]\n{steps}"), "push"), format!("triggers: [{{event: push}}]\n{steps}"));
    assert_eq!(
        taken(&format!("triggers:\n  - event:¦\n{steps}"), "push"),
        format!("triggers:\n  - event: push\n{steps}")
    );
}

#[test]
fn a_snippet_of_several_lines_is_not_offered_where_a_tab_would_indent_them() {
    let text =
        "# pipelens: pipeline\nname: one\nsteps:\n- {key: a, cmd: x}\n\t---\nname: two\nsteps:\n- {key: a, cmd: x}\n";
    let offset = text.find("---").unwrap();
    assert!(accept_all(text, Format::Yaml, offset, &mut HashSet::new()) > 0);
}

#[test]
fn brackets_and_quotes_are_kept() {
    assert_eq!(taken("steps:\n- {key: a, cmd: x, ¦}\n", "retry"), "steps:\n- {key: a, cmd: x, retry: }\n");
    assert_eq!(taken("steps:\n- {¦key: a, cmd: x}\n", "retry"), "steps:\n- {retry: a, cmd: x}\n");
    assert_eq!(taken("steps:\n- {¦ key: a, cmd: x}\n", "retry"), "steps:\n- {retry: ,  key: a, cmd: x}\n");
    assert_eq!(
        taken("steps: [\n  {key: a, cmd: x},\n  {key: b, cmd: x,\n   depends_on: [¦]}\n]\n", "a")
            .matches("[a]")
            .count(),
        1
    );
    assert_eq!(taken(&format!("{HEAD}  depends_on: [a, '¦']\n"), "a"), format!("{HEAD}  depends_on: [a, 'a']\n"));
    assert_eq!(taken(&format!("{HEAD}  builds_in: \"¦\n"), "a"), format!("{HEAD}  builds_in: \"a\"\n"));
    let odd = "steps:\n- {key: 'it''s: 1', cmd: x}\n- key: b\n  cmd: x\n  builds_in: ";
    assert_eq!(taken(&format!("{odd}¦\n"), "it's: 1"), format!("{odd}\"it's: 1\"\n"));
    assert_eq!(taken(&format!("{odd}'¦'\n"), "it's: 1"), format!("{odd}'it''s: 1'\n"));
    let json = "{\n  \"steps\": [\n    {\n      ¦\n      \"key\": \"a\",\n      \"cmd\": \"x\"\n    }\n  ]\n}\n";
    assert_eq!(taken(json, "retry"), json.replace('¦', "\"retry\": 0, "));
}

#[test]
fn keys_that_exist_are_not_offered_again() {
    for text in [
        format!("{HEAD}  ¦\n"),
        format!("{HEAD}  ¦"),
        format!("{HEAD}  r¦\n  retry: 1\n"),
        format!("{HEAD}  ¦\n").replace('\n', "\r\n"),
    ] {
        let offered = labels(&text);
        assert!(offered.contains(&"image".to_owned()) && !offered.contains(&"cmd".to_owned()), "{offered:?}");
        assert!(!offered.contains(&"key".to_owned()), "{offered:?}");
    }
    assert!(!labels(&format!("{HEAD}  runner_args:\n    ¦\n")).contains(&"policy".to_owned()));
    assert!(
        labels(&format!("{HEAD}  cache:\n    policy: ttl\n- key: c\n  cmd: x\n  runner_args:\n    ¦\n"))
            .contains(&"memory".to_owned())
    );
}

#[test]
fn anchors_are_offered_after_an_asterisk_and_a_merge_key() {
    let text =
        |value: &str| format!("x-a: &base {{image: a:1}}\nx-b: &list [a]\nsteps:\n- key: a\n  cmd: x\n  <<:{value}\n");
    assert_eq!(labels(&text(" *¦")), ["base"]);
    assert_eq!(labels(&text(" ¦")), ["*base"]);
    assert_eq!(taken(&text(" *¦"), "base"), text(" *base"));
    assert_eq!(taken(&text("¦"), "*base"), text(" *base"));
    assert_eq!(taken(&text(" ¦"), "*base"), text(" *base"));
    assert_eq!(taken(&text(" [*base, *¦]"), "base"), text(" [*base, *base]"));
    assert_eq!(labels(&text(" *base\n  env: *¦")), ["base", "list"]);
    assert_eq!(
        taken("x-a: &base {image: a:1}\nsteps:\n- key: a\n  cmd: x\n  ¦\n", "<<"),
        "x-a: &base {image: a:1}\nsteps:\n- key: a\n  cmd: x\n  <<: *base\n"
    );
}

#[test]
fn codes_are_offered_in_comments_that_silence_findings() {
    let text = "steps:\n- key: a\n  cmd: x\n  image: a # pipelens: ignore ¦\n";
    assert_eq!(labels(text).first().map(String::as_str), Some("unpinned-image"));
    assert_eq!(taken(text, "unpinned-image"), text.replace('¦', "unpinned-image"));
    assert_eq!(taken(&text.replace(" ¦", "¦"), "cycle"), text.replace('¦', "cycle"));
    assert!(!labels(&text.replace('¦', "cycle, ¦")).contains(&"cycle".to_owned()));
    assert_eq!(taken(&text.replace("ignore ¦", "ig¦"), "ignore"), text.replace('¦', ""));
    assert_eq!(labels("steps:\n- key: a # ¦\n  cmd: x\n"), [""; 0]);
    assert!(
        labels("steps:\n- key: a\n  cmd: |\n    # pipelens: ignore ¦\n    x\n").contains(&"shell-syntax".to_owned())
    );
}

#[test]
fn variables_are_offered_where_the_shell_expands_them() {
    let text = |command: &str| {
        format!("env: {{A: 1}}\nsteps:\n- key: é\n  runner: host\n  secrets: [TOKEN]\n  cmd: |\n    {command}\n")
    };
    assert_eq!(labels(&text("echo $¦")), ["A", "TOKEN", "PWD", "HOME", "PATH", "TERM", "LANG"]);
    assert_eq!(taken(&text("echo \"${¦\""), "TOKEN"), text("echo \"${TOKEN}\""));
    assert_eq!(taken(&text("echo ${T¦OK:-x}"), "TOKEN"), text("echo ${TOKEN:-x}"));
    for command in ["echo \\$¦", "echo '$¦'", "x # $¦", "cat <<'E'\n    $¦\n    E"] {
        assert_eq!(labels(&text(command)), [""; 0], "{command}");
    }
    let service = "steps:\n- key: a\n  cmd: x\n  runner_args:\n    services:\n      db:\n        image: a:1\n        env: {USER: me}\n        ready: ok -U $¦\n";
    assert_eq!(labels(service).first().map(String::as_str), Some("USER"));
    let json = r#"{"env": {"A": "1"}, "steps": [{"key": "a", "cmd": "echo \"${¦\""}]}"#;
    assert_eq!(taken(json, "A"), json.replace("${¦", "${A").replace("${A\\", "${A}\\"));
}
