//! The keys of pipelines that people write.

use super::common::{
    CACHE, CMD_DOC, CMD_EXAMPLE, DEFAULT_IMAGE, IMAGE, LABEL, NAME, PIPELINE_TIMEOUT, RETRY, RUNNER, SECONDS, SECRETS,
    SHELL, SOFT_FAIL, STEP_KEY, STEP_TIMEOUT, TEXTS, TRIGGERS, VARIABLES, VERSION, WORKDIR,
};
use super::container::{EXTRA_HOSTS, GPUS, INIT, SHM_SIZE, TMPFS, ULIMITS};
use super::key::Key;
use super::place::Place;
use super::shape::{Argument, Shape};

const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key::required(name, shape, doc)
}

const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key::optional(name, shape, doc)
}

pub(super) const PIPELINE: &[Key] = &[
    NAME,
    required("steps", Shape::Steps, "What to run, in file order: steps, with `wait` between them."),
    DEFAULT_IMAGE,
    optional("env", Shape::Env, "Environment variables for every step. A step's own `env` takes precedence."),
    optional(
        "shell",
        Shape::Shell,
        "The program that runs every `cmd`, with its options: `sh -e`, `bash -euo pipefail`, or a list of words. It gets the command after `-c`. `sh -e` is recommended: a command of several lines then ends at the first line that fails. A step's own `shell` takes precedence. Default: `shell` in `.pipelens.yaml`, else `sh`.",
    ),
    PIPELINE_TIMEOUT,
    optional(
        "git",
        Shape::Bool,
        "`true`: every step gets the project's git history, see `git` of a step. `false`: only those that say so. A step's own `git` takes precedence. Default: those whose commands call git only to read.",
    ),
    optional(
        "fail_fast",
        Shape::Bool,
        "`true`: the first failure cancels the running steps and skips the rest. Default: `false`.",
    ),
    TRIGGERS,
    VERSION,
];

pub(super) const STEP: &[Key] = &[
    STEP_KEY.when_missing("Other steps and the log identify the step by it: add `key:` with a short, unique name."),
    LABEL,
    required("cmd", Shape::NonEmptyText, CMD_DOC)
        .when_missing("Add `cmd:` with the command to run.")
        .example(CMD_EXAMPLE),
    SHELL,
    IMAGE,
    optional(
        "builds_in",
        Shape::StepKey,
        "Starts from the filesystem another step left, and so waits for that step. At most one step.",
    ),
    optional("depends_on", Shape::StepKeys, "Waits for these steps without using their filesystems."),
    optional("env", Shape::Env, "Environment variables for this step, merged over the pipeline's."),
    optional(
        "matrix",
        Shape::Map(Place::Matrix),
        "Makes this one step for each combination of values: `{rust: [\"1.90\", stable], os: [alpine, debian]}` gives four, with keys such as `test (1.90, alpine)`. A value is in `$MATRIX_RUST`, and replaces `${{ matrix.rust }}` in `image`, `label`, `env` and `cache`.",
    ),
    STEP_TIMEOUT,
    WORKDIR,
    CACHE,
    optional(
        "cache_mounts",
        Shape::List { of: &Shape::MountPathOrMap(Place::CacheMount), may_be_empty: true },
        "Folders that outlive runs and are part of no step's result, for what tools keep to be faster the next time: `~/.cargo/registry`, `target`, `node_modules`. Paths, or mappings with `path`, `name` and `sharing`. `~` is the step's home, and a relative path is below `workdir`.",
    ),
    optional(
        "reuse",
        Shape::OneOf(&["parent", "last"]),
        "What the step starts from if it runs again: `parent` (its image, or the step it builds in), or `last`: its own last result, with what has changed in the sources on top, so that tools build only what changed. If what it would start from otherwise has changed, it starts from that. `last` keeps the step's result. Default: `parent`.",
    ),
    optional(
        "git",
        Shape::Bool,
        "`true`: the step has a `.git` in the folder of the sources, with what `git describe`, `git log` and `git status` need: `HEAD`, the branches and tags, the commits and the index. It cannot be written to and is part of no step's result; hooks, remotes, credentials and stashes are not in it. A cached result is not reused after a commit or a new tag. Default: the pipeline's `git`, else whether the command calls git, and only to read (`git describe`, `git rev-parse`).",
    ),
    RUNNER,
    optional(
        "runner_args",
        Shape::Map(Place::RunnerArguments),
        "Options for the step's container, such as `user`, `network`, `memory`, `cpus`, `platform`, `shm_size` and `mounts`; and `services` that run alongside it.",
    ),
    optional(
        "artifacts",
        Shape::TextsOrMap(Place::Artifacts),
        "Globs relative to `workdir`: matching files are copied to this machine after the step succeeds, also if its result is taken from an earlier run. As a mapping with `paths` and `when`, after a failure too.",
    ),
    optional(
        "needs_artifacts",
        Shape::StepKeys,
        "Puts the artifacts of these steps into this step's `workdir` before its command, whatever its image, and so waits for these steps.",
    ),
    SECRETS,
    SOFT_FAIL,
    RETRY,
];

