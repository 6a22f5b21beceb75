//! Which file of the project a tool means: the workspace of a step is a copy of the project, and tools print paths from wherever they run.

use std::collections::HashMap;

use super::folders::{Folders, folders};
use super::problem::Place;
use crate::mounts::below;
use crate::plan::DEFAULT_WORKDIR;

/// Maps paths of one step to paths relative to the project.
#[derive(Debug)]
pub struct Paths {
    /// The step's working directory, relative to the workspace.
    workdir: String,
    /// The folders in which its commands run, relative to the workspace.
    folders: Vec<String>,
    /// Some commands run in a folder that is not known.
    has_unknown: bool,
    /// The working directory itself, if the workspace is not the usual one.
    base: Option<String>,
    /// The project's folder on this machine.
    root: String,
}

/// The files of a project. Paths are relative to it, with `/`.
pub trait Project {
    fn has_file(&self, path: &str) -> bool;
    /// Returns the text of a file that describes a package.
    fn read(&self, path: &str) -> Option<String>;
    /// Only asked for if a path alone does not tell which file it is.
    fn names(&self) -> &Names;
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

    /// Returns the files with a name.
    fn named(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the files whose paths end with these parts.
    fn ending_with(&self, file: &str) -> Vec<&str> {
        let name = file.rsplit('/').next().unwrap_or_default();
        let ends = |path: &&str| path.strip_suffix(file).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
        self.named(name).iter().map(String::as_str).filter(ends).collect()
    }
}

/// The folders in which the host runner copies a project begin with this.
const HOST_PREFIX: &str = "pipelens-";

impl Paths {
    /// `command`: what the step runs; where it goes decides which file a relative path means.
    pub fn new(root: &str, workdir: &str, command: &str) -> Self {
        let inside = within(workdir, DEFAULT_WORKDIR);
        let mut paths = Self {
            workdir: inside.unwrap_or_default().to_owned(),
            folders: Vec::new(),
            has_unknown: false,
            base: inside.is_none().then(|| workdir.trim_end_matches('/').to_owned()),
            root: root.trim_end_matches('/').to_owned(),
        };
        paths.enter(folders(command));
        paths
    }

    fn enter(&mut self, folders: Folders) {
        self.has_unknown = folders.has_unknown;
        for folder in folders.known {
            let inside = if is_absolute(&folder) { self.inside(&folder) } else { self.below_workdir(&folder) };
            match inside.and_then(|folder| resolved(&folder)) {
                Some(folder) if !self.folders.contains(&folder) => self.folders.push(folder),
                Some(_) => {}
                None => self.has_unknown = true,
            }
        }
        if self.folders.is_empty() && !self.has_unknown {
            self.folders.push(self.workdir.clone());
        }
    }

    fn below_workdir(&self, folder: &str) -> Option<String> {
        resolved(&format!("{}/{folder}", self.workdir))
    }

    /// Returns the file of the project that a place is in. Paths that lead out of the project are in none, and neither are those that fit several files.
    pub fn find(&self, place: &Place, project: &impl Project) -> Option<String> {
        let file = place.file.trim().trim_start_matches("file://").replace('\\', "/");
        if file.is_empty() || file.contains('\0') || file.len() > 4_096 {
            return None;
        }
        if is_absolute(&file) {
            return self.inside(&file).and_then(|inside| normal(&inside)).filter(|inside| project.has_file(inside));
        }
        if let Some(found) = self.in_printed_folder(place, &file, project) {
            return Some(found);
        }
        if let Some(package) = &place.package
            && let Some(found) = in_go_package(package, &file, project)
        {
            return Some(found);
        }
        if place.is_name {
            return self.by_name(&file, place.package.as_deref(), project);
        }
        let mut fitting: Vec<String> =
            self.folders.iter().filter_map(|folder| from_folder(folder, &file, project)).collect();
        fitting.sort();
        fitting.dedup();
        match fitting.as_slice() {
            [] => self.elsewhere(&file, project),
            [found] if !self.has_unknown => Some(found.clone()),
            [_] => self.by_end(&file, project),
            _ => None,
        }
    }

