//! Texts that are compared with each other.
#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::cmp::Ordering;

use lr_probe::{
    Budget, Context, Fields, Kept, Memory, MemoryFault, Op, Outcome, Program, Reason, Registers,
    TextAt, ThreadName, run,
};

const PAGE: u64 = 4096;
const LEFT: u64 = 0x10_0000;
const RIGHT: u64 = 0x20_0000;

/// Two texts, each up to the end of a page behind which nothing can be read.
struct Texts<'a>([&'a [u8]; 2]);

impl Texts<'_> {
    fn begin(&self, side: usize) -> u64 {
        [LEFT, RIGHT][side] + 16 * PAGE - self.0[side].len() as u64
    }
}

impl Memory for Texts<'_> {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        for side in 0..2 {
            let skip = address.checked_sub(self.begin(side));
            let skip = skip.and_then(|skip| usize::try_from(skip).ok());
            if let Some(found) = skip.and_then(|skip| self.0[side].get(skip..))
                && let Some(found) = found.get(..out.len())
            {
                out.copy_from_slice(found);
                return Ok(());
            }
        }
        Err(MemoryFault { address })
    }
}

fn told(left: (TextAt, &[u8]), right: (TextAt, &[u8]), ordered: bool) -> Result<i64, Reason> {
    let mut pool = Vec::new();
    let mut ops = vec![Op::Field { end: 0 }];
    let mut memory = Texts([left.1, right.1]);
    for (side, (at, text)) in [left, right].into_iter().enumerate() {
        match at {
            TextAt::Thread => continue,
            TextAt::Pool => {
                ops.push(Op::Const(pool.len() as u64));
                ops.push(Op::Const(text.len() as u64));
                pool.extend_from_slice(text);
            }
            TextAt::Counted | TextAt::Ended => {
                ops.push(Op::Const(memory.begin(side)));
                let length = if at == TextAt::Ended {
                    u64::MAX
                } else {
                    text.len() as u64
                };
                ops.push(Op::Const(length));
            }
        }
    }
    let (left, right) = (left.0, right.0);
    ops.push(match ordered {
        true => Op::TextOrder { left, right },
        false => Op::TextEq { left, right },
    });
    ops.push(Op::KeepWord);
    let end = u16::try_from(ops.len()).unwrap();
    ops[0] = Op::Field { end };
    let encoded = {
        let mut bytes = Vec::new();
        Program::new(ops, pool).unwrap().encode(&mut bytes);
        bytes
    };
    let program = Program::decode(&encoded).unwrap().0;
    let context = Context {
        thread: ThreadName::new(b"worker-1"),
        ..Context::default()
    };
    let budget = Budget { bytes: 1 << 20 };
    let mut out = [0; 64];
    let registers = Registers::default();
    let outcome = run(
        &program,
        &registers,
        &context,
        &mut memory,
        budget,
        &mut out,
    );
    let Outcome::Matched { bytes } = outcome else {
        panic!("{outcome:?}");
    };
    let mut told = None;
    Fields::new(&out[..bytes]).next(|part| {
        told = Some(match part {
            Kept::Word(word) => Ok(word.cast_signed()),
            Kept::Fault { reason, .. } => Err(reason),
            other => panic!("{other:?}"),
        });
    });
    told.unwrap()
}

/// The bytes that a text is, of those that are at its place.
fn meant(at: TextAt, text: &[u8]) -> &[u8] {
    match text.iter().position(|&byte| byte == 0) {
        Some(end) if at == TextAt::Ended => &text[..end],
        _ => text,
    }
}

#[test]
fn texts_compare_by_their_bytes_wherever_they_are() {
    let bases: Vec<Vec<u8>> = {
        let mut bases: Vec<Vec<u8>> = ["", "a", "b", "ab", "abc", "abd", "a\0b", "\u{fc}"]
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
        for len in [63, 64, 65, 128, 200, 4000] {
            bases.push(vec![b'x'; len]);
            let mut other = vec![b'x'; len];
            other[len - 1] = b'y';
            bases.push(other);
        }
        bases
    };
    let ways = [TextAt::Counted, TextAt::Ended, TextAt::Pool];
    let mut compared = 0;
    for left in &bases {
        for right in &bases {
            for left_at in ways {
                for right_at in ways {
                    let stored = |at, text: &[u8]| match at {
                        TextAt::Ended => [text, b"\0"].concat(),
                        _ => text.to_vec(),
                    };
                    let (left, right) = (stored(left_at, left), stored(right_at, right));
                    let expected = meant(left_at, &left).cmp(meant(right_at, &right));
                    let sides = ((left_at, &left[..]), (right_at, &right[..]));
                    assert_eq!(
                        told(sides.0, sides.1, true),
                        Ok(expected as i64),
                        "{sides:?}"
                    );
                    let equal = i64::from(expected == Ordering::Equal);
                    assert_eq!(told(sides.0, sides.1, false), Ok(equal), "{sides:?}");
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, 20 * 20 * 9);
}

#[test]
fn the_name_of_the_thread_is_a_text() {
    let thread = (TextAt::Thread, &b""[..]);
    assert_eq!(told(thread, (TextAt::Pool, b"worker-1"), false), Ok(1));
    assert_eq!(told(thread, (TextAt::Ended, b"worker-1\0"), false), Ok(1));
    assert_eq!(told(thread, (TextAt::Counted, b"worker-2"), false), Ok(0));
    assert_eq!(told((TextAt::Counted, b"worker-2"), thread, true), Ok(1));
    assert_eq!(told(thread, thread, false), Ok(1));
}

#[test]
fn a_comparison_has_an_end() {
    let long = vec![b'x'; 8000];
    let counted = (TextAt::Counted, &long[..]);
    assert_eq!(told(counted, counted, false), Err(Reason::Budget));
    assert_eq!(told(counted, counted, true), Err(Reason::Budget));
    let shorter = (TextAt::Counted, &long[1..]);
    assert_eq!(told(counted, shorter, false), Ok(0), "their lengths differ");
    let endless = (TextAt::Ended, &long[..]);
    assert_eq!(told(endless, endless, false), Err(Reason::Budget));
    let unended = (TextAt::Ended, &b"abc"[..]);
    let same = (TextAt::Counted, &b"abcd"[..]);
    assert_eq!(told(unended, same, false), Err(Reason::Unreadable));
    let differs = (TextAt::Counted, &b"abd"[..]);
    assert_eq!(told(unended, differs, false), Ok(0));
}

#[test]
fn names_of_threads_are_as_long_as_they_may_be() {
    assert_eq!(ThreadName::new(b"").bytes(), b"");
    assert_eq!(ThreadName::new(&[b'x'; 40]).bytes(), [b'x'; 16]);
}
