//! The time of day, on any machine: a clock that was never set may show a date before 1970.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};

/// Returns the time of day.
pub fn now() -> DateTime<Utc> {
    // `Utc::now` panics before 1970.
    SystemTime::now().into()
}

/// Returns the time since 1970; before it, nothing.
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Returns the seconds since 1970, as the store has them.
pub(crate) fn seconds_now() -> i64 {
    i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX)
}
