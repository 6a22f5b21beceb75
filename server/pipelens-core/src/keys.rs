//! The vocabulary: every key of every spelling, its type, whether it must stand there, and what it means. This ONE table
//! feeds the checks, hover, completion and the JSON schema.

/// A kind of mapping: which keys it may hold depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Pipeline,
    Step,
    Wait,
    WaitOptions,
    Cache,
    Trigger,
    RunnerArguments,
    /// The services of a step: its keys are names the author gives.
    Services,
    Service,
    Plan,
    Graph,
    Node,
    PlanStep,
    Envelope,
    EnvelopePipeline,
}

/// What a value has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    Text,
    NonEmptyText,
    /// What a person reads as a name: one line of letters that can be shown, and not too many.
    Name,
    Bool,
    Integer {
        min: u64,
        max: u64,
    },
    /// The only version there is.
    Version(&'static str),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A text with a meaning of its own, so that completion and hover know what it is.
    Image,
    StepKey,
    Runner,
    Policy,
    AbsolutePath,
    /// One step key, or a list of them.
    StepKeys,
    /// A mapping from names to scalars; in a plan, to texts.
    Env,
    PlanEnv,
    Map(Place),
    List {
        of: &'static Shape,
        may_be_empty: bool,
    },
    /// Steps and barriers.
    Steps,
    /// `[from, to, kind]`.
    Edge,
    /// A text or a number, as the rule has it.
    Argument(Argument),
    Anything,
}

/// What an argument of a runner may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    Any,
    Network,
    Memory,
    Cpus,
    Mount,
    Ready,
}

/// Names are parts of container names, file names and every log line. A plan names a parent again in each of its edges.
pub(crate) const MAX_NAME_BYTES: usize = 200;

/// One key of one place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) is_required: bool,
    /// Markdown: what it means, then its default.
    pub(crate) doc: &'static str,
}

pub(crate) const POLICIES: &[(&str, &str)] = &[
    ("none", "Never taken from an earlier run. This is the default."),
    ("forever", "Taken while the command, its parent and the variables in `env_keys` are unchanged."),
    ("ttl", "Like `forever`, but only within one window of `duration_seconds`."),
    ("on_change", "Taken while the files in `paths` are unchanged."),
    ("compose", "Taken when every one of `sub_policies` allows it."),
];

/// Returns the keys a policy needs beside `policy`.
pub(crate) fn policy_needs(policy: &str) -> &'static [&'static str] {
    match policy {
        "ttl" => &["duration_seconds"],
        "on_change" => &["paths"],
        "compose" => &["sub_policies"],
        _ => &[],
    }
}

/// Returns the keys a mapping may hold.
pub(crate) fn keys(place: Place) -> &'static [Key] {
    match place {
        Place::Pipeline => PIPELINE,
        Place::Step => STEP,
        Place::Wait => WAIT,
        Place::WaitOptions => WAIT_OPTIONS,
        Place::Cache => CACHE,
        Place::Trigger => TRIGGER,
        Place::RunnerArguments => RUNNER_ARGUMENTS,
        Place::Services => &[],
        Place::Service => SERVICE,
        Place::Plan => PLAN,
        Place::Graph => GRAPH,
        Place::Node => NODE,
        Place::PlanStep => PLAN_STEP,
        Place::Envelope => ENVELOPE,
        Place::EnvelopePipeline => ENVELOPE_PIPELINE,
    }
}

pub(crate) fn find(place: Place, name: &str) -> Option<&'static Key> {
    match place {
        Place::Services => Some(&ANY_SERVICE),
        _ => keys(place).iter().find(|key| key.name == name),
    }
}

