//! C and C++, and anything else that has a makefile.

use std::path::Path;

use super::step::{Kind, Part};
use crate::cli::init::project::{Folder, shell_word};

const COMPILER: &str = "gcc:15";

/// Has CMake, Meson's needs and both compilers, so that nothing has to be installed, which a step on the host could not do.
const CMAKE: &str = "mcr.microsoft.com/devcontainers/cpp:1-debian-12";

/// The folder it builds in is kept from run to run, and so are what it downloads and builds of others.
pub(super) fn cmake(folder: Folder<'_>) -> Option<Kind> {
    folder.has("CMakeLists.txt").then(|| {
        let commands =
            ["cmake -S . -B build-ci", "cmake --build build-ci --parallel", "cd build-ci && ctest --output-on-failure"];
        let build = Part::root("build", CMAKE, commands.map(str::to_owned).to_vec()).mounts(&["build-ci"]);
        Kind::new("a CMake project", folder, vec![build])
    })
}

pub(super) fn autotools(folder: Folder<'_>) -> Option<Kind> {
    let has_script = folder.has("configure");
    (has_script || folder.has("configure.ac")).then(|| {
        let first = if has_script { "sh ./configure" } else { "autoreconf --install && ./configure" };
        let commands = [first, "make", "make check"].map(str::to_owned).to_vec();
        Kind::new("an Autotools project", folder, vec![Part::root("build", COMPILER, commands).reuses_last()])
    })
}

/// What is below is built from here.
pub(super) fn covers(_: Folder<'_>, _: &Path) -> bool {
    true
}

pub(super) fn make(folder: Folder<'_>) -> Option<Kind> {
    let rules = folder.text(folder.first(&["GNUmakefile", "makefile", "Makefile"])?)?;
    let targets = targets(&rules);
    let build = ["all", "build"].into_iter().find(|name| targets.contains(name));
    let default = rules.lines().find_map(|line| {
        line.split_once(".DEFAULT_GOAL")?.1.trim_start_matches([':', '?', '=', ' ']).split_whitespace().next()
    });
    let default = default.or_else(|| targets.first().copied());
    let build = match (build, default) {
        // The default target is `make`'s own choice, unless it acts on more than the project.
        (_, Some(default)) if !NOT_BUILDS.contains(&default) => Some("make".to_owned()),
        (Some(build), _) => Some(format!("make {build}")),
        (None, _) => None,
    };
    let mut checks = ["test", "check", "lint"].into_iter().filter(|rule| targets.contains(rule));
    let mut parts = Vec::new();
    let (root, command) = match build {
        Some(command) => ("build", command),
        None => {
            let first = checks.next()?;
            (first, format!("make {first}"))
        }
    };
    parts.push(Part::root(root, COMPILER, vec![command]).reuses_last());
    // `make test` runs once, even if it is what `make` does.
    parts.extend(
        checks.filter(|rule| Some(*rule) != default).map(|rule| Part::then(rule, root, format!("make {rule}"))),
    );
    Some(Kind::new("a makefile", folder, parts))
}

/// Default targets that a first pipeline must not run: they change the machine, publish, or do not end.
const NOT_BUILDS: [&str; 16] = [
    "install",
    "deploy",
    "publish",
    "release",
    "push",
    "upload",
    "run",
    "serve",
    "start",
    "up",
    "down",
    "dev",
    "watch",
    "clean",
    "distclean",
    "help",
];

/// Returns the targets of a makefile that can be named, in order.
fn targets(rules: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in rules.lines().filter(|line| !line.starts_with(['\t', ' ', '#', '.'])) {
        let Some((names, rest)) = line.split_once(':') else { continue };
        // An assignment: `x := y`, `x ::= y`.
        if names.contains(['=', '$', '%']) || rest.trim_start_matches(':').starts_with('=') {
            continue;
        }
        found.extend(names.split_whitespace());
    }
    found
}

/// Sources that no tool builds: each is compiled.
pub(super) fn sources(folder: Folder<'_>) -> Option<Kind> {
    let of = |endings: &[&str]| -> Vec<String> {
        let names = folder.names().filter(|name| endings.iter().any(|ending| name.ends_with(ending)));
        names.map(shell_word).collect()
    };
    let (c, cpp) = (of(&[".c"]), of(&[".cc", ".cpp", ".cxx"]));
    let commands: Vec<String> = [("gcc", c), ("g++", cpp)]
        .into_iter()
        .filter(|(_, files)| !files.is_empty())
        .map(|(compiler, files)| format!("{compiler} -Wall -c {}", files.join(" ")))
        .collect();
    (!commands.is_empty())
        .then(|| Kind::new("C or C++ sources", folder, vec![Part::root("compile", COMPILER, commands)]))
}
