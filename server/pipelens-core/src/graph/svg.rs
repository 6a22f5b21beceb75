//! Self-contained SVG, for light and dark themes.

use std::fmt::{Display, Formatter, Write as _};

use super::layout::{Layout, Rect, lay_out};
use super::parts::{EdgeKind, Graph, Node};

const MARGIN: f64 = 16.0;
const HEADING: f64 = 30.0;
const LEGEND: f64 = 28.0;
/// The widest letters of a common sans-serif at this size; a box that is too wide looks better than truncated text.
const KEY_LETTER: f64 = 7.6;
const IMAGE_LETTER: f64 = 6.1;
const PADDING: f64 = 14.0;
const MIN_WIDTH: f64 = 84.0;
/// Longer names end in `…`, and details are cut a little earlier: the full text is in the tooltip.
const MAX_LETTERS: usize = 32;
const MAX_SMALL_LETTERS: usize = 26;

const STYLE: &str = "text{font-family:ui-sans-serif,system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}\
.key{font-size:13px;font-weight:600}.small{font-size:11px;fill:#59636e}.title{font-size:14px;font-weight:600}\
.box{fill:#fff;stroke:#8c959f;stroke-width:1.2}.root{stroke:#0969da;stroke-width:1.6}.bar{fill:#bf8700;opacity:.55}\
.lineage{stroke:#0969da;stroke-width:2.2;fill:none}.order{stroke:#59636e;stroke-width:1.4;stroke-dasharray:5 4;fill:none}\
.barrier{stroke:#bf8700;stroke-width:1.2;fill:none;opacity:.75}.lineage-tip{fill:#0969da}.order-tip{fill:#59636e}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.box{fill:#151b23;stroke:#656c76}\
.root{stroke:#4493f8}.lineage{stroke:#4493f8}.order{stroke:#9198a1}.bar{fill:#d29922}.barrier{stroke:#d29922}\
.lineage-tip{fill:#4493f8}.order-tip{fill:#9198a1}}";

pub(super) fn draw(graph: &Graph) -> String {
    let widths: Vec<f64> = graph.nodes.iter().map(node_width).collect();
    let layout = lay_out(graph, &widths);
    let heading_width = characters(&graph.name, MAX_LETTERS) as f64 * KEY_LETTER;
    let legend = Legend::of(graph);
    let width = layout.width.max(heading_width).max(legend.width()) + 2.0 * MARGIN;
    let top = MARGIN + HEADING;
    let height = top + layout.height + LEGEND + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n"
    );
    push(&mut svg, &format!("<title>{}</title>", escaped(&graph.name)));
    push(&mut svg, &format!("<style>{STYLE}</style>"));
    push(&mut svg, &format!("<defs>{}{}</defs>", tip("lineage"), tip("order")));
    push(&mut svg, &text("title", MARGIN, MARGIN + 14.0, "start", &shortened(&graph.name, MAX_LETTERS)));
    push(&mut svg, &format!("<g transform=\"translate({MARGIN} {top})\">"));
    draw_lines(graph, &layout, &mut svg);
    for (node, place) in graph.nodes.iter().zip(&layout.boxes) {
        draw_node(node, *place, &mut svg);
    }
    push(&mut svg, "</g>");
    legend.draw(MARGIN, top + layout.height + LEGEND, &mut svg);
    push(&mut svg, "</svg>");
    svg
}

fn push(svg: &mut String, line: &str) {
    svg.push_str(line);
    svg.push('\n');
}

fn tip(kind: &str) -> String {
    format!(
        "<marker id=\"{kind}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"{kind}-tip\" d=\"M0 0L8 4L0 8z\"/></marker>"
    )
}

fn characters(text: &str, most: usize) -> usize {
    text.chars().count().min(most)
}

fn node_width(node: &Node) -> f64 {
    match node {
        Node::Barrier { .. } => 0.0,
        Node::Step { key, image, words } => {
            let small = image.as_deref().unwrap_or(words);
            let widest = (characters(key, MAX_LETTERS) as f64 * KEY_LETTER)
                .max(characters(small, MAX_SMALL_LETTERS) as f64 * IMAGE_LETTER);
            (widest + 2.0 * PADDING).max(MIN_WIDTH)
        }
    }
}

fn draw_lines(graph: &Graph, layout: &Layout, svg: &mut String) {
    // Lineage comes last, so that it is drawn over mere order.
    for kind in [EdgeKind::Barrier, EdgeKind::Order, EdgeKind::Lineage] {
        for (edge, points) in graph.edges.iter().zip(&layout.lines).filter(|(edge, _)| edge.kind == kind) {
            let (class, tip) = match edge.kind {
                EdgeKind::Lineage => ("lineage", " marker-end=\"url(#lineage)\""),
                EdgeKind::Order => ("order", " marker-end=\"url(#order)\""),
                EdgeKind::Barrier => ("barrier", ""),
            };
            if let Some(path) = curve(points) {
                push(svg, &format!("<path class=\"{class}\" d=\"{path}\"{tip}/>"));
            }
        }
    }
}

