//! `pipelens init`: looks at the project and writes a first pipeline that can be run as it is.

mod kind;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use super::output::print;
use super::replace;
use kind::{Kind, Part};

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
    let kinds = Kind::all_in(folder);
    let absolute = std::path::absolute(folder)?;
    let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let text = pipeline(&slug(&name), &kinds);
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
    let seen: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
    let seen = if seen.is_empty() {
        "no known project type, so it has a first step for you to fill in".to_owned()
    } else {
        seen.join(", ")
    };
    print(&format!("Wrote `{0}`: found {seen}\nRun it with `pipelens run {0}`\n", path.display()))
}

fn create(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

/// Turns a directory's name into a valid pipeline name.
fn slug(name: &str) -> String {
    let letters =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' });
    let slug: String = letters.collect();
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "ci".to_owned() } else { slug.to_owned() }
}

fn pipeline(name: &str, kinds: &[Kind]) -> String {
    let mut text = String::from(
        "# Checked while you type; run it with one click or with `pipelens run`. Every step runs in its own container:\n\
         # `builds_in` starts from the filesystem another step left, `depends_on` only waits for that step.\n",
    );
    // A name of digits alone would be a number.
    let name =
        if name.starts_with(|first: char| first.is_ascii_digit()) { format!("\"{name}\"") } else { name.to_owned() };
    text.push_str(&format!(
        r"name: {name}

steps:
"
    ));
    let first = [Kind::unknown()];
    let kinds = if kinds.is_empty() { &first } else { kinds };
    let many = kinds.len() > 1;
    for (index, kind) in kinds.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        for part in &kind.parts {
            text.push_str(&step(part, if many { kind.prefix } else { "" }));
        }
    }
    text
}

fn step(part: &Part, prefix: &str) -> String {
    let key = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}-{key}") };
    let mut lines: Vec<String> = part.comment.iter().map(|comment| format!("  # {comment}")).collect();
    lines.push(format!("  - key: {}", key(part.key)));
    lines.extend(part.image.as_ref().map(|image| format!("    image: {image}")));
    lines.extend(part.builds_in.map(|parent| format!("    builds_in: {}", key(parent))));
    lines.push(format!("    cmd: {}", part.cmd));
    if let Some(files) = &part.cached_by {
        lines.push(format!("    cache: {{policy: on_change, paths: [{}]}}", files.join(", ")));
    }
    lines.push(String::new());
    lines.join("\n")
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
        let text = pipeline("x", &Kind::all_in(folder.path()));
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

    #[test]
    fn a_folders_name_becomes_a_valid_pipeline_name() {
        assert_eq!(slug("My Project.rs"), "my-project-rs");
        assert_eq!(slug("ñ"), "ci");
        assert!(pipeline("2048", &[]).contains("name: \"2048\""));
    }
}
