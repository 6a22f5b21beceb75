//! In which folders a script runs its commands, as `cd` and options like `make -C` say. Only folders that are written out are followed.

mod script;

use script::{Token, tokens};

use crate::shell::BEFORE_COMMANDS;

/// Scripts in scripts: `sh -c '…'`.
const MAX_DEPTH: usize = 4;
/// More folders decide nothing.
const MAX_FOLDERS: usize = 50;

/// Commands that report no problems in source files.
const SILENT: &[&str] = &[
    "[", "apk", "apt", "apt-get", "cat", "chmod", "chown", "corepack", "cp", "curl", "date", "df", "du", "echo",
    "exit", "export", "false", "find", "git", "grep", "head", "hash", "ln", "ls", "mkdir", "mv", "nproc", "printf",
    "pwd", "rm", "rmdir", "rustup", "sed", "set", "shopt", "sleep", "source", "tail", "tar", "tee", "test", "touch",
    "trap", "true", "type", "ulimit", "umask", "uname", "unset", "unzip", "wait", "wget", "which", ".", ":",
];
/// What package managers are asked to do before anything is checked.
const PREPARATIONS: &[&str] = &["install", "ci", "i", "fetch", "download"];
const ENDS: &[&str] = &["fi", "done", "esac", "}"];

/// The options with which a command works in another folder.
const OPTIONS: &[(&str, &[&str])] = &[
    ("make", &["-C", "--directory"]),
    ("gmake", &["-C", "--directory"]),
    ("ninja", &["-C"]),
    ("go", &["-C"]),
    ("npm", &["--prefix", "-C"]),
    ("pnpm", &["-C", "--dir", "--prefix"]),
    ("yarn", &["--cwd"]),
    ("bun", &["--cwd"]),
    ("composer", &["-d", "--working-dir"]),
    ("cargo", &["-C"]),
    ("uv", &["--directory"]),
    ("poetry", &["-C", "--directory"]),
];

/// The folders in which the commands of a script run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Folders {
    /// Absolute, or relative to where the script begins, which is the empty path.
    pub(super) known: Vec<String>,
    /// Some commands run in a folder that is not written out.
    pub(super) has_unknown: bool,
}

/// Returns the folders in which the commands of a script run that may report problems.
pub(super) fn folders(script: &str) -> Folders {
    let mut walk = Walk::default();
    walk.script(script, &Some(String::new()), 0);
    walk.folders
}

#[derive(Debug, Default)]
struct Walk {
    folders: Folders,
}

/// `None`: not known.
type Folder = Option<String>;

impl Walk {
    fn script(&mut self, script: &str, start: &Folder, depth: usize) {
        let (mut folder, mut before) = (start.clone(), None);
        let (mut outside, mut pushed) = (Vec::new(), Vec::new());
        let mut words = Vec::new();
        for token in tokens(script).into_iter().chain([Token::End]) {
            if let Token::Word(word) = token {
                words.push(word);
                continue;
            }
            let words = std::mem::take(&mut words);
            // The pattern of a `case` ends like a subshell.
            let is_pattern = token == Token::Close && outside.is_empty();
            let words = if is_pattern { &[] } else { without_prefixes(&words) };
            match words.first().map(|word| word.text.as_str()) {
                Some("cd") => {
                    let target = target(words, &folder, before.take());
                    before = Some(std::mem::replace(&mut folder, target));
                }
                Some("pushd") => {
                    let target = target(words, &folder, None);
                    pushed.push(std::mem::replace(&mut folder, target));
                }
                Some("popd") => folder = pushed.pop().unwrap_or_default(),
                Some(_) => self.command(words, &folder, depth),
                None => {}
            }
            match token {
                Token::Open => outside.push(folder.clone()),
                Token::Close => folder = outside.pop().unwrap_or(folder),
                Token::End | Token::Word(_) => {}
            }
        }
    }

    fn command(&mut self, words: &[script::Word], folder: &Folder, depth: usize) {
        let Some((first, rest)) = words.split_first() else { return };
        let name = first.text.rsplit('/').next().unwrap_or_default();
        if matches!(name, "sh" | "bash" | "dash" | "ash")
            && depth < MAX_DEPTH
            && let Some(at) = rest.iter().position(|word| word.text.starts_with('-') && word.text.ends_with('c'))
            && let Some(script) = rest.get(at + 1).filter(|script| script.is_literal)
        {
            return self.script(&script.text, folder, depth + 1);
        }
        if SILENT.contains(&name) || rest.first().is_some_and(|word| PREPARATIONS.contains(&word.text.as_str())) {
            return;
        }
        match option(name, rest) {
            Some(target) => self.add(target.and_then(|target| joined(folder, &target))),
            None => self.add(folder.clone()),
        }
    }

    fn add(&mut self, folder: Folder) {
        match folder {
            Some(folder) if self.folders.known.len() < MAX_FOLDERS => {
                if !self.folders.known.contains(&folder) {
                    self.folders.known.push(folder);
                }
            }
            Some(_) | None => self.folders.has_unknown = true,
        }
    }
}

