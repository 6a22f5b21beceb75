//! Findings about shape (the tree against the vocabulary) and about meaning (`Pipeline`). Roughly one function per code.

mod bash_only;
mod commands;
mod document;
mod expressions;
mod failures;
mod foreign;
mod graph;
mod image;
mod lint;
mod mapping;
mod matrix;
mod mounts;
mod other_system;
mod path_variable;
mod paths;
mod removal;
mod rewrite;
mod secrets;
mod services;
mod shape;
mod shared;
mod shell;
mod steps;
mod wire;

pub(crate) use document::{check_document, check_references, check_settings, says_something};
pub(crate) use expressions::check as check_expressions;
pub(crate) use image::{is_image, split as split_image};
pub(crate) use shell::Commands;
pub(crate) use steps::safe_key;

use crate::findings::Findings;
use crate::model::Pipeline;
use crate::project::Project;
use crate::syntax::tree::Tree;

/// Adds the fixes that remove something, once all findings are known, and drops those that would change other steps.
pub(crate) fn finish_fixes(text: &str, tree: &Tree, findings: &mut Findings) {
    removal::add(text, tree, findings.list_mut());
    shared::keep_apart(tree, findings.list_mut());
}

/// Finds what is wrong with a pipeline's meaning.
pub(crate) fn check_pipeline(text: &str, pipeline: &Pipeline, commands: &mut Commands, findings: &mut Findings) {
    steps::check(pipeline, findings);
    graph::check(pipeline, findings);
    matrix::check(text, pipeline, findings);
    image::check(pipeline, findings);
    paths::check_written(pipeline, findings);
    mounts::check(pipeline, findings);
    shell::check(text, pipeline, commands, findings);
    secrets::check(text, pipeline, findings);
}

/// Finds what depends on the project. Comes last, because a command that cannot be parsed is not linted.
pub(crate) fn check_in_project(text: &str, pipeline: &Pipeline, project: &dyn Project, findings: &mut Findings) {
    paths::check(pipeline, project, findings);
    mounts::check_in_project(pipeline, project, findings);
    secrets::check_consent(pipeline, project, findings);
    lint::check(text, pipeline, project, findings);
}
