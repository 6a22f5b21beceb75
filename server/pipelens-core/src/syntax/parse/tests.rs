//! The parser against the public suite: what is valid, and what it means.

use std::fmt::Write as _;
use std::path::Path;

use super::{Event, Style, parse};

#[expect(clippy::disallowed_methods, reason = "the data of this test lies in a file")]
fn cases() -> Option<Vec<serde_json::Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/yaml-test-suite/cases.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: 402 cases of yaml-test-suite, which are not here");
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

#[test]
fn the_yaml_test_suite_is_accepted_and_rejected_correctly() {
    let Some(cases) = cases() else { return };
    assert_eq!(cases.len(), 402);
    for case in &cases {
        let has_error = parse(case["yaml"].as_str().unwrap(), |_, _| {}).is_some();
        assert_eq!(case["valid"].as_bool().unwrap(), !has_error, "{}", case["id"]);
    }
}

/// The events as the suite writes them. Ends are `-`, and of a tag only whether it makes a scalar text is kept.
fn events(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    parse(text, |event, _| match event {
        Event::DocumentStart => lines.push("+DOC".into()),
        Event::ListStart { is_flow } => lines.push(if is_flow { "+SEQ []".into() } else { "+SEQ".into() }),
        Event::MapStart { is_flow } => lines.push(if is_flow { "+MAP {}".into() } else { "+MAP".into() }),
        Event::End => lines.push("-".into()),
        Event::Scalar { text, style, is_tagged_text } => {
            let style = match style {
                Style::Plain => ':',
                Style::SingleQuoted => '\'',
                Style::DoubleQuoted => '"',
                Style::Block => '|',
            };
            let tag = if is_tagged_text { " <text>" } else { "" };
            lines.push(format!("=VAL{tag} {style}{}", escaped(&text)));
        }
        Event::Alias(name) => lines.push(format!("=ALI *{name}")),
        Event::Anchor(name) => {
            if let Some(last) = lines.last_mut() {
                let mut parts: Vec<&str> = last.splitn(2, ' ').collect();
                let anchor = format!("&{name}");
                parts.insert(1, &anchor);
                *last = parts.join(" ");
            }
        }
        Event::Comment => {}
    });
    lines.join("\n")
}

fn escaped(text: &str) -> String {
    let mut result = String::new();
    for character in text.chars() {
        match character {
            '\\' => result.push_str("\\\\"),
            '\n' => result.push_str("\\n"),
            '\t' => result.push_str("\\t"),
            '\r' => result.push_str("\\r"),
            '\u{8}' => result.push_str("\\b"),
            other => write!(result, "{other}").unwrap(),
        }
    }
    result
}

/// The suite's events, as far as `events` has them: the anchor comes first, then the flow mark or the tag.
fn reduced(events: &str) -> String {
    let mut lines = Vec::new();
    for line in events.lines() {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "+STR" | "-STR" | "-DOC" => {}
            "+DOC" => lines.push("+DOC".to_owned()),
            "-MAP" | "-SEQ" => lines.push("-".to_owned()),
            "+MAP" | "+SEQ" => {
                let mut words: Vec<&str> = rest.split(' ').filter(|word| !word.is_empty()).collect();
                words.retain(|word| !word.starts_with('<'));
                words.sort_unstable_by_key(|word| !word.starts_with('&'));
                lines.push([&[kind], words.as_slice()].concat().join(" "));
            }
            "=VAL" => lines.push(value(rest)),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

fn value(mut rest: &str) -> String {
    let mut line = "=VAL".to_owned();
    if rest.starts_with('&') {
        let (anchor, after) = rest.split_once(' ').unwrap();
        line = format!("{line} {anchor}");
        rest = after;
    }
    if rest.starts_with('<') {
        let (tag, after) = rest.split_once("> ").unwrap();
        let is_text = tag == "<tag:yaml.org,2002:str" || !tag.starts_with("<tag:yaml.org,2002:");
        line = format!("{line}{}", if is_text { " <text>" } else { "" });
        rest = after;
    }
    let rest = rest.strip_prefix('>').map_or_else(|| rest.to_owned(), |folded| format!("|{folded}"));
    format!("{line} {rest}")
}

#[test]
fn the_events_of_every_valid_case_match_the_suite() {
    let Some(cases) = cases() else { return };
    let mut wrong = Vec::new();
    let mut compared = 0;
    for case in cases.iter().filter(|case| case["valid"] == true) {
        let Some(expected) = case["events"].as_str() else { continue };
        compared += 1;
        let (expected, found) = (reduced(expected), events(case["yaml"].as_str().unwrap()));
        if expected != found {
            wrong.push(format!("{}:\n{expected}\n--- found\n{found}\n", case["id"]));
        }
    }
    assert!(compared > 300, "only {compared} cases have events");
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
}
