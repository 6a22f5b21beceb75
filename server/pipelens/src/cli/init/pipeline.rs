//! Writes the pipeline of a project as YAML.

use std::collections::BTreeSet;
use std::path::Path;

use super::kind::{Kind, Part, Start};
use super::project::{shell_word, slashes};

const INTRODUCTION: &str =
    "# Checked while you type; run it with one click or with `pipelens run`. Every step runs in its own container:
# `builds_in` starts from the filesystem another step left, `depends_on` only waits for that step.
# With `sh -e`, a command of several lines ends at the first line that fails.
";

/// Returns a pipeline with the steps of each kind.
pub(super) fn pipeline(name: &str, kinds: &[Kind]) -> String {
    let name = scalar(name);
    let first = [Kind::unknown()];
    let kinds = if kinds.is_empty() { &first } else { kinds };
    let steps: Vec<String> = kinds.iter().zip(prefixes(kinds)).map(|(kind, prefix)| steps(kind, &prefix)).collect();
    format!("{INTRODUCTION}name: {name}\nshell: sh -e\n\nsteps:\n{}", steps.join("\n"))
}

/// Returns what distinguishes the steps of each kind from those of the others.
fn prefixes(kinds: &[Kind]) -> Vec<String> {
    if kinds.len() == 1 {
        return vec![String::new()];
    }
    let of_last = |kind: &Kind| slug(&kind.place.file_name().unwrap_or_default().to_string_lossy());
    let is_unique = |name: &str| kinds.iter().filter(|kind| of_last(kind) == name).count() == 1;
    let is_only_one = |kind: &Kind| kinds.iter().filter(|other| other.place == kind.place).count() == 1;
    let mut taken = BTreeSet::new();
    let prefixes = kinds.iter().map(|kind| {
        let last = of_last(kind);
        let place = if is_unique(&last) { last } else { slug(&slashes(&kind.place)) };
        let name = match (place.is_empty(), is_only_one(kind)) {
            (true, _) => kind.language.to_owned(),
            (false, true) => place,
            (false, false) => format!("{place}-{}", kind.language),
        };
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let free = [name.clone()].into_iter().chain(numbered).find(|name| taken.insert(name.clone()));
        free.unwrap_or(name)
    });
    prefixes.collect()
}

/// Turns a directory's name into a valid name.
pub(super) fn slug(name: &str) -> String {
    let words = name.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

fn steps(kind: &Kind, prefix: &str) -> String {
    kind.parts.iter().map(|part| step(part, &kind.place, prefix)).collect()
}

fn step(part: &Part, place: &Path, prefix: &str) -> String {
    let key = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}-{key}") };
    let place = slashes(place);
    let mut text = part.comment.map(|comment| format!("  # {comment}\n")).unwrap_or_default();
    text.push_str(&format!("  - key: {}\n", scalar(&key(part.key))));
    let mut line = |content: String| {
        text.push_str("    ");
        text.push_str(&content);
        text.push('\n');
    };
    let mut commands = part.commands.clone();
    match &part.start {
        Start::Image(image) => line(format!("image: {image}")),
        Start::In(parent) => line(format!("builds_in: {}", scalar(&key(parent)))),
        Start::Host => line("runner: host".to_owned()),
    }
    if !place.is_empty() {
        match &part.start {
            // The directory is there already.
            Start::In(_) => line(format!("workdir: {}", scalar(&format!("/workspace/{place}")))),
            // A step's sources are placed in its `workdir`, so it has to start in the directory above.
            Start::Image(_) | Start::Host => commands.insert(0, format!("cd {}", shell_word(&place))),
        }
    }
    match commands.as_slice() {
        [command] => line(format!("cmd: {}", scalar(command))),
        commands => {
            line("cmd: |".to_owned());
            commands.iter().for_each(|command| line(format!("  {command}")));
        }
    }
    if !part.env.is_empty() {
        let pairs: Vec<String> = part.env.iter().map(|(name, value)| format!("{name}: \"{value}\"")).collect();
        line(format!("env: {{{}}}", pairs.join(", ")));
    }
    // In a policy they would be patterns.
    let is_pattern = place.contains(['*', '?', '[', ']', '{', '}', '\\', '!']);
    let paths: Vec<String> = part.cached_by.iter().map(|file| watched(&place, file)).collect();
    if !paths.is_empty() && !is_pattern {
        line(format!("cache: {{policy: on_change, paths: [{}]}}", paths.join(", ")));
    }
    let mounts: Vec<String> = part.cache_mounts.iter().map(|folder| mounted(&place, part, folder)).collect();
    if !mounts.is_empty() {
        line(format!("cache_mounts: [{}]", mounts.join(", ")));
    }
    if part.reuses_last {
        line("reuse: last".to_owned());
    }
    if part.is_soft {
        line("soft_fail: true".to_owned());
    }
    text
}

/// Returns the path of a file for a cache policy, inside a list in brackets.
fn watched(place: &str, file: &str) -> String {
    let path = if place.is_empty() { file.to_owned() } else { format!("{place}/{file}") };
    let is_plain = path.chars().all(|character| character.is_ascii_alphanumeric() || "._/-~".contains(character));
    // A `~` alone is null.
    if is_plain && !path.starts_with('-') && path != "~" { path } else { quoted(&path) }
}

/// Returns a folder for `cache_mounts`, inside a list in brackets. It is looked for in the step's `workdir`, which is not always that of its kind.
fn mounted(place: &str, part: &Part, folder: &str) -> String {
    let is_elsewhere = place.is_empty() || folder.starts_with(['~', '/']) || matches!(part.start, Start::In(_));
    watched(if is_elsewhere { "" } else { place }, folder)
}

/// Returns a string as YAML, without quotes where it stays the same string.
fn scalar(text: &str) -> String {
    let is_plain_first = text.starts_with(|first: char| first.is_ascii_alphabetic() || "/.(".contains(first));
    let changes_meaning = text.contains(": ") || text.contains(" #") || text.ends_with([':', ' ']);
    let is_word = matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    if is_plain_first && !changes_meaning && !is_word { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directorys_name_becomes_a_valid_name() {
        assert_eq!(slug("My Project.rs"), "my-project-rs");
        assert_eq!(slug("a: b #c"), "a-b-c");
        assert_eq!(slug("ñ"), "");
        assert!(pipeline("2048", &[]).contains("name: \"2048\""));
        assert!(pipeline("off", &[]).contains("name: \"off\""));
    }
}