    /// Returns the file in the directory that the output names.
    fn in_printed_folder(&self, place: &Place, file: &str, project: &impl Project) -> Option<String> {
        let folder = place.folder.as_deref()?;
        let inside = if is_absolute(folder) { self.inside(folder) } else { self.below_workdir(folder) };
        let from_root = Some(folder).filter(|folder| !is_absolute(folder));
        inside.as_deref().into_iter().chain(from_root).find_map(|start| existing(start, file, project))
    }

    /// Returns a file that is in none of the folders where commands run.
    fn elsewhere(&self, file: &str, project: &impl Project) -> Option<String> {
        let starts = [self.workdir.as_str(), ""].into_iter().filter(|_| !self.has_unknown);
        starts.into_iter().find_map(|start| existing(start, file, project)).or_else(|| self.by_end(file, project))
    }

    /// Returns the only file whose path ends like this; of several, the only one below a folder where commands run.
    fn by_end(&self, file: &str, project: &impl Project) -> Option<String> {
        let wanted = normal(file.trim_start_matches("../"))?;
        self.only(project.names().ending_with(&wanted), project)
    }

    /// Returns the file that a tool calls by the end of its path, or by something else and its name.
    fn by_name(&self, file: &str, package: Option<&str>, project: &impl Project) -> Option<String> {
        let wanted = normal(file)?;
        let name = wanted.rsplit('/').next().unwrap_or_default();
        let mut fitting = project.names().ending_with(&wanted);
        if fitting.is_empty() {
            fitting = project.names().ending_with(name);
        }
        let folder = package.map(|package| package.replace('.', "/"));
        let in_package = |path: &&str| {
            let (found, _) = path.rsplit_once('/').unwrap_or_default();
            folder.as_deref().is_some_and(|folder| found == folder || found.ends_with(&format!("/{folder}")))
        };
        let narrowed: Vec<&str> = fitting.iter().copied().filter(in_package).collect();
        self.only(if narrowed.is_empty() { fitting } else { narrowed }, project)
    }

    fn only(&self, fitting: Vec<&str>, project: &impl Project) -> Option<String> {
        let fitting: Vec<&str> = fitting.into_iter().filter(|path| project.has_file(path)).collect();
        if let [found] = fitting.as_slice() {
            return Some((*found).to_owned());
        }
        if self.has_unknown {
            return None;
        }
        let is_near =
            |path: &&str| self.folders.iter().any(|folder| folder.is_empty() || below(path, folder).is_some());
        let mut near = fitting.into_iter().filter(is_near);
        near.next().filter(|_| near.next().is_none()).map(str::to_owned)
    }

    /// Returns an absolute path of the step relative to the project.
    fn inside(&self, path: &str) -> Option<String> {
        let roots = [Some(DEFAULT_WORKDIR), self.base.as_deref(), Some(self.root.as_str())];
        let found = roots.into_iter().flatten().filter(|root| !root.is_empty()).find_map(|root| within(path, root));
        found.or_else(|| below_host_workspace(path)).map(str::to_owned)
    }
}

fn existing(folder: &str, file: &str, project: &impl Project) -> Option<String> {
    normal(&format!("{folder}/{file}")).filter(|path| project.has_file(path))
}

/// Returns the file that a tool means which runs in a folder. Cargo prints paths relative to the root of the workspace.
fn from_folder(folder: &str, file: &str, project: &impl Project) -> Option<String> {
    let root = if file.ends_with(".rs") && !folder.is_empty() { cargo_root(folder, project) } else { None };
    root.and_then(|root| existing(root, file, project)).or_else(|| existing(folder, file, project))
}

/// Returns the root of the Cargo workspace that a folder belongs to, or of its package.
fn cargo_root<'f>(folder: &'f str, project: &impl Project) -> Option<&'f str> {
    let mut package = None;
    for ancestor in ancestors(folder) {
        let Some(manifest) = project.read(&beside(ancestor, "Cargo.toml")) else { continue };
        let inner = package.unwrap_or(ancestor);
        if manifest.lines().any(|line| line.starts_with("[workspace]") || line.starts_with("[workspace.")) {
            let is_excluded = within(inner, ancestor).is_some_and(|member| excludes(&manifest, member));
            return Some(if is_excluded { inner } else { ancestor });
        }
        package = Some(inner);
    }
    package
}

