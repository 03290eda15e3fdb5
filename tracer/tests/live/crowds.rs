//! Processes that change all the time, and those with many threads.

use std::path::Path;

use lr_fixtures::{Fixture, Target, wait_until};
use lr_tracer::{Slot, TracerError};

use crate::image::{Image, action, at_function, read_until, site, tracer};

pub(crate) fn hundreds_of_threads_are_born_and_die_while_we_come_and_go() {
    let program = Fixture::c("churn.c").opt('2').build();
    let mut target = Target::spawn(&program, ["hundreds"]);
    let image = Image::of(&program, target.pid());
    for _ in 0..2 {
        let mut tracer = tracer(&target);
        tracer.arm(&at_function(&image, "pass")).unwrap();
        read_until(&mut tracer, "a hit", |_| Some(()));
        tracer.release().unwrap();
        target.assert_clean();
        target.send("go");
        assert_eq!(target.line(), "harmed 0");
    }
}

pub(crate) fn a_thousand_threads_are_all_counted() {
    const THREADS: u64 = 1000;
    let program = Fixture::c("crowd.c").opt('2').build();
    let mut target = Target::spawn(&program, [THREADS.to_string()]);
    let image = Image::of(&program, target.pid());
    let mut tracer = tracer(&target);
    let (address, _) = image.function("pass");
    let plan = image.plan(address, &[]).unwrap();
    tracer.arm(&action(0, vec![site(plan)])).unwrap();
    for round in 1..=3 {
        target.send("all 5");
        let line = target.line();
        assert!(
            line.starts_with(&format!("passed {} ", THREADS * 5)),
            "{line}"
        );
        assert_eq!(tracer.counters(Slot(0)).hits, round * THREADS * 5);
    }
    tracer.release().unwrap();
    target.assert_clean();
}

/// An attachment in the middle of an exec comes to its end: it holds the program, or says that it is
/// gone or another. The number of rounds is what the target did; nobody is left hanging.
pub(crate) fn an_exec_and_an_attachment_do_not_wait_for_each_other() {
    const ROUNDS: &str = "60";
    let program = Fixture::c("execs.c").opt('2').no_pie().build();
    let mut target = Target::spawn(&program, [ROUNDS]);
    let image = Image::of(&program, target.pid());
    let action = at_function(&image, "pass");
    wait_until("the last exec", || {
        let mut tracer = tracer(&target);
        match tracer.arm(&action) {
            Ok(_) => {}
            Err(error) => {
                let codes = ["process_gone", "text_not_private", "text_patched"];
                let is_expected = codes.contains(&error.code())
                    || matches!(error, TracerError::System { .. } | TracerError::Protocol(_));
                assert!(is_expected, "{error}");
            }
        }
        // Whatever it was, it can be let go.
        let _ = tracer.release();
        is_last(target.pid()).then_some(())
    });
    target.send("go");
    assert_eq!(target.line(), format!("rounds {ROUNDS}"));
    target.assert_clean();
}

/// The last round's only argument is 0.
fn is_last(pid: u32) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    command.ends_with(b"\x000\x00")
}

/// Of a vfork child, and of one that CLONE_VM makes, which were there before us.
pub(crate) fn children_that_share_memory_are_met_at_attach() {
    for how in ["v", "c"] {
        let (mut target, image, folder) = sharing();
        target.send(how);
        assert_eq!(target.line(), "begun");
        let mut tracer = tracer(&target);
        tracer.arm(&at_function(&image, "pass")).unwrap();
        go_on(folder.path());
        assert_eq!(target.line(), "ended 5", "{how}");
        assert_eq!(tracer.counters(Slot(0)).hits, 10);
        stays_watched(&mut target, &tracer, 10);
        tracer.release().unwrap();
        target.assert_clean();
    }
}

/// And those that are born while we are there: their end takes nothing away from their parent.
pub(crate) fn children_that_share_memory_leave_their_parents_sites() {
    for how in ["v", "c"] {
        let (mut target, image, folder) = sharing();
        let mut tracer = tracer(&target);
        tracer.arm(&at_function(&image, "pass")).unwrap();
        target.send(how);
        assert_eq!(target.line(), "begun");
        go_on(folder.path());
        assert_eq!(target.line(), "ended 5", "{how}");
        assert_eq!(tracer.counters(Slot(0)).hits, 10);
        stays_watched(&mut target, &tracer, 10);
        tracer.release().unwrap();
        target.assert_clean();
    }
}

/// A child that shares memory and is in the middle of its life when we leave.
pub(crate) fn children_that_share_memory_are_let_go() {
    for how in ["v", "c"] {
        let (mut target, image, folder) = sharing();
        let mut tracer = tracer(&target);
        tracer.arm(&at_function(&image, "pass")).unwrap();
        target.send(how);
        assert_eq!(target.line(), "begun");
        tracer.release().unwrap();
        target.assert_clean();
        go_on(folder.path());
        assert_eq!(target.line(), "ended 5", "{how}");
    }
}

fn sharing() -> (Target, Image, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let program = Fixture::c("sharing.c").opt('2').build();
    let target = Target::spawn(&program, [folder.path().join("go")]);
    let image = Image::of(&program, target.pid());
    (target, image, folder)
}

fn go_on(folder: &Path) {
    std::fs::write(folder.join("go"), "").unwrap();
}

fn stays_watched(target: &mut Target, tracer: &lr_tracer::Tracer, hits: u64) {
    target.send("p");
    assert_eq!(target.line(), "passed");
    assert_eq!(tracer.counters(Slot(0)).hits, hits + 1);
}

/// The process exits while four threads are at the site all the time.
pub(crate) fn an_exit_among_hits_keeps_its_status() {
    for _ in 0..20 {
        let (mut target, image) = leaving();
        let mut tracer = tracer(&target);
        tracer.arm(&at_function(&image, "pass")).unwrap();
        read_until(&mut tracer, "a hit", |_| Some(()));
        target.send("exit");
        assert_eq!(target.ended().code(), Some(7));
    }
}

/// A site is taken away while four threads run into it: each of them executes the instruction that
/// was there.
pub(crate) fn a_site_goes_away_under_those_who_hit_it() {
    let (mut target, image) = leaving();
    let mut tracer = tracer(&target);
    let addresses = image.instructions("pass");
    let mut stays = action(1, vec![site(image.plan(addresses[0], &addresses).unwrap())]);
    let goes = action(
        0,
        addresses[1..]
            .iter()
            .filter_map(|&address| image.plan(address, &addresses).ok())
            .map(site)
            .collect(),
    );
    assert!(!goes.sites.is_empty());
    // Often enough to be there, seldom enough to leave the threads something to do.
    stays.ignore_quota = false;
    tracer.arm(&stays).unwrap();
    for _ in 0..100 {
        tracer.arm(&goes).unwrap();
        wait_until("a hit", || {
            while tracer.next_record().is_some() {}
            (tracer.counters(Slot(0)).hits > 0).then_some(())
        });
        tracer.disarm(Slot(0)).unwrap();
    }
    tracer.release().unwrap();
    target.assert_clean();
    target.send("c");
    assert_eq!(target.line(), "wrong 0");
}

fn leaving() -> (Target, Image) {
    let program = Fixture::c("leaving.c").opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    (target, image)
}
