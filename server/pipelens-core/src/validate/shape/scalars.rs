//! Single values: strings, numbers, booleans and the arguments of runners.

use super::checker::Checker;
use crate::arguments;
use crate::diagnostic::{Code, Diagnostic};
use crate::keys::{Argument, MAX_NAME_BYTES, POLICIES, Place, Shape};
use crate::nearest::nearest;
use crate::printable::{is_deceptive, is_printable};
use crate::runners::RUNNERS;
use crate::syntax::parse::Style;
use crate::syntax::scalar::{ScalarType, yaml_1_1_reading};
use crate::syntax::tree::{Entry, Kind, NodeId, Scalar};
use crate::validate::mapping;
use crate::validate::paths::unexpanded;

impl Checker<'_> {
    pub(super) fn check_text(&mut self, id: NodeId, shape: &Shape, name: &str) {
        let Some(scalar) = self.tree.scalar(id) else {
            self.wrong_type(id, name, "a string");
            return;
        };
        if scalar.resolve() != ScalarType::Text {
            self.wrong_type(id, name, "a string");
            return;
        }
        // One of these words is meant as a word, even if it is `off`.
        if !matches!(shape, Shape::OneOf(words) if words.contains(&scalar.text.as_str())) {
            self.yaml_trap(id, scalar, name);
        }
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
                    self.unknown_name(Code::BadValue, id, "value", &format!(" for `{name}`"), names.iter().copied());
                }
            }
            Shape::Policy => {
                let names = POLICIES.iter().map(|policy| policy.name);
                if !names.clone().any(|name| name == scalar.text) {
                    self.unknown_name(Code::UnknownPolicy, id, "cache policy", "", names);
                }
            }
            Shape::Runner => {
                let names = RUNNERS.iter().map(|runner| runner.name);
                if !names.clone().any(|name| name == scalar.text) {
                    self.unknown_name(Code::UnknownRunner, id, "runner", "", names);
                }
            }
            _ => {
                if scalar.text.trim().is_empty() {
                    let message = format!("`{name}` is empty. Give it a value.");
                    self.findings.push(Diagnostic::new(Code::BadValue, self.visible_range(id), message));
                }
            }
        }
    }

    /// Finds characters that are invisible or control a terminal. A command may contain any: it is never shown in full.
    pub(super) fn control_characters(&mut self, id: NodeId, scalar: &Scalar, name: &str) {
        if name == "cmd" || is_printable(&scalar.text) {
            return;
        }
        // Labels and the like may be written as a block, which has line breaks.
        let is_part_of_key = matches!(self.place, Place::Matrix | Place::Combination);
        let may_have_lines = !is_part_of_key && !matches!(name, "key" | "name" | "slug");
        let is_bad =
            |character: char| is_deceptive(character) && !(may_have_lines && matches!(character, '\n' | '\r' | '\t'));
        let Some(found) = scalar.text.chars().find(|character| is_bad(*character)) else { return };
        let message = format!(
            "`{name}` contains the character U+{:04X}, which is invisible or controls a terminal. Remove it.",
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

    pub(super) fn check_version(&mut self, id: NodeId, known: &str, name: &str) {
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

    fn unknown_name<'n>(
        &mut self,
        code: Code,
        id: NodeId,
        kind: &str,
        purpose: &str,
        names: impl Iterator<Item = &'n str> + Clone,
    ) {
        let range = self.visible_range(id);
        let written = self.tree.scalar(id).map(|scalar| scalar.text.clone()).unwrap_or_default();
        let known: Vec<String> = names.clone().map(|name| format!("`{name}`")).collect();
        let near = nearest(&written, names);
        let hint = near.map(|near| format!(" Did you mean `{near}`?")).unwrap_or_default();
        let message = format!("Unknown {kind} `{written}`{purpose}; expected one of {}.{hint}", known.join(", "));
        let mut finding = Diagnostic::new(code, range, message);
        if let Some(near) = near {
            finding = mapping::with_key_fix(finding, self.tree, id, near);
        }
        self.findings.push(finding);
    }

    pub(super) fn check_argument(&mut self, id: NodeId, argument: Argument, name: &str) {
        let wanted = match argument {
            Argument::Any | Argument::Network => "a string or a whole number",
            Argument::Memory => "a number of bytes, optionally with `k`, `m` or `g`",
            Argument::Cpus => "a number greater than 0",
            Argument::Mount => "`/source:/target` or `/source:/target:ro`",
            Argument::Ready => "a command or a port number",
            Argument::Ulimit => "a number, or two as `soft:hard`, of which the first is not greater",
            Argument::ExtraHost => "`name:address`, with an IP address or `host-gateway`",
            Argument::Tmpfs => "an absolute path, with options such as `size=64m` after a colon",
            Argument::Gpus => "`all` or a number greater than 0",
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
        let bad = |wanted: &str| format!("`{name}` must be {wanted}; got `{written}`.");
        let message = match argument {
            Argument::Any | Argument::Network | Argument::Ready if written.trim().is_empty() => {
                format!("`{name}` is empty. Give it a value.")
            }
            Argument::Network if arguments::is_of_another_container(written) => format!(
                "A pipeline may not use the network `{written}`, which gives access to another container. Use one of the engine's networks, or `none`."
            ),
            Argument::Memory if arguments::memory_bytes(written).is_none() => {
                format!("`{name}` must be {wanted}; got `{written}`.")
            }
            Argument::Cpus if arguments::nano_cpus(written).is_none() => {
                format!("`{name}` must be {wanted}; got `{written}`.")
            }
            Argument::Mount if arguments::mount(written).is_none() => mount(wanted, written),
            Argument::Ready if !is_ready(scalar) => {
                format!("`{name}` must be {wanted} from 1 to 65535; got `{written}`.")
            }
            Argument::Ulimit if arguments::ulimit(written).is_none() => bad(wanted),
            Argument::ExtraHost if arguments::extra_host(written).is_none() => bad(wanted),
            Argument::Tmpfs if arguments::tmpfs(written).is_none() => bad(wanted),
            Argument::Gpus if arguments::gpus(written).is_none() => bad(wanted),
            Argument::Any
            | Argument::Network
            | Argument::Memory
            | Argument::Cpus
            | Argument::Mount
            | Argument::Ready
            | Argument::Ulimit
            | Argument::ExtraHost
            | Argument::Tmpfs
            | Argument::Gpus => return,
        };
        self.findings.push(Diagnostic::new(Code::BadValue, range, message));
    }

    pub(super) fn check_ulimit_name(&mut self, entry: &Entry) {
        let Some(name) = self.tree.key_text(entry).filter(|name| !arguments::ULIMITS.contains(name)) else { return };
        let range = self.tree.node(entry.key).range;
        if !self.is_first(range, "a limit") {
            return;
        }
        let near = nearest(name, arguments::ULIMITS.iter().copied());
        let hint = near.map(|near| format!(" Did you mean `{near}`?")).unwrap_or_default();
        let known = arguments::ULIMITS.join("`, `");
        let message = format!("There is no limit named `{name}`; expected one of `{known}`.{hint}");
        let finding = Diagnostic::new(Code::BadValue, range, message);
        self.findings.push(match near {
            Some(near) => mapping::with_key_fix(finding, self.tree, entry.key, near),
            None => finding,
        });
    }

    pub(super) fn check_bool(&mut self, id: NodeId, name: &str) {
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
                    format!("`{name}` must be `true` or `false`, but `{written}` is a string here. Write `{meant}`.");
                let range = self.visible_range(id);
                let finding = Diagnostic::new(Code::WrongType, range, message);
                self.findings.push(finding.with_safe_fix(format!("Change to `{meant}`"), range, meant));
            }
        }
    }

    pub(super) fn check_integer(&mut self, id: NodeId, min: u64, max: u64, name: &str) {
        let Some(scalar) = self.tree.scalar(id) else {
            self.wrong_type(id, name, "a whole number");
            return;
        };
        match scalar.resolve() {
            ScalarType::Integer(value) => {
                let is_inside = u64::try_from(value).is_ok_and(|value| (min..=max).contains(&value));
                if !is_inside {
                    let message = format!("`{name}` must be a whole number from {min} to {max}; got {value}.");
                    self.findings.push(Diagnostic::new(Code::BadValue, self.visible_range(id), message));
                }
            }
            ScalarType::Null | ScalarType::Bool(_) | ScalarType::Float(_) | ScalarType::Text => {
                self.wrong_type(id, name, "a whole number");
            }
        }
    }

    pub(super) fn yaml_trap(&mut self, id: NodeId, scalar: &Scalar, name: &str) {
        if scalar.style != Style::Plain {
            return;
        }
        let Some(reading) = yaml_1_1_reading(&scalar.text) else { return };
        let (range, written) = (self.tree.node(id).range, &scalar.text);
        let message = format!(
            "`{name}` is the string `{written}` here, but YAML 1.1 parsers read it as {reading}. Put it in quotes to be clear."
        );
        let finding = Diagnostic::new(Code::YamlTrap, range, message);
        self.findings.push(finding.with_safe_fix("Put it in quotes", range, format!("\"{written}\"")));
    }
}

/// Returns what is wrong with a mount.
fn mount(wanted: &str, written: &str) -> String {
    let source = written.split(':').next().unwrap_or_default();
    match unexpanded(source) {
        Some(part) => format!(
            "A mount must be {wanted}; got `{written}`. `{part}` is not replaced here: write the absolute path of the folder on the engine's host."
        ),
        None if source.starts_with('.') || !source.contains(['/', '\\']) => format!(
            "A mount must be {wanted}; got `{written}`. `{source}` is not an absolute path, and a mount has no folder it could be relative to. The sources are in the step's `workdir` without a mount."
        ),
        None => format!("A mount must be {wanted}; got `{written}`."),
    }
}

fn is_ready(scalar: &Scalar) -> bool {
    match scalar.resolve() {
        ScalarType::Integer(port) => arguments::port(port).is_some(),
        ScalarType::Text => true,
        ScalarType::Null | ScalarType::Bool(_) | ScalarType::Float(_) => false,
    }
}
