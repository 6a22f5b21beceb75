//! Exploration.
#![allow(clippy::all, clippy::disallowed_methods, clippy::print_stdout, clippy::disallowed_types)]
#[path = "../tests/sound/shapes.rs"]
mod shapes;
#[path = "../tests/sound/asks.rs"]
mod asks;
use std::time::Instant;
fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let limit: u128 = std::env::args().nth(2).and_then(|v| v.parse().ok()).unwrap_or(100);
    let max: usize = std::env::args().nth(3).and_then(|v| v.parse().ok()).unwrap_or(1_000_000);
    for shape in shapes::SHAPES.iter().filter(|s| s.name.contains(&filter)) {
        let mut skip: Vec<&str> = Vec::new();
        for size in [16_000, 64_000, 256_000, 1_000_000] {
            if size > max { break; }
            let text = (shape.text)(size);
            assert!(text.len() < size * 2 + 100_000, "{} {}", shape.name, text.len());
            if skip.contains(&"analyze") { break; }
            let start = Instant::now();
            let analysis = pipelens_core::analyze(&text, shape.format);
            let ms = start.elapsed().as_millis();
            if ms > limit { println!("{:45} {:8} analyze {ms} ms", shape.name, text.len()); if ms > 2_000 { skip.push("analyze"); } }
            for (name, ask) in asks::ASKS {
                if skip.contains(name) { continue; }
                let start = Instant::now();
                ask(&analysis, &text, shape.format);
                let ms = start.elapsed().as_millis();
                if ms > limit { println!("{:45} {:8} {name} {ms} ms", shape.name, text.len()); if ms > 2_000 { skip.push(name); } }
            }
        }
    }
}
