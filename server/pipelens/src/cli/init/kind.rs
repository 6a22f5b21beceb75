//! The kinds of project `init` knows, by the files that show them, and the steps each usually has.

mod go;
mod jvm;
mod native;
mod node;
mod others;
mod python;
mod rust;
mod step;

use std::path::{Path, PathBuf};

use super::project::{Folder, Project};
pub(super) use step::{Kind, Part, Start};

/// A project with more packages has a tool of its own that runs them all.
const MAX_KINDS: usize = 30;

/// How the projects of one language are found.
struct Language {
    name: &'static str,
    detect: fn(Folder<'_>) -> Option<Kind>,
    /// Whether the steps of a project also take care of one in this directory, relative to it.
    covers: fn(Folder<'_>, &Path) -> bool,
}

/// In the order their steps are written.
const LANGUAGES: &[Language] = &[
    Language { name: "rust", detect: rust::detect, covers: rust::covers },
    Language { name: "deno", detect: others::deno, covers: others::covers },
    Language { name: "node", detect: node::detect, covers: node::covers },
    Language { name: "python", detect: python::detect, covers: python::covers },
    Language { name: "go", detect: go::detect, covers: go::covers },
    Language { name: "maven", detect: jvm::maven, covers: jvm::maven_covers },
    Language { name: "gradle", detect: jvm::gradle, covers: jvm::gradle_covers },
    Language { name: "dotnet", detect: others::dotnet, covers: others::covers },
    Language { name: "ruby", detect: others::ruby, covers: |_, _| false },
    Language { name: "php", detect: others::php, covers: |_, _| false },
    Language { name: "elixir", detect: others::elixir, covers: others::covers },
    Language { name: "swift", detect: others::swift, covers: others::covers },
    Language { name: "zig", detect: others::zig, covers: others::covers },
    Language { name: "cmake", detect: native::cmake, covers: native::covers },
    Language { name: "autotools", detect: native::autotools, covers: native::covers },
];

/// What counts only if there is nothing else: a makefile next to another kind of project usually calls its tools, scripts
/// and images are part of it. The first that is found is all there is.
const GENERAL: &[Language] = &[
    Language { name: "make", detect: native::make, covers: native::covers },
    Language { name: "c", detect: native::sources, covers: native::covers },
    Language { name: "python", detect: python::scripts, covers: native::covers },
    Language { name: "docker", detect: others::dockerfile, covers: native::covers },
];

impl Kind {
    /// Returns every kind of project in a project's directories.
    pub(super) fn all_in(project: &Project) -> Vec<Self> {
        let specific = found(project, LANGUAGES);
        let mut general = GENERAL.iter().map(|language| found(project, std::slice::from_ref(language)));
        if specific.is_empty() { general.find(|kinds| !kinds.is_empty()).unwrap_or_default() } else { specific }
    }

    /// The pipeline of a project of an unknown type: it runs, and shows how to continue.
    pub(super) fn unknown() -> Self {
        let command = "echo \"Replace this with the command that builds your project\"".to_owned();
        let first = Part::root("hello", "alpine:3.22", vec![command]).comment("Project type not recognised.");
        let parts = vec![first, Part::then("list", "hello", "ls -la")];
        Self { name: "", language: "", place: PathBuf::new(), parts }
    }
}

fn found(project: &Project, languages: &[Language]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for place in project.places() {
        for language in languages {
            let is_covered = kinds.iter().any(|kind| {
                kind.language == language.name
                    && place
                        .strip_prefix(&kind.place)
                        .is_ok_and(|below| (language.covers)(project.folder(&kind.place), below))
            });
            if is_covered {
                continue;
            }
            let Some(kind) = (language.detect)(project.folder(place)) else { continue };
            kinds.push(Kind { language: language.name, ..kind });
            if kinds.len() == MAX_KINDS {
                return kinds;
            }
        }
    }
    kinds
}

#[cfg(test)]
mod tests;
