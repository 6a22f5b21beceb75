//! Here-documents: the parser cannot handle them, so their contents are blanked first. Every byte keeps its place.

use std::borrow::Cow;

const OPERATOR: &str = "<<";

/// Returns the command with its here-documents as spaces. `None`: the end of one of them is uncertain.
pub(super) fn blanked(command: &str) -> Option<Cow<'_, str>> {
    if !command.contains(OPERATOR) {
        return Some(Cow::Borrowed(command));
    }
    // In arithmetic it shifts; in a substitution within quotes it may open a document.
    if command.contains("((") || command.contains('`') {
        return None;
    }
    let mut bytes = command.as_bytes().to_vec();
    let mut open: Vec<Delimiter> = Vec::new();
    let mut quote = None;
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        match (quote, byte) {
            (None | Some(b'"'), b'\\') => at += 1,
            (None, b'\'' | b'"') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            (Some(b'"'), b'$') if bytes.get(at + 1) == Some(&b'(') => return None,
            (Some(_), b'<') => blank(&mut bytes, at..at + 1, b'x'),
            (Some(_), _) => {}
            (None, b'#') if is_comment(&bytes, at) => {
                let end = line_end(&bytes, at);
                blank(&mut bytes, at + 1..end, b'x');
                at = end - 1;
            }
            (None, b'<') if bytes.get(at..).is_some_and(|rest| rest.starts_with(b"<<<")) => {
                blank(&mut bytes, at + 1..at + 3, b' ');
                at += 2;
            }
            (None, b'<') if bytes.get(at..).is_some_and(|rest| rest.starts_with(OPERATOR.as_bytes())) => {
                let (delimiter, end) = Delimiter::read(&bytes, at + OPERATOR.len())?;
                open.push(delimiter);
                blank(&mut bytes, at..end, b' ');
                at = end - 1;
            }
            (None, b'\n') => {
                for delimiter in open.drain(..) {
                    let end = delimiter.end_of_document(&bytes, at + 1)?;
                    blank(&mut bytes, at + 1..end, b' ');
                    at = end - 1;
                }
            }
            (None, _) => {}
        }
        at += 1;
    }
    (open.is_empty() && quote.is_none()).then(|| String::from_utf8(bytes).ok().map(Cow::Owned))?
}

/// The word that ends a document.
struct Delimiter {
    word: Vec<u8>,
    /// `<<-`: tabs before it are left out.
    may_be_indented: bool,
}

impl Delimiter {
    /// Reads the word after the operator: letters, digits and `_`, quoted or not. Returns it and the place after it.
    fn read(bytes: &[u8], mut at: usize) -> Option<(Self, usize)> {
        let may_be_indented = bytes.get(at) == Some(&b'-');
        at += usize::from(may_be_indented);
        at += bytes.iter().skip(at).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let quote = bytes.get(at).copied().filter(|byte| matches!(byte, b'\'' | b'"'));
        at += usize::from(quote.is_some());
        let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        let word: Vec<u8> = bytes.iter().skip(at).take_while(is_part).copied().collect();
        at += word.len();
        if quote.is_some() && bytes.get(at).copied() != quote {
            return None;
        }
        at += usize::from(quote.is_some());
        let ends = bytes.get(at).is_none_or(|next| next.is_ascii_whitespace() || b";|&<>)".contains(next));
        (ends && !word.is_empty()).then_some((Self { word, may_be_indented }, at))
    }

    /// Returns the end of the line with the word, before its line break.
    fn end_of_document(&self, bytes: &[u8], mut start: usize) -> Option<usize> {
        while start < bytes.len() {
            let end = line_end(bytes, start);
            let line = bytes.get(start..end)?;
            let tabs = if self.may_be_indented { line.iter().take_while(|byte| **byte == b'\t').count() } else { 0 };
            if line.get(tabs..) == Some(self.word.as_slice()) {
                return Some(end);
            }
            start = end + 1;
        }
        None
    }
}

fn blank(bytes: &mut [u8], range: std::ops::Range<usize>, with: u8) {
    let range = bytes.get_mut(range).unwrap_or_default();
    range.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = with);
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes.iter().skip(at).position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

fn is_comment(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1)
        .and_then(|before| bytes.get(before))
        .is_none_or(|before| before.is_ascii_whitespace() || b";|&(".contains(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn here_documents_become_spaces_and_offsets_stay() {
        for (command, expected) in [
            ("cat <<E > f\né '$(\nE\nls", "cat     > f\n      \n \nls"),
            ("cat <<-'E'; a\n\tb\n\tE\nls", "cat       ; a\n  \n  \nls"),
            ("cat <<A <<B\n1\nA\n2\nB", "cat        \n \n \n \n "),
            ("cat <<< x", "cat <   x"),
            ("echo '<<E' \"<<E\" # <<E", "echo 'xxE' \"xxE\" #xxxx"),
        ] {
            assert_eq!(blanked(command).as_deref(), Some(expected), "{command}");
        }
    }

    #[test]
    fn uncertain_here_documents_are_not_parsed() {
        for command in
            ["cat <<E\na", "cat <<$A\na\n$A", "echo $((1<<2))", "\"$(cat <<E\nE\n)\"", "cat <<''\n\n", "a `b <<E`\nE"]
        {
            assert_eq!(blanked(command), None, "{command}");
        }
    }
}
