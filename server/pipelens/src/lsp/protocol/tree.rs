//! `pipelens/runs`: everything a client needs to draw pipelines, their steps and their runs. Versioned; fields are added, never changed.
//! `tests/fixtures/protocol` holds a sample.

use std::collections::BTreeMap;

use lsp_types::request::Request;
use lsp_types::{Position, Uri};
use serde::{Deserialize, Serialize};

/// The version of everything here.
pub(crate) const TREE_VERSION: u32 = 1;

/// The request.
#[derive(Debug)]
pub(crate) enum RunsRequest {}

impl Request for RunsRequest {
    type Params = RunsParams;
    type Result = RunTree;
    const METHOD: &'static str = "pipelens/runs";
}

/// What to describe: a file, open or not. Without a URI, every open pipeline.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub(crate) struct RunsParams {
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub(crate) uri: Option<Uri>,
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct RunTree {
    pub(crate) version: u32,
    pub(crate) pipelines: Vec<PipelineNode>,
}

/// A pipeline of an open file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct PipelineNode {
    pub(crate) uri: String,
    /// Its zero-based index in the file.
    pub(crate) pipeline: usize,
    pub(crate) name: String,
    /// Where it begins.
    #[cfg_attr(test, ts(type = "{ line: number, character: number }"))]
    pub(crate) position: Position,
    pub(crate) steps: Vec<StepNode>,
    /// Newest first: those of this process, then those of others that are remembered.
    pub(crate) runs: Vec<RunNode>,
}

/// A step, or one combination of a step with a matrix.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct StepNode {
    pub(crate) key: String,
    pub(crate) label: Option<String>,
    #[cfg_attr(test, ts(type = "{ line: number, character: number }"))]
    pub(crate) position: Position,
    /// Its state in the newest run that had it; `null` also if it has been edited since.
    pub(crate) state: Option<StepState>,
    /// What a run would take from the cache: `cached`, `run` or `fromLast`. `null`: it is not known.
    pub(crate) prediction: Option<String>,
    /// Its combinations, if it has a matrix.
    pub(crate) entries: Vec<StepNode>,
}

/// One run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct RunNode {
    pub(crate) run_id: String,
    pub(crate) title: String,
    /// `running`, or its outcome as in run events.
    pub(crate) state: String,
    /// So far, if it is running.
    pub(crate) duration_ms: u64,
    /// Whether it belongs to this process, so that it can be cancelled, and its steps run again.
    pub(crate) is_own: bool,
    pub(crate) steps: BTreeMap<String, StepState>,
    /// The folder with its artifacts.
    pub(crate) artifacts: Option<String>,
}

/// The state of a step in a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct StepState {
    pub(crate) run_id: String,
    /// `queued`, `running`, or its outcome as in run events.
    pub(crate) state: String,
    /// What it does before its command runs.
    pub(crate) phase: Option<String>,
    /// So far, if it is running; `null` if it is not known.
    pub(crate) duration_ms: Option<u64>,
    pub(crate) exit_code: Option<i64>,
    /// Its log file, if there is one.
    pub(crate) log: Option<String>,
    /// The folder with its artifacts.
    pub(crate) artifacts: Option<String>,
    /// The command line that opens a shell in it, if its state was kept.
    pub(crate) shell: Option<String>,
}
