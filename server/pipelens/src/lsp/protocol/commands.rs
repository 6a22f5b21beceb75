//! What an editor can ask for beyond the protocol: the commands and their arguments.

use lsp_types::Uri;
use pipelens_core::plan::Target;
use pipelens_core::printable::printable;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The answer to every command that would run or write something.
pub(crate) const UNTRUSTED: &str = "This workspace is not trusted, so nothing runs in it. Trust it in the editor first";

/// The `data` of an error: what lets a refused command succeed. A client can offer it as a button, beside the error's message, which is the only one.
#[derive(Debug, Serialize)]
#[serde(tag = "help", rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(tag = "help", rename_all = "camelCase"))]
pub(crate) enum Refusal {
    /// The user trusts the workspace.
    Trust,
    /// The user changes the setting with this name.
    Setting { setting: String },
}

/// A command of `workspace/executeCommand`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    RunPipeline,
    RunStep,
    RunFrom,
    ChooseCombination,
    Watch,
    StopWatching,
    Cancel,
    OpenLog,
    OpenArtifacts,
    ShowGraph,
    RerunFailed,
    OpenShell,
    ListRuns,
    ClearCache,
    Doctor,
}

impl Command {
    pub(crate) const ALL: [Self; 15] = [
        Self::RunPipeline,
        Self::RunStep,
        Self::RunFrom,
        Self::ChooseCombination,
        Self::Watch,
        Self::StopWatching,
        Self::Cancel,
        Self::OpenLog,
        Self::OpenArtifacts,
        Self::ShowGraph,
        Self::RerunFailed,
        Self::OpenShell,
        Self::ListRuns,
        Self::ClearCache,
        Self::Doctor,
    ];

    /// Returns the identifier; clients register it globally, so it carries the product's name.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::RunPipeline => "pipelens.runPipeline",
            Self::RunStep => "pipelens.runStep",
            Self::RunFrom => "pipelens.runFrom",
            Self::ChooseCombination => "pipelens.chooseCombination",
            Self::Watch => "pipelens.watch",
            Self::StopWatching => "pipelens.stopWatching",
            Self::Cancel => "pipelens.cancel",
            Self::OpenLog => "pipelens.openLog",
            Self::OpenArtifacts => "pipelens.openArtifacts",
            Self::ShowGraph => "pipelens.showGraph",
            Self::RerunFailed => "pipelens.rerunFailed",
            Self::OpenShell => "pipelens.openShell",
            Self::ListRuns => "pipelens.listRuns",
            Self::ClearCache => "pipelens.clearCache",
            Self::Doctor => "pipelens.doctor",
        }
    }

    /// Whether it runs or writes something: in an untrusted workspace nothing does.
    pub(crate) const fn needs_trust(self) -> bool {
        match self {
            Self::RunPipeline
            | Self::RunStep
            | Self::RunFrom
            | Self::ChooseCombination
            | Self::Watch
            | Self::ShowGraph
            | Self::RerunFailed
            | Self::OpenShell
            | Self::ListRuns
            | Self::ClearCache
            | Self::Doctor => true,
            Self::StopWatching | Self::Cancel | Self::OpenLog | Self::OpenArtifacts => false,
        }
    }

    pub(crate) fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.id() == id)
    }
}

/// What to run. Without a URI, the document that was opened or changed last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub(crate) struct RunArgs {
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub(crate) uri: Option<Uri>,
    pub(crate) step: Option<String>,
    /// Which pipeline of the file: its zero-based index, or its name.
    pub(crate) pipeline: Option<PipelineRef>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) enum PipelineRef {
    Index(usize),
    Name(String),
}

/// Which step's combinations to choose from. Without a URI, the document that was opened or changed last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub(crate) struct ChooseArgs {
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub(crate) uri: Option<Uri>,
    pub(crate) step: Option<String>,
    pub(crate) pipeline: Option<PipelineRef>,
    /// `true`: the client asks the user itself, so the server only answers with the keys.
    pub(crate) list: Option<bool>,
}

/// What to run whenever a file of the project changes: a step, a step and everything that depends on it, or a pipeline. Without a URI, the document
/// that was opened or changed last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub(crate) struct WatchArgs {
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub(crate) uri: Option<Uri>,
    pub(crate) step: Option<String>,
    /// `true`: what depends on the step too.
    pub(crate) from: Option<bool>,
    pub(crate) pipeline: Option<PipelineRef>,
    /// Without a step: the line, counted from 0, on which the user is. The step there is watched, or the pipeline if there is none.
    pub(crate) line: Option<u32>,
}

impl WatchArgs {
    pub(crate) fn target(&self) -> Result<Target, String> {
        match (&self.step, self.from) {
            (Some(step), Some(true)) => Ok(Target::From(step.clone())),
            (Some(step), _) => Ok(Target::Step(step.clone())),
            (None, Some(true)) => Err("`pipelens.watch` with `from` needs the key of a step".to_owned()),
            (None, _) => Ok(Target::Pipeline),
        }
    }
}

