//! When this process is killed.
