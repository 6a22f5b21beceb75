//! The cache mounts of steps on this machine: directories that are bound into a step's own view of the filesystem, or links where it has none.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use pipelens_core::plan::{CacheMount, DEFAULT_WORKDIR};

use crate::error::EngineError;
use crate::host::copy;
use crate::mounts::{Lease, Mounts, Wanted};
use crate::private;
use crate::step_context::StepContext;
use crate::stop::Interruption;

/// The name of the store and of the platform: whatever is on this machine is for this machine.
const HERE: &str = "host";

/// The mounts of one step, in use until this is dropped.
#[derive(Debug)]
pub(super) struct Mounting {
    leases: Vec<Lease>,
    mounted: Vec<Mounted>,
}

#[derive(Debug)]
struct Mounted {
    /// The path in the plan.
    path: String,
    from: PathBuf,
    at: At,
}

/// Where a step sees a mount.
#[derive(Debug, PartialEq, Eq)]
enum At {
    /// Relative to the workspace.
    Workspace(PathBuf),
    /// In the step's home.
    Home(PathBuf),
    Elsewhere(PathBuf),
}

/// A directory, and the path at which it is mounted.
#[derive(Debug)]
pub(super) struct Bind {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    /// As far as the kernel allows it.
    pub(super) is_read_only: bool,
}

impl Bind {
    pub(super) fn arguments(&self) -> [&OsStr; 3] {
        let access = if self.is_read_only { "ro" } else { "rw" };
        [self.from.as_os_str(), self.to.as_os_str(), OsStr::new(access)]
    }
}

impl Mounting {
    /// Waits until the step may use its mounts. If nothing outlives the run, they are empty directories in the step's own.
    pub(super) async fn begin(
        mounts: Option<&Mounts>,
        context: &StepContext,
        own: &Path,
    ) -> Result<Self, Interruption> {
        let wanted = &context.step().cache_mounts;
        let leases = match mounts {
            Some(mounts) => {
                let wanted: Vec<_> =
                    wanted.iter().map(|mount| Wanted { mount, engine: HERE, platform: HERE }).collect();
                mounts.lease(&wanted, |mount| context.report_wait(mount), &context.stop).await?
            }
            None => Vec::new(),
        };
        let home = home(context)?;
        let mut mounted = Vec::new();
        for (number, mount) in wanted.iter().enumerate() {
            let from = leases.get(number).map_or_else(|| own.join(format!("mount-{number}")), Lease::files);
            private::create_folder(&from).map_err(|source| failed(mount, source))?;
            mounted.push(Mounted { path: mount.path.clone(), from, at: place(mount, home.as_deref())? });
        }
        Ok(Self { leases, mounted })
    }

    /// Returns what is to be mounted in the step's view of the filesystem. `real` is its workspace, which it sees at `seen`.
    pub(super) fn binds(&self, context: &StepContext, real: &Path, seen: &Path) -> Result<Vec<Bind>, EngineError> {
        let mut binds = Vec::new();
        for Mounted { path, from, at } in &self.mounted {
            let failed = |source| EngineError::CacheMount { path: path.clone(), source };
            let to = match at {
                At::Workspace(inside) => {
                    make_folder(&real.join(inside)).map_err(failed)?;
                    seen.join(inside)
                }
                At::Home(to) => {
                    fs::create_dir_all(to).map_err(failed)?;
                    to.clone()
                }
                At::Elsewhere(to) => to.clone(),
            };
            if seen.starts_with(&to) || from.starts_with(&to) {
                return Err(failed(io::Error::other("pipelens itself keeps its files below it")));
            }
            // Nothing is created on this machine outside the user's home.
            if !to.is_dir() && *at == At::Elsewhere(to.clone()) {
                let key = &context.step().key;
                context.events.notice(format!(
                    "`{key}` runs without the cache mount `{path}`, because this machine has no such folder."
                ));
                continue;
            }
            binds.push(Bind { from: from.clone(), to, is_read_only: false });
        }
        Ok(binds)
    }

    /// Makes links to the mounts in the workspace, for a step without a view of its own.
    pub(super) fn link(&self, context: &StepContext, workspace: &Path) -> Result<(), EngineError> {
        for Mounted { path, from, at } in &self.mounted {
            match at {
                At::Workspace(inside) => {
                    link(from, &workspace.join(inside))
                        .map_err(|source| EngineError::CacheMount { path: path.clone(), source })?;
                }
                At::Home(_) | At::Elsewhere(_) => {
                    let key = &context.step().key;
                    context.events.notice(format!(
                        "`{key}` uses this machine's own `{path}` instead of a cache mount, because steps have no view of the file system of \
                         their own here."
                    ));
                }
            }
        }
        Ok(())
    }

    /// Removes the links, or what the step has put in their place: it is part of no result.
    pub(super) fn unlink(&self, workspace: &Path) -> Result<(), EngineError> {
        for Mounted { path, at, .. } in &self.mounted {
            if let At::Workspace(inside) = at {
                copy::remove_any(&workspace.join(inside))
                    .map_err(|source| EngineError::CacheMount { path: path.clone(), source })?;
            }
        }
        Ok(())
    }

    /// Returns locks that hold the mounts that no other step may use at the same time, for a process that outlives this one.
    pub(super) fn locks(&self) -> Vec<File> {
        self.leases.iter().filter(|lease| lease.is_exclusive).filter_map(|lease| lease.lock().ok()).collect()
    }

    pub(super) fn leases(&self) -> &[Lease] {
        &self.leases
    }
}

fn failed(mount: &CacheMount, source: io::Error) -> EngineError {
    EngineError::CacheMount { path: mount.path.clone(), source }
}

/// Returns the step's home.
fn home(context: &StepContext) -> Result<Option<PathBuf>, EngineError> {
    let own = context.variables()?.get("HOME").map(PathBuf::from);
    Ok(own.or_else(|| std::env::var_os("HOME").map(PathBuf::from)).filter(|home| home.is_absolute()))
}

fn place(mount: &CacheMount, home: Option<&Path>) -> Result<At, EngineError> {
    let path = Path::new(&mount.path);
    if let Ok(inside) = path.strip_prefix("~") {
        let home = home.ok_or_else(|| failed(mount, io::Error::other("`HOME` is not set")))?;
        return Ok(At::Home(home.join(inside)));
    }
    Ok(match path.strip_prefix(DEFAULT_WORKDIR) {
        Ok(inside) => At::Workspace(inside.to_owned()),
        Err(_) => At::Elsewhere(path.to_owned()),
    })
}

/// Makes a directory, in place of anything else that has its name.
fn make_folder(path: &Path) -> io::Result<()> {
    if !copy::is_folder(path) {
        copy::remove_any(path)?;
    }
    fs::create_dir_all(path)
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    copy::remove_any(to)?;
    to.parent().map_or(Ok(()), fs::create_dir_all)?;
    std::os::unix::fs::symlink(from, to)
}

#[cfg(not(unix))]
fn link(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
