use memchr::memmem;

use crate::plan::TextRange;

/// Finds up to `wanted` places of `pattern` that no site overlaps.
pub(crate) fn find_twins(
    pattern: &[u8],
    texts: &[TextRange<'_>],
    sites: &[u64],
    wanted: usize,
) -> Vec<u64> {
    let finder = memmem::Finder::new(pattern);
    let mut twins = Vec::new();
    for text in texts {
        for offset in finder.find_iter(text.bytes) {
            if twins.len() == wanted {
                return twins;
            }
            let address = text.start + offset as u64;
            let end = address + pattern.len() as u64;
            if !sites.iter().any(|site| (address..end).contains(site)) {
                twins.push(address);
            }
        }
    }
    twins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_avoided() {
        let texts = [TextRange {
            start: 0x1000,
            bytes: &[0x55, 0x90, 0x55, 0xc3, 0x55],
        }];
        assert_eq!(find_twins(&[0x55], &texts, &[0x1000, 0x1002], 4), [0x1004]);
        assert_eq!(find_twins(&[0x55, 0xc3], &texts, &[0x1003], 4), [0u64; 0]);
    }
}
