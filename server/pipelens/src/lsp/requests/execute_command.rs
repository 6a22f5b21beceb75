//! `workspace/executeCommand`: each command parses its argument, starts something and answers at once.

use std::path::PathBuf;
use std::sync::Arc;

use lsp_types::{ExecuteCommandParams, MessageType, ProgressToken, Uri};
use pipelens_core::plan::Target;
use pipelens_engine::private;
use serde_json::{Value, json};
use tower_lsp::jsonrpc::{Error, Result};

use super::replies::{invalid, not_started, refused, refused_with};
use super::{combinations, graph, secrets, watch};
use crate::lsp::protocol::commands::{
    self, CancelArgs, ChooseArgs, ClearCacheArgs, Command, GraphArgs, OpenArtifactsArgs, OpenLogArgs, PipelineRef,
    Refusal, RerunArgs, RunArgs, StopWatchingArgs, UNTRUSTED, WatchArgs,
};
use crate::lsp::protocol::files::{not_a_file, path_of};
use crate::lsp::runs::logs::Log;
use crate::lsp::runs::show::{Viewer, show, show_log};
use crate::lsp::runs::{artifacts, history, logs, recall};
use crate::lsp::server::Server;
use crate::lsp::session::documents::{Document, Documents, Kind};
use crate::lsp::session::rendering::{self, Made};
use crate::present;
use crate::project::NotStarted;
use crate::{doctor, project};

pub(crate) async fn execute_command(
    server: Arc<Server>,
    documents: Documents,
    params: ExecuteCommandParams,
) -> Result<Option<Value>> {
    let command =
        Command::parse(&params.command).ok_or_else(|| invalid(format!("There is no command `{}`", params.command)))?;
    if command.needs_trust() && server.settings.is_untrusted() {
        return Err(refused_with(UNTRUSTED, &Refusal::Trust));
    }
    let token = params.work_done_progress_params.work_done_token;
    let call = Call { server, documents };
    match command {
        Command::RunPipeline | Command::RunStep | Command::RunFrom => {
            let args: RunArgs = commands::arguments(command, params.arguments).map_err(invalid)?;
            let target = commands::target(command, args.step).map_err(invalid)?;
            call.start(args.uri, args.pipeline, target, token).await
        }
        Command::ChooseCombination => {
            let args: ChooseArgs = commands::arguments(command, params.arguments).map_err(invalid)?;
            call.choose(args, token).await
        }
        Command::Watch => {
            let mut args: WatchArgs = commands::arguments(command, params.arguments).map_err(invalid)?;
            let uri = args.uri.clone();
            let pipeline = args.pipeline.take();
            let (document, pipeline) = call.blocking(move |call| call.made(uri.as_ref(), pipeline)).await?;
            args.pipeline = pipeline;
            if let (None, Some(line)) = (&args.step, args.line)
                && let Some((pipeline, step)) = watch::step_on(&document, line)
            {
                args.step = Some(step);
                args.pipeline = Some(PipelineRef::Index(pipeline));
            }
            let target = args.target().map_err(invalid)?;
            let watch_id = watch::start(&call.server, &document, args.pipeline, target).await.map_err(refused)?;
            Ok(Some(json!({"watchId": watch_id})))
        }
        Command::StopWatching => {
            let args: StopWatchingArgs = commands::arguments(command, params.arguments).map_err(invalid)?;
            let stopped = call.server.runs.watches.stop(&args);
            call.server.lenses.want();
            Ok(Some(json!({"stopped": stopped})))
        }
        Command::Cancel => {
            let args: CancelArgs = commands::arguments(command, params.arguments).map_err(invalid)?;
            if args.run_id.is_none() && args.uri.is_none() && args.step.is_none() {
                return Ok(Some(json!({"cancelled": call.server.runs.cancel_everything()})));
            }
            Ok(Some(json!({"cancelled": call.server.runs.registry.cancel(&args)})))
        }
        Command::OpenLog => {
            let args: OpenLogArgs = commands::arguments(command, params.arguments).map_err(invalid)?;
            let wanted = args.show;
            let log = call
                .with_remembered_runs(move |call| logs::log(&call.server.runs.registry, &args).map_err(refused))
                .await?;
            let answer = json!({"path": log.path, "uri": log.document.as_ref().map(|uri| uri.as_str())});
            call.show_log(wanted, log);
            Ok(Some(answer))
        }
        Command::OpenArtifacts => {
            let args: OpenArtifactsArgs = commands::arguments(command, params.arguments).map_err(invalid)?;
            let wanted = args.show;
            let folder = call
                .with_remembered_runs(move |call| artifacts::folder(&call.server.runs.registry, &args).map_err(refused))
                .await?;
            call.show(wanted, folder.clone(), Viewer::Files);
            Ok(Some(json!({"path": folder})))
        }
        Command::ShowGraph => {
            let args: GraphArgs = commands::arguments(command, params.arguments).map_err(invalid)?;
            let wanted = args.show;
            let picture = call
                .blocking(move |call| {
                    let (document, pipeline) = call.made(args.uri.as_ref(), args.pipeline)?;
                    graph::draw(&document, pipeline.as_ref()).map_err(refused)
                })
                .await?;
            call.show(wanted, picture.path.clone(), Viewer::System);
            Ok(Some(json!({"path": picture.path, "mermaid": picture.mermaid})))
        }
        Command::RerunFailed => {
            let args: RerunArgs = commands::arguments(command, params.arguments).map_err(invalid)?;
            let again = call
                .with_remembered_runs(move |call| {
                    history::failed(&call.server.runs.registry, args.run_id).map_err(refused)
                })
                .await?;
            call.start(Some(again.uri), Some(again.pipeline), again.target, token).await
        }
        Command::OpenShell => {
            let args: OpenLogArgs = commands::arguments(command, params.arguments).map_err(invalid)?;
            let wanted = args.show;
            let shell = call
                .with_remembered_runs(move |call| history::shell(&call.server.runs.registry, &args).map_err(refused))
                .await?;
            if wanted != Some(false) {
                call.server.show_message(MessageType::INFO, present::shell(&shell));
            }
            Ok(Some(json!({"command": shell})))
        }
        Command::ListRuns => {
            let list = |call: &Call| history::list(&call.root_of(&*call.meant(None)?)?).map_err(refused);
            call.blocking(list).await.map(Some)
        }
        Command::Doctor => {
            let settings = call.server.settings.settings();
            let findings = doctor::examine(&settings, call.server.settings.editor().as_deref()).await;
            let (text, answer) = (findings.text(), findings.json());
            call.show(None, call.blocking(move |_| report_file(&text).map_err(refused)).await?, Viewer::Editor);
            Ok(Some(answer))
        }
        Command::ClearCache => {
            let args: ClearCacheArgs = commands::arguments(command, params.arguments).map_err(invalid)?;
            let uri = args.uri.clone();
            let root = call.blocking(move |call| call.root_of(&*call.meant(uri.as_ref())?)).await?;
            let engines = call.server.settings.settings_for(&root).engines();
            history::clear(&root, &engines, args.step.as_deref()).await.map(Some).map_err(refused)
        }
    }
}

