//! Finds the log to open.

use std::path::PathBuf;

use lsp_types::Uri;
use pipelens_engine::event::Outcome;
use pipelens_engine::run::log_file;

use super::log_documents;
use super::registry::Registry;
use super::run::StepView;
use crate::lsp::protocol::commands::OpenLogArgs;

/// A log that can be opened.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    /// The URI of the document that the server makes of it.
    pub(crate) document: Option<Uri>,
}

/// Returns the log of the step in the arguments, else of the last failure, else of the newest step that ran.
pub(crate) fn log(registry: &Registry, args: &OpenLogArgs) -> Result<Log, String> {
    let runs = registry.newest_first();
    let newest = |wanted: &dyn Fn(&StepView) -> bool| {
        runs.iter().filter(|run| args.run_id.is_none_or(|id| run.id == id)).find_map(|run| {
            let steps = run.steps();
            let named = run.plan.steps.iter().zip(&steps).rev();
            let (step, _) = named
                .filter(|(step, _)| args.step.as_ref().is_none_or(|key| step.is_named(key)))
                .find(|(_, view)| wanted(view))?;
            let document = log_documents::uri(run, &step.key);
            Some((Log { path: log_file(&run.log_dir, &step.key), document }, step.key.clone()))
        })
    };
    let skipped = newest(&|view| matches!(view, StepView::Done { outcome: Outcome::Skipped(_), .. }));
    let (log, key) = newest(&|view| view.failure().is_some())
        .or_else(|| newest(&|view| matches!(view, StepView::Running { .. } | StepView::Done { .. })))
        .or(skipped)
        .ok_or("Nothing has run yet, so there is no log")?;
    if log.path.exists() { Ok(log) } else { Err(format!("Step `{key}` was never started, so it has no log")) }
}
