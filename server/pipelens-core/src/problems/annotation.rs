//! Annotations for GitHub that tools print: `::error file=a.py,line=1,col=8::message`.

use super::problem::{Place, Problem, severity_of};

/// Reads an annotation.
pub(super) fn read(line: &str) -> Option<Problem> {
    let rest = line.trim_start().strip_prefix("::")?;
    let (head, message) = rest.split_once("::")?;
    let (word, properties) = head.split_once(' ')?;
    let severity = severity_of(word)?;
    let (mut place, mut title) = (Place::default(), String::new());
    for (name, value) in properties.split(',').filter_map(|property| property.split_once('=')) {
        match name.trim() {
            "file" => place.file = unescaped(value),
            "line" => place.line = value.parse().ok()?,
            "endLine" => place.end_line = value.parse().ok(),
            "col" => place.column = value.parse().ok(),
            "endColumn" => place.end_column = value.parse().ok(),
            "title" => title = unescaped(value),
            _ => {}
        }
    }
    if place.file.is_empty() || place.line == 0 {
        return None;
    }
    // A range over several lines has no columns.
    if place.column.is_none() {
        place.end_line = None;
    }
    let mut problem = Problem::new(place, severity, unescaped(message));
    // `ruff (F401)`
    if let Some((tool, code)) = title.strip_suffix(')').and_then(|title| title.split_once(" (")) {
        problem.tool = Some(tool.to_owned());
        problem.code = Some(code.to_owned());
        let place = problem.places.first().map(|place| format!(":{}:", place.line)).unwrap_or_default();
        // The message repeats where it is.
        if let Some((_, rest)) = problem.message.split_once(&place)
            && let Some((_, text)) = rest.split_once(": ")
        {
            problem.message = text.trim_start_matches(code).trim_start_matches([':', ' ']).to_owned();
        }
    }
    Some(problem)
}

fn unescaped(text: &str) -> String {
    text.replace("%0A", "\n").replace("%0D", "").replace("%3A", ":").replace("%2C", ",").replace("%25", "%")
}
