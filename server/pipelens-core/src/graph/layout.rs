//! Where nodes and edges go: columns by the longest way from a root, few crossings, straight lines where they can be.

use super::parts::{Edge, EdgeKind, Graph, Node};

pub(super) const ROW_HEIGHT: f64 = 44.0;
pub(super) const BARRIER_WIDTH: f64 = 6.0;
const ROW_GAP: f64 = 18.0;
const COLUMN_GAP: f64 = 56.0;
/// A line that passes a column needs less room than a box.
const PASSAGE_HEIGHT: f64 = 10.0;
/// More rounds than these change nothing a person sees.
const ORDER_ROUNDS: usize = 12;
const PLACE_ROUNDS: usize = 24;
const MAX_COUNTED_LINES: usize = 400;
/// Beyond so many places where lines pass a column, lines go straight, and beyond so many lines nothing is untangled: no one
/// can follow them either way.
const MAX_PASSAGES: usize = 5_000;

/// A place in a picture; `x` and `y` are its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    /// One a node of the graph.
    pub(super) boxes: Vec<Rect>,
    /// One an edge of the graph: the points it runs through, from box to box.
    pub(super) lines: Vec<Vec<(f64, f64)>>,
}

/// A node of the graph, or a place where a long edge passes a column.
#[derive(Debug, Clone, Copy)]
struct Cell {
    column: usize,
    width: f64,
    height: f64,
    center: f64,
    is_barrier: bool,
}

/// Lays a graph out. `widths` are those of the nodes' texts with their margins.
pub(super) fn lay_out(graph: &Graph, widths: &[f64]) -> Layout {
    let columns = longest_ways(graph);
    let mut cells: Vec<Cell> = graph
        .nodes
        .iter()
        .zip(&columns)
        .zip(widths)
        .map(|((node, column), width)| {
            let is_barrier = matches!(node, Node::Barrier { .. });
            // A bar is as tall as the picture, so it needs no row of its own.
            let (width, height) = if is_barrier { (BARRIER_WIDTH, 0.0) } else { (*width, ROW_HEIGHT) };
            Cell { column: *column, width, height, center: 0.0, is_barrier }
        })
        .collect();
    let most = cells.len() + MAX_PASSAGES;
    let routes: Vec<Vec<usize>> = graph.edges.iter().map(|edge| route(&mut cells, *edge, most)).collect();
    let mut rows = rows(&cells);
    let links: Vec<(usize, usize)> =
        routes.iter().flat_map(|route| route.iter().copied().zip(route.iter().copied().skip(1))).collect();
    let neighbours = Neighbours::new(cells.len(), &links);
    if links.len() <= MAX_PASSAGES {
        untangle(&mut rows, &neighbours);
    }
    place(&mut cells, &rows, &neighbours);
    finish(graph, &cells, &rows, &routes)
}

/// Returns each node's column. A node in a cycle stays in the column where it was reached.
fn longest_ways(graph: &Graph) -> Vec<usize> {
    let mut open = vec![0_usize; graph.nodes.len()];
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    for edge in &graph.edges {
        if let (Some(open), Some(out)) = (open.get_mut(edge.to), out.get_mut(edge.from)) {
            *open += 1;
            out.push(edge.to);
        }
    }
    let mut columns = vec![0; graph.nodes.len()];
    let mut ready: Vec<usize> = (0..graph.nodes.len()).filter(|node| open.get(*node) == Some(&0)).collect();
    while let Some(node) = ready.pop() {
        let next = columns.get(node).copied().unwrap_or_default() + 1;
        for target in out.get(node).into_iter().flatten().copied() {
            if let Some(column) = columns.get_mut(target) {
                *column = next.max(*column);
            }
            if let Some(open) = open.get_mut(target) {
                *open -= 1;
                if *open == 0 {
                    ready.push(target);
                }
            }
        }
    }
    columns
}

/// Returns the cells an edge runs through, making those where it passes a column.
fn route(cells: &mut Vec<Cell>, edge: Edge, most: usize) -> Vec<usize> {
    let column = |cells: &[Cell], node: usize| cells.get(node).map_or(0, |cell| cell.column);
    let (start, end) = (column(cells, edge.from), column(cells, edge.to));
    if edge.kind == EdgeKind::Barrier && end > start + 1 {
        // The bar is as tall as the picture: what is left of it comes before it, without a line.
        return Vec::new();
    }
    let mut route = vec![edge.from];
    if cells.len() + end.saturating_sub(start) > most {
        route.push(edge.to);
        return route;
    }
    for passed in start + 1..end {
        route.push(cells.len());
        cells.push(Cell { column: passed, width: 0.0, height: PASSAGE_HEIGHT, center: 0.0, is_barrier: false });
    }
    route.push(edge.to);
    route
}

