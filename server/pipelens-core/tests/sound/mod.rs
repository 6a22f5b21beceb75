//! What holds of every text. The property tests and the fuzz target ask the same.

use pipelens_core::graph::{Drawing, draw, graph};
use pipelens_core::ide::{self, FormatStyle, Known};
use pipelens_core::plan::{Target, plan};
use pipelens_core::text::TextRange;
use pipelens_core::{Analysis, Format, analyze, convert, fixes};

/// Asks everything an editor asks: no panic, every range in the text on character borders, and the same answer twice.
pub(crate) fn assert_sound(text: &str, format: Format) {
    let analysis = analyze(text, format);
    let again = analyze(text, format);
    assert_eq!(analysis.diagnostics, again.diagnostics);
    assert_eq!(analysis.pipelines, again.pipelines);
    let is_sound = |range: TextRange| assert!(text.get(range.start..range.end).is_some(), "{range:?} in {text:?}");
    for found in &analysis.diagnostics {
        is_sound(found.range);
        found.related.iter().for_each(|related| is_sound(related.place.range));
        found.fixes.iter().flat_map(|fix| &fix.edits).for_each(|edit| is_sound(edit.edit.range));
    }
    fixes::fix_all(&analysis.diagnostics).iter().for_each(|edit| is_sound(edit.range));
    ide::run_places(&analysis).into_iter().for_each(|place| is_sound(place.range));
    for symbol in ide::symbols(&analysis) {
        is_sound(symbol.range);
        for child in symbol.children {
            is_sound(child.range);
            assert!(child.range.contains_range(child.selection), "{text:?}");
        }
    }
    check_the_whole_text(&analysis, text, format);
    // Some places of every text, more of a short one.
    for offset in (0..=text.len()).step_by(1 + text.len() / 16) {
        ask_at(&analysis, offset, &is_sound);
    }
}

fn check_the_whole_text(analysis: &Analysis, text: &str, format: Format) {
    let whole = TextRange::new(0, text.len());
    let is_sound = |range: TextRange| assert!(text.get(range.start..range.end).is_some(), "{range:?} in {text:?}");
    ide::folds(analysis).into_iter().for_each(|fold| assert!(fold.start_line < fold.end_line, "{text:?}"));
    ide::links(analysis).into_iter().for_each(|link| is_sound(link.range));
    ide::hints(analysis, whole).into_iter().for_each(|hint| is_sound(TextRange::at(hint.offset)));
    let mut end = 0;
    for token in ide::tokens(analysis, whole) {
        is_sound(token.range);
        assert!(token.range.start >= end, "tokens overlap in {text:?}");
        end = token.range.end;
    }
    if let Ok(edits) = ide::format(analysis, format, FormatStyle::default()) {
        edits.iter().for_each(|edit| is_sound(edit.range));
    }
    for (index, pipeline) in analysis.pipelines.iter().enumerate() {
        drop(plan(analysis, index, &Target::Pipeline, "ci"));
        if pipeline.steps.len() < 50 {
            let drawn = graph(pipeline, "ci");
            for drawing in [Drawing::Mermaid, Drawing::Dot, Drawing::Svg, Drawing::Text] {
                assert!(!draw(&drawn, drawing).is_empty());
            }
        }
        drop(convert::to_plan(pipeline));
    }
    drop(convert::to_yaml(analysis));
}

fn ask_at(analysis: &Analysis, offset: usize, is_sound: &impl Fn(TextRange)) {
    if let Some(hover) = ide::hover(analysis, offset) {
        is_sound(hover.range);
    }
    ide::completion(analysis, offset, Known::default()).into_iter().for_each(|entry| is_sound(entry.edit.range));
    ide::definition(analysis, offset).into_iter().for_each(|place| is_sound(place.range));
    ide::references(analysis, offset).into_iter().for_each(|place| is_sound(place.range));
    ide::highlights(analysis, offset).into_iter().for_each(|highlight| is_sound(highlight.range));
    let mut inner: Option<TextRange> = None;
    for range in ide::selection(analysis, offset) {
        is_sound(range);
        assert!(inner.is_none_or(|inner| range.contains_range(inner)), "a selection that does not grow");
        inner = Some(range);
    }
    if ide::prepare_rename(analysis, offset).is_some() {
        let edits = ide::rename(analysis, offset, "renamed").unwrap_or_default();
        edits.iter().for_each(|edit| is_sound(edit.edit.range));
    }
    ide::call_item(analysis, offset).into_iter().for_each(|item| is_sound(item.range));
    for call in ide::incoming_calls(analysis, offset).into_iter().chain(ide::outgoing_calls(analysis, offset)) {
        is_sound(call.step.range);
    }
}
