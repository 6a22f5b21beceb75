//! Paths that do not exist in the project.

use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;
use crate::model::{CachePolicy, Pipeline, Step};
use crate::plan::DEFAULT_WORKDIR;
use crate::project::Project;
use crate::syntax::written::quoted;
use crate::text::Spanned;

pub(crate) fn check(pipeline: &Pipeline, project: &dyn Project, findings: &mut Findings) {
    for step in &pipeline.steps {
        if let Some(cache) = step.cache.as_ref().filter(|cache| cache.value.key.is_none()) {
            check_policy(step, &cache.value.policy, project, findings);
        }
        findings.extend(missing_folder(step, project));
    }
}

/// Finds paths that a shell would replace a part of: these are taken as they are written.
pub(super) fn check_written(pipeline: &Pipeline, findings: &mut Findings) {
    for step in pipeline.all_steps() {
        // A relative folder has a finding of its own.
        let workdir = step.workdir.iter().filter(|workdir| workdir.value.starts_with('/'));
        let cached = step.cache.iter().flat_map(|cache| watched(&cache.value.policy));
        let paths = workdir.chain(&step.artifacts).chain(cached);
        findings.extend(paths.filter_map(unexpanded_path));
        findings.extend(step.artifacts.iter().filter_map(|glob| unmatchable(glob, step.folder())));
    }
}

pub(super) fn watched(policy: &CachePolicy) -> Vec<&Spanned<String>> {
    match policy {
        CachePolicy::None | CachePolicy::Forever { .. } | CachePolicy::Ttl { .. } => Vec::new(),
        CachePolicy::OnChange { paths } => paths.iter().collect(),
        CachePolicy::Compose { sub_policies } => sub_policies.iter().flat_map(watched).collect(),
    }
}

fn unexpanded_path(path: &Spanned<String>) -> Option<Diagnostic> {
    let part = unexpanded(&path.value)?;
    let message =
        format!("`{part}` is not replaced in a path: only a shell does that, in `cmd`. Write the path itself.");
    Some(Diagnostic::new(Code::UnexpandedPath, path.range, message))
}

/// Finds a glob that no file below `workdir` can match.
fn unmatchable(glob: &Spanned<String>, workdir: &str) -> Option<Diagnostic> {
    let written = glob.value.as_str();
    let has_parent = written.split('/').any(|part| part == "..");
    let message = if let Some(excluded) = written.strip_prefix('!') {
        format!(
            "`artifacts` cannot exclude files: `!` would be part of a name here. List what is wanted, without `{excluded}`."
        )
    } else if written.starts_with('/') {
        format!("`{written}` can match no file, because globs are relative to `{workdir}`. Write the part below it.")
    } else if has_parent {
        format!(
            "`{written}` leads out of `{workdir}`, and only files below it are copied back. Copy what is wanted there."
        )
    } else {
        return None;
    };
    let finding = Diagnostic::new(Code::UnmatchableGlob, glob.range, message);
    let below = written.strip_prefix(workdir.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
    Some(match below.filter(|below| !below.is_empty() && !has_parent) {
        Some(below) => finding.with_safe_fix(format!("Change to `{below}`"), glob.range, quoted(below)),
        None => finding,
    })
}

/// Returns the part of a value that a shell would replace: `~` at its start, or a variable.
pub(super) fn unexpanded(value: &str) -> Option<&str> {
    if value == "~" || value.starts_with("~/") {
        return value.get(..1);
    }
    value.match_indices('$').find_map(|(start, _)| {
        let rest = value.get(start + 1..)?;
        let name = rest.strip_prefix('{').unwrap_or(rest);
        let length = name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        let opens = rest.len() - name.len();
        let closes = if opens == 1 { name.find('}')? + 1 } else { length };
        is_name.then(|| value.get(start..start + 1 + opens + closes))?
    })
}

fn check_policy(step: &Step, policy: &CachePolicy, project: &dyn Project, findings: &mut Findings) {
    match policy {
        CachePolicy::None | CachePolicy::Forever { .. } | CachePolicy::Ttl { .. } => {}
        CachePolicy::OnChange { paths } => {
            let judge = |path: &Spanned<String>| unmatched_path(path, project);
            for path in paths {
                let matrix = step.matrix.as_deref();
                if !matrix.is_some_and(|matrix| super::matrix::check_paths(path, matrix, judge, findings)) {
                    findings.extend(judge(path));
                }
            }
        }
        CachePolicy::Compose { sub_policies } => {
            sub_policies.iter().for_each(|policy| check_policy(step, policy, project, findings));
        }
    }
}

fn unmatched_path(path: &Spanned<String>, project: &dyn Project) -> Option<Diagnostic> {
    let written = &path.value;
    if written.is_empty() || project.has_match(written) != Some(false) {
        return None;
    }
    let message = format!(
        "`{written}` matches no file in the project, so this policy cannot be evaluated and the step always runs. Correct the path, or remove it."
    );
    Some(Diagnostic::new(Code::UnmatchedPath, path.range, message))
}

/// Only a step without a parent starts with nothing but the sources: a parent may have created the folder.
fn missing_folder(step: &Step, project: &dyn Project) -> Option<Diagnostic> {
    let workdir = step.workdir.as_ref().filter(|_| step.builds_in.is_none())?;
    let inner = workdir.value.strip_prefix(DEFAULT_WORKDIR)?.strip_prefix('/')?.trim_end_matches('/');
    if inner.is_empty() || inner.split('/').any(|part| part == "..") || project.has_folder(inner) != Some(false) {
        return None;
    }
    let message = format!(
        "The sources have no directory `{inner}`, so the command starts in an empty one. Correct the path, or create the directory in a step this one builds in."
    );
    Some(Diagnostic::new(Code::MissingFolder, workdir.range, message))
}
