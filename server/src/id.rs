/// The alphabet of ids: base 32 (RFC 4648) in lower case.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The longest name, tag, id or other short text that a request may carry.
pub(crate) const MAX_SHORT_TEXT: usize = 256;

/// A new id: 8 characters, 40 random bits.
pub(crate) fn new_id() -> String {
    random_bytes::<8>()
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
        .collect()
}

/// A secret of 128 bits in hexadecimal.
pub(crate) fn new_secret() -> String {
    hex(&random_bytes::<16>())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel has random bytes since Linux 3.17");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_eight_letters_of_the_alphabet_and_differ() {
        let id = new_id();
        assert_eq!(id.len(), 8);
        assert!(id.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_ne!(id, new_id());
        assert_eq!(new_secret().len(), 32);
    }
}
