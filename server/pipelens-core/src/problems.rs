//! Problems that tools report in the output of a step, on the lines of the user's own files. Fed with lines, returns values: it looks at no file, so whether
//! a path is one of the project is up to the caller.

mod annotation;
mod folders;
mod frame;
mod matcher;
mod packages;
mod parts;
mod paths;
mod plain;
mod problem;
mod pytest;
mod reader;
mod sections;
mod stack;
mod tools;

pub use matcher::{Field, Matcher, MatcherError, Matchers, PatternSpec};
pub use paths::{Names, Paths, Project};
pub use problem::{MAX_PROBLEMS, Place, Problem, Unit};
pub use reader::Reader;
pub use sections::{Section, sections};

#[cfg(test)]
mod tests;
