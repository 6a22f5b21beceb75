//! Our types and the protocol's, both ways. The only place that knows UTF-16.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use lsp_types::{
    CodeDescription, DiagnosticRelatedInformation, DiagnosticSeverity, DocumentSymbol, Location, NumberOrString,
    Position, PositionEncodingKind, Range, SymbolKind, TextEdit, Uri, WorkspaceEdit,
};
use pipelens_core::diagnostic::{Code, Diagnostic, Severity};
use pipelens_core::ide::Symbol;
use pipelens_core::text::{LineIndex, TextRange};
use pipelens_core::{FileEdit, FileId, FileRange, Files};
use tower_lsp::UriExt;

/// What a column counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Encoding {
    Utf8,
    #[default]
    Utf16,
    /// Characters.
    Utf32,
}

impl Encoding {
    /// Chooses UTF-8 where it is offered, for it needs no counting; else what the client prefers. Every client knows UTF-16.
    pub(crate) fn negotiate(offered: Option<&[PositionEncodingKind]>) -> Self {
        match offered {
            Some(kinds) if kinds.contains(&PositionEncodingKind::UTF8) => Self::Utf8,
            Some([first, ..]) if *first == PositionEncodingKind::UTF32 => Self::Utf32,
            _ => Self::Utf16,
        }
    }

    pub(crate) fn kind(self) -> PositionEncodingKind {
        match self {
            Self::Utf8 => PositionEncodingKind::UTF8,
            Self::Utf16 => PositionEncodingKind::UTF16,
            Self::Utf32 => PositionEncodingKind::UTF32,
        }
    }
}

/// The pages of findings: parsed once, because a file may have thousands of findings.
static PAGES: LazyLock<HashMap<Code, Uri>> = LazyLock::new(|| {
    let page = |code: &Code| Some((*code, crate::present::page(*code).parse().ok()?));
    Code::ALL.iter().filter_map(page).collect()
});

/// How many UTF-16 units come before each chunk of text, so that a column costs the same on the longest line. Empty for ASCII, where
/// units are bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Units {
    before: Vec<usize>,
}

/// Bytes between two counts.
const CHUNK: usize = 256;

impl Units {
    pub(crate) fn new(text: &str) -> Self {
        if text.is_ascii() {
            return Self::default();
        }
        let mut before = Vec::with_capacity(text.len() / CHUNK + 1);
        let mut units = 0;
        for (offset, byte) in text.bytes().enumerate() {
            if offset % CHUNK == 0 {
                before.push(units);
            }
            // A character counts at its first byte; one of four bytes counts twice.
            units += usize::from(byte & 0xC0 != 0x80) + usize::from(byte >= 0xF0);
        }
        Self { before }
    }

    /// Returns how many units come before an offset on a character border.
    fn at(&self, text: &str, offset: usize) -> usize {
        let Some(known) = self.before.get(offset / CHUNK) else {
            // The end of the text, if it fills its last chunk, or ASCII.
            let (start, units) =
                self.before.last().map_or((offset, offset), |units| ((self.before.len() - 1) * CHUNK, *units));
            return units + count_units(text.as_bytes().get(start..offset).unwrap_or_default());
        };
        known + count_units(text.as_bytes().get(offset - offset % CHUNK..offset).unwrap_or_default())
    }

    /// Returns the offset of the character that the unit with this number is in, not before `start`.
    fn offset(&self, text: &str, start: usize, unit: usize) -> usize {
        if self.before.is_empty() {
            return unit.min(text.len());
        }
        let chunk = self.before.partition_point(|before| *before <= unit).saturating_sub(1);
        let from = (chunk * CHUNK).max(start);
        let mut from = from;
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let mut units = self.at(text, from);
        for (offset, character) in text.get(from..).unwrap_or_default().char_indices() {
            units += character.len_utf16();
            if units > unit {
                return from + offset;
            }
        }
        text.len()
    }
}

fn count_units(bytes: &[u8]) -> usize {
    bytes.iter().map(|byte| usize::from(byte & 0xC0 != 0x80) + usize::from(*byte >= 0xF0)).sum()
}

/// Text with its lines, for turning offsets into positions and back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextMap<'a> {
    text: &'a str,
    index: &'a LineIndex,
    units: &'a Units,
    encoding: Encoding,
}

impl<'a> TextMap<'a> {
    pub(crate) fn new(text: &'a str, index: &'a LineIndex, units: &'a Units, encoding: Encoding) -> Self {
        Self { text, index, units, encoding }
    }

