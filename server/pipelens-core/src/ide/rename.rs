//! Renames a step, a variable or an anchor: where it is defined and every reference to it, keeping the quotes each already has.

mod anchor;
mod axis;
mod renamable;
mod variable;

use std::collections::{HashMap, HashSet};

use super::names::{combination_at, naming, step_at};
use crate::analysis::Analysis;
use crate::files::FileEdit;
use crate::model::{Pipeline, Spelling, Step};
use crate::syntax::written::{self, in_single_quotes};
use crate::text::{Spanned, TextEdit, TextRange};
use crate::validate::safe_key;

pub use renamable::Renamable;

/// Returns the name at an offset that a rename would change, or nothing.
pub fn prepare_rename(analysis: &Analysis, offset: usize) -> Option<Renamable> {
    let Some((pipeline, position, range)) = step_at(analysis, offset) else {
        let found = axis::prepare(analysis, offset).or_else(|| variable::prepare(analysis, offset));
        return found.or_else(|| anchor::prepare(analysis, offset));
    };
    let step = pipeline.steps.get(position)?;
    let name = step.key.value.clone();
    let combination = combination_at(pipeline, step, range);
    let written = Written::read(analysis, range, combination.map_or(&name, |combination| &combination.key))?;
    let content = written.content(range);
    if combination.is_none() {
        return Some(Renamable { range: content, name });
    }
    // Only the step's own key can be renamed, if it is written as it is.
    let own = TextRange::new(content.start, content.start + name.len());
    (own.of(&analysis.text) == name).then_some(Renamable { range: own, name })
}

/// Returns the edits that give what is at an offset another name, or a sentence that says why that is not possible.
pub fn rename(analysis: &Analysis, offset: usize, new_name: &str) -> Result<Vec<FileEdit>, String> {
    let Some((pipeline, position, _)) = step_at(analysis, offset) else {
        let renamed = axis::rename(analysis, offset, new_name).or_else(|| variable::rename(analysis, offset, new_name));
        let renamed = renamed.or_else(|| anchor::rename(analysis, offset, new_name));
        return renamed.unwrap_or_else(|| {
            let message = "Only step keys, axes of a matrix, variables and anchors can be renamed: put the cursor on the name of one";
            Err(message.to_owned())
        });
    };
    let Some(step) = pipeline.steps.get(position) else { return Ok(Vec::new()) };
    let old_name = step.key.value.as_str();
    if new_name == old_name {
        return Ok(Vec::new());
    }
    check_name(pipeline, step, new_name)?;
    let mut names = vec![&step.key];
    match pipeline.spelling {
        // A plan's edges refer to positions, so they do not change.
        Spelling::Plan | Spelling::Envelope => {}
        Spelling::AuthoredYaml | Spelling::AuthoredJson => names.extend(naming(pipeline, step)),
    }
    let known: HashSet<TextRange> = names.iter().map(|name| name.range).collect();
    let aliases: HashMap<TextRange, TextRange> =
        analysis.tree.aliases().map(|(range, target)| (range, analysis.tree.node(target).range)).collect();
    let mut seen = HashSet::new();
    let mut edits: Vec<TextEdit> = Vec::new();
    for Spanned { value: written_name, range } in names.into_iter().filter(|name| seen.insert(name.range)) {
        let range = *range;
        if aliases.get(&range).is_some_and(|target| known.contains(target)) {
            // The alias follows the value it refers to.
            continue;
        }
        // The key of a combination starts with that of its step.
        let rest = written_name.strip_prefix(old_name).unwrap_or_default();
        let written = Written::read(analysis, range, written_name)
            .ok_or_else(|| format!("`{old_name}` spans several lines in one place; put it on one line first"))?;
        edits.push(TextEdit { range: written.content(range), new_text: written.write(new_name, rest)? });
    }
    edits.sort_by_key(|edit| edit.range.start);
    Ok(edits.into_iter().map(FileEdit::from).collect())
}

fn check_name(pipeline: &Pipeline, step: &Step, new_name: &str) -> Result<(), String> {
    if new_name.trim().is_empty() {
        return Err("A step's key must not be empty".to_owned());
    }
    let mut others = pipeline.steps.iter().filter(|other| other.key.range != step.key.range);
    match others.find(|other| safe_key(&other.key.value) == safe_key(new_name)) {
        Some(other) if other.key.value == new_name => Err(format!("A step `{new_name}` already exists")),
        Some(other) => Err(format!(
            "`{new_name}` would get the same container and image names as step `{}`; the keys must differ in a letter or digit",
            other.key.value
        )),
        None => Ok(()),
    }
}

/// How a name is written in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    /// `*name`, where the value it refers to is not a step's key: the name itself replaces the alias.
    Alias,
}

impl Written {
    /// Returns `None` for a name that spans several lines.
    fn read(analysis: &Analysis, range: TextRange, name: &str) -> Option<Self> {
        let text = analysis.text.get(range.start..range.end)?;
        if text.contains(['\n', '\r']) {
            return None;
        }
        match text.chars().next()? {
            '"' => Some(Self::DoubleQuoted),
            '\'' => Some(Self::SingleQuoted),
            '*' => Some(Self::Alias),
            _ if text == name => Some(Self::Plain),
            _ => None,
        }
    }

    fn content(self, range: TextRange) -> TextRange {
        match self {
            Self::Plain | Self::Alias => range,
            Self::SingleQuoted | Self::DoubleQuoted => TextRange::new(range.start + 1, range.end.saturating_sub(1)),
        }
    }

    /// Writes a name with what comes after it.
    fn write(self, name: &str, rest: &str) -> Result<String, String> {
        if name.chars().any(char::is_control) {
            return Err("A key cannot contain line breaks or other control characters".to_owned());
        }
        match self {
            Self::SingleQuoted => Ok(in_single_quotes(&format!("{name}{rest}"))),
            Self::DoubleQuoted => Ok(format!("{name}{rest}").replace('\\', "\\\\").replace('"', "\\\"")),
            Self::Plain | Self::Alias if is_plain(name) => Ok(format!("{name}{rest}")),
            Self::Plain | Self::Alias => Err(format!(
                "`{name}` would need quotes in YAML. Use only letters, digits, `-`, `_` and `.`, or put the old key in quotes first"
            )),
        }
    }
}

/// Tells whether a string needs no quotes, in block and in flow style.
fn is_plain(text: &str) -> bool {
    let is_word = |character: char| character.is_alphanumeric() || "_-./".contains(character);
    text.starts_with(|first: char| first.is_alphanumeric() || first == '_')
        && text.chars().all(is_word)
        && written::is_plain(text)
}
