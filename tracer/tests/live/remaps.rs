//! Text that goes away under a site: unmapped, mapped again, or another file's.

use std::path::PathBuf;

use lr_fixtures::{Fixture, Target};
use lr_tracer::{AmendAction, Record, ResumeKind, SitePlan, Slot, TextRange};

use crate::image::{Image, action, read_until, site, tracer};

/// A page that begins with `lea rax, [rdi+rdi]; ret`.
const DOUBLE: [u8; 5] = [0x48, 0x8d, 0x04, 0x3f, 0xc3];

struct Remapped {
    target: Target,
    folder: tempfile::TempDir,
}

impl Remapped {
    fn new() -> Remapped {
        Remapped {
            target: Target::spawn(&Fixture::c("remapped.c").build(), [""; 0]),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, begin: &[u8], rest: u8) -> PathBuf {
        let mut page = vec![rest; 4096];
        page[..begin.len()].copy_from_slice(begin);
        let path = self.folder.path().join(name);
        std::fs::write(&path, page).unwrap();
        path
    }

    fn tell(&mut self, command: &str) -> String {
        self.target.send(command);
        self.target.line()
    }

    fn map(&mut self, file: &std::path::Path) -> u64 {
        let answer = self.tell(&format!("map {}", file.display()));
        u64::from_str_radix(answer.strip_prefix("mapped ").unwrap(), 16).unwrap()
    }
}

fn plan(address: u64) -> SitePlan {
    SitePlan::choose(address, &DOUBLE, &[], &[]).unwrap()
}

pub(crate) fn another_files_int3_is_not_taken_for_ours() {
    let mut remapped = Remapped::new();
    let code = remapped.file("code", &DOUBLE, 0x90);
    let padding = remapped.file("padding", &[], 0xcc);
    let address = remapped.map(&code);
    let mut tracer = tracer(&remapped.target);
    tracer.arm(&action(0, vec![site(plan(address))])).unwrap();
    assert_eq!(remapped.tell("call 3"), "called 12");
    remapped.map(&padding);
    // Without having been told, and when it has found out.
    tracer.disarm(Slot(0)).unwrap();
    assert_eq!(remapped.tell("int3"), "int3 4096");

    remapped.map(&code);
    tracer.arm(&action(0, vec![site(plan(address))])).unwrap();
    remapped.map(&padding);
    assert_eq!(tracer.verify().unwrap(), [address]);
    assert_eq!(tracer.verify().unwrap(), [0u64; 0]);
    assert_eq!(tracer.release().unwrap().restored, 0);
    let rescued = tracer.take_rescued().unwrap();
    assert_eq!((rescued.restored, rescued.left), (0, 0));
    assert_eq!(remapped.tell("int3"), "int3 4096");
    remapped.target.assert_clean();
}

pub(crate) fn another_files_text_is_not_planted_in() {
    let mut remapped = Remapped::new();
    let code = remapped.file("code", &DOUBLE, 0x90);
    let same = remapped.file("same", &DOUBLE, 0x90);
    let address = remapped.map(&code);
    let mut tracer = tracer(&remapped.target);
    tracer.arm(&action(0, vec![site(plan(address))])).unwrap();
    remapped.map(&same);
    assert_eq!(tracer.verify().unwrap(), [address]);
    // What is there now has to be asked for.
    assert_eq!(remapped.tell("int3"), "int3 0");
    tracer.release().unwrap();
}

pub(crate) fn a_file_that_is_mapped_again_is_planted_again() {
    let mut remapped = Remapped::new();
    let code = remapped.file("code", &DOUBLE, 0x90);
    let address = remapped.map(&code);
    let mut tracer = tracer(&remapped.target);
    let mut limited = action(0, vec![site(plan(address))]);
    limited.limit = Some(5);
    tracer.arm(&limited).unwrap();
    assert_eq!(remapped.tell("call 2"), "called 6");
    for round in 0..2 {
        // The first time what is mapped is not seen to be gone in between.
        if round == 1 {
            assert_eq!(remapped.tell("unmap"), "unmapped");
            assert_eq!(tracer.verify().unwrap(), [address]);
        }
        assert_eq!(remapped.map(&code), address);
        assert_eq!(remapped.tell("int3"), "int3 0");
        if round == 0 {
            assert_eq!(tracer.verify().unwrap(), [address]);
        }
        let observed = tracer.counters(Slot(0)).observed_ns;
        std::thread::yield_now();
        assert_eq!(tracer.counters(Slot(0)).observed_ns, observed);
        let change = AmendAction {
            slot: Slot(0),
            remove: vec![address],
            add: vec![(round + 1, site(plan(address)))],
        };
        let armed = tracer.amend(&change).unwrap();
        assert_eq!((armed.planted.len(), armed.refused.len()), (1, 0));
        assert_eq!(remapped.tell("int3"), "int3 1");
        assert_eq!(remapped.tell("call 1"), "called 2");
        let seen = read_until(
            &mut tracer,
            "a hit of the new site",
            |record| match record {
                Record::Hit { site, .. } if site == round + 1 => Some(site),
                _ => None,
            },
        );
        assert_eq!(seen, round + 1);
    }
    // The counts and the limit are the action's, not the site's.
    assert_eq!(remapped.tell("call 4"), "called 20");
    assert_eq!(tracer.counters(Slot(0)).kept, 5);
    tracer.release().unwrap();
    remapped.target.assert_clean();
}

pub(crate) fn many_sites_of_a_file_that_is_mapped_again_are_all_given_up() {
    let mut remapped = Remapped::new();
    let code = remapped.file("code", &DOUBLE.repeat(200), 0x90);
    let address = remapped.map(&code);
    let addresses: Vec<u64> = (0..200).map(|n| address + 5 * n).collect();
    let sites = addresses.iter().map(|&address| site(plan(address)));
    let mut tracer = tracer(&remapped.target);
    tracer.arm(&action(0, sites.collect())).unwrap();
    assert_eq!(remapped.tell("int3"), "int3 200");
    assert_eq!(tracer.verify().unwrap(), [0u64; 0]);
    remapped.map(&code);
    assert_eq!(tracer.verify().unwrap(), addresses);
    tracer.release().unwrap();
    remapped.target.assert_clean();
}

pub(crate) fn places_are_refused_one_by_one() {
    let mut remapped = Remapped::new();
    let code = remapped.file("code", &DOUBLE, 0x90);
    let address = remapped.map(&code);
    let mut tracer = tracer(&remapped.target);
    // There is none of its bytes at the second.
    let sites = vec![site(plan(address)), site(plan(address + 64))];
    let armed = tracer.arm(&action(0, sites)).unwrap();
    assert_eq!(armed.planted, [address]);
    assert_eq!(armed.refused[0].0, address + 64);
    assert_eq!(armed.refused[0].1.code(), "text_patched");
    assert_eq!(remapped.tell("call 2"), "called 6");
    assert_eq!(tracer.counters(Slot(0)).hits, 2);
    // Nothing left, it is held all the same until it is disarmed.
    let change = AmendAction {
        slot: Slot(0),
        remove: vec![address],
        add: Vec::new(),
    };
    tracer.amend(&change).unwrap();
    assert_eq!(remapped.tell("int3"), "int3 0");
    tracer.disarm(Slot(0)).unwrap();
    assert_eq!(tracer.release().unwrap().restored, 1);
}

/// A site in code that stays, stepped in a library that goes.
pub(crate) fn a_site_whose_twin_is_unloaded_is_given_up() {
    const PUSH: [u8; 1] = [0x55];
    let mut remapped = Remapped::new();
    let library = remapped.file("library", &PUSH, 0x90);
    let other = remapped.file("other", &[], 0x90);
    let program = Fixture::c("remapped.c").build();
    let image = Image::of(&program, remapped.target.pid());
    let (address, _) = image.function("main");
    for goes in ["map", "unmap"] {
        let start = remapped.map(&library);
        let texts = [TextRange {
            start,
            bytes: &PUSH,
        }];
        let plan = SitePlan::choose(address, &PUSH, &texts, &[]).unwrap();
        assert_eq!(
            (plan.resume(), plan.steps_at()),
            (ResumeKind::Twin, Some(start))
        );
        let mut tracer = tracer(&remapped.target);
        tracer.arm(&action(0, vec![site(plan)])).unwrap();
        assert_eq!(tracer.verify().unwrap(), [0u64; 0]);
        match goes {
            "map" => assert_eq!(remapped.map(&other), start),
            _ => assert_eq!(remapped.tell("unmap"), "unmapped"),
        }
        assert_eq!(tracer.verify().unwrap(), [address]);
        assert_eq!(tracer.verify().unwrap(), [0u64; 0]);
        tracer.release().unwrap();
        remapped.target.assert_clean();
    }
}
