//! Reads CI pipelines: text in, values out. No IO, no clock, no async, no protocol types, and it never fails.

pub mod diagnostic;
pub mod model;
pub mod plan;
pub mod text;
