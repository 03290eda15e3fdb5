//! What the reasons mean for which events are missing.

/// A reason in words: none where the counts tell it, empty where it is not known here.
pub(super) fn in_words(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "rate_limited" | "condition_error" | "over_budget" => return None,
        "ring_full" => "they came faster than they are read",
        "queue_full" => "the server did not take them in time",
        "batch_refused" => "the server refused them",
        "too_large" => "they were larger than they may be",
        "went_on" => "the thread had to go on before it was read",
        "too_many_held" => "too many threads stood still already",
        "output_full" => "nobody read the output fast enough",
        "output_failed" => "the output could not be written",
        "no_value" => "the expression had no value",
        "not_finite" => "the number was infinite, or none",
        "tracer_died" | "not_read" => "the process or its tracer ended before",
        _ => "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reasons that docs/sql.md lists.
    #[test]
    fn every_reason_for_a_loss_has_words() {
        let docs = include_str!("../../../../docs/sql.md");
        let row = docs
            .lines()
            .find(|line| line.starts_with("| `reason` | VARCHAR | `ring_full`"));
        let mut reasons = row.unwrap().split('`').skip(3).step_by(2);
        assert!(reasons.clone().count() > 10);
        assert!(reasons.all(|reason| in_words(reason) != Some("")));
        assert_eq!(in_words("of another version"), Some(""));
    }
}
