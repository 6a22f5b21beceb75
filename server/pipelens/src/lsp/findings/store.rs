//! The findings of every file, open or not, by source. Only the source of a finding can replace or remove it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use lsp_types::{Diagnostic, Range, Uri};
use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::lsp::protocol::edits::Edit;

/// Where findings come from, besides the analysis of an open document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// The project's settings file could not be used.
    Settings,
    /// Steps failed in this run.
    Run(Uuid),
    /// What a step of this run has reported about files.
    Problems { run: Uuid, step: usize },
}

/// One finding.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) place: Place,
    /// Its range is set from the place when it is reported.
    pub(crate) diagnostic: Diagnostic,
}

/// Where a finding is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Range(Range),
    /// A range that edits of the file move.
    Moving(Range),
    /// The step's current position, which edits may move. Known only while the file is open.
    Step {
        pipeline: usize,
        key: String,
        /// The line of its command, from 1, if it is known.
        line: Option<usize>,
        /// The fingerprint of what the step ran: it is shown only as long as the step would run the same.
        ran: Option<u64>,
    },
}

/// An open document, as far as findings are concerned.
pub(crate) trait Analysed: Debug + Send + Sync {
    fn version(&self) -> i32;
    /// Returns what the analysis found.
    fn findings(&self) -> Vec<Diagnostic>;
    /// Returns where a failure of a step is shown: on a line of its command, if that is known; `None` if the step would not run what has this
    /// fingerprint.
    fn step(&self, pipeline: usize, key: &str, line: Option<usize>, ran: Option<u64>) -> Option<Range>;
}

/// All findings of a file at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    /// Two reports of a file with the same id are the same.
    pub(crate) id: u64,
    /// The version of the document, if it is open.
    pub(crate) version: Option<i32>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// The store.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    inner: Mutex<Inner>,
    wake: Notify,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<String, File>,
    /// Open files that are no pipelines.
    others: BTreeSet<String>,
    /// Files to report, and why.
    changed: BTreeMap<String, Change>,
    last_id: u64,
}

#[derive(Debug)]
struct File {
    uri: Uri,
    id: u64,
    document: Option<Arc<dyn Analysed>>,
    by_source: BTreeMap<Source, Vec<Finding>>,
}

/// Why a file is to be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// The client has opened, changed or closed it, and expects a report.
    ByClient,
    /// More is known about the file than before.
    ByServer,
}

impl Findings {
    /// The client has got the answer to `initialize`: reports may be sent.
    pub(crate) fn set_client_ready(&self) {
        self.ready.notify_one();
    }

    /// Waits until reports may be sent.
    pub(super) async fn client_is_ready(&self) {
        self.ready.notified().await;
    }

    /// Stores a document that the client has opened or changed.
    pub(crate) fn edited(&self, uri: &Uri, document: Arc<dyn Analysed>) {
        self.change(uri, Change::ByClient, |file| file.document = Some(document));
    }

    /// Stores a document that was analysed again, because more is known about its project.
    pub(crate) fn reanalysed(&self, uri: &Uri, document: Arc<dyn Analysed>) {
        self.change(uri, Change::ByServer, |file| file.document = Some(document));
    }

    /// Forgets a document that was closed, or is not a pipeline any more. The findings of other sources stay.
    pub(crate) fn closed(&self, uri: &Uri) {
        self.change(uri, Change::ByClient, |file| file.document = None);
    }

    /// A file is open that is no pipeline, or not any more.
    pub(crate) fn other(&self, uri: &Uri, is_open: bool) {
        let mut inner = self.inner.lock();
        let has_changed =
            if is_open { inner.others.insert(uri.as_str().to_owned()) } else { inner.others.remove(uri.as_str()) };
        if has_changed && inner.files.contains_key(uri.as_str()) {
            inner.change(uri, Change::ByClient, |_| {});
            drop(inner);
            self.wake.notify_one();
        }
    }

    /// Moves what is reported about a file with an edit of it.
    pub(crate) fn moved(&self, uri: &Uri, edits: &[Edit]) {
        let mut inner = self.inner.lock();
        let Some(file) = inner.files.get_mut(uri.as_str()) else { return };
        let mut has_moved = false;
        for finding in file.by_source.values_mut().flatten() {
            if let Place::Moving(range) = &mut finding.place {
                let moved = edits.iter().fold(*range, |range, edit| edit.moved(range));
                has_moved |= moved != *range;
                *range = moved;
            }
        }
        if has_moved {
            inner.change(uri, Change::ByClient, |_| {});
            drop(inner);
            self.wake.notify_one();
        }
    }

