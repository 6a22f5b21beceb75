//! What a step sees after the project was edited, for any tree and any edit: what its parent left, with the difference of the sources.

mod tree;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use pipelens_core::plan::PlanStep;
use pipelens_engine::event::Outcome;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::bench::{Ran, Runner, StepExt as _, docker_runner, host_runner, is_available, step};
use crate::cache::{Project, forever};
use crate::runners::for_each_runner;
use tree::{Action, Node, Tree, actions, carry_out, commands, quoted};

/// Less than what a test may take.
const MAX_SHRINK_MS: u32 = 60_000;

/// One project: what is in it, what the parent does, what is edited then.
#[derive(Debug, Clone)]
struct World {
    first: Vec<Action>,
    parent: Vec<Action>,
    edit: Vec<Action>,
}

/// Returns projects that each consist of so many parts that have nothing to do with each other: a run takes longer than what happens in it.
fn worlds(parts: usize) -> impl Strategy<Value = World> {
    prop::collection::vec((actions(9), actions(5), actions(6)), parts).prop_map(|parts| {
        let mut world = World { first: Vec::new(), parent: Vec::new(), edit: Vec::new() };
        for (number, (first, parent, edit)) in parts.into_iter().enumerate() {
            let inside = |action: Action| action.inside(Path::new(&number.to_string()));
            world.first.extend(first.into_iter().map(inside));
            world.parent.extend(parent.into_iter().map(inside));
            world.edit.extend(edit.into_iter().map(inside));
        }
        world
    })
}

