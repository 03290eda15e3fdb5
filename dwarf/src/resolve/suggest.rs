/// The most suggestions of one error.
const MOST: usize = 5;
/// Longer names are not compared letter by letter.
const LONGEST: usize = 80;

/// The names most like `wanted`, best first; empty if none is like it.
pub(crate) fn similar<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted_lower = wanted.to_lowercase();
    let tolerated = (wanted.chars().count() / 3).clamp(1, 3);
    let mut ranked: Vec<(usize, &str)> = Vec::new();
    for name in names {
        let lower = name.to_lowercase();
        let distance = if lower == wanted_lower {
            0
        } else if wanted_lower.len() > 2 && lower.contains(&wanted_lower) {
            2
        } else {
            match distance(&wanted_lower, &lower, tolerated) {
                Some(distance) => distance,
                None => continue,
            }
        };
        ranked.push((distance, name));
    }
    ranked.sort_unstable();
    ranked.dedup();
    ranked
        .into_iter()
        .take(MOST)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// The Levenshtein distance, if it is at most `most`.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > most || a.len().max(b.len()) > LONGEST {
        return None;
    }
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().filter(|&distance| distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: &str, names: &[&str], expected: &[&str]) {
        assert_eq!(similar(wanted, names.iter().copied()), expected);
    }

    #[test]
    fn likely_names_first() {
        check(
            "proces",
            &["process", "reprocess_all", "print"],
            &["process", "reprocess_all"],
        );
        check("Main", &["main", "Mail"], &["main", "Mail"]);
        check("zzz", &["main"], &[]);
    }
}
