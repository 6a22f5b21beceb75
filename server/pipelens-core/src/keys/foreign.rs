//! Words of other systems: what people write who know those, and what it is called here.

use super::place::Place;

/// What a word of another system means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The same as a key, with the same values.
    Key(&'static str),
    /// Probably a key, but only the author knows.
    Perhaps(&'static str),
    /// A key whose value is in seconds, from a value in minutes.
    Minutes(&'static str),
    /// A key whose value is in seconds, from a value that may have a unit.
    Duration(&'static str),
    /// `key` if the value can be one, else `label`.
    Title,
    /// The axes of a `matrix`, one level deeper.
    Matrix,
    /// Nothing: a sentence says what to do.
    Nothing(&'static str),
}

use Meaning::{Duration, Key, Matrix, Minutes, Nothing, Perhaps, Title};

const CONDITION: &str =
    "A step has no condition: it runs when the steps it depends on have succeeded. Test for it in `cmd` with `if`.";
pub(crate) const MATRIX: &str =
    "A step that runs once for each combination of values has a `matrix`: `matrix: {rust: [\"1.90\", stable]}`.";
const MACHINE: &str = "Steps run on this machine, in the container that `image` names. Remove it.";
const ACTION: &str = "Actions and plugins of other systems do not run here. Write their command in `cmd`.";
const HOOK: &str = "A step has one command. Put these lines into `cmd`.";
const REPORT: &str = "Nothing acts on it here. Remove it.";
const STAGES: &str = "Steps are ordered by `depends_on` and by `wait` between them. Remove it.";

/// Sorted by place; the words are lowercase, with `_` where others write `-`.
const STEP: &[(&str, Meaning)] = &[
    ("run", Key("cmd")),
    ("script", Key("cmd")),
    ("scripts", Key("cmd")),
    ("command", Key("cmd")),
    ("commands", Key("cmd")),
    ("exec", Key("cmd")),
    ("sh", Key("cmd")),
    ("bash", Key("cmd")),
    ("needs", Key("depends_on")),
    ("need", Key("depends_on")),
    ("after", Key("depends_on")),
    ("requires", Key("depends_on")),
    ("require", Key("depends_on")),
    ("dependencies", Key("depends_on")),
    ("dependson", Key("depends_on")),
    ("depends", Key("depends_on")),
    ("runs_after", Key("depends_on")),
    ("run_after", Key("depends_on")),
    ("wait_for", Key("depends_on")),
    ("waits_for", Key("depends_on")),
    ("upstream", Key("depends_on")),
    ("from", Perhaps("builds_in")),
    ("extends", Perhaps("builds_in")),
    ("inherits", Perhaps("builds_in")),
    ("parent", Perhaps("builds_in")),
    ("base", Perhaps("builds_in")),
    ("builds_on", Perhaps("builds_in")),
    ("timeout", Duration("timeout_seconds")),
    ("job_timeout", Duration("timeout_seconds")),
    ("max_time", Duration("timeout_seconds")),
    ("timeout_minutes", Minutes("timeout_seconds")),
    ("timeout_in_minutes", Minutes("timeout_seconds")),
    ("timeoutinminutes", Minutes("timeout_seconds")),
    ("environment", Key("env")),
    ("environments", Key("env")),
    ("variables", Key("env")),
    ("vars", Key("env")),
    ("envs", Key("env")),
    ("env_vars", Key("env")),
    ("container", Key("image")),
    ("docker", Key("image")),
    ("docker_image", Key("image")),
    ("allow_failure", Key("soft_fail")),
    ("allow_failures", Key("soft_fail")),
    ("allowed_to_fail", Key("soft_fail")),
    ("continue_on_error", Key("soft_fail")),
    ("continue_on_failure", Key("soft_fail")),
    ("continueonerror", Key("soft_fail")),
    ("ignore_errors", Key("soft_fail")),
    ("ignore_failure", Key("soft_fail")),
    ("can_fail", Key("soft_fail")),
    ("working_directory", Key("workdir")),
    ("working_dir", Key("workdir")),
    ("workingdirectory", Key("workdir")),
    ("workspace", Perhaps("workdir")),
    ("directory", Key("workdir")),
    ("cwd", Key("workdir")),
    ("dir", Key("workdir")),
    ("retries", Key("retry")),
    ("max_retries", Key("retry")),
    ("attempts", Perhaps("retry")),
    ("artifact_paths", Key("artifacts")),
    ("store_artifacts", Key("artifacts")),
    ("outputs", Perhaps("artifacts")),
    ("id", Key("key")),
    ("name", Title),
    ("title", Title),
    ("display_name", Key("label")),
    ("displayname", Key("label")),
    ("description", Key("label")),
    ("job", Title),
    ("task", Title),
    ("step", Title),
    ("when", Nothing(CONDITION)),
    ("if", Nothing(CONDITION)),
    ("unless", Nothing(CONDITION)),
    ("condition", Nothing(CONDITION)),
    ("only", Nothing(CONDITION)),
    ("except", Nothing(CONDITION)),
    ("rules", Nothing(CONDITION)),
    ("branches", Nothing(CONDITION)),
    ("filters", Nothing(CONDITION)),
    ("strategy", Matrix),
    ("parallel", Matrix),
    ("parallelism", Nothing("How many steps run at once is a setting: `parallelism` in `.pipelens.yaml`.")),
    ("concurrency", Nothing("How many steps run at once is a setting: `parallelism` in `.pipelens.yaml`.")),
    ("runs_on", Nothing(MACHINE)),
    ("agents", Nothing(MACHINE)),
    ("agent", Nothing(MACHINE)),
    ("tags", Nothing(MACHINE)),
    ("executor", Nothing(MACHINE)),
    ("machine", Nothing(MACHINE)),
    ("pool", Nothing(MACHINE)),
    ("uses", Nothing(ACTION)),
    ("with", Nothing(ACTION)),
    ("plugins", Nothing(ACTION)),
    ("orbs", Nothing(ACTION)),
    ("before_script", Nothing(HOOK)),
    ("after_script", Nothing(HOOK)),
    ("before_install", Nothing(HOOK)),
    ("install", Nothing(HOOK)),
    (
        "steps",
        Nothing("A step is one command. Make each of these a step of its own, with `builds_in` or `depends_on`."),
    ),
    ("stage", Nothing(STAGES)),
    ("volumes", Nothing("Folders of the engine's machine are `mounts` in `runner_args`.")),
    ("permissions", Nothing(REPORT)),
    ("coverage", Nothing(REPORT)),
    ("interruptible", Nothing(REPORT)),
    ("resource_group", Nothing(REPORT)),
    ("notify", Nothing(REPORT)),
];

const PIPELINE: &[(&str, Meaning)] = &[
    ("image", Key("default_image")),
    ("container", Key("default_image")),
    ("docker", Key("default_image")),
    ("variables", Key("env")),
    ("environment", Key("env")),
    ("vars", Key("env")),
    ("timeout", Duration("timeout_seconds")),
    ("timeout_minutes", Minutes("timeout_seconds")),
    ("timeout_in_minutes", Minutes("timeout_seconds")),
    ("timeoutinminutes", Minutes("timeout_seconds")),
    ("title", Key("name")),
    ("display_name", Key("name")),
    ("jobs", Nothing("All that runs is in `steps`. Move it there.")),
    ("stages", Nothing(STAGES)),
    ("workflow", Nothing(REPORT)),
    ("workflows", Nothing(REPORT)),
    ("permissions", Nothing(REPORT)),
    ("concurrency", Nothing("How many steps run at once is a setting: `parallelism` in `.pipelens.yaml`.")),
    ("parallelism", Nothing("How many steps run at once is a setting: `parallelism` in `.pipelens.yaml`.")),
    ("on", Nothing("What starts the pipeline is in `triggers`: `triggers: [{event: push}]`.")),
    ("trigger", Nothing("What starts the pipeline is in `triggers`: `triggers: [{event: push}]`.")),
    ("include", Nothing("A pipeline is one file: copy what it needs into it.")),
    ("orbs", Nothing(ACTION)),
    ("agents", Nothing(MACHINE)),
    ("agent", Nothing(MACHINE)),
    ("pool", Nothing(MACHINE)),
    ("before_script", Nothing("Put these lines into the `cmd` of a step that others build in.")),
    ("after_script", Nothing("Put these lines into the `cmd` of a step after a `wait`.")),
    ("default", Nothing("Share values with an anchor: `x-default: &default {…}` and `<<: *default`.")),
    ("defaults", Nothing("Share values with an anchor: `x-default: &default {…}` and `<<: *default`.")),
    ("services", Nothing("Services belong to a step: `runner_args` with `services`.")),
];

const SERVICE: &[(&str, Meaning)] = &[
    ("environment", Key("env")),
    ("variables", Key("env")),
    ("command", Key("cmd")),
    ("run", Key("cmd")),
    ("name", Nothing("A service's name is the key it is defined by.")),
    ("alias", Nothing("A service's name is the key it is defined by.")),
    ("ports", Nothing("The step reaches every port of the service. Remove it.")),
    ("expose", Nothing("The step reaches every port of the service. Remove it.")),
    ("healthcheck", Nothing("When the service may be used is `ready`: a command or a port.")),
    ("options", Nothing("When the service may be used is `ready`: a command or a port.")),
    ("depends_on", Nothing("All services of a step start together. Remove it.")),
    ("volumes", Nothing("A service has no mounts. Remove it.")),
];

const TRIGGER: &[(&str, Meaning)] = &[("on", Key("event")), ("type", Perhaps("event"))];

const CACHE: &[(&str, Meaning)] =
    &[("type", Key("policy")), ("files", Key("paths")), ("ttl", Duration("duration_seconds"))];

const ARTIFACTS: &[(&str, Meaning)] = &[
    ("path", Perhaps("paths")),
    ("files", Key("paths")),
    ("name", Nothing("Artifacts are in a folder named after their step. Remove it.")),
    ("expire_in", Nothing("Artifacts are kept with the logs of their run. Remove it.")),
    ("retention_days", Nothing("Artifacts are kept with the logs of their run. Remove it.")),
    ("reports", Nothing("Reports are files like any other: list them in `paths`.")),
    ("expose_as", Nothing(REPORT)),
    ("untracked", Nothing("List the files in `paths`.")),
    ("exclude", Nothing("No file can be excluded: list the others in `paths`.")),
];

/// Returns what a word of another system means in a place.
pub(crate) fn meaning(place: Place, word: &str) -> Option<Meaning> {
    let words = match place {
        Place::Step => STEP,
        Place::Pipeline => PIPELINE,
        Place::Service => SERVICE,
        Place::Trigger => TRIGGER,
        Place::Cache => CACHE,
        Place::Artifacts => ARTIFACTS,
        _ => return None,
    };
    let word = word.to_ascii_lowercase().replace('-', "_");
    words.iter().find(|(foreign, _)| *foreign == word).map(|(_, meaning)| *meaning)
}
