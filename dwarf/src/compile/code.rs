use lr_probe::{Op, constant};

/// Operations with jumps that say how many operations they skip, so that pieces can be put
/// together in any order.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Code {
    ops: Vec<Op>,
    /// The last operation that something jumps to: what is before it may not have run.
    joined: usize,
}

impl Code {
    pub(crate) fn one(op: Op) -> Code {
        Code::default().then(op)
    }

    pub(crate) fn constant(value: u64) -> Code {
        Code::one(Op::Const(value))
    }

    /// Adds an operation, or its result where its operands are constants.
    pub(crate) fn then(mut self, op: Op) -> Code {
        let len = self.ops.len();
        match self.ops[self.joined.min(len)..] {
            [.., Op::Const(a), Op::Const(b)] if let Some(word) = constant(op, &[a, b]) => {
                self.ops.truncate(len - 2);
                self.ops.push(Op::Const(word));
                return self;
            }
            [.., Op::Const(a)] if let Some(word) = constant(op, &[a]) => {
                self.ops.truncate(len - 1);
                self.ops.push(Op::Const(word));
                return self;
            }
            [.., Op::Const(a)] if matches!(op, Op::Bound { limit } if a < limit) => return self,
            _ => {}
        }
        if let Op::Jump(skip) | Op::JumpIfZero(skip) | Op::JumpIfNotZero(skip) = op {
            self.joined = self.joined.max(len + 1 + usize::from(skip));
        }
        self.ops.push(op);
        self
    }

    pub(crate) fn append(mut self, other: Code) -> Code {
        if other.joined > 0 {
            self.joined = self.joined.max(self.ops.len() + other.joined);
        }
        self.ops.extend(other.ops);
        self
    }

    /// Adds a constant to the word on top.
    pub(crate) fn plus(mut self, value: u64) -> Code {
        let len = self.ops.len();
        match self.ops[self.joined.min(len)..] {
            _ if value == 0 => self,
            [.., Op::Const(before), Op::Add] => {
                self.ops[len - 2] = Op::Const(before.wrapping_add(value));
                self
            }
            _ => self.then(Op::Const(value)).then(Op::Add),
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
        match self.ops[..] {
            [Op::Const(word)] => Some(word),
            _ => None,
        }
    }

    /// Its operations; jumps say how many they skip.
    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    pub(crate) fn len(&self) -> usize {
        self.ops.len()
    }

    /// Puts the operations behind those in `program`, with jumps as programs have them.
    pub(crate) fn link(&self, program: &mut Vec<Op>) {
        let start = program.len();
        for (at, &op) in self.ops.iter().enumerate() {
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
