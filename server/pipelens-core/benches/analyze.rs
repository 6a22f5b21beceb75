//! What a keystroke costs: the whole analysis of pipelines from ordinary to absurd, intact and with one broken line.
#![expect(clippy::unwrap_used, reason = "writing to a string cannot fail")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pipelens_core::{Format, analyze};

#[path = "../tests/sound/shapes.rs"]
mod shapes;

const LINES: [usize; 4] = [100, 1_000, 10_000, 20_000];

fn benches(criterion: &mut Criterion) {
    for (name, format, generate) in [("yaml", Format::Yaml, yaml as fn(usize) -> String), ("json", Format::Json, json)]
    {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
        for lines in LINES {
            let intact = generate(lines);
            group.throughput(Throughput::Bytes(intact.len() as u64));
            for (state, text) in [("broken", broken(&intact)), ("intact", intact)] {
                let is_expected = analyze(&text, format).is_repaired == (state == "broken");
                assert!(is_expected, "{state} {name} of {lines} lines");
                let id = BenchmarkId::new(state, lines);
                group.bench_with_input(id, &text, |bencher, text| bencher.iter(|| analyze(black_box(text), format)));
            }
        }
        group.finish();
    }
}

/// A million bytes of the shapes that cost most, beside an ordinary text of that size. The budget is 300 ms.
fn worst(criterion: &mut Criterion) {
    const WORST: [&str; 8] = [
        "plain steps",
        "broken with misplaced keys",
        "dense cycles",
        "steps that are null",
        "steps without a key",
        "unknown references",
        "unknown keys in a step",
        "square brackets in JSON",
    ];
    let mut group = criterion.benchmark_group("worst");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    for shape in shapes::shapes().filter(|shape| WORST.contains(&shape.name)) {
        let text = (shape.text)(1_000_000);
        group.bench_function(shape.name, |bencher| bencher.iter(|| analyze(black_box(&text), shape.format)));
    }
    group.finish();
}

/// Steps of ten lines each, as people write them.
fn yaml(lines: usize) -> String {
    let mut text = String::from("name: bench\ndefault_image: alpine:3.20\nenv:\n  CI: \"1\"\nsteps:\n");
    for step in 0..(lines - 5) / 10 {
        let parent = step / 2;
        let boots = if step == 0 { "image: rust:1.95".to_owned() } else { format!("builds_in: step-{parent}") };
        write!(
            text,
            "  - key: step-{step}\n    label: \":rust: Build part {step}\"\n    cmd: |\n      cargo build --release --locked\n      echo \"done {step}\"\n    {boots}\n    env:\n      RUST_LOG: debug\n      LEVEL: \"{step}\"\n    timeout_seconds: 600\n"
        )
        .unwrap();
    }
    text
}

fn json(lines: usize) -> String {
    let mut text = String::from("{\n  \"name\": \"bench\",\n  \"default_image\": \"alpine:3.20\",\n  \"steps\": [\n");
    let steps = (lines - 6) / 10;
    for step in 0..steps {
        let parent = step / 2;
        let boots =
            if step == 0 { "\"image\": \"rust:1.95\"".to_owned() } else { format!("\"builds_in\": \"step-{parent}\"") };
        let comma = if step + 1 == steps { "" } else { "," };
        write!(
            text,
            "    {{\n      \"key\": \"step-{step}\",\n      \"label\": \"Build part {step}\",\n      \"cmd\": \"cargo build --release --locked\",\n      {boots},\n      \"env\": {{\n        \"LEVEL\": \"{step}\"\n      }},\n      \"timeout_seconds\": 600\n    }}{comma}\n"
        )
        .unwrap();
    }
    text.push_str("  ]\n}\n");
    text
}

/// Takes the closing quote from a label near the end, where the parser comes last.
fn broken(text: &str) -> String {
    let (before, after) = text.rsplit_once("Build part ").unwrap();
    format!("{before}Build part {}", after.replacen('"', "", 1))
}

criterion_group!(analysis, benches, worst);
criterion_main!(analysis);
