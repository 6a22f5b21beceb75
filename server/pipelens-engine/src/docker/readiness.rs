//! Whether a service can be used yet. Knows no schedule.
//!
//! The image's own health check is run by us: the engine would ask for the first time after 30 s. What listens on a port is
//! looked up from the step's container, whose network it is, so that the image of the service needs nothing.

use std::fmt;
use std::time::Duration;

use pipelens_core::arguments::{Ready, Service};

use crate::docker::container::Container;
use crate::docker::image::ImageFacts;
use crate::docker::{refused, status_of};
use crate::error::EngineError;

/// Most services are ready within a second, and a question costs the engine a process.
const ASK_AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// A question that hangs must not be the last one.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Needs nothing but a shell's own commands. `0A` is the state of a socket that listens.
const LISTENS: &str = r#"for file in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$file" ] && while read -r _ address _ state _; do
        case $address/$state in *:"$1"/0A) exit 0 ;; esac
    done <"$file"
done
exit 1"#;

/// What tells that a service can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// It runs: nothing more is known.
    Nothing,
    /// The name a person knows it by, and its arguments.
    Command(String, Vec<String>),
    Port(u16),
}

impl Question {
    pub(super) fn of(service: &Service, image: &ImageFacts) -> Self {
        match &service.ready {
            Some(ready) => match &ready.value {
                Ready::Command(command) => Self::Command(format!("`{}`", command.trim()), in_shell(command)),
                Ready::Port(port) => Self::Port(*port),
            },
            None => health_check(image).or(image.exposed_port.map(Self::Port)).unwrap_or(Self::Nothing),
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Command(name, _) => write!(f, ", which is when {name} exits with 0"),
            Self::Port(port) => write!(f, ", which is when something listens on port {port}"),
        }
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

/// Asks until the answer is yes. If that takes too long, the inner `Err` is the last answer in words.
pub(super) async fn wait(
    question: &Question,
    service: &Container,
    step: &Container,
    within: Duration,
) -> Result<Result<(), String>, EngineError> {
    let mut answer = String::new();
    let asking = async {
        let [mut pause, longest] = ASK_AGAIN_AFTER;
        loop {
            let asked = tokio::time::timeout(ANSWER_WITHIN, ask(question, service, step)).await;
            match asked.unwrap_or_else(|_| Ok(Some(format!("no answer within {} s", ANSWER_WITHIN.as_secs()))))? {
                None => return Ok(()),
                Some(other) => answer = other,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    };
    match tokio::time::timeout(within, asking).await {
        Ok(ready) => ready.map(Ok),
        Err(_) => Ok(Err(in_words(question, &answer))),
    }
}

/// Returns the answer, if it is not yes.
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
        Ok((code, said)) => {
            let last =
                said.lines().rfind(|line| !line.trim().is_empty()).map(|line| format!(" and said `{}`", line.trim()));
            Ok(Some(format!("{code}{}", last.unwrap_or_default())))
        }
        // It has ended, which is noticed elsewhere, or is about to start.
        Err(error) if status_of(&error).is_some() => Ok(Some(crate::docker::reason(&error))),
        Err(error) => Err(refused("ask whether a service is ready", &error)),
    }
}

fn in_words(question: &Question, answer: &str) -> String {
    match question {
        Question::Nothing => "it does not run".to_owned(),
        Question::Command(name, _) if answer.starts_with(|first: char| first.is_ascii_digit()) => {
            format!("{name} exited with {answer}")
        }
        Question::Command(name, _) if answer.is_empty() => format!("{name} has not ended"),
        Question::Command(name, _) => format!("{name} could not be asked: {answer}"),
        Question::Port(port) => format!("nothing listens on port {port}"),
    }
}