impl Place {
    /// Returns what a person calls such a mapping, with its article.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Pipeline => "a pipeline",
            Self::Step | Self::PlanStep => "a step",
            Self::Wait | Self::WaitOptions => "a `wait`",
            Self::Cache => "a cache policy",
            Self::Trigger => "a trigger",
            Self::RunnerArguments => "`runner_args`",
            Self::Services => "`services`",
            Self::Service => "a service",
            Self::Plan => "a plan",
            Self::Graph => "a graph",
            Self::Node => "a node",
            Self::Envelope => "an envelope",
            Self::EnvelopePipeline => "an envelope's pipeline",
        }
    }

    /// Tells whether this place belongs to a generated spelling, where fields we do not know are another tool's business.
    pub(crate) fn is_wire_format(self) -> bool {
        match self {
            Self::Plan | Self::Graph | Self::Node | Self::PlanStep | Self::Envelope | Self::EnvelopePipeline => true,
            Self::Pipeline
            | Self::Step
            | Self::Wait
            | Self::WaitOptions
            | Self::Cache
            | Self::Trigger
            | Self::RunnerArguments
            | Self::Services
            | Self::Service => false,
        }
    }
}

const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, is_required: true, doc }
}

const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, is_required: false, doc }
}

const SECONDS: Shape = Shape::Integer { min: 1, max: u32::MAX as u64 };
const TEXTS: Shape = Shape::List { of: &Shape::NonEmptyText, may_be_empty: true };
const SOME_TEXTS: Shape = Shape::List { of: &Shape::NonEmptyText, may_be_empty: false };
const VERSION: Key = optional(
    "version",
    Shape::Version("0"),
    "The version of the wire format. Only `\"0\"` exists, and it is the default.",
);
const NAME: Key = optional(
    "name",
    Shape::Name,
    "Names the run, its containers and its cache. Default: the file's name without its extension.",
);
const DEFAULT_IMAGE: Key = optional(
    "default_image",
    Shape::Image,
    "The image of every step that has neither `image` nor `builds_in`. Default: `alpine:latest`.",
);
const PIPELINE_TIMEOUT: Key = optional(
    "timeout_seconds",
    SECONDS,
    "The longest the whole run may take. When it passes, everything is stopped and the run is *timed out*. Default: no limit.",
);
const TRIGGERS: Key = optional(
    "triggers",
    Shape::List { of: &Shape::Map(Place::Trigger), may_be_empty: true },
    "When a server would run this pipeline. Checked here, never acted on.",
);

const PIPELINE: &[Key] = &[
    NAME,
    required("steps", Shape::Steps, "What to run, in file order: steps, and `wait` between them."),
    DEFAULT_IMAGE,
    optional("env", Shape::Env, "Environment of every step. A step's own `env` wins."),
    PIPELINE_TIMEOUT,
    optional(
        "fail_fast",
        Shape::Bool,
        "`true`: the first failure cancels what runs and skips the rest. Default: `false`.",
    ),
    TRIGGERS,
    VERSION,
];

const KEY_DOC: &str =
    "The step's identity: other steps name it in `builds_in` and `depends_on`. Unique in its pipeline.";
const LABEL: Key = optional("label", Shape::Text, "What people read instead of the key.");
const CMD_DOC: &str = "The command, run by `sh -c` in `workdir`.";
const IMAGE: Key = optional(
    "image",
    Shape::Image,
    "The image the step boots from, such as `rust:1.95`. Without effect beside `builds_in`. Default: the pipeline's `default_image`.",
);
const STEP_TIMEOUT: Key = optional(
    "timeout_seconds",
    SECONDS,
    "The longest the step may take. When it passes, the step is killed and *timed out*. Default: no limit.",
);
const CACHE_KEY: Key = optional(
    "cache",
    Shape::Map(Place::Cache),
    "When the step's result may be taken from an earlier run instead of running it. Default: never.",
);
const RUNNER: Key = optional("runner", Shape::Runner, "What runs the step. Default: `docker`.");
const WORKDIR: Key =
    optional("workdir", Shape::AbsolutePath, "Where the sources are put and the command runs. Default: `/workspace`.");
const ARTIFACTS: Key =
    optional("artifacts", TEXTS, "Globs under `workdir`: what matches is copied back to this machine after success.");
const SECRETS: Key = optional(
    "secrets",
    TEXTS,
    "Names of secrets, taken from the environment or the secrets file and given as environment. Masked in every log line.",
);
const SOFT_FAIL: Key = optional(
    "soft_fail",
    Shape::Bool,
    "`true`: a failure is shown, but neither blocks other steps nor fails the run. Default: `false`.",
);
const RETRY: Key = optional(
    "retry",
    Shape::Integer { min: 0, max: 10 },
    "How often to try again after a failure, 0 to 10. Default: 0.",
);

