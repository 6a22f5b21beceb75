//! The queue between a run and its listener: log lines are dropped if it is full, all other events wait. It knows only which parts of
//! events quote names.

use std::sync::Arc;

use pipelens_core::printable::{is_deceptive, printable};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::event::{BuildEvent, Outcome};

/// How many log events may be on their way to the listener. Beyond that, a step holds back its newest lines until there is room.
const LOG_EVENTS_IN_FLIGHT: usize = 64;

/// Accepts events from every task of a run without blocking, and keeps their order.
///
/// The queue itself needs no bound: log events need a permit, and the number of all other events is bounded by the plan.
#[derive(Debug, Clone)]
pub(crate) struct EventQueue {
    queue: mpsc::UnboundedSender<QueuedEvent>,
    log_permits: Arc<Semaphore>,
}

#[derive(Debug)]
pub(crate) struct QueuedEvent {
    event: BuildEvent,
    /// Released when the listener has received the event.
    _permit: Option<OwnedSemaphorePermit>,
}

#[cfg(test)]
impl QueuedEvent {
    /// Returns the message if it is a notice.
    pub(crate) fn notice(self) -> Option<String> {
        match self.event {
            BuildEvent::Notice { message } => Some(message),
            _ => None,
        }
    }
}

/// Returns the queue's two ends. `deliver` must be driven until it ends, which it does when every `EventQueue` is gone.
pub(crate) fn open() -> (EventQueue, mpsc::UnboundedReceiver<QueuedEvent>) {
    let (queue, queued) = mpsc::unbounded_channel();
    (EventQueue { queue, log_permits: Arc::new(Semaphore::new(LOG_EVENTS_IN_FLIGHT)) }, queued)
}

/// Makes hidden characters in an event's sentences visible, because names of files and images come from the project.
fn shown(event: BuildEvent) -> BuildEvent {
    let shown = |text: String| match text.contains(is_deceptive) {
        true => text.split('\n').map(printable).collect::<Vec<_>>().join("\n"),
        false => text,
    };
    match event {
        BuildEvent::Notice { message } => BuildEvent::Notice { message: shown(message) },
        BuildEvent::StepEnd { step, outcome, duration, tail } => {
            let outcome = match outcome {
                Outcome::Skipped(why) => Outcome::Skipped(shown(why)),
                Outcome::Errored(why) => Outcome::Errored(shown(why)),
                other => other,
            };
            BuildEvent::StepEnd { step, outcome, duration, tail }
        }
        other => other,
    }
}

/// Passes the events to the listener as fast as it reads them. If the listener is gone, the run continues.
pub(crate) async fn deliver(mut queued: mpsc::UnboundedReceiver<QueuedEvent>, listener: mpsc::Sender<BuildEvent>) {
    while let Some(queued) = queued.recv().await {
        listener.send(queued.event).await.ok();
    }
}

impl EventQueue {
    /// Queues an event that is never dropped.
    pub(crate) fn send(&self, event: BuildEvent) {
        self.queue.send(QueuedEvent { event: shown(event), _permit: None }).ok();
    }

    /// Queues the event that `event` creates if there is room for a log event; otherwise returns `false` without creating it.
    pub(crate) fn offer(&self, event: impl FnOnce() -> BuildEvent) -> bool {
        let Ok(permit) = Arc::clone(&self.log_permits).try_acquire_owned() else {
            return false;
        };
        self.queue.send(QueuedEvent { event: event(), _permit: Some(permit) }).ok();
        true
    }

    /// Whether `offer` would accept an event now.
    pub(crate) fn has_room(&self) -> bool {
        self.log_permits.available_permits() > 0
    }

    pub(crate) fn notice(&self, message: impl Into<String>) {
        self.send(BuildEvent::Notice { message: message.into() });
    }
}
