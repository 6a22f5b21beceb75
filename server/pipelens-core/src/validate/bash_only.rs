//! What bash reads in a command and the `sh` of the step's image may not.

use super::commands::Written;
use super::lint;
use crate::diagnostic::{Code, Diagnostic, MAX_RELATED, Severity};
use crate::shell::BashOnly;
use crate::text::TextEdit;

/// Images whose `sh` is busybox, and those whose `sh` is bash, by the last part of their name.
const BUSYBOX_IMAGES: [&str; 2] = ["alpine", "busybox"];
const BASH_IMAGES: [&str; 9] =
    ["fedora", "centos", "rockylinux", "almalinux", "amazonlinux", "archlinux", "oraclelinux", "ubi8", "ubi9"];
const DASH_IMAGES: [&str; 2] = ["debian", "ubuntu"];

/// What is known about the `sh` of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sh {
    Bash,
    Busybox,
    Dash,
    Unknown,
}

/// Returns one finding for a command: about the first construct, with the others as related places.
pub(super) fn finding(
    written: &Written<'_>,
    found: &[BashOnly],
    image: Option<&str>,
    can_be_chosen: bool,
) -> Option<Diagnostic> {
    let sh = image.map_or(Sh::Unknown, sh_of);
    // What the image's `sh` is known not to read comes first.
    let first = found.iter().find(|one| sh == Sh::Busybox && !one.feature.is_in_busybox()).or(found.first())?;
    let shown = shown(first.range.of(&written.cmd.value));
    let consequence = match sh {
        Sh::Bash => "bash in this image, but not in every other",
        Sh::Busybox if first.feature.is_in_busybox() => {
            "busybox in this image, which reads it; dash in others does not"
        }
        Sh::Busybox => "busybox in this image",
        Sh::Dash => "dash in this image",
        Sh::Unknown if first.feature.is_in_busybox() => "dash in many images, which does not read it",
        Sh::Unknown => "dash or busybox in many images, which do not read it",
    };
    let who = if first.feature.is_in_busybox() { "Bash and busybox read" } else { "Only bash reads" };
    let message = format!(
        "{who} {shown}, but `cmd` is run by `sh`, which is {consequence}. {}, or {}.",
        first.feature.advice(),
        if can_be_chosen { "set `shell: bash`" } else { "put the script into a file and run it with `bash`" },
    );
    let mut finding = Diagnostic::new(Code::BashOnly, written.visible_place(first.range), message);
    if sh == Sh::Bash || (sh == Sh::Busybox && first.feature.is_in_busybox()) {
        finding.severity = Severity::Hint;
    }
    for other in found.iter().filter(|other| *other != first).take(MAX_RELATED) {
        let message = format!("{}, too", self::shown(other.range.of(&written.cmd.value)));
        finding = finding.with_related(written.visible_place(other.range), message);
    }
    finding.fixes.extend(fix(written, found));
    Some(finding)
}

/// Rewrites every construct, if each has a form that all shells read.
fn fix(written: &Written<'_>, found: &[BashOnly]) -> Option<crate::diagnostic::Fix> {
    if found.iter().any(|one| one.edits.is_empty()) {
        return None;
    }
    let mut edits: Vec<TextEdit> = found.iter().flat_map(|one| one.edits.clone()).collect();
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let overlaps = edits.windows(2).any(|pair| matches!(pair, [one, next] if one.range.end > next.range.start));
    if overlaps {
        return None;
    }
    let offsets = written.offsets()?;
    let is_safe = found.iter().all(|one| one.feature.has_safe_edits());
    lint::command_fix(written.text, written.cmd, offsets, &edits, "Write it for every shell", is_safe)
}

fn shown(written: &str) -> String {
    let first = written.lines().next().unwrap_or_default();
    if first.contains('`') { "this".to_owned() } else { format!("`{first}`") }
}

fn sh_of(image: &str) -> Sh {
    let (name, tag, _) = super::image::split(image);
    let last = name.rsplit('/').next().unwrap_or_default();
    let tag = tag.unwrap_or_default();
    let has_word =
        |word: &str| tag.split(['-', '.']).any(|part| part.trim_end_matches(|c: char| c.is_ascii_digit()) == word);
    if BUSYBOX_IMAGES.contains(&last) || BUSYBOX_IMAGES.iter().any(|word| has_word(word)) {
        Sh::Busybox
    } else if BASH_IMAGES.contains(&last) {
        Sh::Bash
    } else if DASH_IMAGES.contains(&last)
        || ["bookworm", "bullseye", "trixie", "slim"].iter().any(|word| has_word(word))
    {
        Sh::Dash
    } else {
        Sh::Unknown
    }
}
