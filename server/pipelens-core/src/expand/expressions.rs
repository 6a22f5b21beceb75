//! `${{ matrix.name }}`: where it is, and what replaces it.

use std::borrow::Cow;

use crate::model::{Combination, Matrix};
use crate::syntax::parse::floor_char_border;
use crate::text::TextRange;

const START: &str = "${{";
const END: &str = "}}";
/// Longer ones are no expressions.
const MAX_BYTES: usize = 1_000;

/// One expression in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expression<'a> {
    /// From its `$` to its last brace, in the value.
    pub(crate) range: TextRange,
    pub(crate) name: &'a str,
    /// Where the name is, in the value.
    pub(crate) name_range: TextRange,
}

/// Returns the expressions that name something of a matrix. Others belong to other systems.
pub(crate) fn expressions(value: &str) -> impl Iterator<Item = Expression<'_>> {
    value.match_indices(START).filter_map(|(start, _)| {
        let inner = value.get(start + START.len()..)?;
        let near = inner.get(..floor_char_border(inner, MAX_BYTES))?;
        let inner = inner.get(..near.find(END)?).filter(|inner| !inner.contains('\n'))?;
        let name = inner.trim_start().strip_prefix("matrix.")?;
        let name_start = start + START.len() + inner.len() - name.len();
        let name = name.trim_end();
        let end = start + START.len() + inner.len() + END.len();
        (!name.is_empty()).then(|| Expression {
            range: TextRange::new(start, end),
            name,
            name_range: TextRange::new(name_start, name_start + name.len()),
        })
    })
}

/// Returns a value with its expressions replaced. What a combination has no value for is replaced by nothing; what no combination has
/// stays as it is, and has a finding.
pub(crate) fn replaced<'a>(value: &'a str, matrix: &Matrix, combination: &Combination) -> Cow<'a, str> {
    replaced_by(value, |name| {
        let position = matrix.position(name)?;
        Some(matrix.value_at(combination, position).map_or("", |value| value.value.as_str()))
    })
}

/// Returns a value in which each expression is replaced by what `of` returns for its name.
pub(super) fn replaced_by<'a, 'v>(value: &'a str, of: impl Fn(&str) -> Option<&'v str>) -> Cow<'a, str> {
    if !value.contains(START) {
        return Cow::Borrowed(value);
    }
    let mut result = String::with_capacity(value.len());
    let mut position = 0;
    for expression in expressions(value) {
        let Some(new) = of(expression.name) else { continue };
        result.push_str(value.get(position..expression.range.start).unwrap_or_default());
        result.push_str(new);
        position = expression.range.end;
    }
    result.push_str(value.get(position..).unwrap_or_default());
    Cow::Owned(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_a_matrix_are_found_in_every_form() {
        let found = |value: &'static str| {
            expressions(value).map(|found| (found.name, found.range.of(value))).collect::<Vec<_>>()
        };
        assert_eq!(found("a:${{ matrix.rust }}-b"), [("rust", "${{ matrix.rust }}")]);
        assert_eq!(found("${{matrix.a-b}}${{  matrix.c  }}"), [("a-b", "${{matrix.a-b}}"), ("c", "${{  matrix.c  }}")]);
        for other in
            ["${{ env.A }}", "${{ matrix }}", "${{ matrix. }}", "${{ matrix.a", "${{ matrix.a\n}}", "$MATRIX_A"]
        {
            assert_eq!(found(other), [], "{other}");
        }
        let value = "x ${{ matrix.a }} y";
        assert_eq!(expressions(value).next().map(|found| found.name_range.of(value)), Some("a"));
    }

    #[test]
    fn known_names_are_replaced() {
        let of = |name: &str| (name == "a").then_some("1");
        assert_eq!(replaced_by("${{ matrix.a }}:${{matrix.a}}${{ matrix.b }}", of), "1:1${{ matrix.b }}");
        assert!(matches!(replaced_by("plain", of), Cow::Borrowed("plain")));
    }
}
