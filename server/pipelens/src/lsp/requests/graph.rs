//! A pipeline as a picture that the editor can open.

use std::path::PathBuf;

use pipelens_core::graph::{Drawing, draw as draw_graph, graph};

use pipelens_engine::private;

use crate::lsp::protocol::commands::PipelineRef;
use crate::lsp::runs::registry::pipeline_index;
use crate::lsp::session::documents::Document;
use crate::project;

/// The graph of a pipeline, drawn twice.
pub(crate) struct Picture {
    /// An SVG file in the user's state folder; drawing the same pipeline again replaces it.
    pub(crate) path: PathBuf,
    pub(crate) mermaid: String,
}

/// Draws what could be read of a document, even with mistakes in it.
pub(crate) fn draw(document: &Document, wanted: Option<&PipelineRef>) -> Result<Picture, String> {
    let index = pipeline_index(document, wanted)?;
    let pipelines = &document.analysis.pipelines;
    let pipeline = pipelines.get(index).filter(|pipeline| !pipeline.steps.is_empty());
    let pipeline = pipeline.ok_or("There are no steps to draw")?;
    let stem = document.path().map_or_else(|| "pipeline".to_owned(), |path| project::stem_of(&path));
    let graph = graph(pipeline, &stem);
    let folder = project::state_dir().map_err(|error| format!("{error:#}"))?.join("graphs");
    // A URI is longer than a file's name may be; its hash is not.
    let name = format!("{stem}-{:016x}-{index}.svg", hash(document.uri.as_str()));
    let path = folder.join(name);
    let drawn = draw_graph(&graph, Drawing::Svg);
    let written = private::create_folder(&folder).and_then(|()| private::write(&path, drawn.as_bytes()));
    written.map_err(|error| format!("Cannot write {}: {error}", path.display()))?;
    Ok(Picture { path, mermaid: draw_graph(&graph, Drawing::Mermaid) })
}

fn hash(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
