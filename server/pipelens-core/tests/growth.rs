//! No text makes an answer slow: four times the text takes about four times the work, whatever it is made of.
#![cfg(unix)]

#[path = "sound/asks.rs"]
mod asks;
#[path = "sound/processor.rs"]
mod processor;
#[path = "sound/shapes.rs"]
mod shapes;

use std::time::Duration;

use asks::{ASKS, Ask};
use pipelens_core::{Analysis, analyze};
use processor::cost;
use shapes::{PLAIN_YAML, Shape, shapes};

const SMALL: usize = 8_000;
const TIMES: usize = 4;
/// Work that grows with the square of the text takes sixteen times as long; what is linear rarely takes eight.
const MOST_TIMES: u32 = 10;
/// What costs no more than so many analyses of an ordinary text of the same size is no matter, however it grows.
const FREE: u32 = 6;
/// A measurement that was disturbed is taken again.
const TRIES: usize = 4;

/// What a few lines stand for may grow with their square, up to a limit of its own: a `wait` between many steps becomes an edge for
/// each two of them, and an alias to a long list becomes that list again.
const LIMITED: [&str; 2] = ["plan json", "yaml"];

/// One text in two sizes.
struct Pair {
    shape: &'static Shape,
    small: (String, Analysis),
    large: (String, Analysis),
}

impl Pair {
    fn of(shape: &'static Shape) -> Self {
        let read = |bytes| {
            let text = (shape.text)(bytes);
            let analysis = analyze(&text, shape.format);
            (text, analysis)
        };
        Self { shape, small: read(SMALL), large: read(SMALL * TIMES) }
    }

    fn stands_for_more(&self) -> bool {
        self.shape.name.contains("wait") || self.shape.name.contains("share")
    }

    /// Tells how many times the larger text costs what the smaller one does, where that is worth telling.
    fn growth(&self, ask: Ask, free: Duration) -> Option<f64> {
        let asked = |(text, analysis): &(String, Analysis)| cost(|| ask(analysis, text, self.shape.format));
        let mut least: Option<(Duration, Duration)> = None;
        for _ in 0..TRIES {
            let (small, large) = (asked(&self.small), asked(&self.large));
            let (small, large) = least.map_or((small, large), |least| (small.max(least.0), large.min(least.1)));
            if large <= free || large <= small * MOST_TIMES {
                return None;
            }
            least = Some((small, large));
        }
        least.map(|(small, large)| large.as_secs_f64() / small.as_secs_f64().max(1e-9))
    }
}

fn assert_linear(part: usize, parts: usize) {
    let plain = (PLAIN_YAML.text)(SMALL * TIMES);
    let ordinary = (0..3).map(|_| cost(|| drop(analyze(&plain, PLAIN_YAML.format)))).min().unwrap_or_default();
    let analysis: (&str, Ask) = ("analyze", |_, text, format| drop(analyze(text, format)));
    let mut slow = Vec::new();
    for shape in shapes().skip(part).step_by(parts) {
        let pair = Pair::of(shape);
        for (name, ask) in std::iter::once(analysis).chain(ASKS.iter().copied()) {
            let is_limited = LIMITED.contains(&name) && pair.stands_for_more();
            if let Some(growth) = pair.growth(ask, ordinary * FREE).filter(|_| !is_limited) {
                slow.push(format!("{}: {name} takes {growth:.0} times as long for {TIMES} times the text", shape.name));
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

#[test]
fn four_times_the_text_takes_about_four_times_the_work_part_one() {
    assert_linear(0, 4);
}

#[test]
fn four_times_the_text_takes_about_four_times_the_work_part_two() {
    assert_linear(1, 4);
}

#[test]
fn four_times_the_text_takes_about_four_times_the_work_part_three() {
    assert_linear(2, 4);
}

#[test]
fn four_times_the_text_takes_about_four_times_the_work_part_four() {
    assert_linear(3, 4);
}
