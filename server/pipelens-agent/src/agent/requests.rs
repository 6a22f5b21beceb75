//! Hands each request to what carries it out, in a thread of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::sys::signal::Signal;

use super::command::Commands;
use super::jobs::{Job, JobState};
use super::listing::Listings;
use super::processes;
use super::reaper::Reaper;
use super::session::Session;
use super::{apply, archive, ask, files, network, push, shell};
use crate::protocol::message::{Answer, Control, Failure, Reason, Request, RequestId, ToAgent};

/// What is needed to carry out requests.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) session: Arc<Session>,
    pub(super) reaper: Arc<Reaper>,
    pub(super) listings: Arc<Listings>,
    pub(super) commands: Commands,
    /// The requests whose cancellation kills a command.
    running: Mutex<Option<RequestId>>,
}

/// A failure without a reason that the client acts upon.
pub(super) fn failure(sentence: impl Into<String>) -> Failure {
    Failure { reason: Reason::Other, sentence: sentence.into() }
}

impl Requests {
    pub(super) fn new(session: Arc<Session>, reaper: Arc<Reaper>, listings: Arc<Listings>) -> Self {
        Self { session, reaper, listings, commands: Commands::default(), running: Mutex::default() }
    }

    /// Takes the client's next message. Never waits.
    pub(super) fn take(self: &Arc<Self>, message: ToAgent) {
        match message {
            ToAgent::Control(request, Control::Start(what)) => self.start(request, what),
            ToAgent::Control(request, control) => {
                let mut state = self.session.state();
                let is_cancelled = state.jobs.get_mut(&request).is_some_and(|job| job.take(&control));
                drop(state);
                if is_cancelled && self.is_running(request) {
                    processes::signal_all(Signal::SIGKILL);
                }
            }
            ToAgent::Data(request, bytes) => {
                if let Some(job) = self.session.state().jobs.get_mut(&request) {
                    job.take_data(bytes);
                }
            }
        }
    }

    fn start(self: &Arc<Self>, request: RequestId, what: Request) {
        self.session.state().jobs.insert(request, JobState::new());
        let job = Job { session: Arc::clone(&self.session), request };
        match what {
            // Even if there are too many processes for another thread.
            Request::Terminate => return self.signal(&job, Signal::SIGTERM),
            Request::Kill => return self.signal(&job, Signal::SIGKILL),
            _ => {}
        }
        let (requests, own_job) = (Arc::clone(self), job.clone());
        let carry_out = move || {
            let answer = requests.carry_out(&own_job, what);
            own_job.answer(answer);
        };
        if let Err(error) = thread::Builder::new().name("request".into()).spawn(carry_out) {
            job.answer(Err(failure(format!("no thread could be started: {error}"))));
        }
    }

    fn signal(&self, job: &Job, signal: Signal) {
        processes::signal_all(signal);
        job.answer(Ok(Answer::Done));
    }

    fn carry_out(&self, job: &Job, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Run(request) => {
                if request.after_listing {
                    self.listings.current()?;
                }
                self.commands.run(self, job, &request)
            }
            Request::Terminate | Request::Kill => Ok(Answer::Done),
            Request::AwaitListing => self.listings.current().map(|listing| Answer::Listed(listing.summary())),
            Request::List => self.listings.renew().map(|listing| Answer::Listed(listing.summary())),
            Request::PushLayer(request) => push::push(job, &self.listings, &request).map(Answer::Pushed),
            Request::Apply(request) => apply::apply(job, &request).map(Answer::Applied),
            Request::Archive { path } => archive::archive(job, &path),
            Request::Stat { path } => files::stat(&path),
            Request::ReadSmallFile { path } => files::read_small_file(&path),
            Request::Identity => Ok(Answer::Identity(files::identity())),
            Request::Shell(request) => shell::run(self, job, &request),
            Request::Ask(request) => ask::ask(self, job, &request),
            Request::Listens { port } => Ok(Answer::Listens(network::listens(port))),
            Request::AddHosts(hosts) => network::add_hosts(&hosts).map(|()| Answer::Done),
        }
    }

    /// The command of this request runs from now on, and is killed when the request is cancelled.
    pub(super) fn set_running(&self, request: Option<RequestId>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = request;
    }

    fn is_running(&self, request: RequestId) -> bool {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) == Some(request)
    }
}
