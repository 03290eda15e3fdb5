//! What the verifier refuses, and that what it lets pass can run.
#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use lr_probe::{
    Budget, Context, MAX_OPS, Memory, MemoryFault, OP_BYTES, Op, Program, Register, Registers,
    VerifyError, run,
};

fn refused(ops: &[Op]) -> VerifyError {
    Program::new(ops.to_vec(), b"pool".to_vec()).unwrap_err()
}

#[test]
fn unsafe_programs_are_refused() {
    use VerifyError as V;
    assert_eq!(refused(&[Op::Add, Op::Accept]), V::StackUnderflow { at: 0 });
    assert_eq!(
        refused(&[Op::Const(1), Op::Jump(0), Op::Accept]),
        V::BadTarget { at: 1 }
    );
    assert_eq!(
        refused(&[Op::Const(1), Op::Jump(9), Op::Accept]),
        V::BadTarget { at: 1 }
    );
    assert_eq!(
        refused(&[Op::Field { end: 9 }, Op::Const(1)]),
        V::BadTarget { at: 0 }
    );
    assert_eq!(
        refused(&[Op::Const(1), Op::KeepWord]),
        V::BadOrder { at: 1 }
    );
    assert_eq!(
        refused(&[Op::Const(1), Op::Const(1), Op::Accept]),
        V::StackMismatch { at: 2 }
    );
    let outside = [Op::Const(1), Op::CStrEq { offset: 2, len: 3 }, Op::Accept];
    assert_eq!(refused(&outside), V::BadPool { at: 1 });
    let nested = [Op::Field { end: 3 }, Op::Field { end: 3 }, Op::Const(1)];
    assert_eq!(refused(&nested), V::BadOrder { at: 1 });
    let uneven = [Op::Const(1), Op::JumpIfZero(3), Op::Const(1), Op::Accept];
    assert_eq!(refused(&uneven), V::StackMismatch { at: 3 });
    assert!(matches!(
        refused(&vec![Op::Const(0); 40]),
        V::StackOverflow { .. }
    ));
    assert!(matches!(
        refused(&vec![Op::Const(0); MAX_OPS + 1]),
        V::TooLong { .. }
    ));
    let accept_in_field = [Op::Field { end: 3 }, Op::Const(1), Op::Accept];
    assert!(matches!(refused(&accept_in_field), V::BadOrder { .. }));
}

struct Nothing;

impl Memory for Nothing {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        if address.is_multiple_of(3) {
            return Err(MemoryFault { address });
        }
        out.fill(u8::try_from(address & 0xff).expect("masked"));
        Ok(())
    }
}

/// Whatever bytes decode to a program, running it neither panics nor goes on for ever.
#[test]
fn random_programs_run_to_their_end() {
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut verified = 0;
    for _ in 0..200_000 {
        let count = usize::try_from(next() % 12).expect("small");
        let mut ops = Vec::new();
        while ops.len() < count {
            let mut bytes = [0u8; OP_BYTES];
            bytes[..8].copy_from_slice(&next().to_le_bytes());
            bytes[8..].copy_from_slice(&(next() % 64).to_le_bytes());
            // Mostly codes that exist, small operands, and jumps that may land inside.
            bytes[0] = u8::try_from(next() % 84).expect("small");
            bytes[1] %= 42;
            bytes[2] %= 9;
            bytes[4] = u8::try_from(next() % 14).expect("small");
            bytes[5] = 0;
            if let Some(op) = Op::decode(&bytes) {
                assert_eq!(Op::decode(&op.encode()), Some(op));
                ops.push(op);
            }
        }
        let Ok(program) = Program::new(ops, vec![b'a'; 16]) else {
            continue;
        };
        verified += 1;
        let mut encoded = Vec::new();
        program.encode(&mut encoded);
        assert_eq!(
            Program::decode(&encoded).map(|(back, _)| back),
            Ok(program.clone())
        );
        let mut registers = Registers::default();
        registers.set(Register::RDI, next());
        let mut out = [0; 100];
        let budget = Budget { bytes: 1000 };
        run(
            &program,
            &registers,
            &Context::default(),
            &mut Nothing,
            budget,
            &mut out,
        );
    }
    assert!(verified > 2000, "only {verified} programs were verified");
}

#[test]
fn truncated_encodings_are_refused() {
    let program = Program::new(vec![Op::Const(1), Op::Accept], b"xy".to_vec()).unwrap();
    let mut encoded = Vec::new();
    program.encode(&mut encoded);
    for length in 0..encoded.len() {
        assert!(
            Program::decode(&encoded[..length]).is_err(),
            "{length} bytes"
        );
    }
}
