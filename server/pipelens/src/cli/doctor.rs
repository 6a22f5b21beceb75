//! `pipelens doctor`: looks for the reason why something does not work.

use clap::Args;

use super::output::{Format, print_quoting};
use crate::doctor::examine;
use crate::settings::Settings;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Prints what was found; the exit code is 1 if something has to be put right.
pub(super) async fn doctor(args: DoctorArgs) -> anyhow::Result<u8> {
    // A mistake in the user's settings is one of the findings.
    let settings = Settings::of_user().unwrap_or_default();
    let findings = examine(&settings, None).await;
    let text = match args.format {
        Format::Human => findings.text(),
        Format::Json => format!("{:#}\n", findings.json()),
    };
    print_quoting(&text, args.format)?;
    Ok(u8::from(findings.has_trouble))
}
