//! `pipelens check`: prints the findings of files, and with `--fix` applies fixes.

use std::path::{Path, PathBuf};

use clap::Args;

use super::checked::{Checked, STANDARD_INPUT};
use super::output::{EXIT_USAGE, complain, print, show_findings, warn};
use super::report::{self, ReportFormat};
use super::{files, replace};

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Files, directories, globs, or `-` for standard input [default: all pipelines in this directory and below]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Human)]
    format: ReportFormat,
    /// Apply all safe fixes; for standard input, print the fixed text
    #[arg(long)]
    fix: bool,
}

/// Checks files one by one. A file that cannot be read does not stop the others from being checked.
pub(crate) async fn check(args: &CheckArgs) -> u8 {
    let (paths, complaints) = files::find(&args.paths);
    let mut is_unusable = !complaints.is_empty();
    for error in complaints {
        complain(&format!("{error:#}"));
    }
    let mut checked = Vec::new();
    for path in &paths {
        match Checked::read(path).and_then(|file| if args.fix { fixed(path, file) } else { Ok(file) }) {
            Ok(mut file) => {
                // All other findings are there without it.
                if let Err(error) = file.lint().await {
                    warn(&format!("{error:#}; its findings in `{}` are missing", path.display()));
                }
                checked.push(file);
            }
            Err(error) => {
                complain(&format!("{error:#}"));
                is_unusable = true;
            }
        }
    }
    let report = report::write(&checked, args.format);
    // The fixed text is printed to standard output, where its reader expects it, so the findings go to standard error.
    let printed = match checked.iter().find(|_| args.fix && paths.iter().any(|path| path.as_os_str() == STANDARD_INPUT))
    {
        Some(file) => {
            show_findings(&report);
            print(&file.text)
        }
        None => print(&report),
    };
    if let Err(error) = printed {
        complain(&format!("Cannot print the findings: {error:#}"));
        return EXIT_USAGE;
    }
    match (is_unusable, checked.iter().any(Checked::has_errors)) {
        (true, _) => EXIT_USAGE,
        (false, true) => 1,
        (false, false) => 0,
    }
}

fn fixed(path: &Path, file: Checked) -> anyhow::Result<Checked> {
    let format = pipelens_core::Format::of(&file.path);
    let Some(fixed) = crate::fix::fix(&file.text, format, &file.analysis.diagnostics, &file.project) else {
        return Ok(file);
    };
    if path.as_os_str() != STANDARD_INPUT {
        replace::replace(path, &fixed.text)?;
    }
    show_findings(&format!("{}: {} applied\n", file.path.display(), crate::present::plural(fixed.edits, "edit")));
    Checked::new(&file.path, fixed.text)
}
