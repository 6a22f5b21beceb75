//! Renames a variable: its entry in `env`, and its uses in the commands that get it from there.

use std::collections::HashSet;

use super::renamable::Renamable;
use crate::analysis::Analysis;
use crate::files::FileEdit;
use crate::ide::variables::{self, Mention, Setter};
use crate::shell::variables::is_name;
use crate::text::{TextEdit, TextRange};

/// Returns the variable at an offset, if a rename can change it.
pub(super) fn prepare(analysis: &Analysis, offset: usize) -> Option<Renamable> {
    let mention = variables::at(analysis, offset)?;
    refusal(&mention).is_none().then_some(Renamable { range: mention.range, name: mention.name })
}

pub(super) fn rename(analysis: &Analysis, offset: usize, new_name: &str) -> Option<Result<Vec<FileEdit>, String>> {
    let mention = variables::at(analysis, offset)?;
    if let Some(refusal) = refusal(&mention) {
        return Some(Err(refusal));
    }
    if new_name == mention.name {
        return Some(Ok(Vec::new()));
    }
    Some(edits(analysis, &mention, new_name))
}

/// Returns why a variable cannot be renamed: what sets it is not in the file.
fn refusal(mention: &Mention<'_>) -> Option<String> {
    let name = &mention.name;
    match mention.setter {
        Setter::Pipeline(_) | Setter::Step(..) | Setter::Service(..) | Setter::Command => None,
        // Its name is also the key under which its value is stored.
        Setter::Secret(..) => Some(format!(
            "`{name}` is a secret: it is stored under this name in the environment or the secrets file, so it has to be renamed there"
        )),
        Setter::Matrix(_, axis) => {
            Some(format!("`{name}` is made from the axis `{}` of the matrix: rename the axis", axis.name.value))
        }
        Setter::Runner(_) => Some(format!("`{name}` is set by the runner, so its name cannot be changed")),
        Setter::Nothing(_) => Some(format!("Nothing in this file sets `{name}`, so it cannot be renamed")),
    }
}

fn edits(analysis: &Analysis, mention: &Mention<'_>, new_name: &str) -> Result<Vec<FileEdit>, String> {
    if !is_name(new_name) {
        return Err(format!(
            "`{new_name}` cannot name a variable. Use letters, digits and `_`, and do not start with a digit"
        ));
    }
    let all = variables::named(analysis, &[&mention.name, new_name]);
    let (renamed, ranges) = family(&all, mention)?;
    check_free(&all, &renamed, new_name)?;
    let mut ranges: Vec<TextRange> = ranges.into_iter().collect();
    ranges.sort();
    let edit = |range| TextEdit { range, new_text: new_name.to_owned() };
    Ok(ranges.into_iter().map(edit).map(FileEdit::from).collect())
}

/// Returns all mentions of a variable and their places. A command that several steps share names the variables of each of them, so they
/// all get the new name.
fn family<'m, 'a>(
    all: &'m [Mention<'a>],
    mention: &Mention<'a>,
) -> Result<(Vec<&'m Mention<'a>>, HashSet<TextRange>), String> {
    let named: Vec<&Mention<'_>> = all.iter().filter(|other| other.name == mention.name).collect();
    let mut family: Vec<&Mention<'_>> = named.iter().copied().filter(|other| other.is_same(mention)).collect();
    let mut ranges: HashSet<TextRange> = family.iter().map(|member| member.range).collect();
    let mut setters: HashSet<Option<TextRange>> = family.iter().map(|member| member.setter.place()).collect();
    loop {
        let is_new = |other: &&Mention<'_>| {
            let is_known = match other.setter.place() {
                Some(place) => setters.contains(&Some(place)),
                None => other.is_same(mention),
            };
            !is_known && ranges.contains(&other.range)
        };
        let Some(other) = named.iter().copied().find(is_new) else { return Ok((family, ranges)) };
        if let Some(refusal) = refusal(other) {
            return Err(format!("{refusal}. A command or list that several steps share names it"));
        }
        let joined: Vec<&Mention<'_>> = named.iter().copied().filter(|member| member.is_same(other)).collect();
        ranges.extend(joined.iter().map(|member| member.range));
        setters.insert(other.setter.place());
        family.extend(joined);
    }
}

/// Checks that no step or command that names the variable already has another one with the new name.
fn check_free(all: &[Mention<'_>], renamed: &[&Mention<'_>], new_name: &str) -> Result<(), String> {
    let taken: Vec<&Mention<'_>> = all.iter().filter(|other| other.name == new_name).collect();
    if taken.is_empty() {
        return Ok(());
    }
    let is_in_the_way = |other: &&&Mention<'_>| {
        renamed.iter().any(|member| {
            let is_same_command = member.command.is_some() && member.command == other.command;
            is_same_command || (member.pipeline == other.pipeline && meets(&member.setter, &other.setter))
        })
    };
    match taken.iter().find(is_in_the_way) {
        Some(_) => Err(format!("There is already a variable `{new_name}` where this one is used")),
        None => Ok(()),
    }
}

/// Tells whether one of two variables of a pipeline would replace the other in some step.
fn meets(renamed: &Setter<'_>, other: &Setter<'_>) -> bool {
    match (renamed, other) {
        (Setter::Service(one, name, _), Setter::Service(another, other_name, _)) => {
            std::ptr::eq(*one, *another) && name == other_name
        }
        // Commands that set their own were compared already.
        (Setter::Service(..), _) | (_, Setter::Service(..) | Setter::Command) => false,
        (
            Setter::Step(one, _),
            Setter::Step(another, _)
            | Setter::Secret(another, _)
            | Setter::Matrix(another, _)
            | Setter::Nothing(another),
        ) => std::ptr::eq(*one, *another),
        (Setter::Step(..), Setter::Runner(_)) => false,
        // Every step has what the pipeline sets, and a command passes on what it sets.
        (Setter::Pipeline(_) | Setter::Command, _) | (Setter::Step(..), Setter::Pipeline(_)) => true,
        // These are not renamed.
        (Setter::Secret(..) | Setter::Matrix(..) | Setter::Runner(_) | Setter::Nothing(_), _) => false,
    }
}
