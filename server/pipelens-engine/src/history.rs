//! What a step with `git: true` gets of the project's repository: `HEAD`, the refs, the commits and the index. Read without running git, and
//! written anew, so that no hook, remote, password or other work tree's data is in it.

mod objects;
mod packed;
mod parts;
mod refs;

use std::path::{Path, PathBuf};

use crate::files::{ProjectFolder, Unreadable};
use crate::fingerprint::digest;
pub(crate) use crate::history::objects::ObjectFolder;
pub(crate) use crate::history::parts::HistoryFile;
use crate::history::parts::{MAX_CONFIG_BYTES, MAX_LIST_BYTES, MAX_POINTER_BYTES, file, optional};
use crate::walk::{GitFolders, Repository};

/// A repository as steps see it.
#[derive(Debug)]
pub(crate) struct History {
    /// Everything but the objects, by path in `.git`; a folder comes before its files.
    pub(crate) files: Vec<HistoryFile>,
    /// Where the objects are; the repository's own come first.
    pub(crate) objects: Vec<ObjectFolder>,
    /// Folders with objects of other repositories, which are not given to steps without the user's consent.
    pub(crate) not_borrowed: Vec<PathBuf>,
    /// Identifies `HEAD` and the refs.
    pub(crate) digest: String,
}

impl History {
    /// Reads the repository of a project. `may_borrow`: objects of another repository are included, if this one says that it borrows them. The error is the end of a sentence that says why there is none. Blocks on the disk.
    pub(crate) fn of(root: &Path, may_borrow: bool) -> Result<Self, String> {
        let repository = Repository::of(root).ok_or("the project is in no git repository")?;
        let unreadable = |error: &Unreadable| format!("the git repository cannot be read: {error}");
        let folders = repository.folders().map_err(unreadable)?;
        let is_whole = repository.top() == root;
        Self::read(folders, is_whole, may_borrow)
            .map_err(|(name, error)| format!("`{name}` of the git repository: {error}"))
    }

    fn read(folders: &GitFolders, is_whole: bool, may_borrow: bool) -> Result<Self, (String, Unreadable)> {
        let GitFolders { base, own, common, .. } = folders;
        let named = |name: &str| {
            let name = name.to_owned();
            move |error| (name, error)
        };
        let head = base.read(&own.join("HEAD"), MAX_POINTER_BYTES).map_err(named("HEAD"))?;
        let config = optional(base, &common.join("config"), MAX_CONFIG_BYTES).map_err(named("config"))?;
        let config = String::from_utf8_lossy(&config.unwrap_or_default()).into_owned();
        let mut history =
            Self { files: Vec::new(), objects: Vec::new(), not_borrowed: Vec::new(), digest: String::new() };
        for folder in ["objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags"] {
            history.files.push(HistoryFile { path: folder.into(), content: None });
        }
        history.add("HEAD", head);
        refs::add(&mut history.files, folders).map_err(|error| ("refs".to_owned(), error))?;
        history.digest = digest_of(&history.files);
        history.add("config", own_config(&config).into_bytes());
        let shallow = optional(base, &common.join("shallow"), MAX_LIST_BYTES).map_err(named("shallow"))?;
        history.files.extend(shallow.map(|content| HistoryFile { path: "shallow".into(), content: Some(content) }));
        if is_whole {
            history.add_index(base, own);
        }
        (history.objects, history.not_borrowed) = objects::find(folders, may_borrow);
        Ok(history)
    }

    fn add(&mut self, path: impl Into<PathBuf>, content: Vec<u8>) {
        self.files.push(file(path, content));
    }

    /// Adds the index, with the part of it that rarely changes. Without it only `git status` suffers.
    fn add_index(&mut self, base: &ProjectFolder, own: &Path) {
        let Ok(index) = base.read(&own.join("index"), MAX_LIST_BYTES) else { return };
        self.add("index", index);
        for (name, is_folder) in base.list(own).unwrap_or_default() {
            let is_shared = name.to_str().is_some_and(|name| name.starts_with("sharedindex."));
            if is_shared
                && !is_folder
                && let Ok(content) = base.read(&own.join(&name), MAX_LIST_BYTES)
            {
                self.add(name, content);
            }
        }
    }
}

/// Packs everything but the objects, for a user. `folder`: below which all is; it may have no name.
pub(crate) fn archive_of(history: &History, folder: &str, user_id: u64, group_id: u64) -> std::io::Result<Vec<u8>> {
    packed::pack(&history.files, folder, user_id, group_id)
}

/// Each name and content is hashed separately, so that one cannot look like two.
fn digest_of(files: &[HistoryFile]) -> String {
    let one = |file: &HistoryFile| {
        let content = digest(file.content.as_deref().unwrap_or_default());
        format!("{}\0{content}\0", digest(file.path.as_os_str().as_encoded_bytes()))
    };
    digest(files.iter().map(one).collect::<String>())
}

/// Returns a configuration with what git needs to read the repository: how objects and refs are stored, and how files are compared. Everything else
/// could name programs, servers and passwords.
fn own_config(config: &str) -> String {
    let value = |section: &str, name: &str| {
        let value = config_value(config, section, name)?;
        value.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(value)
    };
    let extensions: String = ["objectformat", "refstorage"]
        .into_iter()
        .filter_map(|name| Some(format!("\t{name} = {}\n", value("extensions", name)?)))
        .collect();
    let core: String = ["filemode", "symlinks", "ignorecase", "autocrlf", "eol"]
        .into_iter()
        .filter_map(|name| Some(format!("\t{name} = {}\n", value("core", name)?)))
        .collect();
    let version = u8::from(!extensions.is_empty());
    let extensions = if extensions.is_empty() { extensions } else { format!("[extensions]\n{extensions}") };
    format!("[core]\n\trepositoryformatversion = {version}\n\tbare = false\n{core}{extensions}[gc]\n\tauto = 0\n")
}

/// Returns the last value of a variable in a section without a name of its own.
fn config_value(config: &str, section: &str, name: &str) -> Option<String> {
    let mut found = None;
    let mut is_inside = false;
    for line in config.lines().map(str::trim) {
        let mut rest = line;
        if let Some(header) = line.strip_prefix('[') {
            let (header, after) = header.split_once(']')?;
            is_inside = header.trim().eq_ignore_ascii_case(section);
            rest = after.trim();
        }
        if let Some((key, value)) = rest.split_once('=')
            && is_inside
            && key.trim().eq_ignore_ascii_case(name)
        {
            let value = value.split(['#', ';']).next().unwrap_or_default();
            found = Some(value.trim().trim_matches('"').to_ascii_lowercase());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_has_nothing_but_how_the_repository_is_read() {
        let config = "[core] bare = true\n\tfileMode = false ; x\n\tfsmonitor = rm -rf /\n[remote \"origin\"]\n\turl = https://u:secret@h/\n\
                      [extensions]\nobjectFormat = \"sha256\"\n\tworktreeConfig = true\n[core]\n\teol = a b\n";
        assert_eq!(
            own_config(config),
            "[core]\n\trepositoryformatversion = 1\n\tbare = false\n\tfilemode = false\n[extensions]\n\tobjectformat = sha256\n[gc]\n\tauto = 0\n"
        );
        assert_eq!(own_config(""), "[core]\n\trepositoryformatversion = 0\n\tbare = false\n[gc]\n\tauto = 0\n");
    }
}
