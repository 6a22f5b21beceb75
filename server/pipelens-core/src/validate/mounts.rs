//! Cache mounts: where they cannot be, and what looks for files in them. And results that are never started from.

use std::collections::HashMap;

use super::paths::{unexpanded, watched};
use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;
use crate::model::{CacheMount, CachePolicy, Pipeline, Reuse, Step};
use crate::mounts::{below, normal, place};
use crate::plan::names::Names;
use crate::project::Project;
use crate::syntax::written::quoted;
use crate::text::Spanned;

pub(super) fn check(pipeline: &Pipeline, findings: &mut Findings) {
    let mut lineage = Lineage { pipeline, names: None };
    for step in pipeline.all_steps() {
        if !step.cache_mounts.is_empty() {
            findings.extend(step.cache_mounts.iter().filter_map(|mount| bad_path(mount, step.folder())));
            overlapping(step, findings);
            artifacts_inside(step, findings);
            if step.cache.is_some() {
                watched_inside(step, &lineage.folder_of_sources(step), findings);
            }
        }
        if let Some(reuse) = step.reuse.as_ref().filter(|reuse| reuse.value == Reuse::Last) {
            findings.extend(reuse_without_effect(&mut lineage, step, reuse));
        }
    }
}

/// Finds folders of an `on_change` policy with files of the project that a mount hides.
pub(super) fn check_in_project(pipeline: &Pipeline, project: &dyn Project, findings: &mut Findings) {
    let mut lineage = Lineage { pipeline, names: None };
    for step in pipeline.steps.iter().filter(|step| !step.cache_mounts.is_empty()) {
        let Some(cache) = &step.cache else { continue };
        let folder = lineage.folder_of_sources(step);
        for (mount, place) in step.placed_mounts() {
            let Some(inside) = below(&place, &folder).filter(|inside| project.has_match(inside) == Some(true)) else {
                continue;
            };
            let around =
                watched(&cache.value.policy).into_iter().filter(|path| looks_in(&path.value, inside) == Looks::Around);
            findings.extend(around.map(|path| hidden(path, mount)));
        }
    }
}

fn bad_path(mount: &CacheMount, workdir: &str) -> Option<Diagnostic> {
    let written = &mount.path.value;
    if let Some(part) = unexpanded(written.strip_prefix("~/").unwrap_or(written)).filter(|part| *part != "~") {
        let message = format!(
            "`{part}` is not replaced in a path: only a shell does that, in `cmd`. Write the path itself; `~` is the step's home."
        );
        let finding = Diagnostic::new(Code::UnexpandedPath, mount.path.range, message);
        let in_home = ["$HOME/", "${HOME}/"].iter().find_map(|home| written.strip_prefix(home));
        return Some(match in_home.map(|rest| format!("~/{rest}")) {
            Some(meant) => finding.with_safe_fix(format!("Change to `{meant}`"), mount.path.range, quoted(&meant)),
            None => finding,
        });
    }
    let why = place(written, workdir).err()?;
    Some(Diagnostic::new(
        Code::BadCacheMount,
        mount.path.range,
        format!("No cache mount can be at `{written}`: it {why}."),
    ))
}

/// Finds mounts of one step that are the same folder, or one inside another.
fn overlapping(step: &Step, findings: &mut Findings) {
    let mut by_place: HashMap<String, &CacheMount> = HashMap::new();
    let mut by_name: HashMap<String, &CacheMount> = HashMap::new();
    let placed: Vec<_> = step.placed_mounts().collect();
    for (mount, place) in &placed {
        by_place.entry(place.clone()).or_insert(mount);
    }
    for (mount, place) in &placed {
        let written = &mount.path.value;
        let other = by_place.get(place).copied().filter(|first| !std::ptr::eq(*first, *mount));
        if let Some(first) = other {
            let message = format!("Two cache mounts of this step are at `{written}`. Remove one of them.");
            findings.push(overlap(mount, first, message));
            continue;
        }
        let outer = place.match_indices('/').filter(|(at, _)| *at > 0);
        let outer = outer.filter_map(|(at, _)| place.get(..at)).find_map(|outer| by_place.get(outer).copied());
        if let Some(outer) = outer {
            let message = format!(
                "The cache mount `{written}` is inside the cache mount `{}`, which keeps what is in it anyway. Remove one of them.",
                outer.path.value
            );
            findings.push(overlap(mount, outer, message));
            continue;
        }
        let name = mount.folder_name(place).to_owned();
        match by_name.get(&name).copied() {
            Some(first) => {
                let message = format!(
                    "Two cache mounts of this step have the name `{name}`, so they would be one folder at two paths. Give one of them another name."
                );
                findings.push(overlap(mount, first, message));
            }
            None => drop(by_name.insert(name, mount)),
        }
    }
}

