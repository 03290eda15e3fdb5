//! Location expressions that mean harm, over registers and memory that are there and are not.

use std::path::Path;

use super::evaluate::{self, Context};
use super::object::Object;
use super::tree::{Absent, Reason};
use crate::target::Target;
use crate::unwind::FrameRegisters;

struct Memory;

impl lr_probe::Memory for Memory {
    /// Something is at page one, and nothing elsewhere.
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), lr_probe::MemoryFault> {
        match address.checked_add(out.len() as u64) {
            Some(..0x1000) | Some(0x2001..) | None => Err(lr_probe::MemoryFault { address }),
            Some(_) if address < 0x1000 => Err(lr_probe::MemoryFault { address }),
            Some(_) => {
                out.fill(0x11);
                Ok(())
            }
        }
    }
}

/// Runs an expression for a value of so many bytes.
fn run(bytes: &[u8], size: u64) -> Result<(Object, Option<u64>), Absent> {
    let path = Path::new("/proc/self/exe");
    let file = std::fs::File::open(path).unwrap();
    let binary = crate::Binary::open_with(file, path, &crate::DebugFiles::none()).unwrap();
    let modules = [crate::target::Module {
        path: path.to_owned(),
        binary: binary.into(),
        bias: crate::LoadBias(0),
        ranges: Vec::new(),
    }];
    let target = Target::new(&modules, Box::new(Memory));
    let registers = FrameRegisters::default();
    let context = Context::of_registers(&target, 0, &registers);
    let expression = gimli::Expression(gimli::EndianSlice::new(bytes, gimli::LittleEndian));
    let object = evaluate::object(&context, expression, Some(size))?;
    let word = object.bits(&target, 0, size.min(8) * 8);
    Ok((object, Some(u64::try_from(word?).unwrap())))
}

#[track_caller]
fn check(bytes: &[u8], reason: Reason, words: &str) {
    let absent = run(bytes, 8).expect_err("it means harm");
    assert_eq!(absent.reason, reason, "{absent:?}");
    assert!(absent.detail.contains(words), "{absent:?}");
}

#[test]
fn what_means_no_harm_is_read() {
    // DW_OP_const2u 0x1800.
    let (object, word) = run(&[0x0a, 0x00, 0x18], 8).unwrap();
    assert_eq!(object.address(), Some(0x1800));
    assert_eq!(word, Some(0x1111_1111_1111_1111));
    // DW_OP_lit7, DW_OP_stack_value.
    assert_eq!(run(&[0x37, 0x9f], 8).unwrap().1, Some(7));
}

#[test]
fn each_costs_its_own_value() {
    // DW_OP_lit1, DW_OP_lit0, DW_OP_div; the same with DW_OP_mod.
    check(
        &[0x31, 0x30, 0x1b, 0x9f],
        Reason::Unsupported,
        "ivision by zero",
    );
    check(
        &[0x31, 0x30, 0x1d, 0x9f],
        Reason::Unsupported,
        "ivision by zero",
    );
    // DW_OP_plus, DW_OP_drop and DW_OP_pick 200 of an empty stack.
    for bytes in [&[0x22][..], &[0x13], &[0x15, 200]] {
        check(bytes, Reason::Unsupported, "damaged");
    }
    // An operation that there is not, and one that is cut short.
    check(&[0xd7], Reason::Unsupported, "damaged");
    check(&[0x0e, 1, 2], Reason::Unsupported, "damaged");
    // DW_OP_lit0, DW_OP_deref; DW_OP_const8u -8, DW_OP_deref.
    check(&[0x30, 0x06], Reason::Unreadable, "0x0");
    let high = [0x0e, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x06];
    check(&high, Reason::Unreadable, "0xfffffffffffffff8");
    // DW_OP_lit8, DW_OP_form_tls_address: this program's block, and no thread that has one.
    let absent = run(&[0x38, 0x9b], 8).expect_err("no thread");
    assert!(
        matches!(absent.reason, Reason::NotLive | Reason::Unsupported),
        "{absent:?}"
    );
    // DW_OP_call_frame_cfa, DW_OP_fbreg 0, DW_OP_entry_value(DW_OP_reg5) without a frame.
    for bytes in [&[0x9c][..], &[0x91, 0], &[0xa3, 1, 0x55, 0x9f]] {
        check(bytes, Reason::Unsupported, "frame");
    }
    // DW_OP_reg3, which nobody knows.
    check(&[0x53], Reason::OptimizedOut, "rbx");
    // DW_OP_lit1, DW_OP_stack_value, DW_OP_piece 2^60: the value is as large as its type.
    let huge = [
        0x31, 0x9f, 0x93, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10,
    ];
    assert_eq!(run(&huge, 8).unwrap().1, Some(1));
    let absent = run(&huge, 1 << 60).expect_err("no value is as large");
    assert_eq!(absent.reason, Reason::Unsupported);
    // DW_OP_bit_piece 2^40 bits at 2^50 of a piece of memory.
    let far = [
        0x0a, 0x00, 0x18, 0x9d, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0x80, 0x80, 0x80, 0x80, 0x80,
        0x80, 0x80, 0x02,
    ];
    assert!(run(&far, 8).is_err());
}

#[test]
fn a_loop_ends() {
    // DW_OP_skip -3; DW_OP_lit1, DW_OP_dup, DW_OP_skip -4: a stack that only grows.
    check(&[0x2f, 0xfd, 0xff], Reason::Unsupported, "damaged");
    check(
        &[0x31, 0x12, 0x2f, 0xfc, 0xff],
        Reason::Unsupported,
        "damaged",
    );
}

#[test]
fn a_piece_that_is_gone_costs_itself() {
    // Four bytes of a constant, four of nothing.
    let bytes = [0x37, 0x9f, 0x93, 4, 0x93, 4];
    let absent = run(&bytes, 8).expect_err("its upper half is gone");
    assert_eq!(absent.reason, Reason::OptimizedOut);
    assert_eq!(run(&bytes, 4).unwrap().1, Some(7));
}