const STEP: &[Key] = &[
    required("key", Shape::Name, KEY_DOC),
    LABEL,
    required("cmd", Shape::NonEmptyText, CMD_DOC),
    IMAGE,
    optional(
        "builds_in",
        Shape::StepKey,
        "Boots from the filesystem another step left behind, and so waits for it. At most one.",
    ),
    optional("depends_on", Shape::StepKeys, "Waits for these steps, and takes nothing over from them."),
    optional("env", Shape::Env, "Environment of this step, merged over the pipeline's."),
    STEP_TIMEOUT,
    WORKDIR,
    CACHE_KEY,
    RUNNER,
    optional(
        "runner_args",
        Shape::Map(Place::RunnerArguments),
        "What the container of the step may have: `user`, `network`, `memory`, `cpus`, `platform`, `pull`, `privileged`, `mounts`; and `services` beside it.",
    ),
    ARTIFACTS,
    SECRETS,
    SOFT_FAIL,
    RETRY,
];

const WAIT: &[Key] = &[required(
    "wait",
    Shape::Map(Place::WaitOptions),
    "A barrier: every step after it waits for every step before it.",
)];

const WAIT_OPTIONS: &[Key] = &[optional(
    "continue_on_failure",
    Shape::Bool,
    "`true`: the steps after the barrier run whatever happened before it. Default: `false`.",
)];

const CACHE: &[Key] = &[
    required(
        "policy",
        Shape::Policy,
        "When an earlier result is good enough: `none`, `forever`, `ttl`, `on_change` or `compose`.",
    ),
    optional("env_keys", TEXTS, "Variables of the environment whose values belong to the cache key."),
    optional("duration_seconds", SECONDS, "Length of the window of a `ttl` policy."),
    optional("paths", SOME_TEXTS, "Files, folders and globs an `on_change` policy watches."),
    optional(
        "sub_policies",
        Shape::List { of: &Shape::Map(Place::Cache), may_be_empty: false },
        "The policies of a `compose` policy: all of them must hit.",
    ),
    optional(
        "key",
        Shape::NonEmptyText,
        "A ready-made cache key, as generated plans carry it. It wins over the policy.",
    ),
];

const TRIGGER: &[Key] = &[
    required("event", Shape::OneOf(&["push", "pull_request", "schedule"]), "What starts the pipeline."),
    optional("branches", TEXTS, "Globs of branch names."),
    optional("tags", TEXTS, "Globs of tag names, for `push`."),
    optional("types", TEXTS, "Kinds of pull request events."),
    optional("cron", Shape::NonEmptyText, "When a `schedule` starts, in cron's five fields."),
];

const RUNNER_ARGUMENTS: &[Key] = &[
    optional(
        "user",
        Shape::Argument(Argument::Any),
        "The user the command runs as, by name or number. Default: the image's.",
    ),
    optional(
        "network",
        Shape::Argument(Argument::Network),
        "The network of the container, such as `none`. The machine's own and other containers' are refused. Default: the engine's.",
    ),
    optional(
        "memory",
        Shape::Argument(Argument::Memory),
        "The most memory the step may take: bytes, or a number with `k`, `m` or `g`. Default: no limit.",
    ),
    optional(
        "cpus",
        Shape::Argument(Argument::Cpus),
        "How many processors the step may take, such as `1.5`. Default: all.",
    ),
    optional(
        "platform",
        Shape::NonEmptyText,
        "The platform of the image, such as `linux/arm64`. Default: the engine's.",
    ),
    optional(
        "pull",
        Shape::OneOf(&["missing", "always", "never"]),
        "When the image is fetched: `missing`, `always` or `never`. Default: `missing`.",
    ),
    optional(
        "privileged",
        Shape::Bool,
        "`true`: the command may do what root of the engine's machine may. Runs only if the user allows it with `pipelens.allowMachineAccess` or `--allow-machine-access`. Default: `false`.",
    ),
    optional(
        "mounts",
        Shape::List { of: &Shape::Argument(Argument::Mount), may_be_empty: true },
        "Folders of the engine's machine that the command sees, as `/source:/target` or `/source:/target:ro`. Runs only if the user allows it with `pipelens.allowMachineAccess` or `--allow-machine-access`.",
    ),
    optional(
        "services",
        Shape::Map(Place::Services),
        "Containers that run beside the step's command and end with it, such as a database. The command reaches each by its name and at `localhost`. All of them are on one network, so no two can listen on the same port. Only with the `docker` runner.",
    ),
];

