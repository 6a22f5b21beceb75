//! `pipelens explain`: what a finding means and how to fix it.

use pipelens_core::diagnostic::Code;

use super::output::{EXIT_USAGE, complain, print};

/// Prints the page of a code, or the list of all codes.
pub(crate) fn explain(code: Option<&str>) -> anyhow::Result<u8> {
    let Some(wanted) = code else { return print(&list()) };
    match Code::named(wanted) {
        Some(code) => print(code.explanation()),
        None => {
            let near = Code::nearest(wanted);
            let hint = near.map(|code| format!(" Did you mean `{}`?", code.as_str())).unwrap_or_default();
            complain(&format!("Unknown code `{wanted}`.{hint} `pipelens explain` lists all codes"));
            Ok(EXIT_USAGE)
        }
    }
}

fn list() -> String {
    let width = Code::ALL.iter().map(|code| code.as_str().len()).max().unwrap_or_default();
    Code::ALL.iter().fold(String::new(), |mut text, code| {
        let title = title(code.explanation());
        text.push_str(format!("{:width$}  {title}", code.as_str()).trim_end());
        text.push('\n');
        text
    })
}

/// Returns the first sentence of a page, below its heading.
fn title(page: &str) -> &str {
    let line = page.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    line.split_inclusive(". ").next().unwrap_or_default().trim_end()
}
