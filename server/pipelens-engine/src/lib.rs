//! Runs a plan and says in events what happens. Knows no editor, no terminal and no standard output.

pub mod event;
pub mod run;
