//! What registries have answered to this process. Predictions while a user types believe it, so that they hardly ask; a run always asks. Asks nothing.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long it is believed that a registry does not have something, or that a name stands for the same.
const BELIEVED_FOR: Duration = Duration::from_secs(60);
const MOST_REMEMBERED: usize = 10_000;

static ANSWERS: LazyLock<Mutex<HashMap<Question, Answer>>> = LazyLock::new(Mutex::default);

/// A repository, and what it was asked about.
type Question = (String, String);

/// The digest of what is there, and when that was said.
type Answer = (Option<String>, Instant);

/// Returns whether a repository has something; `None`: that is not known any more. What it has is hardly ever removed.
pub(crate) fn has(repository: &str, what: &str) -> Option<bool> {
    let answers = ANSWERS.lock();
    let (digest, since) = answers.get(&(repository.to_owned(), what.to_owned()))?;
    (digest.is_some() || since.elapsed() < BELIEVED_FOR).then_some(digest.is_some())
}

/// Returns what a name stands for in a repository, which may be nothing; `None`: that is not known any more.
#[cfg(feature = "kubernetes")]
pub(crate) fn digest_of(repository: &str, name: &str) -> Option<Option<String>> {
    let answers = ANSWERS.lock();
    let (digest, since) = answers.get(&(repository.to_owned(), name.to_owned()))?;
    (since.elapsed() < BELIEVED_FOR).then(|| digest.clone())
}

/// Remembers the digest that a repository has of something; `None`: it does not have it.
pub(crate) fn remember(repository: &str, what: &str, digest: Option<String>) {
    let mut answers = ANSWERS.lock();
    if answers.len() >= MOST_REMEMBERED {
        answers.clear();
    }
    answers.insert((repository.to_owned(), what.to_owned()), (digest, Instant::now()));
}
