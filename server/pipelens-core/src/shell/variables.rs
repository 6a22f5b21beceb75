//! The variables of a shell command: where each is expanded or assigned, and which belong to the command alone.
//!
//! Single quotes, comments, `\$` and here-documents with a quoted delimiter expand nothing. A name that the command has assigned is its
//! own from there on, within the block, subshell or pipe that assigns it. If it may have been assigned only in a branch and is used
//! after it, both are the same variable, so the assignments in the branch count as uses of what was set outside.

mod occurrence;
mod scanner;
mod scopes;

use crate::text::TextRange;

pub use occurrence::is_name;
pub(crate) use occurrence::{Occurrence, Role};

/// The variables of a command.
#[derive(Debug, Default)]
pub(crate) struct Variables<'a> {
    /// In text order.
    pub(crate) occurrences: Vec<Occurrence<'a>>,
    /// Where `$` has no meaning: single quotes, comments and here-documents with a quoted delimiter.
    pub(crate) literals: Vec<TextRange>,
}

impl<'a> Variables<'a> {
    /// Finds the variables of a command.
    pub(crate) fn of(command: &'a str) -> Self {
        if memchr::memchr2(b'$', b'=', command.as_bytes()).is_none() && !scanner::may_name(command) {
            return Self::default();
        }
        let (mut occurrences, literals) = scanner::scan(command);
        occurrences.sort_by_key(|occurrence| occurrence.range);
        Self { occurrences, literals }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    /// Shows each occurrence as `name@offset`, with `=` if it is assigned and `!` if it is the command's own.
    fn check(command: &str, expected: Expect) {
        let shown = |found: &Occurrence<'_>| {
            assert_eq!(found.range.of(command), found.name, "{command}");
            let role = if found.role == Role::Assigned { "=" } else { "" };
            format!("{}@{}{role}{}", found.name, found.range.start, if found.is_local { "!" } else { "" })
        };
        let found: Vec<String> = Variables::of(command).occurrences.iter().map(shown).collect();
        expected.assert_eq(&found.join(" "));
    }

    #[test]
    fn expansions_are_found_in_every_form() {
        check("echo $A ${B} \"$C ${D:-$E}\" $1 $? $", expect!["A@6 B@10 C@15 D@19 E@23"]);
        check("echo ${#A} ${A%.x} ${!B} ${C#\"$D\"}", expect!["A@8 A@13 B@22 C@27 D@31"]);
        check("x \"$(echo \"$A\")\" `echo $B` $(( C + ${D} ))", expect!["A@12 B@24 C@31 D@37"]);
        check("é $A$B_1-$C", expect!["A@4 B_1@6 C@11"]);
        check("cat <<E\n$A \\$B\nE\necho $C", expect!["A@9 C@23"]);
        check("echo `echo \\$A`", expect!["A@13"]);
    }

    #[test]
    fn what_is_quoted_or_escaped_is_not_expanded() {
        check("echo '$A' \\$B \"\\$C\" # $D\necho $E", expect!["E@31"]);
        check("cat <<'E' <<-\"F\" <<\\G\n$A\nE\n$B\n\tF\n$C\nG\necho $D", expect!["D@44"]);
        check("echo a#$A $'x\\'$B' \"it's $C\"", expect!["A@8 C@26"]);
        check("echo \"a # $A\" '\n# ' $B", expect!["A@11 B@21"]);
    }

    #[test]
    fn an_assignment_takes_the_name_over() {
        check("echo $A; A=1; echo $A", expect!["A@6 A@9=! A@20!"]);
        check("A=$A:x\necho $A", expect!["A@0=! A@3 A@13!"]);
        check("A=1 make $A; echo $A", expect!["A@10 A@19"]);
        check("export A=1 B; echo $A $B", expect!["A@7=! B@11 A@20! B@23"]);
        check("read -r A B < f; echo $A", expect!["A@8=! B@10=! A@23!"]);
        check("for A in $A; do echo $A; done", expect!["A@4=! A@10 A@22!"]);
        check("while read -r A; do echo $A; done < $B", expect!["A@14=! A@26! B@37"]);
        check("unset A; echo $A", expect!["A@6 A@15!"]);
        check(": ${A:=1}; echo $A", expect!["A@4 A@17"]);
    }

    #[test]
    fn an_assignment_ends_with_the_subshell_pipe_or_command_it_is_in() {
        check("(A=1; echo $A); echo $A", expect!["A@1=! A@12! A@22"]);
        check("x=$(A=1; echo $A); echo $A $x", expect!["x@0=! A@4=! A@15! A@25 x@28!"]);
        check("echo x | read A; echo $A", expect!["A@14=! A@23"]);
        check("A=1 | echo $A; echo $A", expect!["A@0=! A@12 A@21"]);
    }

    #[test]
    fn a_name_that_may_have_been_assigned_is_one_variable() {
        check("if [ -z \"$A\" ]; then A=1; fi; echo $A", expect!["A@10 A@21= A@36"]);
        check("[ -n \"$A\" ] || A=1; echo $A", expect!["A@7 A@15= A@26"]);
        check("if x; then A=1; echo $A; fi", expect!["A@11=! A@22!"]);
        check("case x in\n (a) A=1;;\n b) echo $A;;\nesac\necho $A", expect!["A@15= A@31 A@46"]);
        check("while x; do echo $A; A=1; done", expect!["A@18 A@21="]);
        check("f() { A=1; }; f; echo $A", expect!["A@6= A@23"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn names_in_any_text_are_ordered_and_apart(
            text in "([ -~]|\n|é|\\$\\(|\\$A|A=|`|<<E|if |fi;|do |done|case x in|esac|\"|'|\\\\|\\$\\(\\(){0,40}",
        ) {
            let mut end = 0;
            for found in Variables::of(&text).occurrences {
                prop_assert!(end <= found.range.start && is_name(found.name), "{:?}", found);
                prop_assert_eq!(found.range.of(&text), found.name);
                end = found.range.end;
            }
        }
    }
}
