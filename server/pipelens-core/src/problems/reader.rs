//! Reads the output of one step, line by line, in time that grows with its length only.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::matcher::{Matchers, Said};
use super::packages::Packages;
use super::parts::Parts;
use super::plain::plain;
use super::problem::{MAX_PROBLEMS, Place, Problem, Unit};
use super::pytest::Pytest;
use super::stack::Stack;
use super::tools::{self, Tool, named_after};
use super::{annotation, frame};

/// How many lines may come between two lines of a problem.
const MAX_BETWEEN: u32 = 40;
/// How many lines after a problem may belong to it.
const MAX_AFTER: u32 = 40;
/// How many lines in between may not.
const MAX_GAP: u32 = 4;
const MAX_RELATED: usize = 10;
/// Directories that `make` has entered.
const MAX_FOLDERS: usize = 100;

/// Finds the problems in the output of one step.
#[derive(Debug)]
pub struct Reader {
    matchers: Arc<Matchers>,
    /// The command that prints the lines: its words tell tools apart that print alike.
    command: String,
    /// What was begun, by tool, and by matcher of the user.
    begun: BTreeMap<usize, Begun>,
    own: BTreeMap<usize, (usize, Said)>,
    pytest: Pytest,
    stack: Stack,
    folders: Vec<String>,
    packages: Packages,
    /// The newest problem: the next lines may belong to it.
    open: Option<Open>,
    seen: HashSet<u64>,
    found: usize,
}

/// A problem of which not all lines have come.
#[derive(Debug)]
struct Begun {
    /// The line that comes next.
    next: usize,
    parts: Parts,
    between: u32,
}

#[derive(Debug)]
struct Open {
    problem: Problem,
    /// Its row in the table.
    tool: Option<usize>,
    has_marks: bool,
    /// Whether the last line has continued the message.
    is_more: bool,
    /// Lines since it was found.
    after: u32,
    /// Lines since the last one that belonged to it.
    gap: u32,
}

impl Reader {
    pub fn new(matchers: Arc<Matchers>, command: &str) -> Self {
        Self {
            matchers,
            command: command.to_owned(),
            begun: BTreeMap::new(),
            own: BTreeMap::new(),
            pytest: Pytest::default(),
            stack: Stack::default(),
            folders: Vec::new(),
            packages: Packages::default(),
            open: None,
            seen: HashSet::new(),
            found: 0,
        }
    }

    /// Reads a line, and passes on the problems that are complete.
    pub fn read(&mut self, line: &str, found: &mut Vec<Problem>) {
        if self.found >= MAX_PROBLEMS {
            return;
        }
        let line = plain(line);
        let line = line.as_ref();
        if self.belongs_to_open(line) {
            return;
        }
        // What follows another message is about that one, even if it has no place.
        if self.open.as_ref().is_some_and(|open| open.gap > MAX_GAP) || tools::begins_message(line) {
            self.close(found);
        }
        let news = self.news(line);
        if news.is_empty() {
            self.follow_folders(line);
            self.follow_packages(line, found);
        }
        for (problem, tool) in news {
            self.close(found);
            self.open(problem, tool);
        }
    }

    /// The output has ended: passes on the last problems.
    pub fn finish(&mut self, found: &mut Vec<Problem>) {
        for problem in [self.pytest.finish(), self.stack.finish()].into_iter().flatten() {
            self.close(found);
            self.open(problem, None);
        }
        self.close(found);
        self.release(found);
    }

    fn open(&mut self, mut problem: Problem, tool: Option<usize>) {
        if let Some(folder) = self.folders.last() {
            let places = problem.places.iter_mut();
            places.filter(|place| place.folder.is_none()).for_each(|place| place.folder = Some(folder.clone()));
        }
        self.packages.begin(&mut problem);
        // Those whose lines are a list have no marks of their own.
        let has_marks = tool.and_then(|tool| tools::all().get(tool)).is_none_or(|tool| tool.is_loop);
        self.open = Some(Open { problem, tool, has_marks, is_more: false, after: 0, gap: 0 });
    }

