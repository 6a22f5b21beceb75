//! A shell for a person in place of a step's command, with every runner.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use pipelens_core::plan::PlanStep;
use pipelens_engine::event::{BuildEvent, Phase};
use pipelens_engine::person::{ShellRequest, ShellStart, Terminal, TerminalSize, TerminalStreams};
use pipelens_engine::run::RunRequest;
use tokio::io::{AsyncReadExt as _, AsyncWrite, DuplexStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

#[cfg(feature = "kubernetes")]
use crate::bench::Bench;
use crate::bench::{Runner, StepExt as _, step};
use crate::cache::Project;
use crate::runners::for_each_runner;

/// A terminal that, as the command line's own, is handed over when the step is said to run.
#[derive(Debug)]
struct Person {
    is_said_to_run: Notify,
    streams: Mutex<Option<(mpsc::Receiver<Bytes>, DuplexStream)>>,
    size: watch::Sender<TerminalSize>,
    exit_code: Mutex<Option<i64>>,
}

#[async_trait]
impl Terminal for Person {
    fn kind(&self) -> Option<String> {
        Some("dumb".to_owned())
    }

    async fn open(&self) -> io::Result<TerminalStreams> {
        self.is_said_to_run.notified().await;
        let (input, output) = self.streams.lock().unwrap().take().unwrap();
        let output: Pin<Box<dyn AsyncWrite + Send>> = Box::pin(output);
        Ok(TerminalStreams { input, output, size: self.size.subscribe() })
    }

    fn close(&self, exit_code: Option<i64>) {
        *self.exit_code.lock().unwrap() = exit_code;
    }
}

/// Opens a shell in the first step, types, and returns what was shown and the exit code.
async fn shell(
    project: &Project,
    steps: Vec<PlanStep>,
    start: ShellStart,
    typed: &'static str,
) -> (String, Option<i64>) {
    let bench = project.bench(steps);
    shell_of(bench.request.clone(), start, typed).await
}

/// Opens a shell in the first step of a request.
async fn shell_of(request: RunRequest, start: ShellStart, typed: &'static str) -> (String, Option<i64>) {
    let (keys, input) = mpsc::channel(1);
    let (output, mut shown) = tokio::io::duplex(64 * 1024);
    let person = Arc::new(Person {
        is_said_to_run: Notify::new(),
        streams: Mutex::new(Some((input, output))),
        size: watch::channel(TerminalSize { rows: 24, columns: 80 }).0,
        exit_code: Mutex::default(),
    });
    keys.send(Bytes::from_static(typed.as_bytes())).await.unwrap();
    let shell = ShellRequest { step: 0, start, terminal: person.clone() };
    let (tx, mut events) = mpsc::channel(1_000);
    let running = tokio::spawn(pipelens_engine::run::shell(request, shell, tx, CancellationToken::new()));
    while let Some(event) = events.recv().await {
        if matches!(event, BuildEvent::StepPhase { step: 0, phase: Phase::Running }) {
            person.is_said_to_run.notify_one();
        }
    }
    running.await.unwrap();
    // Nothing more is shown.
    drop(person.streams.lock().unwrap().take());
    let mut text = String::new();
    shown.read_to_string(&mut text).await.unwrap();
    let exit_code = *person.exit_code.lock().unwrap();
    (text, exit_code)
}

/// Types into the shell that `pipelens kept-shell` opens, in another project without settings.
#[cfg(feature = "kubernetes")]
pub(crate) async fn kept_shell(description: &str, typed: &'static str) -> (String, Option<i64>) {
    let kept = pipelens_engine::run::KeptShell::parse(description).unwrap();
    let elsewhere = Bench::new(crate::cluster::runner(), Vec::new());
    let request = RunRequest { plan: kept.plan(), cluster: Some(kept.cluster()), ..elsewhere.request.clone() };
    shell_of(request, ShellStart::At(kept.image), typed).await
}

#[cfg(not(feature = "kubernetes"))]
pub(crate) async fn kept_shell(_: &str, _: &'static str) -> (String, Option<i64>) {
    unreachable!("only the runner for Kubernetes shows such a line")
}

for_each_runner! {
    async fn a_shell_opens_in_what_a_failed_step_left_and_in_what_it_would_start_from(runner: Runner) {
        let project = Project::new(runner);
        project.file("source", "from the sources\n");
        let failing = || vec![step("a", "echo evidence > evidence; exit 3").env("NAME", "a value")];
        project.run(failing()).await;
        let typed = "cat evidence; echo \"$NAME\"; exit 4\n";
        let (shown, exit_code) = shell(&project, failing(), ShellStart::AfterFailure, typed).await;
        assert!(shown.contains("evidence\r\n") && shown.contains("a value\r\n"), "{shown:?}");
        assert_eq!(exit_code, Some(4));
        let typed = "cat source; ls evidence; exit 5\n";
        let (shown, exit_code) = shell(&project, failing(), ShellStart::BeforeCommand, typed).await;
        assert!(shown.contains("from the sources") && shown.contains("No such file"), "{shown:?}");
        assert_eq!(exit_code, Some(5));
    }
}
