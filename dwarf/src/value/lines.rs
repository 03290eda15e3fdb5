//! Reasons that say where a variable would have a value.

use super::tree::{Absent, Reason, Value};
use crate::binary::Binary;
use crate::info::DieRef;
use crate::inspect::{LineRange, Spot, live_lines};

/// The most ranges that one reason names.
const MAX_RANGES: usize = 3;

/// A variable that has a value elsewhere in its function.
pub(super) struct Lost {
    /// Among the values of the frame.
    pub(super) index: usize,
    /// The scope that it is in.
    pub(super) node: usize,
    pub(super) at: DieRef,
}

/// Names the lines at which variables have a value, where they are known.
pub(super) fn tell(binary: &Binary, spot: &Spot<'_>, lost: &[Lost], values: &mut [Value]) {
    if lost.is_empty() {
        return;
    }
    let variables: Vec<(usize, DieRef)> = lost.iter().map(|lost| (lost.node, lost.at)).collect();
    let all = live_lines(binary, spot, &variables);
    for (lost, ranges) in lost.iter().zip(all) {
        let Some(value) = values.get_mut(lost.index) else {
            continue;
        };
        if let Some(words) = words(&ranges, spot.line) {
            value.absent = Some(Absent::new(Reason::OptimizedOut, words));
        }
    }
}

/// `live at lines 12–19, 25`: those that are next to a line.
fn words(ranges: &[LineRange], line: u32) -> Option<String> {
    let distance = |range: &LineRange| match (range.first..=range.last).contains(&line) {
        true => 0,
        false => range.first.abs_diff(line).min(range.last.abs_diff(line)),
    };
    let mut nearest = ranges.to_vec();
    nearest.sort_by_key(distance);
    nearest.truncate(MAX_RANGES);
    nearest.sort_by_key(|range| range.first);
    let texts: Vec<String> = nearest
        .iter()
        .map(|range| match range.first == range.last {
            true => range.first.to_string(),
            false => format!("{}–{}", range.first, range.last),
        })
        .collect();
    let noun = match nearest.as_slice() {
        [] => return None,
        [one] if one.first == one.last => "line",
        _ => "lines",
    };
    let rest = if ranges.len() > MAX_RANGES {
        ", …"
    } else {
        ""
    };
    Some(format!("live at {noun} {}{rest}", texts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_words() {
        let ranges = |pairs: &[(u32, u32)]| -> Vec<LineRange> {
            let pairs = pairs.iter();
            pairs
                .map(|&(first, last)| LineRange { first, last })
                .collect()
        };
        let check = |pairs: &[(u32, u32)], expected: Option<&str>| {
            assert_eq!(words(&ranges(pairs), 20).as_deref(), expected);
        };
        check(&[], None);
        check(&[(12, 12)], Some("live at line 12"));
        check(&[(12, 19)], Some("live at lines 12–19"));
        check(&[(12, 19), (25, 25)], Some("live at lines 12–19, 25"));
        check(
            &[(1, 2), (17, 18), (21, 21), (30, 31)],
            Some("live at lines 17–18, 21, 30–31, …"),
        );
    }
}
