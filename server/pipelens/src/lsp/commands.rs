//! What is asked by `workspace/executeCommand`: each command reads its argument, sets something in motion and answers at once.

use std::path::PathBuf;
use std::sync::Arc;

use lsp_types::{ExecuteCommandParams, MessageType, ProgressToken, Uri};
use pipelens_core::plan::Target;
use serde_json::{Value, json};
use tower_lsp::UriExt;
use tower_lsp::jsonrpc::{Error, Result};
use uuid::Uuid;

use super::ext::{self, CancelArgs, ClearCacheArgs, Command, GraphArgs, OpenLogArgs, PipelineRef, RerunArgs, RunArgs};
use super::runs::Started;
use super::state::{self, Document};
use super::{Server, past, picture, refused, report, secrets};
use crate::present;
use crate::project::NotStarted;

/// Said of whatever runs or writes something.
pub(super) const UNTRUSTED: &str = "This workspace is not trusted, so nothing runs in it. Trust it in the editor first";

impl Server {
    pub(super) async fn execute(&self, params: ExecuteCommandParams) -> Result<Option<Value>> {
        let command = Command::parse(&params.command)
            .ok_or_else(|| invalid(format!("There is no command `{}`", params.command)))?;
        if command.needs_trust() && self.shared.config.is_untrusted() {
            return Err(refused(UNTRUSTED.to_owned()));
        }
        let token = params.work_done_progress_params.work_done_token;
        match command {
            Command::RunPipeline | Command::RunStep | Command::RunFrom => {
                self.run(command, ext::arguments(command, params.arguments).map_err(invalid)?, token)
            }
            Command::Cancel => {
                let args: CancelArgs = ext::arguments(command, params.arguments).map_err(invalid)?;
                Ok(Some(json!({"cancelled": self.shared.runs.cancel(&args)})))
            }
            Command::OpenLog => {
                let args: OpenLogArgs = ext::arguments(command, params.arguments).map_err(invalid)?;
                let path = self.shared.runs.log(&args).map_err(refused)?;
                let (shared, shown) = (self.shared.clone(), path.clone());
                tokio::spawn(async move { report::show_document(&shared, &shown).await });
                Ok(Some(json!({"path": path})))
            }
            Command::ShowGraph => {
                let args: GraphArgs = ext::arguments(command, params.arguments).map_err(invalid)?;
                let document = self.meant(args.uri.as_ref())?;
                let picture = picture::draw(&document, args.pipeline.as_ref()).map_err(refused)?;
                let (shared, shown) = (self.shared.clone(), picture.path.clone());
                tokio::spawn(async move { report::show_picture(&shared, &shown).await });
                Ok(Some(json!({"path": picture.path, "mermaid": picture.mermaid})))
            }
            Command::RerunFailed => {
                let args: RerunArgs = ext::arguments(command, params.arguments).map_err(invalid)?;
                let again = past::failed(&self.shared.runs, args.run_id).map_err(refused)?;
                self.start(self.meant(Some(&again.uri))?, Some(again.pipeline), again.target, token)
            }
            Command::OpenShell => {
                let args: OpenLogArgs = ext::arguments(command, params.arguments).map_err(invalid)?;
                let shell = past::shell(&self.shared.runs, &args).map_err(refused)?;
                let (client, message) = (self.shared.client.clone(), present::shell(&shell));
                tokio::spawn(async move { client.show_message(MessageType::INFO, message).await });
                Ok(Some(json!({"command": shell})))
            }
            Command::ListRuns => {
                let root = self.root_of(&*self.meant(None)?).map_err(refused)?;
                // The history is in a file that another process may be writing.
                let listed = tokio::task::spawn_blocking(move || past::list(&root)).await;
                listed.unwrap_or_else(|panic| Err(panic.to_string())).map(Some).map_err(refused)
            }
            Command::ClearCache => {
                let args: ClearCacheArgs = ext::arguments(command, params.arguments).map_err(invalid)?;
                let root = self.root_of(&*self.meant(args.uri.as_ref())?).map_err(refused)?;
                let docker_host = self.shared.config.settings().docker_host.clone();
                past::clear(&root, docker_host.as_deref(), args.step.as_deref()).await.map(Some).map_err(refused)
            }
        }
    }

    /// Starts a run and answers at once; everything after that is events.
    fn run(&self, command: Command, args: RunArgs, token: Option<ProgressToken>) -> Result<Option<Value>> {
        let target = ext::target(command, args.step).map_err(invalid)?;
        let document = self.meant(args.uri.as_ref())?;
        self.start(document, args.pipeline, target, token)
    }

    fn start(
        &self,
        document: Arc<Document>,
        pipeline: Option<PipelineRef>,
        target: Target,
        token: Option<ProgressToken>,
    ) -> Result<Option<Value>> {
        match self.shared.runs.start(&document, pipeline.as_ref(), target.clone()) {
            Ok(started) => Ok(Some(json!({"runId": self.follow(&document, started, token)}))),
            Err(NotStarted::AsksForSecrets(asked)) if self.shared.config.client().message_actions => {
                let names: Vec<&String> = asked.iter().map(|asked| &asked.name).collect();
                let answer = json!({"asksForSecrets": names});
                let shared = self.shared.clone();
                // Whatever the user decides, and whenever: the command is answered now.
                tokio::spawn(async move { secrets::ask(shared, document, pipeline, target, asked).await });
                Ok(Some(answer))
            }
            Err(not_started) => Err(refused(not_started.sentence())),
        }
    }

    fn follow(&self, document: &Document, started: Started, token: Option<ProgressToken>) -> Uuid {
        self.shared.state.touch(document.uri.as_str());
        let run_id = started.run.id;
        tokio::spawn(report::follow(self.shared.clone(), started, token));
        run_id
    }

    /// Returns the document a command means; without a name, the one a person is in.
    fn meant(&self, uri: Option<&Uri>) -> Result<Arc<Document>> {
        match uri {
            None => self.shared.state.last_active().ok_or_else(|| refused("No pipeline is open".to_owned())),
            Some(uri) => self.document(uri).map_err(refused),
        }
    }

    /// Returns the project whose files a run of the document gets.
    fn root_of(&self, document: &Document) -> std::result::Result<PathBuf, String> {
        Ok(self.shared.config.root_of(&file_of(&document.uri)?))
    }

    /// Returns a document as of the request's arrival; one that is not open is read from disk.
    fn document(&self, uri: &Uri) -> std::result::Result<Arc<Document>, String> {
        if let Some(document) = state::document(uri) {
            return Ok(document);
        }
        let text = crate::cli::source::read(&file_of(uri)?).map_err(|error| format!("{error:#}"))?;
        Ok(Arc::new(self.shared.state.read(uri.clone(), 0, text)))
    }
}

fn file_of(uri: &Uri) -> std::result::Result<PathBuf, String> {
    let path = uri.to_file_path().map(|path| path.into_owned());
    path.ok_or_else(|| format!("`{}` is not a file on this machine", uri.as_str()))
}

/// The argument is wrong.
fn invalid(message: String) -> Error {
    Error::invalid_params(message)
}
