//! Programs are executed here: when one is run, and after that when it is saved; never while it is opened, read or typed.

use std::collections::BTreeMap;
use std::sync::Arc;

use lsp_types::MessageType;
use tower_lsp::Client;

use super::documents::{Document, Kind, OpenDocuments};
use super::lenses::LensRefresh;
use crate::lsp::protocol::commands::{PipelineRef, UNTRUSTED};
use crate::programs::{self, Request};
use crate::project_context::InProject;
use crate::settings::Render;

/// A document after its program was executed.
pub(crate) struct Made {
    /// Why the program has made nothing, or may not be executed.
    pub(crate) document: Result<Arc<Document>, String>,
    /// What is to be logged.
    pub(crate) log: Vec<String>,
}

impl OpenDocuments {
    /// Executes the program of a document; any other document is what it is. Takes as long as the program does.
    pub(crate) fn made(&self, document: Arc<Document>) -> Made {
        let mut log = Vec::new();
        let document = self.execute(document, &mut log);
        Made { document, log }
    }

    fn execute(&self, document: Arc<Document>, log: &mut Vec<String>) -> Result<Arc<Document>, String> {
        if document.kind != Kind::Program {
            return Ok(document);
        }
        let path = document.path().ok_or("This program was never saved, so it belongs to no project")?;
        let language = document.analysis.language.ok_or("This program is in no language that is known")?;
        if self.settings.is_untrusted() {
            return Err(UNTRUSTED.to_owned());
        }
        let settings = self.settings.settings_of(&document.uri);
        if settings.programs.render == Render::Never {
            return Err("The setting `pipelens.programs.render` is `never`, so this program is not executed".to_owned());
        }
        let mut request = Request::new(path, language, document.text.clone(), &settings.programs);
        let now = self.now();
        request.others =
            now.programs().filter_map(|other| Some((other.path()?, other.text.clone()))).collect::<BTreeMap<_, _>>();
        let context = self.context(self.settings.root_of(&request.program));
        let project = InProject { context: &context, settings: &document.project };
        let before = self.renderings.of(&document.uri);
        let rendered = programs::render(&request, Some(&project), before.as_deref());
        log.extend(rendered.notices.iter().map(|notice| format!("{}: {notice}", request.program.display())));
        log.extend(Some(rendered.output.trim_end().to_owned()).filter(|output| !output.is_empty()));
        let failure = rendered.rendering.failure().map(|failure| failure.message.clone());
        let name = document.uri.as_str();
        if self.now().named(name).is_some() {
            self.renderings.keep(&document.uri, rendered.rendering.clone());
        }
        // Whatever was typed meanwhile gets what is still right of it.
        while let Some(current) = self.now().named(name)
            && !self.analyse_again(&current)
        {}
        self.to_predict.want(name.to_owned());
        if let Some(failure) = failure {
            return Err(failure);
        }
        if let Some(current) = self.now().named(name).filter(|current| current.text == document.text) {
            return Ok(current);
        }
        let (uri, version, text) = (document.uri.clone(), document.version, document.text.clone());
        Ok(Arc::new(self.analyse_with(uri, version, text, Some(&rendered.rendering))))
    }

    /// Tells whether a program is executed when it is opened or saved.
    pub(super) fn wants_rendering(&self, document: &Document) -> bool {
        let when = self.settings.settings_of(&document.uri).programs.render;
        let was_rendered = || self.renderings.of(&document.uri).is_some();
        document.kind == Kind::Program
            && !self.settings.is_untrusted()
            && (when == Render::Always || when == Render::Run && was_rendered())
    }
}

/// Returns how a pipeline of a document is called, whatever its position becomes.
pub(crate) fn lasting(document: &Document, pipeline: Option<PipelineRef>) -> Option<PipelineRef> {
    match pipeline {
        Some(PipelineRef::Index(index)) if document.kind == Kind::Program => {
            Some(document.pipeline_name(index).map_or(PipelineRef::Index(index), PipelineRef::Name))
        }
        other => other,
    }
}

/// Executes programs that were saved, until the process ends.
pub(crate) async fn render(documents: Arc<OpenDocuments>, lenses: Arc<LensRefresh>, client: Client) {
    loop {
        for uri in documents.to_render.next().await {
            let Some(document) = documents.now().named(&uri).filter(|document| documents.wants_rendering(document))
            else {
                continue;
            };
            let all = documents.clone();
            let made = tokio::task::spawn_blocking(move || all.made(document)).await;
            lenses.want_at_once();
            match made {
                // Why it has made nothing is a finding.
                Ok(Made { log, .. }) => {
                    for line in log {
                        client.log_message(MessageType::LOG, line).await;
                    }
                }
                Err(panic) => tracing::error!("bug in pipelens: {panic}"),
            }
        }
    }
}