/// Runs a smooth line through the points: every piece leaves and arrives level.
fn curve(points: &[(f64, f64)]) -> Option<String> {
    let ((first_x, first_y), rest) = points.split_first()?;
    let mut path = format!("M{} {}", Tenths(*first_x), Tenths(*first_y));
    let (mut x, mut y) = (*first_x, *first_y);
    for (next_x, next_y) in rest.iter().copied() {
        let middle = Tenths(f64::midpoint(x, next_x));
        let (level, to_x, to_y) = (Tenths(y), Tenths(next_x), Tenths(next_y));
        write!(path, "C{middle} {level} {middle} {to_y} {to_x} {to_y}").ok();
        (x, y) = (next_x, next_y);
    }
    Some(path)
}

/// A coordinate with one digit after the decimal point. Exact decimals, which Rust's own formatting finds, take many times as long, and a
/// large graph has hundreds of thousands of coordinates.
#[derive(Clone, Copy)]
struct Tenths(f64);

impl Display for Tenths {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round_ties_even() as i64;
        let sign = if tenths < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{}", tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10)
    }
}

fn draw_node(node: &Node, place: Rect, svg: &mut String) {
    let Rect { x, y, width, height } = place;
    let rect =
        format!("x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", Tenths(x), Tenths(y), Tenths(width), Tenths(height));
    match node {
        Node::Barrier { continue_on_failure } => {
            push(svg, &format!("<rect class=\"bar\" {rect} rx=\"3\"/>"));
            let words = if *continue_on_failure { "wait, continue on failure" } else { "wait" };
            push(svg, &text("small", x + width / 2.0, y - 6.0, "middle", words));
        }
        Node::Step { key, words, image } => {
            let class = if image.is_some() { "box root" } else { "box" };
            let small = image.as_deref().unwrap_or(words);
            let middle = x + width / 2.0;
            let name = escaped(&format!("{key}: {words}"));
            push(svg, &format!("<g class=\"step\" data-step=\"{}\"><title>{name}</title>", escaped(key)));
            push(svg, &format!("<rect class=\"{class}\" {rect} rx=\"8\"/>"));
            push(svg, &text("key", middle, y + height / 2.0 - 3.0, "middle", &shortened(key, MAX_LETTERS)));
            push(svg, &text("small", middle, y + height / 2.0 + 13.0, "middle", &shortened(small, MAX_SMALL_LETTERS)));
            push(svg, "</g>");
        }
    }
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

fn text(class: &str, x: f64, y: f64, anchor: &str, words: &str) -> String {
    let (x, y, words) = (Tenths(x), Tenths(y), escaped(words));
    format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{words}</text>")
}

/// What the lines of this picture mean; a kind that is not drawn is not explained.
struct Legend {
    entries: Vec<(EdgeKind, &'static str)>,
}

impl Legend {
    fn of(graph: &Graph) -> Self {
        let all = [(EdgeKind::Lineage, "builds in"), (EdgeKind::Order, "runs after")];
        let is_drawn = |(kind, _): &(EdgeKind, &str)| graph.edges.iter().any(|edge| edge.kind == *kind);
        Self { entries: all.into_iter().filter(is_drawn).collect() }
    }

    fn width(&self) -> f64 {
        self.entries.len() as f64 * 110.0
    }

    fn draw(&self, x: f64, y: f64, svg: &mut String) {
        for (index, (kind, words)) in self.entries.iter().enumerate() {
            let class = if *kind == EdgeKind::Lineage { "lineage" } else { "order" };
            let start = x + index as f64 * 110.0;
            let line = format!("M{start:.1} {:.1}h28", y - 4.0);
            push(svg, &format!("<path class=\"{class}\" d=\"{line}\" marker-end=\"url(#{class})\"/>"));
            push(svg, &text("small", start + 36.0, y, "start", words));
        }
    }
}

fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => result.push_str("&amp;"),
            '<' => result.push_str("&lt;"),
            '>' => result.push_str("&gt;"),
            '"' => result.push_str("&quot;"),
            // In some CI systems two of them start a command, wherever they are in a log.
            '#' => result.push_str("&#35;"),
            // XML cannot contain them, not even escaped.
            _ if character.is_control() => result.push(' '),
            _ => result.push(character),
        }
    }
    result
}
