//! The pages in `docs/` that list keys and findings are generated here and checked to be fresh; the examples are checked for mistakes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by ending")]
#![expect(clippy::disallowed_methods, reason = "the core does no IO, but its tests read the pages")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pipelens_core::diagnostic::{Code, Severity};
use serde_json::Value;

/// The mappings of a pipeline that people write, in the order in which they are explained.
const MAPPINGS: [(&str, &str); 10] = [
    ("pipeline", "Pipeline"),
    ("step", "Step"),
    ("matrix", "Matrix"),
    ("wait", "Wait"),
    ("waitOptions", "Wait options"),
    ("artifacts", "Artifacts"),
    ("cache", "Cache policy"),
    ("runnerArguments", "Runner arguments (`docker`)"),
    ("service", "Service"),
    ("trigger", "Trigger"),
];

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// Compares what comes after the marker in a page with what is generated, or writes it.
fn assert_fresh(name: &str, generated: &str) {
    const MARKER: &str = "<!-- Everything below is generated: cargo xtask codegen -->\n";
    let file = docs(name);
    let page = std::fs::read_to_string(&file).unwrap();
    let (prose, below) = page.split_once(MARKER).unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, format!("{prose}{MARKER}{generated}")).unwrap();
        return;
    }
    assert_eq!(below, generated, "docs/{name} is stale: run `cargo xtask codegen`");
}

/// Returns the type of a value in a few words.
fn type_of(property: &Value) -> String {
    if let Some(reference) = property["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        let title = MAPPINGS.iter().find(|(mapping, _)| *mapping == name).map(|(_, title)| *title);
        return title
            .map_or_else(|| "mapping".to_owned(), |title| format!("[{}](#{})", title.to_lowercase(), anchor(title)));
    }
    let one_of = |values: &Value| {
        values
            .as_array()
            .map(|values| values.iter().map(|value| format!("`{}`", value.as_str().unwrap_or("?"))).collect::<Vec<_>>())
    };
    if let Some(values) = one_of(&property["enum"]) {
        return values.join(", ");
    }
    if let Some(value) = property["const"].as_str() {
        return format!("`\"{value}\"`");
    }
    if let Some(alternatives) = property["anyOf"].as_array().or_else(|| property["oneOf"].as_array()) {
        let mut types: Vec<String> = alternatives.iter().map(type_of).collect();
        types.dedup();
        return types.join(" or ");
    }
    match &property["type"] {
        Value::String(name) if name == "array" => format!("list of {}", type_of(&property["items"])),
        Value::String(name) if name == "object" => "mapping".to_owned(),
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}

/// Returns the address of a heading in a page.
fn anchor(title: &str) -> String {
    let kept = title.to_lowercase().replace(' ', "-");
    kept.chars().filter(|letter| letter.is_alphanumeric() || *letter == '-').collect()
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[test]
fn the_keys_in_the_format_page_are_up_to_date() {
    let schema: Value = serde_json::from_str(&pipelens_core::schema()).unwrap();
    let mut text = String::new();
    for (name, title) in MAPPINGS {
        let mapping = &schema["$defs"][name];
        let required: Vec<&str> =
            mapping["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        writeln!(text, "\n## {title}\n\n| key | type | meaning |\n|---|---|---|").unwrap();
        for (key, property) in mapping["properties"].as_object().unwrap() {
            let note = if required.contains(&key.as_str()) { " **Required.**" } else { "" };
            let meaning = cell(property["description"].as_str().unwrap_or_default());
            writeln!(text, "| `{key}` | {} | {meaning}{note} |", cell(&type_of(property))).unwrap();
        }
        // The author chooses the other keys.
        if let Some(meaning) = mapping["additionalProperties"]["description"].as_str() {
            let property = &mapping["additionalProperties"];
            writeln!(text, "| any other | {} | {} |", cell(&type_of(property)), cell(meaning)).unwrap();
        }
    }
    assert_fresh("format.md", &text);
}

#[test]
fn the_list_of_findings_is_up_to_date() {
    let mut text = String::from("\n| code | severity | what it is about |\n|---|---|---|\n");
    for code in Code::ALL {
        let severity = match code.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Information => "information",
            Severity::Hint => "hint",
        };
        let name = code.as_str();
        let page = format!("../server/pipelens-core/docs/codes/{name}.md");
        writeln!(text, "| [`{name}`]({page}) | {severity} | {} |", cell(code.title())).unwrap();
    }
    assert_fresh("findings.md", &text);
}

#[test]
fn the_examples_have_no_findings() {
    let folder = docs("../examples");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path().join("pipeline.yml");
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let analysis = pipelens_core::analyze(&text, pipelens_core::Format::of(&file));
        assert!(analysis.diagnostics.is_empty(), "{}: {:#?}", file.display(), analysis.diagnostics);
        let name = file.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(analysis.pipelines[0].name.as_ref().unwrap().value, name);
        names.push(name);
    }
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    names.sort_unstable();
    assert_eq!(names.len(), readme.matches("/pipeline.yml)").count(), "{names:?}");
}