/// What to watch no longer: one thing, what is watched of a file or a step, or everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub(crate) struct StopWatchingArgs {
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub(crate) watch_id: Option<uuid::Uuid>,
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub(crate) uri: Option<Uri>,
    pub(crate) step: Option<String>,
}

/// What to draw. Without a URI, the document that was opened or changed last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub(crate) struct GraphArgs {
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub(crate) uri: Option<Uri>,
    pub(crate) pipeline: Option<PipelineRef>,
    /// `false`: the client shows it itself, so the server only answers.
    pub(crate) show: Option<bool>,
}

/// What to cancel: one run, the run of one step, or everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub(crate) struct CancelArgs {
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub(crate) run_id: Option<uuid::Uuid>,
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub(crate) uri: Option<Uri>,
    pub(crate) step: Option<String>,
}

/// Which log to open: that of a step in one run, its newest one, or that of the last failure.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub(crate) struct OpenLogArgs {
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub(crate) run_id: Option<uuid::Uuid>,
    pub(crate) step: Option<String>,
    /// `false`: the client shows it itself, so the server only answers.
    pub(crate) show: Option<bool>,
}

/// Which artifacts to open: those of a step, in one run or the newest that left some, or all of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub(crate) struct OpenArtifactsArgs {
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub(crate) run_id: Option<uuid::Uuid>,
    pub(crate) step: Option<String>,
    /// `false`: the client shows it itself, so the server only answers.
    pub(crate) show: Option<bool>,
}

/// Whose failed steps to run again: those of one run, or of the newest run that has any.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub(crate) struct RerunArgs {
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub(crate) run_id: Option<uuid::Uuid>,
}

/// Whose cached results to remove: those of a step, or all of the active document's project.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub(crate) struct ClearCacheArgs {
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub(crate) uri: Option<Uri>,
    pub(crate) step: Option<String>,
}

/// Reads the single argument of a command. None, an empty list and `null` are the same.
pub(crate) fn arguments<T: Default + for<'de> Deserialize<'de>>(
    command: Command,
    mut arguments: Vec<Value>,
) -> Result<T, String> {
    if arguments.len() > 1 {
        return Err(format!("`{}` takes one argument, an object; got {}", command.id(), arguments.len()));
    }
    match arguments.pop() {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => serde_json::from_value(value)
            .map_err(|error| format!("The argument of `{}` is invalid: {error}", command.id())),
    }
}

/// Turns a command and its argument into a target.
pub(crate) fn target(command: Command, step: Option<String>) -> Result<Target, String> {
    match (command, step) {
        (Command::RunStep, Some(step)) => Ok(Target::Step(step)),
        (Command::RunFrom, Some(step)) => Ok(Target::From(step)),
        (Command::RunStep | Command::RunFrom, None) => {
            Err(format!("`{}` needs the key of a step: {{\"uri\": …, \"step\": …}}", command.id()))
        }
        (Command::RunPipeline, None) => Ok(Target::Pipeline),
        (Command::RunPipeline, Some(_)) => {
            Err("`pipelens.runPipeline` takes no `step`; use `pipelens.runStep` for that".to_owned())
        }
        (
            Command::ChooseCombination
            | Command::Watch
            | Command::StopWatching
            | Command::Cancel
            | Command::OpenLog
            | Command::OpenArtifacts
            | Command::ShowGraph
            | Command::RerunFailed
            | Command::OpenShell
            | Command::ListRuns
            | Command::ClearCache
            | Command::Doctor,
            _,
        ) => Err(format!("`{}` has no target", command.id())),
    }
}

/// Builds a protocol command for a lens or a code action.
pub(crate) fn command(title: String, command: Command, argument: Value) -> lsp_types::Command {
    // What a title quotes comes from a file.
    let title = printable(&title).into_owned();
    lsp_types::Command { title, command: command.id().to_owned(), arguments: Some(vec![argument]) }
}

/// Builds the argument of a run command.
pub(crate) fn run_argument(uri: &Uri, pipeline: usize, step: Option<&str>) -> Value {
    match step {
        Some(step) => json!({"uri": uri, "pipeline": pipeline, "step": step}),
        None => json!({"uri": uri, "pipeline": pipeline}),
    }
}

/// `pipelens/runEvent`, for a client that declares `experimental.pipelensRunEvents`.
#[derive(Debug)]
pub(crate) enum RunEventNotification {}

impl lsp_types::notification::Notification for RunEventNotification {
    type Params = Value;
    const METHOD: &'static str = "pipelens/runEvent";
}

/// `pipelens/didChangeTrust`: the client's user has decided about the workspace.
#[derive(Debug)]
pub(crate) enum DidChangeTrust {}

impl lsp_types::notification::Notification for DidChangeTrust {
    type Params = Value;
    const METHOD: &'static str = "pipelens/didChangeTrust";
}

/// Reads `pipelens/didChangeTrust`, from a client whose user decided about the workspace. Anything but `true` means no.
pub(crate) fn is_trusted(params: &Value) -> bool {
    params.get("trusted") == Some(&Value::Bool(true))
}
