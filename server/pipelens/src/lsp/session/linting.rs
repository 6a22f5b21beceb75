//! Findings from the background: from ShellCheck, and from listing a project's files.

use std::sync::Arc;

use super::documents::OpenDocuments;

/// Lets ShellCheck check new commands, and then analyses their documents again; until the process ends.
pub(crate) async fn lint(documents: Arc<OpenDocuments>) {
    loop {
        for uri in documents.to_lint.next().await {
            if let Err(error) = lint_document(&documents, &uri).await {
                tracing::warn!("{error:#}");
            }
        }
    }
}

async fn lint_document(documents: &OpenDocuments, uri: &str) -> anyhow::Result<()> {
    let Some(document) = documents.now().named(uri) else { return Ok(()) };
    let Some(path) = document.path().filter(|_| document.is_pipeline()) else { return Ok(()) };
    let settings = &documents.settings;
    if settings.is_untrusted() || !settings.project(&settings.root_of(&path)).uses_shellcheck() {
        return Ok(());
    }
    let is_new = documents.context(settings.root_of(&path)).shellcheck.read([&document.analysis]).await?;
    // The document may have changed meanwhile; the new one was also analysed without these findings.
    while is_new && let Some(document) = documents.now().named(uri) {
        if documents.analyse_again(&document) {
            break;
        }
    }
    Ok(())
}

/// Analyses the documents again when more is known of their projects' files, until the process ends.
pub(crate) async fn watch_files(documents: Arc<OpenDocuments>) {
    let found = documents.projects.files_found.clone();
    loop {
        found.next().await;
        for document in documents.now().pipelines() {
            documents.analyse_again(document);
        }
    }
}
