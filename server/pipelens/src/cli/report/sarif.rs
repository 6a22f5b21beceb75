//! SARIF 2.1.0, which code scanning services read. Written out: with the typed builders of `serde-sarif` this would be twice as long.

use std::collections::BTreeSet;

use pipelens_core::FileId;
use pipelens_core::diagnostic::{Code, Diagnostic, Severity};
use pipelens_core::text::{TextEdit, TextRange};
use serde_json::{Value, json};

use super::parts::{Place, json_document};
use crate::cli::checked::{Checked, Source};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub(super) fn write(checked: &[Checked]) -> String {
    let results: Vec<Value> =
        checked.iter().flat_map(|file| file.diagnostics.iter().map(|diagnostic| result(file, diagnostic))).collect();
    let driver = json!({
        "name": "pipelens",
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "informationUri": env!("CARGO_PKG_REPOSITORY"),
        "rules": Code::ALL.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
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
        "shortDescription": {"text": code.title()},
        "help": {"text": page, "markdown": page},
        "helpUri": crate::present::page(code),
    })
}

fn result(file: &Checked, diagnostic: &Diagnostic) -> Value {
    let related: Vec<Value> = diagnostic
        .related
        .iter()
        .enumerate()
        .map(|(id, related)| {
            json!({"id": id + 1, "message": {"text": related.message}, "physicalLocation": place(file.source(related.place.file), related.place.range)})
        })
        .collect();
    let fixes: Vec<Value> = diagnostic
        .fixes
        .iter()
        .map(|fix| {
            let files: BTreeSet<FileId> = fix.edits.iter().map(|edit| edit.file).collect();
            let changes: Vec<Value> = files.into_iter().map(|id| change(file.source(id), &fix.edits_in(id))).collect();
            json!({"description": {"text": fix.title}, "artifactChanges": changes})
        })
        .collect();
    json!({
        "ruleId": diagnostic.code.as_str(),
        "ruleIndex": Code::ALL.iter().position(|code| *code == diagnostic.code),
        "level": level(diagnostic.severity),
        "message": {"text": diagnostic.message},
        "locations": [{"physicalLocation": place(file.source(diagnostic.file), diagnostic.range)}],
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