    fn close(&mut self, found: &mut Vec<Problem>) {
        let Some(Open { problem, .. }) = self.open.take() else { return };
        if let Some(problem) = self.packages.keep(problem) {
            self.pass(problem, found);
        }
    }

    /// Passes on a problem, unless it was found before.
    fn pass(&mut self, problem: Problem, found: &mut Vec<Problem>) {
        let mut hasher = DefaultHasher::new();
        for place in &problem.places {
            (place.file.as_str(), place.line, place.column, place.package.as_deref()).hash(&mut hasher);
        }
        (problem.severity as u8, problem.message.as_str()).hash(&mut hasher);
        if self.found < MAX_PROBLEMS && self.seen.insert(hasher.finish()) {
            self.found += 1;
            found.push(problem);
        }
    }

    /// Passes on the problems that have waited for their package.
    fn release(&mut self, found: &mut Vec<Problem>) {
        for problem in self.packages.take() {
            self.pass(problem, found);
        }
    }

    fn follow_packages(&mut self, line: &str, found: &mut Vec<Problem>) {
        if line.starts_with("FAIL\t") {
            // The newest finding is one of the package.
            self.close(found);
        }
        if self.packages.read(line) || self.packages.has_waited_too_long() {
            self.release(found);
        }
    }

    /// Follows `make` and others into directories.
    fn follow_folders(&mut self, line: &str) {
        let Some((_, rest)) = line.split_once(": ").filter(|(head, _)| head.contains("make") || *head == "ninja")
        else {
            return;
        };
        if let Some(folder) = rest.strip_prefix("Entering directory ") {
            if self.folders.len() < MAX_FOLDERS {
                self.folders.push(folder.trim_matches(['\'', '`', '"']).to_owned());
            }
        } else if rest.starts_with("Leaving directory ") {
            self.folders.pop();
        }
    }

    /// Whether a line continues the newest problem; it is added to it then.
    fn belongs_to_open(&mut self, line: &str) -> bool {
        if self.is_own_finding(line) {
            return false;
        }
        let Some(open) = &mut self.open else { return false };
        let belongs = open.continues(line);
        open.gap = if belongs { 0 } else { open.gap + 1 };
        belongs
    }

    /// Whether a matcher of the user finds a problem in a line alone.
    fn is_own_finding(&self, line: &str) -> bool {
        self.matchers.all().iter().any(|matcher| matcher.finds(line))
    }

    /// Returns what a line completes, with the row of its tool.
    fn news(&mut self, line: &str) -> Vec<(Problem, Option<usize>)> {
        let mut news: Vec<_> = self.read_own(line).into_iter().map(|problem| (problem, None)).collect();
        if !news.is_empty() {
            return news;
        }
        if let Some(problem) = annotation::read(line) {
            return vec![(problem, None)];
        }
        if let Some(problem) = self.pytest.read(line) {
            news.push((problem, None));
        }
        if let Some(problem) = self.stack.read(line) {
            news.push((problem, None));
        }
        if self.pytest.has_taken() || self.stack.has_taken() {
            return news;
        }
        if let Some((problem, tool)) = self.read_tools(line) {
            news.push((problem, Some(tool)));
        }
        news
    }

    fn read_own(&mut self, line: &str) -> Option<Problem> {
        let mut found = None;
        for (index, matcher) in self.matchers.clone().all().iter().enumerate() {
            let (next, said) = self.own.remove(&index).unwrap_or_default();
            let (mut next, mut said) = (next, said);
            let mut captures = matcher.patterns.get(next).and_then(|pattern| pattern.captures(line));
            if captures.is_none() && next > 0 {
                (next, said) = (0, Said::default());
                captures = matcher.patterns.first().and_then(|pattern| pattern.captures(line));
            }
            let (Some(captures), Some(pattern)) = (captures, matcher.patterns.get(next)) else { continue };
            let before = said.clone();
            said.take(pattern, &captures);
            let is_last = next + 1 == matcher.patterns.len();
            if is_last {
                found = found.or_else(|| said.problem(matcher));
                if pattern.is_loop {
                    self.own.insert(index, (next, before));
                }
            } else {
                self.own.insert(index, (next + 1, said));
            }
        }
        found
    }