    /// Adds to the findings of a source about a file. `all`: those that are there already first, as they were added.
    pub(crate) fn add(&self, source: Source, uri: &Uri, all: &[Finding]) {
        let mut inner = self.inner.lock();
        inner.change(uri, Change::ByServer, |file| {
            let findings = file.by_source.entry(source).or_default();
            // Those before may have been moved since.
            findings.extend(all.iter().skip(findings.len()).cloned());
        });
        drop(inner);
        self.wake.notify_one();
    }

    /// Replaces the findings of a source about a file.
    pub(crate) fn set(&self, source: Source, uri: &Uri, findings: Vec<Finding>) {
        let mut inner = self.inner.lock();
        let before = inner.files.get(uri.as_str()).and_then(|file| file.by_source.get(&source));
        if before.map_or(findings.is_empty(), |before| *before == findings) {
            return;
        }
        inner.change(uri, Change::ByServer, |file| {
            if findings.is_empty() {
                file.by_source.remove(&source);
            } else {
                file.by_source.insert(source, findings);
            }
        });
        drop(inner);
        self.wake.notify_one();
    }

    /// Removes all findings of a source.
    pub(crate) fn clear(&self, source: Source) {
        let uris: Vec<Uri> = {
            let inner = self.inner.lock();
            let files = inner.files.values().filter(|file| file.by_source.contains_key(&source));
            files.map(|file| file.uri.clone()).collect()
        };
        for uri in uris {
            self.set(source, &uri, Vec::new());
        }
    }

    pub(crate) fn is_open(&self, uri: &Uri) -> bool {
        let inner = self.inner.lock();
        inner.others.contains(uri.as_str()) || inner.files.get(uri.as_str()).is_some_and(|file| file.document.is_some())
    }

    /// Returns the findings of a file.
    pub(crate) fn of(&self, uri: &Uri) -> Report {
        let inner = self.inner.lock();
        let Some(file) = inner.files.get(uri.as_str()) else {
            return Report { id: 0, version: None, diagnostics: Vec::new() };
        };
        let (id, document) = (file.id, file.document.clone());
        let others: Vec<Finding> = file.by_source.values().flatten().cloned().collect();
        // Positions are looked up without the lock: a file may have a thousand findings.
        drop(inner);
        let mut diagnostics = document.as_ref().map(|document| document.findings()).unwrap_or_default();
        diagnostics.extend(without_copies(others.into_iter().filter_map(|finding| {
            let range = match finding.place {
                Place::Range(range) | Place::Moving(range) => range,
                Place::Step { pipeline, key, line, ran } => document.as_ref()?.step(pipeline, &key, line, ran)?,
            };
            Some(Diagnostic { range, ..finding.diagnostic })
        })));
        Report { id, version: document.map(|document| document.version()), diagnostics }
    }