/// Returns the cells of each column, in the order they were made.
fn rows(cells: &[Cell]) -> Vec<Vec<usize>> {
    let count = cells.iter().map(|cell| cell.column + 1).max().unwrap_or_default();
    let mut rows = vec![Vec::new(); count];
    for (index, cell) in cells.iter().enumerate() {
        if let Some(row) = rows.get_mut(cell.column) {
            row.push(index);
        }
    }
    rows
}

struct Neighbours {
    left: Vec<Vec<usize>>,
    right: Vec<Vec<usize>>,
}

impl Neighbours {
    fn new(count: usize, links: &[(usize, usize)]) -> Self {
        let mut result = Self { left: vec![Vec::new(); count], right: vec![Vec::new(); count] };
        for (from, to) in links.iter().copied() {
            if let (Some(right), Some(left)) = (result.right.get_mut(from), result.left.get_mut(to)) {
                right.push(to);
                left.push(from);
            }
        }
        result
    }
}

/// Orders each column by the middle of what it is connected with, from the left and from the right in turn. The order with
/// the fewest crossings stays.
fn untangle(rows: &mut Vec<Vec<usize>>, neighbours: &Neighbours) {
    let count = neighbours.left.len();
    let mut position = vec![0.0_f64; count];
    let note = |row: &[usize], position: &mut [f64]| {
        for (index, cell) in row.iter().enumerate() {
            if let Some(place) = position.get_mut(*cell) {
                *place = index as f64;
            }
        }
    };
    rows.iter().for_each(|row| note(row, &mut position));
    let mut best = (crossings(rows, neighbours, &position), rows.clone());
    for round in 0..ORDER_ROUNDS {
        let from_left = round % 2 == 0;
        let order: Vec<usize> = if from_left { (0..rows.len()).collect() } else { (0..rows.len()).rev().collect() };
        let side = if from_left { &neighbours.left } else { &neighbours.right };
        for index in order {
            let Some(row) = rows.get_mut(index) else { continue };
            let wanted = |cell: &usize| {
                let around = side.get(*cell).map(Vec::as_slice).unwrap_or_default();
                mean(around, &position).unwrap_or_else(|| position.get(*cell).copied().unwrap_or_default())
            };
            row.sort_by(|one, other| wanted(one).total_cmp(&wanted(other)));
            note(row, &mut position);
        }
        let crossings = crossings(rows, neighbours, &position);
        if crossings < best.0 {
            best = (crossings, rows.clone());
        }
    }
    *rows = best.1;
}

/// Counts how often two lines between neighbouring columns cross. In a very large graph the difference is invisible.
fn crossings(rows: &[Vec<usize>], neighbours: &Neighbours, position: &[f64]) -> usize {
    let place = |cell: usize| position.get(cell).copied().unwrap_or_default();
    let mut count = 0;
    for row in rows {
        let ends = |cell: usize| neighbours.right.get(cell).into_iter().flatten().map(move |end| (cell, *end));
        let lines: Vec<(f64, f64)> =
            row.iter().flat_map(|cell| ends(*cell)).map(|(start, end)| (place(start), place(end))).collect();
        if lines.len() > MAX_COUNTED_LINES {
            return 0;
        }
        for (index, (start, end)) in lines.iter().enumerate() {
            let crosses = |(other_start, other_end): &&(f64, f64)| (start - other_start) * (end - other_end) < 0.0;
            count += lines.iter().skip(index + 1).filter(crosses).count();
        }
    }
    count
}

fn mean(cells: &[usize], position: &[f64]) -> Option<f64> {
    let sum: f64 = cells.iter().filter_map(|cell| position.get(*cell)).sum();
    (!cells.is_empty()).then(|| sum / cells.len() as f64)
}

/// Moves cells towards the middle of their neighbours as far as their column lets them.
fn place(cells: &mut [Cell], rows: &[Vec<usize>], neighbours: &Neighbours) {
    for row in rows {
        let mut y = 0.0;
        for cell in row.iter().copied() {
            if let Some(cell) = cells.get_mut(cell) {
                cell.center = y + cell.height / 2.0;
                y += cell.height + ROW_GAP;
            }
        }
    }
    for round in 0..PLACE_ROUNDS {
        let from_left = round % 2 == 0;
        let side = if from_left { &neighbours.left } else { &neighbours.right };
        let order: Vec<usize> = if from_left { (0..rows.len()).collect() } else { (0..rows.len()).rev().collect() };
        // Each column sees where its neighbour has just gone; moving all at once would only swap places forever.
        for row in order.into_iter().filter_map(|index| rows.get(index)) {
            let wanted: Vec<f64> = row.iter().map(|cell| wanted_center(cells, side, *cell)).collect();
            settle(cells, row, &wanted);
        }
    }
}