const ANY_SERVICE: Key = optional(
    "service",
    Shape::Map(Place::Service),
    "A container that runs beside the step's command, new for every attempt. The command reaches it by this name and at `localhost`.",
);

const SERVICE: &[Key] = &[
    required(
        "image",
        Shape::Image,
        "The image of the service, such as `postgres:17`. A step's cache key has its name, not what a moved tag brings.",
    ),
    optional("env", Shape::Env, "Environment of the service. It has no other variables but its image's."),
    optional(
        "cmd",
        Shape::NonEmptyText,
        "What runs instead of the image's own command: a line for its `sh`, behind the image's entry point if it has one. Default: the image's command.",
    ),
    optional(
        "ready",
        Shape::Argument(Argument::Ready),
        "When the step's command may begin: once this command, run in the service by `sh -c`, exits with 0; or once something listens on the port of this number. Default: the image's health check, else its lowest exposed port, else at once.",
    ),
    optional(
        "ready_within_seconds",
        SECONDS,
        "How long the service may take to be ready before the step is given up. Default: 60.",
    ),
];

const PLAN: &[Key] = &[
    VERSION,
    NAME,
    DEFAULT_IMAGE,
    PIPELINE_TIMEOUT,
    required("graph", Shape::Map(Place::Graph), "The steps and what connects them."),
];

const GRAPH: &[Key] = &[
    required(
        "nodes",
        Shape::List { of: &Shape::Map(Place::Node), may_be_empty: true },
        "The steps. Edges name them by position.",
    ),
    required(
        "edges",
        Shape::List { of: &Shape::Edge, may_be_empty: true },
        "Connections: `[from, to, \"builds_in\"]` or `[from, to, \"depends_on\"]`.",
    ),
    optional("node_holes", Shape::List { of: &Shape::Anything, may_be_empty: true }, "Left empty by every generator."),
    optional("edge_property", Shape::OneOf(&["directed"]), "Always `directed`."),
];

const NODE: &[Key] = &[
    required("step", Shape::Map(Place::PlanStep), "What this node runs."),
    required("env", Shape::PlanEnv, "The final environment of the step: names to texts."),
];

const PLAN_STEP: &[Key] = &[
    required("key", Shape::Name, KEY_DOC),
    LABEL,
    required("cmd", Shape::Text, CMD_DOC),
    IMAGE,
    optional("env", Shape::PlanEnv, "Carried by generators; the node's `env` is what counts."),
    STEP_TIMEOUT,
    WORKDIR,
    CACHE_KEY,
    RUNNER,
    optional("runner_args", Shape::Anything, "Arguments of the runner, checked by the runner itself."),
    ARTIFACTS,
    SECRETS,
    SOFT_FAIL,
    RETRY,
];

const ENVELOPE: &[Key] = &[
    required("schema_version", Shape::Version("1"), "The version of the envelope. Only `\"1\"` exists."),
    required(
        "pipelines",
        Shape::List { of: &Shape::Map(Place::EnvelopePipeline), may_be_empty: true },
        "The pipelines, each with its name and its plan.",
    ),
];

const ENVELOPE_PIPELINE: &[Key] = &[
    required("slug", Shape::Name, "The pipeline's name in addresses and on the command line."),
    optional("name", Shape::Text, "What people read instead of the slug."),
    optional("allow_manual", Shape::Bool, "Whether people may start it by hand."),
    TRIGGERS,
    required("definition", Shape::Map(Place::Plan), "The plan."),
];
