//! A process that dies with a core leaves the core that it would have left.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use lr_fixtures::{Fixture, Target, wait_until};
use lr_tracer::Slot;
use object::{Object, ObjectSegment};

use crate::image::{Image, at_function, tracer};

/// Whether the kernel writes cores into the folder that a process is in.
fn cores_are_written_here() -> bool {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let here = !pattern.starts_with(['|', '/', '@']);
    if !here {
        println!("cores go elsewhere: {pattern}");
    }
    here
}

fn byte_of(target: &Target, address: u64) -> u8 {
    let memory = std::fs::File::open(format!("/proc/{}/mem", target.pid())).unwrap();
    let mut byte = [0];
    memory.read_exact_at(&mut byte, address).unwrap();
    byte[0]
}

fn byte_in_core(folder: &Path, address: u64) -> u8 {
    let entry = std::fs::read_dir(folder).unwrap().next().expect("a core");
    let path = entry.unwrap().path();
    let data = std::fs::read(&path).unwrap();
    let core = object::File::parse(&*data).unwrap();
    let segment = core.segments().find_map(|segment| {
        let data = segment.data_range(address, 1).ok()??;
        data.first().copied()
    });
    std::fs::remove_file(path).unwrap();
    segment.expect("a page that was written to is in the core")
}

pub(crate) fn a_core_has_none_of_our_bytes() {
    if !cores_are_written_here() {
        return;
    }
    let program = Fixture::c("cores.c").opt('2').build();
    for how in ["a", "s", "t"] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(&program);
        command.current_dir(folder.path());
        let mut target = Target::start(command);
        let image = Image::of(&program, target.pid());
        let (address, _) = image.function("tick");
        let original = byte_of(&target, address);
        let mut tracer = tracer(&target);
        tracer.arm(&at_function(&image, "tick")).unwrap();
        // One that is handled is no end.
        for round in 1..=5 {
            target.send("h");
            assert_eq!(target.line(), "handled");
            assert_eq!(tracer.counters(Slot(0)).hits, round);
        }
        target.send(how);
        let status = target.ended();
        assert_eq!(byte_in_core(folder.path(), address), original, "{status}");
    }
}

/// The core of a vfork child has its parent's text.
pub(crate) fn a_childs_core_has_none_either_and_its_parent_is_watched_on() {
    if !cores_are_written_here() {
        return;
    }
    let program = Fixture::c("cores.c").opt('2').build();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(&program);
    command.current_dir(folder.path());
    let mut target = Target::start(command);
    let image = Image::of(&program, target.pid());
    let (address, _) = image.function("tick");
    let original = byte_of(&target, address);
    let mut tracer = tracer(&target);
    tracer.arm(&at_function(&image, "tick")).unwrap();
    for _ in 0..3 {
        target.send("c");
        assert_eq!(target.line(), "child 11");
        assert_eq!(byte_in_core(folder.path(), address), original);
        let before = tracer.counters(Slot(0)).hits;
        wait_until("hits again", || {
            target.send("h");
            assert_eq!(target.line(), "handled");
            (tracer.counters(Slot(0)).hits > before).then_some(())
        });
    }
    tracer.release().unwrap();
    target.assert_clean();
}