fn overlap(mount: &CacheMount, other: &CacheMount, message: String) -> Diagnostic {
    Diagnostic::new(Code::OverlappingCacheMounts, mount.range, message)
        .with_related(other.range, "The other cache mount")
}

fn artifacts_inside(step: &Step, findings: &mut Findings) {
    let workdir = normal(step.folder());
    for glob in &step.artifacts {
        let written = &glob.value;
        let found = step.placed_mounts().find_map(|(mount, place)| {
            let looks = looks_in(written, below(&place, &workdir)?);
            (looks != Looks::Elsewhere).then_some((mount, looks))
        });
        let Some((mount, looks)) = found else { continue };
        let path = &mount.path.value;
        let message = if looks == Looks::Inside {
            format!(
                "`{written}` is in the cache mount `{path}`, whose files are part of no result, so it is not copied back. Let `cmd` copy it to another folder, and name that."
            )
        } else {
            format!(
                "`{written}` also looks in the cache mount `{path}`, whose files are part of no result: they are not copied back. Let `cmd` copy what is wanted to another folder."
            )
        };
        let finding = Diagnostic::new(Code::InsideCacheMount, glob.range, message);
        findings.push(finding.with_related(mount.range, "The cache mount"));
    }
}

fn watched_inside(step: &Step, folder: &str, findings: &mut Findings) {
    let Some(cache) = step.cache.as_ref().filter(|cache| cache.value.key.is_none()) else { return };
    let paths = watched(&cache.value.policy);
    for (mount, place) in step.placed_mounts() {
        let Some(inside) = below(&place, folder) else { continue };
        let lost = paths.iter().filter(|path| looks_in(&path.value, inside) == Looks::Inside);
        findings.extend(lost.map(|path| hidden(path, mount)));
    }
}

fn hidden(path: &Spanned<String>, mount: &CacheMount) -> Diagnostic {
    let message = format!(
        "`{}` names files of the project that the cache mount `{}` hides from the step. Watch what the step can see, or mount another folder.",
        path.value, mount.path.value
    );
    Diagnostic::new(Code::InsideCacheMount, path.range, message).with_related(mount.range, "The cache mount")
}

/// Where a glob looks for files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    Elsewhere,
    /// In the folder and outside it.
    Around,
    /// Only in the folder.
    Inside,
}

/// Tells whether a glob can match files in a folder. What matches a folder matches everything in it.
fn looks_in(glob: &str, folder: &str) -> Looks {
    let is_pattern = |part: &str| part.contains(['*', '?', '[', '{']);
    let mut inside = folder.split('/');
    let is_over = |rest: &std::str::Split<'_, char>| rest.clone().next().is_none();
    let mut is_only_inside = true;
    for part in glob.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == "**" && !is_over(&inside) {
            return Looks::Around;
        }
        let Some(name) = inside.next() else {
            return if is_only_inside { Looks::Inside } else { Looks::Around };
        };
        match is_pattern(part) {
            true if matches(part, name) => is_only_inside = false,
            false if part == name => {}
            true | false => return Looks::Elsewhere,
        }
    }
    match inside.next() {
        None if is_only_inside => Looks::Inside,
        None | Some(_) => Looks::Around,
    }
}

