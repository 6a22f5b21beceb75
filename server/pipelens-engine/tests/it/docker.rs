//! Docker alone.
