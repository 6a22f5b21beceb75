//! Where symbolic links lead, as far as their text tells. Reads no files.

use std::path::{Component, Path, PathBuf};

/// Returns what a link leads to, relative to the working directory, which is at `roots`; `None` if that is outside. Links in the path are not
/// followed.
pub(super) fn resolved(link: &Path, target: &Path, roots: &[PathBuf]) -> Option<PathBuf> {
    let (from, target) = if target.has_root() {
        (Path::new(""), roots.iter().find_map(|root| target.strip_prefix(root).ok())?)
    } else {
        (link.parent().unwrap_or(Path::new("")), target)
    };
    let mut path = PathBuf::new();
    for part in from.components().chain(target.components()) {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// Returns the text of a link that leads to `path`. It climbs only at its beginning, out of real directories, so it leads nowhere else even if
/// there are other links on the way.
pub(super) fn text(link: &Path, path: &Path) -> PathBuf {
    let from: Vec<_> = link.parent().map(|parent| parent.components().collect()).unwrap_or_default();
    let to: Vec<_> = path.components().collect();
    let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n(Component::ParentDir, from.len() - shared);
    let text: PathBuf = up.chain(to.into_iter().skip(shared)).collect();
    if text.as_os_str().is_empty() { PathBuf::from(".") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_followed_only_inside_the_working_directory() {
        let lead = |link: &str, target: &str| {
            let path = resolved(Path::new(link), Path::new(target), &["/elsewhere".into(), "/work".into()])?;
            Some((path.display().to_string(), text(Path::new(link), &path).display().to_string()))
        };
        let found = |path: &str, text: &str| Some((path.to_owned(), text.to_owned()));
        assert_eq!(lead("lib/x.so", "x.so.1"), found("lib/x.so.1", "x.so.1"));
        assert_eq!(lead("lib/x.so", "./../lib//x.so.1"), found("lib/x.so.1", "x.so.1"));
        assert_eq!(lead("a/b/c", "../../d/e"), found("d/e", "../../d/e"));
        assert_eq!(lead("a/b/c", "/work/a/d"), found("a/d", "../d"));
        assert_eq!(lead("a/self", "."), found("a", "."));
        // Through another link, `x/../..` could lead anywhere; rewritten, it cannot.
        assert_eq!(lead("a/m", "b/x/../../d"), found("a/d", "d"));
        for outside in ["..", "../../etc/passwd", "/etc/passwd", "/workspace", "/work/../etc"] {
            assert_eq!(lead("link", outside), None, "{outside}");
        }
    }
}
