//! How a thread will go on after a hit, decided once from the file's bytes.

use lr_probe::Register;

use crate::circumstances::Circumstances;
use crate::command::Reader;
use crate::resume::{self, Instruction, LoanPlan, Twin};

/// The longest x86 instruction (Intel SDM volume 2, section 2.3.11).
pub(crate) const MAX_INSTRUCTION: usize = 15;
/// How many places of a twin are kept, in case one of them becomes a site.
const ALTERNATIVES: usize = 4;

/// Executable bytes of a file as they are mapped in the target.
#[derive(Clone, Copy, Debug)]
pub struct TextRange<'a> {
    /// Address in the target.
    pub start: u64,
    /// The file's bytes.
    pub bytes: &'a [u8],
}

/// Bytes of the first instruction of `code`, if it is one.
pub fn instruction_length(code: &[u8]) -> Option<usize> {
    let code = &code[..code.len().min(MAX_INSTRUCTION)];
    Instruction::decode(0, code).map(|instruction| instruction.length())
}

/// The bytes of the first instruction of `code`, which runs at `address`, and its text in Intel's
/// notation; `None` where it is none.
pub fn disassemble(address: u64, code: &[u8]) -> Option<(Vec<u8>, String)> {
    let code = &code[..code.len().min(MAX_INSTRUCTION)];
    let instruction = Instruction::decode(address, code)?;
    Some((code[..instruction.length()].to_vec(), instruction.text()))
}

/// How a thread goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResumeKind {
    /// The tracer computes what the instruction would change.
    Emulate,
    /// The same bytes are stepped at another address.
    Twin,
    /// The same operation with its operands in registers is stepped at another address.
    Borrow,
}

impl ResumeKind {
    /// The word for it in states and in `lr explain`.
    pub fn word(self) -> &'static str {
        match self {
            ResumeKind::Emulate => "emulate",
            ResumeKind::Twin => "twin",
            ResumeKind::Borrow => "borrow",
        }
    }
}

/// Why an address cannot be a site.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlanError {
    #[error("no instruction at {address:#x}")]
    NotAnInstruction { address: u64 },
    #[error(
        "`{instruction}` at {address:#x} cannot be resumed without holding the other threads: {why}"
    )]
    CannotResume {
        address: u64,
        instruction: String,
        why: &'static str,
    },
}

const RESTARTABLE: &str =
    "it is part of a restartable sequence, which would begin anew at each stop";
const HANDLES_SIGTRAP: &str = "it has to be stepped, and the program handles SIGTRAP: name it by its address to take that risk";

/// An address, the bytes that must be there, and how threads go on from it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SitePlan {
    pub(crate) address: u64,
    /// The instruction at the address, as the file has it.
    pub(crate) code: Vec<u8>,
    pub(crate) kind: ResumeKind,
    /// What to step instead, unless it is emulated; the others are in reserve.
    pub(crate) twins: Vec<Twin>,
}

