//! The JSON schema of the spellings people write, generated from the vocabulary.

use serde_json::{Map, Value, json};

use crate::arguments::ULIMITS;
use crate::keys::{self, Argument, Key, POLICIES, Place, Shape};
use crate::runners::RUNNERS;

const ENV_NAME: &str = "^[A-Za-z_][A-Za-z0-9_.-]*$";
const SERVICE_NAME: &str = "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";

pub(crate) fn schema() -> String {
    let definitions: Map<String, Value> = Place::ALL
        .iter()
        .filter(|place| place.is_of_pipelines())
        .map(|place| (place.schema_name().to_owned(), object(*place)))
        .collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pipeline",
        "description": "A CI pipeline: written by hand with `steps`, or generated as a plan with `graph`, alone or in an envelope.",
        // `steps` makes a document an authored pipeline, `graph` a plan: a document with both is neither.
        "anyOf": [
            { "$ref": reference(Place::Pipeline) },
            { "$ref": reference(Place::Plan), "not": { "required": ["steps"] } },
            {
                "$ref": reference(Place::Envelope),
                "not": { "anyOf": [{ "required": ["steps"] }, { "required": ["graph"] }] },
            },
        ],
        "$defs": definitions,
    });
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

fn object(place: Place) -> Value {
    let any_name = keys::any_name(place);
    if let Some(any_service) = any_name.filter(|_| place == Place::Services) {
        return services(any_service);
    }
    let known = keys::keys(place);
    let properties: Map<String, Value> = known
        .iter()
        .map(|key| {
            let mut value = shape(&key.shape);
            if place.is_wire_format() && !key.is_required {
                value = json!({ "anyOf": [value, { "type": "null" }] });
            }
            if let Some(object) = value.as_object_mut() {
                object.insert("description".to_owned(), json!(key.doc));
            }
            (key.name.to_owned(), value)
        })
        .collect();
    let required: Vec<&str> = known.iter().filter(|key| key.is_required).map(|key| key.name).collect();
    let mut object = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": place.is_wire_format(),
    });
    let Some(more) = object.as_object_mut() else { return object };
    if place.allows_extensions() {
        more.insert("patternProperties".to_owned(), json!({ "^x-": true }));
    }
    if let Some(any_name) = any_name {
        let mut value = shape(&any_name.shape);
        if let Some(value) = value.as_object_mut() {
            value.insert("description".to_owned(), json!(any_name.doc));
        }
        more.insert("additionalProperties".to_owned(), value);
        if place == Place::Matrix {
            more.insert("minProperties".to_owned(), json!(1));
        }
        let names = if place == Place::Ulimits { json!({ "enum": ULIMITS }) } else { json!({ "minLength": 1 }) };
        more.insert("propertyNames".to_owned(), names);
    }
    if place == Place::Cache {
        more.insert("allOf".to_owned(), policies());
    }
    object
}

/// The author chooses the keys: they are host names.
fn services(any_service: &Key) -> Value {
    json!({
        "type": "object",
        "propertyNames": { "pattern": SERVICE_NAME, "not": { "const": "localhost" } },
        "additionalProperties": shape(&any_service.shape),
    })
}

/// What else is required for each policy.
fn policies() -> Value {
    let rules = POLICIES.iter().filter(|policy| !policy.requires.is_empty()).map(|policy| {
        json!({
            "if": { "properties": { "policy": { "const": policy.name } }, "required": ["policy"] },
            "then": { "required": policy.requires },
        })
    });
    rules.collect()
}

