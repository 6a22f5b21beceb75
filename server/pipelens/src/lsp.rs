//! The language server. Imports go down only: `routes`, `requests`, `server`, `runs`, `session`, `findings`, `protocol`; `transport` knows
//! none of them. `tests/it/layers.rs` checks that.

mod findings;
mod protocol;
mod requests;
mod routes;
mod runs;
mod server;
mod session;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;
use tower_lsp::LspService;

use findings::push;
use requests::lifecycle::Session;
use routes::Router;
use runs::recall;
use server::Server;
use session::{linting, rendering, watching};
use transport::uris::Spellings;
use transport::writer::Notifications;
use transport::{message_loop, parent, writer};

/// How long removing the containers of a run may take when the editor is gone.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
/// How long the last answers may take to be written.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);

/// Serves one editor over standard input and output, and returns the process's exit code.
pub(crate) async fn serve() -> u8 {
    let (service, socket) = LspService::new(|client| Session(Arc::new(Server::new(client))));
    let server = service.inner().0.clone();
    let (notifications, frames) = Notifications::lane();
    let _background = background(&server, notifications);
    let mut router = Router::new(service);
    let spellings = Spellings::default();
    let (to_client, from_client) = socket.split();
    let mut writer = writer::spawn(to_client, frames, spellings.clone());
    let trace = server.trace.clone();
    let parent = parent::parent_died(|| server.settings.client().process_id);
    let code = tokio::select! {
        () = message_loop::serve(&mut router, from_client, writer.responses.clone(), &spellings, trace) => {
            u8::from(!router.is_shut_down())
        }
        _ = &mut writer.ended => 1,
        () = parent => 1,
        code = crate::signals::terminated() => code,
    };
    server.runs.stop(STOP_DEADLINE).await;
    // A client that no longer reads does not keep the process.
    drop(tokio::time::timeout(FLUSH_DEADLINE, writer.flush()).await);
    code
}

/// Starts the background tasks; they end when the handles are dropped.
fn background(server: &Server, notifications: Notifications) -> Vec<AbortOnDropHandle<()>> {
    let (client, settings, documents) = (server.client.clone(), server.settings.clone(), server.documents.clone());
    let (findings, lenses, predictions) = (server.findings.clone(), server.lenses.clone(), server.predictions.clone());
    let pulls = {
        let settings = settings.clone();
        move || settings.client().pulls_diagnostics
    };
    let tasks = [
        tokio::spawn(server.trace.send(notifications.clone())),
        tokio::spawn(push::send(findings, client.clone(), notifications, pulls)),
        tokio::spawn(rendering::render(documents.clone(), lenses.clone(), client.clone())),
        tokio::spawn({
            let (lenses, settings) = (lenses.clone(), settings.clone());
            async move { lenses.send(client, settings).await }
        }),
        tokio::spawn({
            let (runs, client) = (server.runs.clone(), server.client.clone());
            async move { runs.log_documents.send(client).await }
        }),
        tokio::spawn(linting::lint(documents.clone())),
        tokio::spawn(linting::watch_files(documents.clone())),
        tokio::spawn(watching::poll(documents.clone())),
        tokio::spawn({
            let (runs, documents) = (server.runs.clone(), documents.clone());
            async move { recall::follow(runs, documents).await }
        }),
        tokio::spawn(async move { predictions.look(documents, settings, lenses).await }),
    ];
    tasks.into_iter().map(AbortOnDropHandle::new).collect()
}
