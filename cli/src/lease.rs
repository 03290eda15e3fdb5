use crate::failure::Failure;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A name for a client's stay that nobody else has: 8 characters, as every id.
pub(crate) fn new() -> Result<String, Failure> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new("internal", format!("no random numbers: {error}")))?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn leases_differ_and_look_like_ids() {
        let (one, other) = (super::new().unwrap(), super::new().unwrap());
        assert_ne!(one, other);
        assert!(one.len() == 8 && one.chars().all(|c| matches!(c, 'a'..='z' | '2'..='7')));
    }
}
