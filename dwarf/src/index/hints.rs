//! What other indexes that a file may have say of addresses.
//!
//! Compilers write `.debug_aranges` (DWARF 5 section 6.1.2; LLVM only when asked) and
//! `gdb-add-index` and linkers `.gdb_index` (gdb manual, "Index Section Format"), both with the unit
//! of each range of addresses. They are hints here: a unit that one of them names is looked at
//! first, and if the address is not found there, all others are. So one that lies or lacks units
//! costs time and changes no answer.
//!
//! `.debug_names` (DWARF 5 section 6.1.1, `clang -gpubnames`) is used for nothing. Each of its
//! entries could be verified at its DIE, but not that none is missing, and a name asks for *all*
//! functions that have it: every unit would have to be read anyway, so that there is no first place
//! to look in. What is missing is not only what a tool that changed the file left out (`objcopy`
//! and dwz know nothing of it): it has no functions whose code was all inlined or dropped, by which
//! that is told from a name that does not exist, no variables that lost their place, and templates
//! under their full names alone. The walk over the units, which is done once for a build-id, has
//! all of it.

use gimli::{DebugAranges, LittleEndian, SectionId};
use object::{Object, ObjectSection};

use super::cursor::Cursor;
use crate::info::Info;

/// The most units that are looked at first.
const MAX_HINTS: usize = 8;

impl Info<'_> {
    /// Own units that may have an address, by what the file's indexes say.
    pub(crate) fn hinted_units(&self, address: u64) -> Vec<usize> {
        let mut offsets = self.by_aranges(address).unwrap_or_default();
        if offsets.is_empty() {
            offsets = self.by_gdb_index(address).unwrap_or_default();
        }
        let units = offsets.into_iter().take(MAX_HINTS);
        let units = units.filter_map(|offset| {
            let die = self.own_die_at(offset)?;
            // An offset inside a unit is not that of one.
            (die.offset == 0).then_some(die.unit)
        });
        units.collect()
    }

    fn by_aranges(&self, address: u64) -> gimli::Result<Vec<usize>> {
        let section = self.binary.debug_image().section(SectionId::DebugAranges);
        let mut found = Vec::new();
        let mut headers = DebugAranges::new(section.slice(), LittleEndian).headers();
        while let Some(header) = headers.next()? {
            let mut entries = header.entries();
            while let Some(entry) = entries.next()? {
                if (entry.range().begin..entry.range().end).contains(&address) {
                    found.push(header.debug_info_offset().0);
                }
            }
        }
        Ok(found)
    }

    fn by_gdb_index(&self, address: u64) -> Option<Vec<usize>> {
        /// Two addresses and the index of a unit.
        const ENTRY: usize = 20;
        let elf = self.binary.debug_image().elf()?;
        let section = elf.section_by_name(".gdb_index")?;
        // Nobody compresses what is there to be mapped.
        let bytes = section.data().ok()?;
        let number = |at: usize| Cursor::new(bytes, at).unsigned(4);
        let offset = |at: usize| usize::try_from(number(at)?).ok();
        // Versions before 7 differ in symbols only, but gdb does not read them any more.
        if !(7..=9).contains(&number(0)?) {
            return None;
        }
        let (units, areas, symbols) = (offset(4)?, offset(12)?, offset(16)?);
        let mut found = Vec::new();
        for area in bytes.get(areas..symbols)?.chunks_exact(ENTRY) {
            let mut area = Cursor::new(area, 0);
            let (begin, end) = (area.unsigned(8)?, area.unsigned(8)?);
            if !(begin..end).contains(&address) {
                continue;
            }
            let unit = usize::try_from(area.unsigned(4)?).ok()?;
            let at = unit.checked_mul(16)?.checked_add(units)?;
            found.push(usize::try_from(Cursor::new(bytes, at).unsigned(8)?).ok()?);
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use lr_fixtures::Fixture;
    use object::{Object, ObjectSection};

    use crate::binary::Binary;
    use crate::find::DebugFiles;
    use crate::info::Info;
    use crate::location::Location;
    use crate::place::Place;

    fn open(file: &Path) -> Binary {
        let opened = std::fs::File::open(file).unwrap();
        Binary::open_with(opened, file, &DebugFiles::none()).unwrap()
    }

    /// Functions in several units, and whether there was a hint for the first one.
    fn places(file: &Path) -> (Vec<Place>, bool) {
        let binary = open(file);
        let info = Info::new(&binary).unwrap();
        let named = |name: &str| binary.resolve(&Location::parse(name).unwrap()).unwrap();
        let mut places = Vec::new();
        let mut hinted = false;
        for name in ["main", "Store::put"] {
            let address = named(name)[0].addr.0;
            hinted |= !info.hinted_units(address).is_empty();
            places.extend(named(&format!("{address:#x}")));
        }
        (places, hinted)
    }

    /// A file that goes with the test.
    struct Temporary(PathBuf);

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// Whatever an index says, places are the same; returns how often it gave a hint.
    fn check_lies(exe: &Path, section: &str) -> usize {
        let good = std::fs::read(exe).unwrap();
        let elf = object::File::parse(&*good).unwrap();
        let range = elf.section_by_name(section).unwrap().file_range().unwrap();
        let begin = usize::try_from(range.0).unwrap();
        let len = usize::try_from(range.1).unwrap();
        let (expected, hinted) = places(exe);
        assert!(hinted, "{section} gives no hint when it is right");
        let name = format!(
            "lr-hints-{}-{}",
            section.trim_matches('.'),
            std::process::id()
        );
        let file = Temporary(std::env::temp_dir().join(name));
        let mut hints = 0;
        let steps = (0..len).step_by((len / 24).max(1));
        for at in steps {
            for byte in [0, 0xff] {
                let mut bytes = good.clone();
                bytes[begin + at] = byte;
                std::fs::write(&file.0, &bytes).unwrap();
                let (found, hinted) = places(&file.0);
                assert_eq!(found, expected, "byte {at} of {section} is {byte}");
                hints += usize::from(hinted);
            }
        }
        hints
    }

    #[test]
    fn address_ranges_that_lie_change_no_answer() {
        let exe = Fixture::cpp("orders.cpp").opt('1').build();
        assert!(check_lies(&exe, ".debug_aranges") > 0);
    }

    #[test]
    fn an_index_of_gdb_that_lies_changes_no_answer() {
        let exe = Fixture::cpp("orders.cpp").opt('1').build();
        let name = format!("lr-hints-gdb-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        // gdb uses what there is: without ranges, and with an index of its own.
        let file = Temporary(folder.join("orders"));
        let objcopy = Command::new("objcopy")
            .args(["--remove-section", ".debug_aranges"])
            .args([&exe, &file.0])
            .output()
            .unwrap();
        assert!(objcopy.status.success(), "{objcopy:?}");
        let indexed = Command::new("gdb-add-index").arg(&file.0).output().unwrap();
        assert!(indexed.status.success(), "{indexed:?}");
        let hints = check_lies(&file.0, ".gdb_index");
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(hints > 0);
    }
}
