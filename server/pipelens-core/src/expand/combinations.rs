//! The combinations of a matrix: every value of each axis with every other, without what `exclude` names, and with what `include` adds.

use std::collections::{HashMap, HashSet};

use crate::keys::MAX_NAME_BYTES;
use crate::model::{Assignments, Axis, Combination, Matrix, MatrixName, Pipeline, matrix_variable};
use crate::text::Spanned;

/// How many steps the matrices of a pipeline may make. People have a few dozen.
pub(crate) const MAX_COMBINATIONS: usize = 1_000;
/// How many names a matrix may have: as many axes with two values each would be far more combinations.
pub(crate) const MAX_NAMES: usize = 32;

/// Names and values by their positions, one for each assignment of an entry. `None`: an entry with something that no combination has.
type Entry = Vec<(usize, u32)>;

/// Finds the combinations of every matrix of a pipeline, as long as there are not too many.
pub(crate) fn combine(pipeline: &mut Pipeline) {
    let mut left = MAX_COMBINATIONS;
    for step in &mut pipeline.steps {
        let Some(matrix) = &mut step.matrix else { continue };
        let Some(mut table) = Table::new(matrix) else { continue };
        let combinations = table.combinations(matrix, &step.key.value, left);
        left = left.saturating_sub(combinations.as_ref().map_or(0, Vec::len));
        let (names, values) = (table.names, table.values);
        (matrix.names, matrix.values, matrix.combinations) = (names, values, combinations);
    }
}

/// The names and values of a matrix, each once.
struct Table {
    names: Vec<MatrixName>,
    /// How many of the names are axes, or tell combinations apart like axes.
    axes: usize,
    values: Vec<Spanned<String>>,
    /// The positions of each axis's values.
    of_axes: Vec<Vec<u32>>,
    known: HashMap<(usize, String), u32>,
}

impl Table {
    /// Returns `None` if there are too many names or entries to look at.
    fn new(matrix: &Matrix) -> Option<Self> {
        if matrix.include.len() > MAX_COMBINATIONS || matrix.exclude.len() > MAX_COMBINATIONS {
            return None;
        }
        let mut table =
            Self { names: Vec::new(), axes: 0, values: Vec::new(), of_axes: Vec::new(), known: HashMap::new() };
        product(matrix)?;
        for axis in used(matrix) {
            let position = table.name(&axis.name)?;
            let values = axis.values.iter().map(|value| table.value(position, value));
            let mut values: Vec<u32> = values.collect();
            // An equal value is the same one.
            let mut seen = HashSet::new();
            values.retain(|value| seen.insert(*value));
            table.of_axes.push(values);
        }
        table.axes = table.names.len();
        for (name, _) in matrix.include.iter().flat_map(|entry| &entry.values) {
            table.name(name)?;
        }
        if table.axes == 0 {
            table.axes = table.names.len();
        }
        Some(table)
    }

