//! Where the cache mounts of steps are.

use std::fmt;

use crate::model::{CacheMount, Step};
use crate::plan::DEFAULT_WORKDIR;

/// Directories of the system, in which a mount would break the step.
const OF_THE_SYSTEM: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Why no cache mount can be at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadPath {
    Root,
    Workdir,
    AboveWorkdir,
    Parent,
    Home,
    OtherHome,
    System,
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "is the whole filesystem. Name a folder of its own, such as `~/.cache`",
            Self::Workdir => {
                "is the working directory, and would hide the sources. Name a folder in it, such as `target`"
            }
            Self::AboveWorkdir => {
                "contains the working directory, and would hide the sources. Name a folder below it, such as `target`"
            }
            Self::Parent => "contains `..`. Write the path itself: absolute, or below `workdir` or `~`",
            Self::Home => {
                "is the whole home, with the step's settings and programs. Name a folder in it, such as `~/.cache`"
            }
            Self::OtherHome => {
                "is not a path: `~` is the step's home only before a `/`. Write `~/` or an absolute path"
            }
            Self::System => "belongs to the system. Name another folder",
        })
    }
}

/// Returns the place of a mount in a normal form: an absolute path, or one that begins with `~/`.
pub(crate) fn place(written: &str, workdir: &str) -> Result<String, BadPath> {
    let parts: Vec<&str> = written.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(BadPath::Parent);
    }
    match parts.split_first() {
        Some((&"~", [])) => Err(BadPath::Home),
        Some((&"~", _)) if !written.starts_with('/') => Ok(parts.join("/")),
        Some((first, _)) if first.starts_with('~') && written.starts_with('~') => Err(BadPath::OtherHome),
        None if written.starts_with('/') => Err(BadPath::Root),
        None => Err(BadPath::Workdir),
        Some(_) if written.starts_with('/') => absolute(format!("/{}", parts.join("/")), workdir),
        Some(_) => absolute(format!("{}/{}", normal(workdir), parts.join("/")), workdir),
    }
}

fn absolute(path: String, workdir: &str) -> Result<String, BadPath> {
    let workdir = normal(workdir);
    if path == workdir {
        return Err(BadPath::Workdir);
    }
    if below(&workdir, &path).is_some() {
        return Err(BadPath::AboveWorkdir);
    }
    if OF_THE_SYSTEM.iter().any(|system| path == *system || below(&path, system).is_some()) {
        return Err(BadPath::System);
    }
    Ok(path)
}

/// Returns an absolute path without needless parts; the root is empty.
pub(crate) fn normal(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.flat_map(|part| ["/", part]).collect()
}

/// Returns the part of a path that is below another one. Both are in their normal form.
pub(crate) fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}

impl Step {
    /// Returns the working directory.
    pub(crate) fn folder(&self) -> &str {
        self.workdir.as_ref().map_or(DEFAULT_WORKDIR, |workdir| workdir.value.as_str())
    }

    /// Returns its cache mounts with their places. A mount that cannot be at its path has a finding.
    pub(crate) fn placed_mounts(&self) -> impl Iterator<Item = (&CacheMount, String)> {
        self.cache_mounts.iter().filter_map(|mount| Some((mount, place(&mount.path.value, self.folder()).ok()?)))
    }
}

impl CacheMount {
    /// Returns the name of the folder: its own, or its place.
    pub(crate) fn folder_name<'m>(&'m self, place: &'m str) -> &'m str {
        self.name.as_ref().map_or(place, |name| name.value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_absolute_or_in_the_home() {
        for (written, expected) in [
            ("target", "/work/app/target"),
            ("./target//x/", "/work/app/target/x"),
            ("~/.cargo/registry/", "~/.cargo/registry"),
            ("/var//cache", "/var/cache"),
            ("/work/other", "/work/other"),
            ("a~b", "/work/app/a~b"),
            ("a/~", "/work/app/a/~"),
            ("/~/x", "/~/x"),
            ("/devel", "/devel"),
            ("..a", "/work/app/..a"),
        ] {
            assert_eq!(place(written, "/work/app/").as_deref(), Ok(expected), "{written}");
        }
    }

    #[test]
    fn no_mount_hides_the_sources_the_home_or_the_system() {
        for (written, expected) in [
            ("/", BadPath::Root),
            ("//.", BadPath::Root),
            (".", BadPath::Workdir),
            ("./", BadPath::Workdir),
            ("/work/app/", BadPath::Workdir),
            ("/work", BadPath::AboveWorkdir),
            ("..", BadPath::Parent),
            ("a/../b", BadPath::Parent),
            ("~/../x", BadPath::Parent),
            ("~", BadPath::Home),
            ("~/", BadPath::Home),
            ("~root/x", BadPath::OtherHome),
            ("/proc", BadPath::System),
            ("/dev/shm", BadPath::System),
        ] {
            assert_eq!(place(written, "/work/app"), Err(expected), "{written}");
        }
    }
}
