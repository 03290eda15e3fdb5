//! Moves of a vector register from or to memory, of which the processor has several that do the
//! same (Intel SDM volume 2).

const OPERAND_SIZE: u8 = 0x66;
const REPNE: u8 = 0xf2;
const REP: u8 = 0xf3;
/// Begins an opcode of two bytes.
const TWO: u8 = 0x0f;
const REX_W: u8 = 8;

/// Mandatory prefix, if any, and opcode. All of a row do the same with memory. `movaps`, `movapd`,
/// `movdqa`; `movups`, `movupd`, `movdqu`; `movsd`, `movq`, `movlps`, `movlpd`; `movss`, `movd`:
/// first loads, then stores.
const SAME: [&[(Option<u8>, u8)]; 8] = [
    &[
        (None, 0x28),
        (Some(OPERAND_SIZE), 0x28),
        (Some(OPERAND_SIZE), 0x6f),
    ],
    &[
        (None, 0x29),
        (Some(OPERAND_SIZE), 0x29),
        (Some(OPERAND_SIZE), 0x7f),
    ],
    &[(None, 0x10), (Some(OPERAND_SIZE), 0x10), (Some(REP), 0x6f)],
    &[(None, 0x11), (Some(OPERAND_SIZE), 0x11), (Some(REP), 0x7f)],
    &[(Some(REPNE), 0x10), (Some(REP), 0x7e)],
    &[
        (Some(REPNE), 0x11),
        (Some(OPERAND_SIZE), 0xd6),
        (None, 0x13),
        (Some(OPERAND_SIZE), 0x13),
    ],
    &[(Some(REP), 0x10), (Some(OPERAND_SIZE), 0x6e)],
    &[(Some(REP), 0x11), (Some(OPERAND_SIZE), 0x7e)],
];

/// The others of its row, with where their `modrm` is. None for what has more prefixes than its
/// own and REX.
pub(super) fn synonyms(code: &[u8], modrm_offset: usize) -> Vec<(Vec<u8>, usize)> {
    let (mandatory, rest) = match code {
        [prefix @ (OPERAND_SIZE | REPNE | REP), rest @ ..] => (Some(*prefix), rest),
        rest => (None, rest),
    };
    let (rex, rest) = match rest {
        [rex @ 0x40..=0x4f, rest @ ..] => (Some(*rex), rest),
        rest => (None, rest),
    };
    let [TWO, opcode, tail @ ..] = rest else {
        return Vec::new();
    };
    // REX.W makes another instruction of some, and so does a register in place of memory.
    let is_wide = rex.is_some_and(|rex| rex & REX_W != 0);
    let is_of_memory = tail.first().is_some_and(|modrm| modrm >> 6 != 3);
    let is_modrm = modrm_offset + tail.len() == code.len();
    let own = (mandatory, *opcode);
    let row = SAME.iter().find(|row| row.contains(&own));
    let Some(row) = row.filter(|_| is_modrm && is_of_memory && !is_wide) else {
        return Vec::new();
    };
    let others = row.iter().filter(|&&other| other != own);
    others
        .map(|&(mandatory, opcode)| {
            let mut code: Vec<u8> = mandatory.into_iter().chain(rex).collect();
            code.extend([TWO, opcode]);
            let modrm_offset = code.len();
            code.extend(tail);
            (code, modrm_offset)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(code: &[u8], modrm_offset: usize) -> Vec<Vec<u8>> {
        let synonyms = synonyms(code, modrm_offset);
        synonyms.into_iter().map(|(code, _)| code).collect()
    }

    #[test]
    fn moves_have_synonyms_of_the_same_alignment() {
        // movdqu 0x10(%r8),%xmm1 is movups and movupd.
        assert_eq!(
            codes(&[0xf3, 0x41, 0x0f, 0x6f, 0x48, 0x10], 4),
            [
                vec![0x41, 0x0f, 0x10, 0x48, 0x10],
                vec![0x66, 0x41, 0x0f, 0x10, 0x48, 0x10],
            ]
        );
        // movaps %xmm0,(%rax) is movapd and movdqa.
        assert_eq!(
            codes(&[0x0f, 0x29, 0x00], 2),
            [vec![0x66, 0x0f, 0x29, 0x00], vec![0x66, 0x0f, 0x7f, 0x00]]
        );
    }

    #[test]
    fn others_have_none() {
        // A register, 64 bits of a general register, paddd, cvtsi2sd.
        assert_eq!(synonyms(&[0x0f, 0x28, 0xc1], 2), []);
        assert_eq!(synonyms(&[0x66, 0x48, 0x0f, 0x6e, 0x00], 4), []);
        assert_eq!(synonyms(&[0x66, 0x0f, 0xfe, 0x00], 3), []);
        assert_eq!(synonyms(&[0xf2, 0x0f, 0x2a, 0x00], 3), []);
    }
}