/// Returns a command without the keywords and assignments before it.
fn without_prefixes(words: &[script::Word]) -> &[script::Word] {
    let is_prefix = |word: &script::Word| {
        let is_assignment = word.text.split_once('=').is_some_and(|(name, _)| crate::shell::is_name(name));
        is_assignment || BEFORE_COMMANDS.contains(&word.text.as_str())
    };
    let first = words.iter().position(|word| !is_prefix(word)).unwrap_or(words.len());
    let words = words.get(first..).unwrap_or_default();
    // A loop's head runs nothing.
    let is_head = |word: &script::Word| matches!(word.text.as_str(), "for" | "case" | "select" | "function");
    if words.first().is_some_and(|word| is_head(word) || ENDS.contains(&word.text.as_str())) { &[] } else { words }
}

/// Returns where `cd` goes.
fn target(words: &[script::Word], folder: &Folder, before: Option<Folder>) -> Folder {
    let word = words.iter().skip(1).find(|word| word.text == "-" || !word.text.starts_with('-'))?;
    if word.text == "-" {
        return before?;
    }
    word.is_literal.then_some(())?;
    joined(folder, &word.text)
}

/// Returns the folder that an option names; `Some(None)` if it is not written out.
fn option(name: &str, words: &[script::Word]) -> Option<Folder> {
    let literal = |word: &script::Word, text: &str| word.is_literal.then(|| text.to_owned());
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1);
        // Of the manifest, the folder.
        if name == "cargo" && (word.text == "--manifest-path" || word.text.starts_with("--manifest-path=")) {
            let (word, file) = match word.text.split_once('=') {
                Some((_, file)) => (word, file),
                None => (next?, next?.text.as_str()),
            };
            return Some(literal(word, file.rsplit_once('/').map_or("", |(folder, _)| folder)));
        }
        for option in OPTIONS.iter().filter(|(command, _)| *command == name).flat_map(|(_, options)| *options) {
            if word.text == *option {
                return Some(next.and_then(|next| literal(next, &next.text)));
            }
            let value = word.text.strip_prefix(option).filter(|value| value.starts_with('=') || option.len() == 2);
            if let Some(value) = value.filter(|_| word.text.len() > option.len()) {
                return Some(literal(word, value.trim_start_matches('=')));
            }
        }
    }
    None
}

fn joined(folder: &Folder, target: &str) -> Folder {
    if target.starts_with('/') {
        return Some(target.to_owned());
    }
    let target = target.trim_start_matches("./").trim_end_matches('/');
    let folder = folder.as_deref()?;
    Some(match (folder, target) {
        (_, "" | ".") => folder.to_owned(),
        ("", _) => target.to_owned(),
        (_, _) => format!("{folder}/{target}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(script: &str, expected: &[&str], has_unknown: bool) {
        let folders = folders(script);
        assert_eq!(
            (folders.known, folders.has_unknown),
            (expected.iter().map(|folder| (*folder).to_owned()).collect(), has_unknown),
            "{script}"
        );
    }

    #[test]
    fn commands_run_where_the_script_has_gone() {
        check("tsc", &[""], false);
        check("cd web && tsc", &["web"], false);
        check("cd ./web/; tsc", &["web"], false);
        check("npm ci\ncd 'my web' || exit 1\nnpx tsc", &["my web"], false);
        check("tsc && cd web && tsc", &["", "web"], false);
        check("(cd web && tsc) && (cd api; tsc)\necho done", &["web", "api"], false);
        check("cd web; tsc; cd ../api; tsc; cd -; tsc", &["web", "web/../api"], false);
        check("pushd web >/dev/null && tsc 2>&1 | tee log; popd; make", &["web", ""], false);
        check("if cd web; then CI=1 tsc; fi", &["web"], false);
        check("cd /workspace/web && tsc", &["/workspace/web"], false);
        check("sh -ec 'cd web && tsc'", &["web"], false);
        check("cd a && \\\n  # cd b\n  tsc", &["a"], false);
        check("cat > x <<'EOF'\nmake\nEOF\ncd web\ntsc", &["web"], false);
        check("case $A in\nb) cd web; tsc ;;\nesac", &["web"], false);
    }

    #[test]
    fn options_name_a_folder() {
        check("make -C web all", &["web"], false);
        check("cd a && make -Cb", &["a/b"], false);
        check("npm --prefix=web test && go -C api vet ./...", &["web", "api"], false);
        check("cargo test --manifest-path crates/x/Cargo.toml", &["crates/x"], false);
        check("make -C \"$DIR\"", &[], true);
    }

    #[test]
    fn a_folder_that_is_not_written_out_is_not_known() {
        check("cd \"$(dirname \"$0\")\" && tsc", &[], true);
        check("cd $A/b; tsc; cd /workspace; tsc", &["/workspace"], true);
        check("for d in a b; do (cd $d && tsc); done", &[], true);
        check("cd; tsc", &[], true);
        check("cd ~/x && tsc", &[], true);
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        for script in
            ["'", "\"", "$(", "`", "((((", "))))", "\\", "cd", "cd -", "popd", "sh -c", "make -C", "<<EOF", "#", "$((1"]
        {
            folders(script);
        }
        check(&"sh -c ".repeat(1_000), &[""], false);
    }
}
