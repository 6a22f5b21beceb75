//! How Docker's containers are asked whether a service is ready. Whether something listens on a port is checked from the step's container, which
//! shares the network, so the service's image needs no program for it.

use crate::docker::client_error::reason;
use crate::docker::container::Container;
use crate::error::EngineError;
use crate::services::readiness::{Asks, Question};

/// Uses only the shell's own commands. `0A` is the state of a listening socket.
const LISTENS: &str = r#"for file in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$file" ] && while read -r _ address _ state _; do
        case $address/$state in *:"$1"/0A) exit 0 ;; esac
    done <"$file"
done
exit 1"#;

/// The container of a service, and one with a shell in the same network.
#[derive(Clone)]
pub(super) struct Listener {
    pub(super) service: Container,
    pub(super) step: Container,
}

impl Asks for Listener {
    async fn ask(&self, question: &Question) -> Result<Option<String>, EngineError> {
        let asked = match question {
            Question::Nothing => return Ok(None),
            Question::Command(_, arguments) => self.service.ask(arguments.clone()).await,
            Question::Port(port) => {
                let script = ["sh", "-c", LISTENS, "sh", &format!("{port:04X}")].map(str::to_owned);
                self.step.ask(script.to_vec()).await
            }
        };
        match asked {
            Ok((0, _)) => Ok(None),
            Ok((code, said)) => Ok(Some(question.no(code, &said))),
            // The service is exiting or the engine is gone, both of which are noticed elsewhere; or the image lacks the command, or a connection broke.
            Err(error) => Ok(Some(format!("the engine could not run the check: {}", reason(&error)))),
        }
    }
}
