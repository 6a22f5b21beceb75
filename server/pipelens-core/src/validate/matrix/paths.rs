//! Paths with expressions: what each combination makes of them.

use std::collections::HashSet;

use crate::diagnostic::Diagnostic;
use crate::expand::{expressions, replaced};
use crate::findings::Findings;
use crate::model::Matrix;
use crate::text::Spanned;

/// Checks a path of a step with a matrix, as each combination has it. `judge` returns what is wrong with a path; it is reported at the
/// value that makes it so. Returns `false` if the path has no expressions.
pub(in crate::validate) fn check(
    path: &Spanned<String>,
    matrix: &Matrix,
    judge: impl Fn(&Spanned<String>) -> Option<Diagnostic>,
    findings: &mut Findings,
) -> bool {
    let Some(name) = expressions(&path.value).find_map(|expression| matrix.position(expression.name)) else {
        return false;
    };
    let mut seen = HashSet::new();
    for combination in matrix.combinations() {
        let resolved = replaced(&path.value, matrix, combination).into_owned();
        if !seen.insert(resolved.clone()) {
            continue;
        }
        let Some(finding) = judge(&Spanned::new(resolved, path.range)) else { continue };
        let value = matrix.value_at(combination, name).map_or(path.range, |value| value.range);
        let placed = Diagnostic { range: value, fixes: Vec::new(), ..finding };
        findings.push(placed.with_related(path.range, format!("In a path of `{}`", combination.key)));
    }
    true
}
