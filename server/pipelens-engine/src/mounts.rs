//! Folders that outlive runs and are part of no snapshot (`cache_mounts`): which one a step gets, who uses it, and how large it is. Each has a
//! directory with a lock and a record in the state directory; where its files are, only its runner knows. Knows neither Docker nor the host.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use pipelens_core::plan::{CacheMount, PlanStep, Sharing};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::clock::seconds_now;
use crate::error::EngineError;
use crate::fingerprint::{short_name, workspace_id};
use crate::locked_folder::hold;
use crate::owner::Owner;
use crate::private;
use crate::stop::{self, Interruption};

/// The workspace of mounts that the user lets all projects share.
pub(crate) const EVERY_WORKSPACE: &str = "";

/// The file next to the lock.
const RECORD: &str = "record.json";
/// The directory next to the lock in which a runner on this machine keeps the files.
const FILES: &str = "files";

const KIB: u64 = 1024;
/// How the path of a mount below the step's home begins.
const HOME: &str = "~/";
/// Looking up how large mounts are must not delay the end of a run for long.
pub(crate) const MEASURED_WITHIN: Duration = Duration::from_secs(10);

/// How often a mount that is in use is tried again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The mounts that one run uses.
#[derive(Debug, Clone)]
pub(crate) struct Mounts {
    folder: PathBuf,
    /// Identifies the state directory, so that users of one engine never get each other's mounts.
    cache_name: String,
    workspace: String,
    /// The names of mounts that all projects of the user share.
    shared_names: Arc<[String]>,
}

/// What is known about a mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MountRecord {
    /// Which store it is in: an engine's id, or this machine.
    pub(crate) engine: String,
    /// See [`EVERY_WORKSPACE`].
    pub(crate) workspace: String,
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Seconds since 1970.
    pub(crate) used_at: i64,
}

/// A mount that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptMount {
    pub(crate) id: String,
    pub(crate) record: MountRecord,
}

/// A mount in use. It is in use until this is dropped, or the process is gone.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: String,
    pub(crate) record: MountRecord,
    folder: PathBuf,
    lock: File,
    pub(crate) is_exclusive: bool,
}

/// A mount as a step wants it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) mount: &'a CacheMount,
    /// Which store it is in.
    pub(crate) engine: &'a str,
    /// For what kind of machine its files are.
    pub(crate) platform: &'a str,
}

impl Mounts {
    /// Returns the mounts of a project, of which the user lets all projects share those with some names.
    pub(crate) fn new(state_dir: &Path, project: &Path, shared_names: &[String]) -> Self {
        let root = project.canonicalize().unwrap_or_else(|_| project.to_owned());
        Self {
            folder: state_dir.join("cache-mounts"),
            cache_name: Owner::this_process().name_of_cache(state_dir),
            workspace: workspace_id(&root),
            shared_names: shared_names.into(),
        }
    }

    pub(crate) fn cache_name(&self) -> &str {
        &self.cache_name
    }

