//! The Go package that a finding is in: `go build` and `go vet` print its name before the findings, `go test` after them.

use super::problem::{MAX_PROBLEMS, Place, Problem};

/// How many lines a finding waits for the name of its package. What prints links in a log looks as far back for the place.
const MAX_WAIT: u32 = 1_000;

/// What was read of packages so far.
#[derive(Debug, Default)]
pub(super) struct Packages {
    /// The package whose findings follow.
    current: Option<String>,
    /// Findings of tests, whose package comes after them.
    waiting: Vec<Problem>,
    /// Lines since the first of them.
    lines: u32,
}

impl Packages {
    /// Takes in a line that is neither a finding nor part of one. Returns whether the findings that wait are complete with it.
    pub(super) fn read(&mut self, line: &str) -> bool {
        if let Some(package) = header(line) {
            self.current = Some(package.to_owned());
        } else if !line.starts_with([' ', '\t']) {
            self.current = None;
        }
        if self.waiting.is_empty() {
            return false;
        }
        let result = result(line);
        for place in self.waiting.iter_mut().flat_map(places) {
            place.package = result.map(str::to_owned);
        }
        result.is_some()
    }

    /// Counts a line; returns whether the findings that wait have waited too long.
    pub(super) fn has_waited_too_long(&mut self) -> bool {
        self.lines = if self.waiting.is_empty() { 0 } else { self.lines + 1 };
        self.lines > MAX_WAIT || self.waiting.len() >= MAX_PROBLEMS
    }

    /// Tells the places of a new finding their package.
    pub(super) fn begin(&self, problem: &mut Problem) {
        if problem.tool.as_deref() == Some("go") && self.current.is_some() {
            problem.places.iter_mut().for_each(|place| place.package.clone_from(&self.current));
        }
    }

    /// Keeps a finding that waits for its package; returns any other.
    pub(super) fn keep(&mut self, mut problem: Problem) -> Option<Problem> {
        let is_go = problem.tool.as_deref() == Some("go");
        if is_go && places(&mut problem).any(|place| place.package.is_none()) {
            self.waiting.push(problem);
            return None;
        }
        Some(problem)
    }

    /// Returns the findings that waited.
    pub(super) fn take(&mut self) -> Vec<Problem> {
        self.lines = 0;
        std::mem::take(&mut self.waiting)
    }
}

/// Returns the places that are only names of files.
fn places(problem: &mut Problem) -> impl Iterator<Item = &mut Place> {
    problem.places.iter_mut().filter(|place| place.is_name)
}

/// Reads `# example.com/x/pkg`, or `# example.com/x/pkg [example.com/x/pkg.test]`.
fn header(line: &str) -> Option<&str> {
    let package = line.strip_prefix("# ")?;
    let package = match package.split_once(" [") {
        Some((package, test)) if test.ends_with(".test]") => package,
        Some(_) => return None,
        None => package,
    };
    is_package(package).then_some(package)
}

/// Reads `FAIL\texample.com/x/pkg\t0.1s`, or the same with `ok`.
fn result(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("FAIL\t").or_else(|| line.strip_prefix("ok  \t"))?;
    let package = rest.split(['\t', ' ']).next()?;
    is_package(package).then_some(package)
}

fn is_package(name: &str) -> bool {
    !name.is_empty() && !name.contains(|character: char| character.is_whitespace() || character == ':')
}
