//! Random matrices, and what a simple model of GitHub's rules says that they become.

use std::collections::{BTreeMap, BTreeSet};

use pipelens_core::plan::{BootsFrom, Target, plan};
use pipelens_core::{Format, analyze};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

type Map = BTreeMap<String, String>;

/// A matrix as it is written.
#[derive(Debug, Clone)]
struct Written {
    axes: Vec<(String, Vec<String>)>,
    include: Vec<Vec<(String, String)>>,
    exclude: Vec<Vec<(String, String)>>,
}

/// A combination in the model.
#[derive(Debug, Clone, PartialEq)]
struct Combined {
    values: Map,
    key: String,
    /// What tells it apart.
    identity: Map,
}

const NAMES: [&str; 3] = ["a", "b-x", "c"];

fn value(axis: &str, number: usize) -> String {
    format!("{}{number}.10", &axis[..1])
}

fn entry(extras: bool) -> impl Strategy<Value = Vec<(String, String)>> {
    let names = if extras { vec!["a", "b-x", "c", "more", "last"] } else { NAMES.to_vec() };
    prop::collection::btree_map(prop::sample::select(names), 0..3_usize, 1..4)
        .prop_map(|entry| entry.into_iter().map(|(name, number)| (name.to_owned(), value(name, number))).collect())
}

fn matrix() -> impl Strategy<Value = Written> {
    let axes = prop::sample::subsequence(NAMES.to_vec(), 0..=3).prop_shuffle();
    let counts = prop::collection::vec(1..4_usize, 3);
    let include = prop::collection::vec(entry(true), 0..4);
    let exclude = prop::collection::vec(entry(false), 0..3);
    (axes, counts, include, exclude).prop_map(|(axes, counts, include, exclude)| {
        let axes: Vec<(String, Vec<String>)> = axes
            .iter()
            .zip(counts)
            .map(|(name, count)| ((*name).to_owned(), (0..count).map(|number| value(name, number)).collect()))
            .collect();
        // An entry of `exclude` may name only axes.
        let is_axis = |name: &str| axes.iter().any(|(axis, _)| axis == name);
        let exclude = exclude.into_iter().filter(|entry| entry.iter().all(|(name, _)| is_axis(name))).collect();
        Written { axes, include, exclude }
    })
}

fn written(matrix: &Written) -> String {
    let pairs = |entry: &[(String, String)]| {
        let pairs: Vec<String> = entry.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{{{}}}", pairs.join(", "))
    };
    let mut parts: Vec<String> =
        matrix.axes.iter().map(|(name, values)| format!("{name}: [{}]", values.join(", "))).collect();
    for (key, entries) in [("include", &matrix.include), ("exclude", &matrix.exclude)] {
        if !entries.is_empty() {
            let entries: Vec<String> = entries.iter().map(|entry| pairs(entry)).collect();
            parts.push(format!("{key}: [{}]", entries.join(", ")));
        }
    }
    format!("{{{}}}", parts.join(", "))
}

fn combined(step: &str, matrix: &Written) -> Vec<Combined> {
    let axes: Vec<&str> = matrix.axes.iter().map(|(name, _)| name.as_str()).collect();
    let mut originals: Vec<Map> = if axes.is_empty() { Vec::new() } else { vec![Map::new()] };
    for (name, values) in &matrix.axes {
        let mut next = Vec::new();
        for map in &originals {
            for value in values {
                let mut map = map.clone();
                map.insert(name.clone(), value.clone());
                next.push(map);
            }
        }
        originals = next;
    }
    let has = |map: &Map, entry: &[(String, String)]| entry.iter().all(|(name, value)| map.get(name) == Some(value));
    originals.retain(|map| !matrix.exclude.iter().any(|entry| has(map, entry)));
    let plain = originals.clone();
    let mut added = Vec::new();
    for entry in &matrix.include {
        let fixed: Vec<(String, String)> =
            entry.iter().filter(|(name, _)| axes.contains(&name.as_str())).cloned().collect();
        let mut is_extension = false;
        for (_, values) in plain.iter().zip(&mut originals).filter(|(original, _)| has(original, &fixed)) {
            values.extend(entry.iter().cloned());
            is_extension = true;
        }
        if !is_extension {
            added.push(entry.iter().cloned().collect::<Map>());
        }
    }
    let mut names: Vec<&str> = axes.clone();
    for (name, _) in matrix.include.iter().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let finished = |values: Map, shown: &[&str]| {
        let shown: Vec<(&str, &String)> = shown.iter().filter_map(|name| Some((*name, values.get(*name)?))).collect();
        let list: Vec<&str> = shown.iter().map(|(_, value)| value.as_str()).collect();
        let key = format!("{step} ({})", list.join(", "));
        let identity = shown.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        Combined { values, key, identity }
    };
    let originals: Vec<Combined> = originals.into_iter().map(|values| finished(values, &axes)).collect();
    originals.into_iter().chain(added.into_iter().map(|values| finished(values, &names))).collect()
}

fn axes(matrix: &Written) -> BTreeSet<&str> {
    let axes: BTreeSet<&str> = matrix.axes.iter().map(|(name, _)| name.as_str()).collect();
    if axes.is_empty() { matrix.include.iter().flatten().map(|(name, _)| name.as_str()).collect() } else { axes }
}

