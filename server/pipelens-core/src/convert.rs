//! Conversion between spellings: a plan or an envelope becomes an authored pipeline, and that becomes a plan again.

mod converted;
mod plan;
mod yaml;

use crate::analysis::Analysis;
use crate::expand::expand;
use crate::model::Pipeline;

pub use converted::Converted;

/// Writes every pipeline of a document as the YAML people write, one document each.
pub fn to_yaml(analysis: &Analysis) -> Converted {
    let mut losses = Vec::new();
    let envelopes = yaml::Envelopes::of(&analysis.tree);
    let documents: Vec<String> =
        analysis.pipelines.iter().map(|pipeline| yaml::document(&envelopes, pipeline, &mut losses)).collect();
    Converted { text: documents.join("---\n"), losses }
}

/// Writes one pipeline as plan JSON, wire format v0.
pub fn to_plan(pipeline: &Pipeline) -> Converted {
    plan::write(&expand(pipeline))
}