fn shape(wanted: &Shape) -> Value {
    match wanted {
        Shape::Text => json!({ "type": "string" }),
        Shape::NonEmptyText | Shape::MountPath | Shape::Image | Shape::StepKey | Shape::VariableName => {
            json!({ "type": "string", "minLength": 1 })
        }
        // Counting bytes and finding invisible characters is left to the checks.
        Shape::Name => json!({ "type": "string", "minLength": 1 }),
        Shape::AbsolutePath => json!({ "type": "string", "pattern": "^/" }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Version(known) => json!({ "const": known }),
        Shape::OneOf(names) => json!({ "enum": names }),
        Shape::Policy => json!({ "enum": POLICIES.iter().map(|policy| policy.name).collect::<Vec<_>>() }),
        Shape::Runner => json!({ "enum": RUNNERS.iter().map(|runner| runner.name).collect::<Vec<_>>() }),
        Shape::StepKeys => {
            let key = json!({ "type": "string", "minLength": 1 });
            json!({ "anyOf": [key, { "type": "array", "items": key }] })
        }
        Shape::Shell => {
            let word = json!({ "type": "string", "pattern": "\\S" });
            json!({ "anyOf": [word, { "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1 }] })
        }
        Shape::Env => json!({
            "type": "object",
            "propertyNames": { "pattern": ENV_NAME },
            "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
        }),
        Shape::PlanEnv => json!({
            "type": "object",
            "propertyNames": { "pattern": ENV_NAME },
            "additionalProperties": { "type": "string" },
        }),
        Shape::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Shape::TextsOrMap(place) => {
            let texts = json!({ "type": "array", "items": { "type": "string", "minLength": 1 } });
            json!({ "anyOf": [texts, { "$ref": reference(*place) }] })
        }
        Shape::MountPathOrMap(place) => {
            json!({ "anyOf": [shape(&Shape::MountPath), { "$ref": reference(*place) }] })
        }
        Shape::Map(place) => json!({ "$ref": reference(*place) }),
        Shape::OptionalMap(place) => json!({ "anyOf": [{ "$ref": reference(*place) }, { "type": "null" }] }),
        Shape::List { of, may_be_empty } => {
            json!({ "type": "array", "items": shape(of), "minItems": usize::from(!may_be_empty) })
        }
        Shape::Steps => json!({
            "type": "array",
            "contains": { "type": "object", "not": { "required": ["wait"] } },
            "items": { "anyOf": [{ "$ref": reference(Place::Step) }, { "const": "wait" }, { "$ref": reference(Place::Wait) }] },
        }),
        Shape::Edge => json!({
            "type": "array",
            "prefixItems": [
                { "type": "integer", "minimum": 0 },
                { "type": "integer", "minimum": 0 },
                { "enum": ["builds_in", "depends_on"] },
            ],
            "minItems": 3,
            "maxItems": 3,
        }),
        Shape::Argument(Argument::Any) => json!({ "type": ["string", "integer"], "minLength": 1 }),
        Shape::Argument(Argument::Network) => {
            json!({ "type": "string", "minLength": 1, "not": { "pattern": "^container:" } })
        }
        Shape::Argument(Argument::Memory) => {
            json!({ "type": ["string", "integer"], "minimum": 1, "pattern": "^[0-9]+([kKmMgG]([iI]?[bB])?|[bB])?$" })
        }
        Shape::Argument(Argument::Mount) => {
            json!({ "type": "string", "pattern": "^(/|[A-Za-z]:).*:/[^:]+(:r[ow])?$" })
        }
        Shape::Argument(Argument::Cpus) => {
            json!({ "type": ["string", "number"], "exclusiveMinimum": 0, "pattern": "^[0-9]*\\.?[0-9]+$" })
        }
        Shape::Argument(Argument::Ready) => {
            json!({ "type": ["string", "integer"], "pattern": "\\S", "minimum": 1, "maximum": u16::MAX })
        }
        Shape::Argument(Argument::Ulimit) => {
            json!({ "type": ["string", "integer"], "minimum": -1, "pattern": "^(-1|[0-9]+|unlimited)(:(-1|[0-9]+|unlimited))?$" })
        }
        Shape::Argument(Argument::ExtraHost) => json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]+[:=].+$" }),
        Shape::Argument(Argument::Tmpfs) => json!({ "type": "string", "pattern": "^/[^:]+(:.*)?$" }),
        Shape::Argument(Argument::Gpus) => {
            json!({ "type": ["string", "integer"], "minimum": 1, "pattern": "^(all|[1-9][0-9]*)$" })
        }
        Shape::Anything => json!({}),
    }
}

fn reference(place: Place) -> String {
    format!("#/$defs/{}", place.schema_name())
}
