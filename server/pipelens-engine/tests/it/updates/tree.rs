//! A model of a file tree, and of what is done to it: in the project, by the shell of a step, and on paper.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

/// Long before any test.
const LONG_AGO: Duration = Duration::from_secs(1_000_000_000);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Folder,
    File { text: String, is_executable: bool },
    Link(String),
}

impl Node {
    fn is_folder(&self) -> bool {
        *self == Self::Folder
    }

    fn is_same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// Every path with what it is; what is above a path is a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree(pub(super) BTreeMap<PathBuf, Node>);

/// Something that is done to a tree, whatever is in it.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Replaces what is in the way, also above.
    Put {
        path: PathBuf,
        node: Node,
        is_dated_long_ago: bool,
    },
    Remove(PathBuf),
}

impl Action {
    /// Returns the same action in a folder.
    pub(super) fn inside(self, folder: &Path) -> Self {
        match self {
            Self::Put { path, node, is_dated_long_ago } => {
                Self::Put { path: folder.join(path), node, is_dated_long_ago }
            }
            Self::Remove(path) => Self::Remove(folder.join(path)),
        }
    }
}

/// Returns actions on few and short paths, so that they often meet, and on names of every kind.
pub(super) fn actions(most: usize) -> impl Strategy<Value = Vec<Action>> {
    let name = || prop::sample::select(vec!["a", "b", "c d", "é", "n\nl", "-x", "q'\"$", ".h"]);
    let path = prop::collection::vec(name(), 1..4).prop_map(|names| names.into_iter().collect::<PathBuf>());
    let text = prop::sample::select(vec!["", "one\n", "two\n", "three"]);
    let node = prop_oneof![
        4 => (text, any::<bool>()).prop_map(|(text, is_executable)| Node::File { text: text.into(), is_executable }),
        1 => Just(Node::Folder),
        2 => prop::sample::select(vec!["a", "b", "a/b", "missing"]).prop_map(|target| Node::Link(target.into())),
    ];
    let action = prop_oneof![
        5 => (path.clone(), node, any::<bool>())
            .prop_map(|(path, node, is_dated_long_ago)| Action::Put { path, node, is_dated_long_ago }),
        2 => path.prop_map(Action::Remove),
    ];
    prop::collection::vec(action, 0..most)
}

/// Returns the folders above a path, the outermost first.
fn above(path: &Path) -> Vec<&Path> {
    let mut folders: Vec<&Path> = path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
    folders.reverse();
    folders
}

impl Tree {
    pub(super) fn after(&self, actions: &[Action]) -> Self {
        let mut tree = self.clone();
        for action in actions {
            match action {
                Action::Put { path, node, .. } => tree.put(path, node),
                Action::Remove(path) => tree.remove(path),
            }
        }
        tree
    }

    fn remove(&mut self, path: &Path) {
        self.0.retain(|other, _| !other.starts_with(path));
    }

    fn put(&mut self, path: &Path, node: &Node) {
        for folder in above(path) {
            self.put_one(folder, &Node::Folder);
        }
        self.put_one(path, node);
    }

    fn put_one(&mut self, path: &Path, node: &Node) {
        if !(node.is_folder() && self.0.get(path).is_some_and(Node::is_folder)) {
            self.remove(path);
            self.0.insert(path.to_owned(), node.clone());
        }
    }

