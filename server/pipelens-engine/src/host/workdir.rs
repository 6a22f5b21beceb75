//! Where a working directory of the plan is on this machine.

use std::path::{Component, Path, PathBuf};

use pipelens_core::plan::DEFAULT_WORKDIR;

use crate::error::EngineError;

/// Returns the directory in a step's copy that corresponds to a working directory of the plan.
pub(super) fn on_host(workspace: &Path, workdir: &str) -> Result<PathBuf, EngineError> {
    let outside = || EngineError::WorkdirOutside { workdir: workdir.to_owned() };
    let inside = Path::new(workdir).strip_prefix(DEFAULT_WORKDIR).map_err(|_| outside())?;
    let climbs = inside.components().any(|part| !matches!(part, Component::Normal(_)));
    if climbs {
        return Err(outside());
    }
    // Joining nothing would add a slash.
    Ok(if inside.as_os_str().is_empty() { workspace.to_owned() } else { workspace.join(inside) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_folder_stays_in_the_copy() {
        let copy = Path::new("/copy");
        assert_eq!(on_host(copy, "/workspace").unwrap().as_os_str(), "/copy");
        assert_eq!(on_host(copy, "/workspace/web").unwrap(), Path::new("/copy/web"));
        for outside in ["/", "/srv", "/workspace2", "/workspace/../etc", "workspace"] {
            assert!(on_host(copy, outside).is_err(), "{outside}");
        }
    }
}
