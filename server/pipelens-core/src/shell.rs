//! Syntax errors in shell commands. `brush-parser` parses them as bash, so syntax that only some shells accept is not an error.

mod here;
mod mistake;
mod quick;
mod structure;
pub(crate) mod variables;

use brush_parser::{
    ParseError, ParserOptions, SourcePosition, Token, TokenizerError, parse_tokens, uncached_tokenize_str,
};

use crate::text::TextRange;
use mistake::{byte, range};

pub(crate) use mistake::Mistake;

/// Longer commands are programs; they belong in a file of their own, checked by their own shell.
const MAX_BYTES: usize = 64 * 1024;
/// Deeper nesting is only written to exhaust a stack.
const MAX_DEPTH: usize = 40;

/// Tells whether a command is only words, which cannot contain a syntax error.
pub(crate) fn is_plain(command: &str) -> bool {
    quick::is_simple(command)
}

/// Returns the first mistake of a command.
pub(crate) fn mistake(command: &str) -> Option<Mistake> {
    let is_too_much = command.len() > MAX_BYTES || quick::depth(command) > MAX_DEPTH;
    if quick::is_simple(command) || is_too_much {
        return None;
    }
    // Some texts with here-documents make the parser panic or never end.
    find(&here::blanked(command)?)
}

fn find(command: &str) -> Option<Mistake> {
    let options = ParserOptions::default();
    let tokens = match uncached_tokenize_str(command, &options.tokenizer_options()) {
        Ok(tokens) => tokens,
        Err(error) => return unclosed(command, &error),
    };
    match parse_tokens(&tokens, &options).err()? {
        ParseError::ParsingNear(position) => Some(
            structure::stray(command, &tokens, Some(position.index))
                .unwrap_or_else(|| near(command, &position, &tokens)),
        ),
        ParseError::ParsingAtEndOfInput | ParseError::Tokenizing { .. } => {
            structure::stray(command, &tokens, None).or_else(|| unfinished(command, &tokens))
        }
    }
}

/// A token that is not allowed where it is.
fn near(command: &str, position: &SourcePosition, tokens: &[Token]) -> Mistake {
    let token = tokens.iter().find(|token| token.location().start.index == position.index);
    let range = token.map_or(TextRange::at(byte(command, position.index)), |token| range(command, token));
    let written = range.of(command).trim();
    let message = if written.is_empty() {
        "The shell expects something else at the end of this line. Check whether a word or bracket is missing before it."
            .to_owned()
    } else {
        format!(
            "The shell does not expect `{written}` here. Check whether a word, quote or bracket is missing before it."
        )
    };
    Mistake { range, message }
}

/// A command that ends where more is required.
fn unfinished(command: &str, tokens: &[Token]) -> Option<Mistake> {
    let last = tokens.iter().rfind(|token| !token.to_str().trim().is_empty())?;
    let message =
        format!("The command ends after `{}`, but the shell expects more. Finish it, or remove `{0}`.", last.to_str());
    Some(Mistake { range: range(command, last), message })
}

/// A quote, substitution or here-document that is still open at the end.
fn unclosed(command: &str, error: &TokenizerError) -> Option<Mistake> {
    let (what, closer, range) = match error {
        TokenizerError::UnterminatedSingleQuote(at) => ("single quote", "'", one(command, at.index)),
        TokenizerError::UnterminatedAnsiCQuote(at) => ("`$'` quote", "'", one(command, at.index)),
        TokenizerError::UnterminatedDoubleQuote(at) => ("double quote", "\"", one(command, at.index)),
        TokenizerError::UnterminatedBackquote(at) => ("backquote", "`` ` ``", one(command, at.index)),
        TokenizerError::UnterminatedExtendedGlob(at) => ("pattern", ")", one(command, at.index)),
        TokenizerError::UnterminatedVariable => ("variable", "}", last_open(command, &["${"], "}")?),
        TokenizerError::UnterminatedCommandSubstitution | TokenizerError::UnterminatedExpansion => {
            ("substitution", ")", last_open(command, &["$(", "<(", ">("], ")")?)
        }
        // The shell accepts a backslash at the end; the other errors never occur here.
        TokenizerError::UnterminatedEscapeSequence
        | TokenizerError::FailedDecoding
        | TokenizerError::MissingHereTagForDocumentBody
        | TokenizerError::MissingHereTag(_)
        | TokenizerError::UnterminatedHereDocuments(..)
        | TokenizerError::ReadError(_) => return None,
    };
    let closer = if closer.contains('`') { closer.to_owned() } else { format!("`{closer}`") };
    Some(Mistake { range, message: format!("This {what} is not closed: {closer} is missing. Add it.") })
}

/// The last opener without a closer after it; the parser does not report where it was.
fn last_open(command: &str, openers: &[&str], closer: &str) -> Option<TextRange> {
    let places = openers.iter().flat_map(|opener| command.match_indices(opener)).map(|(start, _)| start);
    let is_open = |start: &usize| !command.get(*start..).is_some_and(|rest| rest.contains(closer));
    let start = places.clone().filter(is_open).max().or_else(|| places.min())?;
    Some(TextRange::new(start, start + 2))
}

fn one(command: &str, index: usize) -> TextRange {
    let start = byte(command, index);
    let length = command.get(start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    TextRange::new(start, start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is marked, and the first sentence about it.
    fn told(command: &str) -> String {
        match mistake(command) {
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
        assert_eq!(told("cat <<E >f\né '$(\nE\necho )"), "25 `)`: `)` closes nothing here");
        assert_eq!(told("if a; then cat <<-'E'\n\tfi\n\tE\n"), "0 `if`: This `if` is not closed: `fi` is missing");
        assert_eq!(told("cat <<E |\nx\nE\ngrep x <<< é"), "nothing");
    }

    #[test]
    fn here_documents_with_an_uncertain_end_are_left_to_the_shell() {
        for command in [
            "cat <<EOF\nit's $(\n",
            "x<<E>do ?done for é]case then $($(( !>))\n<<if <(${in fi((&z\nE\n",
            "x!![[ &\nE\n\\done if $-))\\for (do if <<=$( ((*#(\"é\tdo ?in )$'<<?=\"))for ",
            "x<<''<<E< then ]]((then then",
        ] {
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
