//! The events of one run that the client has not read yet: bounded; what is dropped is counted.

use std::collections::VecDeque;

use parking_lot::Mutex;
use pipelens_engine::event::{BuildEvent, LogLine};
use tokio::sync::Notify;

/// Log text that waits for a slow client. What exceeds this is dropped and counted; the log file has it.
const MAX_WAITING_LOG_BYTES: usize = 1024 * 1024;
/// A feed that holds this much is sent without waiting for more.
pub(crate) const BATCH_BYTES: usize = 32 * 1024;

/// What waits to be sent, bounded.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    queue: Mutex<Queue>,
    pub(crate) wake: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<BuildEvent>,
    log_bytes: usize,
    /// Dropped lines of each step since the last ones that were kept.
    skipped: Vec<u64>,
    is_ended: bool,
}

impl Feed {
    pub(crate) fn push(&self, event: BuildEvent) {
        let mut queue = self.queue.lock();
        match event {
            BuildEvent::StepLog { step, lines } => queue.push_log(step, lines),
            other => queue.events.push_back(other),
        }
        drop(queue);
        self.wake.notify_one();
    }

    pub(crate) fn end(&self) {
        self.queue.lock().is_ended = true;
        self.wake.notify_one();
    }

    /// Returns everything that waits, and whether nothing more will come.
    pub(crate) fn take(&self) -> (VecDeque<BuildEvent>, bool) {
        let mut queue = self.queue.lock();
        for step in 0..queue.skipped.len() {
            queue.report_skipped(step);
        }
        queue.log_bytes = 0;
        (std::mem::take(&mut queue.events), queue.is_ended)
    }

    pub(crate) fn is_full(&self) -> bool {
        let queue = self.queue.lock();
        queue.is_ended || queue.log_bytes >= BATCH_BYTES
    }
}

impl Queue {
    fn push_log(&mut self, step: usize, lines: Vec<LogLine>) {
        if self.skipped.len() <= step {
            self.skipped.resize(step + 1, 0);
        }
        let bytes: usize = lines.iter().map(|line| line.text.len() + size_of::<LogLine>()).sum();
        if self.log_bytes + bytes > MAX_WAITING_LOG_BYTES {
            if let Some(skipped) = self.skipped.get_mut(step) {
                *skipped += lines.len() as u64;
            }
            return;
        }
        self.report_skipped(step);
        self.log_bytes += bytes;
        self.events.push_back(BuildEvent::StepLog { step, lines });
    }

    fn report_skipped(&mut self, step: usize) {
        let lines = self.skipped.get_mut(step).map(std::mem::take).unwrap_or(0);
        if lines > 0 {
            self.events.push_back(BuildEvent::StepLogSkipped { step, lines });
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use pipelens_engine::event::StdStream;

    use super::*;

    fn lines(count: usize, bytes: usize) -> Vec<LogLine> {
        let text = "x".repeat(bytes);
        vec![LogLine { stream: StdStream::Stdout, time: Utc::now(), text: text.into() }; count]
    }

    #[test]
    fn a_full_feed_counts_what_it_drops_and_reports_it_before_the_next_event() {
        let feed = Feed::default();
        feed.push(BuildEvent::StepLog { step: 1, lines: lines(10, MAX_WAITING_LOG_BYTES / 20) });
        feed.push(BuildEvent::StepLog { step: 1, lines: lines(10, MAX_WAITING_LOG_BYTES / 10) });
        feed.push(BuildEvent::StepLog { step: 1, lines: lines(1, 1) });
        feed.push(BuildEvent::StepQueued { step: 2 });
        let (events, is_ended) = feed.take();
        assert!(!is_ended);
        let kinds: Vec<String> = events
            .iter()
            .map(|event| match event {
                BuildEvent::StepLog { lines, .. } => format!("{} lines", lines.len()),
                BuildEvent::StepLogSkipped { lines, .. } => format!("{lines} skipped"),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(kinds, ["10 lines", "10 skipped", "1 lines", "StepQueued { step: 2 }"]);
    }
}
