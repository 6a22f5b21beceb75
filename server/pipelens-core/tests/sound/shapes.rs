//! Texts made to be slow: one construct repeated until the text has a given size. Each shape has a plain sibling of the same size to
//! be measured against.

#[path = "shapes/commands.rs"]
mod commands;
#[path = "shapes/generate.rs"]
mod generate;
#[path = "shapes/json.rs"]
mod json;
#[path = "shapes/pipelines.rs"]
mod pipelines;
#[path = "shapes/texts.rs"]
mod texts;

use std::fmt::Write as _;

use generate::{fill, numbered};

pub(crate) use generate::Shape;

pub(crate) const PLAIN_YAML: Shape = generate::yaml(
    "plain steps",
    numbered!(
        "name: plain\nsteps:\n",
        "  - key: step-{n}\n    label: Build part {n}\n    cmd: cargo build --release\n    image: rust:1.95\n    env:\n      A: b\n",
        ""
    ),
);

pub(crate) const PLAIN_JSON: Shape = generate::json(
    "plain steps in JSON",
    numbered!(
        "{\"steps\": [{\"key\": \"a\", \"cmd\": \"x\"}",
        ",\n  {{\"key\": \"step-{n}\", \"cmd\": \"cargo build --release\", \"image\": \"rust:1.95\"}}",
        "]}"
    ),
);

/// Returns every shape. What is slow in a new way gets a line in one of the lists.
pub(crate) fn shapes() -> impl Iterator<Item = &'static Shape> {
    [&PLAIN_YAML, &PLAIN_JSON]
        .into_iter()
        .chain([pipelines::SHAPES, texts::SHAPES, json::SHAPES, commands::SHAPES].into_iter().flatten())
}