/// Shows every file, and says which of the unchanged ones are not older than the changed ones.
fn look(changed: &BTreeSet<PathBuf>) -> String {
    let is_changed: String = changed.iter().map(|path| format!("{}) return;; ", quoted(path))).collect();
    let check: String = changed
        .iter()
        .map(|path| {
            let path = quoted(path);
            format!("[ -h {path} ] || [ ! -f {path} ] || [ {path} -nt \"$1\" ] || printf 'not newer: %s\\n' {path};\n")
        })
        .collect();
    format!(
        r#"check() {{ case "$1" in {is_changed} esac
{check} :; }}
each() {{ for file in "$1"/* "$1"/.[!.]*; do
    if [ -h "$file" ]; then :; elif [ -d "$file" ]; then each "$file"; elif [ -f "$file" ]; then check "$file"; fi
done; }}
each .
tar -cf - . | base64
"#
    )
}

/// Reads what [`look`] has shown.
fn seen(ran: &Ran) -> Result<Tree, String> {
    let lines = ran.text_of("child");
    if let Some(line) = lines.iter().find(|line| line.starts_with("not newer")) {
        return Err((*line).to_owned());
    }
    let archive =
        base64::engine::general_purpose::STANDARD.decode(lines.concat()).map_err(|error| error.to_string())?;
    let mut tree = Tree::default();
    for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().strip_prefix(".").unwrap().to_owned();
        let node = match entry.header().entry_type() {
            tar::EntryType::Directory => Node::Folder,
            tar::EntryType::Symlink => Node::Link(entry.link_name().unwrap().unwrap().display().to_string()),
            _ => Node::File {
                is_executable: entry.header().mode().unwrap() & 0o111 != 0,
                text: std::io::read_to_string(&mut entry).unwrap(),
            },
        };
        if path != Path::new("") {
            tree.0.insert(path, node);
        }
    }
    Ok(tree)
}

fn steps(parent: &str, changed: &BTreeSet<PathBuf>) -> Vec<PlanStep> {
    vec![forever(step("parent", parent)), step("child", &look(changed)).builds_in(0)]
}

async fn check(runner: Runner, world: World) -> Result<(), TestCaseError> {
    let project = Project::new(runner);
    let root = project.sources.path();
    let parent = commands(&world.parent);
    carry_out(&world.first, root);
    let before = Tree::default().after(&world.first);
    let left = before.after(&world.parent);
    let ran = project.run(steps(&parent, &BTreeSet::new())).await;
    ran.assert_succeeded();
    prop_assert_eq!(seen(&ran), Ok(left.clone()), "before the edit");

    let touched = carry_out(&world.edit, root);
    let now = before.after(&world.edit);
    let (expected, changed) = left.updated(&before, &now, &touched);
    let ran = project.run(steps(&parent, &changed)).await;
    ran.assert_succeeded();
    prop_assert_eq!(ran.outcome_of("parent"), &Outcome::Cached);
    prop_assert_eq!(seen(&ran), Ok(expected), "from the cache");

    let mut bench = project.bench(steps(&parent, &BTreeSet::new()));
    bench.request.cache.as_mut().unwrap().is_read = false;
    let ran = bench.run().await;
    ran.assert_succeeded();
    prop_assert_eq!(seen(&ran), Ok(now.after(&world.parent)), "without the cache");
    project.clean().await;
    Ok(())
}

fn hold_for(runner: Runner, cases: u32, parts: usize) {
    if !is_available(runner) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = Config { cases, failure_persistence: None, max_shrink_time: MAX_SHRINK_MS, ..Config::default() };
    let held = TestRunner::new(config).run(&worlds(parts), |world| runtime.block_on(check(runner, world)));
    if let Err(error) = held {
        panic!("{error}");
    }
}

#[test]
fn any_edit_reaches_the_child_of_a_cached_step_on_the_host() {
    hold_for(host_runner(), 24, 6);
}

#[test]
fn any_edit_reaches_the_child_of_a_cached_step_on_docker() {
    hold_for(docker_runner(), 4, 24);
}

/// Runs the steps, edits the project, and returns what the child of the cached step says then.
async fn after_edit(runner: Runner, parent: &str, child: &str, edit: impl Fn(&Project)) -> Vec<String> {
    let project = Project::new(runner);
    for name in ["file", "folder/inner", "folder/other"] {
        project.file(name, "old\n");
    }
    let steps = || vec![forever(step("parent", parent)), step("child", child).builds_in(0)];
    project.run(steps()).await;
    edit(&project);
    let ran = project.run(steps()).await;
    ran.assert_succeeded();
    assert_eq!(*ran.outcome_of("parent"), Outcome::Cached);
    project.clean().await;
    ran.text_of("child").into_iter().map(str::to_owned).collect()
}

for_each_runner! {
    async fn a_changed_file_arrives_although_a_step_has_removed_its_folder(runner: Runner) {
        let edit = |project: &Project| project.file("folder/inner", "new\n");
        let seen = after_edit(runner, "rm -r folder", "cat folder/inner; ls folder", edit).await;
        assert_eq!(seen, ["new", "inner"]);
    }

    async fn a_changed_file_replaces_what_a_step_has_put_in_its_place(runner: Runner) {
        let parent = "rm -r file folder; mkdir -p file/made elsewhere; ln -s elsewhere folder";
        let child = "cat file folder/inner; ls elsewhere";
        let seen = after_edit(runner, parent, child, |project| {
            project.file("file", "new\n");
            project.file("folder/inner", "new\n");
        });
        assert_eq!(seen.await, ["new", "new"]);
    }

    async fn what_a_step_has_put_in_the_place_of_a_removed_file_stays(runner: Runner) {
        let parent = "rm file; mkdir file; echo made > file/made; mv folder elsewhere; ln -s elsewhere folder";
        let child = "cat file/made; ls elsewhere";
        let seen = after_edit(runner, parent, child, |project| {
            std::fs::remove_file(project.sources.path().join("file")).unwrap();
            std::fs::remove_file(project.sources.path().join("folder/inner")).unwrap();
        });
        assert_eq!(seen.await, ["made", "inner", "other"]);
    }

    async fn a_folder_that_becomes_a_file_and_a_file_that_becomes_a_folder_change_places(runner: Runner) {
        let seen = after_edit(runner, "echo made > folder/made", "cat folder file/inner", |project| {
            let path = |name: &str| project.sources.path().join(name);
            std::fs::remove_dir_all(path("folder")).unwrap();
            std::fs::rename(path("file"), path("folder")).unwrap();
            project.file("file/inner", "new\n");
        });
        assert_eq!(seen.await, ["old", "new"]);
    }
}
