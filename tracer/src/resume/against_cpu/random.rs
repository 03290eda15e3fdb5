//! Numbers that look random and are the same each time, so that a failure can be repeated.

/// xorshift64*.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    /// `LR_CPU_SEED` begins elsewhere.
    pub(super) fn new(seed: u64) -> Random {
        let other: u64 =
            std::env::var("LR_CPU_SEED").map_or(0, |seed| seed.parse().expect("a number"));
        Random(seed ^ other.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // The low bits of this generator are its worst.
        (self.next() >> 16) % bound
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = self.below(from.len() as u64);
        &from[usize::try_from(index).expect("an index")]
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }

    /// Small, near the limits of a width, a few bits, or anything.
    pub(super) fn word(&mut self) -> u64 {
        let bits = *self.pick(&[7, 8, 15, 16, 31, 32, 63, 64]);
        let limit = 1u64.checked_shl(bits).unwrap_or(0);
        match self.below(6) {
            0 => self.below(4),
            1 => limit.wrapping_sub(1).wrapping_add(self.below(4)),
            2 => limit
                .wrapping_neg()
                .wrapping_sub(2)
                .wrapping_add(self.below(4)),
            3 => 1 << self.below(64),
            _ => self.next(),
        }
    }
}
