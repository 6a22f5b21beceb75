//! Every value against the shape the vocabulary asks for. One walk over the tree; aliases are followed, each target once.

use std::cell::OnceCell;
use std::collections::HashSet;

use super::mapping;
use crate::arguments;
use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;
use crate::keys::{self, Argument, MAX_NAME_BYTES, POLICIES, Place, Shape};
use crate::lower::authored::is_barrier;
use crate::nearest::nearest;
use crate::printable::is_deceptive;
use crate::runners::RUNNERS;
use crate::syntax::parse::Style;
use crate::syntax::scalar::{ScalarType, yaml_1_1_reading};
use crate::syntax::tree::{Entry, Kind, NodeId, Scalar, Tree};
use crate::text::TextRange;

pub(super) struct Checker<'a> {
    text: &'a str,
    tree: &'a Tree,
    findings: &'a mut Findings,
    /// Places of aliased values that were looked at: a mistake in shared defaults is one finding.
    seen: HashSet<(TextRange, &'static str)>,
    allows_null: bool,
}

impl<'a> Checker<'a> {
    pub(super) fn new(text: &'a str, tree: &'a Tree, findings: &'a mut Findings) -> Self {
        Self { text, tree, findings, seen: HashSet::new(), allows_null: false }
    }

    /// Checks a value; `name` is the key a person would look for.
    pub(super) fn check(&mut self, id: NodeId, shape: &Shape, name: &str) {
        match shape {
            Shape::Text
            | Shape::NonEmptyText
            | Shape::Name
            | Shape::Image
            | Shape::StepKey
            | Shape::AbsolutePath
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
            Shape::Env => self.check_env(id, false, name),
            Shape::PlanEnv => self.check_env(id, true, name),
            Shape::Map(place) => self.check_map(id, *place, name),
            Shape::List { of, may_be_empty } => self.check_list(id, of, *may_be_empty, name),
            Shape::Steps => self.check_steps(id),
            // `wire` knows what positions exist.
            Shape::Edge | Shape::Anything => {}
            Shape::Argument(argument) => self.check_argument(id, *argument, name),
        }
    }

