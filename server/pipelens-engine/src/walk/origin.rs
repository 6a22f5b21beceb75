//! The address of the repository that a clone was made from, by which all clones of a project are recognised. Reads git's configuration itself: git
//! would also read files outside the project.

use std::path::Path;

use crate::walk::repository::Repository;

const MAX_CONFIG_BYTES: u64 = 256 * 1024;

/// Returns the address of the remote `origin` without its scheme and user, such as `example.com/team/project`: a clone by SSH and one by HTTPS are of the
/// same project. `None` if there is no such remote, or if it is a folder of this machine.
pub fn origin(root: &Path) -> Option<String> {
    let repository = Repository::of(root)?;
    let folders = repository.folders().ok()?;
    let config = folders.base.read(&folders.common.join("config"), MAX_CONFIG_BYTES).ok()?;
    place(&url_in(&String::from_utf8_lossy(&config))?)
}

/// Returns the last `url` of the section `[remote "origin"]`.
fn url_in(config: &str) -> Option<String> {
    let (mut is_origin, mut url) = (false, None);
    for line in config.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let name = section.split(']').next().unwrap_or_default().trim();
            let remote = name.get(..6).filter(|word| word.eq_ignore_ascii_case("remote")).and_then(|_| name.get(6..));
            is_origin = remote.is_some_and(|remote| remote.trim() == "\"origin\"");
        } else if is_origin
            && let Some((name, value)) = line.split_once('=')
            && name.trim().eq_ignore_ascii_case("url")
        {
            url = Some(value_of(value));
        }
    }
    url
}

/// Reads a value up to a comment; quotes only protect what is in them.
fn value_of(text: &str) -> String {
    let (mut value, mut is_quoted, mut characters) = (String::new(), false, text.trim().chars());
    while let Some(character) = characters.next() {
        match character {
            '"' => is_quoted = !is_quoted,
            '\\' => value.extend(characters.next()),
            '#' | ';' if !is_quoted => break,
            other => value.push(other),
        }
    }
    value.trim_end().to_owned()
}

/// Returns the host and the path in an address: a URL, or `user@host:path`.
fn place(url: &str) -> Option<String> {
    let (host, path) = match url.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => return None,
        Some((_, rest)) => rest.split_once('/')?,
        // `C:/folder`, `./folder:name`
        None => url.split_once(':').filter(|(host, _)| host.len() > 1 && !host.contains('/'))?,
    };
    let host = host.rsplit('@').next().unwrap_or(host);
    let host = host.rsplit_once(':').map_or(host, |(host, _port)| host).to_ascii_lowercase();
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
    (!host.is_empty() && !path.is_empty()).then(|| format!("{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_one_project_have_one_place() {
        let addresses = [
            "https://example.com/team/project.git",
            "https://user:token@Example.com/team/project/",
            "git@example.com:team/project.git",
            "ssh://git@example.com:2222/team/project",
            "example.com:/team/project",
        ];
        for address in addresses {
            assert_eq!(place(address).as_deref(), Some("example.com/team/project"), "{address}");
        }
        for address in ["/srv/git/project.git", "../project", "file:///srv/project", "C:/project", "", "https://", "x:"]
        {
            assert_eq!(place(address), None, "{address}");
        }
    }

    #[test]
    fn the_address_is_read_as_git_reads_it() {
        let config = "[core]\n\turl = no\n[remote \"upstream\"]\n\turl = no\n[Remote \"origin\"] # here\n\tfetch = x\n\tURL = \"https://a/#b\" ; c\n[branch \"origin\"]\nurl = no\n";
        assert_eq!(url_in(config).as_deref(), Some("https://a/#b"));
        assert_eq!(url_in("[remote \"origin\"]\n"), None);
        assert_eq!(url_in("[remoteé \"origin\"]\nurl = no\n[rem\nurl = no\n"), None);
    }

    #[test]
    fn a_folder_in_a_clone_has_its_origin() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(origin(folder.path()), None);
        std::fs::create_dir_all(folder.path().join(".git")).unwrap();
        std::fs::create_dir(folder.path().join("inside")).unwrap();
        std::fs::write(folder.path().join(".git/config"), "[remote \"origin\"]\nurl = https://a.example/b\n").unwrap();
        std::fs::write(folder.path().join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(origin(&folder.path().join("inside")).as_deref(), Some("a.example/b"));
    }
}
