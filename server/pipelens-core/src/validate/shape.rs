//! Checks every value against the shape the vocabulary requires. One walk over the tree; aliases are followed, each target once.

mod checker;
mod matrix;
mod scalars;

use super::foreign::Foreign;
use super::rewrite::{Rewrite, rewritten};
use super::{mapping, path_variable};
use crate::arguments;
use crate::diagnostic::{Code, Diagnostic, Fix, Severity};
use crate::keys::{self, Place, Shape};
use crate::lower::authored::is_barrier;
use crate::nearest::nearest;
use crate::shell::is_name;
use crate::syntax::parse::Style;
use crate::syntax::scalar::ScalarType;
use crate::syntax::tree::{Entry, Kind, NodeId, Scalar};
use crate::text::{TextEdit, TextRange};

pub(super) use checker::Checker;

impl Checker<'_> {
    /// Checks a value; `name` is the key a person would look for.
    pub(super) fn check(&mut self, id: NodeId, shape: &Shape, name: &str) {
        match shape {
            Shape::Text
            | Shape::NonEmptyText
            | Shape::Name
            | Shape::Image
            | Shape::StepKey
            | Shape::VariableName
            | Shape::AbsolutePath
            | Shape::MountPath
            | Shape::Runner
            | Shape::Policy
            | Shape::OneOf(_) => self.check_text(id, shape, name),
            Shape::Version(known) => self.check_version(id, known, name),
            Shape::Bool => self.check_bool(id, name),
            Shape::Integer { min, max } => self.check_integer(id, *min, *max, name),
            Shape::StepKeys => match self.tree.items(id) {
                Some(items) => items.iter().for_each(|item| self.check(*item, &Shape::StepKey, name)),
                None => self.check_text(id, &Shape::StepKey, name),
            },
            Shape::Shell => match self.tree.items(id) {
                Some(_) => self.check_list(id, &Shape::NonEmptyText, false, name),
                None => self.check_text(id, &Shape::NonEmptyText, name),
            },
            Shape::Scalar => self.check_scalar(id, name),
            Shape::Env => self.check_env(id, false, name),
            Shape::PlanEnv => self.check_env(id, true, name),
            Shape::Map(place) => self.check_map(id, *place, name),
            // `- wait:` without options is a plain barrier.
            Shape::OptionalMap(_) if self.is_null(id) => {}
            Shape::OptionalMap(place) => self.check_map(id, *place, name),
            Shape::TextsOrMap(place) if self.tree.own_entries(id).is_some() => self.check_map(id, *place, name),
            Shape::TextsOrMap(_) => self.check_list(id, &Shape::NonEmptyText, true, name),
            Shape::MountPathOrMap(place) if self.tree.own_entries(id).is_some() => self.check_map(id, *place, name),
            Shape::MountPathOrMap(_) => self.check_text(id, &Shape::MountPath, name),
            Shape::List { of, may_be_empty } => self.check_list(id, of, *may_be_empty, name),
            Shape::Steps => self.check_steps(id),
            // `wire` knows what positions exist.
            Shape::Edge | Shape::Anything => {}
            Shape::Argument(argument) => self.check_argument(id, *argument, name),
        }
    }

    fn check_map(&mut self, id: NodeId, place: Place, name: &str) {
        if self.tree.own_entries(id).is_none() {
            self.wrong_type(id, name, "a mapping");
            return;
        }
        let range = self.tree.resolved(id).map_or(self.tree.node(id).range, |node| node.range);
        let is_first = self.is_first(range, place.noun());
        if is_first {
            mapping::duplicate_keys(self.text, self.tree, id, self.findings);
        }
        self.allows_null = place.is_wire_format() || (self.allows_null && place == Place::Cache);
        let tree = self.tree;
        let mut misspelt = Vec::new();
        let entries = tree.entries(id);
        let mut absent: Option<Vec<&'static str>> = None;
        for entry in entries.iter() {
            match place {
                Place::Services => self.check_service_name(entry),
                Place::Ulimits => self.check_ulimit_name(entry),
                Place::Matrix if !self.check_axis(id, entry) => continue,
                Place::Combination => self.check_axis_name(entry),
                _ => {}
            }
            let Some(known) = tree.key_text(entry).and_then(|key| keys::find(place, key)) else {
                let key_range = self.tree.node(entry.key).range;
                if !self.is_first(key_range, "a key") {
                    continue;
                }
                let left = absent.get_or_insert_with(|| mapping::absent_keys(tree, &entries, place));
                let foreign = Foreign { text: self.text, tree, map: id, entry: *entry, place, absent: left };
                let found = mapping::glued_key(tree, entry, place).or_else(|| foreign.finding());
                let found = found.or_else(|| mapping::unknown_key(tree, left, entry, place, self.findings));
                if let Some((finding, meant)) = found {
                    // Two words of other systems may mean one key.
                    left.retain(|key| Some(*key) != meant);
                    self.findings.push(finding);
                    misspelt.extend(meant);
                }
                continue;
            };
            let value_range = self.tree.node(entry.value).range;
            if !value_range.is_empty() && !self.is_first(value_range, known.name) {
                continue;
            }
            if let Some(finding) = self.foreign_form(id, entry, place, known.name) {
                self.findings.push(finding);
                continue;
            }
            let may_be_null = self.allows_null && !known.is_required && self.is_null(entry.value);
            if !may_be_null {
                let allows_null = self.allows_null;
                self.place = place;
                let is_axis = matches!(place, Place::Matrix | Place::Combination);
                let name = tree.key_text(entry).filter(|_| is_axis).unwrap_or(known.name);
                self.check(entry.value, &known.shape, name);
                self.allows_null = allows_null;
            }
        }
        if is_first {
            mapping::missing_keys(self.text, self.tree, id, place, &misspelt, self.findings);
            if place == Place::Cache {
                self.missing_policy_keys(id);
            }
        }
    }

    /// Finds a value in the form that another system has for it, if it can be written again.
    fn foreign_form(&self, map: NodeId, entry: &Entry, place: Place, key: &str) -> Option<Diagnostic> {
        // A mapping may have axes and another system's key beside them, which has a finding of its own.
        let is_matrix = key == "matrix" && self.tree.own_entries(entry.value).is_some();
        if place.is_wire_format() || is_matrix || self.is_null(entry.value) {
            return None;
        }
        let rewrite = Rewrite::new(self.text, self.tree, map, *entry);
        let value = rewritten(rewrite, place, key)?;
        let (wanted, advice, title) = match key {
            "cmd" if rewrite.is_shell_test() => {
                ("a string", " A value that starts with `[` has to be in quotes to be text.", "Put it in quotes")
            }
            "cmd" => {
                ("a string", " Write the commands as the lines of one string.", "Write the commands as one string")
            }
            "env" => ("a mapping from names to values", "", "Write it as a mapping"),
            "matrix" => ("a mapping from axes to lists of values", "", "Write the axes"),
            _ => ("the name of an image", "", "Write the image's name"),
        };
        let found = match self.tree.node(entry.value).kind {
            Kind::List { .. } => "a list",
            Kind::Map { .. } => "a mapping",
            Kind::Scalar(_) | Kind::Alias(_) => "a string",
        };
        let message = format!("`{key}` must be {wanted}, but this is {found}.{advice}");
        let mut finding = Diagnostic::new(Code::WrongType, self.visible_range(entry.value), message);
        finding.fixes.extend(rewrite.replaced(key, &value, title.to_owned()));
        Some(finding)
    }

    fn check_service_name(&mut self, entry: &Entry) {
        let name = self.tree.key_text(entry).unwrap_or_default();
        let range = self.tree.node(entry.key).range;
        if arguments::is_service_name(name) || !self.is_first(range, "a service's name") {
            return;
        }
        let message = match name {
            "localhost" => "`localhost` refers to the step itself. Choose another name for the service.".to_owned(),
            _ => format!(
                "`{name}` is not a valid service name, because it must be a valid host name. Use lowercase letters, digits and `-`; start with a letter, and do not end with `-`."
            ),
        };
        let finding = Diagnostic::new(Code::BadValue, range, message);
        let meant = name.to_ascii_lowercase().replace(['_', '.', ' '], "-");
        let finding = if arguments::is_service_name(&meant) {
            mapping::with_key_fix(finding, self.tree, entry.key, &meant)
        } else {
            finding
        };
        self.findings.push(finding);
    }

    fn missing_policy_keys(&mut self, id: NodeId) {
        let Some(policy) = self.tree.get(id, "policy") else { return };
        let Some(name) = self.tree.scalar(policy.value).map(|scalar| scalar.text.as_str()) else { return };
        let required = keys::policy_requires(name).iter().filter_map(|name| keys::find(Place::Cache, name));
        for needed in required.filter(|key| self.tree.get(id, key.name).is_none()) {
            let message = format!("The policy `{name}` requires `{}`, which is missing. {}", needed.name, needed.doc);
            let range = self.tree.node(policy.value).range;
            let finding = Diagnostic::new(Code::MissingPolicyKey, range, message);
            self.findings.push(mapping::with_entry_fix(finding, self.text, self.tree, id, &policy, needed));
        }
    }

    fn check_steps(&mut self, id: NodeId) {
        let Some(items) = self.tree.items(id) else {
            match self.step_without_dash(id) {
                Some(finding) => self.findings.push(finding),
                None => self.wrong_type(id, "steps", "a list of steps"),
            }
            return;
        };
        let mut count = 0;
        for item in items {
            if is_barrier(self.tree, *item) {
                if self.tree.own_entries(*item).is_some() {
                    self.check_map(*item, Place::Wait, "wait");
                }
                continue;
            }
            count += 1;
            if self.tree.own_entries(*item).is_some() {
                self.check_map(*item, Place::Step, "step");
            } else {
                self.not_a_step(*item);
            }
        }
        if count == 0 {
            let range = self.visible_range(id);
            let message = "A pipeline needs at least one step, but `steps` has none. Add one with `key` and `cmd`.";
            self.findings.push(Diagnostic::new(Code::EmptyList, range, message));
        }
    }

    fn not_a_step(&mut self, item: NodeId) {
        let range = self.visible_range(item);
        if let Some(finding) = self.keys_without_spaces(item) {
            self.findings.push(finding);
            return;
        }
        let written = self.tree.scalar(item).map(|scalar| scalar.text.as_str()).unwrap_or_default();
        let mut finding = match written.split_once(" = ") {
            Some((key, value)) if keys::find(Place::Step, key).is_some() => {
                let message = format!("A key ends with a colon and not with `=`. Write `{key}: {value}`.");
                Diagnostic::new(Code::WrongType, range, message)
            }
            _ => Diagnostic::new(
                Code::WrongType,
                range,
                "A step must be a mapping with `key` and `cmd`; the only word allowed on its own is `wait`.",
            ),
        };
        if nearest(written, ["wait"].into_iter()).is_some() {
            finding = finding.with_fix("Change to `wait`", range, "wait");
        }
        self.findings.push(finding);
    }

    /// Finds the keys of a step that lack the space after their colon: together they are one string.
    fn keys_without_spaces(&self, item: NodeId) -> Option<Diagnostic> {
        let node = self.tree.node(item);
        let Kind::Scalar(Scalar { style: Style::Plain, .. }) = node.kind else { return None };
        let mut edits = Vec::new();
        let mut start = node.range.start;
        let mut first = None;
        for line in node.range.of(self.text).split_inclusive('\n') {
            let (key, value) = line.trim().split_once(':')?;
            keys::find(Place::Step, key)?;
            let colon = start + line.find(':')?;
            first.get_or_insert_with(|| {
                (key.to_owned(), TextRange::new(colon - key.len(), start + line.trim_end().len()))
            });
            if !value.starts_with(' ') {
                edits.push(TextEdit { range: TextRange::at(colon + 1), new_text: " ".to_owned() });
            }
            start += line.len();
        }
        let (key, range) = first?;
        let message =
            format!("A space is missing after `{key}:`. Without it, this is a string and not a key with a value.");
        let mut finding = Diagnostic::new(Code::WrongType, range, message);
        finding.fixes.push(Fix::new("Add the spaces", true, edits));
        Some(finding)
    }

    /// Finds a single step where a list of steps belongs.
    fn step_without_dash(&self, id: NodeId) -> Option<Diagnostic> {
        let Kind::Map { entries, is_flow: false } = &self.tree.node(id).kind else { return None };
        let first = self.tree.node(entries.first()?.key).range;
        let is_step = |entry: &Entry| matches!(self.tree.key_text(entry), Some("key" | "cmd"));
        if !entries.iter().any(is_step) {
            return None;
        }
        let line_start = self.text.get(..first.start)?.rfind('\n').map_or(0, |newline| newline + 1);
        self.text.get(line_start..first.start).filter(|before| before.trim().is_empty())?;
        let mut edits = vec![TextEdit { range: TextRange::at(first.start), new_text: "- ".to_owned() }];
        let whole = TextRange::new(line_start, self.tree.node(id).range.end);
        let mut start = line_start;
        for line in whole.of(self.text).split_inclusive('\n') {
            if start > line_start && !line.trim().is_empty() {
                edits.push(TextEdit { range: TextRange::at(start), new_text: "  ".to_owned() });
            }
            start += line.len();
        }
        let message = "`steps` must be a list, but this is one step without its `-`. Write `- ` before its first key.";
        let mut finding = Diagnostic::new(Code::WrongType, first, message);
        finding.fixes.push(Fix::new("Make it a list item", true, edits));
        Some(finding)
    }

    fn check_list(&mut self, id: NodeId, of: &Shape, may_be_empty: bool, name: &str) {
        let Some(items) = self.tree.items(id) else {
            self.wrong_type(id, name, "a list");
            return;
        };
        if items.is_empty() && !may_be_empty {
            let message =
                format!("`{name}` needs at least one entry, but the list is empty. Add one, or remove `{name}`.");
            self.findings.push(Diagnostic::new(Code::EmptyList, self.visible_range(id), message));
        }
        for item in items {
            self.check(*item, of, name);
        }
    }

    fn check_env(&mut self, id: NodeId, only_texts: bool, name: &str) {
        if self.tree.own_entries(id).is_none() {
            self.wrong_type(id, name, "a mapping from names to values");
            return;
        }
        mapping::duplicate_keys(self.text, self.tree, id, self.findings);
        let tree = self.tree;
        for entry in tree.entries(id).iter() {
            let key = tree.key_text(entry).unwrap_or_default();
            if is_name(key) {
                // Every shell reads it.
            } else if is_program_name(key) {
                // The engine passes it to a service's program, which need not be a shell.
                if self.place != Place::Service {
                    let message = format!(
                        "A shell cannot read a variable named `{key}`: dash and busybox drop it, and bash only passes it on. Use letters, digits and `_` unless a program that is run by bash or by the image itself needs the name."
                    );
                    let mut finding = Diagnostic::new(Code::BadEnvName, self.tree.node(entry.key).range, message);
                    finding.severity = Severity::Warning;
                    self.findings.push(finding);
                }
            } else {
                let message = format!(
                    "`{key}` is not a valid environment variable name. Use letters, digits and `_`, and do not start with a digit."
                );
                let finding = Diagnostic::new(Code::BadEnvName, self.tree.node(entry.key).range, message);
                self.findings.push(match mapping::glued(tree, entry).filter(|(name, _)| is_name(name)) {
                    Some((name, value)) => {
                        finding.with_safe_fix("Add the space", tree.node(entry.key).range, format!("{name}: {value}"))
                    }
                    None => finding,
                });
            }
            match self.tree.scalar(entry.value) {
                None => self.wrong_type(entry.value, key, "a single value"),
                Some(scalar) if only_texts && scalar.resolve() != ScalarType::Text => {
                    self.wrong_type(entry.value, key, "a string");
                }
                Some(scalar) => {
                    let range = self.tree.node(entry.value).range;
                    self.findings.extend(path_variable::replaced(key, &scalar.text, range));
                    self.yaml_trap(entry.value, scalar, key);
                }
            }
        }
    }
}

/// A name that programs other than shells use: it has `.` or `-` where a shell's has letters, digits and `_`.
fn is_program_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}
