//! `pipelens explain`: what a finding means and how to fix it.

mod page;

use pipelens_core::diagnostic::Code;

use super::output::{EXIT_USAGE, complain, print};
pub(super) use page::summary;

/// Longer lines are hard to read.
const MAX_COLUMNS: usize = 100;

/// Where the output is not a terminal.
const USUAL_COLUMNS: usize = 80;

/// Prints the page of a code, or the list of all codes.
pub(crate) fn explain(code: Option<&str>) -> anyhow::Result<u8> {
    let Some(wanted) = code else { return print(&list(columns())) };
    match Code::named(wanted) {
        Some(code) => print(&page::render(code, columns())),
        None => {
            let near = Code::nearest(wanted);
            let hint = near.map(|code| format!(" Did you mean `{}`?", code.as_str())).unwrap_or_default();
            complain(&format!("Unknown code `{wanted}`.{hint} `pipelens explain` lists all codes"));
            Ok(EXIT_USAGE)
        }
    }
}

fn columns() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map_or(USUAL_COLUMNS, |(width, _)| usize::from(width.0).min(MAX_COLUMNS))
}

fn list(columns: usize) -> String {
    let width = Code::ALL.iter().map(|code| code.as_str().len()).max().unwrap_or_default();
    Code::ALL.iter().fold(String::new(), |mut text, code| {
        let first = format!("{:width$}  ", code.as_str());
        page::wrap(&mut text, code.title(), &first, &" ".repeat(width + 2), columns);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_every_code_with_its_title_and_fits_the_terminal() {
        for columns in [60, 100] {
            let list = list(columns);
            let one_line = list.split_whitespace().collect::<Vec<_>>().join(" ");
            for code in Code::ALL {
                assert!(one_line.contains(&format!("{} {}", code.as_str(), code.title())), "{list}");
            }
            assert!(list.lines().all(|line| line.chars().count() <= columns), "{list}");
        }
    }
}