/// Whether a manifest says that a folder is not part of its workspace.
fn excludes(manifest: &str, member: &str) -> bool {
    let Some((_, list)) = manifest.split_once("\nexclude").and_then(|(_, rest)| rest.split_once('[')) else {
        return false;
    };
    let entries = list.split(']').next().unwrap_or_default().split(['"', '\'']);
    entries.map(str::trim).any(|entry| !entry.is_empty() && within(member, entry.trim_end_matches('/')).is_some())
}

/// Returns a folder and those around it, from the inside out; the last is the project itself.
fn ancestors(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |folder| match folder.rsplit_once('/') {
        Some((outer, _)) => Some(outer),
        None => (!folder.is_empty()).then_some(""),
    })
}

fn beside(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Returns the file in the folder of a Go package. Which folder that is follows from the module's own name.
fn in_go_package(package: &str, file: &str, project: &impl Project) -> Option<String> {
    let name = file.rsplit('/').next().filter(|name| name.ends_with(".go"))?;
    let mut found: Option<(usize, String)> = None;
    for manifest in project.names().named("go.mod") {
        let module = project.read(manifest).and_then(|text| go_module(&text));
        let Some((module, inside)) =
            module.and_then(|module| Some((module.len(), within(package, &module)?.to_owned())))
        else {
            continue;
        };
        let folder = manifest.rsplit_once('/').map_or("", |(folder, _)| folder);
        // Tests can be in a package of their own in the same folder.
        let starts = [inside.as_str(), inside.trim_end_matches("_test")].map(|inside| format!("{folder}/{inside}"));
        let path = starts.iter().find_map(|start| existing(start, name, project));
        if let Some(path) = path
            && found.as_ref().is_none_or(|(length, _)| *length < module)
        {
            found = Some((module, path));
        }
    }
    found.map(|(_, path)| path)
}

/// Returns the name of a module, as its `go.mod` says it.
fn go_module(manifest: &str) -> Option<String> {
    let name = manifest.lines().find_map(|line| line.trim().strip_prefix("module "))?;
    let name = name.split("//").next()?.trim().trim_matches('"');
    (!name.is_empty()).then(|| name.to_owned())
}

fn is_absolute(path: &str) -> bool {
    path.starts_with('/') || path.as_bytes().get(1) == Some(&b':')
}

/// Returns a path relative to a folder that it is, or is in. The empty folder is the project.
fn within<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    match folder {
        "" => Some(path),
        _ if path == folder => Some(""),
        _ => below(path, folder),
    }
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

/// Returns the relative path of a file without `.` and `..`; `None` if it leads out, or nowhere.
fn normal(path: &str) -> Option<String> {
    resolved(path).filter(|path| !path.is_empty())
}

/// Returns a relative path without `.` and `..`; `None` if it leads out.
fn resolved(path: &str) -> Option<String> {
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
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project whose files have these texts.
    struct Texts {
        files: Vec<(&'static str, &'static str)>,
        names: Names,
    }

    impl Texts {
        fn new(files: &[(&'static str, &'static str)]) -> Self {
            Self { files: files.to_vec(), names: Names::new(files.iter().map(|(path, _)| (*path).to_owned())) }
        }
    }

    impl Project for Texts {
        fn has_file(&self, path: &str) -> bool {
            self.read(path).is_some()
        }

        fn read(&self, path: &str) -> Option<String> {
            self.files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
        }

        fn names(&self) -> &Names {
            &self.names
        }
    }

    fn found(workdir: &str, file: &str) -> Option<String> {
        found_in(workdir, file, None)
    }

    fn found_in(workdir: &str, file: &str, folder: Option<&str>) -> Option<String> {
        let files =
            ["src/main.c", "web/src/app.ts", "web/a.ts", "lib/src/util.c", "one/same.c", "two/same.c", "same.h"];
        let place = Place { file: file.to_owned(), folder: folder.map(str::to_owned), line: 1, ..Place::default() };
        Paths::new("/home/me/project", workdir, "").find(&place, &Texts::new(&files.map(|file| (file, ""))))
    }

    /// Checks which file a path means that the tools of a command print.
    #[track_caller]
    fn check(files: &[(&'static str, &'static str)], command: &str, file: &str, expected: Option<&str>) {
        let place = Place { file: file.to_owned(), line: 1, ..Place::default() };
        let found = Paths::new("/home/me/project", "/workspace", command).find(&place, &Texts::new(files));
        assert_eq!(found.as_deref(), expected, "{command}: {file}");
    }

    #[test]
    fn a_command_that_changes_the_folder_means_the_files_there() {
        let files = ["src/index.ts", "web/src/index.ts", "api/src/x.ts", "web/src/x.ts"].map(|file| (file, ""));
        check(&files, "tsc", "src/index.ts", Some("src/index.ts"));
        check(&files, "cd web && tsc", "src/index.ts", Some("web/src/index.ts"));
        check(&files, "cd /workspace/web && tsc", "src/index.ts", Some("web/src/index.ts"));
        check(&files, "cd web && tsc", "src/x.ts", Some("web/src/x.ts"));
        check(&files, "npm --prefix api run check", "src/x.ts", Some("api/src/x.ts"));
        check(&files, "cd web && tsc", "../src/index.ts", Some("src/index.ts"));
        // Several files fit, or the folder is not known.
        check(&files, "tsc && (cd web && tsc)", "src/index.ts", None);
        check(&files, "(cd api && tsc); (cd web && tsc)", "src/x.ts", None);
        check(&files, "cd $DIR && tsc", "src/index.ts", None);
        check(&files, "tsc", "src/x.ts", None);
        // Only one file fits.
        check(&files, "cd $DIR && tsc", "web/src/index.ts", Some("web/src/index.ts"));
        check(&files, "cd nowhere && tsc", "src/index.ts", Some("src/index.ts"));
    }

    #[test]
    fn cargo_prints_paths_relative_to_its_workspace() {
        let member = [
            ("Cargo.toml", "[package]\n[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"crates/other\"]\n"),
            ("src/lib.rs", ""),
            ("crates/x/Cargo.toml", "[package]\n"),
            ("crates/x/src/lib.rs", ""),
            ("crates/other/Cargo.toml", "[package]\n"),
            ("crates/other/src/lib.rs", ""),
        ];
        let command = "cd crates/x && cargo build";
        check(&member, command, "src/lib.rs", Some("src/lib.rs"));
        check(&member, command, "crates/x/src/lib.rs", Some("crates/x/src/lib.rs"));
        check(&member, "cd crates/other && cargo build", "src/lib.rs", Some("crates/other/src/lib.rs"));
        let alone = [
            ("Cargo.toml", "[package]\n"),
            ("src/lib.rs", ""),
            ("crates/x/Cargo.toml", "[package]\n"),
            ("crates/x/src/lib.rs", ""),
        ];
        check(&alone, command, "src/lib.rs", Some("crates/x/src/lib.rs"));
        check(&alone, "cd crates/x/src && cargo build", "src/lib.rs", Some("crates/x/src/lib.rs"));
        check(&alone, "cargo build --manifest-path crates/x/Cargo.toml", "src/lib.rs", Some("crates/x/src/lib.rs"));
        check(&alone, "cargo build", "src/lib.rs", Some("src/lib.rs"));
    }

    #[test]
    fn a_package_tells_which_file_a_name_means() {
        let go = [
            ("go.mod", "module example.com/x\n\ngo 1.22\n"),
            ("main_test.go", ""),
            ("pkg/main_test.go", ""),
            ("x/main_test.go", ""),
            ("tools/go.mod", "module example.com/x/tools // other\n"),
            ("tools/main_test.go", ""),
            ("java/src/com/example/AppTest.java", ""),
            ("java/src/com/other/AppTest.java", ""),
        ];
        let named = |file: &str, package: Option<&str>| {
            let place = Place {
                file: file.to_owned(),
                package: package.map(str::to_owned),
                is_name: true,
                line: 1,
                ..Place::default()
            };
            Paths::new("", "/workspace", "go test ./...").find(&place, &Texts::new(&go))
        };
        assert_eq!(named("main_test.go", Some("example.com/x")).as_deref(), Some("main_test.go"));
        assert_eq!(named("main_test.go", Some("example.com/x/pkg")).as_deref(), Some("pkg/main_test.go"));
        assert_eq!(named("main_test.go", Some("example.com/x/pkg_test")).as_deref(), Some("pkg/main_test.go"));
        assert_eq!(named("main_test.go", Some("example.com/x/tools")).as_deref(), Some("tools/main_test.go"));
        assert_eq!(named("main_test.go", None), None);
        assert_eq!(named("AppTest.java", Some("com.other")).as_deref(), Some("java/src/com/other/AppTest.java"));
        assert_eq!(named("AppTest.java", None), None);
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
