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

/// What a user is told of a site that is stepped in its own place.
pub const MAY_MISS_HITS: &str = "hits of other threads may be missed while one steps";

/// How a thread goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResumeKind {
    /// The tracer computes what the instruction would change.
    Emulate,
    /// The same bytes are stepped at another address.
    Twin,
    /// The same operation with its operands in registers is stepped at another address.
    Borrow,
    /// The original byte is put back for one step, which other threads may pass unseen: only for
    /// an instruction that the user names, and that nothing else is known for.
    InPlace,
}

impl ResumeKind {
    /// The word for it in states and in `lr explain`.
    pub fn word(self) -> &'static str {
        match self {
            ResumeKind::Emulate => "emulate",
            ResumeKind::Twin => "twin",
            ResumeKind::Borrow => "borrow",
            ResumeKind::InPlace => "in_place",
        }
    }
}

/// Why an address cannot be a site.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlanError {
    #[error("no instruction at {address:#x}")]
    NotAnInstruction { address: u64 },
    #[error("no safe way is known to go on from `{instruction}` at {address:#x}: {why}")]
    CannotResume {
        address: u64,
        instruction: String,
        why: &'static str,
        /// It would be stepped in its own place, if the user named it.
        may_step_in_place: bool,
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
    /// What to step instead, unless it is emulated or stepped itself; the others are in reserve.
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

        let refused = |why, may_step_in_place| PlanError::CannotResume {
            address,
            instruction: instruction.text(),
            why,
            may_step_in_place,
        };
        if circumstances.is_restartable {
            return Err(refused(RESTARTABLE, false));
        }
        let steps = match circumstances.shadow_stacks {
            true => instruction.step_with_shadow_stack(),
            false => None,
        };
        if instruction.emulated().is_some() && steps.is_none() {
            return Ok(plan(ResumeKind::Emulate, Vec::new()));
        }
        let may_step_in_place = instruction.may_step_in_place() && steps.is_none();
        let last_resort = |why| match circumstances.is_named && may_step_in_place {
            true => Ok(plan(ResumeKind::InPlace, Vec::new())),
            false => Err(refused(why, may_step_in_place)),
        };
        let patterns = match steps.unwrap_or_else(|| instruction.step()) {
            resume::Step::Never(why) => return last_resort(why),
            resume::Step::Patterns(_)
                if circumstances.handles_sigtrap && !circumstances.is_named =>
            {
                return Err(refused(HANDLES_SIGTRAP, false));
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
        last_resort("nothing like it occurs elsewhere in the text")
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
    /// emulated or stepped itself.
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
            ResumeKind::InPlace => 3,
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
            3 => ResumeKind::InPlace,
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

    /// `ret` twice, a store twice, `call` and `push %rax`; `lahf`, `jrcxz`, `rep movsb`, `syscall`
    /// and `pushf`, once each.
    const TEXT: [u8; 20] = [
        0xc3, 0xc3, 0x89, 0x07, 0x89, 0x07, 0xe8, 0, 0, 0, 0, 0x50, 0x9f, 0xe3, 0, 0xf3, 0xa4,
        0x0f, 0x05, 0x9c,
    ];
    const NOTHING_LIKE_IT: &str = "nothing like it occurs elsewhere in the text";

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
    fn whoever_names_an_instruction_takes_the_risk_of_its_step() {
        let named = Circumstances {
            handles_sigtrap: true,
            is_named: true,
            ..Circumstances::default()
        };
        assert_eq!(plan(named, 2), Ok(ResumeKind::Twin));
        assert_eq!(plan(named, 6), Ok(ResumeKind::Borrow));
    }

    #[test]
    fn only_what_is_named_and_has_nothing_else_is_stepped_in_place() {
        let plain = Circumstances::default();
        let named = Circumstances {
            is_named: true,
            ..plain
        };
        assert_eq!(plan(named, 0), Ok(ResumeKind::Emulate));
        assert_eq!(plan(named, 2), Ok(ResumeKind::Twin));
        assert_eq!(plan(plain, 12), Err(NOTHING_LIKE_IT));
        assert_eq!(plan(named, 12), Ok(ResumeKind::InPlace));
        assert!(plan(plain, 13).is_err());
        assert_eq!(plan(named, 13), Ok(ResumeKind::InPlace));
        for at in [15, 17, 19] {
            assert_eq!(plan(named, at), plan(plain, at));
            assert!(plan(named, at).is_err());
        }
    }

    #[test]
    fn a_refusal_tells_whether_naming_it_would_do() {
        let may_be_named = |circumstances, code: &[u8]| match SitePlan::choose_under(
            circumstances,
            0x1000,
            code,
            &[],
            &[],
        ) {
            Err(PlanError::CannotResume {
                may_step_in_place, ..
            }) => may_step_in_place,
            other => panic!("{other:?}"),
        };
        let plain = Circumstances::default();
        assert!(may_be_named(plain, &[0x9f]));
        assert!(may_be_named(plain, &TEXT[6..]));
        for code in [&TEXT[15..], &TEXT[17..], &TEXT[19..]] {
            assert!(!may_be_named(plain, code));
        }
        let restartable = Circumstances {
            is_restartable: true,
            is_named: true,
            ..plain
        };
        assert!(!may_be_named(restartable, &[0x9f]));
        let shadowed = Circumstances {
            shadow_stacks: true,
            is_named: true,
            ..plain
        };
        assert!(!may_be_named(shadowed, &TEXT[6..]));
    }

    #[test]
    fn a_plan_in_place_is_read_as_it_was_written() {
        let named = Circumstances {
            is_named: true,
            ..Circumstances::default()
        };
        let plan = SitePlan::choose_under(named, 0x1000, &[0x9f], &[], &[]).unwrap();
        assert_eq!(plan.steps_at(), None);
        let mut bytes = Vec::new();
        plan.encode(&mut bytes);
        assert_eq!(SitePlan::decode(&mut Reader { bytes: &bytes }), Some(plan));
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
