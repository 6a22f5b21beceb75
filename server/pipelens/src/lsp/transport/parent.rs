//! The editor's process: when it ends, so does the server.

use std::time::Duration;

/// A dead editor is noticed within this time, even if one of its children keeps its pipes open.
const PARENT_INTERVAL: Duration = Duration::from_secs(1);

/// Resolves when the editor's process is gone. Its pipes may be held open by one of its children. `process_id` returns the
/// id once it is known.
pub(crate) async fn parent_died(process_id: impl Fn() -> Option<u32>) {
    let mut interval = tokio::time::interval(PARENT_INTERVAL);
    let mut was_seen = false;
    loop {
        interval.tick().await;
        let Some(process_id) = process_id() else { continue };
        let lives = crate::signals::process_lives(process_id);
        // In a container the editor's process may be invisible from the start: then this tells us nothing.
        if was_seen && !lives {
            return;
        }
        was_seen |= lives;
    }
}
