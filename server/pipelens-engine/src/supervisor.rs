//! Runs one command after another in one container: each command is sent over a byte stream to a shell of ours, the supervisor. Knows
//! neither the engine nor how the stream was opened.
//!
//! It also keeps commands, variables and secrets from leaving a trace in the container.
//!
//! Whatever a container is created with becomes part of the image that is committed from it. So all a container is
//! created with is [`SCRIPT`], the same for every step: it runs one command after another, each of which arrives as one line on
//! standard input. The line sets the variables and becomes the step's shell. Nothing but `sh` is needed in the
//! image, and only a command that is too long for an argument is written anywhere: to `/dev/shm`, which is memory and belongs
//! to no layer.
//!
//! Starting a container costs two hundred times as much as starting a process, so the steps of a chain share one. A step must not
//! be able to notice. Processes: `kill -KILL -1` until the kernel reports that no process is left. Variables, directory, limits, umask:
//! each step's shell is a new child. The line itself is read by that child, so that the supervisor's memory never holds a secret
//! of an earlier step. What lives outside the filesystem and yet outlives processes (`/dev`, `/dev/shm`, System V memory, the
//! files the engine mounts) is compared with its earlier state; the supervisor reports a difference, and the next step gets a new container.
//! If no step comes next, nothing is compared or waited for, and the container exits by itself: that takes the engine longer than anything
//! except the start, and nothing has to wait for it, because the report has already arrived.
//!
//! Standard input stays open on our side for as long as we live. Alongside each command, a second shell of ours, the watcher, reads from it:
//! a line requests TERM for every process, and the end of the stream (we were killed, the connection broke) ends the container.

mod command;
mod conversation;
mod report;
mod script;

pub(crate) use command::{NEWLINE_VARIABLE, StepCommand, quoted, trust_folders};
pub(crate) use conversation::{Activity, Conversation, Frame, Outcome, OutputSink, Streams};
pub(crate) use report::State;
pub(crate) use script::{SCRIPT, TERM_LINE, Then};