    fn read_tools(&mut self, line: &str) -> Option<(Problem, usize)> {
        let mut found: Option<(Parts, usize)> = None;
        // Those that wait for a line.
        let waiting: Vec<usize> = self.begun.keys().copied().collect();
        for index in waiting {
            let (Some(tool), Some(mut begun)) = (tools::all().get(index), self.begun.remove(&index)) else { continue };
            let Some(expected) = tool.lines.get(begun.next) else { continue };
            if let Some(captures) = expected.expression.captures(line) {
                let before = begun.parts.clone();
                begun.parts.take(&captures);
                if begun.next + 1 < tool.lines.len() {
                    begun.next += 1;
                    self.begun.insert(index, begun);
                    continue;
                }
                if tool.is_loop {
                    self.begun.insert(index, Begun { next: begun.next, parts: before, between: 0 });
                }
                if found.is_none() {
                    found = Some((begun.parts, index));
                }
            } else if begun.between < MAX_BETWEEN
                && expected.between.as_ref().is_some_and(|between| between.is_match(line))
            {
                begun.between += 1;
                begun.parts.add_wrapped(tool, line);
                self.begun.insert(index, begun);
            }
        }
        for index in tools::beginning_with(line) {
            let Some(tool) = tools::all().get(index) else { continue };
            if found.is_some() && tool.lines.len() == 1 {
                continue;
            }
            let Some(captures) = tool.lines.first().and_then(|first| first.expression.captures(line)) else { continue };
            let mut parts = Parts::default();
            parts.take(&captures);
            if tool.lines.len() > 1 {
                self.begun.insert(index, Begun { next: 1, parts, between: 0 });
            } else {
                found = Some((parts, index));
            }
        }
        let (parts, index) = found?;
        let tool = tools::all().get(index)?;
        if parts.line == 0 {
            return None;
        }
        // A problem that is complete ends what else was begun before it.
        self.begun.retain(|other, begun| *other == index || begun.between == 0);
        self.problem(parts, tool).map(|problem| (problem, index))
    }

    /// Returns the problem, unless it is a note that belongs to the one before it.
    fn problem(&mut self, parts: Parts, tool: &Tool) -> Option<Problem> {
        let name = tool.name.or_else(|| named_after(&parts.file, parts.code.as_deref(), &self.command));
        let name = name
            .map(str::to_owned)
            .or_else(|| parts.file.ends_with(".py").then(|| "mypy".to_owned()).filter(|_| parts.is_python_check()));
        let unit = match name.as_deref() {
            Some("gcc" | "g++" | "cc") => Unit::Terminal,
            Some("clang" | "clang++" | "clang-tidy") => Unit::Bytes,
            Some("tsc") => Unit::Utf16,
            _ => tool.unit,
        };
        let place = Place {
            file: parts.file,
            folder: None,
            package: None,
            is_name: tool.has_names,
            line: parts.line,
            column: parts
                .column
                .filter(|column| *column >= tool.first_column)
                .map(|column| (column - tool.first_column).saturating_add(1)),
            end_line: parts.end_line,
            end_column: parts.end_column,
            unit,
        };
        if parts.is_note
            && parts.code.is_none()
            && let Some(open) = &mut self.open
            && open.problem.tool == name
            && name.as_deref() != Some("mypy")
        {
            if open.problem.related.len() < MAX_RELATED {
                open.problem.related.push((place, parts.message));
            }
            // What follows is about the note.
            open.has_marks = true;
            return None;
        }
        let mut problem = Problem::new(place, parts.severity.unwrap_or(tool.severity), parts.message);
        if let Some((file, line)) = parts.caller {
            problem.places.insert(0, Place { file, line, ..Place::default() });
        }
        problem.tool = name;
        problem.code = parts.code;
        Some(problem)
    }
}