/// Returns the keys that a combination of `from` means by the key of the other step.
fn meant(from: &Written, own: &Combined, other: &Written, others: &[Combined]) -> Vec<String> {
    if axes(from) == axes(other)
        && let Some(same) = others.iter().find(|one| one.identity == own.identity)
    {
        return vec![same.key.clone()];
    }
    others.iter().map(|one| one.key.clone()).collect()
}

/// What is compared of a step: its key, image, variables, parent and what it waits for.
type Expected = (String, Option<String>, Map, Option<String>, BTreeSet<String>);

fn variables(own: &Combined) -> Map {
    let variable = |name: &str| format!("MATRIX_{}", name.to_uppercase().replace('-', "_"));
    let mut env: Map = own.values.iter().map(|(name, value)| (variable(name), value.clone())).collect();
    env.insert("X".to_owned(), own.values.get("a").cloned().unwrap_or_default() + "!");
    env
}

fn expected(one: &Written, two: &Written, builds_in: bool) -> Option<Vec<Expected>> {
    let (first, second) = (combined("one", one), combined("two", two));
    let keys: BTreeSet<&str> = first.iter().chain(&second).map(|step| step.key.as_str()).collect();
    if first.is_empty() || second.is_empty() || keys.len() != first.len() + second.len() {
        return None;
    }
    let mut steps = Vec::new();
    for own in &first {
        let image = format!("i:{}", own.values.get("a").cloned().unwrap_or_default() + "x");
        steps.push((own.key.clone(), Some(image), variables(own), None, BTreeSet::new()));
    }
    for own in &second {
        let meant = meant(two, own, one, &first);
        let parent = match (builds_in, meant.as_slice()) {
            (false, _) => None,
            (true, [only]) => Some(only.clone()),
            (true, _) => return None,
        };
        let image = parent.is_none().then(|| "alpine:latest".to_owned());
        steps.push((own.key.clone(), image, variables(own), parent, meant.into_iter().collect()));
    }
    let all = second.iter().map(|step| step.key.clone()).chain(first.first().map(|step| step.key.clone())).collect();
    steps.push(("last".to_owned(), Some("alpine:latest".to_owned()), Map::new(), None, all));
    Some(steps)
}

fn planned(text: &str) -> Option<Vec<Expected>> {
    let plan = plan(&analyze(text, Format::Yaml), 0, &Target::Pipeline, "ci").ok()?;
    let key = |step: usize| plan.steps.get(step).map(|step| step.key.clone());
    let steps = plan.steps.iter().map(|step| {
        let (image, parent) = match &step.boots_from {
            BootsFrom::Image(image) => (Some(image.clone()), None),
            BootsFrom::Step(parent) => (None, key(*parent)),
        };
        let after = step.after.iter().filter_map(|before| key(before.step)).collect();
        (step.key.clone(), image, (*step.env).clone(), parent, after)
    });
    Some(steps.collect())
}

/// Returns a pipeline in which a name of a matrix may be missing only where that is no mistake.
fn pipeline(one: &Written, two: &Written, builds_in: bool) -> String {
    // An expression may name only what some combination has.
    let has_a = |matrix: &Written, step: &str| combined(step, matrix).iter().any(|one| one.values.contains_key("a"));
    let env = |matrix: &Written, step: &str| if has_a(matrix, step) { "${{ matrix.a }}!" } else { "!" };
    let image = if has_a(one, "one") { "i:${{matrix.a}}x" } else { "i:x" };
    let reference = if builds_in { "builds_in: one" } else { "depends_on: [one]" };
    let first = combined("one", one).first().map(|first| first.key.clone()).unwrap_or_default();
    format!(
        "steps:\n- {{key: one, cmd: x, image: \"{image}\", env: {{X: \"{}\"}}, matrix: {}}}\n- {{key: two, cmd: x, {reference}, env: {{X: \"{}\"}}, matrix: {}}}\n- {{key: last, cmd: x, depends_on: [two, \"{first}\"]}}\n",
        env(one, "one"),
        written(one),
        env(two, "two"),
        written(two),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_is_what_a_model_of_the_rules_says(one in matrix(), two in matrix(), same in any::<bool>(), builds_in in any::<bool>()) {
        let two = if same { Written { axes: one.axes.iter().rev().cloned().collect(), ..two } } else { two };
        let is_axis = |name: &str| two.axes.iter().any(|(axis, _)| axis == name);
        let exclude = two.exclude.iter().filter(|entry| entry.iter().all(|(name, _)| is_axis(name))).cloned().collect();
        let two = Written { exclude, ..two };
        let text = pipeline(&one, &two, builds_in);
        let (expected, found) = (expected(&one, &two, builds_in), planned(&text));
        prop_assert_eq!(found, expected, "{}", text);
    }
}

#[test]
fn the_model_and_the_generator_reach_every_rule() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut planned, mut refused, mut extended, mut added) = (0, 0, 0, 0);
    for _ in 0..500 {
        let one = matrix().new_tree(&mut runner).unwrap().current();
        let expected = expected(&one, &one, true);
        planned += usize::from(expected.is_some());
        refused += usize::from(expected.is_none());
        let all = combined("one", &one);
        extended += usize::from(all.iter().any(|one| one.identity.len() < one.values.len()));
        added += usize::from(!one.axes.is_empty() && all.iter().any(|own| own.identity.len() != one.axes.len()));
    }
    assert!(planned > 100 && refused > 20 && extended > 50 && added > 20, "{planned} {refused} {extended} {added}");
}
