//! What an SDK or a command prints, before it is analysed: an envelope, or one plan.

use serde_json::Value;

/// Returns the name of each pipeline with the nodes of its graph; a plan has the name that is empty.
pub(super) fn pipelines(printed: &Value) -> Vec<(&str, &[Value])> {
    match printed.get("pipelines").and_then(Value::as_array) {
        Some(entries) => entries.iter().map(|entry| (name(entry), nodes(entry.get("definition")))).collect(),
        None => vec![("", nodes(Some(printed)))],
    }
}

fn name(entry: &Value) -> &str {
    entry.get("slug").and_then(Value::as_str).unwrap_or_default()
}

fn nodes(definition: Option<&Value>) -> &[Value] {
    let nodes = definition.and_then(|definition| definition.pointer("/graph/nodes")?.as_array());
    nodes.map(Vec::as_slice).unwrap_or_default()
}
