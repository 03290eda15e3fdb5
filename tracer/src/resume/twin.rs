use memchr::memmem;

use crate::plan::TextRange;
use crate::resume::{LoanPlan, Pattern};

/// Bytes elsewhere that can be stepped instead of an instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Twin {
    pub(crate) address: u64,
    /// What must be there.
    pub(crate) code: Vec<u8>,
    pub(crate) loan: LoanPlan,
}

/// Finds up to `wanted` places of `pattern` in each text, that no site overlaps: those of one text may
/// all become sites themselves.
pub(crate) fn find_twins(
    pattern: &Pattern,
    texts: &[TextRange<'_>],
    sites: &[u64],
    wanted: usize,
) -> Vec<Twin> {
    let finder = memmem::Finder::new(&pattern.head);
    let mut twins = Vec::new();
    for text in texts {
        let most = twins.len() + wanted;
        for offset in finder.find_iter(text.bytes) {
            if twins.len() == most {
                break;
            }
            let Some((code, loan)) = pattern.matches(&text.bytes[offset..]) else {
                continue;
            };
            let address = text.start + offset as u64;
            let end = address + code.len() as u64;
            if !sites.iter().any(|site| (address..end).contains(site)) {
                twins.push(Twin {
                    address,
                    code: code.to_vec(),
                    loan,
                });
            }
        }
    }
    twins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(head: &[u8], sites: &[u64]) -> Vec<u64> {
        let texts = [TextRange {
            start: 0x1000,
            bytes: &[0x55, 0x90, 0x55, 0xc3, 0x55],
        }];
        let pattern = Pattern::exact(head.to_vec());
        find_twins(&pattern, &texts, sites, 4)
            .iter()
            .map(|twin| twin.address)
            .collect()
    }

    #[test]
    fn sites_are_avoided() {
        assert_eq!(find(&[0x55], &[0x1000, 0x1002]), [0x1004]);
        assert_eq!(find(&[0x55, 0xc3], &[0x1003]), [0u64; 0]);
    }
}
