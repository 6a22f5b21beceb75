//! `pipelens init`: looks at the project and writes a first pipeline that can be run as it is.

mod kind;
mod pipeline;
mod project;
mod versions;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use super::output::print;
use super::printable::printable;
use super::replace;
use kind::{Kind, Start};
use pipeline::{pipeline, slug};
use project::Project;

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The project's directory
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Print the pipeline instead of writing `pipeline.yml`
    #[arg(long)]
    stdout: bool,
    /// Replace an existing `pipeline.yml`
    #[arg(long)]
    force: bool,
}

/// Writes `pipeline.yml`, and prints what kind of project it found.
pub(crate) fn init(args: &InitArgs) -> anyhow::Result<u8> {
    let folder = &args.folder;
    if !folder.is_dir() {
        bail!("`{}` is not a directory", folder.display());
    }
    let project = Project::read(folder).with_context(|| format!("Cannot read `{}`", folder.display()))?;
    let kinds = Kind::all_in(&project);
    let absolute = std::path::absolute(folder)?;
    let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = Some(slug(&name)).filter(|name| !name.is_empty());
    let text = pipeline(name.as_deref().unwrap_or("ci"), &kinds);
    if args.stdout {
        return print(&text);
    }
    let path = folder.join("pipeline.yml");
    // Replace the directory entry: if it is a link or a pipe, its target must not be written.
    let written = if args.force { replace::put(&path, &text) } else { create(&path, &text) };
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!(
                "`{}` already exists; use `--force` to replace it, or `--stdout` to print the pipeline instead",
                path.display()
            )
        }
        Err(error) => return Err(error).with_context(|| format!("Cannot write `{}`", path.display())),
    }
    let needs_host = kinds.iter().flat_map(|kind| &kind.parts).any(|part| part.start == Start::Host);
    let option = if needs_host { " --allow-host-runner" } else { "" };
    print(&format!("Wrote `{0}`: found {1}\nRun it with `pipelens run {0}{option}`\n", path.display(), found(&kinds)))
}

/// Returns what was found, and where if that is not the project's own directory.
fn found(kinds: &[Kind]) -> String {
    if kinds.is_empty() {
        return "no known project type, so it has a first step for you to fill in".to_owned();
    }
    let of = |kind: &Kind| match kind.place.as_os_str().is_empty() {
        true => kind.name.to_owned(),
        false => format!("{} in `{}`", kind.name, printable(&kind.place.display().to_string())),
    };
    kinds.iter().map(of).collect::<Vec<_>>().join(", ")
}

fn create(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipelens_core::{Format, analyze};

    #[test]
    fn every_kind_of_project_gets_a_pipeline_without_a_finding() {
        let files = [
            (
                "Cargo.toml",
                r#"[package]
name = "x"
rust-version = "1.90"
"#,
            ),
            ("Cargo.lock", ""),
            ("package.json", r#"{"scripts": {"build": "tsc", "test": "vitest", "lint": "eslint ."}}"#),
            ("package-lock.json", ""),
            ("pyproject.toml", "[tool.pytest.ini_options]\n"),
            (
                "go.mod",
                r"module x

go 1.24
",
            ),
            ("CMakeLists.txt", ""),
            ("pom.xml", ""),
            ("build.gradle.kts", ""),
            ("Gemfile", ""),
            ("composer.json", "{}"),
            ("mix.exs", ""),
            ("x.csproj", ""),
            ("Package.swift", ""),
            ("deno.json", "{}"),
            ("build.zig", ""),
            ("Makefile", "test:\n\techo x\n"),
            ("configure", ""),
            ("main.c", ""),
            ("main.py", ""),
            ("Dockerfile", "FROM scratch\n"),
        ];
        let all = tempfile::tempdir().unwrap();
        for (file, content) in files {
            std::fs::write(all.path().join(file), content).unwrap();
            let alone = tempfile::tempdir().unwrap();
            std::fs::write(alone.path().join(file), content).unwrap();
            check(&alone);
        }
        check(&all);
        check(&tempfile::tempdir().unwrap());
    }

    fn check(folder: &tempfile::TempDir) {
        let text = pipeline("x", &Kind::all_in(&Project::read(folder.path()).unwrap()));
        let analysis = analyze(&text, Format::Yaml);
        assert!(analysis.diagnostics.is_empty(), "{text}\n{:#?}", analysis.diagnostics);
        assert!(!analysis.pipelines[0].steps.is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_replaced_and_not_its_target() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, project) = (folder.path().join("victim"), folder.path().join("project"));
        std::fs::create_dir(&project).unwrap();
        std::fs::write(&victim, "kept").unwrap();
        let path = project.join("pipeline.yml");
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(init(&InitArgs { folder: project.clone(), stdout: false, force: false }).is_err());
        init(&InitArgs { folder: project.clone(), stdout: false, force: true }).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        assert!(path.symlink_metadata().unwrap().is_file());
        // A pipe without a reader would be waited for.
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        init(&InitArgs { folder: project, stdout: false, force: true }).unwrap();
        assert!(path.symlink_metadata().unwrap().is_file());
    }
}
