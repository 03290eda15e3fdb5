use gimli::{
    BaseAddresses, CfaRule, DebugFrame, EhFrame, EhFrameOffset, EndianSlice, FrameDescriptionEntry,
    LittleEndian, Pointer, Range, RegisterRule, UnwindContext, UnwindSection,
};

use super::units::Info;
use crate::image::Bytes;

/// How the canonical frame address is found at some address.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Cfa<'a> {
    Register { number: u16, offset: i64 },
    Expression(gimli::Expression<Bytes<'a>>),
}

/// How the caller's registers are found at some address.
#[derive(Clone, Debug)]
pub(crate) struct FrameRules<'a> {
    pub(crate) cfa: Cfa<'a>,
    /// By DWARF number; those that are not listed have no rule.
    pub(crate) registers: Vec<(u16, SavedAt<'a>)>,
    pub(crate) return_address: u16,
    /// The kernel called what is here, and did so in between two instructions.
    pub(crate) is_signal: bool,
}

/// Where a register of the caller is (DWARF 5, 6.4.1).
#[derive(Clone, Copy, Debug)]
pub(crate) enum SavedAt<'a> {
    Nowhere,
    Same,
    /// In memory, so far from the CFA.
    Offset(i64),
    /// So far from the CFA itself.
    ValOffset(i64),
    Register(u16),
    Expression(gimli::Expression<Bytes<'a>>),
    ValExpression(gimli::Expression<Bytes<'a>>),
    Constant(u64),
}

impl<'a> Info<'a> {
    /// The rules for an address from `.eh_frame`, else from `.debug_frame`.
    pub(crate) fn frame_rules(&self, addr: u64) -> Option<FrameRules<'a>> {
        let bases = self.bases();
        let (eh_frame, debug_frame) = (self.eh_frame(), self.debug_frame());
        self.eh_entry(addr)
            .and_then(|entry| rules(&eh_frame, &bases, &entry, addr))
            .or_else(|| rules(&debug_frame, &bases, &self.debug_entry(addr)?, addr))
    }

    /// The rule for the CFA from `.eh_frame`, else from `.debug_frame`.
    pub(crate) fn cfa(&self, addr: u64) -> Option<Cfa<'a>> {
        let bases = self.bases();
        let (eh_frame, debug_frame) = (self.eh_frame(), self.debug_frame());
        self.eh_entry(addr)
            .and_then(|entry| rule(&eh_frame, &bases, &entry, addr))
            .or_else(|| rule(&debug_frame, &bases, &self.debug_entry(addr)?, addr))
    }

    /// The piece of code around an address, by the same tables. The psABI asks for them, so that
    /// nearly all code has them, with debug info or without.
    pub(crate) fn code_around(&self, addr: u64) -> Option<Range> {
        let entry = self.eh_entry(addr).or_else(|| self.debug_entry(addr))?;
        let begin = entry.initial_address();
        let end = begin.checked_add(entry.len())?;
        Some(Range { begin, end })
    }

    /// Where the language's own table about an address is, and where the piece of code begins
    /// that it is about.
    pub(crate) fn exception_table(&self, addr: u64) -> Option<(u64, u64)> {
        let entry = self.eh_entry(addr)?;
        match entry.lsda()? {
            Pointer::Direct(table) => Some((table, entry.initial_address())),
            Pointer::Indirect(_) => None,
        }
    }

    /// The entry of `.eh_frame` for an address, by the sorted table where the file has one: a
    /// large program has a million entries.
    fn eh_entry(&self, addr: u64) -> Option<FrameDescriptionEntry<Bytes<'a>>> {
        let bases = self.bases();
        let section = self.eh_frame();
        if let Some(offset) = self.eh_offset(addr) {
            let offset = EhFrameOffset(offset?);
            let entry = section.fde_from_offset(&bases, offset, EhFrame::cie_from_offset);
            return entry.ok().filter(|entry| entry.contains(addr));
        }
        section
            .fde_for_address(&bases, addr, EhFrame::cie_from_offset)
            .ok()
    }

    /// Where the sorted table of `.eh_frame_hdr` says that the entry for an address is; the outer
    /// `None` is for a file that has no such table.
    fn eh_offset(&self, addr: u64) -> Option<Option<usize>> {
        let frames = &self.binary.image.frames;
        let header = self.binary.image.eh_frame_hdr();
        // The one form that linkers write: version 1, a 4-byte pointer, a 4-byte count, and pairs
        // of 4-byte distances to the header (Linux Standard Base, 10.6.2).
        let [1, 0x1b, 0x03, 0x3b, _, _, _, _, count @ ..] = header else {
            return None;
        };
        let (count, pairs) = count.split_first_chunk::<4>()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (pairs, _) = pairs.as_chunks::<8>();
        let pairs = pairs.get(..count)?;
        let absolute = |[a, b, c, d]: [u8; 4]| {
            let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
            frames.eh_frame_hdr_addr.wrapping_add_signed(distance)
        };
        let begin = |&[a, b, c, d, ..]: &[u8; 8]| absolute([a, b, c, d]);
        let after = pairs.partition_point(|pair| begin(pair) <= addr);
        let entry = after.checked_sub(1).map(|last| {
            let [.., a, b, c, d] = pairs[last];
            absolute([a, b, c, d])
        });
        let offset = entry.and_then(|entry| entry.checked_sub(frames.eh_frame_addr));
        Some(offset.and_then(|offset| usize::try_from(offset).ok()))
    }

    fn debug_entry(&self, addr: u64) -> Option<FrameDescriptionEntry<Bytes<'a>>> {
        self.debug_frame()
            .fde_for_address(&self.bases(), addr, DebugFrame::cie_from_offset)
            .ok()
    }

    fn bases(&self) -> BaseAddresses {
        let frames = &self.binary.image.frames;
        BaseAddresses::default()
            .set_eh_frame(frames.eh_frame_addr)
            .set_text(frames.text_addr)
            .set_got(frames.got_addr)
    }

    fn eh_frame(&self) -> EhFrame<Bytes<'a>> {
        let bytes = EndianSlice::new(self.binary.image.eh_frame(), LittleEndian);
        let mut section = EhFrame::from(bytes);
        section.set_address_size(8);
        section
    }

    fn debug_frame(&self) -> DebugFrame<Bytes<'a>> {
        let bytes = EndianSlice::new(self.binary.debug_image().debug_frame(), LittleEndian);
        let mut section = DebugFrame::from(bytes);
        section.set_address_size(8);
        section
    }
}

