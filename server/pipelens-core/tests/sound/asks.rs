//! What an editor asks, one question at a time, at the worst places of the text.

use pipelens_core::graph::{Drawing, draw, graph};
use pipelens_core::ide::{self, FormatStyle, Known};
use pipelens_core::plan::{Target, plan};
use pipelens_core::text::TextRange;
use pipelens_core::{Analysis, Format, convert, fixes};

/// Asks one question about the text; what comes back is dropped.
pub(crate) type Ask = fn(&Analysis, &str, Format);

/// Asks at the beginning, in the middle and at the end of text.
fn everywhere(text: &str, ask: impl Fn(usize)) {
    let border = |offset: usize| (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    [0, border(text.len() / 2), border(text.len().saturating_sub(8)), text.len()].into_iter().for_each(ask);
}

fn whole(text: &str) -> TextRange {
    TextRange::new(0, text.len())
}

pub(crate) const ASKS: &[(&str, Ask)] = &[
    ("fix all", |analysis, _, _| drop(fixes::fix_all(&analysis.diagnostics))),
    ("run places", |analysis, _, _| drop(ide::run_places(analysis))),
    ("symbols", |analysis, _, _| drop(ide::symbols(analysis))),
    ("folds", |analysis, _, _| drop(ide::folds(analysis))),
    ("links", |analysis, _, _| drop(ide::links(analysis))),
    ("hints", |analysis, text, _| drop(ide::hints(analysis, whole(text)))),
    ("tokens", |analysis, text, _| drop(ide::tokens(analysis, whole(text)))),
    ("format", |analysis, _, format| drop(ide::format(analysis, format, FormatStyle::default()))),
    ("hover", |analysis, text, _| everywhere(text, |offset| drop(ide::hover(analysis, offset)))),
    ("completion", |analysis, text, _| {
        everywhere(text, |offset| drop(ide::completion(analysis, offset, Known::default())));
    }),
    ("definition", |analysis, text, _| {
        everywhere(text, |offset| drop(ide::definition(analysis, offset)));
    }),
    ("references", |analysis, text, _| everywhere(text, |offset| drop(ide::references(analysis, offset)))),
    ("selection", |analysis, text, _| everywhere(text, |offset| drop(ide::selection(analysis, offset)))),
    ("rename", |analysis, text, _| {
        everywhere(text, |offset| {
            drop((ide::prepare_rename(analysis, offset), ide::rename(analysis, offset, "renamed")))
        });
    }),
    ("calls", |analysis, text, _| {
        everywhere(text, |offset| {
            drop((
                ide::call_item(analysis, offset),
                ide::incoming_calls(analysis, offset),
                ide::outgoing_calls(analysis, offset),
            ));
        });
    }),
    ("plan", |analysis, _, _| {
        (0..analysis.pipelines.len()).for_each(|index| drop(plan(analysis, index, &Target::Pipeline, "ci")));
    }),
    ("plan json", |analysis, _, _| analysis.pipelines.iter().for_each(|pipeline| drop(convert::to_plan(pipeline)))),
    ("yaml", |analysis, _, _| drop(convert::to_yaml(analysis))),
    ("graph", |analysis, _, _| {
        for pipeline in &analysis.pipelines {
            let drawn = graph(pipeline, "ci");
            for drawing in [Drawing::Mermaid, Drawing::Dot, Drawing::Text, Drawing::Svg] {
                drop(draw(&drawn, drawing));
            }
        }
    }),
];
