//! Values that are written as other systems have them, written again as a pipeline has them.

use crate::diagnostic::Fix;
use crate::keys::Place;
use crate::shell::is_name;
use crate::syntax::scalar::ScalarType;
use crate::syntax::tree::{Entry, Kind, NodeId, Tree};
use crate::syntax::written::{flow_scalar, is_block, quoted, scalar};
use crate::text::{TextEdit, TextRange};

/// One entry of a mapping whose key or value is to be written again.
#[derive(Clone, Copy)]
pub(super) struct Rewrite<'a> {
    text: &'a str,
    tree: &'a Tree,
    entry: Entry,
    /// Whether the mapping is in brackets.
    is_flow: bool,
    is_json: bool,
}

/// A value in its new form, with the `:` before it.
pub(super) struct Value {
    written: String,
    /// The author can have meant nothing else.
    pub(super) is_sure: bool,
}

impl<'a> Rewrite<'a> {
    pub(super) fn new(text: &'a str, tree: &'a Tree, map: NodeId, entry: Entry) -> Self {
        let is_flow = matches!(tree.resolved(map).map(|node| &node.kind), Some(Kind::Map { is_flow: true, .. }));
        let key = tree.node(entry.key).range;
        let is_json = text.get(key.start..).is_some_and(|written| written.starts_with('"'));
        Self { text, tree, entry, is_flow, is_json }
    }

    /// Returns the fix that renames the key and keeps the value.
    pub(super) fn renamed(self, name: &str, is_safe: bool) -> Option<Fix> {
        let range = self.tree.node(self.entry.key).range;
        if !matches!(self.tree.node(self.entry.key).kind, Kind::Scalar(_)) {
            return None;
        }
        let edit = TextEdit { range, new_text: self.key(name) };
        Some(Fix::new(format!("Change to `{name}`"), is_safe, vec![edit]))
    }

    /// Returns the fix that gives the entry this key and value.
    pub(super) fn replaced(self, name: &str, value: &Value, title: String) -> Option<Fix> {
        let (key, old) = (self.tree.node(self.entry.key).range, self.tree.node(self.entry.value).range);
        // Only a colon and blanks may be between them: no comment, tag or anchor is lost.
        let between = self.text.get(key.end..old.start)?;
        let is_bare = between.trim() == ":" && !self.has_comments(old);
        is_bare.then(|| {
            let new_text = format!("{}{}", self.key(name), value.written);
            Fix::new(title, value.is_sure, vec![TextEdit { range: key.cover(old), new_text }])
        })
    }

    /// A list of commands, or of the words of one command, as one string.
    pub(super) fn command(self) -> Option<Value> {
        let Kind::List { items, is_flow } = &self.tree.node(self.entry.value).kind else { return None };
        if *is_flow && self.is_shell_test() {
            let written = self.tree.node(self.entry.value).range.of(self.text);
            return Some(self.string(written, true));
        }
        let items: Vec<&str> = self.scalars(items)?;
        let (first, others) = items.split_first()?;
        let is_word = |item: &&str| {
            !item.contains(|character: char| character.is_whitespace() || "'\"$\\;&|<>()`#*?[]{}~!".contains(character))
        };
        if others.is_empty() {
            return Some(self.command_text(first.trim_end_matches('\n'), true));
        }
        // `["npm", "test"]` is one command in containers, and two commands elsewhere.
        if *is_flow && items.iter().all(is_word) {
            return Some(self.command_text(&items.join(" "), false));
        }
        let lines: Vec<&str> = items.iter().map(|item| item.trim_end_matches('\n')).collect();
        Some(self.command_text(&format!("set -e\n{}", lines.join("\n")), !*is_flow))
    }

    /// Whether a value in brackets is a test of the shell, such as `[ -f x ]`.
    pub(super) fn is_shell_test(self) -> bool {
        let written = self.tree.node(self.entry.value).range.of(self.text);
        let inside = written.trim_start_matches('[').trim_start();
        let is_test = inside.starts_with(['-', '!', '$']) || inside.starts_with("\"$") || written.starts_with("[[");
        is_test && !self.is_json && !written.contains('\n')
    }

    /// Variables as a list of `NAME=value`, of mappings, or in one string.
    pub(super) fn variables(self) -> Option<Value> {
        let node = self.tree.node(self.entry.value);
        let mut variables: Vec<(String, String)> = Vec::new();
        match &node.kind {
            Kind::List { items, .. } => {
                for item in items {
                    match &self.tree.node(*item).kind {
                        Kind::Scalar(assignment) => variables.push(assigned(&assignment.text)?),
                        Kind::Map { .. } => variables.extend(self.variable_of_mapping(*item)?),
                        Kind::List { .. } | Kind::Alias(_) => return None,
                    }
                }
            }
            Kind::Scalar(assignment) => variables.push(assigned(&assignment.text)?),
            Kind::Map { .. } | Kind::Alias(_) => return None,
        }
        if variables.is_empty() {
            return None;
        }
        let names: std::collections::HashSet<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        let is_sure = names.len() == variables.len();
        if !self.is_flow {
            let indent = self.indent()?;
            let lines = variables.iter().map(|(name, value)| format!("\n{indent}  {name}: {}", scalar(value)));
            return is_sure.then(|| Value { written: format!(":{}", lines.collect::<String>()), is_sure });
        }
        let entries: Vec<String> = variables
            .iter()
            .map(|(name, value)| {
                if self.is_json {
                    format!("{}: {}", quoted(name), quoted(value))
                } else {
                    format!("{name}: {}", flow_scalar(value))
                }
            })
            .collect();
        is_sure.then(|| Value { written: format!(": {{{}}}", entries.join(", ")), is_sure })
    }

