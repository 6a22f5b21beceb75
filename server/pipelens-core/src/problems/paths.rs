//! Which file of the project a tool means: the workspace of a step is a copy of the project, and tools print paths from wherever they run.

use std::collections::HashMap;

use super::problem::Place;
use crate::mounts::below;
use crate::plan::DEFAULT_WORKDIR;

/// Maps paths of one step to paths relative to the project.
#[derive(Debug)]
pub struct Paths {
    /// The step's working directory, relative to the workspace.
    workdir: String,
    /// The working directory itself, if the workspace is not the usual one.
    base: Option<String>,
    /// The project's folder on this machine.
    root: String,
}

/// The files of a project by their names.
#[derive(Debug, Default)]
pub struct Names(HashMap<String, Vec<String>>);

impl Names {
    /// `files`: relative to the project, with `/`.
    pub fn new(files: impl IntoIterator<Item = String>) -> Self {
        let mut by_name: HashMap<String, Vec<String>> = HashMap::new();
        for file in files {
            let name = file.rsplit('/').next().unwrap_or_default().to_owned();
            by_name.entry(name).or_default().push(file);
        }
        Self(by_name)
    }

    /// Returns the only file whose path ends with these parts.
    fn unique(&self, file: &str) -> Option<String> {
        let wanted = normal(file.trim_start_matches("../"))?;
        let name = wanted.rsplit('/').next()?;
        let ends = |path: &&String| {
            path.strip_suffix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        };
        let mut fitting = self.0.get(name)?.iter().filter(ends);
        let found = fitting.next()?;
        fitting.next().is_none().then(|| found.clone())
    }
}

/// The folders in which the host runner copies a project begin with this.
const HOST_PREFIX: &str = "pipelens-";

impl Paths {
    pub fn new(root: &str, workdir: &str) -> Self {
        let inside = within(workdir, DEFAULT_WORKDIR);
        Self {
            workdir: inside.unwrap_or_default().to_owned(),
            base: inside.is_none().then(|| workdir.trim_end_matches('/').to_owned()),
            root: root.trim_end_matches('/').to_owned(),
        }
    }

    /// Returns the file of the project, if `exists` says that there is one. Paths that lead out of the project are none.
    /// `names` is only asked for if the path is not found otherwise.
    pub fn find<'a>(
        &self,
        place: &Place,
        exists: impl Fn(&str) -> bool,
        names: impl FnOnce() -> &'a Names,
    ) -> Option<String> {
        let file = place.file.trim().trim_start_matches("file://").replace('\\', "/");
        if file.is_empty() || file.contains('\0') || file.len() > 4_096 {
            return None;
        }
        if is_absolute(&file) {
            return self.inside(&file).and_then(|inside| normal(&inside)).filter(|inside| exists(inside));
        }
        let folder = place.folder.as_deref().and_then(|folder| {
            if is_absolute(folder) { self.inside(folder) } else { normal(&format!("{}/{folder}", self.workdir)) }
        });
        let from_root = place.folder.as_deref().filter(|folder| !is_absolute(folder));
        let starts = folder.as_deref().into_iter().chain(from_root).chain([self.workdir.as_str(), ""]);
        for start in starts {
            if let Some(path) = normal(&format!("{start}/{file}")).filter(|path| exists(path)) {
                return Some(path);
            }
        }
        names().unique(&file).filter(|path| exists(path))
    }

    /// Returns an absolute path of the step relative to the project.
    fn inside(&self, path: &str) -> Option<String> {
        let roots = [Some(DEFAULT_WORKDIR), self.base.as_deref(), Some(self.root.as_str())];
        let found = roots.into_iter().flatten().filter(|root| !root.is_empty()).find_map(|root| within(path, root));
        found.or_else(|| below_host_workspace(path)).map(str::to_owned)
    }
}

fn is_absolute(path: &str) -> bool {
    path.starts_with('/') || path.as_bytes().get(1) == Some(&b':')
}

/// Returns a path relative to a folder that it is, or is in.
fn within<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    if path == folder { Some("") } else { below(path, folder) }
}

/// Returns what comes after the workspace in the path of a copy on this machine: `/tmp/pipelens-x/workspace/a.c`.
fn below_host_workspace(path: &str) -> Option<&str> {
    let at = path.find(&format!("/{HOST_PREFIX}"))?;
    let (_, mut rest) = path.get(at + 1..)?.split_once('/')?;
    // A step that waits for its turn has a folder of its own in between.
    for _ in 0..3 {
        if let Some(inside) = within(rest, "workspace") {
            return Some(inside);
        }
        rest = rest.split_once('/')?.1;
    }
    None
}

/// Returns a relative path without `.` and `..`; `None` if it leads out.
fn normal(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(workdir: &str, file: &str) -> Option<String> {
        found_in(workdir, file, None)
    }

    fn found_in(workdir: &str, file: &str, folder: Option<&str>) -> Option<String> {
        let files =
            ["src/main.c", "web/src/app.ts", "web/a.ts", "lib/src/util.c", "one/same.c", "two/same.c", "same.h"];
        let (paths, names) = (Paths::new("/home/me/project", workdir), Names::new(files.map(str::to_owned)));
        let place = Place { file: file.to_owned(), folder: folder.map(str::to_owned), line: 1, ..Place::default() };
        paths.find(&place, |path| files.contains(&path), || &names)
    }

    #[test]
    fn paths_are_found_from_where_the_step_works() {
        let some = |path: &str| Some(path.to_owned());
        for file in ["src/main.c", "./src/main.c", "/workspace/src/main.c", "/home/me/project/src/main.c", "main.c"] {
            assert_eq!(found("/workspace", file), some("src/main.c"), "{file}");
        }
        for place in ["/tmp/pipelens-1/workspace/src/main.c", "/tmp/pipelens-1/lane/workspace/src/main.c"] {
            assert_eq!(found("/workspace", place), some("src/main.c"), "{place}");
        }
        assert_eq!(found("/workspace/web", "src/app.ts"), some("web/src/app.ts"));
        assert_eq!(found("/workspace/web", "../src/main.c"), some("src/main.c"));
        assert_eq!(found("/app", "/app/src/main.c"), some("src/main.c"));
        assert_eq!(found("/app", "src/main.c"), some("src/main.c"));
        // After a `cd`, if only one file fits.
        assert_eq!(found("/workspace", "src/app.ts"), some("web/src/app.ts"));
        assert_eq!(found("/workspace", "util.c"), some("lib/src/util.c"));
        assert_eq!(found("/workspace", "same.c"), None);
        assert_eq!(found_in("/workspace", "same.c", Some("/workspace/two")), some("two/same.c"));
        assert_eq!(found_in("/workspace", "same.c", Some("one")), some("one/same.c"));
    }

    #[test]
    fn nothing_outside_the_project_is_found() {
        for file in [
            "/usr/include/same.h",
            "/etc/passwd",
            "../../etc/passwd",
            "/workspace/../etc/passwd",
            "",
            "/",
            "none.c",
            "\0",
        ] {
            assert_eq!(found("/workspace", file), None, "{file}");
        }
        for file in ["/workspace2/src/main.c", "/tmp/other/workspace/src/main.c"] {
            assert_eq!(found("/workspace", file), None, "{file}");
        }
    }
}
