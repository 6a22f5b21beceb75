//! SARIF 2.1.0, which code scanning services read. Written out: with the typed builders of `serde-sarif` this would be twice as long.

use std::collections::BTreeSet;
use std::path::Path;

use pipelens_core::FileId;
use pipelens_core::diagnostic::{Code, Diagnostic, Severity};
use pipelens_core::text::{TextEdit, TextRange};
use serde_json::{Value, json};

use super::parts::{Place, json_document};
use crate::cli::checked::{Checked, Source};
use crate::cli::explain::summary;
use crate::problems::Located;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Longer passages are not quoted.
const MAX_QUOTED_BYTES: usize = 2000;

pub(super) fn write(checked: &[Checked]) -> String {
    let results: Vec<Value> =
        checked.iter().flat_map(|file| file.diagnostics.iter().map(|diagnostic| result(file, diagnostic))).collect();
    document(Code::ALL.iter().map(|code| rule(*code)).collect(), results)
}

/// Writes the problems of a run. Each tool has its own codes, so a rule is no more than its name.
pub(super) fn write_problems(problems: &[Located]) -> String {
    let id = |problem: &Located| problem.code.clone().unwrap_or_else(|| problem.source.clone());
    let ids: Vec<String> = problems.iter().map(id).collect::<BTreeSet<_>>().into_iter().collect();
    let result = |problem: &Located| {
        let related: Vec<Value> = problem
            .related
            .iter()
            .enumerate()
            .map(|(number, (file, range, message))| {
                let place = place(
                    Source { path: Path::new(&file.name), text: &file.text, line_index: &file.line_index },
                    *range,
                );
                json!({"id": number + 1, "message": {"text": sentence(message)}, "physicalLocation": place})
            })
            .collect();
        let id = id(problem);
        json!({
            "ruleId": id,
            "ruleIndex": ids.binary_search(&id).ok(),
            "level": level(problem.severity),
            "message": {"text": sentence(&format!("{}: {}", problem.source, problem.message))},
            "locations": [{"physicalLocation": quoted(problem.source_of(), problem.range)}],
            "relatedLocations": related,
        })
    };
    let results = problems.iter().map(result).collect();
    document(ids.iter().map(|id| json!({"id": id})).collect(), results)
}

fn document(rules: Vec<Value>, results: Vec<Value>) -> String {
    let driver = json!({
        "name": "pipelens",
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "informationUri": env!("CARGO_PKG_REPOSITORY"),
        "rules": rules,
    });
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    });
    json_document(&log)
}

fn rule(code: Code) -> Value {
    let page = code.explanation();
    json!({
        "id": code.as_str(),
        "name": pascal_case(code.as_str()),
        "shortDescription": {"text": sentence(code.title())},
        "fullDescription": {"text": sentence(&summary(code))},
        "defaultConfiguration": {"level": level(code.severity())},
        "help": {"text": page, "markdown": page},
        "helpUri": crate::present::page(code),
    })
}

