//! The emulator and the borrowed forms against the processor: an instruction of each form that real
//! programs have is executed in a sacrificial process from registers, flags and memory at random,
//! and computed or borrowed from the same, and everything is compared. Where the processor faults,
//! what computes must say that it cannot.

mod corpus;
mod random;
mod sacrifice;
mod states;
mod undefined;

use std::collections::HashSet;
use std::rc::Rc;

use lr_probe::Register;

use super::borrow::{Loan, LoanPlan, Pattern};
use super::decode::{Instruction, Step};
use corpus::Corpus;
use random::Random;
use sacrifice::{Given, Left, Sacrifice};
use states::{COMPARED_FLAGS, state};
use undefined::undefined_flags;

/// Executions that each test compares at least; `LR_CPU_CASES` says how many, for a longer search.
fn wanted() -> usize {
    const ORDINARILY: usize = 40_000;
    std::env::var("LR_CPU_CASES").map_or(ORDINARILY, |cases| cases.parse().expect("a number"))
}

/// An instruction to be computed, and from what.
struct Case {
    instruction: Rc<Instruction>,
    given: Given,
}

/// What was compared.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    forms: usize,
    faults: usize,
    /// Jumps to where no code can be: how those fault depends on who made the processor.
    leaps: usize,
}

#[test]
fn emulated_instructions_do_what_the_processor_does() {
    let mut sacrifice = Sacrifice::new();
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    let corpus = Corpus::new();
    let mut tally = Tally::default();
    let mut kinds = HashSet::new();
    let mut emulated: Vec<_> = Vec::new();
    for form in &corpus.forms {
        if decoded(&sacrifice, &form.code).emulated().is_some() {
            emulated.push(form);
        }
    }
    tally.forms = emulated.len();
    while tally.cases < wanted() {
        for forms in emulated.chunks(64) {
            let mut cases = Vec::new();
            for form in forms {
                let code = form.vary(&mut random, &sacrifice);
                let instruction = Rc::new(decoded(&sacrifice, &code));
                let kind = instruction.emulated().expect("its numbers change nothing");
                kinds.insert(std::mem::discriminant(&kind));
                add(&mut cases, &instruction, &code, &mut random, &sacrifice);
            }
            compare(&cases, &mut sacrifice, &mut tally);
        }
    }
    println!("emulated: {tally:?}");
    assert!(kinds.len() >= 23, "{} kinds of 23", kinds.len());
    assert!(
        tally.forms > 5000 && tally.faults > tally.cases / 100,
        "{tally:?}"
    );
}

/// Bits of known instructions changed and prefixes added: whatever is computed then must be what
/// the processor takes it for.
#[test]
fn what_is_not_plainly_understood_is_not_emulated() {
    let mut sacrifice = Sacrifice::new();
    let mut random = Random::new(0xa076_1d64_78bd_642f);
    let corpus = Corpus::new();
    let mut tally = Tally::default();
    let mut refused = 0;
    while tally.cases < wanted() / 2 {
        for forms in corpus.forms.chunks(64) {
            let mut cases = Vec::new();
            for form in forms {
                let code = form.damage(&mut random);
                let Some(damaged) = corpus.form(&code) else {
                    continue;
                };
                let code = damaged.vary(&mut random, &sacrifice);
                let Some(instruction) = Instruction::decode(sacrifice.code(), &code) else {
                    continue;
                };
                if instruction.emulated().is_none() {
                    refused += 1;
                    continue;
                }
                tally.forms += 1;
                add(
                    &mut cases,
                    &Rc::new(instruction),
                    &code,
                    &mut random,
                    &sacrifice,
                );
            }
            compare(&cases, &mut sacrifice, &mut tally);
        }
    }
    println!("damaged: {tally:?}, {refused} refused");
    assert!(refused > tally.forms / 10, "{refused} of {tally:?}");
}

fn decoded(sacrifice: &Sacrifice, code: &[u8]) -> Instruction {
    let instruction = Instruction::decode(sacrifice.code(), code);
    let instruction = instruction.unwrap_or_else(|| panic!("{code:02x?} is no instruction"));
    assert_eq!(instruction.length(), code.len(), "{code:02x?}");
    instruction
}

