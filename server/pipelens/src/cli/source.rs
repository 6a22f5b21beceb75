//! Reads a pipeline file from disk, or says in one sentence why it cannot be read.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use pipelens_core::Format;
use pipelens_engine::files::{ProjectFolder, Unreadable};

use crate::{present, project};

/// Longer files are no pipelines; the core reads none either.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Reads a file as text. A link is followed inside of its project alone, and to another pipeline: what a finding shows of a file must
/// be what its author meant to be read.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let name = path.display().to_string();
    let absolute = lexical(&std::path::absolute(path).with_context(|| format!("Cannot read `{name}`"))?);
    let root = project::root_of(&absolute, &[]);
    let relative = absolute.strip_prefix(&root).unwrap_or(&absolute);
    let folder = ProjectFolder::open(&root).with_context(|| format!("Cannot read `{name}`"))?;
    if absolute.is_symlink() {
        check_link(&absolute, &root, &name)?;
    }
    let bytes = folder.read(relative, MAX_BYTES).map_err(|error| match error {
        Unreadable::NotRegular("a folder") => anyhow!("`{name}` is a folder; name the pipeline files in it"),
        Unreadable::TooLong { .. } => {
            let size = absolute.metadata().map_or_else(|_| String::new(), |metadata| present::bytes(metadata.len()));
            anyhow!("`{name}` is {size} long; a pipeline file of more than 16 MiB is not read")
        }
        Unreadable::NotRegular(kind) => {
            anyhow!(
                "`{name}` is {kind}, not a regular file; to check what a program prints, pipe it to `pipelens check -`"
            )
        }
        reason => anyhow!("Cannot read `{name}`: {reason}"),
    })?;
    decoded(bytes, &name)
}

/// Refuses a link to something that is no pipeline by its name, or that git keeps for itself.
fn check_link(path: &Path, root: &Path, name: &str) -> anyhow::Result<()> {
    let Ok(target) = path.canonicalize() else { return Ok(()) };
    let is_pipeline = Format::by_extension(&target).is_some();
    let inside = root.canonicalize().ok().and_then(|root| target.strip_prefix(root).ok().map(Path::to_owned));
    match inside {
        None => bail!("`{name}` leads out of the project through a symbolic link; name the file itself"),
        Some(inside) if !is_pipeline || inside.components().any(|part| part.as_os_str() == ".git") => bail!(
            "`{name}` is a symbolic link to `{}`, which is no pipeline file; a link leads to a `.yml`, `.yaml` or `.json` file",
            inside.display()
        ),
        Some(_) => Ok(()),
    }
}

/// Resolves `..` by its letters, as the user wrote the path.
fn lexical(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir | Component::Normal(_) | Component::RootDir | Component::Prefix(_) => path.push(part),
        }
        path
    })
}

/// Reads standard input as text.
pub(crate) fn read_standard_input() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes).context("Cannot read standard input")?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("Standard input is longer than 16 MiB, which is more than a pipeline can be");
    }
    decoded(bytes, "standard input")
}

fn decoded(bytes: Vec<u8>, name: &str) -> anyhow::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        anyhow::anyhow!("`{name}` is not UTF-8: the byte at {valid}, in line {line}, belongs to no character. Save the file as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.yml");
        std::fs::write(&file, b"a: b\nc: \xff\n").unwrap();
        let why = |path: &Path| format!("{:#}", read(path).unwrap_err());
        assert!(
            why(&file)
                .ends_with("is not UTF-8: the byte at 8, in line 2, belongs to no character. Save the file as UTF-8")
        );
        assert!(why(folder.path()).ends_with("is a folder; name the pipeline files in it"));
        assert!(why(&folder.path().join("no")).contains("Cannot read"));
        std::fs::File::create(&file).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(why(&file).ends_with("is 16.8 MB long; a pipeline file of more than 16 MiB is not read"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_to_another_pipeline_of_the_project_alone() {
        use std::os::unix::fs::symlink;
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("project");
        std::fs::create_dir_all(root.join(".git")).unwrap();
        std::fs::create_dir_all(root.join("ci")).unwrap();
        for path in ["../token.yml", ".git/config", ".git/a.yml", "token", "ci/real.yml"] {
            std::fs::write(root.join(path), "token").unwrap();
        }
        let read = |target: &str| {
            let link = root.join("pipeline.yml");
            std::fs::remove_file(&link).ok();
            symlink(target, &link).unwrap();
            read(&link).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(read("ci/real.yml").unwrap(), "token");
        for (target, why) in [
            ("../token.yml", "out of the project"),
            ("/etc/passwd", "out of the project"),
            ("/dev/zero", "out of the project"),
            ("token", "no pipeline file"),
            (".git/config", "no pipeline file"),
            (".git/a.yml", "no pipeline file"),
            ("gone", "No such file"),
        ] {
            let error = read(target).unwrap_err();
            assert!(error.contains(why), "{target}: {error}");
        }
        // A folder that leads elsewhere is no way out either.
        symlink(outer.path(), root.join("up")).unwrap();
        let error = format!("{:#}", super::read(&root.join("up/token.yml")).unwrap_err());
        assert!(error.contains("out of the project"), "{error}");
    }
}
