//! Copies a step's artifacts from the filesystem it left into a directory of their own, and never anywhere else. Knows nothing about engines.

pub(crate) mod archives;
mod links;
pub(crate) mod passing;
pub(crate) mod taking;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::{Buf as _, Bytes};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use tokio::sync::mpsc;

use crate::artifacts::passing::Delivery;
use crate::error::EngineError;
use crate::files::readable_size;
use crate::limits::{Full, Room};
use crate::sources::is_below;

/// Which artifacts a step has, and where they go.
#[derive(Debug, Clone)]
pub(crate) struct Artifacts {
    globs: GlobSet,
    patterns: Vec<String>,
    /// The paths of cache mounts, relative to the working directory: nothing in them is an artifact.
    mounts: Vec<PathBuf>,
    /// For the artifacts of this step alone.
    pub(crate) target: PathBuf,
    /// Where the steps that need them learn what was copied.
    delivery: Delivery,
    /// Whether they are from a failed step that was to hand back none.
    pub(crate) is_kept_apart: bool,
    room: Room,
    /// The limit for all artifacts of the run together.
    limit_bytes: u64,
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) files: u64,
    /// Not counting holes.
    pub(crate) bytes: u64,
    /// How many files did not fit.
    pub(crate) left_out: u64,
    /// The first file that did not fit, and why.
    pub(crate) first_left_out: Option<(PathBuf, Full)>,
    /// How many links lead to something that cannot be copied with them.
    pub(crate) links_left_out: u64,
    pub(crate) first_link_left_out: Option<PathBuf>,
}

impl Artifacts {
    pub(crate) fn new(
        patterns: &[String],
        target: PathBuf,
        delivery: Delivery,
        room: Room,
        limit_bytes: u64,
    ) -> Result<Self, EngineError> {
        let glob = |pattern: &str| GlobBuilder::new(pattern).literal_separator(true).build();
        let mut globs = GlobSetBuilder::new();
        let patterns: Vec<String> = patterns.iter().map(|pattern| plain(pattern)).collect();
        for pattern in &patterns {
            let bad = |error: globset::Error| EngineError::Refused {
                doing: "look for the artifacts",
                reason: format!("`{pattern}` is not a valid pattern: {error}"),
            };
            globs.add(glob(pattern).map_err(bad)?);
            // A folder means everything in it.
            globs.add(glob(&format!("{pattern}/**")).map_err(bad)?);
        }
        let none =
            |error: globset::Error| EngineError::Refused { doing: "look for the artifacts", reason: error.to_string() };
        Ok(Self {
            globs: globs.build().map_err(none)?,
            patterns,
            mounts: Vec::new(),
            target,
            delivery,
            is_kept_apart: false,
            room,
            limit_bytes,
        })
    }

    /// Leaves out what is in cache mounts.
    pub(crate) fn outside(self, mounts: Vec<PathBuf>) -> Self {
        Self { mounts, ..self }
    }

    fn is_mounted(&self, path: &Path) -> bool {
        is_below(path, &self.mounts)
    }

    /// Returns the same artifacts for another folder, from which no step gets them.
    pub(crate) fn kept_apart(&self, target: PathBuf) -> Self {
        Self { target, delivery: Delivery::default(), is_kept_apart: true, ..self.clone() }
    }

    /// Returns the directories, relative to the working directory, that contain everything the patterns can match; the empty path is the whole.
    pub(crate) fn places(&self) -> Vec<String> {
        let mut places: Vec<String> = self.patterns.iter().map(|pattern| literal_start(pattern)).collect();
        places.sort();
        places.dedup();
        // A directory inside another one is searched with it.
        let all = places.clone();
        places.retain(|place| !all.iter().any(|other| other != place && is_in(place, other)));
        places
    }

    /// Returns a sentence about what was copied.
    pub(crate) fn summary(&self, step: &str, taken: &Taken) -> String {
        if taken.files == 0 && taken.left_out == 0 && taken.links_left_out == 0 {
            return format!("No file of step `{step}` matches `{}`.", self.patterns.join("`, `"));
        }
        let files = counted_files(taken.files);
        let mut text =
            format!("Artifacts of `{step}`: {files}, {}, in `{}`.", readable_size(taken.bytes), self.target.display());
        if let Some((first, full)) = &taken.first_left_out {
            let why = match full {
                Full::Limit(limit) => format!("the artifacts of a run are limited to {}", readable_size(*limit)),
                Full::Disk => "the disk is almost full".to_owned(),
            };
            let (files, first) = (counted_files(taken.left_out), first.display());
            text.push_str(&format!(" Left out: {files}, starting with `{first}`, because {why}."));
        }
        if let Some(first) = &taken.first_link_left_out {
            let first = first.display();
            text.push_str(&match taken.links_left_out {
                1 => format!(" Left out: the link `{first}`, because it leads to no file in the working directory."),
                links => format!(
                    " Left out: {links} links, starting with `{first}`, because they lead to no file in the working directory."
                ),
            });
        }
        text
    }
}

impl Taken {
    fn leave_out(&mut self, file: PathBuf, full: Full) {
        self.left_out += 1;
        self.first_left_out.get_or_insert((file, full));
    }

    fn leave_out_link(&mut self, link: PathBuf) {
        self.links_left_out += 1;
        self.first_link_left_out.get_or_insert(link);
    }
}

pub(crate) fn counted_files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn plain(pattern: &str) -> String {
    let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
    if pattern.is_empty() || pattern == "." { "**".to_owned() } else { pattern.to_owned() }
}

/// Returns the part of a pattern before the first wildcard, as a path; a plain path is returned unchanged.
fn literal_start(pattern: &str) -> String {
    let parts: Vec<&str> = pattern.split('/').collect();
    let literal = parts.iter().take_while(|part| !part.contains(['*', '?', '[', ']', '{', '}', '\\'])).copied();
    literal.collect::<Vec<_>>().join("/")
}

fn is_in(place: &str, other: &str) -> bool {
    other.is_empty() || place.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
}

/// Reads an asynchronous stream on a thread that may block.
pub(crate) struct StreamedBytes {
    pub(crate) chunks: mpsc::Receiver<io::Result<Bytes>>,
    pub(crate) rest: Bytes,
}

impl Read for StreamedBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(0),
            }
        }
        let count = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