/// A command with the documents as of its arrival.
#[derive(Clone)]
struct Call {
    server: Arc<Server>,
    documents: Documents,
}

impl Call {
    /// Starts a run and answers at once; everything after that is events.
    async fn start(
        &self,
        uri: Option<Uri>,
        pipeline: Option<PipelineRef>,
        target: Target,
        token: Option<ProgressToken>,
    ) -> Result<Option<Value>> {
        let (wanted, whole) = (pipeline.clone(), target.clone());
        let (document, started) = self
            .blocking(move |call| {
                let (document, wanted) = call.made(uri.as_ref(), wanted)?;
                let started = call.server.runs.registry.start(&document, wanted.as_ref(), whole);
                Ok((document, started))
            })
            .await?;
        match started {
            Ok(started) => Ok(Some(json!({"runId": self.server.follow(&document.uri, started, token)}))),
            Err(NotStarted::AsksForSecrets(asked)) if self.server.settings.client().message_actions => {
                let names: Vec<&String> = asked.iter().map(|asked| &asked.name).collect();
                let answer = json!({"asksForSecrets": names});
                // The command is answered now, whenever the user decides.
                let question = secrets::ask(self.server.clone(), document, pipeline, target, asked);
                self.server.runs.questions.spawn(question);
                Ok(Some(answer))
            }
            Err(why) => Err(not_started(&why)),
        }
    }

