//! Globs as pipelines write them.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Compiles a glob over the files of a project. A directory stands for everything in it.
pub(crate) fn globs(pattern: &str) -> Result<GlobSet, globset::Error> {
    let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
    let pattern = if pattern.is_empty() || pattern == "." { "**" } else { pattern };
    let glob = |pattern: &str| GlobBuilder::new(pattern).literal_separator(true).build();
    GlobSetBuilder::new().add(glob(pattern)?).add(glob(&format!("{pattern}/**"))?).build()
}
