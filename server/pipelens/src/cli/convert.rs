//! `pipelens convert`: from one spelling to another.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use pipelens_core::convert::{to_plan, to_yaml};
use pipelens_core::diagnostic::Severity;

use super::checked::Checked;
use super::{EXIT_USAGE, complain, print, warn};

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// The pipeline file in any spelling, or `-` for standard input
    file: PathBuf,
    /// The spelling that is wanted
    #[arg(long, value_enum)]
    to: Spelling,
    /// Which pipeline of a file with several becomes the plan: its name, or its place from 0
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Spelling {
    /// The YAML people write; every pipeline of the file becomes a document
    Yaml,
    /// Plan JSON, wire format v0
    Plan,
}

/// Prints the other spelling. What it has no place for is said, and a file with errors is not converted.
pub(crate) fn convert(args: &ConvertArgs) -> anyhow::Result<u8> {
    let file = Checked::read(&args.file)?;
    if file.analysis.is_repaired || file.has_errors() {
        super::show_findings(&file.render(Severity::Error));
        complain(&format!("`{}` has errors, so nobody can know what it means", file.path.display()));
        return Ok(EXIT_USAGE);
    }
    let converted = match args.to {
        Spelling::Yaml => to_yaml(&file.analysis),
        Spelling::Plan => match file.choose(args.pipeline.as_deref()) {
            Ok(index) => match file.analysis.pipelines.get(index) {
                Some(pipeline) => to_plan(pipeline),
                None => return Ok(EXIT_USAGE),
            },
            Err(why) => {
                complain(&why);
                return Ok(EXIT_USAGE);
            }
        },
    };
    for loss in &converted.losses {
        warn(loss);
    }
    print(&converted.text)
}
