//! Hover: what a key means, and for a step what a run would do and what the last one did.

use lsp_types::{Hover, HoverContents, HoverParams};
use pipelens_core::ide::{self, StepPlace};

use super::replies::markdown;
use crate::lsp::runs::run::StepView;
use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;
use crate::present;

pub(crate) fn hover(server: &Server, documents: &Documents, params: HoverParams) -> Option<Hover> {
    let at = params.text_document_position_params;
    let document = documents.analysed(&at.text_document.uri)?;
    let map = document.map();
    let hover = ide::hover(&document.analysis, map.offset(at.position))?;
    let mut text = hover.text;
    if let Some(StepPlace { pipeline, key }) = &hover.step {
        server.predictions.want_if_old(document.uri.as_str());
        let prospect = server.predictions.of_step(document.uri.as_str(), *pipeline, key);
        let past = server.runs.registry.of_step(&document.uri, *pipeline, key).map(|(_, view)| view);
        for line in
            [prospect.as_ref().and_then(present::prospect), past.as_ref().and_then(last_run)].into_iter().flatten()
        {
            text.push_str("\n\n");
            text.push_str(&line);
        }
    }
    Some(Hover { contents: HoverContents::Markup(markdown(text)), range: Some(map.range(hover.range)) })
}

fn last_run(view: &StepView) -> Option<String> {
    match view {
        StepView::Done { outcome, took, .. } => Some(format!("Last run: {}.", present::step_outcome(outcome, *took))),
        StepView::Queued | StepView::Running { .. } => None,
    }
}