    pub(crate) fn position(self, offset: usize) -> Position {
        let offset = floor_char(self.text, offset);
        let line = self.index.line(offset);
        let start = self.index.line_start(line);
        let column = match self.encoding {
            Encoding::Utf8 => offset - start,
            Encoding::Utf16 => self.units.at(self.text, offset) - self.units.at(self.text, start),
            Encoding::Utf32 => self.text.get(start..offset).unwrap_or_default().chars().count(),
        };
        Position::new(to_u32(line), to_u32(column))
    }

    pub(crate) fn range(self, range: TextRange) -> Range {
        Range::new(self.position(range.start), self.position(range.end))
    }

    /// Returns the offset of a position; past the end of its line, the end of the line; past the last line, the end of the text.
    pub(crate) fn offset(self, position: Position) -> usize {
        let line = self.index.line_range(position.line as usize);
        let content = self.text.get(line.start..line.end).unwrap_or_default().trim_end_matches(['\r', '\n']);
        let wanted = position.character as usize;
        match self.encoding {
            Encoding::Utf8 => line.start + floor_char(content, wanted),
            Encoding::Utf32 => {
                line.start + content.char_indices().nth(wanted).map_or(content.len(), |(offset, _)| offset)
            }
            Encoding::Utf16 => {
                let unit = self.units.at(self.text, line.start).saturating_add(wanted);
                self.units.offset(self.text, line.start, unit).min(line.start + content.len())
            }
        }
    }

    pub(crate) fn offsets(self, range: Range) -> TextRange {
        TextRange::new(self.offset(range.start), self.offset(range.end))
    }

    pub(crate) fn text_edit(self, edit: &pipelens_core::text::TextEdit) -> TextEdit {
        TextEdit::new(self.range(edit.range), edit.new_text.clone())
    }

    pub(crate) fn symbol(self, symbol: &Symbol) -> DocumentSymbol {
        let children: Vec<_> = symbol.children.iter().map(|child| self.symbol(child)).collect();
        #[expect(deprecated, reason = "the protocol's type still has the field it deprecates")]
        DocumentSymbol {
            name: symbol.name.clone(),
            detail: (!symbol.detail.is_empty()).then(|| symbol.detail.clone()),
            kind: if children.is_empty() { SymbolKind::FUNCTION } else { SymbolKind::MODULE },
            tags: None,
            deprecated: None,
            range: self.range(symbol.range),
            selection_range: self.range(symbol.selection),
            children: (!children.is_empty()).then_some(children),
        }
    }
}

/// The files of an analysis, for turning ranges into locations. The only place that turns a file's identity into a URI.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileMap<'a> {
    uri: &'a Uri,
    document: TextMap<'a>,
    files: &'a Files,
}

impl<'a> FileMap<'a> {
    pub(crate) fn new(uri: &'a Uri, document: TextMap<'a>, files: &'a Files) -> Self {
        Self { uri, document, files }
    }

    /// Returns where a range is; `None` for a file whose path has no URI.
    pub(crate) fn location(self, place: FileRange) -> Option<Location> {
        self.in_file(place.file, |map| map.range(place.range)).map(|(uri, range)| Location::new(uri, range))
    }

    /// Returns edits as one change of the workspace.
    pub(crate) fn workspace_edit(self, edits: &[FileEdit]) -> WorkspaceEdit {
        let files: BTreeSet<FileId> = edits.iter().map(|edit| edit.file).collect();
        let change = |file| {
            let edits = FileEdit::in_file(edits, file);
            self.in_file(file, |map| edits.iter().map(|edit| map.text_edit(edit)).collect())
        };
        WorkspaceEdit { changes: Some(files.into_iter().filter_map(change).collect()), ..WorkspaceEdit::default() }
    }

    pub(crate) fn diagnostic(self, diagnostic: &Diagnostic) -> lsp_types::Diagnostic {
        let related = diagnostic
            .related
            .iter()
            .filter_map(|related| {
                let location = self.location(related.place)?;
                Some(DiagnosticRelatedInformation { location, message: related.message.clone() })
            })
            .collect::<Vec<_>>();
        let range = self.in_file(diagnostic.file, |map| map.range(diagnostic.range));
        lsp_types::Diagnostic {
            range: range.map(|(_, range)| range).unwrap_or_default(),
            severity: Some(severity(diagnostic.severity)),
            code: Some(NumberOrString::String(diagnostic.code.as_str().to_owned())),
            code_description: PAGES.get(&diagnostic.code).map(|href| CodeDescription { href: href.clone() }),
            source: Some("pipelens".to_owned()),
            message: diagnostic.message.clone(),
            related_information: (!related.is_empty()).then_some(related),
            ..lsp_types::Diagnostic::default()
        }
    }

