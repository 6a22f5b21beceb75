//! Versions as manifests state them, and the newest known one that a range allows.

/// A release as `major.minor`; a tool that only counts majors has the greatest minor.
pub(super) type Release = (u32, u32);

/// Returns a version number that can be part of an image's tag: `v20.1.0` is `20.1.0`.
pub(super) fn plain(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches(['v', 'V']);
    let is_number = |part: &str| !part.is_empty() && part.len() < 6 && part.bytes().all(|byte| byte.is_ascii_digit());
    (text.split('.').count() <= 3 && text.split('.').all(is_number)).then(|| text.to_owned())
}

/// Returns the first of the known releases that a range allows, in the notations of npm, pip, Poetry, Composer and Bundler.
pub(super) fn first_allowed(range: &str, known: &[Release]) -> Option<Release> {
    known.iter().copied().find(|release| allows(range, *release))
}

fn allows(range: &str, release: Release) -> bool {
    range.replace("||", "|").split('|').any(|alternative| {
        let joined = joined(alternative);
        joined
            .split([',', ' '])
            .filter(|comparison| !comparison.is_empty())
            .all(|comparison| meets(comparison, release))
    })
}

/// Returns an alternative without spaces after an operator, and with `1 - 2` as two comparisons.
fn joined(alternative: &str) -> String {
    let spaced = match alternative.split_once(" - ") {
        Some((low, high)) => format!(">={} <={}", low.trim(), high.trim()),
        None => alternative.to_owned(),
    };
    let mut text = String::with_capacity(spaced.len());
    for character in spaced.chars() {
        if !(character == ' ' && text.ends_with(['<', '>', '=', '~', '^', '!'])) {
            text.push(character);
        }
    }
    text
}

fn meets(comparison: &str, (major, minor): Release) -> bool {
    let version = comparison.trim_start_matches(['<', '>', '=', '~', '^', '!', 'v']);
    let operator = comparison.strip_suffix(version).unwrap_or_default().trim_end_matches('v');
    let parts: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
    let of = |count: usize| -> (Vec<u32>, Vec<u32>) {
        let own = [major, minor].into_iter().take(count.min(parts.len())).collect();
        (own, parts.iter().copied().take(count.min(2)).collect())
    };
    let ((start, wanted), (start_major, wanted_major)) = (of(2), of(1));
    if wanted.is_empty() {
        return true;
    }
    match operator {
        ">=" => start >= wanted,
        // A later patch of the same release is greater.
        ">" => start > wanted || (start == wanted && parts.len() == 3),
        "<" => start < wanted || (start == wanted && parts.get(2).is_some_and(|patch| *patch > 0)),
        "<=" => start <= wanted,
        "!=" => start != wanted || parts.len() == 3,
        "^" => start >= wanted && start_major == wanted_major,
        // pip: `~=3.11` allows 3.12, `~=3.11.2` does not; Bundler's `~>` is the same.
        "~=" | "~>" if parts.len() < 3 => start >= wanted && start_major == wanted_major,
        _ => start == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_chooses_the_newest_release_it_allows() {
        let python = [(3, 13), (3, 12), (3, 11), (3, 10), (3, 9), (2, 7)];
        for (range, expected) in [
            (">=3.9", (3, 13)),
            (">=3.9,<3.12", (3, 11)),
            (">= 3.9, < 4", (3, 13)),
            ("==3.11.*", (3, 11)),
            ("~=3.10", (3, 13)),
            ("~=3.10.2", (3, 10)),
            ("^3.8", (3, 13)),
            ("<=3.10", (3, 10)),
            ("!=3.13.*", (3, 12)),
            ("3.12.4", (3, 12)),
        ] {
            assert_eq!(first_allowed(range, &python), Some(expected), "{range}");
        }
        let node = [(24, u32::MAX), (22, u32::MAX), (20, u32::MAX), (18, u32::MAX)];
        for (range, expected) in [
            (">=18", 24),
            ("^20.1.0", 20),
            ("20.x", 20),
            ("18 || 20", 20),
            (">=18.0.0 <21", 20),
            ("18 - 22", 22),
            ("*", 24),
            ("<=20.5", 18),
        ] {
            let allowed = first_allowed(range, &node).map_or(24, |(major, _)| major);
            assert_eq!(allowed, expected, "{range}");
        }
    }

    #[test]
    fn only_numbers_become_part_of_an_image() {
        assert_eq!(plain("v20.1.0"), Some("20.1.0".to_owned()));
        assert_eq!(plain("3.12\n"), Some("3.12".to_owned()));
        for text in ["", "lts/*", "1.90; curl evil", "3.12-dev", "1.2.3.4", "1..2"] {
            assert_eq!(plain(text), None, "{text}");
        }
    }
}
