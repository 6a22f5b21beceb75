//! Commands by the grammar of shells, and the same with a few parts changed.

use crate::change::{Random, changed};

/// The same commands every time.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
const DEEPEST: usize = 2;

/// Returns so many commands: the first of each pair is valid for some shell, the second a changed one.
pub(crate) fn commands(count: usize) -> Vec<String> {
    let mut random = Random(SEED);
    let mut commands = Vec::with_capacity(count);
    while commands.len() < count {
        let mut writer = Writer { random, ..Writer::default() };
        writer.is_bash = writer.random.one_in(3);
        writer.list(0);
        writer.line_end();
        random = writer.random;
        let changed = changed(&writer.text, &mut random);
        commands.extend([writer.text, changed]);
    }
    commands
}

/// Writes one command.
#[derive(Debug, Default)]
struct Writer {
    text: String,
    random: Random,
    is_bash: bool,
    /// The contents of here-documents that start on the next line.
    documents: Vec<String>,
}

impl Writer {
    fn put(&mut self, part: &str) {
        self.text.push_str(part);
    }

    fn put_one_of(&mut self, parts: &[&'static str]) {
        let part = self.random.choose(parts);
        self.put(part);
    }

    /// Ends a line; the contents of its here-documents follow.
    fn line_end(&mut self) {
        self.put("\n");
        for document in std::mem::take(&mut self.documents) {
            self.put(&document);
        }
    }

    fn list(&mut self, depth: usize) {
        for index in 0..=self.random.below(if depth == 0 { 3 } else { 2 }) {
            if index > 0 {
                self.separator();
            }
            self.and_or(depth);
        }
    }

    fn separator(&mut self) {
        match self.random.below(8) {
            0..3 => self.line_end(),
            3 => self.put("; "),
            4 => self.put(" & "),
            5 => {
                self.put_one_of(&[
                    " # it's \"here\" ( `",
                    "; # ) don't } fi",
                    "\t#'",
                    " & # << E",
                    ";#case x in",
                    " # ${ \\",
                ]);
                self.line_end();
            }
            6 => {
                self.line_end();
                self.put_one_of(&["\n", "\t", "  # can't ) \"\n", "#!/bin/sh\n", "\\\n"]);
            }
            _ => {
                self.put(" \\\n  ; ");
            }
        }
    }

    fn and_or(&mut self, depth: usize) {
        self.pipeline(depth);
        if self.random.one_in(4) {
            self.put_one_of(&[" && ", " || ", "&&", " &&\n  ", " || # or 'not\n", " \\\n  && "]);
            self.pipeline(depth);
        }
    }

    fn pipeline(&mut self, depth: usize) {
        if self.random.one_in(10) {
            self.put("! ");
        }
        self.command(depth);
        if self.random.one_in(4) {
            self.put_one_of(&[" | ", "|", " |\n", " | # to\n\n"]);
            if self.is_bash && self.random.one_in(8) {
                self.text.truncate(self.text.trim_end().len());
                self.put("\nls |& ");
            }
            self.command(depth);
        }
    }

    fn command(&mut self, depth: usize) {
        if depth >= DEEPEST {
            self.simple(depth);
            return;
        }
        let kinds = if self.is_bash { 22 } else { 14 };
        match self.random.below(kinds) {
            0 => self.conditional(depth + 1),
            1 => self.repeated(depth + 1),
            2 => self.each(depth + 1),
            3 => self.cases(depth + 1),
            4 => self.group(depth + 1),
            5 => self.function(depth + 1),
            6 => self.assignment(depth + 1),
            7 => self.document(depth + 1),
            14..18 => self.only_bash(depth + 1),
            _ => self.simple(depth),
        }
    }

    fn conditional(&mut self, depth: usize) {
        self.put_one_of(&["if ", "if\n", "if\t", "i\\\nf "]);
        self.list(depth);
        self.put_one_of(&["; then ", "\nthen\n", " ; then # it's\n"]);
        self.list(depth);
        if self.random.one_in(3) {
            self.line_end();
            self.put("elif ");
            self.list(depth);
            self.put("; then\n");
            self.list(depth);
        }
        if self.random.one_in(3) {
            self.line_end();
            self.put("else ");
            self.list(depth);
        }
        self.line_end();
        self.put("fi");
        self.redirections(depth);
    }

    fn repeated(&mut self, depth: usize) {
        self.put_one_of(&["while ", "until ", "while\n"]);
        self.list(depth);
        self.put_one_of(&["; do ", "\ndo\n", "; do # '\n"]);
        self.list(depth);
        self.line_end();
        self.put("done");
        self.redirections(depth);
    }

    fn each(&mut self, depth: usize) {
        self.put_one_of(&["for x", "for in", "for do", "for\tfi"]);
        self.put_one_of(&[" in", "\nin", " # it's\nin", ""]);
        if self.text.ends_with("in") && !self.text.ends_with("for in") {
            for _ in 0..self.random.below(4) {
                self.put(" ");
                self.word(depth);
            }
        }
        self.put_one_of(&["; do ", "\ndo\n", "; \n do\n"]);
        self.list(depth);
        self.put_one_of(&["; done", "\ndone"]);
        self.redirections(depth);
    }

    fn cases(&mut self, depth: usize) {
        self.put("case ");
        self.word(depth);
        self.put_one_of(&[" in ", " in\n", "\nin # it's (\n", " in\n\n"]);
        let count = self.random.below(3);
        for index in 0..count {
            self.put_one_of(&["", "(", "( ", "  "]);
            self.put_one_of(&["a", "*", "\"a b\"", "'('", "x|y", "[a-z]*", "if | do", "$x", "a\\)", "--*=*", "a${x}b"]);
            self.put_one_of(&[") ", ")", " )\n", ") # don't )\n"]);
            if !self.random.one_in(5) {
                self.list(depth);
            }
            if index + 1 < count || self.random.one_in(2) {
                self.put_one_of(&[" ;;\n", ";; ", "\n;;\n", ";; # esac\n"]);
            } else {
                self.line_end();
            }
        }
        self.put_one_of(&["esac", "\nesac"]);
        self.redirections(depth);
    }

    fn group(&mut self, depth: usize) {
        if self.random.one_in(2) {
            self.put_one_of(&["( ", "(", "(\n", "( # it's\n"]);
            self.list(depth);
            self.put_one_of(&[" )", ")", "\n)"]);
        } else {
            self.put_one_of(&["{ ", "{\n", "{ # }\n"]);
            self.list(depth);
            self.put_one_of(&["; }", "\n}"]);
        }
        self.redirections(depth);
    }

    fn function(&mut self, depth: usize) {
        self.put_one_of(&["f() ", "f ()\n", "g( )", "_a1()  # it's\n"]);
        match self.random.below(4) {
            0 => self.simple(depth),
            1 => self.command(depth),
            _ => self.group(depth),
        }
    }

    fn assignment(&mut self, depth: usize) {
        self.put_one_of(&["x=", "A=1 b=", "_x1="]);
        self.word(depth);
        if self.random.one_in(2) {
            self.put(" ");
            self.simple(depth);
        }
    }

    /// A command with a here-document, or two.
    fn document(&mut self, depth: usize) {
        self.put_one_of(&["cat", "sh -s", "grep x"]);
        for _ in 0..=self.random.below(2) {
            let (operator, delimiter) =
                [(" <<", "E"), (" <<-", "E"), ("<< ", "'E'"), (" <<", "\"END OF\""), (" <<-", "\\E"), ("<<", "E'O'F")]
                    .get(self.random.below(6))
                    .copied()
                    .unwrap_or_default();
            self.put(operator);
            self.put(delimiter);
            let end = delimiter.replace(['\'', '"', '\\'], "");
            let tab = if operator.contains('-') { "\t" } else { "" };
            let body = self.random.choose(&[
                "it's $( a quote\n",
                "",
                "fi ) done `\n",
                "$x ${y:-z} $(echo E)\n",
                "  E\n E \n",
                "\\$( \\` '\n",
                "a \\\nE\n",
                "esac \"\n\n# '\n",
            ]);
            self.documents.push(format!("{body}{tab}{end}\n"));
        }
        if self.random.one_in(3) {
            self.put_one_of(&[" | ", " && ", " > f; "]);
            self.simple(depth);
        }
    }

    fn redirections(&mut self, depth: usize) {
        if self.random.one_in(6) {
            self.put_one_of(&[" > ", " 2>", " <", ">>", " 3<>", " >|"]);
            self.word(depth + 1);
            if self.random.one_in(3) {
                self.put(" 2>&1");
            }
        }
    }

    fn simple(&mut self, depth: usize) {
        self.put_one_of(&[
            "echo",
            "a.out",
            "[ -n",
            "test",
            "set --",
            "./x",
            "\"$c\"",
            "\\ls",
            "printf '%s\\n'",
            "{echo",
            "}x",
            "if_",
        ]);
        for _ in 0..self.random.below(4) {
            self.put_one_of(&[" ", " ", "\t", " \\\n  "]);
            self.word(depth);
        }
        self.redirections(depth);
    }

    fn word(&mut self, depth: usize) {
        if depth < DEEPEST && self.random.one_in(4) {
            self.nested_word(depth + 1);
            return;
        }
        self.put_one_of(&[
            "a",
            "--x=y",
            "in",
            "do",
            "esac",
            "fi",
            "{",
            "}",
            "!",
            "{}",
            "a#b",
            "\\#",
            "'it is'",
            "\"it's\"",
            "'#'",
            "$x",
            "${x}",
            "\"$x\"",
            "\"${x:?can't}\"",
            "${x:-a b}",
            "\"${x:-\"a b\"}\"",
            "${x#\\}}",
            "${x%'}'}",
            "\"${x#'}'}\"",
            "${#x}",
            "$#",
            "$?",
            "$$",
            "$@",
            "${1+\"$@\"}",
            "$((1 + (2)))",
            "$((x<<2))",
            "\"$((1+1))\"",
            "a\\ b",
            "\\'",
            "\\\"",
            "é",
            "*.txt",
            "[a-z]",
            "~",
            "a=b",
            "=",
            "%",
            "@",
            "`ls`",
            "\"`ls \\\"x\\\"`\"",
            "a'b'\"c\"",
            "''",
            "\"\"",
            "\"a\nb\"",
            "'a\n#b'",
            "${x:-$(ls)}",
            "${x-'a}b'}",
            "\"a\\\nb\"",
            "case",
            "1",
            "-",
            "then\"\"",
            "\"\\$(\"",
            "$",
            "\"$\"",
            "a$",
            "x\\\ny",
            "\"#\"",
            "'<<E'",
            "\"<<E\"",
            "${x:=y}",
            "\"a)\"",
            "')'",
            "\\)",
            "\\(",
            "\\;",
            "\\&",
        ]);
    }

    /// A word that contains commands.
    fn nested_word(&mut self, depth: usize) {
        let (before, after) = [
            ("$(", ")"),
            ("\"$(", ")\""),
            ("$( ", "\n)"),
            ("$(\n", " # don't )\n)"),
            ("a$(", ")b"),
            ("\"x ${y:-$(", ")} z\""),
            ("$((1 + $(", ")))"),
            ("$( # it's (\n", ")"),
            ("`", "`"),
        ]
        .get(self.random.below(9))
        .copied()
        .unwrap_or_default();
        self.put(before);
        let outer = std::mem::take(&mut self.documents);
        if self.random.one_in(3) && before != "`" {
            self.cases(depth);
        } else if before == "`" {
            self.put_one_of(&["ls", "echo 'a b'", "a | b # c", "echo \\`x\\`"]);
        } else {
            self.list(depth);
        }
        if !self.documents.is_empty() {
            self.line_end();
        }
        self.documents = outer;
        self.put(after);
    }

    fn only_bash(&mut self, depth: usize) {
        match self.random.below(8) {
            0 => {
                self.put_one_of(&[
                    "[[ -f x && ! ( a == b* ) ]]",
                    "[[ $x =~ ^(a|b)[0-9]+$ ]]",
                    "[[ a < b || \"$x\" > 'c' ]]",
                    "[[\n-n $x\n]]",
                ]);
                self.redirections(depth);
            }
            1 => self.put_one_of(&["((i++))", "(( x << 2, y = (1 + 2) ))", "((x)) 2>&1"]),
            2 => {
                self.put_one_of(&["a=(", "a+=( ", "local a=(\n # it's\n"]);
                self.word(depth);
                self.put(" ");
                self.word(depth);
                self.put_one_of(&[")", " )", "\n)"]);
            }
            3 => {
                self.put_one_of(&["diff <(", "tee >(", "done_ < <("]);
                self.list(depth);
                if !self.documents.is_empty() {
                    self.line_end();
                }
                self.put(")");
            }
            4 => {
                self.put_one_of(&["cat <<< ", "cat<<<", "x &> ", "x &>>"]);
                self.word(depth);
            }
            5 => {
                self.put_one_of(&["function f ", "function f() ", "function a-b\n"]);
                self.group(depth);
            }
            6 => {
                self.put_one_of(&["for ((i=0; i<3; i++)); do ", "for ((;;))\ndo ", "select x in a b; do "]);
                self.list(depth);
                self.put_one_of(&["; done", "\ndone"]);
            }
            _ => {
                self.put_one_of(&[
                    "time ",
                    "time -p ",
                    "coproc ",
                    "a[1]=2 ",
                    "a[1 + 2]=x ",
                    "echo $'it\\'s' ",
                    "echo $[1+(2)] ",
                    "echo $\"x\" ",
                    "echo ${x//'}'/a} ",
                ]);
                self.simple(depth);
            }
        }
    }
}