fn rule<'a, S: UnwindSection<Bytes<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    entry: &FrameDescriptionEntry<Bytes<'a>>,
    addr: u64,
) -> Option<Cfa<'a>> {
    let mut context = UnwindContext::new();
    let row = entry
        .unwind_info_for_address(section, bases, &mut context, addr)
        .ok()?;
    match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => Some(Cfa::Register {
            number: register.0,
            offset: *offset,
        }),
        CfaRule::Expression(expression) => Some(Cfa::Expression(expression.get(section).ok()?)),
    }
}

fn rules<'a, S: UnwindSection<Bytes<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    entry: &FrameDescriptionEntry<Bytes<'a>>,
    addr: u64,
) -> Option<FrameRules<'a>> {
    let mut context = UnwindContext::new();
    let row = entry
        .unwind_info_for_address(section, bases, &mut context, addr)
        .ok()?;
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => Cfa::Register {
            number: register.0,
            offset: *offset,
        },
        CfaRule::Expression(expression) => Cfa::Expression(expression.get(section).ok()?),
    };
    let mut registers = Vec::new();
    for (register, rule) in row.registers() {
        let saved = match rule {
            RegisterRule::Undefined | RegisterRule::Architectural => SavedAt::Nowhere,
            RegisterRule::SameValue => SavedAt::Same,
            RegisterRule::Offset(offset) => SavedAt::Offset(*offset),
            RegisterRule::ValOffset(offset) => SavedAt::ValOffset(*offset),
            RegisterRule::Register(other) => SavedAt::Register(other.0),
            RegisterRule::Expression(expression) => {
                SavedAt::Expression(expression.get(section).ok()?)
            }
            RegisterRule::ValExpression(expression) => {
                SavedAt::ValExpression(expression.get(section).ok()?)
            }
            RegisterRule::Constant(value) => SavedAt::Constant(*value),
        };
        registers.push((register.0, saved));
    }
    Some(FrameRules {
        cfa,
        registers,
        return_address: entry.cie().return_address_register().0,
        is_signal: entry.is_signal_trampoline(),
    })
}
