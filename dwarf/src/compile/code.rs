use lr_probe::Op;

/// Operations with jumps that say how many operations they skip, so that pieces can be put
/// together in any order.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Code(Vec<Op>);

impl Code {
    pub(crate) fn one(op: Op) -> Code {
        Code(vec![op])
    }

    pub(crate) fn constant(value: u64) -> Code {
        Code::one(Op::Const(value))
    }

    pub(crate) fn then(mut self, op: Op) -> Code {
        self.0.push(op);
        self
    }

    pub(crate) fn append(mut self, other: Code) -> Code {
        self.0.extend(other.0);
        self
    }

    /// Adds a constant to the word on top.
    pub(crate) fn plus(self, value: u64) -> Code {
        match value {
            0 => self,
            value => self.then(Op::Const(value)).then(Op::Add),
        }
    }

    /// Keeps the low `bytes` of the word on top.
    pub(crate) fn extend(self, bytes: u8, signed: bool) -> Code {
        match bytes {
            8.. => self,
            bytes => self.then(Op::Extend {
                bits: bytes * 8,
                signed,
            }),
        }
    }

    /// Turns the word on top into one or zero.
    pub(crate) fn truth(self) -> Code {
        self.then(Op::IsZero).then(Op::IsZero)
    }

    /// The word that it pushes whatever the target is.
    pub(crate) fn as_constant(&self) -> Option<u64> {
        match self.0[..] {
            [Op::Const(word)] => Some(word),
            _ => None,
        }
    }

    /// Its operations; jumps say how many they skip.
    pub(crate) fn ops(&self) -> &[Op] {
        &self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts the operations behind those in `program`, with jumps as programs have them.
    pub(crate) fn link(&self, program: &mut Vec<Op>) {
        let start = program.len();
        for (at, &op) in self.0.iter().enumerate() {
            let target = |skip: u16| {
                let target = start + at + 1 + usize::from(skip);
                u16::try_from(target).unwrap_or(u16::MAX)
            };
            program.push(match op {
                Op::Jump(skip) => Op::Jump(target(skip)),
                Op::JumpIfZero(skip) => Op::JumpIfZero(target(skip)),
                Op::JumpIfNotZero(skip) => Op::JumpIfNotZero(target(skip)),
                op => op,
            });
        }
    }
}
