//! A shell for a person in a step's pod, through the agent.

use std::sync::Arc;

use futures_util::FutureExt as _;
use pipelens_agent::client::{Agent, Shell};
use pipelens_agent::protocol::message::{ShellRequest, WindowSize};

use crate::error::EngineError;
use crate::event::Phase;
use crate::kubernetes::agents;
use crate::person::{self, Terminal};
use crate::step_context::StepContext;

const DOING: &str = "open a shell";

/// Runs the shell until it exits.
pub(super) async fn run(context: &StepContext, agent: &Agent, terminal: &Arc<dyn Terminal>) -> Result<(), EngineError> {
    let kind = terminal.kind().map(|kind| ("TERM".to_owned(), kind));
    let variables = kind.into_iter().chain(agents::variables(context)?).collect();
    context.report_phase(Phase::Running);
    let streams = terminal.open().await.map_err(|source| EngineError::Terminal { source })?;
    let size = *streams.size.borrow();
    let request = ShellRequest {
        command: vec![person::shell_of(&context.step().shell).to_owned()],
        variables,
        workdir: context.step().workdir.clone(),
        size: WindowSize { rows: size.rows, columns: size.columns },
    };
    let Shell { input, output } = agent.shell(request).await.map_err(|error| agents::refused(DOING, &error))?;
    let sizes = input.clone();
    let (output, exit_code) = output.into_stream();
    person::connect(streams, input, Box::pin(output), |size| {
        sizes.resize(WindowSize { rows: size.rows, columns: size.columns });
        std::future::ready(()).boxed()
    })
    .await;
    terminal.close(exit_code.get().map(i64::from));
    Ok(())
}
