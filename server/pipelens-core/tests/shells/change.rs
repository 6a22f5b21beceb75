//! Changes in commands, the same every time.

/// What a change puts into a command.
const PARTS: &[&str] = &[
    ")",
    "(",
    "'",
    "\"",
    "`",
    "fi",
    "done",
    "esac",
    "}",
    "{",
    ";;",
    "$(",
    "${",
    "<<E\n",
    " #",
    "\\",
    "|",
    "&&",
    ";",
    " then ",
    " do ",
    " in ",
    "case x in ",
    "\n",
    "$((",
    "))",
    " ]]",
    "[[ ",
    "&",
    "<",
    ">",
    "if ",
    "for ",
    " else ",
    "function ",
    "\\\n",
    "f() ",
    "! ",
    "=(",
    "$'",
    "<(",
    "\t",
    "||",
    "<<-'E'\n",
    "E\n",
    "((",
    "elif ",
    "while ",
    "é",
    "\r",
];

/// Changes one to three places.
pub(crate) fn changed(command: &str, random: &mut Random) -> String {
    let mut characters: Vec<char> = command.chars().collect();
    for _ in 0..=random.below(3) {
        let at = random.below(characters.len() + 1);
        match random.below(4) {
            0 => {
                let end = (at + 1 + random.below(4)).min(characters.len());
                characters.drain(at..end);
            }
            1 => characters.truncate(at),
            _ => {
                let part = random.choose(PARTS);
                characters.splice(at..at, part.chars());
            }
        }
    }
    characters.into_iter().collect()
}

/// A small generator of numbers (xorshift).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap_or_default()
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn choose(&mut self, from: &[&'static str]) -> &'static str {
        from.get(self.below(from.len())).copied().unwrap_or_default()
    }
}
