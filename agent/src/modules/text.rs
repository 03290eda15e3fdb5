use lr_dwarf::FileAddr;
use lr_tracer::TextRange;

use super::Loaded;
use crate::maps::Mapping;

/// What of a mapping the file's executable segments have bytes for.
pub(super) fn text_in<'a>(mapping: &Mapping, loaded: &'a Loaded) -> Option<TextRange<'a>> {
    loaded.binary.segments().iter().find_map(|segment| {
        let start = segment.addr.in_target(loaded.bias).0;
        let end = start.checked_add(segment.len)?;
        let (from, to) = (start.max(mapping.start), end.min(mapping.end));
        if from >= to {
            return None;
        }
        let skip = FileAddr(segment.addr.0.wrapping_add(from - start));
        let bytes = loaded
            .binary
            .bytes_at(skip, usize::try_from(to - from).ok()?)?;
        Some(TextRange { start: from, bytes })
    })
}
