//! Whether a service can be used yet. Knows nothing about scheduling.
//!
//! We run the image's own health check, because the engine would run it for the first time after 30 s. Whether something listens on a port is
//! checked from the step's container, which shares the network, so the service's image needs no program for it.

use std::fmt;
use std::time::Duration;

use pipelens_core::arguments::{Ready, Service};

use crate::docker::client_error::reason;
use crate::docker::container::Container;
use crate::docker::image::ImageFacts;
use crate::error::EngineError;

/// Most services are ready within a second, and each check starts a process in the engine.
const ASK_AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// A check that hangs must not prevent the next one.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Uses only the shell's own commands. `0A` is the state of a listening socket.
const LISTENS: &str = r#"for file in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$file" ] && while read -r _ address _ state _; do
        case $address/$state in *:"$1"/0A) exit 0 ;; esac
    done <"$file"
done
exit 1"#;

/// How to tell that a service can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// It runs; nothing more is known.
    Nothing,
    /// The name shown to people, and the arguments.
    Command(String, Vec<String>),
    Port(u16),
}

impl Question {
    pub(super) fn of(service: &Service, image: &ImageFacts) -> Self {
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

    fn no(&self, exit_code: i64, said: &str) -> String {
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
pub(super) fn port(service: &Service, image: &ImageFacts) -> Option<u16> {
    match Question::of(service, image) {
        Question::Port(port) => Some(port),
        Question::Nothing | Question::Command(..) => image.exposed_port.filter(|_| service.cmd.is_none()),
    }
}

fn health_check(image: &ImageFacts) -> Option<Question> {
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

/// Whether a service became ready in time.
pub(super) enum Readiness {
    Ready,
    /// The last result, in words.
    NotInTime(String),
}

/// Checks until the service is ready, but no longer than `within`.
pub(super) async fn wait(
    question: &Question,
    service: &Container,
    step: &Container,
    within: Duration,
) -> Result<Readiness, EngineError> {
    let mut answer = question.unanswered();
    let asking = async {
        let [mut pause, longest] = ASK_AGAIN_AFTER;
        loop {
            let asked = tokio::time::timeout(ANSWER_WITHIN, ask(question, service, step)).await;
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

/// Returns why the service is not ready; `None` if it is.
async fn ask(question: &Question, service: &Container, step: &Container) -> Result<Option<String>, EngineError> {
    let asked = match question {
        Question::Nothing => return Ok(None),
        Question::Command(_, arguments) => service.ask(arguments.clone()).await,
        Question::Port(port) => {
            let script = ["sh", "-c", LISTENS, "sh", &format!("{port:04X}")].map(str::to_owned);
            step.ask(script.to_vec()).await
        }
    };
    match asked {
        Ok((0, _)) => Ok(None),
        Ok((code, said)) => Ok(Some(question.no(code, &said))),
        // The service is exiting or the engine is gone, both of which are noticed elsewhere; or the image lacks the command, or a connection broke.
        Err(error) => Ok(Some(format!("the engine could not run the check: {}", reason(&error)))),
    }
}
