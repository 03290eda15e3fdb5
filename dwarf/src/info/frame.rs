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
        let image = &self.binary.image;
        let bases = BaseAddresses::default()
            .set_eh_frame(image.frames.eh_frame_addr)
            .set_text(image.frames.text_addr)
            .set_got(image.frames.got_addr);
        let mut eh_frame = EhFrame::from(EndianSlice::new(image.eh_frame(), LittleEndian));
        eh_frame.set_address_size(8);
        if let Some(cfa) = rule(&eh_frame, &bases, addr) {
            return Some(cfa);
        }
        let bytes = EndianSlice::new(self.binary.debug_image().debug_frame(), LittleEndian);
        let mut debug_frame = DebugFrame::from(bytes);
        debug_frame.set_address_size(8);
        rule(&debug_frame, &bases, addr)
    }
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
