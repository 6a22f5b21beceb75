//! The JSON schema of the spellings people write, generated from the vocabulary.

use serde_json::{Map, Value, json};

use crate::keys::{self, Argument, POLICIES, Place, Shape};
use crate::runners::RUNNERS;

const ENV_NAME: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
const SERVICE_NAME: &str = "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";

pub(crate) fn schema() -> String {
    let places = [
        ("step", Place::Step),
        ("wait", Place::Wait),
        ("waitOptions", Place::WaitOptions),
        ("cache", Place::Cache),
        ("trigger", Place::Trigger),
        ("runnerArguments", Place::RunnerArguments),
        ("services", Place::Services),
        ("service", Place::Service),
        ("plan", Place::Plan),
        ("graph", Place::Graph),
        ("node", Place::Node),
        ("planStep", Place::PlanStep),
        ("envelope", Place::Envelope),
        ("envelopePipeline", Place::EnvelopePipeline),
        ("pipeline", Place::Pipeline),
    ];
    let definitions: Map<String, Value> =
        places.into_iter().map(|(name, place)| (name.to_owned(), object(place))).collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pipeline",
        "description": "A CI pipeline: written by hand with `steps`, or generated as a plan with `graph`, alone or in an envelope.",
        // `steps` makes a document an authored one, `graph` a plan: what has both is neither.
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
    if place == Place::Services {
        return services();
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
    match place {
        Place::Pipeline => drop(more.insert("patternProperties".to_owned(), json!({ "^x-": true }))),
        Place::Cache => drop(more.insert("allOf".to_owned(), policy_needs())),
        _ => {}
    }
    object
}

/// The keys are names of hosts.
fn services() -> Value {
    json!({
        "type": "object",
        "propertyNames": { "pattern": SERVICE_NAME, "not": { "const": "localhost" } },
        "additionalProperties": { "$ref": reference(Place::Service) },
    })
}

/// What else has to be there for each policy.
fn policy_needs() -> Value {
    let needs = POLICIES.iter().map(|(policy, _)| (policy, keys::policy_needs(policy)));
    let rules = needs.filter(|(_, needed)| !needed.is_empty()).map(|(policy, needed)| {
        json!({
            "if": { "properties": { "policy": { "const": policy } }, "required": ["policy"] },
            "then": { "required": needed },
        })
    });
    rules.collect()
}

fn shape(wanted: &Shape) -> Value {
    match wanted {
        Shape::Text => json!({ "type": "string" }),
        Shape::NonEmptyText | Shape::Image | Shape::StepKey => json!({ "type": "string", "minLength": 1 }),
        // How bytes are counted and what can be seen is for the checks.
        Shape::Name => json!({ "type": "string", "minLength": 1 }),
        Shape::AbsolutePath => json!({ "type": "string", "pattern": "^/" }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Version(known) => json!({ "const": known }),
        Shape::OneOf(names) => json!({ "enum": names }),
        Shape::Policy => json!({ "enum": POLICIES.iter().map(|(name, _)| name).collect::<Vec<_>>() }),
        Shape::Runner => json!({ "enum": RUNNERS.iter().map(|runner| runner.name).collect::<Vec<_>>() }),
        Shape::StepKeys => {
            let key = json!({ "type": "string", "minLength": 1 });
            json!({ "anyOf": [key, { "type": "array", "items": key }] })
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
        Shape::Map(Place::WaitOptions) => {
            json!({ "anyOf": [{ "$ref": reference(Place::WaitOptions) }, { "type": "null" }] })
        }
        Shape::Map(place) => json!({ "$ref": reference(*place) }),
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
            json!({ "type": "string", "minLength": 1, "not": { "pattern": "^(host$|container:)" } })
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
        Shape::Anything => json!({}),
    }
}

fn reference(place: Place) -> &'static str {
    match place {
        Place::Pipeline => "#/$defs/pipeline",
        Place::Step => "#/$defs/step",
        Place::Wait => "#/$defs/wait",
        Place::WaitOptions => "#/$defs/waitOptions",
        Place::Cache => "#/$defs/cache",
        Place::Trigger => "#/$defs/trigger",
        Place::RunnerArguments => "#/$defs/runnerArguments",
        Place::Services => "#/$defs/services",
        Place::Service => "#/$defs/service",
        Place::Plan => "#/$defs/plan",
        Place::Graph => "#/$defs/graph",
        Place::Node => "#/$defs/node",
        Place::PlanStep => "#/$defs/planStep",
        Place::Envelope => "#/$defs/envelope",
        Place::EnvelopePipeline => "#/$defs/envelopePipeline",
    }
}