pub(super) const MATRIX: &[Key] = &[
    optional(
        "include",
        Shape::List { of: &Shape::Map(Place::Combination), may_be_empty: false },
        "Adds to the combinations: an entry that contradicts none of the axes' values in a combination extends it, and one that contradicts all of them is a combination of its own.",
    ),
    optional(
        "exclude",
        Shape::List { of: &Shape::Map(Place::Combination), may_be_empty: false },
        "Leaves out every combination that has all the values of an entry. Comes before `include`.",
    ),
];

pub(super) const ANY_AXIS: Key = optional(
    "axis",
    Shape::List { of: &Shape::Scalar, may_be_empty: false },
    "An axis: each of its values is combined with every value of the other axes. A value is exactly the text in the file: `1.10` stays `1.10`.",
);

pub(super) const ANY_VALUE: Key = optional("value", Shape::Scalar, "The value that a combination has for this name.");

pub(super) const WAIT: &[Key] = &[required(
    "wait",
    Shape::OptionalMap(Place::WaitOptions),
    "A barrier: every step after it waits for every step before it.",
)];

pub(super) const WAIT_OPTIONS: &[Key] = &[optional(
    "continue_on_failure",
    Shape::Bool,
    "`true`: the steps after the barrier run regardless of what happened before it. Default: `false`.",
)];

pub(super) const CACHE_POLICY: &[Key] = &[
    required(
        "policy",
        Shape::Policy,
        "When an earlier result may be reused: `none`, `forever`, `ttl`, `on_change` or `compose`.",
    )
    .when_missing("Add one of `none`, `forever`, `ttl`, `on_change`, `compose`.")
    .example("none"),
    optional("env_keys", VARIABLES, "Environment variables whose values are part of the cache key."),
    optional("duration_seconds", SECONDS, "The length of a `ttl` policy's window.").example("3600"),
    optional(
        "paths",
        Shape::List { of: &Shape::NonEmptyText, may_be_empty: false },
        "Files, folders and globs that an `on_change` policy watches.",
    )
    .example("[\".\"]"),
    optional(
        "sub_policies",
        Shape::List { of: &Shape::Map(Place::Cache), may_be_empty: false },
        "The policies of a `compose` policy: all of them must allow reuse.",
    )
    .example("[{\"policy\": \"forever\"}]"),
    optional(
        "key",
        Shape::NonEmptyText,
        "A precomputed cache key, as found in generated plans. Takes precedence over the policy.",
    ),
];

pub(super) const ARTIFACTS: &[Key] = &[
    required(
        "paths",
        Shape::List { of: &Shape::NonEmptyText, may_be_empty: false },
        "Globs relative to `workdir`: matching files are copied to this machine.",
    )
    .when_missing("Add `paths:` with a list of globs.")
    .example("[\".\"]"),
    optional(
        "when",
        Shape::OneOf(&["on_success", "on_failure", "always"]),
        "After which outcome the files are copied: `on_success`, `on_failure` (the command failed or ran out of time), or `always`. Of a step with `retry`, the last attempt counts. Default: `on_success`.",
    ),
];

pub(super) const CACHE_MOUNT: &[Key] = &[
    required(
        "path",
        Shape::MountPath,
        "Where the step finds the folder. `~` is its home, and a relative path is below `workdir`.",
    )
    .when_missing("Add `path:` with the folder's path, such as `~/.cargo/registry`.")
    .example("target"),
    optional(
        "name",
        Shape::Name,
        "Steps of a project whose mounts have the same name, and the same runner and platform, get the same folder. Default: the path.",
    ),
    optional(
        "sharing",
        Shape::OneOf(&["shared", "locked", "private"]),
        "What happens if several steps, of any runs, use the folder at once: `shared` (they all do), `locked` (one at a time, and the others wait), or `private` (each gets a folder of its own, a new one if all are in use). Default: `shared`.",
    ),
];

