//! Hover: what a key means, and for a step what a run would do and what the last one did.

use lsp_types::{Hover, HoverContents, HoverParams, MarkedString};
use pipelens_core::ide::{self, StepPlace};
use pipelens_core::model::{Combination, Step};
use pipelens_core::printable;

use super::replies::{markdown, plain};
use crate::lsp::runs::run::StepView;
use crate::lsp::runs::standing::of_step;
use crate::lsp::server::Server;
use crate::lsp::session::client::Markup;
use crate::lsp::session::documents::Documents;
use crate::present;

/// More combinations of a matrix are counted.
const MOST_COMBINATIONS: usize = 10;

pub(crate) fn hover(server: &Server, documents: &Documents, params: HoverParams) -> Option<Hover> {
    let at = params.text_document_position_params;
    let document = documents.analysed(&at.text_document.uri)?;
    let map = document.map();
    let hover = ide::hover(&document.analysis, map.offset(at.position))?;
    let mut text = hover.text;
    if let Some(StepPlace { pipeline, key }) = &hover.step {
        server.predictions.want_if_old(document.uri.as_str());
        let known = |key: &str| {
            let prospect = server.predictions.of_step(document.uri.as_str(), *pipeline, key);
            let past = of_step(&server.runs.registry, &document, *pipeline, key).map(|(_, view)| view);
            let lines = [prospect.as_ref().and_then(present::prospect), past.as_ref().and_then(last_run)];
            lines.into_iter().flatten().collect::<Vec<String>>()
        };
        let steps = document.analysis.pipelines.get(*pipeline).map_or(&[][..], |pipeline| &pipeline.steps);
        let step = steps.iter().find(|step| step.key.value == *key);
        let lines = match step.map(Step::combinations).filter(|combinations| !combinations.is_empty()) {
            Some(combinations) => of_combinations(combinations, known).into_iter().collect(),
            None => known(key),
        };
        for line in lines {
            text.push_str("\n\n");
            text.push_str(&line);
        }
    }
    Some(Hover { contents: contents(server.settings.client().shown.hover, text), range: Some(map.range(hover.range)) })
}

/// Returns the text in a form that the client can show.
fn contents(markup: Markup, text: String) -> HoverContents {
    match markup {
        Markup::Markdown => HoverContents::Markup(markdown(text)),
        Markup::Plain => HoverContents::Markup(plain(&text)),
        // The old form, which is Markdown too.
        Markup::Unknown => HoverContents::Scalar(MarkedString::String(text)),
    }
}

/// Returns a list of what is known about the combinations of a matrix; nothing if that is nothing.
fn of_combinations(combinations: &[Combination], known: impl Fn(&str) -> Vec<String>) -> Option<String> {
    let shown = combinations.iter().take(MOST_COMBINATIONS).filter_map(|combination| {
        let lines = known(&combination.key);
        let key = printable::code(&combination.key);
        (!lines.is_empty()).then(|| format!("- {key}: {}\n", lines.join(" ")))
    });
    let mut list: String = shown.collect();
    if list.is_empty() {
        return None;
    }
    let rest = combinations.len().saturating_sub(MOST_COMBINATIONS);
    if rest > 0 {
        list.push_str(&format!("- and {}\n", present::plural(rest, "more combination")));
    }
    Some(list)
}

fn last_run(view: &StepView) -> Option<String> {
    match view {
        StepView::Done { outcome, took, .. } => Some(format!("Last run: {}.", present::step_outcome(outcome, *took))),
        StepView::Queued | StepView::Running { .. } => None,
    }
}
