//! What may not be planted is refused, and nothing has been touched.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lr_fixtures::{Fixture, Target, text_differences, wait_until};
use lr_tracer::{SitePlan, TracerError};

use crate::image::{Image, action, at_function, read_until, site, tracer};

fn refusal(name: &str, function: &str) -> TracerError {
    let program = Fixture::c(name).opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let before = std::fs::read(&program).unwrap();
    let error = tracer(&target)
        .arm(&at_function(&image, function))
        .unwrap_err();
    assert!(
        std::fs::read(&program).unwrap() == before,
        "the file itself was written"
    );
    target.assert_goes_on();
    error
}

pub(crate) fn shared_text_is_refused() {
    let error = refusal("shared_text.c", "tick");
    assert_eq!(error.code(), "text_not_private", "{error}");
}

pub(crate) fn patched_text_is_refused() {
    let error = refusal("patched_text.c", "patched");
    assert_eq!(error.code(), "text_patched", "{error}");
}

pub(crate) fn a_traced_process_is_refused_by_name() {
    let program = Fixture::c("tight.c").opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let mut first = tracer(&target);
    first.arm(&at_function(&image, "process")).unwrap();
    let error = tracer(&target)
        .arm(&at_function(&image, "process"))
        .unwrap_err();
    let TracerError::AlreadyTraced { tracer: holder, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(Some(holder), first.tracer_pid());
    first.release().unwrap();
    target.assert_unharmed();
}

/// A byte written there could reach a file or another process, or be nobody's to restore.
pub(crate) fn text_that_is_in_no_private_file_is_refused() {
    let program = Fixture::c("mapped.c").opt('2').build();
    for kind in ["memfd", "private", "anonymous", "shared", "huge"] {
        let mut target = Target::spawn(&program, [kind]);
        let line = target.line();
        let address = line.strip_prefix("at ").unwrap();
        let address = u64::from_str_radix(address, 16).unwrap();
        if address == 0 {
            println!("there is no memory for {kind}");
            continue;
        }
        let before = code_at(&target, address);
        let plan = SitePlan::choose(address, &before, &[], &[]).unwrap();
        let error = tracer(&target)
            .arm(&action(0, vec![site(plan)]))
            .unwrap_err();
        assert_eq!(error.code(), "text_not_private", "{kind}: {error}");
        assert_eq!(code_at(&target, address), before, "{kind}");
        target.send("go");
        assert_eq!(target.line(), "computed 22");
    }
}

fn code_at(target: &Target, address: u64) -> [u8; 16] {
    let memory = std::fs::File::open(format!("/proc/{}/mem", target.pid())).unwrap();
    let mut code = [0; 16];
    memory.read_exact_at(&mut code, address).unwrap();
    code
}

/// Somebody else's uprobe is at the place before us: it is theirs, and stays.
pub(crate) fn a_uprobe_that_is_there_is_left_alone() {
    let (target, image, path) = probed();
    let Some(mut probing) = probe(&target, &image, &path) else {
        return;
    };
    let error = tracer(&target)
        .arm(&at_function(&image, "process"))
        .unwrap_err();
    assert_eq!(error.code(), "text_patched", "{error}");
    wait_until("a hit of the uprobe", || {
        probing.send("count");
        (probing.line() == "counted 1").then_some(())
    });
    drop(probing);
    target.assert_goes_on();
}

/// One that comes after us, at the same place, and goes before or after us: the target goes on, and
/// nothing is left of either.
pub(crate) fn a_uprobe_that_comes_after_us_harms_nothing() {
    for leaves_first in [true, false] {
        let (target, image, path) = probed();
        let mut tracer = tracer(&target);
        tracer.arm(&at_function(&image, "process")).unwrap();
        read_until(&mut tracer, "a hit", |_| Some(()));
        let Some(probing) = probe(&target, &image, &path) else {
            return;
        };
        target.assert_goes_on();
        if leaves_first {
            end(probing);
            target.assert_goes_on();
            tracer.release().unwrap();
        } else {
            tracer.release().unwrap();
            target.assert_goes_on();
            end(probing);
        }
        wait_until("clean text", || {
            let differences = text_differences(target.pid()).unwrap();
            differences.is_empty().then_some(())
        });
        target.assert_unharmed();
    }
}

fn probed() -> (Target, Image, PathBuf) {
    let path = Fixture::c("tight.c").opt('2').build();
    let target = Target::spawn(&path, [""; 0]);
    let image = Image::of(&path, target.pid());
    (target, image, path)
}

/// `None` where there are no uprobes, or not for us.
fn probe(target: &Target, image: &Image, path: &Path) -> Option<Target> {
    let program = Fixture::c("probing.c").build();
    let (address, _) = image.function("process");
    let arguments = [
        target.pid().to_string(),
        path.display().to_string(),
        image.file_offset(address).to_string(),
    ];
    let tried = Command::new(&program)
        .args(&arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if !tried.status.success() {
        println!("no uprobe can be set here");
        return None;
    }
    Some(Target::spawn(&program, &arguments))
}

fn end(mut probing: Target) {
    probing.close();
    assert!(probing.ended().success());
}