impl Open {
    /// Whether a line continues the problem; it is added to it then.
    fn continues(&mut self, line: &str) -> bool {
        self.after += 1;
        let Some(tool) = self.tool.and_then(|tool| tools::all().get(tool)) else { return false };
        if self.after > MAX_AFTER {
            return false;
        }
        if !self.has_marks
            && let Some(marks) = frame::marks(line)
        {
            self.has_marks = true;
            self.add_marks(marks);
            return true;
        }
        if frame::is_quoted(line) {
            self.is_more = false;
            return true;
        }
        if self.gap > 0 || self.is_other_finding(line) {
            return false;
        }
        if self.is_of("mypy") && self.after == 1 && self.problem.code.is_none() {
            return self.take_wrapped(line);
        }
        let is_wrapped = |wrapped: &&regex::Regex| self.is_more && wrapped.is_match(line);
        let more = tool.wrapped.as_ref().filter(is_wrapped).or(tool.more.as_ref());
        let more = more.and_then(|more| more.captures(line));
        let is_too_early = tool.has_more_after_marks && !self.has_marks;
        let Some(text) = more.as_ref().and_then(|more| more.name("message")).filter(|_| !is_too_early) else {
            return false;
        };
        if self.problem.code.is_none() {
            self.problem.code = lint_name(text.as_str());
        }
        self.problem.add_line(text.as_str());
        self.is_more = true;
        true
    }

    /// Whether a line has a place of its own and so begins another problem. Go indents the lines that belong to a problem with a tab, and they may have a place.
    fn is_other_finding(&self, line: &str) -> bool {
        let is_detail_of_go = self.is_of("go") && line.starts_with('\t');
        !is_detail_of_go && (annotation::read(line).is_some() || tools::is_finding(line))
    }

    fn is_of(&self, tool: &str) -> bool {
        self.problem.tool.as_deref() == Some(tool)
    }

    /// Takes over the rest of a message that mypy has wrapped: `expected "str")  [return-value]`.
    fn take_wrapped(&mut self, line: &str) -> bool {
        let Some((text, code)) = line.strip_suffix(']').and_then(|line| line.rsplit_once('[')) else { return false };
        if line.starts_with(' ')
            || code.is_empty()
            || !code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        {
            return false;
        }
        self.problem.code = Some(code.to_owned());
        if !text.trim().is_empty() {
            self.problem.message.push(' ');
            self.problem.message.push_str(text.trim());
        }
        true
    }

    /// Takes over how much is marked, and what is written next to it.
    fn add_marks(&mut self, marks: frame::Marks<'_>) {
        let Some(place) = self.problem.places.last_mut() else { return };
        if place.column.is_none() {
            place.column = Some(marks.column);
        }
        // Both quote the line with spaces for tabs, but only gcc counts them.
        if place.unit == Unit::Terminal && place.column != Some(marks.column) {
            place.unit = Unit::Bytes;
        }
        if place.end_column.is_none()
            && place.end_line.is_none()
            && let Some(column) = place.column
            && marks.length > 1
        {
            place.end_column = Some(column + marks.length);
        }
        let is_rust = self.problem.tool.as_deref().is_some_and(|tool| matches!(tool, "cargo" | "rustc"));
        if is_rust && !marks.label.is_empty() && !marks.label.contains(['^', '~']) {
            self.problem.add_line(marks.label);
        }
    }
}

/// Returns the lint that a note of rustc names: `#[warn(unused_imports)]`.
fn lint_name(note: &str) -> Option<String> {
    let rest = ["#[warn(", "#[deny(", "#[forbid("].into_iter().find_map(|start| note.split_once(start))?.1;
    let name = rest.split(')').next()?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':')).then(|| name.to_owned())
}
