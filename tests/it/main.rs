//! The real binary, as an editor, a terminal and a signal meet it. One binary for all, so that it links once.

mod client;
mod support;

mod cli;
mod documents;
mod layers;
mod lifecycle;
mod nvim;
mod runs;
mod transport;