/// Several states for one instruction.
fn add(
    cases: &mut Vec<Case>,
    instruction: &Rc<Instruction>,
    code: &[u8],
    random: &mut Random,
    sacrifice: &Sacrifice,
) {
    const STATES: usize = 4;
    for _ in 0..STATES {
        cases.push(Case {
            instruction: Rc::clone(instruction),
            given: state(instruction, code, random, sacrifice),
        });
    }
}

fn compare(cases: &[Case], sacrifice: &mut Sacrifice, tally: &mut Tally) {
    let given: Vec<Given> = cases.iter().map(|case| case.given.clone()).collect();
    let left = sacrifice.execute(&given);
    for (Case { instruction, given }, left) in cases.iter().zip(&left) {
        let emulated = instruction.emulated().expect("only those are compared");
        let before = sacrifice.cpu(given);
        let mut cpu = before;
        let computed = emulated.run(&mut cpu, instruction.next(), &mut sacrifice.memory(given));
        let case = || describe(instruction, given);
        tally.cases += 1;
        if !left.was_executed() {
            assert!(computed.is_err(), "signal {} of {}", left.signal, case());
            tally.faults += 1;
            continue;
        }
        if computed.is_err() {
            assert!(
                !is_of_programs(left.registers.get(Register::RIP)),
                "{}",
                case()
            );
            tally.leaps += 1;
            continue;
        }
        let mask =
            COMPARED_FLAGS & !undefined_flags(emulated, &before, &mut sacrifice.memory(given));
        assert_eq!(cpu.registers.general, left.registers.general, "{}", case());
        assert_eq!(cpu.flags & mask, left.flags & mask, "flags of {}", case());
        assert!(given.arenas == left.arenas, "memory after {}", case());
    }
}

fn describe(instruction: &Instruction, given: &Given) -> String {
    format!(
        "{} {:02x?} from {:x?} flags {:x}",
        instruction.text(),
        given.code,
        given.registers.general,
        given.flags
    )
}

/// Addresses above belong to the kernel or to nobody.
fn is_of_programs(address: u64) -> bool {
    address < 1 << 47
}

#[test]
fn jumps_through_tables_of_protected_programs_are_computed() {
    let is_emulated = |code: &[u8]| {
        let instruction = Instruction::decode(0, code).expect("an instruction");
        instruction.emulated().is_some()
    };
    assert!(is_emulated(&[0x3e, 0xff, 0xe0]), "notrack jmp *%rax");
    assert!(is_emulated(&[0xf3, 0x90]), "pause");
    assert!(is_emulated(&[0xf3, 0xc3]), "repz ret");
}

/// An original and what stands for it.
struct Pair {
    instruction: Rc<Instruction>,
    plan: LoanPlan,
    loan: Loan,
    given: [Given; 2],
}

#[test]
fn stepped_instructions_do_elsewhere_what_they_do_in_place() {
    let mut sacrifice = Sacrifice::new();
    let mut random = Random::new(0xd1b5_4a32_d192_ed03);
    let corpus = Corpus::new();
    let mut stepped = Vec::new();
    for form in &corpus.forms {
        let instruction = decoded(&sacrifice, &form.code);
        if !patterns(&instruction).is_empty() && !is_beside_the_point(&instruction.text()) {
            stepped.push(form);
        }
    }
    let mut tally = Tally {
        forms: stepped.len(),
        ..Tally::default()
    };
    let mut by_loan = [0; 4];
    while tally.cases < wanted() {
        for forms in stepped.chunks(32) {
            let mut pairs = Vec::new();
            for form in forms {
                let code = form.vary(&mut random, &sacrifice);
                let instruction = Rc::new(decoded(&sacrifice, &code));
                add_pairs(&mut pairs, &instruction, &code, &mut random, &sacrifice);
            }
            let given: Vec<Given> = pairs.iter().flat_map(|pair| pair.given.clone()).collect();
            let left = sacrifice.execute(&given);
            for (pair, left) in pairs.iter().zip(left.as_chunks::<2>().0) {
                compare_pair(pair, left);
                tally.cases += 1;
                tally.faults += usize::from(!left[0].was_executed());
                by_loan[match pair.plan {
                    LoanPlan::Nothing | LoanPlan::Followed => 0,
                    LoanPlan::Return(_) => 1,
                    LoanPlan::Base { .. } => 2,
                    LoanPlan::Store { .. } => 3,
                }] += 1;
            }
        }
    }
    println!("stepped: {tally:?}, of each kind of loan {by_loan:?}");
    assert!(by_loan.iter().all(|&count| count > 200), "{by_loan:?}");
    assert!(
        tally.forms > 3000 && tally.faults > tally.cases / 100,
        "{tally:?}"
    );
}

