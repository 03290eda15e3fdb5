use super::Image;
use super::segment::Segment;
use crate::address::LoadBias;

const PAGE_MASK: u64 = !0xfff;

/// A part of a file as it is mapped into a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MappedPart {
    pub start: u64,
    pub end: u64,
    /// In the file.
    pub offset: u64,
    /// `None` where that is not known.
    pub executable: Option<bool>,
}

impl Image {
    /// What the loader added to the file's addresses, by one part of it that is mapped; `None`
    /// where the file loads nothing of that part.
    pub(crate) fn bias_of(&self, part: &MappedPart) -> Option<LoadBias> {
        bias_of(&self.loaded, part)
    }

    /// Whether a part lies where a bias puts it.
    pub(crate) fn is_at(&self, part: &MappedPart, bias: LoadBias) -> bool {
        let mut segments = self.loaded.iter();
        segments.any(|segment| overlap(segment, part) && bias_by(segment, part) == bias)
    }
}

/// The segment that begins in the first page of the part, else one that `mprotect` split.
fn bias_of(segments: &[Segment], part: &MappedPart) -> Option<LoadBias> {
    let is_kind = |segment: &&Segment| {
        let executable = part.executable.unwrap_or(segment.executable);
        segment.executable == executable && overlap(segment, part)
    };
    let begins = |segment: &&Segment| segment.offset & PAGE_MASK == part.offset;
    let exact = segments.iter().filter(is_kind).find(begins);
    let segment = exact.or_else(|| segments.iter().find(is_kind))?;
    Some(bias_by(segment, part))
}

fn overlap(segment: &Segment, part: &MappedPart) -> bool {
    let end = segment.offset.saturating_add(segment.len);
    let len = part.end.saturating_sub(part.start);
    segment.offset < part.offset.saturating_add(len) && part.offset < end
}

/// The bias that makes a segment lie where a mapping of the same bytes is. Segments begin anywhere
/// in a page, mappings at its beginning.
fn bias_by(segment: &Segment, part: &MappedPart) -> LoadBias {
    let skip = part.offset.wrapping_sub(segment.offset);
    let begins = segment.addr.0.wrapping_add(skip);
    LoadBias(part.start.wrapping_sub(begins))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::FileAddr;

    fn part(start: u64, len: u64, offset: u64) -> MappedPart {
        MappedPart {
            start,
            end: start + len,
            offset,
            executable: Some(true),
        }
    }

    fn segment(addr: u64, offset: u64, len: u64) -> Segment {
        Segment {
            addr: FileAddr(addr),
            offset,
            len,
            executable: true,
            writable: false,
        }
    }

    fn check(part: &MappedPart, segments: &[Segment], expected: Option<u64>) {
        assert_eq!(bias_of(segments, part).map(|bias| bias.0), expected);
    }

    #[test]
    fn the_bias_follows_from_the_segment_that_is_mapped() {
        // As gcc links a PIE: addresses equal offsets.
        check(
            &part(0x5555_5555_5000, 0x1000, 0x1000),
            &[segment(0x1000, 0x1000, 0x215)],
            Some(0x5555_5555_4000),
        );
        // As lld does: the segment begins inside a page, a page further than its offset.
        check(
            &part(0x5555_5555_6000, 0x1000, 0),
            &[segment(0x1640, 0x640, 0x300)],
            Some(0x5555_5555_5000),
        );
        // Not PIE.
        check(
            &part(0x40_1000, 0x1000, 0x1000),
            &[segment(0x40_1000, 0x1000, 0x200)],
            Some(0),
        );
        // mprotect split the mapping; the second half begins inside the segment.
        check(
            &part(0x7f00_0000_3000, 0x1000, 0x3000),
            &[segment(0x1000, 0x1000, 0x3000)],
            Some(0x7f00_0000_0000),
        );
    }

    /// The end of one segment and the beginning of the next are in one page of the file, which is
    /// mapped twice.
    #[test]
    fn two_segments_of_one_page() {
        let segments = [
            segment(0x1000, 0x1000, 0x1800),
            Segment {
                executable: false,
                writable: true,
                ..segment(0x3800, 0x2800, 0x300)
            },
        ];
        check(
            &part(0x7f00_0000_1000, 0x2000, 0x1000),
            &segments,
            Some(0x7f00_0000_0000),
        );
        let of_data = |executable| MappedPart {
            executable,
            ..part(0x7f00_0000_3000, 0x1000, 0x2000)
        };
        for executable in [None, Some(false)] {
            check(&of_data(executable), &segments, Some(0x7f00_0000_0000));
        }
    }

    #[test]
    fn a_mapping_of_other_bytes_has_no_bias() {
        check(
            &part(0x7f00_0000_0000, 0x1000, 0x8000),
            &[segment(0x1000, 0x1000, 0x3000)],
            None,
        );
        check(&part(0x1000, 0x1000, 0), &[], None);
    }
}
