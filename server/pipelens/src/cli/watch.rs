//! `pipelens run --watch`: runs again whenever the files of the project change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use pipelens_engine::event::RunOutcome;
use pipelens_engine::watch::{Exceptions, Found, Watch};
use tokio_util::sync::CancellationToken;

use super::checked::STANDARD_INPUT;
use super::files;
use super::output::{EXIT_USAGE, complain, tell};
use super::printable::printable;
use super::run::{self, RunArgs, SAME_SIGNAL, play, prepare, request, settings};
use crate::watching::{self, Rounds};
use crate::{present, project, source};

/// What `pipelens run` is asked to do.
#[derive(Debug, Args)]
pub(crate) struct RunCommand {
    #[command(flatten)]
    args: RunArgs,
    /// Run again whenever a file of the project changes that a step depends on, until Ctrl-C; a change during a run cancels it and starts anew
    #[arg(long)]
    watch: bool,
}

/// Runs what the arguments ask for, once or again and again, and returns the exit code.
pub(crate) async fn run(command: RunCommand) -> u8 {
    if command.watch { watch(command.args).await } else { run::run(command.args).await }
}

/// Runs what the arguments ask for until a signal arrives, and returns the exit code of the last round.
async fn watch(mut args: RunArgs) -> u8 {
    let mut watch = match open(&mut args).await {
        Ok(watch) => watch,
        Err(why) => {
            complain(&why);
            return EXIT_USAGE;
        }
    };
    let (stop, is_running) = (CancellationToken::new(), Arc::new(AtomicBool::new(true)));
    let signals = tokio::spawn(stop_at_signal(stop.clone(), Arc::clone(&is_running)));
    let mut session = Session {
        args: &args,
        exceptions: watch.exceptions(),
        stop: stop.clone(),
        is_running,
        has_run: false,
        code: 0,
    };
    watching::follow(&mut watch, &stop, &mut session).await;
    signals.abort();
    session.code
}

/// Begins to watch the project of the pipeline, which from now on is the same file.
async fn open(args: &mut RunArgs) -> Result<Watch, String> {
    let file = files::only(args.file.as_deref()).map_err(|error| format!("{error:#}"))?;
    if file.as_os_str() == STANDARD_INPUT {
        return Err("`--watch` needs a file: standard input cannot be read again".to_owned());
    }
    // A wrong name is not waited for.
    source::read(&file).map_err(|error| format!("{error:#}"))?;
    let absolute = std::path::absolute(&file).map_err(|error| error.to_string())?;
    let root = project::root_of(&absolute, &[]);
    let wanted = watching::request(&absolute, root, &settings(&args.options)?);
    args.file = Some(file);
    Watch::open(wanted).await.map_err(|error| error.sentence())
}

struct Session<'a> {
    args: &'a RunArgs,
    exceptions: Exceptions,
    stop: CancellationToken,
    is_running: Arc<AtomicBool>,
    /// Whether a round was not cancelled yet.
    has_run: bool,
    code: u8,
}

impl Rounds for Session<'_> {
    async fn run(&mut self, found: Found, cancel: CancellationToken) {
        self.is_running.store(true, Ordering::Relaxed);
        if let Some(changed) = watching::changed(&found) {
            say(&changed);
        }
        let options = &self.args.options;
        let (mut request, origin) = match prepare(self.args).and_then(|prepared| request(prepared, options)) {
            Ok(prepared) => prepared,
            Err(why) => {
                complain(&why);
                self.code = EXIT_USAGE;
                return;
            }
        };
        if let Some(cache) = &mut request.cache {
            // What earlier rounds have kept is not what the user wants to ignore.
            cache.is_read |= self.has_run;
        }
        if let Some(ignored) = watching::prepare(&mut request, found, &self.exceptions) {
            say(&ignored);
        }
        let outcome = play(request, &origin, options, &cancel, &self.stop).await;
        self.has_run |= outcome != RunOutcome::Cancelled;
        self.code = outcome.exit_code();
    }

    fn rest(&mut self, watch: &Watch) {
        self.is_running.store(false, Ordering::Relaxed);
        watch.take_notices().iter().for_each(|notice| say(notice));
        tell(&format!("Watching {}; press Ctrl-C to stop.", present::plural(watch.files(), "file")));
    }
}

/// Prints a sentence that may contain the name of a file.
fn say(sentence: &str) {
    tell(&crate::terminal::inert(&printable(sentence)));
}

/// The first signal ends the session, after the cleanup of a run; a second one does not wait for that.
async fn stop_at_signal(stop: CancellationToken, is_running: Arc<AtomicBool>) {
    crate::signals::terminated().await;
    if is_running.load(Ordering::Relaxed) {
        complain("Cancelling… press Ctrl-C again to exit without cleanup");
    }
    stop.cancel();
    tokio::time::sleep(SAME_SIGNAL).await;
    let code = crate::signals::terminated().await;
    std::process::exit(code.into());
}