    /// The image in `{image: …}` or `{name: …}`, or in a list with one of them.
    pub(super) fn image(self) -> Option<Value> {
        let mut id = self.entry.value;
        if let Kind::List { items, .. } = &self.tree.node(id).kind {
            let [only] = items.as_slice() else { return None };
            id = *only;
        }
        let entries = self.tree.own_entries(id)?;
        let [entry] = entries else { return None };
        let is_image = matches!(self.tree.key_text(entry)?, "image" | "name");
        let image = self.tree.scalar(entry.value).filter(|_| is_image)?;
        Some(self.string(&image.text, true))
    }

    /// A number of minutes, or a duration with units, in seconds.
    pub(super) fn seconds(self, is_in_minutes: bool) -> Option<Value> {
        let written = self.tree.scalar(self.entry.value)?;
        let seconds = match written.resolve() {
            ScalarType::Integer(minutes) if is_in_minutes => u64::try_from(minutes).ok()?.checked_mul(60)?,
            ScalarType::Text => duration(&written.text)?,
            _ => return None,
        };
        (1..=u64::from(u32::MAX)).contains(&seconds).then(|| Value { written: format!(": {seconds}"), is_sure: true })
    }

    /// The matrix of another system: below `matrix` or `parameters`, or the only item of a list.
    pub(super) fn matrix(self) -> Option<Value> {
        let value = self.tree.node(self.entry.value);
        let inner = self.axes_below(self.entry.value)?;
        // What has other settings beside it would lose them.
        let has_more = self.tree.own_entries(self.entry.value).is_some_and(|entries| entries.len() > 1);
        let entries = self.written_axes(inner)?;
        if self.is_flow || value.range.is_empty() {
            return Some(Value { written: format!(": {{{}}}", entries.join(", ")), is_sure: !has_more });
        }
        let indent = self.indent()?;
        let lines: String = entries.iter().map(|entry| format!("\n{indent}  {entry}")).collect();
        Some(Value { written: format!(":{lines}"), is_sure: !has_more })
    }

    /// The fix that puts the entries of this entry's mapping in its own place.
    pub(super) fn hoisted(self) -> Option<Fix> {
        let entries = self.written_axes(self.entry.value)?;
        let range = self.tree.node(self.entry.key).range.cover(self.tree.node(self.entry.value).range);
        let separator = if self.is_flow { ", ".to_owned() } else { format!("\n{}", self.indent()?) };
        let is_bare = !self.has_comments(range) && !entries.is_empty();
        let edit = TextEdit { range, new_text: entries.join(&separator) };
        is_bare.then(|| Fix::new("Put the axes into `matrix`", true, vec![edit]))
    }

    /// Returns the mapping that has the axes in a value that is no matrix itself.
    fn axes_below(self, id: NodeId) -> Option<NodeId> {
        if let Kind::List { items, .. } = &self.tree.node(id).kind {
            let [only] = items.as_slice() else { return None };
            return self.tree.own_entries(*only).map(|_| *only);
        }
        let inner = |key: &str| self.tree.get(id, key).map(|entry| entry.value);
        let below = inner("matrix").or_else(|| inner("parameters"))?;
        if self.tree.own_entries(below).is_some() || self.tree.items(below).is_some() {
            return self.axes_below(below).or_else(|| self.tree.own_entries(below).map(|_| below));
        }
        None
    }

    /// Writes each entry of a matrix again. `None`: it has something else than values, or an anchor.
    fn written_axes(self, map: NodeId) -> Option<Vec<String>> {
        let entries = self.tree.own_entries(map)?;
        let source = |id: NodeId| {
            let node = self.tree.node(id);
            let is_plain = matches!(node.kind, Kind::Scalar(_)) && node.anchor.is_none();
            Some(node.range.of(self.text)).filter(|written| is_plain && !written.contains('\n') && !written.is_empty())
        };
        let pairs = |item: &NodeId| {
            let entries = self.tree.own_entries(*item)?;
            let pairs = entries.iter().map(|entry| Some(format!("{}: {}", source(entry.key)?, source(entry.value)?)));
            Some(format!("{{{}}}", pairs.collect::<Option<Vec<_>>>()?.join(", ")))
        };
        let written = entries.iter().map(|entry| {
            let name = source(entry.key)?;
            let Some(items) = self.tree.items(entry.value) else {
                return Some(format!("{name}: [{}]", source(entry.value)?));
            };
            let items: Option<Vec<String>> = match self.tree.key_text(entry) {
                Some("include" | "exclude") => items.iter().map(pairs).collect(),
                _ => items.iter().map(|item| source(*item).map(str::to_owned)).collect(),
            };
            Some(format!("{name}: [{}]", items?.join(", ")))
        });
        written.collect()
    }