/// Returns `unknown-step` as `UnknownStep`. An article would look like a second capital of the next word, and a single word like the
/// code itself.
fn pascal_case(name: &str) -> String {
    let words = name.split('-').filter(|word| *word != "a").map(|word| {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    words.chain((!name.contains('-')).then(|| "Finding".to_owned())).collect()
}

/// Ends a message with a period, as the format's guidelines ask: a question at its end becomes a remark.
fn sentence(text: &str) -> String {
    let text = text.trim_end();
    match text.rsplit_once(". ") {
        _ if text.ends_with('.') => text.to_owned(),
        Some((statement, question)) if question.ends_with('?') => {
            let mut question = question.to_owned();
            if let Some(first) = question.get_mut(..1) {
                first.make_ascii_lowercase();
            }
            format!("{statement} ({question}).")
        }
        _ => format!("{text}."),
    }
}

fn result(file: &Checked, diagnostic: &Diagnostic) -> Value {
    let related: Vec<Value> = diagnostic
        .related
        .iter()
        .enumerate()
        .map(|(id, related)| {
            json!({"id": id + 1, "message": {"text": sentence(&related.message)}, "physicalLocation": place(file.source(related.place.file), related.place.range)})
        })
        .collect();
    let fixes: Vec<Value> = diagnostic
        .fixes
        .iter()
        .map(|fix| {
            let files: BTreeSet<FileId> = fix.edits.iter().map(|edit| edit.file).collect();
            let changes: Vec<Value> = files.into_iter().map(|id| change(file.source(id), &fix.edits_in(id))).collect();
            json!({"description": {"text": sentence(&fix.title)}, "artifactChanges": changes})
        })
        .collect();
    json!({
        "ruleId": diagnostic.code.as_str(),
        "ruleIndex": Code::ALL.iter().position(|code| *code == diagnostic.code),
        "level": level(diagnostic.severity),
        "message": {"text": sentence(&diagnostic.message)},
        "locations": [{"physicalLocation": quoted(file.source(diagnostic.file), diagnostic.range)}],
        "relatedLocations": related,
        "fixes": fixes,
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Information | Severity::Hint => "note",
    }
}

fn change(source: Source<'_>, edits: &[TextEdit]) -> Value {
    let replacements: Vec<Value> = edits
        .iter()
        .map(|edit| json!({"deletedRegion": region(source, edit.range), "insertedContent": {"text": edit.new_text}}))
        .collect();
    json!({"artifactLocation": artifact(source), "replacements": replacements})
}

fn place(source: Source<'_>, range: TextRange) -> Value {
    json!({"artifactLocation": artifact(source), "region": region(source, range)})
}

/// The place of a finding with the text that it is about, for readers without the file.
fn quoted(source: Source<'_>, range: TextRange) -> Value {
    let lines = source.line_index.line_start(source.line_index.line(range.start))..end_of_line(source.text, range.end);
    let context = source.text.get(lines.clone()).filter(|context| context.len() <= MAX_QUOTED_BYTES);
    // A finding about a whole file would repeat it.
    let Some(context) = context else { return place(source, range) };
    let text = source.text.get(range.start..range.end).unwrap_or_default();
    json!({
        "artifactLocation": artifact(source),
        "region": with_snippet(region(source, range), text),
        "contextRegion": with_snippet(region(source, TextRange::new(lines.start, lines.end)), context),
    })
}

fn with_snippet(mut region: Value, text: &str) -> Value {
    if let Some(region) = region.as_object_mut() {
        region.insert("snippet".to_owned(), json!({"text": text}));
    }
    region
}

fn end_of_line(text: &str, offset: usize) -> usize {
    text.get(offset..).and_then(|rest| rest.find('\n')).map_or(text.len(), |length| offset + length)
}

/// A relative path becomes a relative reference; the service knows what it is relative to.
fn artifact(source: Source<'_>) -> Value {
    let path = source.path.display().to_string().replace('\\', "/");
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    let scheme = if path.starts_with('/') { "file://" } else { "" };
    json!({"uri": format!("{scheme}{}", uri.trim_start_matches("./"))})
}

fn region(source: Source<'_>, range: TextRange) -> Value {
    let (start, end) = (Place::new(source, range.start), Place::new(source, range.end));
    json!({
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
        "byteOffset": start.offset,
        "byteLength": end.offset - start.offset,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_ends_with_a_period() {
        assert_eq!(sentence("Unknown key"), "Unknown key.");
        assert_eq!(sentence("Step `a` does not exist."), "Step `a` does not exist.");
        assert_eq!(sentence("`a` does not exist. Did you mean `b`?"), "`a` does not exist (did you mean `b`?).");
    }

    #[test]
    fn the_name_of_a_rule_is_in_pascal_case_and_differs_from_its_code() {
        assert_eq!(pascal_case("duplicate-step-key"), "DuplicateStepKey");
        assert_eq!(pascal_case("not-a-pipeline"), "NotPipeline");
        assert_eq!(pascal_case("syntax"), "SyntaxFinding");
    }

    #[test]
    fn every_rule_has_what_the_guidelines_ask_for() {
        let log: Value = serde_json::from_str(&write(&[])).unwrap();
        let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
        assert_eq!(rules.len(), Code::ALL.len());
        for (rule, code) in rules.iter().zip(Code::ALL) {
            let name = rule["name"].as_str().unwrap();
            assert!(name.starts_with(|first: char| first.is_ascii_uppercase()), "{rule}");
            assert!(name.chars().all(|character| character.is_ascii_alphanumeric()), "{rule}");
            assert_ne!(name.to_ascii_lowercase(), code.as_str(), "{rule}");
            for key in ["shortDescription", "fullDescription"] {
                let text = rule[key]["text"].as_str().unwrap();
                assert!(text.ends_with('.') && !text.contains('\n'), "{rule}");
            }
            assert_ne!(rule["shortDescription"], rule["fullDescription"], "{rule}");
            assert!(
                ["error", "warning", "note"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap()),
                "{rule}"
            );
            assert!(rule["helpUri"].as_str().unwrap().ends_with(&format!("/{}.md", code.as_str())), "{rule}");
        }
    }
}
