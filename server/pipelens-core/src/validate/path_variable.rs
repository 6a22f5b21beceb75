//! Variables in `env` that are meant to extend another value, and replace it.

use crate::diagnostic::{Code, Diagnostic};
use crate::text::TextRange;

/// Where an image has the programs that every command needs.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/bin", "/bin"];

/// Finds a variable whose value names the variable itself, and a `PATH` on which no ordinary program is found. `range` is that of the value.
pub(super) fn replaced(name: &str, value: &str, range: TextRange) -> Option<Diagnostic> {
    let message = if is_own_name_in(name, value) {
        format!(
            "A variable in `env` is not expanded, so the value of `{name}` contains the characters `${name}`, and does not extend what the image has. Extend it in `cmd`: `export {name}=\"{}\"`.",
            value.trim()
        )
    } else if name == "PATH" && !value.is_empty() && !value.split(':').any(|folder| SYSTEM_FOLDERS.contains(&folder)) {
        format!(
            "This `PATH` replaces that of the image, and contains neither `/usr/bin` nor `/bin`, so most commands are not found. Add them, or extend it in `cmd`: `export PATH=\"{}:$PATH\"`.",
            value.trim()
        )
    } else {
        return None;
    };
    Some(Diagnostic::new(Code::ReplacedVariable, range, message))
}

/// Whether a value contains `$NAME` or `${NAME}`.
fn is_own_name_in(name: &str, value: &str) -> bool {
    value.match_indices('$').any(|(at, _)| {
        let rest = value.get(at + 1..).unwrap_or_default();
        let (rest, end) = rest.strip_prefix('{').map_or((rest, None), |rest| (rest, Some('}')));
        let Some(after) = rest.strip_prefix(name).filter(|_| !name.is_empty()) else { return false };
        match end {
            Some(end) => after.starts_with([end, ':']),
            None => !after.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_'),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_replaced(name: &str, value: &str) -> bool {
        replaced(name, value, TextRange::at(0)).is_some()
    }

    #[test]
    fn only_values_that_cannot_be_meant_are_found() {
        for (name, value) in [
            ("PATH", "/opt/bin:$PATH"),
            ("PATH", "/opt/bin"),
            ("PATH", "${PATH}:/usr/bin"),
            ("PYTHONPATH", "src:${PYTHONPATH:-}"),
            ("LD_LIBRARY_PATH", "$LD_LIBRARY_PATH"),
        ] {
            assert!(is_replaced(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("PATH", "/opt/bin:/usr/bin:/bin"),
            ("PATH", "/bin"),
            ("PATH", ""),
            ("PATH_INFO", "$PATH"),
            ("A", "$AB ${AB} $ B"),
            ("RUSTFLAGS", "-C link-arg=-Wl,-rpath,$ORIGIN"),
            ("PASSWORD", "a$b"),
        ] {
            assert!(!is_replaced(name, value), "{name}={value}");
        }
    }
}
