//! The mappings of a process (proc(5), `/proc/pid/maps`).

use std::io;

use lr_dwarf::MappedPart;

use crate::host::living_thread;

/// One line: addresses of the target and what of which file is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) executable: bool,
    pub(crate) writable: bool,
    /// Writes stay in the process instead of reaching the file.
    pub(crate) private: bool,
    /// In the file.
    pub(crate) offset: u64,
    /// `major:minor` of the file's device, as the kernel writes it.
    pub(crate) device: String,
    /// Zero for memory of no file.
    pub(crate) inode: u64,
    /// With ` (deleted)` where the file has lost its name; empty for anonymous memory.
    pub(crate) path: String,
}

impl Mapping {
    pub(crate) fn len(&self) -> u64 {
        self.end - self.start
    }

    /// What of its file is where.
    pub(crate) fn part(&self) -> MappedPart {
        MappedPart {
            start: self.start,
            end: self.end,
            offset: self.offset,
            executable: Some(self.executable),
        }
    }

    /// Whether it is code of a file that only this process would see changed.
    pub(crate) fn is_private_text(&self) -> bool {
        self.executable && self.private && !self.writable && self.inode != 0
    }
}

pub(crate) fn read(pid: u32) -> io::Result<Vec<Mapping>> {
    let text = std::fs::read(format!("/proc/{}/maps", living_thread(pid)))?;
    Ok(parse(&String::from_utf8_lossy(&text)))
}

/// Lines that are not in the form of proc(5) are left out.
fn parse(text: &str) -> Vec<Mapping> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mapping> {
    // `start-end perms offset dev inode   path`; the path may have blanks in it.
    let mut rest = line;
    let mut word = || {
        let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = behind;
        word
    };
    let (range, permissions, offset) = (word(), word().as_bytes(), word());
    let (device, inode) = (word().to_owned(), word());
    let (start, end) = range.split_once('-')?;
    let (start, end) = (hex(start)?, hex(end)?);
    let &[_, write, execute, share] = permissions else {
        return None;
    };
    (start < end).then_some(Mapping {
        start,
        end,
        executable: execute == b'x',
        writable: write == b'w',
        private: share == b'p',
        offset: hex(offset)?,
        device,
        inode: inode.parse().ok()?,
        path: unescaped(rest.trim_start()),
    })
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// The kernel writes a line feed in a path as `\012`, and nothing else in such a way.
fn unescaped(path: &str) -> String {
    path.replace("\\012", "\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Recorded from `sleep` on Debian 12; the shared mapping and the odd names are added.
    pub(crate) const RECORDED: &str = "\
55d8a9c00000-55d8a9c02000 r--p 00000000 fe:01 262282                     /usr/bin/sleep
55d8a9c02000-55d8a9c06000 r-xp 00002000 fe:01 262282                     /usr/bin/sleep
55d8a9c06000-55d8a9c08000 r--p 00006000 fe:01 262282                     /usr/bin/sleep
55d8a9c08000-55d8a9c0a000 rw-p 00007000 fe:01 262282                     /usr/bin/sleep
55d8abf10000-55d8abf31000 rw-p 00000000 00:00 0                          [heap]
7f3c1a000000-7f3c1a026000 r--p 00000000 fe:01 131090                     /usr/lib/x86_64-linux-gnu/libc.so.6
7f3c1a026000-7f3c1a17b000 r-xp 00026000 fe:01 131090                     /usr/lib/x86_64-linux-gnu/libc.so.6
7f3c1a200000-7f3c1a201000 r-xs 00000000 fe:01 131091                     /opt/my app/a\\012b.so (deleted)
7ffd1b9a0000-7ffd1b9a2000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

    #[test]
    fn a_recorded_text_decodes() {
        let mappings = parse(RECORDED);
        assert_eq!(mappings.len(), 10);
        assert_eq!(
            mappings[1],
            Mapping {
                start: 0x55d8_a9c0_2000,
                end: 0x55d8_a9c0_6000,
                executable: true,
                writable: false,
                private: true,
                offset: 0x2000,
                device: "fe:01".to_owned(),
                inode: 262_282,
                path: "/usr/bin/sleep".to_owned(),
            }
        );
        assert_eq!(mappings[1].len(), 0x4000);
        assert_eq!(mappings[7].path, "/opt/my app/a\nb.so (deleted)");
    }

    #[test]
    fn only_private_file_backed_code_is_text() {
        let text: Vec<u64> = parse(RECORDED)
            .iter()
            .filter(|mapping| mapping.is_private_text())
            .map(|mapping| mapping.start)
            .collect();
        assert_eq!(text, [0x55d8_a9c0_2000, 0x7f3c_1a02_6000]);
    }

    #[test]
    fn odd_lines_are_left_out() {
        for line in [
            "",
            "x",
            "1000-0 r-xp 0 0:0 1 /a",
            "1-2 rx 0 0:0 1 /a",
            "1-2 r-xp",
        ] {
            assert_eq!(parse(line), [], "{line:?}");
        }
        assert_eq!(parse("1-2 r-xp 0 0:0 1").len(), 1);
    }
}
