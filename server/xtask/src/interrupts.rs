//! An interrupt from the keyboard reaches the tests as well. The chore outlives it, for it has to clean up after them.

use anyhow::Result;

/// As long as this is held, an interrupt does not end the process.
#[cfg(unix)]
pub(crate) fn outlive() -> Result<impl Sized> {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let interrupts = {
        let _context = runtime.enter();
        signal(SignalKind::interrupt())?
    };
    Ok((interrupts, runtime))
}

/// On this system an interrupt ends the process at once.
#[cfg(not(unix))]
pub(crate) fn outlive() -> Result<impl Sized> {
    Ok(())
}
