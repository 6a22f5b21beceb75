//! The keys of plans and envelopes, which generators write.

use super::common::{
    CACHE, CMD_DOC, CMD_EXAMPLE, DEFAULT_IMAGE, IMAGE, LABEL, NAME, PIPELINE_TIMEOUT, RETRY, RUNNER, SECRETS,
    SOFT_FAIL, STEP_KEY, STEP_TIMEOUT, TEXTS, TRIGGERS, VERSION, WORKDIR,
};
use super::key::Key;
use super::place::Place;
use super::shape::Shape;

const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key::required(name, shape, doc)
}

const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key::optional(name, shape, doc)
}

pub(super) const PLAN: &[Key] = &[
    VERSION,
    NAME,
    DEFAULT_IMAGE,
    PIPELINE_TIMEOUT,
    required("graph", Shape::Map(Place::Graph), "The steps and the connections between them."),
];

pub(super) const GRAPH: &[Key] = &[
    required(
        "nodes",
        Shape::List { of: &Shape::Map(Place::Node), may_be_empty: true },
        "The steps. Edges refer to them by position.",
    ),
    required(
        "edges",
        Shape::List { of: &Shape::Edge, may_be_empty: true },
        "Connections: `[from, to, \"builds_in\"]` or `[from, to, \"depends_on\"]`.",
    ),
    optional("node_holes", Shape::List { of: &Shape::Anything, may_be_empty: true }, "Left empty by every generator."),
    optional("edge_property", Shape::OneOf(&["directed"]), "Always `directed`."),
];

pub(super) const NODE: &[Key] = &[
    required("step", Shape::Map(Place::PlanStep), "What this node runs."),
    required("env", Shape::PlanEnv, "The final environment of the step: names and their values, which are strings."),
];

pub(super) const PLAN_STEP: &[Key] = &[
    STEP_KEY,
    LABEL,
    required("cmd", Shape::Text, CMD_DOC).example(CMD_EXAMPLE),
    IMAGE,
    optional("env", Shape::PlanEnv, "Written by generators, but not used; the node's `env` is."),
    STEP_TIMEOUT,
    WORKDIR,
    CACHE,
    RUNNER,
    optional("runner_args", Shape::Anything, "Options for the runner, checked by the runner itself."),
    optional(
        "artifacts",
        TEXTS,
        "Globs relative to `workdir`: matching files are copied to this machine after the step succeeds.",
    ),
    SECRETS,
    SOFT_FAIL,
    RETRY,
];

pub(super) const ENVELOPE: &[Key] = &[
    required("schema_version", Shape::Version("1"), "The version of the envelope. Only `\"1\"` exists."),
    required(
        "pipelines",
        Shape::List { of: &Shape::Map(Place::EnvelopePipeline), may_be_empty: true },
        "The pipelines, each with its name and its plan.",
    ),
];

pub(super) const ENVELOPE_PIPELINE: &[Key] = &[
    required("slug", Shape::Name, "The pipeline's name in URLs and on the command line."),
    optional("name", Shape::Text, "The name shown to people instead of the slug."),
    optional("allow_manual", Shape::Bool, "Whether people may start it manually."),
    TRIGGERS,
    required("definition", Shape::Map(Place::Plan), "The plan."),
];
