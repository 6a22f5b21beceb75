//! Keys that both authored pipelines and generated plans have.

use super::key::Key;
use super::place::Place;
use super::shape::Shape;

pub(super) const SECONDS: Shape = Shape::Integer { min: 1, max: u32::MAX as u64 };
pub(super) const TEXTS: Shape = Shape::List { of: &Shape::NonEmptyText, may_be_empty: true };
pub(super) const VARIABLES: Shape = Shape::List { of: &Shape::VariableName, may_be_empty: true };
pub(super) const VERSION: Key = Key::optional(
    "version",
    Shape::Version("0"),
    "The version of the wire format. Only `\"0\"` exists, and it is the default.",
);
pub(super) const NAME: Key = Key::optional(
    "name",
    Shape::Name,
    "The name of the run, its containers and its cache. Default: the file name without its extension.",
);
pub(super) const DEFAULT_IMAGE: Key = Key::optional(
    "default_image",
    Shape::Image,
    "The image for every step that has neither `image` nor `builds_in`. Default: `alpine:latest`.",
);
pub(super) const PIPELINE_TIMEOUT: Key = Key::optional(
    "timeout_seconds",
    SECONDS,
    "The longest the whole run may take. After that, everything is stopped and the run is *timed out*. Default: no limit.",
);
pub(super) const TRIGGERS: Key = Key::optional(
    "triggers",
    Shape::List { of: &Shape::Map(Place::Trigger), may_be_empty: true },
    "When a server would run this pipeline. Checked here, but never acted on.",
);
pub(super) const STEP_KEY: Key = Key::required(
    "key",
    Shape::Name,
    "Identifies the step: other steps refer to it in `builds_in` and `depends_on`. Must be unique in the pipeline.",
)
.example("step");
pub(super) const LABEL: Key = Key::optional("label", Shape::Text, "The name shown to people instead of the key.");
pub(super) const CMD_DOC: &str = "The command, run by `shell` (`sh -c` by default) in `workdir`.";
pub(super) const CMD_EXAMPLE: &str = "\"true\"";
pub(super) const IMAGE: Key = Key::optional(
    "image",
    Shape::Image,
    "The image the step starts from, such as `rust:1.95`. Has no effect with `builds_in`. Default: the pipeline's `default_image`.",
);
pub(super) const STEP_TIMEOUT: Key = Key::optional(
    "timeout_seconds",
    SECONDS,
    "The longest the step may take. After that, it is killed and *timed out*. Default: no limit.",
);
pub(super) const CACHE: Key = Key::optional(
    "cache",
    Shape::Map(Place::Cache),
    "When the step's result may be reused from an earlier run instead of running it. Default: never.",
);
pub(super) const RUNNER: Key = Key::optional("runner", Shape::Runner, "What runs the step. Default: `docker`.");
pub(super) const WORKDIR: Key = Key::optional(
    "workdir",
    Shape::AbsolutePath,
    "Where the sources are placed and the command runs. Default: `/workspace`.",
);
pub(super) const SHELL: Key = Key::optional(
    "shell",
    Shape::Shell,
    "The program that runs `cmd`, with its options: `sh -e`, `bash -euo pipefail`, or a list of words. It gets the command after `-c`. With `-e`, a command of several lines ends at the first line that fails. Default: the pipeline's `shell`, else `sh`.",
);
pub(super) const SECRETS: Key = Key::optional(
    "secrets",
    VARIABLES,
    "Names of secrets, read from the environment or the secrets file and passed as environment variables. Masked in every log line.",
);
pub(super) const SOFT_FAIL: Key = Key::optional(
    "soft_fail",
    Shape::Bool,
    "`true`: a failure is shown, but neither blocks other steps nor fails the run. Default: `false`.",
);
pub(super) const RETRY: Key = Key::optional(
    "retry",
    Shape::Integer { min: 0, max: 10 },
    "How many times to retry after a failure, from 0 to 10. Default: 0.",
);
