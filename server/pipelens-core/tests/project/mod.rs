//! A project of two entries and no secrets of AWS, and a linter that knows one thing, for what the core is told from outside.

use std::sync::Arc;

use pipelens_core::diagnostic::Severity;
use pipelens_core::shell::Dialect;
use pipelens_core::text::{TextEdit, TextRange};
use pipelens_core::{Project, Remark};

pub(crate) struct Small;

impl Project for Small {
    fn has_match(&self, path: &str) -> Option<bool> {
        Some(matches!(path, "Cargo.lock" | "src"))
    }

    fn has_folder(&self, path: &str) -> Option<bool> {
        Some(matches!(path, "frontend" | "src"))
    }

    fn has_secret(&self, name: &str) -> Option<bool> {
        Some(!name.starts_with("AWS_"))
    }

    /// Asks for quotes around every bare variable in capitals, and what happens if the first `cd` fails.
    fn remarks(&self, command: &str, _: Dialect) -> Arc<[Remark]> {
        let starts = command.match_indices('$').map(|(start, _)| start);
        let starts = starts.filter(|start| {
            command.get(..*start).is_some_and(|before| !before.ends_with(|c: char| !c.is_whitespace()))
        });
        let remark = |start: usize| {
            let name = command.get(start + 1..).unwrap_or_default();
            let length = name.bytes().take_while(u8::is_ascii_uppercase).count();
            let end = start + 1 + length;
            let quote = |offset| TextEdit { range: TextRange::at(offset), new_text: "\"".to_owned() };
            (length > 0).then(|| Remark {
                range: TextRange::new(start, end),
                severity: Severity::Information,
                message: "Put it in quotes (SC2086).".to_owned(),
                fix: vec![quote(start), quote(end)],
            })
        };
        let unchecked = command.find("cd ").map(|start| Remark {
            range: TextRange::new(start, start + 2),
            severity: Severity::Warning,
            message: "Use 'cd ... || exit' (SC2164).".to_owned(),
            fix: Vec::new(),
        });
        starts.filter_map(remark).chain(unchecked).collect()
    }
}