/// Tells whether a name matches a pattern of `*` and `?`. Other patterns are taken as they are written.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // Whether each beginning of the name matches the beginning of the pattern so far.
    let mut reached = vec![false; name.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for wanted in pattern {
        let mut next = vec![false; reached.len()];
        let mut is_any = false;
        for (at, slot) in next.iter_mut().enumerate() {
            let before = at.checked_sub(1);
            let is_next = before.and_then(|before| reached.get(before)).copied().unwrap_or(false);
            let character = before.and_then(|before| name.get(before)).copied();
            *slot = match wanted {
                '*' => {
                    is_any |= reached.get(at).copied().unwrap_or(false);
                    is_any
                }
                '?' => is_next,
                other => is_next && character == Some(other),
            };
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

fn reuse_without_effect(lineage: &mut Lineage<'_>, step: &Step, reuse: &Spanned<Reuse>) -> Option<Diagnostic> {
    let named: Vec<_> = step.builds_in.iter().chain(&step.needs_artifacts).collect();
    let never_taken = named.into_iter().find_map(|name| {
        let other = lineage.step(&name.value)?;
        (!other.cache.as_ref().is_some_and(|cache| cache.value.key.is_some() || is_ever_taken(&cache.value.policy)))
            .then_some((name, other))
    });
    let (name, other) = never_taken?;
    let message = format!(
        "{} depends on the result of `{}`, which has no cache policy and so is made again in nearly every run: its own last result is then not used. Give `{}` a `cache`, or remove `reuse`.",
        step.called(),
        name.value,
        name.value
    );
    let finding = Diagnostic::new(Code::ReuseWithoutEffect, reuse.range, message);
    Some(finding.with_related(other.key.range, format!("`{}` is always run", name.value)))
}

fn is_ever_taken(policy: &CachePolicy) -> bool {
    match policy {
        CachePolicy::None => false,
        CachePolicy::Forever { .. } | CachePolicy::Ttl { .. } | CachePolicy::OnChange { .. } => true,
        CachePolicy::Compose { sub_policies } => sub_policies.iter().all(is_ever_taken),
    }
}

/// The steps by key, looked up only for the few that need it.
struct Lineage<'p> {
    pipeline: &'p Pipeline,
    names: Option<Names<'p>>,
}

impl<'p> Lineage<'p> {
    fn step(&mut self, key: &str) -> Option<&'p Step> {
        let names = self.names.get_or_insert_with(|| Names::new(self.pipeline));
        self.pipeline.steps.get(names.get(key)?)
    }

    /// Returns where the sources are: in the working directory of the step from which a step descends.
    fn folder_of_sources(&mut self, step: &Step) -> String {
        let mut folder = step.folder();
        let mut parent = step.builds_in.as_ref();
        // Steps may build in each other in a circle.
        for _ in 0..self.pipeline.steps.len() {
            let Some(found) = parent.and_then(|parent| self.step(&parent.value)) else { break };
            folder = found.folder();
            parent = found.builds_in.as_ref();
        }
        normal(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_looks_in_a_folder_around_it_or_elsewhere() {
        for (glob, folder, expected) in [
            ("target", "target", Looks::Inside),
            ("./target/", "target", Looks::Inside),
            ("target/release/app", "target", Looks::Inside),
            ("target/**", "target", Looks::Inside),
            ("target/*/app", "target", Looks::Inside),
            ("web/*", "web/node_modules", Looks::Around),
            ("web", "web/node_modules", Looks::Around),
            (".", "target", Looks::Around),
            ("**/*.xml", "target", Looks::Around),
            ("*", "target", Looks::Around),
            ("t*t/app", "target", Looks::Around),
            ("*.xml", "target", Looks::Elsewhere),
            ("targets/app", "target", Looks::Elsewhere),
            ("web/dist", "web/node_modules", Looks::Elsewhere),
        ] {
            assert_eq!(looks_in(glob, folder), expected, "{glob}");
        }
    }
}
