//! `pipelens check`: prints the findings of files, and with `--fix` applies fixes.

use std::path::{Path, PathBuf};

use clap::Args;

use super::checked::{Checked, Projects, STANDARD_INPUT};
use super::output::{EXIT_USAGE, complain, print, show_findings, warn};
use super::printable::printable;
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
    /// Execute programs (`.hm/*.py`, `.hm/*.ts`) and check what they make, too
    #[arg(long)]
    render: bool,
}

/// Checks files one by one. A file that cannot be read does not stop the others from being checked.
pub(crate) async fn check(args: &CheckArgs) -> u8 {
    let (paths, complaints) = files::find(&args.paths);
    let mut is_unusable = !complaints.is_empty();
    for error in complaints {
        complain(&format!("{error:#}"));
    }
    let mut projects = Projects::default();
    let mut checked = Vec::new();
    for path in &paths {
        let file = Checked::read_in(path, &mut projects);
        match file.and_then(|file| if args.fix { fixed(path, file, &mut projects) } else { Ok(file) }) {
            Ok(mut file) => {
                if args.render
                    && let Err(error) = file.render()
                {
                    complain(&format!("{error:#}"));
                    is_unusable = true;
                }
                checked.push(file);
            }
            Err(error) => {
                complain(&format!("{error:#}"));
                is_unusable = true;
            }
        }
    }
    // All other findings are there without it.
    if let Err(error) = Checked::lint(&mut checked).await {
        warn(&format!("{error:#}; ShellCheck's findings are missing"));
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

fn fixed(path: &Path, file: Checked, projects: &mut Projects) -> anyhow::Result<Checked> {
    let analyse = |text: &str| crate::project_context::analyse(text, &file.path, None);
    let fixed = crate::fix::fix(&file.text, &file.analysis.diagnostics, &file.project, analyse);
    let edits = fixed.as_ref().map_or(0, |fixed| fixed.edits);
    let file = match fixed {
        Some(fixed) => {
            if path.as_os_str() != STANDARD_INPUT {
                replace::replace(path, &fixed.text)?;
            }
            Checked::new(&file.path, fixed.text, projects)?
        }
        None => file,
    };
    show_findings(&report_of_fixes(&file, edits));
    Ok(file)
}

/// Says how much was applied, and which fixes are left for a person to choose.
fn report_of_fixes(file: &Checked, edits: usize) -> String {
    let left: Vec<_> = file.diagnostics.iter().filter_map(|found| Some((found, found.fixes.first()?))).collect();
    let path = file.path.display();
    if edits == 0 && left.is_empty() {
        return String::new();
    }
    let applied = if edits == 0 { "nothing".to_owned() } else { crate::present::plural(edits, "edit") };
    let mut report = match left.len() {
        0 => format!("{path}: {applied} applied\n"),
        1 => format!("{path}: {applied} applied; 1 fix skipped, because only you can tell whether it is right:\n"),
        count => format!(
            "{path}: {applied} applied; {count} fixes skipped, because only you can tell whether they are right:\n"
        ),
    };
    for (found, fix) in left {
        let line = file.analysis.line_index.line(found.range.start) + 1;
        let more = if found.fixes.len() > 1 { " (one of several)" } else { "" };
        report.push_str(&format!("  line {line}, {}: {}{more}\n", found.code.as_str(), printable(&fix.title)));
    }
    report
}
