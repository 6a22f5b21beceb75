//! Images with expressions: what each combination makes of them.

use std::collections::{HashMap, HashSet};

use crate::diagnostic::Diagnostic;
use crate::expand::{Expression, expressions, replaced};
use crate::findings::Findings;
use crate::model::{Combination, Matrix};
use crate::text::{Spanned, TextRange};

/// Checks the image of a step with a matrix. `judge` returns what is wrong with an image; it is reported at the value that makes it so.
/// Returns `false` if the image has no expressions, so that it is an image like any other.
pub(in crate::validate) fn check(
    image: &Spanned<String>,
    matrix: &Matrix,
    judge: impl Fn(&Spanned<String>) -> Option<Diagnostic>,
    findings: &mut Findings,
) -> bool {
    let found = expressions(&image.value).filter_map(|expression| matrix.position(expression.name));
    let names: Vec<usize> = found.collect();
    if names.is_empty() {
        return false;
    }
    let with =
        |combination: &Combination| Spanned::new(replaced(&image.value, matrix, combination).into_owned(), image.range);
    let mut seen = HashSet::new();
    let mut counts: HashMap<(usize, TextRange), Count> = HashMap::new();
    let mut bad: Vec<(&Combination, Diagnostic)> = Vec::new();
    for combination in matrix.combinations() {
        if !seen.insert(values(matrix, combination, &names)) {
            continue;
        }
        let finding = judge(&with(combination));
        for (name, value) in names.iter().zip(values(matrix, combination, &names)) {
            let count = value.map(|value| counts.entry((*name, value)).or_default());
            if let Some(count) = count {
                count.all += 1;
                count.wrong += usize::from(finding.is_some());
            }
        }
        bad.extend(finding.map(|finding| (combination, finding)));
    }
    // If all are wrong in the same way, no value is to blame, unless there is nothing else in the name.
    let is_whole = |only: Expression<'_>| only.range == TextRange::new(0, image.value.len());
    let may_blame = bad.len() < seen.len() || seen.len() == 1 || expressions(&image.value).next().is_some_and(is_whole);
    let mut reported = HashSet::new();
    for (combination, finding) in bad {
        let culprit = may_blame.then(|| culprit(matrix, combination, &names, &counts)).flatten();
        let Some(place) = culprit else {
            if reported.insert(image.range) {
                findings.push(finding);
            }
            continue;
        };
        if reported.insert(place) {
            let placed = Diagnostic { range: place, fixes: Vec::new(), ..finding };
            findings.push(placed.with_related(image.range, format!("In the image of `{}`", combination.key)));
        }
    }
    true
}

/// How many images have a value, and how many of these are wrong.
#[derive(Default)]
struct Count {
    all: usize,
    wrong: usize,
}

fn values(matrix: &Matrix, combination: &Combination, names: &[usize]) -> Vec<Option<TextRange>> {
    names.iter().map(|name| matrix.value_at(combination, *name).map(|value| value.range)).collect()
}

/// Returns the value with which every image is wrong; if there is none, the last one. A combination without a value was added by an entry
/// of `include`.
fn culprit(
    matrix: &Matrix,
    combination: &Combination,
    names: &[usize],
    counts: &HashMap<(usize, TextRange), Count>,
) -> Option<TextRange> {
    let mut last = None;
    for name in names {
        let Some(value) = matrix.value_at(combination, *name) else {
            let entry = combination.added_by.and_then(|index| matrix.include.get(index));
            return entry.map(|entry| entry.range);
        };
        if counts.get(&(*name, value.range)).is_some_and(|count| count.all == count.wrong) {
            return Some(value.range);
        }
        last = Some(value.range);
    }
    last
}
