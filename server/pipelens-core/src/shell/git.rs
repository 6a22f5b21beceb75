//! Whether a command calls git, and what for. It looks at words only: in doubt, git counts as called, and as called for something else.

use super::variables::is_name;
use super::words::BEFORE_COMMANDS;

/// Subcommands that only read the history and the index of the repository that the command is in.
const READERS: &[&str] = &[
    "blame",
    "branch",
    "cat-file",
    "cherry",
    "count-objects",
    "describe",
    "diff",
    "diff-files",
    "diff-index",
    "diff-tree",
    "for-each-ref",
    "grep",
    "log",
    "ls-files",
    "ls-tree",
    "merge-base",
    "name-rev",
    "rev-list",
    "rev-parse",
    "shortlog",
    "show",
    "show-branch",
    "show-ref",
    "status",
    "symbolic-ref",
    "tag",
    "whatchanged",
];

/// What a command calls git for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GitUse {
    Never,
    /// Only to read the history.
    Reads,
    /// Also for something else, such as making a repository.
    Other,
}

impl GitUse {
    pub(crate) fn of(command: &str) -> Self {
        let mut found = Self::Never;
        for (at, name) in command.match_indices("git") {
            let (Some(before), Some(after)) = (command.get(..at), command.get(at + name.len()..)) else { continue };
            let is_word = after.is_empty() || after.starts_with([' ', '\t', '\n', ';', '&', '|', ')', '`', '\\']);
            if !is_word || !is_at_command(before) {
                continue;
            }
            match subcommand(after) {
                Some(name) if READERS.contains(&name) => found = Self::Reads,
                Some(_) => return Self::Other,
                None => {}
            }
        }
        found
    }
}

/// Whether a command begins after this text, which may end with the folder of its program.
fn is_at_command(before: &str) -> bool {
    let before =
        ["/usr/local/bin/", "/usr/bin/", "/bin/"].iter().find_map(|bin| before.strip_suffix(bin)).unwrap_or(before);
    let trimmed = before.trim_end_matches([' ', '\t']);
    if trimmed.is_empty() || trimmed.ends_with(['\n', ';', '&', '|', '(', '`']) {
        return true;
    }
    if trimmed.len() == before.len() {
        return false;
    }
    let word = trimmed.rsplit([' ', '\t', '\n', ';', '&', '|', '(', '`']).next().unwrap_or(trimmed);
    // `GIT_DIR=x git log`
    BEFORE_COMMANDS.contains(&word) || word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

/// Returns the subcommand after `git` and its options.
fn subcommand(after: &str) -> Option<&str> {
    let mut words =
        after.split([' ', '\t', '\n', ';', '&', '|', ')', '`']).filter(|word| !word.is_empty() && *word != "\\");
    loop {
        match words.next()? {
            "-C" | "-c" | "--git-dir" | "--work-tree" => drop(words.next()),
            option if option.starts_with('-') => {}
            name => return Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_told_from_everything_else() {
        for reads in [
            "git describe --tags",
            "git rev-parse --is-inside-work-tree",
            "V=$(git rev-parse --short HEAD); echo $V",
            "echo `git log -1`",
            "make && git --no-pager -c color.ui=never diff --stat",
            "if git diff --quiet; then echo same; fi",
            "GIT_PAGER=cat git log",
            "/usr/bin/git status",
            "apt-get install -y git\ngit describe > version",
            "git \\\n  describe",
        ] {
            assert_eq!(GitUse::of(reads), GitUse::Reads, "{reads}");
        }
        for never in [
            "",
            "make",
            "apk add git",
            "echo legit describe",
            "cat .git/HEAD",
            "ls alpine/git",
            "gitk",
            "git --version",
            "git",
        ] {
            assert_eq!(GitUse::of(never), GitUse::Never, "{never}");
        }
        for other in
            ["git clone https://a.example/b", "git init && git log", "git log; git fetch", "git config --global x y"]
        {
            assert_eq!(GitUse::of(other), GitUse::Other, "{other}");
        }
    }
}