/// Those that tell the time, a random number or on which processor they run, those that store where
/// they are themselves, and those that would take the sacrifice's own segments away.
fn is_beside_the_point(text: &str) -> bool {
    let mnemonic = text.split(' ').next().unwrap_or_default();
    let segments = [
        "mov fs", "mov gs", "mov es", "mov ds", "pop fs", "pop gs", "lfs", "lgs",
    ];
    let others = [
        "rdtsc", "rdtscp", "rdrand", "rdseed", "rdpid", "rdpmc", "cpuid", "xgetbv", "wrfsbase",
        "wrgsbase", "wrpkru", "fnstenv", "fstenv", "fnsave", "fsave", "fldenv", "frstor",
    ];
    segments.iter().any(|segment| text.starts_with(segment))
        || others.contains(&mnemonic)
        || ["fxsave", "fxrstor", "xsave", "xrstor"]
            .iter()
            .any(|name| mnemonic.starts_with(name))
}

/// What may be stepped for an instruction that has to be.
fn patterns(instruction: &Instruction) -> Vec<Pattern> {
    let step = match (instruction.step_with_shadow_stack(), instruction.emulated()) {
        (Some(Step::Patterns(patterns)), _) => return patterns,
        (_, Some(_)) => return Vec::new(),
        (_, None) => instruction.step(),
    };
    match step {
        Step::Patterns(patterns) => patterns,
        Step::Never(_) => Vec::new(),
    }
}

/// Some of the patterns that may stand for an instruction.
fn add_pairs(
    pairs: &mut Vec<Pair>,
    instruction: &Rc<Instruction>,
    code: &[u8],
    random: &mut Random,
    sacrifice: &Sacrifice,
) {
    const OF_EACH: usize = 6;
    let patterns = patterns(instruction);
    for _ in 0..OF_EACH {
        let pattern = random.pick(&patterns);
        let original = state(instruction, code, random, sacrifice);
        let (twin, plan) = pattern.sample(random.next().to_le_bytes()[0]);
        let cpu = sacrifice.cpu(&original);
        let memory = &mut sacrifice.memory(&original);
        let Ok(loan) = Loan::new(instruction, plan, &cpu, memory) else {
            continue;
        };
        let mut borrowed = original.clone();
        loan.lend(&mut borrowed.registers);
        borrowed
            .registers
            .set(Register::RIP, sacrifice.other_code());
        borrowed.code = twin;
        pairs.push(Pair {
            instruction: Rc::clone(instruction),
            plan,
            loan,
            given: [original, borrowed],
        });
    }
}

fn compare_pair(pair: &Pair, [real, borrowed]: &[Left; 2]) {
    let [original, twin] = &pair.given;
    let case = || {
        let original = describe(&pair.instruction, original);
        format!("{original} as {:02x?}", twin.code)
    };
    // What faults elsewhere is stepped in place then: the signal need not be the same.
    assert_eq!(borrowed.was_executed(), real.was_executed(), "{}", case());
    if !real.was_executed() {
        return;
    }
    if pair.plan != LoanPlan::Followed {
        let began = twin.registers.get(Register::RIP);
        let ended = borrowed.registers.get(Register::RIP);
        let length = twin.code.len() as u64;
        assert_eq!(ended - began, length, "length of the twin of {}", case());
    }
    let mut after = borrowed.registers;
    pair.loan.give_back(&original.registers, &mut after);
    assert_eq!(after.general, real.registers.general, "{}", case());
    let (flags, real_flags) = (borrowed.flags & COMPARED_FLAGS, real.flags & COMPARED_FLAGS);
    assert_eq!(flags, real_flags, "flags of {}", case());
    assert!(borrowed.arenas == real.arenas, "memory after {}", case());
    assert!(
        borrowed.others() == real.others(),
        "vectors after {}",
        case()
    );
}
