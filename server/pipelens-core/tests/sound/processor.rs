//! Time of the processor, not of the clock: others may be busy on the machine.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub(crate) fn cost(work: impl FnOnce()) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
    };
    let start = now();
    work();
    now() - start
}