pub(super) const TRIGGER: &[Key] = &[
    required("event", Shape::OneOf(&["push", "pull_request", "schedule"]), "What starts the pipeline.")
        .when_missing("Add one of `push`, `pull_request`, `schedule`.")
        .example("push"),
    optional("branches", TEXTS, "Globs for branch names."),
    optional("tags", TEXTS, "Globs for tag names, with `push`."),
    optional("types", TEXTS, "Kinds of pull request events."),
    optional("cron", Shape::NonEmptyText, "When a `schedule` runs, as five cron fields."),
];

pub(super) const RUNNER_ARGUMENTS: &[Key] = &[
    optional(
        "user",
        Shape::Argument(Argument::Any),
        "The user that runs the command, by name or number. Default: the image's user.",
    ),
    optional(
        "network",
        Shape::Argument(Argument::Network),
        "The container's network, such as `none`. `host` is the network of the engine's machine, and runs only if the user allows it with `pipelens.allowMachineAccess` or `--allow-machine-access`. The networks of other containers are not allowed. Default: the engine's.",
    ),
    optional(
        "memory",
        Shape::Argument(Argument::Memory),
        "The most memory the step may use: bytes, or a number with `k`, `m` or `g`. Default: no limit.",
    ),
    optional(
        "cpus",
        Shape::Argument(Argument::Cpus),
        "How many CPUs the step may use, such as `1.5`. Default: all of them.",
    ),
    optional("platform", Shape::NonEmptyText, "The image's platform, such as `linux/arm64`. Default: the engine's."),
    optional(
        "pull",
        Shape::OneOf(&["missing", "always", "never"]),
        "When the image is pulled: `missing`, `always` or `never`. Default: `missing`.",
    ),
    optional(
        "privileged",
        Shape::Bool,
        "`true`: the command has the rights of root on the engine's host. Runs only if the user allows it with `pipelens.allowMachineAccess` or `--allow-machine-access`. Default: `false`.",
    ),
    optional(
        "mounts",
        Shape::List { of: &Shape::Argument(Argument::Mount), may_be_empty: true },
        "Folders of the engine's host that the command can access, as `/source:/target` or `/source:/target:ro`. Runs only if the user allows it with `pipelens.allowMachineAccess` or `--allow-machine-access`.",
    ),
    SHM_SIZE,
    ULIMITS,
    EXTRA_HOSTS,
    INIT,
    TMPFS,
    GPUS,
    optional(
        "services",
        Shape::Map(Place::Services),
        "Containers that run alongside the step's command and stop with it, such as a database. The command reaches each one by its name, and at `localhost` unless another one listens on the same port. Only with the `docker` runner.",
    ),
];

pub(super) const ANY_ULIMIT: Key = optional(
    "ulimit",
    Shape::Argument(Argument::Ulimit),
    "A number for the soft and the hard limit, or `soft:hard`. `-1` means no limit.",
);

pub(super) const ANY_SERVICE: Key = optional(
    "service",
    Shape::Map(Place::Service),
    "A container that runs alongside the step's command, started anew for every attempt. The command reaches it by this name, and at `localhost` unless another service of the step listens on the same port.",
);

pub(super) const SERVICE: &[Key] = &[
    required(
        "image",
        Shape::Image,
        "The service's image, such as `postgres:17`. The step's cache key contains the image's name, not its digest.",
    )
    .when_missing("Add `image:` with the image to run, such as `postgres:17`."),
    optional("env", Shape::Env, "Environment variables for the service. Apart from its image's, it has no others."),
    optional(
        "cmd",
        Shape::NonEmptyText,
        "Runs instead of the image's own command: a line for the image's `sh`, passed to its entrypoint if it has one. Default: the image's command.",
    ),
    optional(
        "ready",
        Shape::Argument(Argument::Ready),
        "When the step's command may start: as soon as this command, run in the service by `sh -c`, exits with 0, or as soon as something listens on the port with this number. Default: the image's health check, else its lowest exposed port, else immediately.",
    ),
    optional(
        "ready_within_seconds",
        SECONDS,
        "How long the service may take to become ready before the step is abandoned. Default: 60.",
    ),
    optional(
        "secrets",
        VARIABLES,
        "Names of secrets that the service gets as files: `/run/secrets/NAME`. Many images read them from there: `POSTGRES_PASSWORD_FILE: /run/secrets/NAME` in `env`. Read from the environment or the secrets file, and masked in every log line.",
    ),
    SHM_SIZE,
    ULIMITS,
    EXTRA_HOSTS,
    INIT,
    TMPFS,
    GPUS,
];
