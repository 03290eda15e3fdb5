//! Arithmetic flags (Intel SDM volume 1, section 3.4.3.1).

pub(crate) const CF: u64 = 1 << 0;
pub(super) const PF: u64 = 1 << 2;
pub(super) const AF: u64 = 1 << 4;
pub(super) const ZF: u64 = 1 << 6;
pub(super) const SF: u64 = 1 << 7;
pub(super) const OF: u64 = 1 << 11;
/// Accesses that are not aligned fault.
pub(super) const AC: u64 = 1 << 18;
pub(super) const ALL: u64 = CF | PF | AF | ZF | SF | OF;

/// The condition of a `jcc`, `cmovcc` or `setcc` (SDM volume 1, appendix B).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Condition {
    O,
    No,
    B,
    Ae,
    E,
    Ne,
    Be,
    A,
    S,
    Ns,
    P,
    Np,
    L,
    Ge,
    Le,
    G,
}

impl Condition {
    /// From the suffix of a mnemonic as capstone prints it.
    pub(crate) fn from_suffix(suffix: &str) -> Option<Condition> {
        Some(match suffix {
            "o" => Condition::O,
            "no" => Condition::No,
            "b" => Condition::B,
            "ae" => Condition::Ae,
            "e" => Condition::E,
            "ne" => Condition::Ne,
            "be" => Condition::Be,
            "a" => Condition::A,
            "s" => Condition::S,
            "ns" => Condition::Ns,
            "p" => Condition::P,
            "np" => Condition::Np,
            "l" => Condition::L,
            "ge" => Condition::Ge,
            "le" => Condition::Le,
            "g" => Condition::G,
            _ => return None,
        })
    }

    pub(crate) fn holds(self, flags: u64) -> bool {
        let is = |flag: u64| flags & flag != 0;
        match self {
            Condition::O => is(OF),
            Condition::No => !is(OF),
            Condition::B => is(CF),
            Condition::Ae => !is(CF),
            Condition::E => is(ZF),
            Condition::Ne => !is(ZF),
            Condition::Be => is(CF) || is(ZF),
            Condition::A => !is(CF) && !is(ZF),
            Condition::S => is(SF),
            Condition::Ns => !is(SF),
            Condition::P => is(PF),
            Condition::Np => !is(PF),
            Condition::L => is(SF) != is(OF),
            Condition::Ge => is(SF) == is(OF),
            Condition::Le => is(ZF) || is(SF) != is(OF),
            Condition::G => !is(ZF) && is(SF) == is(OF),
        }
    }
}

/// Flags of `left + right + carry = result` at `bits`; all operands masked to that width.
pub(crate) fn after_add(flags: u64, left: u64, right: u64, carry: bool, bits: u32) -> u64 {
    let wide = u128::from(left) + u128::from(right) + u128::from(carry);
    let result = mask(wide, bits);
    let sign = 1u64 << (bits - 1);
    let mut new = of_result(result, bits);
    new |= flag(wide >> bits != 0, CF);
    new |= flag((left ^ result) & (right ^ result) & sign != 0, OF);
    new |= flag((left ^ right ^ result) & 0x10 != 0, AF);
    flags & !ALL | new
}

/// Flags of `left - right - borrow = result` at `bits`.
pub(crate) fn after_sub(flags: u64, left: u64, right: u64, borrow: bool, bits: u32) -> u64 {
    let taken = u128::from(right) + u128::from(borrow);
    let result = mask(u128::from(left).wrapping_sub(taken), bits);
    let sign = 1u64 << (bits - 1);
    let mut new = of_result(result, bits);
    new |= flag(u128::from(left) < taken, CF);
    new |= flag((left ^ right) & (left ^ result) & sign != 0, OF);
    new |= flag((left ^ right ^ result) & 0x10 != 0, AF);
    flags & !ALL | new
}

/// Flags of a logical operation: CF and OF are cleared. AF is undefined; every processor that we
/// know of clears it.
pub(crate) fn after_logic(flags: u64, result: u64, bits: u32) -> u64 {
    flags & !ALL | of_result(result, bits)
}

/// `inc` and `dec` leave CF as it was.
pub(crate) fn keeping_carry(before: u64, after: u64) -> u64 {
    after & !CF | before & CF
}

pub(super) fn of_result(result: u64, bits: u32) -> u64 {
    flag(result == 0, ZF)
        | flag(result >> (bits - 1) & 1 != 0, SF)
        | flag((result & 0xff).count_ones().is_multiple_of(2), PF)
}

pub(super) fn flag(set: bool, flag: u64) -> u64 {
    if set { flag } else { 0 }
}

fn mask(wide: u128, bits: u32) -> u64 {
    let low = wide & ((1u128 << bits) - 1);
    u64::try_from(low).expect("masked to at most 64 bits")
}
