use gimli::{
    BaseAddresses, CfaRule, DebugFrame, EhFrame, EndianSlice, LittleEndian, UnwindContext,
    UnwindSection,
};

use super::units::Info;
use crate::image::Bytes;

/// How the canonical frame address is found at some address.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Cfa<'a> {
    Register { number: u16, offset: i64 },
    Expression(gimli::Expression<Bytes<'a>>),
}

impl<'a> Info<'a> {
    /// The rule for the CFA from `.eh_frame`, else from `.debug_frame`.
    pub(crate) fn cfa(&self, addr: u64) -> Option<Cfa<'a>> {
        let bases = self.bases();
        rule(&self.eh_frame(), &bases, addr).or_else(|| rule(&self.debug_frame(), &bases, addr))
    }

    /// Where the piece of code around an address begins, by the same tables. The psABI asks for
    /// them, so that nearly all code has them, with debug info or without.
    pub(crate) fn code_begins(&self, addr: u64) -> Option<u64> {
        let bases = self.bases();
        begin(&self.eh_frame(), &bases, addr).or_else(|| begin(&self.debug_frame(), &bases, addr))
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

fn begin<'a, S: UnwindSection<Bytes<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    addr: u64,
) -> Option<u64> {
    let fde = section
        .fde_for_address(bases, addr, S::cie_from_offset)
        .ok()?;
    Some(fde.initial_address())
}

fn rule<'a, S: UnwindSection<Bytes<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    addr: u64,
) -> Option<Cfa<'a>> {
    let fde = section
        .fde_for_address(bases, addr, S::cie_from_offset)
        .ok()?;
    let mut context = UnwindContext::new();
    let row = fde
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
