//! The project's git history in steps: a volume of the pod that the step's container mounts read-only. A container beside it fills the volume
//! through its agent and ends. It is part of no image, and goes with the pod.

use std::sync::Arc;

use bytes::Bytes;
use pipelens_agent::client::{Agent, AgentError};
use pipelens_agent::protocol::message::ApplyRequest;

use crate::archive::{self, Packing};
use crate::blocking;
use crate::error::EngineError;
use crate::history::{History, archive_of};
use crate::kubernetes::agents;
use crate::kubernetes::arguments::Arguments;
use crate::kubernetes::pod::{Beside, Extras};
use crate::sources::Sources;
use crate::step_context::StepContext;

const DOING: &str = "receive the git history";
const OBJECTS: &str = "objects";

/// Adds the volume to a step's pod, and last of its containers the one that fills it. Returns whether the step gets the history.
pub(super) fn add_to(extras: &mut Extras, context: &StepContext, arguments: &Arguments) -> bool {
    let Some(folder) = context.history.as_ref().and_then(|_| context.history_folder()) else { return false };
    let mut mount = extras.volumes.folder(&folder);
    extras.beside.push(Beside { image: None, user: arguments.user, mounts: vec![mount.clone()] });
    mount.is_read_only = true;
    extras.mounts.push(mount);
    true
}

/// Fills the volume, and ends the container that does it.
pub(super) async fn fill(context: &StepContext, agent: Agent) -> Result<(), EngineError> {
    let Some((history, folder)) = context.history.as_ref().zip(context.history_folder()) else { return Ok(()) };
    let refused = |error: AgentError| agents::refused(DOING, &error);
    let identity = agent.identity().await.map_err(refused)?;
    let (user_id, group_id) = (identity.uid.into(), identity.gid.into());
    let request = ApplyRequest::adding_to(folder);
    let packed = pack(history, user_id, group_id)?;
    agent.apply(request.clone(), futures_util::stream::iter([Ok(packed)])).await.map_err(refused)?;
    for objects in &history.objects {
        let (own, from) = (objects.clone(), objects.0.clone());
        let failed = |source| EngineError::Sources { path: from.clone(), source };
        let listed = blocking::run(move |_| Sources::of_files(&own.0, &own.list()?)).await.flatten().map_err(failed)?;
        let packing = Packing { folder: OBJECTS.to_owned(), user_id, group_id, is_compressed: false, modified: None };
        let (stream, failure) = archive::stream(Arc::new(listed), packing);
        let applied = agent.apply(request.clone(), stream).await;
        if let Some(source) = failure.take() {
            return Err(failed(source));
        }
        applied.map_err(refused)?;
    }
    agent.goodbye().await;
    Ok(())
}

fn pack(history: &History, user_id: u64, group_id: u64) -> Result<Bytes, EngineError> {
    let packed = archive_of(history, "", user_id, group_id);
    packed.map(Bytes::from).map_err(|error| EngineError::Refused { doing: DOING, reason: error.to_string() })
}