    fn name(&mut self, name: &Spanned<String>) -> Option<usize> {
        if let Some(known) = self.position(&name.value) {
            return Some(known);
        }
        let variable = Spanned::new(matrix_variable(&name.value), name.range);
        self.names.push(MatrixName { name: name.clone(), variable });
        (self.names.len() <= MAX_NAMES).then(|| self.names.len() - 1)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known.name.value == name)
    }

    fn value(&mut self, name: usize, value: &Spanned<String>) -> u32 {
        let next = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let known = self.known.entry((name, value.value.clone())).or_insert(next);
        if *known == next {
            self.values.push(value.clone());
        }
        *known
    }

    fn combinations(&mut self, matrix: &Matrix, key: &str, limit: usize) -> Option<Vec<Combination>> {
        if product(matrix)? > limit {
            return None;
        }
        let excluded: Vec<Entry> = matrix.exclude.iter().filter_map(|entry| self.excluded(entry)).collect();
        let mut combinations: Vec<Combination> = Vec::new();
        for values in self.products() {
            if !excluded.iter().any(|entry| is_part_of(entry, &values)) {
                combinations.push(Combination { key: String::new(), values, identity: self.axes, added_by: None });
            }
        }
        let originals = combinations.len();
        for (index, entry) in matrix.include.iter().enumerate() {
            let entry = self.included(entry);
            let is_axis = |(name, _): &&(usize, u32)| *name < self.of_axes.len();
            let fixed: Entry = entry.iter().filter(is_axis).copied().collect();
            let mut extends = false;
            for combination in combinations.iter_mut().take(originals) {
                if is_part_of(&fixed, &combination.values) {
                    extends = true;
                    set(&mut combination.values, &entry);
                }
            }
            if !extends && !entry.is_empty() {
                let mut values = vec![None; self.names.len()];
                set(&mut values, &entry);
                let identity = self.names.len();
                combinations.push(Combination { key: String::new(), values, identity, added_by: Some(index) });
            }
        }
        if combinations.len() > limit {
            return None;
        }
        for combination in &mut combinations {
            combination.key = self.key(key, combination);
        }
        Some(combinations)
    }

    fn included(&mut self, entry: &Assignments) -> Entry {
        let mut found = Entry::with_capacity(entry.values.len());
        for (name, value) in &entry.values {
            if let Some(name) = self.position(&name.value) {
                found.push((name, self.value(name, value)));
            }
        }
        found
    }

    /// Returns an entry of `exclude`; `None` if it has something that no axis has.
    fn excluded(&self, entry: &Assignments) -> Option<Entry> {
        let found = |(name, value): &(Spanned<String>, Spanned<String>)| {
            let name = self.position(&name.value)?;
            Some((name, *self.known.get(&(name, value.value.clone()))?))
        };
        let entry: Option<Entry> = entry.values.iter().map(found).collect();
        entry.filter(|entry| !entry.is_empty())
    }

    /// Returns every value of each axis with every other; the last axis changes fastest.
    fn products(&self) -> Vec<Vec<Option<u32>>> {
        if self.of_axes.is_empty() {
            return Vec::new();
        }
        let mut products = vec![vec![None; self.names.len()]];
        for (axis, values) in self.of_axes.iter().enumerate() {
            let with = |product: &Vec<Option<u32>>, value: u32| {
                let mut product = product.clone();
                set(&mut product, &[(axis, value)]);
                product
            };
            products =
                products.iter().flat_map(|product| values.iter().map(move |value| with(product, *value))).collect();
        }
        products
    }

    fn key(&self, step: &str, combination: &Combination) -> String {
        let values = combination.values.iter().take(combination.identity).flatten();
        let values = values.filter_map(|value| self.values.get(usize::try_from(*value).ok()?));
        let mut key = format!("{step} (");
        for (index, value) in values.enumerate() {
            key.push_str(if index == 0 { "" } else { ", " });
            key.push_str(&value.value);
            // A longer one has a finding, whatever comes after this.
            if key.len() > MAX_NAME_BYTES {
                break;
            }
        }
        key.push(')');
        key
    }
}

/// Returns the axes that have values.
fn used(matrix: &Matrix) -> impl Iterator<Item = &Axis> {
    matrix.axes.iter().filter(|axis| !axis.values.is_empty())
}

/// Returns how many combinations the axes have, `None` if that is too many to count.
fn product(matrix: &Matrix) -> Option<usize> {
    let product = used(matrix).try_fold(1, |product: usize, axis| {
        product.checked_mul(axis.values.len()).filter(|product| *product <= MAX_COMBINATIONS)
    });
    product.filter(|_| matrix.axes.len() <= MAX_NAMES)
}

fn is_part_of(entry: &[(usize, u32)], values: &[Option<u32>]) -> bool {
    entry.iter().all(|(name, value)| values.get(*name) == Some(&Some(*value)))
}

fn set(values: &mut [Option<u32>], entry: &[(usize, u32)]) {
    for (name, value) in entry {
        if let Some(place) = values.get_mut(*name) {
            *place = Some(*value);
        }
    }
}

/// The entries of a matrix that change nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Idle {
    pub(crate) includes: Vec<usize>,
    pub(crate) excludes: Vec<usize>,
}

/// Finds the entries of a matrix that change nothing.
pub(crate) fn idle(matrix: &Matrix) -> Idle {
    let Some(table) = Table::new(matrix).filter(|_| matrix.combinations.is_some()) else { return Idle::default() };
    let products = table.products();
    let matches_none = |entry: &Assignments| {
        table.excluded(entry).is_none_or(|entry| !products.iter().any(|product| is_part_of(&entry, product)))
    };
    let excludes = matrix.exclude.iter().enumerate().filter(|(_, entry)| matches_none(entry));
    let is_axis = |name: &str| table.position(name).is_some_and(|name| name < table.of_axes.len());
    let added: HashSet<usize> = matrix.combinations().iter().filter_map(|combination| combination.added_by).collect();
    let adds_nothing = |index: usize, entry: &Assignments| {
        !added.contains(&index) && entry.values.iter().all(|(name, _)| is_axis(&name.value))
    };
    let includes = matrix.include.iter().enumerate().filter(|(index, entry)| adds_nothing(*index, entry));
    Idle { includes: includes.map(|(index, _)| index).collect(), excludes: excludes.map(|(index, _)| index).collect() }
}
