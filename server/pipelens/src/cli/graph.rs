//! `pipelens graph`: a pipeline as a picture.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use pipelens_core::diagnostic::Severity;
use pipelens_core::graph::{Drawing, draw, graph};

use super::checked::Checked;
use super::files;
use super::output::{EXIT_USAGE, Format, complain, print, print_quoting, show_findings};
use crate::project;

#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// The pipeline file, or `-` for standard input [default: the only pipeline in this directory and below]
    file: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    format: GraphFormat,
    /// Pipeline name or zero-based index, if the file has several
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GraphFormat {
    /// Mermaid, for Markdown files
    Mermaid,
    /// DOT, for Graphviz
    Dot,
    /// An image for light and dark backgrounds
    Svg,
    /// A tree for the terminal
    Text,
}

impl GraphFormat {
    fn drawing(self) -> Drawing {
        match self {
            Self::Mermaid => Drawing::Mermaid,
            Self::Dot => Drawing::Dot,
            Self::Svg => Drawing::Svg,
            Self::Text => Drawing::Text,
        }
    }
}

/// Draws what could be parsed, even if the file has mistakes.
pub(crate) fn show(args: &GraphArgs) -> anyhow::Result<u8> {
    let file = Checked::made(&files::only(args.file.as_deref())?)?;
    let chosen = file.choose(args.pipeline.as_deref()).map(|index| file.analysis.pipelines.get(index));
    match chosen {
        Ok(Some(pipeline)) if !pipeline.steps.is_empty() => {
            let drawn = draw(&graph(pipeline, &project::stem_of(&file.path)), args.format.drawing());
            match args.format {
                GraphFormat::Text => print_quoting(&drawn, Format::Human),
                GraphFormat::Mermaid | GraphFormat::Dot | GraphFormat::Svg => print(&drawn),
            }
        }
        Ok(_) if file.analysis.language.is_some() && file.has_errors() => {
            show_findings(&super::render::findings(&file, Severity::Error));
            complain(&format!("`{}` has errors and cannot be drawn; fix them first", file.path.display()));
            Ok(EXIT_USAGE)
        }
        Ok(_) => {
            complain(&format!("`{}` has no steps to draw", file.path.display()));
            Ok(EXIT_USAGE)
        }
        Err(why) => {
            complain(&why);
            Ok(EXIT_USAGE)
        }
    }
}
