//! The lines in which two texts differ, with a little of what is around them.

/// Equal lines shown before and after a difference.
const AROUND: usize = 2;
/// With more lines than this on both sides, whole texts are shown instead of compared.
const LINES_MAX: usize = 4_000;

/// Lines with `-` for what is gone, `+` for what is new and a space for what stays.
pub fn differences(before: &str, after: &str) -> Vec<String> {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let mut lines = Vec::new();
    let common = common(&before, &after);
    let (mut at_before, mut at_after) = (0, 0);
    for (index_before, index_after) in common.into_iter().chain([(before.len(), after.len())]) {
        lines.extend(before.get(at_before..index_before).unwrap_or_default().iter().map(|line| ('-', *line)));
        lines.extend(after.get(at_after..index_after).unwrap_or_default().iter().map(|line| ('+', *line)));
        lines.extend(before.get(index_before).map(|line| (' ', *line)));
        (at_before, at_after) = (index_before + 1, index_after + 1);
    }
    let is_near = |index: usize| {
        let from = index.saturating_sub(AROUND);
        lines.iter().skip(from).take(index - from + AROUND + 1).any(|(sign, _)| *sign != ' ')
    };
    let near = lines.iter().enumerate().filter(|(index, _)| is_near(*index));
    near.map(|(_, (sign, line))| format!("{sign} {line}\n")).collect()
}

/// The places of the longest common lines, in order.
fn common(before: &[&str], after: &[&str]) -> Vec<(usize, usize)> {
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (rest_before, rest_after) = (before.get(start..).unwrap_or_default(), after.get(start..).unwrap_or_default());
    let mut places: Vec<_> = (0..start).map(|index| (index, index)).collect();
    if rest_before.len().max(rest_after.len()) > LINES_MAX {
        return places;
    }
    // How many lines are common from each pair of places on.
    let width = rest_after.len() + 1;
    let mut lengths = vec![0_u16; (rest_before.len() + 1) * width];
    let at = |a: usize, b: usize| a * width + b;
    for (a, before) in rest_before.iter().enumerate().rev() {
        for (b, after) in rest_after.iter().enumerate().rev() {
            lengths[at(a, b)] =
                if before == after { lengths[at(a + 1, b + 1)] + 1 } else { lengths[at(a + 1, b)].max(lengths[at(a, b + 1)]) };
        }
    }
    let (mut a, mut b) = (0, 0);
    while a < rest_before.len() && b < rest_after.len() {
        if rest_before[a] == rest_after[b] {
            places.push((start + a, start + b));
            (a, b) = (a + 1, b + 1);
        } else if lengths[at(a + 1, b)] >= lengths[at(a, b + 1)] {
            a += 1;
        } else {
            b += 1;
        }
    }
    places
}
