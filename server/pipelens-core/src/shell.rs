//! Syntax errors in shell commands, and what only bash reads in them.
//!
//! A shell that accepts a command is never contradicted: a command is read as each shell reads it that may run it, and only what all of
//! them refuse is a mistake. Whatever cannot be decided is left to the shell.

mod bash_only;
mod dialect;
mod document;
mod failed;
mod feature;
mod git;
mod grammar;
mod here;
mod mistake;
mod quick;
mod reader;
mod redirections;
mod test;
pub(crate) mod variables;
mod words;

use dialect::ASKS_FOR_BASH;
use reader::{MAX_BYTES, Reader, Stop};

pub use dialect::Dialect;
pub(crate) use dialect::ends_at_failure;
pub use failed::{Failed, failed_line};
pub(crate) use feature::BashOnly;
pub(crate) use git::GitUse;
pub use mistake::Mistake;
pub use variables::is_name;
pub(crate) use words::BEFORE_COMMANDS;

/// What was found in a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reading {
    /// The first mistake.
    pub(crate) mistake: Option<Mistake>,
    /// What not every `sh` reads, in order; none if there is a mistake.
    pub(crate) bash_only: Vec<BashOnly>,
}

/// Tells whether a command is only words that mean the same to every shell.
pub(crate) fn is_plain(command: &str) -> bool {
    quick::is_simple(command)
}

/// Returns the first mistake of a command, if every shell that may run it refuses it.
pub fn mistake(command: &str, dialect: Dialect) -> Option<Mistake> {
    read(command, dialect).mistake
}

/// Reads a command as the shells do that may run it.
pub(crate) fn read(command: &str, dialect: Dialect) -> Reading {
    if command.len() > MAX_BYTES || quick::is_simple(command) {
        return Reading::default();
    }
    let mut mistake = None;
    for shell in dialect.shells() {
        let mut reader = Reader::new(command, *shell);
        match reader.program() {
            Ok(()) => return Reading { mistake: None, bash_only: noted(reader, dialect) },
            Err(Stop::Unknown) => return Reading::default(),
            // The shell that accepts most has the most to say.
            Err(Stop::Mistake(found)) => mistake = mistake.or(Some(found)),
        }
    }
    Reading { mistake, bash_only: Vec::new() }
}

fn noted(reader: Reader<'_>, dialect: Dialect) -> Vec<BashOnly> {
    if dialect == Dialect::Bash || reader.text.contains(ASKS_FOR_BASH) {
        return Vec::new();
    }
    let mut noted = reader.bash_only;
    noted.sort_by_key(|found| found.range.start);
    noted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is marked, and the first sentence about it.
    fn told(command: &str) -> String {
        match read(command, Dialect::Sh).mistake {
            None => "nothing".to_owned(),
            Some(found) => {
                let sentence = found.message.split(". ").next().unwrap();
                format!("{} `{}`: {sentence}", found.range.start, &command[found.range.start..found.range.end])
            }
        }
    }

    #[test]
    fn valid_commands_have_no_mistake() {
        for command in [
            "make",
            "cargo build --release\necho \"done\"",
            "if [ -f x ]; then\n  for i in 1 2; do echo \"$i\" | grep -q x || exit 1; done\nfi",
            "case $a in\n  x|y) echo ;;\n  (z) echo ;;\n  *) exit 1\nesac",
            "f() {\n  echo $((1 + 2)) ${a:-b} `date` $(date)\n}\nf",
            "[[ $a == b* ]] && a=(1 2 3) && cat <(ls) <<< x",
            "cat <<'EOF' > f\nit's $( unbalanced\nEOF\necho",
            "( cd x && make ) 2>&1 | tee log & wait",
            "echo it\\'s # it's fine",
            "while read -r a; do\n  until b; do c; done\ndone < f",
            "! grep x y; { a; b; }",
            "echo \\",
            "",
            "\n\n",
        ] {
            assert_eq!(told(command), "nothing", "{command}");
        }
    }

    #[test]
    fn an_unclosed_construct_is_marked_where_it_opens() {
        assert_eq!(told("echo a\nif true; then\n  echo b\n"), "7 `if`: This `if` is not closed: `fi` is missing");
        assert_eq!(
            told("for i in a; do\n  if b; then c; fi\n"),
            "0 `for`: This `for` is not closed: `done` is missing"
        );
        assert_eq!(told("case a in\n b) c ;;\n"), "0 `case`: This `case` is not closed: `esac` is missing");
        assert_eq!(told("foo() {\n a\n"), "6 `{`: This `{` is not closed: `}` is missing");
        assert_eq!(told("(cd a; b"), "0 `(`: This `(` is not closed: `)` is missing");
        assert_eq!(told("é \"abc\nfoo"), "3 `\"`: This double quote is not closed: `\"` is missing");
        assert_eq!(told("a 'b"), "2 `'`: This single quote is not closed: `'` is missing");
        assert_eq!(told("echo $(foo\nx"), "5 `$(`: This substitution is not closed: `)` is missing");
        assert_eq!(told("echo ${foo\nx"), "5 `${`: This variable is not closed: `}` is missing");
        assert_eq!(told("echo $((1+2"), "5 `$(`: This substitution is not closed: `)` is missing");
    }

    #[test]
    fn an_unexpected_token_is_marked() {
        assert_eq!(told("echo \"é\" )"), "10 `)`: `)` closes nothing here");
        assert_eq!(told("a\nfi"), "2 `fi`: `fi` closes nothing here");
        assert_eq!(told("done\necho"), "0 `done`: `done` closes nothing here");
        assert_eq!(told("if a; then\n  b\ndone"), "15 `done`: `done` does not close `if`: `fi` is missing before it");
        assert_eq!(told("a && \n"), "2 `&&`: The command ends after `&&`, but the shell expects more");
        assert_eq!(told("| b"), "0 `|`: The shell does not expect `|` here");
        assert_eq!(told("a ;; b"), "2 `;;`: The shell does not expect `;;` here");
        assert_eq!(told("for i in a; echo; done"), "12 `echo`: The shell does not expect `echo` here");
    }

    #[test]
    fn everything_around_here_documents_is_parsed() {
        assert_eq!(told("cat <<'E' >f\né '$(\nE\necho )"), "27 `)`: `)` closes nothing here");
        assert_eq!(told("if a; then cat <<-'E'\n\tfi\n\tE\n"), "0 `if`: This `if` is not closed: `fi` is missing");
        assert_eq!(told("cat <<E |\nx\nE\ngrep x <<< é"), "nothing");
    }

    #[test]
    fn here_documents_with_an_uncertain_end_are_left_to_the_shell() {
        for command in ["cat <<EOF\nit's $(\n", "cat <<E\n$(\nE\necho )", "cat <<$A\n'\n$A", "cat <<\"$(a)\"\n)"] {
            assert_eq!(told(command), "nothing");
        }
    }

    #[test]
    fn nesting_that_would_exhaust_the_stack_is_not_parsed() {
        assert_eq!(told(&"(".repeat(10_000)), "nothing");
        assert_eq!(told(&"if a; then ".repeat(5_000)), "nothing");
        assert_eq!(told(&"$(".repeat(10_000)), "nothing");
    }
}
