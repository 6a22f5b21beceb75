//! Matchers of the user, in the shape that VS Code gives to `problemMatcher`: one pattern, or one for each of several lines.

use std::fmt;

use regex::{Captures, Regex, RegexBuilder};

use super::problem::{Place, Problem, severity_of};
use crate::diagnostic::Severity;

/// How large an expression may become. Its own repetitions can make it as large as they like.
const MAX_COMPILED_BYTES: usize = 1 << 20;
const MAX_EXPRESSION_BYTES: usize = 2_000;
const MAX_PATTERNS: usize = 10;
const MAX_MATCHERS: usize = 100;

/// A part of a problem that a group of an expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    File,
    /// `line`, `line,column` or `line,column,endLine,endColumn`.
    Location,
    Line,
    Column,
    EndLine,
    EndColumn,
    Severity,
    Code,
    Message,
}

/// What one line has to look like, before its expression is compiled.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PatternSpec {
    pub expression: String,
    /// Which group is which part.
    pub groups: Vec<(Field, usize)>,
    /// The last line may come again and again.
    pub is_loop: bool,
    /// The problem is about a file as a whole.
    pub is_file: bool,
}

/// A matcher that can be used.
#[derive(Debug, Clone)]
pub struct Matcher {
    pub(super) name: Option<String>,
    severity: Severity,
    /// A folder that paths are relative to.
    folder: Option<String>,
    pub(super) patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
pub(super) struct Pattern {
    expression: Regex,
    groups: Vec<(Field, usize)>,
    pub(super) is_loop: bool,
    is_file: bool,
}

/// Why a matcher cannot be used: a sentence that follows its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatcherError(String);

impl fmt::Display for MatcherError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for MatcherError {}

/// All matchers of a user.
#[derive(Debug, Clone, Default)]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    /// Refuses more matchers than can be tried for every line of output.
    pub fn new(matchers: Vec<Matcher>) -> Result<Self, MatcherError> {
        if matchers.len() > MAX_MATCHERS {
            return Err(MatcherError(format!("there are {}, more than {MAX_MATCHERS}", matchers.len())));
        }
        Ok(Self(matchers))
    }

    pub(super) fn all(&self) -> &[Matcher] {
        &self.0
    }
}

impl Matcher {
    /// Compiles a matcher. `severity` is for lines that do not say it; `folder` is what relative paths are relative to.
    pub fn new(
        name: Option<String>,
        severity: Option<&str>,
        folder: Option<String>,
        specs: Vec<PatternSpec>,
    ) -> Result<Self, MatcherError> {
        let severity = match severity {
            None => Severity::Error,
            Some(word) => severity_of(word).ok_or_else(|| {
                MatcherError(format!("`severity` is `{word}`, expected `error`, `warning` or `info`"))
            })?,
        };
        if specs.is_empty() || specs.len() > MAX_PATTERNS {
            return Err(MatcherError(format!("it has {} patterns, expected 1 to {MAX_PATTERNS}", specs.len())));
        }
        let last = specs.len() - 1;
        if specs.iter().enumerate().any(|(index, spec)| spec.is_loop && (index != last || last == 0)) {
            return Err(MatcherError("`loop` belongs to the last of several patterns".to_owned()));
        }
        let has = |field| specs.iter().any(|spec| spec.groups.iter().any(|(own, _)| *own == field));
        let is_file = specs.iter().any(|spec| spec.is_file);
        if !has(Field::File) || !(is_file || has(Field::Line) || has(Field::Location)) {
            return Err(MatcherError("it needs a group for `file`, and one for `line` or `location`".to_owned()));
        }
        let patterns = specs.into_iter().map(Pattern::new).collect::<Result<_, _>>()?;
        Ok(Self { name, severity, folder, patterns })
    }

    /// Whether a line is a problem by itself.
    pub(super) fn finds(&self, line: &str) -> bool {
        matches!(self.patterns.as_slice(), [pattern] if pattern.expression.is_match(line))
    }
}

impl Pattern {
    fn new(spec: PatternSpec) -> Result<Self, MatcherError> {
        let shown = || spec.expression.chars().take(60).collect::<String>();
        if spec.expression.len() > MAX_EXPRESSION_BYTES {
            return Err(MatcherError(format!("an expression is longer than {MAX_EXPRESSION_BYTES} bytes")));
        }
        let built = RegexBuilder::new(&spec.expression).size_limit(MAX_COMPILED_BYTES).nest_limit(50).build();
        let expression = built.map_err(|error| {
            let why = match &error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                _ if spec.expression.contains("(?=")
                    || spec.expression.contains("(?!")
                    || spec.expression.contains("(?<") =>
                {
                    "expressions cannot look ahead or behind".to_owned()
                }
                other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
            };
            MatcherError(format!("the expression `{}` cannot be used: {why}", shown()))
        })?;
        if let Some((_, group)) = spec.groups.iter().find(|(_, group)| *group >= expression.captures_len()) {
            return Err(MatcherError(format!("the expression `{}` has no group {group}", shown())));
        }
        Ok(Self { expression, groups: spec.groups, is_loop: spec.is_loop, is_file: spec.is_file })
    }

    pub(super) fn captures<'a>(&self, line: &'a str) -> Option<Captures<'a>> {
        self.expression.captures(line)
    }
}

/// What the lines of a matcher have said so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    place: Place,
    severity: Option<Severity>,
    code: Option<String>,
    message: String,
    is_file: bool,
}

impl Said {
    /// Takes over what a line says.
    pub(super) fn take(&mut self, pattern: &Pattern, captures: &Captures<'_>) {
        self.is_file |= pattern.is_file;
        for (field, group) in &pattern.groups {
            let Some(text) = captures.get(*group).map(|group| group.as_str().trim()).filter(|text| !text.is_empty())
            else {
                continue;
            };
            match field {
                Field::File => self.place.file = text.to_owned(),
                Field::Location => self.take_location(text),
                Field::Line => self.place.line = text.parse().unwrap_or(0),
                Field::Column => self.place.column = text.parse().ok(),
                Field::EndLine => self.place.end_line = text.parse().ok(),
                Field::EndColumn => self.place.end_column = text.parse().ok(),
                Field::Severity => self.severity = severity_of(text),
                Field::Code => self.code = Some(text.to_owned()),
                Field::Message => {
                    if !self.message.is_empty() {
                        self.message.push('\n');
                    }
                    self.message.push_str(text);
                }
            }
        }
    }

    fn take_location(&mut self, text: &str) {
        let mut numbers = text.split([',', ':', '.']).map(|number| number.trim().parse::<u32>().ok());
        self.place.line = numbers.next().flatten().unwrap_or(0);
        self.place.column = numbers.next().flatten();
        self.place.end_line = numbers.next().flatten();
        self.place.end_column = numbers.next().flatten();
    }

    /// Returns the problem, if it has a place.
    pub(super) fn problem(&self, matcher: &Matcher) -> Option<Problem> {
        let mut place = self.place.clone();
        if self.is_file && place.line == 0 {
            place.line = 1;
        }
        if place.file.is_empty() || place.line == 0 {
            return None;
        }
        place.folder.clone_from(&matcher.folder);
        let mut problem = Problem::new(place, self.severity.unwrap_or(matcher.severity), self.message.clone());
        problem.tool.clone_from(&matcher.name);
        problem.code.clone_from(&self.code);
        Some(problem)
    }
}