    /// Waits until a step may use its mounts, and calls `wait` once for each that it has to wait for. They are taken in the order of their ids, so that
    /// no two steps wait for each other. Returns them in the order in which they are wanted.
    pub(crate) async fn lease(
        &self,
        wanted: &[Wanted<'_>],
        wait: impl Fn(&CacheMount),
        stop: &CancellationToken,
    ) -> Result<Vec<Lease>, Interruption> {
        let mut ordered: Vec<(usize, String)> = wanted.iter().map(|wanted| self.id(wanted)).enumerate().collect();
        ordered.sort_by(|one, other| one.1.cmp(&other.1));
        let mut leases = Vec::new();
        for (position, id) in ordered {
            let Some(wanted) = wanted.get(position) else { continue };
            leases.push((position, self.lease_one(&id, wanted, &wait, stop).await?));
        }
        leases.sort_by_key(|(position, _)| *position);
        Ok(leases.into_iter().map(|(_, lease)| lease).collect())
    }

    async fn lease_one(
        &self,
        id: &str,
        wanted: &Wanted<'_>,
        wait: impl Fn(&CacheMount),
        stop: &CancellationToken,
    ) -> Result<Lease, Interruption> {
        let mut has_waited = false;
        let mut number = 0;
        loop {
            let id = if number == 0 { id.to_owned() } else { format!("{id}-{number}") };
            let is_exclusive = wanted.mount.sharing != Sharing::Shared;
            let folder = self.folder.join(&id);
            if let Some(lock) = hold(&folder, is_exclusive).map_err(|source| self.failed(source))? {
                let record = self.record(wanted, &folder);
                write_record(&folder, &record).map_err(|source| self.failed(source))?;
                return Ok(Lease { id, record, folder, lock, is_exclusive });
            }
            if wanted.mount.sharing == Sharing::Private {
                number += 1;
                continue;
            }
            if !std::mem::replace(&mut has_waited, true) {
                wait(wanted.mount);
            }
            let pause = tokio::time::sleep(ASK_AGAIN_AFTER).map(Ok::<(), Interruption>);
            stop::unless_stopped(stop, pause).await?;
        }
    }

    /// Returns the record of a mount that is about to be used.
    fn record(&self, wanted: &Wanted<'_>, folder: &Path) -> MountRecord {
        MountRecord {
            engine: wanted.engine.to_owned(),
            workspace: self.workspace_of(wanted.mount).to_owned(),
            name: wanted.mount.name.clone(),
            bytes: read_record(folder).map_or(0, |record| record.bytes),
            used_at: seconds_now(),
        }
    }

    fn workspace_of(&self, mount: &CacheMount) -> &str {
        if self.shared_names.contains(&mount.name) { EVERY_WORKSPACE } else { &self.workspace }
    }

    fn id(&self, Wanted { mount, engine, platform }: &Wanted<'_>) -> String {
        let parts = [self.cache_name.as_str(), engine, self.workspace_of(mount), platform, &mount.name];
        short_name(parts.map(escaped).join("\0"))
    }

    /// Returns the mounts in one store or all, of one workspace or all.
    pub(crate) fn kept(&self, engine: Option<&str>, workspace: Option<&str>) -> Vec<KeptMount> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let kept = entries.flatten().filter_map(|entry| {
            let id = entry.file_name().into_string().ok()?;
            Some(KeptMount { id, record: read_record(&entry.path())? })
        });
        let is_wanted = |kept: &KeptMount| {
            engine.is_none_or(|engine| kept.record.engine == engine)
                && workspace.is_none_or(|workspace| kept.record.workspace == workspace)
        };
        kept.filter(is_wanted).collect()
    }

    /// Takes a kept mount to remove it; `None`: it is in use, or gone.
    pub(crate) fn take(&self, id: &str) -> Option<Lease> {
        let folder = self.folder.join(id);
        let record = read_record(&folder)?;
        let lock = hold(&folder, true).ok().flatten()?;
        Some(Lease { id: id.to_owned(), record, folder, lock, is_exclusive: true })
    }

    fn failed(&self, source: io::Error) -> EngineError {
        EngineError::File { doing: "Preparing a cache mount", path: self.folder.clone(), source }
    }
}

impl Lease {
    /// Returns the directory for the files of a mount on this machine.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.join(FILES)
    }

    /// Returns a lock that holds the mount as long as this one, also in another process.
    pub(crate) fn lock(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    /// Returns how to record how large the mount is, once that is known.
    pub(crate) fn meter(&self) -> Meter {
        Meter { folder: self.folder.clone(), record: self.record.clone() }
    }

    /// Forgets a mount whose files have been removed.
    pub(crate) fn forget(self) -> io::Result<()> {
        // The lock last: until then, it is locked, and after that, whoever waits for it makes a new one.
        fs::remove_file(self.folder.join(RECORD))?;
        fs::remove_file(self.folder.join(crate::locked_folder::LOCK))?;
        // Someone may be making a new one.
        fs::remove_dir(&self.folder).ok();
        Ok(())
    }
}

/// Records how large a mount is.
#[derive(Debug)]
pub(crate) struct Meter {
    folder: PathBuf,
    record: MountRecord,
}

impl Meter {
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.join(FILES)
    }

    /// If the mount has been removed meanwhile, nothing is recorded.
    pub(crate) fn set(self, bytes: u64) {
        write_record(&self.folder, &MountRecord { bytes, ..self.record }).ok();
    }
}

/// Whether a step may run in the container or the pod of another one, as far as their mounts are concerned: they are mounted when it is made. A
/// private one may belong to another step by then.
pub(crate) fn are_same(one: &PlanStep, other: &PlanStep) -> bool {
    let is_private = |mount: &CacheMount| mount.sharing == Sharing::Private;
    let home = |step: &PlanStep| step.env.get("HOME").cloned();
    one.cache_mounts == other.cache_mounts
        && one.git == other.git
        && !one.cache_mounts.iter().any(is_private)
        && (one.cache_mounts.is_empty() || home(one) == home(other))
}

