//! The keys of a project's `.pipelens.yaml`. A test holds them to the settings that are read from it.

use std::sync::LazyLock;

use super::common::TEXTS;
use super::key::Key;
use super::place::Place;
use super::shape::Shape;
use crate::diagnostic::Code;

pub(super) const SETTINGS: &[Key] = &[
    Key::optional("files", TEXTS, "Globs, relative to the project, for further files that are pipelines: `ci/*.yml`."),
    Key::optional(
        "parallelism",
        Shape::Integer { min: 1, max: u32::MAX as u64 },
        "How many steps run at once. The default is the number of CPUs of the engine's machine plus two; on `host`, the number of CPUs.",
    ),
    Key::optional(
        "problemMatchers",
        Shape::List { of: &Shape::Anything, may_be_empty: true },
        "How tools report problems in the output of steps that pipelens does not know, in the form of VS Code's `problemMatcher`: each has a `pattern` or a list of patterns.",
    ),
    Key::optional(
        "severity",
        Shape::Map(Place::Severities),
        "Overrides the severity of findings by code: `unpinned-image: off`.",
    ),
    Key::optional(
        "shell",
        Shape::Shell,
        "The program that runs every `cmd` of the project's pipelines, with its options: `sh -e`, `bash -euo pipefail`, or a list of words. A pipeline's or step's own `shell` takes precedence. Default: `sh`.",
    ),
    Key::optional(
        "shellcheck",
        Shape::Bool,
        "Whether commands are checked by ShellCheck if it is installed. By default, they are.",
    ),
];

/// Every code of a finding, as the key of its severity.
pub(super) static SEVERITIES: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let severity = Shape::OneOf(&["error", "warning", "information", "hint", "off"]);
    Code::ALL.iter().map(|code| Key::optional(code.as_str(), severity, code.title())).collect()
});
