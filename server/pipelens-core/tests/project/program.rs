//! A program and what it has made, without executing it.

use pipelens_core::Analysis;
use pipelens_core::programs::{self, Failure, Frame, Language, Position, Rendering};

/// Analyses a Python program. It is not executed: what would fail in it is said here.
pub(crate) fn analyze_program(text: &str) -> Analysis {
    let failing = text.lines().position(|line| line.contains("cwd=\"\""));
    let rendering = failing.map(|line| {
        let message = "The program failed: ValueError: hm: cwd must be a non-empty path".to_owned();
        let place = Some(Frame { start: Position { line, column: 4 }, end: None });
        Rendering::failed(text, Language::Python, &Failure { message, place, related: Vec::new() }, None)
    });
    programs::analyze(text, Language::Python, rendering.as_ref())
}
