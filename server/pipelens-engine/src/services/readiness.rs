//! Whether a service can be used yet: what is asked, how often, and how the answer is told. Who asks it, only a runner knows.
//!
//! The image's own health check is run by us, because Docker would run it for the first time after 30 s, and a cluster never.

use std::fmt;
use std::time::Duration;

use pipelens_core::arguments::{Ready, Service};

use crate::error::EngineError;

/// Most services are ready within a second, and each check starts a process in the engine.
const ASK_AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// A check that hangs must not prevent the next one.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What an image says about how it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServiceImage {
    pub(crate) entrypoint: Vec<String>,
    pub(crate) cmd: Vec<String>,
    /// The lowest TCP port in `EXPOSE`.
    pub(crate) exposed_port: Option<u16>,
    /// `HEALTHCHECK`, as images store it: how to run it, then the command.
    pub(crate) health_check: Vec<String>,
}

/// How to tell that a service can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// It runs; nothing more is known.
    Nothing,
    /// The name shown to people, and the arguments.
    Command(String, Vec<String>),
    Port(u16),
}

impl Question {
    pub(crate) fn of(service: &Service, image: &ServiceImage) -> Self {
        match &service.ready {
            Some(ready) => match ready {
                Ready::Command(command) => Self::Command(format!("`{}`", command.trim()), in_shell(command)),
                Ready::Port(port) => Self::Port(*port),
            },
            None => health_check(image).or(image.exposed_port.map(Self::Port)).unwrap_or(Self::Nothing),
        }
    }

    fn unanswered(&self) -> String {
        match self {
            Self::Nothing => "it is not running".to_owned(),
            Self::Command(name, _) => format!("{name} has not finished"),
            Self::Port(port) => format!("port {port} could not be checked yet"),
        }
    }

    /// Returns the answer of a check that failed.
    pub(crate) fn no(&self, exit_code: i64, said: &str) -> String {
        match self {
            Self::Nothing => "it is not running".to_owned(),
            Self::Command(name, _) => {
                let last = said.lines().rfind(|line| !line.trim().is_empty());
                let last = last.map(|line| format!(" and printed `{}`", line.trim()));
                format!("{name} exited with {exit_code}{}", last.unwrap_or_default())
            }
            Self::Port(port) => format!("nothing listens on port {port}"),
        }
    }
}

/// Formats the end of a sentence about a service that was not ready.
impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Command(name, _) => write!(f, ", which is when {name} exits with 0"),
            Self::Port(port) => write!(f, ", which is when something listens on port {port}"),
        }
    }
}

/// Returns the port on which a service listens, as far as that is known: the one that is waited for, or the one of its image, unless it runs
/// something else than its image does.
pub(crate) fn port(service: &Service, image: &ServiceImage) -> Option<u16> {
    match Question::of(service, image) {
        Question::Port(port) => Some(port),
        Question::Nothing | Question::Command(..) => image.exposed_port.filter(|_| service.cmd.is_none()),
    }
}

fn health_check(image: &ServiceImage) -> Option<Question> {
    let (kind, rest) = image.health_check.split_first()?;
    let arguments = match kind.as_str() {
        "CMD" if !rest.is_empty() => rest.to_vec(),
        "CMD-SHELL" => in_shell(rest.first()?),
        // `NONE`, or inherited from an image that has none.
        _ => return None,
    };
    Some(Question::Command(format!("the health check of its image, `{}`,", rest.join(" ")), arguments))
}

fn in_shell(command: &str) -> Vec<String> {
    ["sh", "-c", command].map(str::to_owned).to_vec()
}

/// Whoever can look at a service.
pub(crate) trait Asks: Send + Sync {
    /// Returns why the service is not ready; `None` if it is. An error ends the waiting.
    fn ask(&self, question: &Question) -> impl Future<Output = Result<Option<String>, EngineError>> + Send;
}

/// Whether a service became ready in time.
pub(crate) enum Readiness {
    Ready,
    /// The last result, in words.
    NotInTime(String),
}

/// Checks until the service is ready, but no longer than `within`.
pub(crate) async fn wait(question: &Question, asks: &impl Asks, within: Duration) -> Result<Readiness, EngineError> {
    let mut answer = question.unanswered();
    let asking = async {
        let [mut pause, longest] = ASK_AGAIN_AFTER;
        loop {
            let asked = tokio::time::timeout(ANSWER_WITHIN, asks.ask(question)).await;
            match asked.unwrap_or_else(|_| Ok(Some(question.unanswered())))? {
                None => return Ok(()),
                Some(no) => answer = no,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    };
    match tokio::time::timeout(within, asking).await {
        Ok(asked) => asked.map(|()| Readiness::Ready),
        Err(_) => Ok(Readiness::NotInTime(answer)),
    }
}
