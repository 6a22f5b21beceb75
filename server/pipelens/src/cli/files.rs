//! Which files the arguments of a command line refer to: a file, every pipeline in a directory, the matches of a glob.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use globset::GlobBuilder;
use pipelens_core::programs::{FOLDERS, analyze};
use pipelens_engine::files::ProjectFolder;
use pipelens_engine::walk::{RuleSet, Walk, WalkError};

use super::checked::STANDARD_INPUT;
use crate::settings::{ProjectSettings, globs};
use crate::{present, programs, project, source};

/// The comment that marks any file as a pipeline is in its first lines.
const HEAD_BYTES: u64 = 4096;

/// More pipelines are not listed where one has to be chosen.
const MOST_LISTED: usize = 20;

/// Returns the files the arguments refer to, each once. A file that is named explicitly is included, whatever its name.
pub(crate) fn find(words: &[PathBuf]) -> (Vec<PathBuf>, Vec<anyhow::Error>) {
    let mut files = Vec::new();
    let mut seen = BTreeSet::new();
    let mut complaints = Vec::new();
    let here = [PathBuf::from(".")];
    for word in if words.is_empty() { &here } else { words } {
        match matching(word) {
            Ok(found) => files.extend(found.into_iter().filter(|file| seen.insert(file.clone()))),
            Err(error) => complaints.push(error),
        }
    }
    (files, complaints)
}

/// Returns the pipeline file that an argument refers to: the file, or the only pipeline in a directory and its `.hm`, else the only one below. Without an
/// argument, it is looked for in the current directory, else in the project.
pub(crate) fn only(word: Option<&Path>) -> anyhow::Result<PathBuf> {
    let folder = match word {
        Some(word) if !word.is_dir() => return Ok(word.to_owned()),
        Some(folder) => folder,
        None => Path::new("."),
    };
    let found = in_folder(folder).or_else(|error| {
        let root = project::root_of(&std::path::absolute(folder.join("pipeline.yml"))?, &[]);
        if word.is_some() || root == std::path::absolute(folder)? {
            Err(error)
        } else {
            in_folder(&root).map_err(|_| error)
        }
    })?;
    let is_near = |file: &Path| {
        let of_programs = || FOLDERS.iter().any(|name| file.parent() == Some(&folder.join(name)));
        file.parent() == Some(folder) || of_programs()
    };
    let found: Vec<PathBuf> = found.into_iter().filter(|file| is_runnable(file)).collect();
    let near: Vec<&Path> = found.iter().map(PathBuf::as_path).filter(|file| is_near(file)).collect();
    let candidates = if near.is_empty() { found.iter().map(PathBuf::as_path).collect() } else { near };
    match candidates.as_slice() {
        [file] => Ok(short(file).to_owned()),
        several => {
            let names = several.iter().map(|file| short(file).display().to_string());
            bail!(
                "There are {} pipelines here; name the one you mean: {}",
                several.len(),
                present::some_of(names, MOST_LISTED)
            )
        }
    }
}

/// Whether a file can be what is to be run. A program that declares nothing is there for other programs to import.
fn is_runnable(file: &Path) -> bool {
    let Some(language) = std::path::absolute(file).ok().and_then(|path| programs::language(&path)) else { return true };
    let declares = |text: String| !analyze(&text, language, None).pipelines.is_empty();
    source::read(file).map_or(true, declares)
}

/// Returns a path without `./`.
pub(super) fn short(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

fn matching(word: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if word.is_dir() {
        return in_folder(word);
    }
    let is_glob =
        !word.exists() && word.as_os_str() != STANDARD_INPUT && word.to_string_lossy().contains(['*', '?', '[', '{']);
    if is_glob { of_glob(word) } else { Ok(vec![word.to_owned()]) }
}

/// Returns the pipelines in a directory and below, except those that version control ignores.
pub(crate) fn pipelines(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let root = project::root_of(&std::path::absolute(folder.join("pipeline.yml"))?, &[]);
    let project = ProjectFolder::open(&root)?;
    let more = globs(&ProjectSettings::read(&root)?.files).map_err(anyhow::Error::msg)?;
    let is_pipeline = |path: &Path| {
        let relative = std::path::absolute(path).ok();
        let relative = relative.as_deref().and_then(|path| path.strip_prefix(&root).ok()).unwrap_or(path);
        let slashed = relative.to_string_lossy().replace('\\', "/");
        pipelens_core::is_pipeline_file(&slashed, "")
            || programs::language(relative).is_some()
            || more.is_match(relative)
            || says_so(&project, relative)
    };
    Ok(walk(folder)?.into_iter().filter(|path| is_pipeline(path)).collect())
}

fn in_folder(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let found = pipelines(folder)?;
    if found.is_empty() {
        bail!(
            "There is no pipeline in `{}`. `pipelens init` writes a first one. Other files are included if they are named explicitly, \
             begin with `# pipelens: pipeline`, or are under `files` in `.pipelens.yaml`",
            folder.display()
        );
    }
    Ok(found)
}

fn of_glob(word: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let pattern = word.to_string_lossy().replace('\\', "/");
    // As in a shell, a star does not match across directories.
    let glob = GlobBuilder::new(pattern.trim_start_matches("./")).literal_separator(true).build();
    let glob = glob.with_context(|| format!("`{pattern}` is not a valid glob"))?.compile_matcher();
    // Everything before the first part with a star is a directory that can be searched.
    let is_name = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
    let folder: PathBuf = word.components().take_while(is_name).collect();
    let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
    let without_dot = |path: PathBuf| path.strip_prefix(".").map(Path::to_owned).unwrap_or(path);
    let found: Vec<PathBuf> = walk(&folder)?.into_iter().map(without_dot).filter(|path| glob.is_match(path)).collect();
    if found.is_empty() {
        bail!("No file matches `{}`", word.display());
    }
    Ok(found)
}

/// Returns files in the order of their names. `.hm` is hidden, and holds pipelines.
fn walk(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let absolute = std::path::absolute(folder)?;
    let root = project::root_of(&absolute.join("pipeline.yml"), &[]);
    let mut files = Vec::new();
    for entry in Walk::towards(&root, &absolute, RuleSet::Git)? {
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) || is_linked_program(entry.path()) => {
                // The path is shown as the user wrote the directory.
                files.extend(entry.path().strip_prefix(&absolute).ok().map(|path| folder.join(path)));
            }
            Ok(_) | Err(WalkError::Entry { .. }) => {}
            Err(error @ WalkError::Rules { .. }) => bail!("{error}"),
        }
    }
    Ok(files)
}

/// Whether a path is a link in the place of a program, to one that may be read. Other links are not followed.
fn is_linked_program(path: &Path) -> bool {
    path.is_symlink() && programs::language(path).is_some() && source::read(path).is_ok()
}

fn says_so(project: &ProjectFolder, path: &Path) -> bool {
    let is_yaml = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
    let head = || project.read_head(path, HEAD_BYTES).unwrap_or_default();
    is_yaml && pipelens_core::is_pipeline_file("", &String::from_utf8_lossy(&head()))
}
