//! Java and its relatives, built by Maven or Gradle.

use std::path::Path;

use super::step::{Kind, Part};
use crate::cli::init::project::Folder;

/// The releases that have long-term support, and so images of every tool.
const RELEASES: [u32; 5] = [8, 11, 17, 21, 25];
const USUAL: u32 = 21;

pub(super) fn maven(folder: Folder<'_>) -> Option<Kind> {
    let manifest = folder.text("pom.xml")?;
    let tool = if folder.has("mvnw") { "sh ./mvnw" } else { "mvn" };
    let tags = ["maven.compiler.release", "java.version", "maven.compiler.target", "maven.compiler.source", "release"];
    let stated = tags.iter().find_map(|tag| number_after(&manifest, &format!("<{tag}>")));
    let image = format!("maven:3.9-eclipse-temurin-{}", release(folder, stated));
    let compile = Part::root("compile", image, vec![format!("{tool} --batch-mode compile")]);
    let test = Part::then("test", "compile", format!("{tool} --batch-mode verify"));
    // Each module has a `target` of its own; then the whole result is kept.
    let has_modules = manifest.contains("<module>");
    let folders: &[&str] = if has_modules { &["~/.m2/repository"] } else { &["~/.m2/repository", "target"] };
    let compile = if has_modules { compile.reuses_last() } else { compile };
    Some(Kind::new("a Maven project", folder, vec![compile.mounts(folders), test.mounts(folders)]))
}

/// The root's `pom.xml` lists the modules that are built with it.
pub(super) fn maven_covers(folder: Folder<'_>, _: &Path) -> bool {
    folder.text("pom.xml").is_some_and(|manifest| manifest.contains("<module>"))
}

pub(super) fn gradle(folder: Folder<'_>) -> Option<Kind> {
    let files = ["build.gradle.kts", "build.gradle", "settings.gradle.kts", "settings.gradle"];
    folder.first(&files)?;
    let script: String = files.iter().filter_map(|file| folder.text(file)).collect();
    let tool = if folder.has("gradlew") { "sh ./gradlew" } else { "gradle" };
    let marks = ["JavaLanguageVersion.of(", "jvmToolchain(", "JavaVersion.VERSION_"];
    let stated = marks.iter().find_map(|mark| number_after(&script, mark));
    let image = if script.contains("com.android.") {
        "ghcr.io/cirruslabs/android-sdk:35".to_owned()
    } else {
        format!("gradle:8.14-jdk{}", release(folder, stated))
    };
    let build = Part::root("build", image, vec![format!("{tool} assemble")]).reuses_last();
    let test = Part::then("test", "build", format!("{tool} check"));
    let parts = [build, test].map(|part| part.mounts(&["~/.gradle/caches"])).into();
    Some(Kind::new("a Gradle project", folder, parts))
}

pub(super) fn gradle_covers(folder: Folder<'_>, _: &Path) -> bool {
    folder.first(&["settings.gradle", "settings.gradle.kts"]).is_some()
}

/// Returns the supported release that can build what the project asks for.
fn release(folder: Folder<'_>, stated: Option<u32>) -> u32 {
    let stated = folder.version_in(".java-version", "java").as_deref().and_then(first_number).or(stated);
    stated.and_then(|stated| RELEASES.into_iter().find(|release| *release >= stated)).unwrap_or(USUAL)
}

fn number_after(text: &str, mark: &str) -> Option<u32> {
    let rest = text.split_once(mark)?.1.trim_start();
    rest.starts_with(|first: char| first.is_ascii_digit()).then(|| first_number(rest))?
}

/// Returns the major version: of `temurin-17.0.2` 17, and of `1.8` 8.
fn first_number(text: &str) -> Option<u32> {
    let start = text.find(|character: char| character.is_ascii_digit())?;
    let mut numbers = text.get(start..)?.split(|character: char| !character.is_ascii_digit());
    let first = numbers.next()?.parse().ok()?;
    if first == 1 { numbers.next()?.parse().ok() } else { Some(first) }
}