    /// Answers with the combinations of a step, and lets the user choose which one to run, unless the client does that.
    async fn choose(&self, args: ChooseArgs, token: Option<ProgressToken>) -> Result<Option<Value>> {
        let step =
            args.step.ok_or_else(|| invalid("`pipelens.chooseCombination` needs the key of a step".to_owned()))?;
        let (uri, wanted, key) = (args.uri, args.pipeline.clone(), step.clone());
        let (document, keys) = self
            .blocking(move |call| {
                let (document, wanted) = call.made(uri.as_ref(), wanted)?;
                let keys = combinations::keys(&document, wanted.as_ref(), &key).map_err(refused)?;
                Ok((document, keys))
            })
            .await?;
        let answer = json!({"combinations": keys});
        if args.list != Some(true) && self.server.settings.client().message_actions {
            let call = self.clone();
            // The command is answered now, whenever the user decides.
            self.server.runs.questions.spawn(async move {
                let Some(target) = combinations::ask(&call.server, &step, keys).await else { return };
                let started = call.start(Some(document.uri.clone()), args.pipeline, target, token).await;
                if let Err(refused) = started {
                    call.server.client.show_message(MessageType::ERROR, refused.message).await;
                }
            });
        }
        Ok(Some(answer))
    }

    /// Runs work that reads or writes files on a thread for blocking work.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Self) -> Result<T> + Send + 'static) -> Result<T> {
        let call = self.clone();
        tokio::task::spawn_blocking(move || work(&call)).await.unwrap_or_else(|panic| {
            tracing::error!("bug in pipelens: {panic}");
            Err(Error::internal_error())
        })
    }

    /// Like `blocking`, once the runs that were recorded before are known.
    async fn with_remembered_runs<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.blocking(|call| {
            recall::look(&call.server.runs, &call.documents);
            work(call)
        })
        .await
    }

    /// Opens a file or a folder in the client, unless the client does that itself.
    fn show(&self, wanted: Option<bool>, path: PathBuf, viewer: Viewer) {
        if wanted == Some(false) {
            return;
        }
        let server = self.server.clone();
        self.server.runs.questions.spawn(async move {
            show(&server.client, server.settings.client(), &path, viewer).await;
        });
    }

    /// Opens a log in the client, unless the client does that itself.
    fn show_log(&self, wanted: Option<bool>, log: Log) {
        if wanted == Some(false) {
            return;
        }
        let server = self.server.clone();
        self.server.runs.questions.spawn(async move {
            show_log(&server.client, server.settings.client(), log).await;
        });
    }

    /// Returns the document a command is about; without a URI, the active one. A document that is not open is read from disk.
    fn meant(&self, uri: Option<&Uri>) -> Result<Arc<Document>> {
        let Some(uri) = uri else {
            return self.server.documents.last_active().ok_or_else(|| refused("No pipeline is open"));
        };
        if let Some(document) = self.documents.get(uri) {
            return Ok(document);
        }
        self.server.documents.on_disk(uri).map_err(refused)
    }

    /// Returns the document a command is about, and what its pipeline is called. A program is executed, because a person has asked for it.
    fn made(&self, uri: Option<&Uri>, pipeline: Option<PipelineRef>) -> Result<(Arc<Document>, Option<PipelineRef>)> {
        let document = self.meant(uri)?;
        let pipeline = rendering::lasting(&document, pipeline);
        let is_program = document.kind == Kind::Program;
        let Made { document, log } = self.server.documents.made(document);
        log.into_iter().for_each(|line| self.server.log(MessageType::LOG, line));
        if is_program {
            self.server.lenses.want_at_once();
        }
        document.map(|document| (document, pipeline)).map_err(refused)
    }

    /// Returns the project whose files a run of the document gets.
    fn root_of(&self, document: &Document) -> Result<PathBuf> {
        Ok(self.server.settings.root_of(&file_of(&document.uri)?))
    }
}

/// Writes a report where an editor can open it.
fn report_file(text: &str) -> std::result::Result<PathBuf, String> {
    let folder = project::state_dir().map_err(|error| format!("{error:#}"))?;
    let path = folder.join("doctor.txt");
    let written = private::create_folder(&folder).and_then(|()| std::fs::write(&path, text));
    written.map_err(|error| format!("Cannot write `{}`: {error}", path.display()))?;
    Ok(path)
}

fn file_of(uri: &Uri) -> Result<PathBuf> {
    let path = path_of(uri);
    path.ok_or_else(|| refused(not_a_file(uri)))
}
