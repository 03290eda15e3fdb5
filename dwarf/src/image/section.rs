use std::ops::Range;
use std::sync::OnceLock;

use object::read::elf::ElfFile64;
use object::{CompressedData, CompressionFormat, Endianness, Object, ObjectSection};

/// A section's place in the file. One that is compressed, or is in pieces, is unfolded when it is
/// first read.
#[derive(Debug)]
pub(super) struct Section {
    pieces: Vec<Piece>,
    /// How many bytes it has, or says that it will have.
    pub(super) size: u64,
    unfolded: OnceLock<Result<Vec<u8>, String>>,
}

#[derive(Debug)]
struct Piece {
    range: Range<usize>,
    format: CompressionFormat,
    size: u64,
}

impl Section {
    /// Reads the header of a section; one that is not there is empty. The old `.zdebug_` form of
    /// a name is found too.
    pub(super) fn read(
        elf: &ElfFile64<'_, Endianness>,
        name: &str,
        file_len: usize,
    ) -> Result<Section, String> {
        let section = elf.section_by_name(name);
        Section::of(section.into_iter(), name, file_len)
    }

    /// The same of a file that no linker has seen: gcc puts each type unit into a section of its
    /// own, all of one name.
    pub(super) fn read_all(
        elf: &ElfFile64<'_, Endianness>,
        name: &str,
        file_len: usize,
    ) -> Result<Section, String> {
        let same = elf.sections().filter(|section| section.name() == Ok(name));
        let all = Section::of(same, name, file_len)?;
        match all.size {
            0 => Section::read(elf, name, file_len),
            _ => Ok(all),
        }
    }

    fn of<'a>(
        sections: impl Iterator<Item = impl ObjectSection<'a>>,
        name: &str,
        file_len: usize,
    ) -> Result<Section, String> {
        let mut all = Section {
            pieces: Vec::new(),
            size: 0,
            unfolded: OnceLock::new(),
        };
        for section in sections {
            let found = section
                .compressed_file_range()
                .map_err(|error| format!("{name}: {error}"))?;
            if found.uncompressed_size == 0 {
                continue;
            }
            let start = usize::try_from(found.offset).map_err(|_| format!("{name}: too far"))?;
            let len =
                usize::try_from(found.compressed_size).map_err(|_| format!("{name}: too long"))?;
            let Some(end) = start.checked_add(len).filter(|&end| end <= file_len) else {
                return Err(format!("{name}: reaches beyond the end of the file"));
            };
            all.size = all.size.saturating_add(found.uncompressed_size);
            all.pieces.push(Piece {
                range: start..end,
                format: found.format,
                size: found.uncompressed_size,
            });
        }
        Ok(all)
    }

    /// Whether its bytes have to be made of the file's.
    pub(super) fn is_folded(&self) -> bool {
        let is_plain = |piece: &Piece| piece.format == CompressionFormat::None;
        self.pieces.len() > 1 || !self.pieces.iter().all(is_plain)
    }

    /// Whether its bytes are at hand without work.
    pub(super) fn is_ready(&self) -> bool {
        !self.is_folded() || self.unfolded.get().is_some()
    }

    /// Its bytes, or why it cannot be unfolded.
    pub(super) fn bytes<'a>(&'a self, map: &'a [u8]) -> Result<&'a [u8], &'a str> {
        if !self.is_folded() {
            let range = self.pieces.first().map(|piece| piece.range.clone());
            return Ok(range.and_then(|range| map.get(range)).unwrap_or_default());
        }
        let unfolded = self.unfolded.get_or_init(|| self.unfold(map));
        unfolded.as_deref().map_err(String::as_str)
    }

    fn unfold(&self, map: &[u8]) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        for piece in &self.pieces {
            let bytes = map.get(piece.range.clone()).unwrap_or_default();
            let unfolded = match piece.format {
                CompressionFormat::Zlib => inflated(bytes, piece.size)?.into(),
                format => {
                    let compressed = CompressedData {
                        format,
                        data: bytes,
                        uncompressed_size: piece.size,
                    };
                    compressed.decompress().map_err(|error| error.to_string())?
                }
            };
            match self.pieces.len() {
                1 => all = unfolded.into_owned(),
                _ => all.extend_from_slice(&unfolded),
            }
        }
        Ok(all)
    }
}

/// `object` takes a stream that goes on behind the size that the header claims; half a section
/// is worse than none.
fn inflated(bytes: &[u8], size: u64) -> Result<Vec<u8>, String> {
    let wrong = || "the stream has not the size that its header claims".to_owned();
    let size = usize::try_from(size).map_err(|_| wrong())?;
    let mut unfolded = Vec::new();
    unfolded
        .try_reserve_exact(size)
        .map_err(|error| error.to_string())?;
    let mut stream = flate2::Decompress::new(true);
    let status = stream
        .decompress_vec(bytes, &mut unfolded, flate2::FlushDecompress::Finish)
        .map_err(|error| error.to_string())?;
    match status == flate2::Status::StreamEnd && unfolded.len() == size {
        true => Ok(unfolded),
        false => Err(wrong()),
    }
}