    fn check_map(&mut self, id: NodeId, place: Place, name: &str) {
        if self.tree.own_entries(id).is_none() {
            // `- wait:` without options is a plain barrier.
            if !(place == Place::WaitOptions && self.is_null(id)) {
                self.wrong_type(id, name, "a mapping");
            }
            return;
        }
        let range = self.tree.resolved(id).map_or(self.tree.node(id).range, |node| node.range);
        let is_first = self.is_first(range, place.noun());
        if is_first {
            mapping::duplicate_keys(self.tree, id, self.findings);
        }
        self.allows_null = place.is_wire_format() || (self.allows_null && place == Place::Cache);
        let tree = self.tree;
        let mut misspelt = Vec::new();
        let entries = tree.entries(id);
        let absent: OnceCell<Vec<&'static str>> = OnceCell::new();
        for entry in entries.iter() {
            if place == Place::Services {
                self.check_service_name(entry);
            }
            let Some(known) = tree.key_text(entry).and_then(|key| keys::find(place, key)) else {
                let key_range = self.tree.node(entry.key).range;
                let absent = absent.get_or_init(|| mapping::absent_keys(tree, &entries, place));
                if self.is_first(key_range, "a key")
                    && let Some((finding, meant)) = mapping::unknown_key(tree, absent, entry, place, self.findings)
                {
                    self.findings.push(finding);
                    misspelt.extend(meant);
                }
                continue;
            };
            let value_range = self.tree.node(entry.value).range;
            if !value_range.is_empty() && !self.is_first(value_range, known.name) {
                continue;
            }
            let may_be_null = self.allows_null && !known.is_required && self.is_null(entry.value);
            if !may_be_null {
                let allows_null = self.allows_null;
                self.check(entry.value, &known.shape, known.name);
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

    fn check_service_name(&mut self, entry: &Entry) {
        let name = self.tree.key_text(entry).unwrap_or_default();
        let range = self.tree.node(entry.key).range;
        if arguments::is_service_name(name) || !self.is_first(range, "a service's name") {
            return;
        }
        let message = match name {
            "localhost" => "`localhost` is the step's own name. Give the service another.".to_owned(),
            _ => format!(
                "`{name}` cannot be the name of a service, by which the step reaches it. Use small letters, digits and `-`, a letter first and no `-` last."
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

    /// Tells whether a place was not looked at before. Without aliases there is only one way to each.
    fn is_first(&mut self, range: TextRange, role: &'static str) -> bool {
        !self.tree.has_aliases || self.seen.insert((range, role))
    }

    fn missing_policy_keys(&mut self, id: NodeId) {
        let Some(policy) = self.tree.get(id, "policy") else { return };
        let Some(name) = self.tree.scalar(policy.value).map(|scalar| scalar.text.as_str()) else { return };
        for needed in keys::policy_needs(name).iter().filter(|needed| self.tree.get(id, needed).is_none()) {
            let doc = keys::find(Place::Cache, needed).map(|key| key.doc).unwrap_or_default();
            let message = format!("The policy `{name}` needs `{needed}`, which is missing. {doc}");
            let range = self.tree.node(policy.value).range;
            let finding = Diagnostic::new(Code::MissingPolicyKey, range, message);
            self.findings.push(mapping::with_entry_fix(finding, self.text, self.tree, id, &policy, needed));
        }
    }

    fn check_steps(&mut self, id: NodeId) {
        let Some(items) = self.tree.items(id) else {
            self.wrong_type(id, "steps", "a list of steps");
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
            let message = "A pipeline needs at least one step, and `steps` has none. Add one with `key` and `cmd`.";
            self.findings.push(Diagnostic::new(Code::EmptyList, range, message));
        }
    }

    fn not_a_step(&mut self, item: NodeId) {
        let range = self.visible_range(item);
        let written = self.tree.scalar(item).map(|scalar| scalar.text.as_str()).unwrap_or_default();
        let mut finding = Diagnostic::new(
            Code::WrongType,
            range,
            "A step is a mapping with `key` and `cmd`; the only single word allowed here is `wait`.",
        );
        if nearest(written, ["wait"].into_iter()).is_some() {
            finding = finding.with_fix("Change to `wait`", range, "wait");
        }
        self.findings.push(finding);
    }

    fn check_list(&mut self, id: NodeId, of: &Shape, may_be_empty: bool, name: &str) {
        let Some(items) = self.tree.items(id) else {
            self.wrong_type(id, name, "a list");
            return;
        };
        if items.is_empty() && !may_be_empty {
            let message =
                format!("`{name}` needs at least one entry, and the list is empty. Add one or remove `{name}`.");
            self.findings.push(Diagnostic::new(Code::EmptyList, self.visible_range(id), message));
        }
        for item in items {
            self.check(*item, of, name);
        }
    }

    fn check_text(&mut self, id: NodeId, shape: &Shape, name: &str) {
        let Some(scalar) = self.tree.scalar(id) else {
            self.wrong_type(id, name, "a text");
            return;
        };
        if scalar.resolve() != ScalarType::Text {
            self.wrong_type(id, name, "a text");
            return;
        }
        self.yaml_trap(id, scalar, name);
        self.control_characters(id, scalar, name);
        match shape {
            Shape::Text => {}
            Shape::Name if scalar.text.len() > MAX_NAME_BYTES => {
                let length = scalar.text.len();
                let message =
                    format!("`{name}` is {length} bytes long; at most {MAX_NAME_BYTES} are allowed. Shorten it.");
                self.findings.push(Diagnostic::new(Code::BadValue, self.visible_range(id), message));
            }
            Shape::OneOf(names) => {
                if !names.contains(&scalar.text.as_str()) {
                    self.unknown_name(Code::BadValue, id, &format!("no value of `{name}`"), names.iter().copied());
                }
            }
            Shape::Policy => {
                let names = POLICIES.iter().map(|(name, _)| *name);
                if !names.clone().any(|name| name == scalar.text) {
                    self.unknown_name(Code::UnknownPolicy, id, "no cache policy", names);
                }
            }
            Shape::Runner => {
                let names = RUNNERS.iter().map(|runner| runner.name);
                if !names.clone().any(|name| name == scalar.text) {
                    self.unknown_name(Code::UnknownRunner, id, "no runner", names);
                }
            }
            _ => {
                if scalar.text.trim().is_empty() {
                    let message = format!("`{name}` is empty, and it needs a text.");
                    self.findings.push(Diagnostic::new(Code::BadValue, self.visible_range(id), message));
                }
            }
        }
    }

    /// Finds what a person cannot see, or what would steer their terminal. A command may hold anything: it is never shown whole.
    fn control_characters(&mut self, id: NodeId, scalar: &Scalar, name: &str) {
        // Labels and the like may be written as a block, which ends its lines.
        let may_have_lines = !matches!(name, "key" | "name" | "slug");
        let is_bad =
            |character: char| is_deceptive(character) && !(may_have_lines && matches!(character, '\n' | '\r' | '\t'));
        let Some(found) = scalar.text.chars().find(|character| is_bad(*character)).filter(|_| name != "cmd") else {
            return;
        };
        let message = format!(
            "`{name}` contains the character U+{:04X}, which cannot be seen or controls a terminal. Remove it.",
            u32::from(found)
        );
        let range = self.visible_range(id);
        let mut finding = Diagnostic::new(Code::ControlCharacter, range, message);
        let clean: String = scalar.text.chars().filter(|character| !is_bad(*character)).collect();
        let is_on_one_line = range == self.tree.node(id).range && !clean.contains(['\n', '\r', '\t']);
        if !clean.trim().is_empty() && is_on_one_line && matches!(self.tree.node(id).kind, Kind::Scalar(_)) {
            let written = clean.replace('\\', "\\\\").replace('"', "\\\"");
            finding = finding.with_fix(format!("Change to `{clean}`"), range, format!("\"{written}\""));
        }
        self.findings.push(finding);
    }

    fn check_version(&mut self, id: NodeId, known: &str, name: &str) {
        let written = self.tree.scalar(id).filter(|scalar| scalar.resolve() != ScalarType::Null);
        let Some(written) = written.map(|scalar| scalar.text.as_str()).filter(|written| *written != known) else {
            self.check_text(id, &Shape::Text, name);
            return;
        };
        let range = self.visible_range(id);
        let message = format!("Version `{written}` of this format does not exist. The only one is `\"{known}\"`.");
        let finding = Diagnostic::new(Code::UnsupportedVersion, range, message);
        self.findings.push(finding.with_fix(format!("Change to `\"{known}\"`"), range, format!("\"{known}\"")));
    }

    fn unknown_name<'n>(&mut self, code: Code, id: NodeId, is_no: &str, names: impl Iterator<Item = &'n str> + Clone) {
        let range = self.visible_range(id);
        let written = self.tree.scalar(id).map(|scalar| scalar.text.clone()).unwrap_or_default();
        let known: Vec<String> = names.clone().map(|name| format!("`{name}`")).collect();
        let near = nearest(&written, names);
        let hint = near.map(|near| format!(" Did you mean `{near}`?")).unwrap_or_default();
        let message = format!("`{written}` is {is_no}.{hint} There are {}.", known.join(", "));
        let mut finding = Diagnostic::new(code, range, message);
        if let Some(near) = near {
            finding = mapping::with_key_fix(finding, self.tree, id, near);
        }
        self.findings.push(finding);
    }

    fn check_argument(&mut self, id: NodeId, argument: Argument, name: &str) {
        let wanted = match argument {
            Argument::Any | Argument::Network => "a text or a whole number",
            Argument::Memory => "a number of bytes, or one with `k`, `m` or `g`",
            Argument::Cpus => "a number above 0",
            Argument::Mount => "`/source:/target`, or `/source:/target:ro`",
            Argument::Ready => "a command or the number of a port",
        };
        let scalar =
            self.tree.scalar(id).filter(|scalar| !matches!(scalar.resolve(), ScalarType::Null | ScalarType::Bool(_)));
        let Some(scalar) = scalar else {
            self.wrong_type(id, name, wanted);
            return;
        };
        if argument != Argument::Ready {
            self.control_characters(id, scalar, name);
        }
        let (written, range) = (scalar.text.as_str(), self.visible_range(id));
        let message = match argument {
            Argument::Any | Argument::Network | Argument::Ready if written.trim().is_empty() => {
                format!("`{name}` is empty, and it needs a text.")
            }
            Argument::Network if arguments::opens_the_machine(written) => format!(
                "The network `{written}` opens more of this machine than a file may ask for. Name a network of the engine, or `none`."
            ),
            Argument::Memory if arguments::memory_bytes(written).is_none() => {
                format!("`{name}` takes {wanted}, and `{written}` is none.")
            }
            Argument::Cpus if arguments::nano_cpus(written).is_none() => {
                format!("`{name}` takes {wanted}, and `{written}` is none.")
            }
            Argument::Mount if arguments::mount(written).is_none() => {
                format!("A mount is {wanted}, and `{written}` is none.")
            }
            Argument::Ready if !is_ready(scalar) => {
                format!("`{name}` takes {wanted}, 1 to 65535, and `{written}` is none.")
            }
            Argument::Any
            | Argument::Network
            | Argument::Memory
            | Argument::Cpus
            | Argument::Mount
            | Argument::Ready => return,
        };
        self.findings.push(Diagnostic::new(Code::BadValue, range, message));
    }

    fn check_bool(&mut self, id: NodeId, name: &str) {
        let Some(scalar) = self.tree.scalar(id) else {
            self.wrong_type(id, name, "`true` or `false`");
            return;
        };
        if matches!(scalar.resolve(), ScalarType::Bool(_)) {
            return;
        }
        let meant = match scalar.text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("true"),
            "no" | "off" | "n" | "false" => Some("false"),
            _ => None,
        };
        match meant {
            None => self.wrong_type(id, name, "`true` or `false`"),
            Some(meant) => {
                let written = &scalar.text;
                let message =
                    format!("`{name}` takes `true` or `false`, and `{written}` is a text here. Write `{meant}`.");
                let range = self.visible_range(id);
                let finding = Diagnostic::new(Code::WrongType, range, message);
                self.findings.push(finding.with_safe_fix(format!("Change to `{meant}`"), range, meant));
            }
        }
    }

    fn check_integer(&mut self, id: NodeId, min: u64, max: u64, name: &str) {
        let Some(scalar) = self.tree.scalar(id) else {
            self.wrong_type(id, name, "a whole number");
            return;
        };
        match scalar.resolve() {
            ScalarType::Integer(value) => {
                let is_inside = u64::try_from(value).is_ok_and(|value| (min..=max).contains(&value));
                if !is_inside {
                    let message = format!("`{name}` takes a whole number from {min} to {max}, and this is {value}.");
                    self.findings.push(Diagnostic::new(Code::BadValue, self.visible_range(id), message));
                }
            }
            ScalarType::Null | ScalarType::Bool(_) | ScalarType::Float(_) | ScalarType::Text => {
                self.wrong_type(id, name, "a whole number");
            }
        }
    }

    fn check_env(&mut self, id: NodeId, only_texts: bool, name: &str) {
        if self.tree.own_entries(id).is_none() {
            self.wrong_type(id, name, "a mapping from names to values");
            return;
        }
        mapping::duplicate_keys(self.tree, id, self.findings);
        let tree = self.tree;
        for entry in tree.entries(id).iter() {
            let key = tree.key_text(entry).unwrap_or_default();
            if !is_env_name(key) {
                let message = format!(
                    "`{key}` cannot be the name of an environment variable. Use letters, digits and `_`, and no digit first."
                );
                self.findings.push(Diagnostic::new(Code::BadEnvName, self.tree.node(entry.key).range, message));
            }
            match self.tree.scalar(entry.value) {
                None => self.wrong_type(entry.value, key, "a single value"),
                Some(scalar) if only_texts && scalar.resolve() != ScalarType::Text => {
                    self.wrong_type(entry.value, key, "a text");
                }
                Some(scalar) => self.yaml_trap(entry.value, scalar, key),
            }
        }
    }

    fn yaml_trap(&mut self, id: NodeId, scalar: &Scalar, name: &str) {
        if scalar.style != Style::Plain {
            return;
        }
        let Some(reading) = yaml_1_1_reading(&scalar.text) else { return };
        let (range, written) = (self.tree.node(id).range, &scalar.text);
        let message = format!(
            "`{name}` is the text `{written}` here, but YAML 1.1 readers take it for {reading}. Quotes make it clear."
        );
        let finding = Diagnostic::new(Code::YamlTrap, range, message);
        self.findings.push(finding.with_safe_fix("Put it in quotes", range, format!("\"{written}\"")));
    }

    fn wrong_type(&mut self, id: NodeId, name: &str, wanted: &str) {
        let range = self.visible_range(id);
        if self.is_null(id) {
            let message = format!("`{name}` has no value. It takes {wanted}: add it, or remove `{name}`.");
            self.findings.push(Diagnostic::new(Code::WrongType, range, message));
            return;
        }
        let Some(node) = self.tree.resolved(id) else { return };
        let found = match &node.kind {
            Kind::Scalar(scalar) => match scalar.resolve() {
                ScalarType::Null => "nothing",
                ScalarType::Bool(_) => "true or false",
                ScalarType::Integer(_) | ScalarType::Float(_) => "a number",
                ScalarType::Text => "a text",
            },
            Kind::List { .. } => "a list",
            Kind::Map { .. } => "a mapping",
            Kind::Alias(_) => return,
        };
        let message = format!("`{name}` takes {wanted}, and this is {found}.");
        let mut finding = Diagnostic::new(Code::WrongType, range, message);
        if let (true, Kind::Scalar(scalar)) = (wanted == "a text", &self.tree.node(id).kind) {
            finding.message.push_str(" Put it in quotes.");
            finding = finding.with_safe_fix("Put it in quotes", range, format!("\"{}\"", scalar.text));
        }
        if let (true, Kind::Scalar(scalar)) = (wanted == "a whole number", &self.tree.node(id).kind)
            && scalar.style != Style::Plain
            && scalar.text.parse::<u32>().is_ok()
        {
            finding = finding.with_safe_fix("Remove the quotes", range, scalar.text.clone());
        }
        if let (true, Kind::Scalar(scalar)) = (wanted == "a list", &self.tree.node(id).kind)
            && !scalar.text.is_empty()
        {
            finding = self.with_list_fix(finding, range, scalar);
        }
        self.findings.push(finding);
    }

    /// What stands between commas is meant to be an item of its own.
    fn with_list_fix(&self, finding: Diagnostic, range: TextRange, scalar: &Scalar) -> Diagnostic {
        let written = self.text.get(range.start..range.end).unwrap_or_default();
        match scalar.style {
            Style::Block => finding,
            Style::Plain if scalar.text.contains(['[', ']', '{', '}', '"', '\\']) => finding,
            Style::Plain if scalar.text.contains(',') => {
                let items: Vec<&str> = written.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
                finding.with_fix(format!("Make it a list of {}", items.len()), range, format!("[{}]", items.join(", ")))
            }
            Style::Plain | Style::SingleQuoted | Style::DoubleQuoted => {
                finding.with_fix("Make it a list", range, format!("[{written}]"))
            }
        }
    }

    fn is_null(&self, id: NodeId) -> bool {
        self.tree.scalar(id).is_some_and(|scalar| scalar.resolve() == ScalarType::Null)
    }

    /// Returns a value's range; where there is nothing to see, the last letter before it.
    fn visible_range(&self, id: NodeId) -> TextRange {
        let range = self.tree.node(id).range;
        if !range.is_empty() {
            // A long list or mapping is pointed at by its first line.
            let content = self.text.get(range.start..range.end).unwrap_or_default();
            let line = content.lines().next().unwrap_or_default().trim_end();
            return TextRange::new(range.start, range.start + line.len());
        }
        let before = self.text.get(..range.start).unwrap_or_default().trim_end();
        let last = before.chars().next_back().map_or(0, char::len_utf8);
        TextRange::new(before.len() - last, before.len())
    }
}

fn is_ready(scalar: &Scalar) -> bool {
    match scalar.resolve() {
        ScalarType::Integer(port) => arguments::port(port).is_some(),
        ScalarType::Text => true,
        ScalarType::Null | ScalarType::Bool(_) | ScalarType::Float(_) => false,
    }
}

fn is_env_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