/// Returns the paths of a step's mounts in its container. `home` looks up the home of the step's command, if a mount is below it.
pub(crate) async fn places(
    mounts: &[CacheMount],
    home: impl Future<Output = Result<String, EngineError>>,
) -> Result<Vec<String>, EngineError> {
    let refused = |mount: &CacheMount, reason: String| EngineError::CacheMount {
        path: mount.path.clone(),
        source: io::Error::other(reason),
    };
    let home = match mounts.iter().find(|mount| mount.path.starts_with(HOME)) {
        None => String::new(),
        Some(mount) => {
            let home = home.await?;
            if !home.starts_with('/') {
                return Err(refused(mount, format!("the step's home is `{home}`, which is no absolute path")));
            }
            home
        }
    };
    let mut places: Vec<String> = Vec::with_capacity(mounts.len());
    for mount in mounts {
        let place = match mount.path.strip_prefix(HOME) {
            Some(inside) => format!("{}/{inside}", home.trim_end_matches('/')),
            None => mount.path.clone(),
        };
        if places.contains(&place) {
            return Err(refused(mount, "another one of this step is at the same path".to_owned()));
        }
        places.push(place);
    }
    Ok(places)
}

/// Records the sizes of mounts, by their paths, as `du -sk` has printed them.
pub(crate) fn record_sizes(printed: &str, meters: impl IntoIterator<Item = (String, Meter)>) {
    for (path, meter) in meters {
        if let Some(bytes) = size_in(printed, &path) {
            meter.set(bytes);
        }
    }
}

/// Returns the size of a folder in what `du -sk` has printed.
fn size_in(printed: &str, path: &str) -> Option<u64> {
    let size = |line: &str| {
        let (kib, measured) = line.split_once('\t')?;
        (measured == path).then(|| kib.trim().parse::<u64>().ok()).flatten()
    };
    printed.lines().find_map(size).map(|kib| kib.saturating_mul(KIB))
}

/// Returns a text without zero bytes; different ones stay different.
fn escaped(text: &str) -> String {
    text.replace('\u{1}', "\u{1}\u{1}").replace('\0', "\u{1}\u{2}")
}

fn read_record(folder: &Path) -> Option<MountRecord> {
    serde_json::from_slice(&fs::read(folder.join(RECORD)).ok()?).ok()
}

/// Replaces the record as a whole, because others may read it at any time.
fn write_record(folder: &Path, record: &MountRecord) -> io::Result<()> {
    let new = tempfile_name(folder);
    private::write(&new, &serde_json::to_vec(record)?)?;
    fs::rename(&new, folder.join(RECORD))
}

fn tempfile_name(folder: &Path) -> PathBuf {
    folder.join(format!("record-{}", uuid::Uuid::new_v4().simple()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What decides which mount a step gets: user, project, engine, platform, name.
    type Identity = [String; 5];

    fn id([user, project, engine, platform, name]: &Identity, shared_names: &[String]) -> String {
        let mounts = Mounts {
            folder: PathBuf::new(),
            cache_name: user.clone(),
            workspace: format!("workspace {project}"),
            shared_names: shared_names.into(),
        };
        let mount = CacheMount { path: "/any".to_owned(), name: name.clone(), sharing: Sharing::Shared };
        mounts.id(&Wanted { mount: &mount, engine, platform })
    }

    /// Few different characters, so that many are equal, and those that separate and escape the parts.
    fn identity() -> impl Strategy<Value = Identity> {
        proptest::array::uniform5("[a/~\\x00\\x01\\x02]{0,2}")
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn two_steps_get_the_same_mount_exactly_if_everything_is_the_same(
            one in identity(),
            other in identity(),
            same in proptest::array::uniform5(any::<bool>()),
        ) {
            let other: Identity =
                std::array::from_fn(|part| if same[part] { one[part].clone() } else { other[part].clone() });
            prop_assert_eq!(id(&one, &[]) == id(&other, &[]), one == other);
        }

        #[test]
        fn only_a_name_that_the_user_shares_is_the_same_in_two_projects(one in identity(), project in "[ab]{0,2}") {
            let mut other = one.clone();
            other[1] = project;
            let shared = [one[4].clone()];
            prop_assert_eq!(id(&one, &shared), id(&other, &shared));
            other[4].push('x');
            prop_assert_ne!(id(&one, &shared), id(&other, &shared));
        }
    }
}
