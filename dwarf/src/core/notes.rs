use std::path::PathBuf;

use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::NoteIterator;

use super::file::{CoreSignal, CoreThread};
use crate::unwind::{ThreadRegisters, WrittenBy, XsaveLayout};

/// The most threads of one core.
const MAX_THREADS: usize = 1 << 20;
/// `NT_PRSTATUS`: where the thread's id and its registers are (the kernel's `elf_prstatus`).
const PRSTATUS_SIGNAL: usize = 12;
const PRSTATUS_PID: usize = 32;
const PRSTATUS_REGISTERS: usize = 112;
/// DWARF number and place in `user_regs_struct` (`sys/user.h`), in words.
const GENERAL: [(usize, usize); 17] = [
    (0, 10),
    (1, 12),
    (2, 11),
    (3, 5),
    (4, 13),
    (5, 14),
    (6, 4),
    (7, 19),
    (8, 9),
    (9, 8),
    (10, 7),
    (11, 6),
    (12, 3),
    (13, 2),
    (14, 1),
    (15, 0),
    (16, 16),
];
const FS_BASE: usize = 21;
/// `NT_FPREGSET`: where `st0` and `xmm0` are (`user_fpregs_struct`), each in 16 bytes.
const FPREGSET_ST: usize = 32;
const FPREGSET_XMM: usize = 160;
/// `NT_X86_XSAVE_LAYOUT` (`linux/elf.h`).
const XSAVE_LAYOUT: elf::NoteType = elf::NoteType(0x205);

/// A part of a file that was mapped when the core was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MappedFile {
    pub start: u64,
    pub end: u64,
    /// In bytes.
    pub offset: u64,
    pub path: PathBuf,
}

/// What the notes of a core say.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) threads: Vec<CoreThread>,
    pub(super) files: Vec<MappedFile>,
    pub(super) auxiliary: Vec<(u64, u64)>,
    /// Which notes of the last thread are still to come. One more of a kind is another thread's, whose
    /// `NT_PRSTATUS` is not there.
    awaited: Awaited,
}

#[derive(Clone, Copy, Debug, Default)]
struct Awaited {
    vectors: bool,
    extended: bool,
    signal: bool,
}

impl Awaited {
    const ALL: Awaited = Awaited {
        vectors: true,
        extended: true,
        signal: true,
    };
}

impl Notes {
    /// Where the threads' areas have their states, if a segment of notes says so: the kernel says
    /// it behind all of them.
    pub(super) fn layout(
        mut notes: NoteIterator<'_, FileHeader64<LittleEndian>>,
    ) -> Option<XsaveLayout> {
        while let Ok(Some(note)) = notes.next() {
            if note.name() == elf::ELF_NOTE_LINUX && note.n_type(LittleEndian) == XSAVE_LAYOUT {
                return XsaveLayout::told(note.desc());
            }
        }
        None
    }

    /// Adds one segment of notes; what is broken in it ends it.
    pub(super) fn read(
        &mut self,
        mut notes: NoteIterator<'_, FileHeader64<LittleEndian>>,
        layout: Option<XsaveLayout>,
    ) {
        while let Ok(Some(note)) = notes.next() {
            if note.name() == elf::ELF_NOTE_LINUX
                && note.n_type(LittleEndian) == elf::NT_X86_XSTATE
                && std::mem::take(&mut self.awaited.extended)
                && let Some(thread) = self.threads.last_mut()
            {
                // The kernel writes what there is once for the process behind the first part of
                // the first thread, others behind all threads.
                let by = match self.auxiliary.is_empty() {
                    true => WrittenBy::Another,
                    false => WrittenBy::Kernel,
                };
                let layout = layout.or_else(|| XsaveLayout::guessed(note.desc(), by));
                thread.registers.add_extended(note.desc(), layout);
            }
            if note.name() != elf::ELF_NOTE_CORE {
                continue;
            }
            match note.n_type(LittleEndian) {
                elf::NT_PRSTATUS => {
                    let thread = thread(note.desc());
                    let thread = thread.filter(|_| self.threads.len() < MAX_THREADS);
                    // What follows one that is not kept is not the last one's.
                    self.awaited = match thread {
                        Some(_) => Awaited::ALL,
                        None => Awaited::default(),
                    };
                    self.threads.extend(thread);
                }
                // Follows the NT_PRSTATUS of its thread.
                elf::NT_PRFPREG if std::mem::take(&mut self.awaited.vectors) => {
                    if let Some(thread) = self.threads.last_mut() {
                        vectors(note.desc(), &mut thread.registers);
                    }
                }
                // As does this; the kernel writes it for the first thread alone.
                elf::NT_SIGINFO if std::mem::take(&mut self.awaited.signal) => {
                    if let Some(thread) = self.threads.last_mut() {
                        thread.signal = signal(note.desc()).or(thread.signal);
                    }
                }
                elf::NT_FILE if self.files.is_empty() => {
                    self.files = files(note.desc()).unwrap_or_default();
                }
                elf::NT_AUXV if self.auxiliary.is_empty() => {
                    self.auxiliary = auxiliary(note.desc());
                }
                _ => {}
            }
        }
    }
}

