/// How many registers a program can name: sixteen general ones and the program counter.
pub const REGISTER_COUNT: usize = 17;

/// A register by its DWARF number (System V psABI for x86-64, figure 3.36): 0 to 15 are rax, rdx,
/// rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15; 16 is the return address column, used for rip.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Register(u8);

impl Register {
    pub const RAX: Register = Register(0);
    pub const RDX: Register = Register(1);
    pub const RCX: Register = Register(2);
    pub const RBX: Register = Register(3);
    pub const RSI: Register = Register(4);
    pub const RDI: Register = Register(5);
    pub const RBP: Register = Register(6);
    pub const RSP: Register = Register(7);
    pub const RIP: Register = Register(16);

    /// The register with this DWARF number, if programs can name it.
    pub fn from_dwarf(number: u16) -> Option<Register> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < REGISTER_COUNT).then_some(Register(number))
    }

    /// Its DWARF number, below [`REGISTER_COUNT`].
    pub fn number(self) -> u8 {
        self.0
    }
}

/// The registers of a stopped thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Registers {
    /// General registers and rip, indexed by DWARF number.
    pub general: [u64; REGISTER_COUNT],
    /// `xmm0` to `xmm15` as low and high halves; meaningful only where the program
    /// [needs them](crate::Program::needs_vectors).
    pub vector: [[u64; 2]; 16],
}

impl Registers {
    pub fn get(&self, register: Register) -> u64 {
        self.general[usize::from(register.0)]
    }

    /// Eight bytes of one of the vector registers that are here.
    pub(crate) fn vector_lane(&self, register: u8, lane: u8) -> Option<u64> {
        let lanes = self.vector.get(usize::from(register))?;
        lanes.get(usize::from(lane)).copied()
    }

    pub fn set(&mut self, register: Register, value: u64) {
        self.general[usize::from(register.0)] = value;
    }
}
