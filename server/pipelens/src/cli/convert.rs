//! `pipelens convert`: from one format to another.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use pipelens_core::convert::{to_plan, to_yaml};
use pipelens_core::diagnostic::Severity;

use super::checked::Checked;
use super::output::{EXIT_USAGE, complain, print, warn};

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// The pipeline file in any format, or `-` for standard input
    file: PathBuf,
    /// Target format
    #[arg(long, value_enum)]
    to: TargetFormat,
    /// Pipeline name or zero-based index, if the file has several and the target is a plan
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TargetFormat {
    /// Pipeline YAML; every pipeline of the file becomes a document
    Yaml,
    /// Plan JSON (wire format v0)
    Plan,
    /// Programs only: the envelope, as their SDK prints it
    Envelope,
}

/// Prints the file in the other format. What that cannot express is reported, and a file with errors is not converted.
pub(crate) fn convert(args: &ConvertArgs) -> anyhow::Result<u8> {
    let file = Checked::made(&args.file)?;
    if file.analysis.is_repaired || file.has_errors() {
        super::output::show_findings(&super::render::findings(&file, Severity::Error));
        complain(&format!("`{}` has errors and cannot be converted; fix them first", file.path.display()));
        return Ok(EXIT_USAGE);
    }
    let converted = match args.to {
        TargetFormat::Yaml => to_yaml(&file.analysis),
        TargetFormat::Envelope => {
            let Some(envelope) = &file.envelope else {
                complain(&format!("`{}` is no program, so no SDK has printed an envelope for it", file.path.display()));
                return Ok(EXIT_USAGE);
            };
            return print(envelope);
        }
        TargetFormat::Plan => match file.choose(args.pipeline.as_deref()) {
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