    /// Returns this tree with the difference between two states of the sources, and the files that came with it. `touched` was written to
    /// between the two.
    pub(super) fn updated(&self, before: &Self, now: &Self, touched: &BTreeSet<PathBuf>) -> (Self, BTreeSet<PathBuf>) {
        let mut tree = self.clone();
        let gone = |path: &Path, old: &Node| now.0.get(path).is_none_or(|new| !new.is_same_kind(old));
        for (path, old) in before.0.iter().filter(|(path, old)| !old.is_folder() && gone(path, old)) {
            if tree.0.get(path).is_some_and(|left| !left.is_folder() || old.is_folder()) {
                tree.remove(path);
            }
        }
        // A folder in which a step has made something stays.
        for (path, _) in before.0.iter().rev().filter(|(path, old)| old.is_folder() && gone(path, old)) {
            let is_empty = !tree.0.keys().any(|other| other != path && other.starts_with(path));
            if is_empty && tree.0.get(path).is_some_and(Node::is_folder) {
                tree.remove(path);
            }
        }
        let mut came = BTreeSet::new();
        for (path, new) in &now.0 {
            if before.0.get(path) != Some(new) || (touched.contains(path) && !new.is_folder()) {
                tree.put(path, new);
                came.insert(path.clone());
            }
        }
        (tree, came)
    }
}

/// Does to a folder what the actions say; returns what was written to.
pub(super) fn carry_out(actions: &[Action], root: &Path) -> BTreeSet<PathBuf> {
    let mut touched = BTreeSet::new();
    let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    let remove = |path: &Path| match is_folder(path) {
        true => fs::remove_dir_all(path).unwrap(),
        false => drop(fs::remove_file(path)),
    };
    let make_folder = |path: &Path| {
        if !is_folder(path) {
            remove(path);
            fs::create_dir(path).unwrap();
        }
    };
    for action in actions {
        match action {
            Action::Remove(path) if above(path).into_iter().all(|folder| is_folder(&root.join(folder))) => {
                remove(&root.join(path));
            }
            Action::Remove(_) => {}
            Action::Put { path, node, is_dated_long_ago } => {
                for folder in above(path) {
                    make_folder(&root.join(folder));
                }
                let place = root.join(path);
                match node {
                    Node::Folder => make_folder(&place),
                    Node::Link(target) => {
                        remove(&place);
                        symlink(target, &place).unwrap();
                    }
                    Node::File { text, is_executable } => {
                        remove(&place);
                        fs::write(&place, text).unwrap();
                        let mode = if *is_executable { 0o755 } else { 0o644 };
                        fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
                        if *is_dated_long_ago {
                            let file = fs::File::open(&place).unwrap();
                            file.set_modified(SystemTime::UNIX_EPOCH + LONG_AGO).unwrap();
                        }
                    }
                }
                touched.insert(path.clone());
            }
        }
    }
    touched
}

/// Returns shell commands that do what the actions say.
pub(super) fn commands(actions: &[Action]) -> String {
    let folder = |path: &Path| {
        let path = quoted(path);
        format!("[ -d {path} ] && [ ! -h {path} ] || {{ rm -rf {path}; mkdir {path}; }}\n")
    };
    let mut script = "set -e\n".to_owned();
    for action in actions {
        match action {
            Action::Remove(path) => {
                let is_none = |folder| format!("[ ! -d {0} ] || [ -h {0} ] || ", quoted(folder));
                let unless: String = above(path).into_iter().map(is_none).collect();
                script += &format!("{unless}rm -rf {}\n", quoted(path));
            }
            Action::Put { path, node, is_dated_long_ago } => {
                script.extend(above(path).into_iter().map(folder));
                let place = quoted(path);
                match node {
                    Node::Folder => script += &folder(path),
                    Node::Link(target) => script += &format!("rm -rf {place}; ln -s {target} {place}\n"),
                    Node::File { text, is_executable } => {
                        let mode = if *is_executable { "755" } else { "644" };
                        script += &format!("rm -rf {place}; printf '%s' '{text}' > {place}; chmod {mode} {place}\n");
                        if *is_dated_long_ago {
                            script += &format!("touch -d @{} {place}\n", LONG_AGO.as_secs());
                        }
                    }
                }
            }
        }
    }
    script
}

/// Returns a path for the shell that is neither an option nor more than one word.
pub(super) fn quoted(path: &Path) -> String {
    format!("'./{}'", path.display().to_string().replace('\'', r"'\''"))
}
