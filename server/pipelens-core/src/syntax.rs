//! Text → one tree with ranges. Knows YAML and JSON, and nothing about pipelines.

pub(crate) mod json;
pub(crate) mod offsets;
pub(crate) mod parse;
pub(crate) mod patch;
pub(crate) mod repair;
pub(crate) mod scalar;
pub(crate) mod tree;
pub(crate) mod written;
