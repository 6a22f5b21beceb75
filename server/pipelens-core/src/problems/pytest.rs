//! pytest's reports, in its long and short styles, and Python's own tracebacks: frames from the outermost to the innermost, and what went wrong.

use super::problem::{Place, Problem};
use crate::diagnostic::Severity;

const MAX_FRAMES: usize = 100;
/// Lines of a message that are kept.
const MAX_LINES: usize = 10;

/// What was read of a failure so far.
#[derive(Debug, Default)]
pub(super) struct Pytest {
    frames: Vec<Place>,
    /// The lines that begin with `E`.
    errors: Vec<String>,
    style: Style,
    /// Whether this is the part of the report with the failures.
    is_in_failures: bool,
    /// Whether this is what a failed test has printed.
    is_captured: bool,
    /// Whether the last line belongs to a report.
    has_taken: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Style {
    #[default]
    None,
    /// The place comes after the error.
    Long,
    /// The error comes after the place.
    Short,
    /// A traceback of Python itself.
    Traceback,
}

impl Pytest {
    /// Whether the last line that was read belongs to a report.
    pub(super) fn has_taken(&self) -> bool {
        self.has_taken
    }

    /// Reads a line; returns the failure that it completes.
    pub(super) fn read(&mut self, line: &str) -> Option<Problem> {
        self.has_taken = true;
        self.follow_headings(line);
        if !self.is_failure()
            && let Some(problem) = warning(line)
        {
            return Some(problem);
        }
        if let Some(text) = line.strip_prefix('E').filter(|text| text.starts_with("   ")) {
            if self.errors.len() < MAX_LINES {
                self.errors.push(text.trim_start().to_owned());
            }
            if let Some(place) = python_frame(text) {
                self.push(place);
            }
            return None;
        }
        if let Some(place) = python_frame(line) {
            let done = if self.style == Style::Traceback { None } else { self.finish() };
            self.style = Style::Traceback;
            self.push(place);
            return done;
        }
        if let Some((place, rest)) = location(line) {
            return self.read_location(place, rest);
        }
        if let Some(place) = definition(line) {
            return self.begin_short(place);
        }
        if self.style == Style::Traceback {
            return self.read_traceback(line);
        }
        if self.style == Style::Short && !self.errors.is_empty() {
            self.has_taken = false;
            return self.finish();
        }
        if line.starts_with("____") || line.starts_with("====") {
            let done = self.finish();
            self.has_taken = false;
            return done;
        }
        self.has_taken = false;
        None
    }

    /// The report has ended.
    pub(super) fn finish(&mut self) -> Option<Problem> {
        let (frames, errors) = (std::mem::take(&mut self.frames), std::mem::take(&mut self.errors));
        let style = std::mem::take(&mut self.style);
        // A stack without an error is none.
        if frames.is_empty() || errors.is_empty() {
            return None;
        }
        Some(problem(frames, &errors, if style == Style::Traceback { "python" } else { "pytest" }))
    }

    fn push(&mut self, place: Place) {
        if self.frames.len() == MAX_FRAMES {
            self.frames.remove(0);
        }
        self.frames.push(place);
    }

    fn follow_headings(&mut self, line: &str) {
        if line.starts_with("====") {
            self.is_in_failures = matches!(line.trim_matches(['=', ' ']), "FAILURES" | "ERRORS");
            self.is_captured = false;
        } else if line.starts_with("----") && line.contains(" Captured ") {
            self.is_captured = true;
        } else if line.starts_with("____") {
            self.is_captured = false;
        }
    }

    /// Whether a line is pytest's own about a failure. Warnings are failures there, because they are only named if they count as errors.
    fn is_failure(&self) -> bool {
        self.is_in_failures && !self.is_captured
    }

    /// Takes in a place after which the error comes.
    fn begin_short(&mut self, place: Place) -> Option<Problem> {
        let done = if self.style == Style::Short && self.errors.is_empty() { None } else { self.finish() };
        self.style = Style::Short;
        self.push(place);
        done
    }

