//! Memory that comes when somebody else says so: nobody but who needs it waits for it.

use lr_fixtures::{Fixture, Target, wait_until};
use lr_probe::{Op, Program, Register, Width};
use lr_tracer::{Record, SiteProgram, Slot};

use crate::image::{Image, action, at_function, read_until, site, tracer};

fn missing() -> (Target, Image) {
    let program = Fixture::c("missing.c").opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    (target, image)
}

/// The value is absent, and hits go on at once: none of them is let wait for the page again.
pub(crate) fn a_page_that_does_not_come_is_unreadable() {
    let (mut target, image) = missing();
    let mut tracer = tracer(&target);
    let (address, _) = image.function("pass");
    let ops = vec![
        Op::Field { end: 4 },
        Op::Reg(Register::RDI),
        Op::Load {
            width: Width::B8,
            signed: true,
        },
        Op::KeepWord,
    ];
    let site = SiteProgram {
        site: image.plan(address, &[]).unwrap(),
        program: Program::new(ops, Vec::new()).unwrap(),
        layout: 0,
    };
    tracer.arm(&action(0, vec![site])).unwrap();
    for round in 1..=3 {
        target.send("v");
        assert_eq!(target.line(), "passed 100");
        assert_eq!(tracer.counters(Slot(0)).kept, 100 * round);
    }
    let field = read_until(&mut tracer, "a hit", |record| match record {
        Record::Hit { payload, .. } => Some(payload.to_vec()),
        _ => None,
    });
    // A fault of the program, and no word.
    assert_eq!(field[0], 4);
    tracer.release().unwrap();
    target.assert_clean();
}

/// A thread that stores there, or loads from there, waits as it would have: others go on and are
/// seen, it gets its signals, and the value is right in the end.
pub(crate) fn a_thread_that_waits_for_a_page_keeps_nobody_else_waiting() {
    let (mut target, image) = missing();
    let mut tracer = tracer(&target);
    let sites = ["store", "load", "tick"].map(|function| {
        let (address, _) = image.function(function);
        site(image.plan(address, &[]).unwrap())
    });
    tracer.arm(&action(0, sites.to_vec())).unwrap();
    let mut hits = 0;
    for (begin, begun, end) in [("s", "storing", "done 77"), ("l", "loading", "done 5")] {
        for _ in 0..3 {
            target.send(begin);
            assert_eq!(target.line(), begun);
            target.send("t");
            assert_eq!(target.line(), "ticked 100");
            target.send("a");
            assert_eq!(target.line(), "alarmed");
            target.send("t");
            assert_eq!(target.line(), "ticked 100");
            target.send("r");
            assert_eq!(target.line(), end);
            hits += 201;
            wait_until("each hit to be counted once", || {
                (tracer.counters(Slot(0)).hits == hits).then_some(())
            });
        }
    }
    tracer.release().unwrap();
    target.assert_clean();
}

/// Letting go does not wait for the page either, and the thread goes on as if nobody had been there.
pub(crate) fn a_thread_that_waits_for_a_page_is_let_go() {
    for (function, begin, begun, end) in [
        ("store", "s", "storing", "done 77"),
        ("load", "l", "loading", "done 5"),
    ] {
        let (mut target, image) = missing();
        let mut tracer = tracer(&target);
        tracer.arm(&at_function(&image, function)).unwrap();
        target.send(begin);
        assert_eq!(target.line(), begun);
        wait_until("the hit", || {
            (tracer.counters(Slot(0)).hits == 1).then_some(())
        });
        tracer.release().unwrap();
        target.assert_clean();
        target.send("a");
        assert_eq!(target.line(), "alarmed");
        target.send("r");
        assert_eq!(target.line(), end);
    }
}
