//! The matrix of a step: its axes as they are written, and the combinations they give.

use crate::text::{Spanned, TextRange};

/// What makes one step of a pipeline several: one for each combination of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// The key `matrix`.
    pub range: TextRange,
    /// In the order they are written.
    pub axes: Vec<Axis>,
    pub include: Vec<Assignments>,
    pub exclude: Vec<Assignments>,
    /// Every name that some combination has a value for: those of the axes, then those that only `include` has.
    pub names: Vec<MatrixName>,
    /// The values that combinations refer to.
    pub(crate) values: Vec<Spanned<String>>,
    /// `None`: there are too many.
    pub(crate) combinations: Option<Vec<Combination>>,
}

/// A name and the values it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    pub name: Spanned<String>,
    /// The source text of each scalar: `1.10` stays `1.10`.
    pub values: Vec<Spanned<String>>,
}

/// One entry of `include` or `exclude`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignments {
    pub range: TextRange,
    pub values: Vec<(Spanned<String>, Spanned<String>)>,
}

/// A name in a matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixName {
    /// Where it is first written.
    pub name: Spanned<String>,
    /// The environment variable that has its value.
    pub variable: Spanned<String>,
}

/// One value for each name, or for some of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combination {
    /// The key of its step: `test (1.90, alpine)`.
    pub key: String,
    /// For each name of the matrix, the position of its value.
    pub(crate) values: Vec<Option<u32>>,
    /// How many of its names, from the first on, tell it apart from others.
    pub(crate) identity: usize,
    /// The entry of `include` that adds it.
    pub(crate) added_by: Option<usize>,
}

impl Combination {
    /// Returns its key without that of its step and the brackets: `1.90, alpine`.
    pub fn name(&self, step: &str) -> &str {
        let name = self.key.strip_prefix(step).and_then(|rest| rest.strip_prefix(" ("));
        name.and_then(|name| name.strip_suffix(')')).unwrap_or(&self.key)
    }
}

impl Matrix {
    /// Returns its combinations, none if there are too many.
    pub fn combinations(&self) -> &[Combination] {
        self.combinations.as_deref().unwrap_or_default()
    }

    /// Returns the value that a combination has for a name.
    pub fn value(&self, combination: &Combination, name: &str) -> Option<&Spanned<String>> {
        self.value_at(combination, self.position(name)?)
    }

    /// Returns what a combination consists of.
    pub fn assignments<'a>(
        &'a self,
        combination: &'a Combination,
    ) -> impl Iterator<Item = (&'a MatrixName, &'a Spanned<String>)> + 'a {
        let names = self.names.iter().enumerate();
        names.filter_map(move |(index, name)| Some((name, self.value_at(combination, index)?)))
    }

    /// Returns the position of a name.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known.name.value == name)
    }

    pub(crate) fn value_at(&self, combination: &Combination, name: usize) -> Option<&Spanned<String>> {
        let value = (*combination.values.get(name)?)?;
        self.values.get(usize::try_from(value).ok()?)
    }

    /// Returns the names and values that tell a combination apart from others.
    pub(crate) fn identity(&self, combination: &Combination) -> Vec<(&str, &str)> {
        let names = self.names.iter().enumerate().take(combination.identity);
        let value = |index| Some(self.value_at(combination, index)?.value.as_str());
        names.filter_map(|(index, name)| Some((name.name.value.as_str(), value(index)?))).collect()
    }

    /// Returns how long the longest value of each name is.
    pub(crate) fn longest_values(&self) -> Vec<usize> {
        let mut longest = vec![0; self.names.len()];
        for combination in self.combinations() {
            for (index, longest) in longest.iter_mut().enumerate() {
                let length = self.value_at(combination, index).map_or(0, |value| value.value.len());
                *longest = length.max(*longest);
            }
        }
        longest
    }

    /// Returns every value as it is written, in axes and in `include`.
    pub(crate) fn written_values(&self) -> impl Iterator<Item = &Spanned<String>> {
        let included = self.include.iter().flat_map(|entry| &entry.values).map(|(_, value)| value);
        self.axes.iter().flat_map(|axis| &axis.values).chain(included)
    }

    /// Returns every place where a name is written as a key of the matrix.
    pub(crate) fn places_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = TextRange> + 'a {
        let axes = self.axes.iter().map(|axis| &axis.name);
        let entries = self.include.iter().chain(&self.exclude).flat_map(|entry| &entry.values);
        axes.chain(entries.map(|(name, _)| name)).filter(move |known| known.value == name).map(|known| known.range)
    }
}

/// Returns the environment variable for a name: `rust-version` is `MATRIX_RUST_VERSION`.
pub(crate) fn variable(name: &str) -> String {
    let character =
        |character: char| if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' };
    std::iter::once("MATRIX_").flat_map(str::chars).chain(name.chars().map(character)).collect()
}

#[cfg(test)]
mod tests {
    use super::variable;

    #[test]
    fn a_variable_has_letters_digits_and_underscores() {
        let variables = ["rust", "node-version", "a.b c", "os_2", "ä"].map(variable);
        assert_eq!(variables, ["MATRIX_RUST", "MATRIX_NODE_VERSION", "MATRIX_A_B_C", "MATRIX_OS_2", "MATRIX__"]);
    }
}