    fn key(self, name: &str) -> String {
        let range = self.tree.node(self.entry.key).range;
        match self.text.get(range.start..).and_then(|written| written.chars().next()) {
            Some(quote @ ('"' | '\'')) => format!("{quote}{name}{quote}"),
            _ => name.to_owned(),
        }
    }

    fn string(self, value: &str, is_sure: bool) -> Value {
        let written = match (self.is_json, self.is_flow) {
            (true, _) => quoted(value),
            (false, true) => flow_scalar(value),
            (false, false) => scalar(value),
        };
        Value { written: format!(": {written}"), is_sure }
    }

    fn command_text(self, command: &str, is_sure: bool) -> Value {
        let Some(indent) = self.indent().filter(|_| !self.is_flow && is_block(command)) else {
            return self.string(command, is_sure);
        };
        let lines =
            command.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("\n{indent}  {line}") });
        Value { written: format!(": |{}", lines.collect::<String>()), is_sure }
    }

    /// The blanks before the key, if nothing but a `-` is before it.
    fn indent(self) -> Option<String> {
        let start = self.tree.node(self.entry.key).range.start;
        let before = self.text.get(..start)?;
        let line = before.rsplit('\n').next()?;
        line.chars().all(|character| matches!(character, ' ' | '-')).then(|| " ".repeat(line.len()))
    }

    fn scalars(self, items: &[NodeId]) -> Option<Vec<&'a str>> {
        let scalar = |item: &NodeId| match &self.tree.node(*item).kind {
            Kind::Scalar(scalar) if self.tree.node(*item).anchor.is_none() => Some(scalar.text.as_str()),
            _ => None,
        };
        items.iter().map(scalar).collect()
    }

    fn variable_of_mapping(self, item: NodeId) -> Option<Vec<(String, String)>> {
        let entries = self.tree.own_entries(item)?;
        let value = |key: &str| {
            let entry = entries.iter().find(|entry| self.tree.key_text(entry) == Some(key))?;
            self.tree.scalar(entry.value).map(|scalar| scalar.text.to_string())
        };
        // `{name: A, value: b}`, or `{A: b}`.
        if let (2, Some(name), Some(value)) = (entries.len(), value("name"), value("value")) {
            return is_name(&name).then(|| vec![(name, value)]);
        }
        let variable = |entry: &Entry| {
            let name = self.tree.key_text(entry).filter(|name| is_name(name))?;
            Some((name.to_owned(), self.tree.scalar(entry.value)?.text.to_string()))
        };
        entries.iter().map(variable).collect()
    }

    fn has_comments(self, range: TextRange) -> bool {
        let first = self.tree.comments.partition_point(|comment| comment.start < range.start);
        self.tree.comments.get(first).is_some_and(|comment| comment.start < range.end)
    }
}

/// Splits `NAME=value`; quotes around the value are the shell's.
fn assigned(assignment: &str) -> Option<(String, String)> {
    let (name, value) = assignment.split_once('=')?;
    let unquoted = ['"', '\''].iter().find_map(|quote| {
        let inner = value.strip_prefix(*quote)?.strip_suffix(*quote)?;
        (!inner.contains(*quote)).then_some(inner)
    });
    is_name(name).then(|| (name.to_owned(), unquoted.unwrap_or(value).to_owned()))
}

/// Reads `90s`, `5m`, `1h 30m` or `2 hours` as seconds.
fn duration(written: &str) -> Option<u64> {
    let mut rest = written.trim();
    let mut total = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|character: char| character.is_ascii_digit()).len();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?.trim_start();
        let letters = rest.len() - rest.trim_start_matches(|character: char| character.is_ascii_alphabetic()).len();
        let factor = match rest.get(..letters)?.to_ascii_lowercase().as_str() {
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600,
            "d" | "day" | "days" => 86_400,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = rest.get(letters..)?.trim_start();
    }
    Some(total)
}

/// Returns the value that a key has here, where it is written as another system has it. `None`: it can stay as it is, or cannot be read.
pub(super) fn rewritten(rewrite: Rewrite<'_>, place: Place, key: &str) -> Option<Value> {
    match (place, key) {
        (Place::Step | Place::Service, "cmd") => rewrite.command(),
        (Place::Step | Place::Service | Place::Pipeline, "env") => rewrite.variables(),
        (Place::Step | Place::Service, "image") | (Place::Pipeline, "default_image") => rewrite.image(),
        (Place::Step, "matrix") => rewrite.matrix(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_with_units_are_read() {
        let read = ["90s", "5m", "1h 30m", "2 hours", "1 h 1 m 1 s", "1d"].map(duration);
        assert_eq!(read, [Some(90), Some(300), Some(5_400), Some(7_200), Some(3_661), Some(86_400)]);
        assert_eq!(["", "5", "m", "5x", "1.5h", "-5m", "99999999999999999999h"].map(duration), [None; 7]);
    }
}
