//! Links out of the file: images to their registry's page, and words that look like paths.

use crate::analysis::Analysis;
use crate::model::{CachePolicy, Pipeline};
use crate::text::{Spanned, TextRange};
use crate::validate::{is_image, split_image};

/// A place that leads somewhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub range: TextRange,
    pub target: LinkTarget,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkTarget {
    /// A web page.
    Url(String),
    /// Relative to the project. Whether it exists is for the caller to check.
    Path(String),
}

/// Returns every link of the document, in text order.
pub fn links(analysis: &Analysis) -> Vec<Link> {
    let mut links = Vec::new();
    for pipeline in &analysis.pipelines {
        add_images(pipeline, &mut links);
        for step in &pipeline.steps {
            if let Some(cmd) = &step.cmd {
                add_words(&analysis.text, cmd.range, &mut links);
            }
            if let Some(cache) = &step.cache {
                add_paths(&cache.value.policy, &mut links);
            }
        }
    }
    links.sort_by_key(|link| link.range);
    // An alias makes one value belong to several steps.
    links.dedup_by_key(|link| link.range);
    links
}

fn add_images(pipeline: &Pipeline, links: &mut Vec<Link>) {
    let images = pipeline.default_image.iter().chain(pipeline.steps.iter().filter_map(|step| step.image.as_ref()));
    links.extend(
        images.filter_map(|image| Some(Link { range: image.range, target: LinkTarget::Url(page(&image.value)?) })),
    );
}

fn add_paths(policy: &CachePolicy, links: &mut Vec<Link>) {
    match policy {
        CachePolicy::None | CachePolicy::Forever { .. } | CachePolicy::Ttl { .. } => {}
        CachePolicy::OnChange { paths } => links.extend(paths.iter().filter(|path| !is_glob(path)).map(path_link)),
        CachePolicy::Compose { sub_policies } => sub_policies.iter().for_each(|policy| add_paths(policy, links)),
    }
}

fn path_link(path: &Spanned<String>) -> Link {
    Link { range: path.range, target: LinkTarget::Path(path.value.clone()) }
}

fn is_glob(path: &Spanned<String>) -> bool {
    path.value.contains(['*', '?', '[', '{', '!'])
}

/// Adds the words of a command that have a folder or an extension, as paths in a project do.
fn add_words(text: &str, cmd: TextRange, links: &mut Vec<Link>) {
    let Some(source) = text.get(cmd.start..cmd.end) else { return };
    let is_path = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '/');
    let mut start = 0;
    for word in source.split(|character: char| !is_path(character)) {
        let before = source.get(..start).and_then(|before| before.chars().next_back());
        let range = TextRange::new(cmd.start + start, cmd.start + start + word.len());
        start += word.len()
            + source.get(start + word.len()..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let relative = word.strip_prefix("./").unwrap_or(word);
        let is_inner = relative.contains('/')
            || relative.rsplit_once('.').is_some_and(|(stem, ending)| !stem.is_empty() && !ending.is_empty());
        let is_ours = is_inner && !relative.starts_with(['/', '.', '-']) && !relative.contains("..");
        // `$DIR/x`, `~/x` and `https://x` are elsewhere.
        if is_ours && !matches!(before, Some('$' | '~' | ':' | '}' | '@' | '=' | '\\')) {
            links.push(Link { range, target: LinkTarget::Path(relative.to_owned()) });
        }
    }
}

/// Returns the page that describes an image, if it can be derived from the image's name.
fn page(image: &str) -> Option<String> {
    // Anything else may be the address of something different.
    if !is_image(image) {
        return None;
    }
    let (name, _, _) = split_image(image);
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        Some(_) | None => ("docker.io", name),
    };
    if path.is_empty()
        || path.contains(|character: char| !(character.is_ascii_alphanumeric() || "._-/".contains(character)))
    {
        return None;
    }
    match host {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => {
            Some(match path.strip_prefix("library/").unwrap_or(path) {
                official if !official.contains('/') => format!("https://hub.docker.com/_/{official}"),
                owned => format!("https://hub.docker.com/r/{owned}"),
            })
        }
        "ghcr.io" => Some(format!("https://ghcr.io/{path}")),
        "quay.io" => Some(format!("https://quay.io/repository/{path}")),
        "public.ecr.aws" => Some(format!("https://gallery.ecr.aws/{path}")),
        "mcr.microsoft.com" => Some(format!("https://mcr.microsoft.com/en-us/artifact/mar/{path}/about")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn an_image_links_to_its_registrys_page() {
        assert_eq!(page("rust:1.95").as_deref(), Some("https://hub.docker.com/_/rust"));
        assert_eq!(page("docker.io/library/rust").as_deref(), Some("https://hub.docker.com/_/rust"));
        assert_eq!(
            page(&format!("grafana/k6@sha256:{}", "0".repeat(64))).as_deref(),
            Some("https://hub.docker.com/r/grafana/k6")
        );
        assert_eq!(page("ghcr.io/astral-sh/uv:0.9").as_deref(), Some("https://ghcr.io/astral-sh/uv"));
        assert_eq!(page("quay.io/podman/stable").as_deref(), Some("https://quay.io/repository/podman/stable"));
        assert_eq!(page("registry.internal:5000/a/b:1"), None);
        assert_eq!(page("$IMAGE"), None);
        for none in ["ghcr.io/../../x", "javascript:alert/1", "a//b", "quay.io/a?b", "ghcr.io/A/b", "a b"] {
            assert_eq!(page(none), None, "{none}");
        }
    }
}
