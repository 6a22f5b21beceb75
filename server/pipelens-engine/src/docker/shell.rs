//! A shell for a person in a step's container, beside its supervisor, which waits for a command meanwhile and ends the container if we are killed.

use std::sync::Arc;

use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use futures_util::{FutureExt as _, StreamExt as _};

use crate::docker::arguments::Arguments;
use crate::docker::client_error::{reason, refused};
use crate::docker::container::Container;
use crate::error::EngineError;
use crate::event::Phase;
use crate::person::{self, Terminal};
use crate::step_context::StepContext;
use crate::supervisor::trust_folders;

const DOING: &str = "open a shell";

/// Runs the shell until it exits.
pub(super) async fn run(
    context: &StepContext,
    container: &Container,
    arguments: &Arguments,
    terminal: &Arc<dyn Terminal>,
) -> Result<(), EngineError> {
    let kind = terminal.kind().map(|kind| format!("TERM={kind}"));
    let variables = trust_folders(context)?.iter().copied().chain(context.variables()?);
    let variables = variables.map(|(name, value)| format!("{name}={value}"));
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(true),
        env: Some(kind.into_iter().chain(variables).collect()),
        cmd: Some(vec![person::shell_of(&context.step().shell).to_owned()]),
        privileged: Some(arguments.is_privileged()),
        working_dir: Some(context.step().workdir.clone()),
        ..CreateExecOptions::default()
    };
    let docker = &container.docker;
    let created = docker.create_exec(&container.id, options).await;
    let id = created.map_err(|error| refused(DOING, &error))?.id;
    context.report_phase(Phase::Running);
    let streams = terminal.open().await.map_err(|source| EngineError::Terminal { source })?;
    let options = StartExecOptions { detach: false, tty: true, output_capacity: None };
    let started = docker.start_exec(&id, Some(options)).await;
    let StartExecResults::Attached { output, input } = started.map_err(|error| refused(DOING, &error))? else {
        return Err(EngineError::Refused { doing: DOING, reason: "it did not attach to it".into() });
    };
    let output = output.map(|piece| piece.map(|piece| piece.into_bytes()));
    let output = output.map(|piece| piece.map_err(|error| std::io::Error::other(reason(&error))));
    person::connect(streams, input, output, |size| {
        let size = ResizeExecOptions { height: size.rows, width: size.columns };
        let (docker, id) = (docker.clone(), id.clone());
        // It may have exited just now.
        async move { drop(docker.resize_exec(&id, size).await) }.boxed()
    })
    .await;
    let ended = docker.inspect_exec(&id).await.map_err(|error| refused(DOING, &error))?;
    terminal.close(ended.exit_code);
    Ok(())
}
