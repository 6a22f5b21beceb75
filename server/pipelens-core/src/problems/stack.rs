//! Stacks of calls with the innermost first: Node and its test runners, Go, Java, Ruby. What went wrong comes before them.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use super::problem::{Place, Problem};
use crate::diagnostic::Severity;

const MAX_FRAMES: usize = 100;
/// Lines between what went wrong and the first call.
const MAX_BETWEEN: usize = 40;
/// Lines of a message that are kept.
const MAX_LINES: usize = 8;

/// A language's way to print a stack.
struct Kind {
    tool: &'static str,
    /// What went wrong; it may also say where.
    header: &'static str,
    frame: &'static str,
    /// Whether lines between the two belong to the message.
    has_details: bool,
}

const KINDS: &[Kind] = &[
    Kind {
        tool: "node",
        header: r"^\s*(?:Uncaught )?(?P<message>(?:[A-Z]\w*(?:Error|Exception)|Error)(?: \[\w+\])?: .+)$",
        frame: r"^\s+at (?:.*\()?(?:file://)?(?P<file>(?:[A-Za-z]:[\\/])?[^():\s][^():]*):(?P<line>\d+):(?P<column>\d+)\)?$|^\s*❯ (?:\S+ )?(?P<file_2>[^\s:]+):(?P<line_2>\d+):(?P<column_2>\d+)$",
        has_details: true,
    },
    Kind {
        tool: "jest",
        header: r"^\s+● (?P<message>.+)$",
        frame: r"^\s+at (?:.*\()?(?:file://)?(?P<file>(?:[A-Za-z]:[\\/])?[^():\s][^():]*):(?P<line>\d+):(?P<column>\d+)\)?$",
        has_details: true,
    },
    Kind {
        tool: "go",
        header: r"^(?:(?:panic|fatal error): (?P<message>.+?)(?: \[recovered\])?|WARNING: (?P<message_2>DATA RACE))$",
        frame: r"^\s+(?P<file>\S+\.go):(?P<line>\d+)(?: \+0x[0-9a-f]+)?$",
        has_details: false,
    },
    Kind {
        tool: "java",
        header: r#"^(?:Exception in thread ".*" |Caused by: |\[ERROR\] )?\s*(?P<message>(?:\w+\.)+\w*(?:Exception|Error|Failure)\w*(?::.*)?)$"#,
        frame: r"^\s+at (?:[\w.@-]*/+)*(?P<method>[\w.$<>]+)\((?P<file>[\w-]+\.(?:java|kt|kts|scala|groovy)):(?P<line>\d+)\)$",
        has_details: false,
    },
    Kind {
        tool: "ruby",
        header: r"^(?P<file>[^\s:]+):(?P<line>\d+):in [`'].*': (?P<message>.+)$",
        frame: r"^\s+(?:from )?(?P<file>[^\s:#]+):(?P<line>\d+):in [`'].*'$",
        has_details: false,
    },
    Kind {
        tool: "ruby",
        header: r"^(?P<message>(?:\w+::)*[A-Z]\w*(?:Error|Exception): .+)$",
        frame: r"^\s+(?P<file>[^\s:#]+\.rb):(?P<line>\d+):in [`'].*'$",
        has_details: false,
    },
    Kind {
        tool: "rspec",
        header: r"^\s+(?P<message>Failure/Error: .+)$",
        frame: r"^\s+# (?P<file>[^\s:]+\.rb):(?P<line>\d+):in .*$",
        has_details: true,
    },
    Kind {
        tool: "php",
        header: r"^\d+\) (?P<message>[A-Za-z_][\w\\]*::\w.*)$",
        frame: r"^(?P<file>/\S+\.php):(?P<line>\d+)$",
        has_details: true,
    },
];

static HEADERS: LazyLock<(RegexSet, Vec<Regex>, Vec<Regex>)> = LazyLock::new(|| {
    let set = RegexSet::new(KINDS.iter().map(|kind| kind.header)).unwrap_or_else(|_| RegexSet::empty());
    let compiled = |expression: fn(&Kind) -> &'static str| {
        KINDS.iter().filter_map(|kind| Regex::new(expression(kind)).ok()).collect::<Vec<_>>()
    };
    (set, compiled(|kind| kind.header), compiled(|kind| kind.frame))
});

/// Where a program stopped, before the error is printed: a line of its own in Node.
static PLACE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?:file://)?(?P<file>(?:/|[A-Za-z]:[\\/])[^:]+\.[cm]?[jt]sx?):(?P<line>\d+)$").ok());

/// What was read of a stack so far.
#[derive(Debug, Default)]
pub(super) struct Stack {
    /// The kinds that the header can be of; the first frame decides.
    kinds: Vec<usize>,
    message: String,
    details: Vec<String>,
    frames: Vec<Place>,
    between: usize,
    /// The place that was printed before the error.
    place: Option<(Place, usize)>,
    has_taken: bool,
}

impl Stack {
    /// Whether the last line that was read belongs to a stack.
    pub(super) fn has_taken(&self) -> bool {
        self.has_taken
    }

