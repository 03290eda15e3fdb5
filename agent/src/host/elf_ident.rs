use std::io::Read;

/// What the first bytes of an executable say about who can run it (elf(5)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ElfIdent {
    /// 1: 32 bits, 2: 64 bits.
    pub class: u8,
    /// `e_machine`.
    pub machine: u16,
}

const ELFCLASS64: u8 = 2;
const EM_X86_64: u16 = 62;
/// Up to the end of `e_machine`.
const HEAD: usize = 20;

impl ElfIdent {
    /// `None` where the bytes are no ELF file's.
    pub fn parse(head: &[u8]) -> Option<ElfIdent> {
        let head: &[u8; HEAD] = head.first_chunk()?;
        let little_endian = head[5] == 1;
        let machine = [head[18], head[19]];
        head.starts_with(b"\x7fELF").then(|| ElfIdent {
            class: head[4],
            machine: if little_endian {
                u16::from_le_bytes(machine)
            } else {
                u16::from_be_bytes(machine)
            },
        })
    }

    pub fn read(file: &std::fs::File) -> std::io::Result<Option<ElfIdent>> {
        let mut head = Vec::with_capacity(HEAD);
        file.take(HEAD as u64).read_to_end(&mut head)?;
        Ok(ElfIdent::parse(&head))
    }

    /// x32 programs have the machine but not the class.
    pub fn is_x86_64(self) -> bool {
        self.class == ELFCLASS64 && self.machine == EM_X86_64
    }
}

impl std::fmt::Display for ElfIdent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bits = if self.class == ELFCLASS64 { 64 } else { 32 };
        match self.machine {
            3 => write!(f, "{bits}-bit x86"),
            40 => write!(f, "{bits}-bit ARM"),
            EM_X86_64 if bits == 32 => write!(f, "x32"),
            EM_X86_64 => write!(f, "x86-64"),
            183 => write!(f, "AArch64"),
            243 => write!(f, "{bits}-bit RISC-V"),
            machine => write!(f, "{bits}-bit machine {machine}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(class: u8, data: u8, machine: [u8; 2]) -> Vec<u8> {
        let mut head = b"\x7fELF".to_vec();
        head.extend([class, data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0]);
        head.extend(machine);
        head
    }

    fn check(class: u8, data: u8, machine: [u8; 2], text: &str, ours: bool) {
        let ident = ElfIdent::parse(&head(class, data, machine)).unwrap();
        assert_eq!(
            (ident.to_string().as_str(), ident.is_x86_64()),
            (text, ours)
        );
    }

    #[test]
    fn only_64_bit_x86_64_is_ours() {
        check(2, 1, [62, 0], "x86-64", true);
        check(1, 1, [62, 0], "x32", false);
        check(1, 1, [3, 0], "32-bit x86", false);
        check(2, 1, [183, 0], "AArch64", false);
        check(2, 2, [0, 22], "64-bit machine 22", false);
    }

    #[test]
    fn other_files_are_none() {
        assert_eq!(ElfIdent::parse(b"#!/bin/sh\n# not an executable"), None);
        assert_eq!(ElfIdent::parse(b"\x7fELF"), None);
        assert_eq!(ElfIdent::parse(b""), None);
    }
}