impl SitePlan {
    /// Chooses how to resume the instruction at `address`.
    ///
    /// `code` is the file's bytes from there on, at least the whole instruction; `texts` are where
    /// twins may lie, best first; `avoid` are the addresses of all other sites.
    pub fn choose(
        address: u64,
        code: &[u8],
        texts: &[TextRange<'_>],
        avoid: &[u64],
    ) -> Result<SitePlan, PlanError> {
        SitePlan::choose_under(Circumstances::default(), address, code, texts, avoid)
    }

    /// The same where something is ruled out.
    pub fn choose_under(
        circumstances: Circumstances,
        address: u64,
        code: &[u8],
        texts: &[TextRange<'_>],
        avoid: &[u64],
    ) -> Result<SitePlan, PlanError> {
        let code = &code[..code.len().min(MAX_INSTRUCTION)];
        let instruction =
            Instruction::decode(address, code).ok_or(PlanError::NotAnInstruction { address })?;
        let code = code[..instruction.length()].to_vec();
        let plan = |kind, twins| SitePlan {
            address,
            code: code.clone(),
            kind,
            twins,
        };

        let refused = |why| PlanError::CannotResume {
            address,
            instruction: instruction.text(),
            why,
        };
        if circumstances.is_restartable {
            return Err(refused(RESTARTABLE));
        }
        let steps = match circumstances.shadow_stacks {
            true => instruction.step_with_shadow_stack(),
            false => None,
        };
        if instruction.emulated().is_some() && steps.is_none() {
            return Ok(plan(ResumeKind::Emulate, Vec::new()));
        }
        let patterns = match steps.unwrap_or_else(|| instruction.step()) {
            resume::Step::Never(why) => return Err(refused(why)),
            resume::Step::Patterns(_) if circumstances.handles_sigtrap => {
                return Err(refused(HANDLES_SIGTRAP));
            }
            resume::Step::Patterns(patterns) => patterns,
        };
        let avoid_all: Vec<u64> = avoid.iter().copied().chain([address]).collect();
        for pattern in patterns {
            let twins = resume::find_twins(&pattern, texts, &avoid_all, ALTERNATIVES);
            let kind = match twins.first().map(|twin| twin.loan) {
                Some(LoanPlan::Nothing | LoanPlan::Followed) => ResumeKind::Twin,
                Some(_) => ResumeKind::Borrow,
                None => continue,
            };
            return Ok(plan(kind, twins));
        }
        Err(refused("nothing like it occurs elsewhere in the text"))
    }

    /// Whether the instruction has a byte at `address`.
    pub fn covers(&self, address: u64) -> bool {
        (self.address..self.address + self.code.len() as u64).contains(&address)
    }

    /// Address in the target.
    pub fn address(&self) -> u64 {
        self.address
    }

    pub fn resume(&self) -> ResumeKind {
        self.kind
    }

    /// Where the instruction that is stepped instead lies in the target; `None` where it is
    /// emulated.
    pub fn steps_at(&self) -> Option<u64> {
        self.twins.first().map(|twin| twin.address)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let count = |len: usize| u8::try_from(len).expect("instructions and twins are few");
        out.extend_from_slice(&self.address.to_le_bytes());
        out.push(match self.kind {
            ResumeKind::Emulate => 0,
            ResumeKind::Twin => 1,
            ResumeKind::Borrow => 2,
        });
        out.push(count(self.code.len()));
        out.extend_from_slice(&self.code);
        out.push(count(self.twins.len()));
        for twin in &self.twins {
            out.extend_from_slice(&twin.address.to_le_bytes());
            out.push(count(twin.code.len()));
            out.extend_from_slice(&twin.code);
            out.extend_from_slice(&encode_loan(twin.loan));
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<SitePlan> {
        let address = reader.u64()?;
        let kind = match reader.u8()? {
            0 => ResumeKind::Emulate,
            1 => ResumeKind::Twin,
            2 => ResumeKind::Borrow,
            _ => return None,
        };
        let code = decode_code(reader)?;
        let mut twins = Vec::new();
        for _ in 0..reader.u8()? {
            let (address, code) = (reader.u64()?, decode_code(reader)?);
            twins.push(Twin {
                address,
                code,
                loan: decode_loan(reader)?,
            });
        }
        Some(SitePlan {
            address,
            code,
            kind,
            twins,
        })
    }
}

fn decode_code(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    let length = usize::from(reader.u8()?);
    (1..=MAX_INSTRUCTION)
        .contains(&length)
        .then(|| reader.take(length))?
        .map(<[u8]>::to_vec)
}

fn encode_loan(loan: LoanPlan) -> [u8; 4] {
    match loan {
        LoanPlan::Nothing => [0, 0, 0, 0],
        LoanPlan::Followed => [4, 0, 0, 0],
        LoanPlan::Return(register) => [1, register.number(), 0, 0],
        LoanPlan::Base { base, displacement } => {
            [2, base.number(), 0, displacement.cast_unsigned()]
        }
        LoanPlan::Store {
            data,
            base,
            displacement,
        } => [
            3,
            base.number(),
            data.number(),
            displacement.cast_unsigned(),
        ],
    }
}

fn decode_loan(reader: &mut Reader<'_>) -> Option<LoanPlan> {
    let register = |number: u8| Register::from_dwarf(u16::from(number));
    Some(match *reader.take(4)? {
        [0, 0, 0, 0] => LoanPlan::Nothing,
        [4, 0, 0, 0] => LoanPlan::Followed,
        [1, number, 0, 0] => LoanPlan::Return(register(number)?),
        [2, base, 0, displacement] => LoanPlan::Base {
            base: register(base)?,
            displacement: displacement.cast_signed(),
        },
        [3, base, data, displacement] => LoanPlan::Store {
            data: register(data)?,
            base: register(base)?,
            displacement: displacement.cast_signed(),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ret` twice, a store twice, `call` and `push %rax`.
    const TEXT: [u8; 12] = [0xc3, 0xc3, 0x89, 0x07, 0x89, 0x07, 0xe8, 0, 0, 0, 0, 0x50];

    fn plan(circumstances: Circumstances, at: usize) -> Result<ResumeKind, &'static str> {
        let texts = [TextRange {
            start: 0x1000,
            bytes: &TEXT,
        }];
        let address = 0x1000 + at as u64;
        match SitePlan::choose_under(circumstances, address, &TEXT[at..], &texts, &[]) {
            Ok(plan) => Ok(plan.resume()),
            Err(PlanError::CannotResume { why, .. }) => Err(why),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn with_a_shadow_stack_returns_are_stepped_and_calls_refused() {
        let plain = Circumstances::default();
        assert_eq!(plan(plain, 0), Ok(ResumeKind::Emulate));
        assert_eq!(plan(plain, 6), Ok(ResumeKind::Borrow));
        let shadowed = Circumstances {
            shadow_stacks: true,
            ..plain
        };
        assert_eq!(plan(shadowed, 0), Ok(ResumeKind::Twin));
        assert_eq!(plan(shadowed, 2), Ok(ResumeKind::Twin));
        assert_eq!(
            plan(shadowed, 6),
            Err("its return address belongs on the shadow stack too")
        );
    }

    #[test]
    fn where_sigtrap_is_handled_nothing_is_stepped() {
        let handled = Circumstances {
            handles_sigtrap: true,
            ..Circumstances::default()
        };
        assert_eq!(plan(handled, 0), Ok(ResumeKind::Emulate));
        assert_eq!(plan(handled, 2), Err(HANDLES_SIGTRAP));
        assert_eq!(plan(handled, 6), Err(HANDLES_SIGTRAP));
    }

    #[test]
    fn nothing_of_a_restartable_sequence_is_a_site() {
        let restartable = Circumstances {
            is_restartable: true,
            ..Circumstances::default()
        };
        assert_eq!(plan(restartable, 0), Err(RESTARTABLE));
        assert_eq!(plan(restartable, 2), Err(RESTARTABLE));
    }
}