    fn read_location(&mut self, place: Place, rest: &str) -> Option<Problem> {
        if rest.starts_with("in ") {
            return self.begin_short(place);
        }
        if rest.is_empty() {
            self.style = Style::Long;
            self.push(place);
            return None;
        }
        let (name, message) = rest.split_once(": ").unwrap_or((rest, ""));
        let is_assertion = rest.starts_with("assert ");
        if !(is_exception(name) || is_assertion || self.is_failure() && is_class(name)) {
            self.has_taken = false;
            return None;
        }
        // `--tb=line` has the message here, the long style before it.
        if !message.is_empty() || is_assertion {
            self.errors = vec![rest.to_owned()];
            self.frames.clear();
        }
        if self.errors.is_empty() {
            self.errors.push(rest.to_owned());
        }
        self.push(place);
        self.style = Style::Long;
        self.finish()
    }

    fn read_traceback(&mut self, line: &str) -> Option<Problem> {
        if line.starts_with([' ', '\t']) {
            return None;
        }
        let name = line.split(':').next().unwrap_or_default();
        if is_exception(name) || (line.contains(": ") && is_name(name)) {
            self.errors = vec![line.to_owned()];
            return self.finish();
        }
        let done = self.finish();
        self.has_taken = false;
        done
    }
}

fn problem(frames: Vec<Place>, errors: &[String], tool: &str) -> Problem {
    let is_error = |line: &&String| is_exception(line.split(':').next().unwrap_or_default());
    // The first lines may quote the source.
    let first = errors.iter().position(|line| is_error(&line)).unwrap_or(0);
    let mut message = String::new();
    for line in errors.get(first..).unwrap_or_default() {
        if !message.is_empty() {
            message.push('\n');
        }
        message.push_str(line);
    }
    let mut problem = Problem::new(Place::default(), Severity::Error, message);
    problem.places = frames;
    problem.tool = Some(tool.to_owned());
    problem
}

/// Reads `  File "path", line 3, in name`.
fn python_frame(line: &str) -> Option<Place> {
    let rest = line.trim_start().strip_prefix("File \"")?;
    let (file, rest) = rest.split_once("\", line ")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let line = rest.get(..digits)?.parse().ok()?;
    Some(Place { file: file.to_owned(), line, ..Place::default() })
}

/// Reads `path.py:3: rest`.
fn location(line: &str) -> Option<(Place, &str)> {
    let (file, rest) = line.split_once(".py:")?;
    if file.is_empty() || file.starts_with([' ', '\t']) {
        return None;
    }
    let (number, rest) = rest.split_once(':')?;
    let place = Place { file: format!("{file}.py"), line: number.parse().ok()?, ..Place::default() };
    Some((place, rest.trim()))
}

/// Reads `file path.py, line 3`: where the test is defined that asks for a fixture.
fn definition(line: &str) -> Option<Place> {
    let (file, line) = line.strip_prefix("file ")?.rsplit_once(", line ")?;
    let line = line.parse().ok().filter(|_| file.ends_with(".py"))?;
    Some(Place { file: file.to_owned(), line, ..Place::default() })
}

/// Reads a warning of Python, which pytest indents: `path.py:3: UserWarning: message`.
fn warning(line: &str) -> Option<Problem> {
    let (place, rest) = location(line.trim_start())?;
    let (name, message) = rest.split_once(": ")?;
    if !name.ends_with("Warning") || !is_name(name) || message.is_empty() {
        return None;
    }
    let mut problem = Problem::new(place, Severity::Warning, rest.to_owned());
    problem.tool = Some("python".to_owned());
    Some(problem)
}

/// Whether a word can be the name of an exception, whatever its end.
fn is_class(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    is_name(name) && last.starts_with(|first: char| first.is_ascii_uppercase())
}

/// Whether a word is the name of an exception.
fn is_exception(name: &str) -> bool {
    const ENDS: [&str; 7] = ["Error", "Exception", "Warning", "Failed", "Exit", "Interrupt", "Iteration"];
    is_name(name) && ENDS.iter().any(|end| name.ends_with(end))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}
