//! Reads a pipeline file from disk, or returns one sentence about why that is not possible.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use pipelens_core::Format;
use pipelens_engine::files::{ProjectFolder, Unreadable};

use crate::{present, programs, project};

/// Longer files are not read; neither does the core parse them.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Reads a file as text. A symbolic link is followed only inside its project, and only to another pipeline file, from a
/// program to one of its extension: findings quote the file, and must not quote one that was not meant to be read.
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
        Unreadable::NotRegular("a folder") => anyhow!("`{name}` is a directory; pass the pipeline files in it"),
        Unreadable::TooLong { .. } => {
            let size = absolute.metadata().map_or_else(|_| String::new(), |metadata| present::bytes(metadata.len()));
            anyhow!("`{name}` is {size} long; pipeline files larger than 16 MiB are not read")
        }
        Unreadable::NotRegular(kind) => {
            anyhow!(
                "`{name}` is {kind}, not a regular file; to check the output of a program, pipe it to `pipelens check -`"
            )
        }
        reason => anyhow!("Cannot read `{name}`: {reason}"),
    })?;
    decoded(bytes, &name)
}

/// Refuses a link to a file that is not named like a pipeline, or that is inside `.git`.
fn check_link(path: &Path, root: &Path, name: &str) -> anyhow::Result<()> {
    let Ok(target) = path.canonicalize() else { return Ok(()) };
    let program = programs::language(path);
    let is_pipeline = match program {
        Some(_) => target.extension() == path.extension(),
        None => Format::by_extension(&target).is_some(),
    };
    let inside = root.canonicalize().ok().and_then(|root| target.strip_prefix(root).ok().map(Path::to_owned));
    match inside {
        None => bail!("`{name}` leads out of the project through a symbolic link; pass the file itself"),
        Some(inside) if !is_pipeline || inside.components().any(|part| part.as_os_str() == ".git") => bail!(
            "`{name}` is a symbolic link to `{}`, which is not a pipeline file; a link must lead to {}",
            inside.display(),
            match program {
                Some(language) => format!("a {} file with the same extension", language.name()),
                None => "a `.yml`, `.yaml` or `.json` file".to_owned(),
            }
        ),
        Some(_) => Ok(()),
    }
}

/// Resolves `..` lexically, as the user wrote the path.
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
        bail!("Standard input is longer than 16 MiB; longer pipelines are not read");
    }
    decoded(bytes, "standard input")
}

fn decoded(bytes: Vec<u8>, name: &str) -> anyhow::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        anyhow::anyhow!("`{name}` is not UTF-8: invalid byte at offset {valid}, in line {line}. Save the file as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_file_is_reported_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.yml");
        std::fs::write(&file, b"a: b\nc: \xff\n").unwrap();
        let why = |path: &Path| format!("{:#}", read(path).unwrap_err());
        assert!(why(&file).ends_with("is not UTF-8: invalid byte at offset 8, in line 2. Save the file as UTF-8"));
        assert!(why(folder.path()).ends_with("is a directory; pass the pipeline files in it"));
        assert!(why(&folder.path().join("no")).contains("Cannot read"));
        std::fs::File::create(&file).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(why(&file).ends_with("is 16.8 MB long; pipeline files larger than 16 MiB are not read"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_only_to_another_pipeline_of_the_project() {
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
            ("token", "not a pipeline file"),
            (".git/config", "not a pipeline file"),
            (".git/a.yml", "not a pipeline file"),
            ("gone", "No such file"),
        ] {
            let error = read(target).unwrap_err();
            assert!(error.contains(why), "{target}: {error}");
        }
        // From a program, to one in the same language.
        std::fs::create_dir(root.join(".hm")).unwrap();
        std::fs::write(root.join("ci/pipeline.py"), "program").unwrap();
        let program = root.join(".hm/pipeline.py");
        symlink("../ci/pipeline.py", &program).unwrap();
        assert_eq!(super::read(&program).unwrap(), "program");
        for target in ["../ci/real.yml", "../.git/config", "../token"] {
            std::fs::remove_file(&program).unwrap();
            symlink(target, &program).unwrap();
            let error = format!("{:#}", super::read(&program).unwrap_err());
            assert!(error.contains("must lead to a Python file"), "{target}: {error}");
        }
        // A directory that is a link does not lead out of the project either.
        symlink(outer.path(), root.join("up")).unwrap();
        let error = format!("{:#}", super::read(&root.join("up/token.yml")).unwrap_err());
        assert!(error.contains("out of the project"), "{error}");
    }
}