fn thread(desc: &[u8]) -> Option<CoreThread> {
    let tid = desc.get(PRSTATUS_PID..)?.first_chunk::<4>()?;
    let words = desc.get(PRSTATUS_REGISTERS..)?;
    let mut registers = ThreadRegisters::default();
    for (number, index) in GENERAL {
        registers.general[number] = word(words, index)?;
    }
    registers.fs_base = word(words, FS_BASE)?;
    let number = desc.get(PRSTATUS_SIGNAL..)?.first_chunk::<2>()?;
    let number = i32::from(u16::from_le_bytes(*number));
    Some(CoreThread {
        tid: u32::from_le_bytes(*tid),
        registers,
        signal: (number != 0).then_some(CoreSignal {
            number,
            code: None,
            address: None,
            sender: None,
        }),
    })
}

/// `siginfo_t` (sigaction(2)): number, `errno`, code, and from the sixteenth byte on what the code
/// is about.
fn signal(desc: &[u8]) -> Option<CoreSignal> {
    /// SIGILL, SIGTRAP, SIGBUS, SIGFPE and SIGSEGV come with an address.
    const WITH_ADDRESS: [i32; 5] = [4, 5, 7, 8, 11];
    /// `SI_KERNEL`: there is nothing more to tell.
    const KERNEL: i32 = 0x80;
    let number = |at: usize| {
        let bytes = desc.get(at..)?.first_chunk::<4>()?;
        Some(i32::from_le_bytes(*bytes))
    };
    let (signal, code) = (number(0)?, number(8)?);
    let is_fault = (1..KERNEL).contains(&code) && WITH_ADDRESS.contains(&signal);
    // SI_USER, SI_QUEUE and SI_TKILL.
    let is_sent = matches!(code, 0 | -1 | -6);
    Some(CoreSignal {
        number: signal,
        code: Some(code),
        address: word(desc, 2).filter(|_| is_fault),
        sender: number(16)
            .filter(|_| is_sent)
            .and_then(|sender| u32::try_from(sender).ok()),
    })
    .filter(|signal| signal.number != 0)
}

fn vectors(desc: &[u8], registers: &mut ThreadRegisters) {
    let st = desc.get(FPREGSET_ST..FPREGSET_XMM).unwrap_or_default();
    let xmm = desc.get(FPREGSET_XMM..).unwrap_or_default();
    let (st, _) = st.as_chunks::<16>();
    let (xmm, _) = xmm.as_chunks::<16>();
    if let (Some(st), Some(xmm)) = (st.first_chunk::<8>(), xmm.first_chunk::<16>()) {
        registers.st = Some(*st);
        registers.xmm = Some(*xmm);
    }
}

/// `NT_FILE`: how many, the size of a page, `start, end, offset in pages` of each, then the paths
/// (the kernel's `fill_files_note`).
fn files(desc: &[u8]) -> Option<Vec<MappedFile>> {
    let count = usize::try_from(word(desc, 0)?).ok()?;
    let page = word(desc, 1)?;
    let paths = count.checked_mul(24)?.checked_add(16)?;
    let mut names = desc.get(paths..)?.split(|&byte| byte == 0);
    let mut files = Vec::new();
    for index in 0..count {
        let at = |column: usize| word(desc, 2 + index * 3 + column);
        let name = String::from_utf8_lossy(names.next()?).into_owned();
        let file = MappedFile {
            start: at(0)?,
            end: at(1)?,
            offset: at(2)?.checked_mul(page)?,
            path: PathBuf::from(name),
        };
        if file.start < file.end {
            files.push(file);
        }
    }
    Some(files)
}

fn auxiliary(desc: &[u8]) -> Vec<(u64, u64)> {
    let (pairs, _) = desc.as_chunks::<16>();
    let pairs = pairs.iter();
    pairs
        .filter_map(|pair| Some((word(pair, 0)?, word(pair, 1)?)))
        .collect()
}

fn word(bytes: &[u8], index: usize) -> Option<u64> {
    let at = index.checked_mul(8)?;
    let word = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(count: u64, words: &[u64], names: &[u8]) -> Vec<u8> {
        let mut desc = Vec::new();
        for word in [count, 4096].iter().chain(words) {
            desc.extend_from_slice(&word.to_le_bytes());
        }
        desc.extend_from_slice(names);
        desc
    }

    #[test]
    fn the_list_of_files() {
        let words = [0x1000, 0x2000, 1, 0x7000, 0x9000, 0];
        let desc = note(2, &words, b"/bin/a\0/lib/b c\0");
        let file = |start, end, offset, path: &str| MappedFile {
            start,
            end,
            offset,
            path: PathBuf::from(path),
        };
        assert_eq!(
            files(&desc).unwrap(),
            [
                file(0x1000, 0x2000, 0x1000, "/bin/a"),
                file(0x7000, 0x9000, 0, "/lib/b c")
            ]
        );
    }

    #[test]
    fn a_list_that_counts_more_than_it_has_is_none() {
        for count in [2, 1 << 40, u64::MAX] {
            assert_eq!(files(&note(count, &[1, 2, 3], b"/bin/a\0")), None);
        }
        assert_eq!(files(&note(1, &[1, 2, u64::MAX], b"/bin/a\0")), None);
        assert_eq!(files(&[]), None);
    }

    #[test]
    fn a_thread_that_is_cut_short_is_none() {
        for len in 0..PRSTATUS_REGISTERS + 22 * 8 {
            assert_eq!(thread(&vec![0; len]), None);
        }
        assert!(thread(&[0; 336]).is_some());
    }
}