fn wanted_center(cells: &[Cell], side: &[Vec<usize>], cell: usize) -> f64 {
    let center = |cell: usize| cells.get(cell).map_or(0.0, |cell| cell.center);
    match side.get(cell).map(Vec::as_slice) {
        Some(around) if !around.is_empty() => {
            around.iter().map(|cell| center(*cell)).sum::<f64>() / around.len() as f64
        }
        Some(_) | None => center(cell),
    }
}

/// Gives a column its wanted centers as nearly as its order and gaps allow: pushed down from above, then up from below,
/// and the middle of both.
fn settle(cells: &mut [Cell], row: &[usize], wanted: &[f64]) {
    let height = |cell: &usize| cells.get(*cell).map_or(0.0, |cell| cell.height);
    let distance = |one: &usize, other: &usize| (height(one) + height(other)) / 2.0 + ROW_GAP;
    let mut down = wanted.to_vec();
    for (index, pair) in row.windows(2).enumerate() {
        if let ([one, other], Some(above)) = (pair, down.get(index).copied())
            && let Some(below) = down.get_mut(index + 1)
        {
            *below = below.max(above + distance(one, other));
        }
    }
    let mut up = wanted.to_vec();
    for (index, pair) in row.windows(2).enumerate().rev() {
        if let ([one, other], Some(below)) = (pair, up.get(index + 1).copied())
            && let Some(above) = up.get_mut(index)
        {
            *above = above.min(below - distance(one, other));
        }
    }
    for (cell, (down, up)) in row.iter().zip(down.iter().zip(&up)) {
        if let Some(cell) = cells.get_mut(*cell) {
            cell.center = (down + up) / 2.0;
        }
    }
}

fn finish(graph: &Graph, cells: &[Cell], rows: &[Vec<usize>], routes: &[Vec<usize>]) -> Layout {
    let top = cells.iter().map(|cell| cell.center - cell.height / 2.0).fold(f64::INFINITY, f64::min);
    let bottom = cells.iter().map(|cell| cell.center + cell.height / 2.0).fold(f64::NEG_INFINITY, f64::max);
    let height = (bottom - top).max(0.0);
    let mut starts = Vec::with_capacity(rows.len());
    let mut widths = Vec::with_capacity(rows.len());
    let mut x = 0.0;
    for row in rows {
        let width = row.iter().filter_map(|cell| cells.get(*cell)).map(|cell| cell.width).fold(0.0, f64::max);
        starts.push(x);
        widths.push(width);
        x += width + COLUMN_GAP;
    }
    let column = |cell: &Cell| {
        (starts.get(cell.column).copied().unwrap_or_default(), widths.get(cell.column).copied().unwrap_or_default())
    };
    let rect = |cell: &Cell| {
        let (start, width) = column(cell);
        if cell.is_barrier {
            return Rect { x: start, y: 0.0, width: cell.width, height };
        }
        // A column's boxes are all as wide as the widest, so that lines start and end on one line.
        Rect { x: start, y: cell.center - top - cell.height / 2.0, width, height: cell.height }
    };
    let lines = graph.edges.iter().zip(routes).map(|(edge, route)| line(*edge, route, cells, &rect, top)).collect();
    Layout {
        width: (x - COLUMN_GAP).max(0.0),
        height,
        boxes: cells.iter().take(graph.nodes.len()).map(rect).collect(),
        lines,
    }
}

/// Returns the points of an edge. At a barrier it goes straight, since the bar is as tall as the picture.
fn line(edge: Edge, route: &[usize], cells: &[Cell], rect: &impl Fn(&Cell) -> Rect, top: f64) -> Vec<(f64, f64)> {
    let mut points = Vec::with_capacity(route.len() + 1);
    if edge.from == edge.to || route.is_empty() {
        return points;
    }
    let ends = |index: usize| cells.get(index).map(|cell| (rect(cell), cell.is_barrier, cell.center - top));
    let (Some((from, from_barrier, from_y)), Some((to, to_barrier, to_y))) = (ends(edge.from), ends(edge.to)) else {
        return points;
    };
    let inner: Vec<(Rect, f64)> = route
        .iter()
        .skip(1)
        .take(route.len().saturating_sub(2))
        .filter_map(|index| ends(*index).map(|(rect, _, y)| (rect, y)))
        .collect();
    let first_y = inner.first().map_or(to_y, |(_, y)| *y);
    let last_y = inner.last().map_or(from_y, |(_, y)| *y);
    points.push((from.x + from.width, if from_barrier { first_y } else { from_y }));
    for (passage, y) in inner {
        points.push((passage.x, y));
        if passage.width > 0.0 {
            points.push((passage.x + passage.width, y));
        }
    }
    points.push((to.x, if to_barrier { last_y } else { to_y }));
    points
}