    /// Waits until files have something new to report, and returns them. A file that changes in the meantime is returned once, with its latest findings.
    pub(crate) async fn changed(&self) -> Vec<(Uri, Change)> {
        loop {
            self.wake.notified().await;
            let mut inner = self.inner.lock();
            let changed = std::mem::take(&mut inner.changed);
            let files = &mut inner.files;
            let changed: Vec<(Uri, Change)> = changed
                .into_iter()
                .filter_map(|(name, change)| Some((files.get(&name)?.uri.clone(), change)))
                .collect();
            let is_known = |file: &File| file.document.is_some() || !file.by_source.is_empty();
            let named: BTreeSet<&str> = changed.iter().map(|(uri, _)| uri.as_str()).collect();
            files.retain(|name, file| is_known(file) || !named.contains(name.as_str()));
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    fn change(&self, uri: &Uri, change: Change, apply: impl FnOnce(&mut File)) {
        self.inner.lock().change(uri, change, apply);
        self.wake.notify_one();
    }
}

/// Several steps may report the same.
fn without_copies(found: impl Iterator<Item = Diagnostic>) -> impl Iterator<Item = Diagnostic> {
    let mut seen = BTreeSet::new();
    found.filter(move |found| {
        let Range { start, end } = found.range;
        let place = [start.line, start.character, end.line, end.character];
        seen.insert((place, found.message.clone()))
    })
}

impl Inner {
    fn change(&mut self, uri: &Uri, change: Change, apply: impl FnOnce(&mut File)) {
        self.last_id += 1;
        let name = uri.as_str().to_owned();
        let new = || File { uri: uri.clone(), id: 0, document: None, by_source: BTreeMap::new() };
        let file = self.files.entry(name.clone()).or_insert_with(new);
        file.id = self.last_id;
        apply(file);
        let waiting = self.changed.entry(name).or_insert(change);
        *waiting = change.max(*waiting);
    }
}

#[cfg(test)]
mod tests {
    use lsp_types::Position;

    use super::*;

    /// A document with one finding per version, whose only step is on the line of its version.
    #[derive(Debug)]
    struct Fake {
        version: i32,
    }

    impl Analysed for Fake {
        fn version(&self) -> i32 {
            self.version
        }

        fn findings(&self) -> Vec<Diagnostic> {
            vec![said(&format!("analysis of {}", self.version))]
        }

        fn step(&self, _pipeline: usize, key: &str, _line: Option<usize>, _ran: Option<u64>) -> Option<Range> {
            let line = u32::try_from(self.version).unwrap();
            (key == "test").then(|| Range::new(Position::new(line, 0), Position::new(line, 4)))
        }
    }

    fn said(message: &str) -> Diagnostic {
        Diagnostic { message: message.to_owned(), ..Diagnostic::default() }
    }

    fn failure(key: &str) -> Finding {
        Finding {
            place: Place::Step { pipeline: 0, key: key.to_owned(), line: None, ran: None },
            diagnostic: said(&format!("{key} failed")),
        }
    }

    fn shown(findings: &Findings, uri: &Uri) -> Vec<String> {
        let report = findings.of(uri);
        report.diagnostics.iter().map(|said| format!("{}: {}", said.range.start.line, said.message)).collect()
    }

    #[test]
    fn a_source_removes_only_its_own_findings() {
        let (findings, run) = (Findings::default(), Source::Run(Uuid::nil()));
        let uri: Uri = "file:///pipeline.yml".parse().unwrap();
        findings.edited(&uri, Arc::new(Fake { version: 1 }));
        findings.set(run, &uri, vec![failure("test"), failure("gone")]);
        assert_eq!(shown(&findings, &uri), ["0: analysis of 1", "1: test failed"]);
        // The step has moved, and its failure with it.
        findings.edited(&uri, Arc::new(Fake { version: 5 }));
        assert_eq!(shown(&findings, &uri), ["0: analysis of 5", "5: test failed"]);
        findings.clear(run);
        assert_eq!(shown(&findings, &uri), ["0: analysis of 5"]);
    }

    #[tokio::test]
    async fn a_file_that_is_not_open_has_findings_until_their_source_removes_them() {
        let findings = Findings::default();
        let uri: Uri = "file:///.pipelens.yaml".parse().unwrap();
        let mistake = Finding { place: Place::Range(Range::default()), diagnostic: said("unknown key") };
        findings.set(Source::Settings, &uri, vec![mistake]);
        assert_eq!(findings.changed().await, [(uri.clone(), Change::ByServer)]);
        assert_eq!((shown(&findings, &uri), findings.of(&uri).version), (vec!["0: unknown key".to_owned()], None));
        findings.set(Source::Settings, &uri, Vec::new());
        assert_eq!(findings.changed().await, [(uri.clone(), Change::ByServer)]);
        assert_eq!(findings.of(&uri), Report { id: 0, version: None, diagnostics: Vec::new() });
    }

    #[tokio::test]
    async fn many_changes_of_a_file_are_one_report_and_its_id_changes_with_it() {
        let findings = Findings::default();
        let uri: Uri = "file:///pipeline.yml".parse().unwrap();
        findings.edited(&uri, Arc::new(Fake { version: 1 }));
        let first = findings.of(&uri).id;
        findings.set(Source::Run(Uuid::nil()), &uri, vec![failure("test")]);
        findings.edited(&uri, Arc::new(Fake { version: 2 }));
        assert_eq!(findings.changed().await, [(uri.clone(), Change::ByServer)]);
        let second = findings.of(&uri).id;
        assert_ne!(first, second);
        // Setting the same findings again is not a change.
        findings.set(Source::Run(Uuid::nil()), &uri, vec![failure("test")]);
        assert_eq!(findings.of(&uri).id, second);
    }
}
