//! From one spelling to another: a plan or an envelope becomes what people write, and that becomes a plan again.

mod plan;
mod yaml;

use crate::analysis::Analysis;
use crate::model::Pipeline;

/// A text in another spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    pub text: String,
    /// One sentence for each thing the other spelling has no place for.
    pub losses: Vec<String>,
}

/// Writes every pipeline of a text as the YAML people write, one document each.
pub fn to_yaml(analysis: &Analysis) -> Converted {
    let mut losses = Vec::new();
    let envelopes = yaml::Envelopes::of(&analysis.tree);
    let documents: Vec<String> =
        analysis.pipelines.iter().map(|pipeline| yaml::document(&envelopes, pipeline, &mut losses)).collect();
    Converted { text: documents.join("---\n"), losses }
}

/// Writes one pipeline as plan JSON, wire format v0.
pub fn to_plan(pipeline: &Pipeline) -> Converted {
    plan::write(pipeline)
}
