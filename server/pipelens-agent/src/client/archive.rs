//! A file or a directory of the container, as an archive.

use bytes::Bytes;

use super::AgentError;
use super::call::{Arrival, Call};
use super::{Agent, unexpected};
use crate::protocol::message::{Answer, ContainerPath, Request};

/// A tar archive that is packed while it is read. If it is dropped, the packing ends.
#[derive(Debug)]
pub struct Archive {
    call: Call,
    first: Option<Bytes>,
    is_complete: bool,
}

impl Archive {
    /// Returns the next piece; `None`: the archive is complete. An error means that it is not, so that nothing may be done with it.
    pub async fn next(&mut self) -> Result<Option<Bytes>, AgentError> {
        if self.is_complete {
            return Ok(None);
        }
        let piece = match self.first.take() {
            Some(piece) => piece,
            None => match self.call.next().await? {
                Arrival::Data(piece) => piece,
                Arrival::Answer(Answer::Done) => {
                    self.is_complete = true;
                    return Ok(None);
                }
                Arrival::Answer(other) => return unexpected(other),
                Arrival::Started | Arrival::Output(..) => return Err(AgentError::Unexpected),
            },
        };
        self.call.took(piece.len());
        Ok(Some(piece))
    }
}

impl Agent {
    /// Packs a file, a link or a directory; its own entry comes first, under the last part of its name. `None`: there is nothing at the path.
    pub async fn archive(&self, path: impl Into<ContainerPath>) -> Result<Option<Archive>, AgentError> {
        let mut call = Call::start(&self.shared, Request::Archive { path: path.into() })?;
        match call.next().await? {
            Arrival::Data(piece) => Ok(Some(Archive { call, first: Some(piece), is_complete: false })),
            Arrival::Answer(Answer::Absent) => Ok(None),
            Arrival::Answer(other) => unexpected(other),
            Arrival::Started | Arrival::Output(..) => Err(AgentError::Unexpected),
        }
    }
}
