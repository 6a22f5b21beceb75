//! "Did you mean": finds the valid name nearest to a misspelt one. Not `strsim`: its distance has no upper bound, so long names
//! would take three times as long.

/// Names longer than this are not compared: the cost is the square of the length.
const MAX_LENGTH: usize = 64;

/// Returns the name that is closest to what was written, if it is close enough to be what was meant.
pub(crate) fn nearest<'name>(written: &str, names: impl Iterator<Item = &'name str>) -> Option<&'name str> {
    let written: Vec<char> = written.to_lowercase().chars().take(MAX_LENGTH + 1).collect();
    if written.is_empty() || written.len() > MAX_LENGTH {
        return None;
    }
    // A third of the characters may differ: `bild` finds `build`, `x` finds nothing.
    let limit = written.len().div_ceil(3);
    let mut best: Option<(usize, &str)> = None;
    for name in names.filter(|name| name.len().abs_diff(written.len()) <= limit * 4 && name.len() <= MAX_LENGTH) {
        let bound = best.map_or(limit, |(distance, _)| distance.saturating_sub(1));
        let Some(distance) = distance_within(&written, name, bound) else { continue };
        if distance == 0 {
            return Some(name);
        }
        best = Some((distance, name));
    }
    best.filter(|(distance, _)| *distance < written.len()).map(|(_, name)| name)
}

/// Counts insertions, deletions, replacements and swaps of neighbours; `None` above `bound`.
fn distance_within(written: &[char], name: &str, bound: usize) -> Option<usize> {
    let name: Vec<char> = name.to_lowercase().chars().collect();
    if written.len().abs_diff(name.len()) > bound {
        return None;
    }
    let mut before: Vec<usize> = vec![usize::MAX / 2; name.len() + 1];
    let mut above: Vec<usize> = (0..=name.len()).collect();
    let mut current: Vec<usize> = Vec::with_capacity(name.len() + 1);
    for (row, left) in written.iter().enumerate() {
        current.clear();
        current.push(row + 1);
        for (column, right) in name.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&above, column) + usize::from(left != right);
            let mut best = replaced.min(at(&above, column + 1) + 1).min(at(&current, column) + 1);
            let is_swap =
                row > 0 && column > 0 && written.get(row - 1) == Some(right) && name.get(column - 1) == Some(left);
            if is_swap {
                best = best.min(at(&before, column - 1) + 1);
            }
            current.push(best);
        }
        // A swap reaches back two rows; once both are above the bound, nothing comes below it again.
        if current.iter().chain(&above).all(|distance| *distance > bound) {
            return None;
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut current);
    }
    above.last().copied().filter(|distance| *distance <= bound)
}
