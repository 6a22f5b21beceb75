//! The settings in the manifest of the VS Code extension, from the schema of the settings.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// The setting that is the extension's own: the server never sees it.
const OWN: &str = "pipelens.server.path";
/// Settings whose default in the extension is another than the server's: terminals show the output of runs, so it is not sent twice.
const OWN_DEFAULTS: [(&str, bool); 1] = [("pipelens.run.logMessages", false)];

#[derive(Deserialize)]
struct Manifest<'a> {
    #[serde(borrow)]
    contributes: Contributes<'a>,
    #[serde(borrow)]
    capabilities: Capabilities<'a>,
}

#[derive(Deserialize)]
struct Contributes<'a> {
    #[serde(borrow)]
    configuration: Configuration<'a>,
}

#[derive(Deserialize)]
struct Configuration<'a> {
    #[serde(borrow)]
    properties: &'a RawValue,
}

#[derive(Deserialize)]
struct Capabilities<'a> {
    #[serde(borrow, rename = "untrustedWorkspaces")]
    untrusted_workspaces: Untrusted<'a>,
}

#[derive(Deserialize)]
struct Untrusted<'a> {
    #[serde(borrow, rename = "restrictedConfigurations")]
    restricted: &'a RawValue,
}

/// Returns the manifest with the settings of a schema. Everything else in it stays as it is written.
pub(crate) fn with_settings(manifest: &str, schema: &Value) -> Result<String> {
    let parsed: Manifest<'_> =
        serde_json::from_str(manifest).context("the extension's package.json is not as expected")?;
    let before: Map<String, Value> = serde_json::from_str(parsed.contributes.configuration.properties.get())?;
    let own = before.get(OWN).with_context(|| format!("package.json has no {OWN}"))?;
    let mut properties = Map::from_iter([(OWN.to_owned(), own.clone())]);
    add(&mut properties, "pipelens", schema, schema);
    for (name, default) in OWN_DEFAULTS {
        if let Some(Value::Object(setting)) = properties.get_mut(name) {
            setting.insert("default".to_owned(), json!(default));
        }
    }
    let restricted: Vec<&String> =
        properties.iter().filter(|(_, setting)| setting["scope"] == "machine").map(|(name, _)| name).collect();
    let text = manifest
        .replace(parsed.capabilities.untrusted_workspaces.restricted.get(), &indented(&json!(restricted), 6)?)
        .replace(parsed.contributes.configuration.properties.get(), &indented(&Value::Object(properties), 6)?);
    Ok(text)
}

/// Adds the settings of an object, those of objects inside it under dotted names, so that an editor shows each by itself.
fn add(properties: &mut Map<String, Value>, prefix: &str, object: &Value, schema: &Value) {
    for (name, property) in object["properties"].as_object().into_iter().flatten() {
        let name = format!("{prefix}.{name}");
        let definition = resolved(property, schema);
        if definition.get("properties").is_some() {
            add(properties, &name, definition, schema);
        } else {
            properties.insert(name, setting(property, definition, schema));
        }
    }
}

/// Returns what a property refers to, or the property itself.
fn resolved<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    match property["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => schema.pointer(pointer).unwrap_or(property),
        None => property,
    }
}

fn setting(property: &Value, definition: &Value, schema: &Value) -> Value {
    let mut setting = Map::new();
    for key in ["type", "enum", "items", "minimum", "default", "scope"] {
        if let Some(value) = property.get(key).or_else(|| definition.get(key)) {
            // The manifest has no definitions to refer to.
            setting.insert(key.to_owned(), resolved(value, schema).clone());
        }
    }
    // A closed list of values: each with what it means.
    if let Some(choices) = definition["oneOf"].as_array() {
        let each = |key: &str| choices.iter().map(|choice| choice[key].clone()).collect::<Vec<_>>();
        setting.insert("type".to_owned(), json!("string"));
        setting.insert("enum".to_owned(), Value::Array(each("const")));
        setting.insert("markdownEnumDescriptions".to_owned(), Value::Array(each("description")));
    }
    if let Some(values) = definition.get("additionalProperties") {
        setting.insert("additionalProperties".to_owned(), resolved(values, schema).clone());
    }
    setting.insert("markdownDescription".to_owned(), property["description"].clone());
    // The server asks for the settings of each folder, so all but those of the machine may differ from folder to folder.
    setting.entry("scope").or_insert_with(|| json!("resource"));
    Value::Object(setting)
}

/// Returns a value as text whose lines after the first are indented.
fn indented(value: &Value, spaces: usize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)?.replace('\n', &format!("\n{}", " ".repeat(spaces))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools;

    #[test]
    fn the_manifest_of_the_extension_is_fresh() {
        let read = |file: &str| std::fs::read_to_string(tools::root().join(file)).unwrap();
        let manifest = read("editors/vscode/package.json");
        let schema: Value = serde_json::from_str(&read("schemas/settings.schema.json")).unwrap();
        assert_eq!(with_settings(&manifest, &schema).unwrap(), manifest, "run `cargo xtask codegen`");
    }

    #[test]
    fn a_setting_inside_an_object_has_a_dotted_name_and_what_is_not_a_setting_stays() {
        let manifest = r#"{ "name": "x", "capabilities": { "untrustedWorkspaces": { "restrictedConfigurations": ["old"] } },
            "contributes": { "configuration": { "properties": { "pipelens.server.path": {"scope": "machine"}, "pipelens.old": {} } } } }"#;
        let schema = json!({
            "properties": {
                "lenses": {"$ref": "#/$defs/Lenses"},
                "runner": {"description": "Where.", "scope": "machine", "$ref": "#/$defs/Runner"},
            },
            "$defs": {
                "Lenses": {"type": "object", "properties": {"step": {"type": "boolean", "default": true, "description": "On steps."}}},
                "Runner": {"oneOf": [{"const": "docker", "description": "Boxed."}, {"const": "host", "description": "Bare."}]},
            },
        });
        let text = with_settings(manifest, &schema).unwrap();
        assert!(text.starts_with(r#"{ "name": "x", "capabilities""#), "{text}");
        let written: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            written["contributes"]["configuration"]["properties"],
            json!({
                "pipelens.server.path": {"scope": "machine"},
                "pipelens.lenses.step": {
                    "type": "boolean",
                    "default": true,
                    "scope": "resource",
                    "markdownDescription": "On steps.",
                },
                "pipelens.runner": {
                    "type": "string",
                    "enum": ["docker", "host"],
                    "markdownEnumDescriptions": ["Boxed.", "Bare."],
                    "scope": "machine",
                    "markdownDescription": "Where.",
                },
            })
        );
        let restricted = &written["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"];
        assert_eq!(*restricted, json!(["pipelens.runner", "pipelens.server.path"]));
    }
}