    /// Converts something with the text of the file it is in.
    fn in_file<T>(self, file: FileId, convert: impl FnOnce(TextMap<'_>) -> T) -> Option<(Uri, T)> {
        let Some(other) = self.files.get(file) else { return Some((self.uri.clone(), convert(self.document))) };
        let units = Units::new(&other.text);
        let map = TextMap::new(&other.text, &other.line_index, &units, self.document.encoding);
        Some((Uri::from_file_path(&other.path)?, convert(map)))
    }
}

pub(crate) fn severity(severity: Severity) -> DiagnosticSeverity {
    match severity {
        Severity::Error => DiagnosticSeverity::ERROR,
        Severity::Warning => DiagnosticSeverity::WARNING,
        Severity::Information => DiagnosticSeverity::INFORMATION,
        Severity::Hint => DiagnosticSeverity::HINT,
    }
}

fn floor_char(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// The protocol counts in 32 bits; a longer text has been refused before.
pub(crate) fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_in_the_negotiated_unit() {
        let text = "a: x\r\nñ𝄞b: y\n";
        let index = LineIndex::new(text);
        let units = Units::new(text);
        let utf8 = TextMap::new(text, &index, &units, Encoding::Utf8);
        let utf16 = TextMap::new(text, &index, &units, Encoding::Utf16);
        let offset = text.find('b').unwrap();
        assert_eq!(utf8.position(offset), Position::new(1, 6));
        assert_eq!(utf16.position(offset), Position::new(1, 3));
        assert_eq!(utf8.offset(Position::new(1, 6)), offset);
        assert_eq!(utf16.offset(Position::new(1, 3)), offset);
        let utf32 = TextMap::new(text, &index, &units, Encoding::Utf32);
        assert_eq!(utf32.position(offset), Position::new(1, 2));
        assert_eq!(utf32.offset(Position::new(1, 2)), offset);
        assert_eq!(utf32.offset(Position::new(1, 99)), text.trim_end().len());
    }

    #[test]
    fn the_client_decides_what_a_column_counts() {
        const UTF8: PositionEncodingKind = PositionEncodingKind::UTF8;
        const UTF16: PositionEncodingKind = PositionEncodingKind::UTF16;
        const UTF32: PositionEncodingKind = PositionEncodingKind::UTF32;
        let is =
            |offered: Option<&[PositionEncodingKind]>, encoding| assert_eq!(Encoding::negotiate(offered), encoding);
        is(None, Encoding::Utf16);
        is(Some(&[UTF32, UTF16, UTF8]), Encoding::Utf8);
        is(Some(&[UTF32, UTF16]), Encoding::Utf32);
        is(Some(&[UTF16, UTF32]), Encoding::Utf16);
    }

    #[test]
    fn a_range_in_another_file_is_counted_in_its_text() {
        let (text, uri) = ("a: 1\n", Uri::from_file_path("/p/pipeline.yml").unwrap());
        let (index, units, mut files) = (LineIndex::new(text), Units::new(text), Files::default());
        let program = files.add("/p/ci.py".into(), "\nñ = 1\n".into());
        let map = FileMap::new(&uri, TextMap::new(text, &index, &units, Encoding::Utf16), &files);
        let location = map.location(FileRange { file: program, range: TextRange::new(1, 3) }).unwrap();
        assert_eq!(location.uri.as_str(), "file:///p/ci.py");
        assert_eq!(location.range, Range::new(Position::new(1, 0), Position::new(1, 1)));
        assert_eq!(map.location(TextRange::new(0, 1).into()).unwrap().uri, uri);
    }

    #[test]
    fn positions_outside_the_text_are_moved_inside() {
        let text = "ab\n𝄞";
        let index = LineIndex::new(text);
        let units = Units::new(text);
        let map = TextMap::new(text, &index, &units, Encoding::Utf16);
        assert_eq!(map.offset(Position::new(0, 99)), 2);
        assert_eq!(map.offset(Position::new(9, 9)), text.len());
        // The middle of a surrogate pair is the character's start.
        assert_eq!(map.offset(Position::new(1, 1)), 3);
    }

    #[test]
    fn columns_of_a_long_line_match_counting_from_its_start() {
        let text = "aé𝄞—".repeat(400) + "\n𝄞é\n";
        for text in [text.as_str(), &"x".repeat(1000)] {
            let (index, units) = (LineIndex::new(text), Units::new(text));
            let map = TextMap::new(text, &index, &units, Encoding::Utf16);
            for (offset, character) in text.char_indices() {
                let line = index.line(offset);
                let counted = text[index.line_start(line)..offset].encode_utf16().count();
                let position = map.position(offset);
                assert_eq!(position, Position::new(to_u32(line), to_u32(counted)));
                assert_eq!(map.offset(position), offset, "{character:?}");
            }
            assert_eq!(map.offset(map.position(text.len())), text.len());
        }
    }
}