    /// Reads a line; returns the failure that it ends.
    pub(super) fn read(&mut self, line: &str) -> Option<Problem> {
        self.has_taken = false;
        if let Some((_, age)) = &mut self.place {
            *age += 1;
        }
        if line.ends_with(|last: char| last.is_ascii_digit())
            && let Some(captures) = PLACE.as_ref().and_then(|place| place.captures(line))
        {
            let done = self.finish();
            self.place = place(&captures).map(|place| (place, 0));
            return done;
        }
        if !self.kinds.is_empty() && self.read_frame(line) {
            self.has_taken = true;
            return None;
        }
        let headers: Vec<usize> = HEADERS.0.matches(line).into_iter().collect();
        let is_caused = line.starts_with("Caused by: ");
        if let Some(first) = headers.first().copied()
            && !is_caused
            && self.can_end_before(first)
        {
            let place = self.place.take();
            let done = self.finish();
            self.place = place;
            self.begin(line, headers, first);
            return done;
        }
        if self.kinds.is_empty() {
            return None;
        }
        if !self.frames.is_empty() {
            // Between the calls, Go prints the names of functions.
            // Stacks of the runtime alone do not tell where the program was.
            if self.is_go() && (!line.is_empty() || self.frames.iter().all(is_of_go_itself)) {
                return None;
            }
            // A blank line ends it, but the calls may follow one.
            return self.finish();
        }
        self.between += 1;
        if self.between > MAX_BETWEEN {
            self.clear();
            return None;
        }
        let line = line.trim();
        if !line.is_empty() && !line.starts_with("at ") && self.details.len() < MAX_LINES {
            self.details.push(line.to_owned());
        }
        None
    }

    /// The stack has ended.
    pub(super) fn finish(&mut self) -> Option<Problem> {
        let mut frames = std::mem::take(&mut self.frames);
        if let Some((place, _)) = self.place.take().filter(|(_, age)| *age < 20) {
            let is_known = frames.first().is_some_and(|frame| (&frame.file, frame.line) == (&place.file, place.line));
            if !is_known {
                frames.insert(0, place);
            }
        }
        let kind = self.kinds.first().and_then(|kind| KINDS.get(*kind));
        let (message, details) = (std::mem::take(&mut self.message), std::mem::take(&mut self.details));
        self.clear();
        let kind = kind.filter(|_| !frames.is_empty())?;
        // The innermost is last.
        frames.reverse();
        let mut problem = Problem::new(Place::default(), Severity::Error, message);
        if kind.has_details {
            details.iter().for_each(|line| problem.add_line(line));
        }
        problem.places = frames;
        problem.tool = Some(kind.tool.to_owned());
        Some(problem)
    }

    fn is_go(&self) -> bool {
        self.kinds.first().and_then(|kind| KINDS.get(*kind)).is_some_and(|kind| kind.tool == "go")
    }

    /// Whether a header begins another stack. Test runners print the name of a test, then what went wrong, which looks like a header of its own.
    fn can_end_before(&self, header: usize) -> bool {
        let Some(kind) = self.kinds.first() else { return true };
        let has_name = KINDS.get(*kind).is_some_and(|kind| matches!(kind.tool, "jest" | "rspec" | "php"));
        !has_name || !self.frames.is_empty() || *kind == header
    }

    fn begin(&mut self, line: &str, kinds: Vec<usize>, first: usize) {
        if let Some(captures) = HEADERS.1.get(first).and_then(|header| header.captures(line)) {
            let message = captures.name("message").or_else(|| captures.name("message_2"));
            self.message = message.map(|text| text.as_str().to_owned()).unwrap_or_default();
            if let Some(place) = place(&captures) {
                self.frames.push(place);
                self.has_taken = true;
            }
            self.kinds = kinds;
            self.between = 0;
        }
    }

    fn read_frame(&mut self, line: &str) -> bool {
        let found = self.kinds.iter().enumerate().find_map(|(at, kind)| {
            let captures = HEADERS.2.get(*kind)?.captures(line)?;
            Some((at, place(&captures)))
        });
        let Some((at, place)) = found else { return false };
        if at > 0 {
            self.kinds.swap(0, at);
        }
        if let Some(place) = place
            && self.frames.len() < MAX_FRAMES
        {
            self.frames.push(place);
        }
        true
    }

    fn clear(&mut self) {
        self.kinds.clear();
        self.message.clear();
        self.details.clear();
        self.frames.clear();
        self.between = 0;
    }
}

fn place(captures: &regex::Captures<'_>) -> Option<Place> {
    let text = |name: &str| captures.name(name).map(|group| group.as_str());
    let number = |name: &str| text(name).and_then(|number| number.parse::<u32>().ok());
    Some(Place {
        file: text("file").or_else(|| text("file_2"))?.to_owned(),
        line: number("line").or_else(|| number("line_2"))?,
        column: number("column").or_else(|| number("column_2")),
        package: text("method").and_then(package),
        is_name: text("method").is_some(),
        ..Place::default()
    })
}

/// Returns the package of a method of Java: `com.example` of `com.example.App.main`.
fn package(method: &str) -> Option<String> {
    let (class, _) = method.rsplit_once('.')?;
    class.rsplit_once('.').map(|(package, _)| package.to_owned())
}

/// Whether a call is in the library that comes with Go.
fn is_of_go_itself(place: &Place) -> bool {
    ["/src/runtime/", "/src/internal/", "/src/sync/", "/src/testing/"].into_iter().any(|part| place.file.contains(part))
}
