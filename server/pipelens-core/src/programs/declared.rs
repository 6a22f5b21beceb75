//! The pipelines that a program declares, as far as its text says so.

use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;
use crate::nearest::nearest;
use crate::text::{Spanned, TextRange};

/// Longer names are refused by the SDK.
const MAX_SLUG: usize = 64;

/// A pipeline that a program declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The function or the object that makes it.
    pub range: TextRange,
    /// The line a person reads as its heading.
    pub heading: TextRange,
    pub slug: Spanned<String>,
    /// The names of the arguments it is declared with.
    pub(super) arguments: Vec<Spanned<String>>,
    pub(super) known_arguments: &'static [&'static str],
}

/// Reports names that the SDK refuses, and arguments that it does not know.
pub(super) fn check(declared: &[Declared], findings: &mut Findings) {
    for (index, one) in declared.iter().enumerate() {
        let slug = &one.slug;
        let before = declared.get(..index).unwrap_or_default();
        if !is_valid(&slug.value) {
            let message = format!(
                "`{}` cannot be the name of a pipeline: lower-case letters, digits and `-`, at most {MAX_SLUG}, with a letter first.{}",
                slug.value,
                suggestion(&slug.value).map(|name| format!(" Try `{name}`.")).unwrap_or_default()
            );
            findings.push(Diagnostic::new(Code::ProgramSlug, slug.range, message));
        } else if let Some(first) = before.iter().find(|other| other.slug.value == slug.value) {
            let message = format!("There is already a pipeline `{}`. Give each a name of its own.", slug.value);
            let finding = Diagnostic::new(Code::ProgramSlug, slug.range, message);
            findings.push(finding.with_related(first.slug.range, "The first one"));
        }
        for argument in &one.arguments {
            if one.known_arguments.contains(&argument.value.as_str()) {
                continue;
            }
            let similar = nearest(&argument.value, one.known_arguments.iter().copied());
            let instead = similar.map_or_else(
                || format!("Known are {}.", listed(one.known_arguments)),
                |similar| format!("Did you mean `{similar}`?"),
            );
            let message = format!("A pipeline has no argument `{}`. {instead}", argument.value);
            findings.push(Diagnostic::new(Code::ProgramArgument, argument.range, message));
        }
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn is_valid(slug: &str) -> bool {
    slug.starts_with(|first: char| first.is_ascii_lowercase())
        && slug.len() <= MAX_SLUG
        && slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn suggestion(slug: &str) -> Option<String> {
    let lower: String =
        slug.to_lowercase().chars().map(|one| if one.is_ascii_alphanumeric() { one } else { '-' }).collect();
    let name: String = lower.trim_matches('-').chars().take(MAX_SLUG).collect();
    is_valid(&name).then_some(name)
}
