//! The log of a step as a document: for a client that can show text of the server (`workspace/textDocumentContent`) under a URI of its own, which is
//! refreshed while the step runs; for any other client it is the file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use lsp_types::Uri;
use parking_lot::Mutex;
use pipelens_engine::event::BuildEvent;
use pipelens_engine::run::{log_file, shown_line};
use tower_lsp::{Client, UriExt};

use super::registry::Registry;
use super::run::{LastLines, Run};
use crate::lsp::protocol::files::path_of;
use crate::lsp::protocol::log_content::{ContentRefresh, ContentRefreshParams, SCHEME};
use crate::lsp::session::debounced::Debounced;
use crate::{present, terminal};

/// Of a longer log, a document has the end.
const MAX_BYTES: u64 = 1 << 20;
/// In a longer log file, no place is looked up.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// About three refreshes a second: each makes the client ask for the whole text again.
const REFRESH_INTERVAL: Duration = Duration::from_millis(300);
/// A client that does not answer a refresh for this long will not.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);

/// The log documents that the client shows.
#[derive(Debug)]
pub(crate) struct LogDocuments {
    shown: Mutex<BTreeSet<String>>,
    changed: Debounced<String>,
}

impl Default for LogDocuments {
    fn default() -> Self {
        Self { shown: Mutex::default(), changed: Debounced::new(REFRESH_INTERVAL) }
    }
}

impl LogDocuments {
    /// The client has asked for the text, and may show it.
    pub(crate) fn show(&self, uri: &Uri) {
        self.shown.lock().insert(uri.as_str().to_owned());
    }

    /// The client does not show a document any more.
    pub(crate) fn closed(&self, uri: &Uri) {
        self.shown.lock().remove(uri.as_str());
    }

    /// Takes in an event of a run.
    pub(super) fn see(&self, run: &Run, event: &BuildEvent) {
        let (BuildEvent::StepStart { step, .. }
        | BuildEvent::StepLog { step, .. }
        | BuildEvent::StepLogSkipped { step, .. }
        | BuildEvent::StepEnd { step, .. }) = event
        else {
            return;
        };
        let shown = self.shown.lock();
        if shown.is_empty() {
            return;
        }
        let uri = run.plan.steps.get(*step).and_then(|step| uri(run, &step.key));
        if let Some(uri) = uri.filter(|uri| shown.contains(uri.as_str())) {
            self.changed.want(uri.as_str().to_owned());
        }
    }

    /// Has the client ask again for what has changed, until the process ends.
    pub(crate) async fn send(&self, client: Client) {
        loop {
            for uri in self.changed.next().await {
                let Ok(uri) = uri.parse() else { continue };
                let refresh = client.send_request::<ContentRefresh>(ContentRefreshParams { uri });
                if tokio::time::timeout(REFRESH_TIMEOUT, refresh).await.is_err() {
                    tracing::warn!("the client did not answer a refresh of a log");
                }
            }
        }
    }
}

/// Returns the URI under which the server gives the log of a step.
pub(crate) fn uri(run: &Run, key: &str) -> Option<Uri> {
    let file = log_file(&run.log_dir, key);
    let name = file.file_name()?.to_str()?.replace('%', "%25");
    format!("{SCHEME}:/{}/{name}", run.id).parse().ok()
}

/// Returns the run and the step whose log a URI names: one of ours, or that of the file.
pub(crate) fn meant(registry: &Registry, uri: &Uri) -> Option<(Arc<Run>, usize)> {
    let mut runs = registry.newest_first().into_iter();
    let (run, name) = if let Some(path) = uri.as_str().strip_prefix(SCHEME).and_then(|rest| rest.strip_prefix(':')) {
        let (id, name) = path.trim_start_matches('/').split_once('/')?;
        (runs.find(|run| run.id.to_string() == id)?, name.replace("%25", "%"))
    } else {
        let path = path_of(uri)?;
        let run = runs.find(|run| path.parent() == Some(run.log_dir.as_path()))?;
        (run, path.file_name()?.to_str()?.to_owned())
    };
    let is_its = |key: &str| log_file(&run.log_dir, key).file_name().is_some_and(|file| file == name.as_str());
    let step = run.plan.steps.iter().position(|step| is_its(&step.key))?;
    Some((run, step))
}

/// Returns the text of a log as it is now, as a terminal finally shows it and without colours. The log of a step that has not started is empty.
pub(crate) fn text(run: &Run, step: usize) -> String {
    let Some(key) = run.plan.steps.get(step).map(|step| step.key.as_str()) else { return String::new() };
    let path = log_file(&run.log_dir, key);
    let (mut left_out, mut bytes) = (0, Vec::new());
    if let Ok(mut file) = File::open(&path) {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        left_out = length.saturating_sub(MAX_BYTES);
        if file.seek(SeekFrom::Start(left_out)).and_then(|_| file.take(MAX_BYTES).read_to_end(&mut bytes)).is_err() {
            bytes.clear();
        }
    }
    let mut rest = bytes.as_slice();
    let mut text = String::with_capacity(rest.len() + 128);
    if left_out > 0 {
        let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        rest = rest.get(line..).unwrap_or_default();
        let size = present::bytes(left_out + line as u64);
        text.push_str(&format!("… the first {size} are only in {}\n", path.display()));
    }
    for line in rest.split_inclusive(|byte| *byte == b'\n') {
        text.push_str(&terminal::plain(&shown_line(line.strip_suffix(b"\n").unwrap_or(line))));
        if line.ends_with(b"\n") {
            text.push('\n');
        }
    }
    text
}

/// Returns the last lines of a log that are not empty, each with its number from 0, and the document they are in.
pub(super) fn last_lines(run: &Run, step: usize, count: usize, has_documents: bool) -> Option<LastLines> {
    let key = &run.plan.steps.get(step)?.key;
    let path = log_file(&run.log_dir, key);
    let (uri, text) = if has_documents {
        (uri(run, key)?, text(run, step))
    } else {
        if std::fs::metadata(&path).ok()?.len() > MAX_FILE_BYTES {
            return None;
        }
        let bytes = std::fs::read(&path).ok()?;
        (Uri::from_file_path(&path)?, String::from_utf8_lossy(&bytes).into_owned())
    };
    let lines = text
        .lines()
        .enumerate()
        .map(|(number, line)| (number, terminal::plain(&shown_line(line.as_bytes())).into_owned()));
    let mut lines: Vec<(u32, String)> = lines
        .filter(|(_, line)| !line.trim().is_empty())
        .filter_map(|(number, line)| Some((u32::try_from(number).ok()?, line)))
        .collect();
    lines.drain(..lines.len().saturating_sub(count));
    (!lines.is_empty()).then_some(LastLines { uri, lines })
}
