//! Runs a step or a pipeline whenever a file of its project changes.

use std::sync::Arc;

use lsp_types::{MessageType, Uri};
use pipelens_core::plan::Target;
use pipelens_engine::watch::{Exceptions, Found, Watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::secrets;
use crate::lsp::protocol::commands::PipelineRef;
use crate::lsp::runs::follow::follow;
use crate::lsp::runs::registry::Started;
use crate::lsp::runs::watches::Watched;
use crate::lsp::server::Server;
use crate::lsp::session::documents::Document;
use crate::lsp::session::rendering::{Made, lasting};
use crate::present;
use crate::project::NotStarted;
use crate::watching::{self, Rounds};

/// Begins to watch, and returns the id of that, or why it cannot begin. The first run begins at once.
pub(super) async fn start(
    server: &Arc<Server>,
    document: &Document,
    pipeline: Option<PipelineRef>,
    target: Target,
) -> Result<Uuid, String> {
    let registry = &server.runs.registry;
    let index = registry.check(document, pipeline.as_ref(), &target)?;
    let file = document.path().ok_or("This document was never saved, so it belongs to no project")?;
    let root = server.settings.root_of(&file);
    let request = watching::request(&file, root, &server.settings.settings_for(&file));
    let mut watch = Watch::open(request).await.map_err(|error| error.sentence())?;
    let (id, stop) = (Uuid::new_v4(), CancellationToken::new());
    let watched =
        Watched { id, uri: document.uri.clone(), pipeline: index, target: target.clone(), stop: stop.clone() };
    server.runs.watches.add(&server.settings, Arc::new(watched))?;
    server.lenses.want();
    let mut session = Session {
        server: server.clone(),
        uri: document.uri.clone(),
        pipeline: index,
        target,
        exceptions: watch.exceptions(),
        stop: stop.clone(),
        complaint: None,
    };
    // It ends with the process, if it is not stopped.
    server.runs.reports.spawn(async move {
        watching::follow(&mut watch, &stop, &mut session).await;
        session.server.runs.watches.forget(id);
        session.server.lenses.want();
    });
    Ok(id)
}

/// Returns the step on a line, with the position of its pipeline.
pub(super) fn step_on(document: &Document, line: u32) -> Option<(usize, String)> {
    let map = document.map();
    let pipelines = document.analysis.pipelines.iter().enumerate();
    let steps = pipelines.flat_map(|(index, pipeline)| pipeline.steps.iter().map(move |step| (index, step)));
    let is_on = |range: lsp_types::Range| {
        // A range that ends where a line begins does not reach it.
        let last = if range.end.character == 0 { range.end.line.saturating_sub(1) } else { range.end.line };
        (range.start.line..=last).contains(&line)
    };
    let mut on = steps.filter(|(_, step)| !step.key.value.is_empty() && is_on(map.range(step.range)));
    on.next_back().map(|(index, step)| (index, step.key.value.clone()))
}

struct Session {
    server: Arc<Server>,
    uri: Uri,
    pipeline: usize,
    target: Target,
    exceptions: Exceptions,
    stop: CancellationToken,
    /// Why the last round did not start.
    complaint: Option<String>,
}

impl Rounds for Session {
    async fn run(&mut self, found: Found, cancel: CancellationToken) {
        if let Some(changed) = watching::changed(&found) {
            self.server.log(MessageType::INFO, changed);
        }
        // A run that the user has started comes first.
        let busy = || self.server.runs.registry.of_pipeline(&self.uri, self.pipeline);
        while let Some(run) = busy().filter(|run| !run.ended.is_cancelled()) {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = run.ended.cancelled() => {}
            }
        }
        let mut started = match self.start().await {
            Ok(started) => started,
            Err(why) => return self.complain(why),
        };
        self.complaint = None;
        if let Some(ignored) = watching::prepare(&mut started.request, found, &self.exceptions) {
            self.server.log(MessageType::INFO, ignored);
        }
        let run = started.run.clone();
        self.server.runs.reports.spawn(follow(self.server.runs.clone(), started, None));
        tokio::select! {
            () = run.ended.cancelled() => return,
            () = cancel.cancelled() => {}
        }
        run.cancel.cancel();
        run.ended.cancelled().await;
    }

    fn rest(&mut self, watch: &Watch) {
        for notice in watch.take_notices() {
            self.server.log(MessageType::INFO, notice);
        }
        self.server.log(MessageType::INFO, format!("Watching {}.", present::plural(watch.files(), "file")));
    }
}

impl Session {
    async fn start(&self) -> Result<Started, String> {
        let mut may_ask = self.server.settings.client().message_actions;
        loop {
            let (server, uri) = (self.server.clone(), self.uri.clone());
            let (pipeline, target) = (PipelineRef::Index(self.pipeline), self.target.clone());
            let begin = move || {
                let document = newest(&server, &uri).map_err(NotStarted::Refused)?;
                let pipeline = lasting(&document, Some(pipeline));
                let Made { document, log } = server.documents.made(document);
                log.into_iter().for_each(|line| server.log(MessageType::LOG, line));
                let document = document.map_err(NotStarted::Refused)?;
                let started = server.runs.registry.start(&document, pipeline.as_ref(), target);
                Ok((document, started))
            };
            let begun: Result<_, NotStarted> =
                tokio::task::spawn_blocking(begin).await.map_err(|panic| panic.to_string())?;
            let (document, started) = begun.map_err(|not_started| not_started.sentence())?;
            match started {
                Ok(started) => return Ok(started),
                Err(NotStarted::AsksForSecrets(asked)) if may_ask => {
                    // Whatever the answer is, the question is not asked again at once.
                    may_ask = false;
                    if !secrets::is_allowed(&self.server, &document, asked).await {
                        self.stop.cancel();
                        return Err("The secrets are not allowed, so nothing is watched".to_owned());
                    }
                }
                Err(not_started) => return Err(not_started.sentence()),
            }
        }
    }

    /// Shows why a round does not start, but not with every save.
    fn complain(&mut self, why: String) {
        if self.complaint.as_ref() == Some(&why) || self.stop.is_cancelled() {
            self.server.log(MessageType::WARNING, why);
            return;
        }
        self.server.warn(why.clone());
        self.complaint = Some(why);
    }
}

/// Returns the pipeline as it is now: in the editor, else on disk.
fn newest(server: &Server, uri: &Uri) -> Result<Arc<Document>, String> {
    if let Some(document) = server.documents.now().get(uri) {
        return Ok(document);
    }
    server.documents.on_disk(uri)
}
