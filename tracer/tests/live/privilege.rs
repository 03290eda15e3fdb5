//! A program that gains privilege gains it though who starts it is watched by somebody who has none.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lr_fixtures::{Fixture, Target, copy_program, wait_until};
use lr_tracer::{Slot, Tracer};

use crate::image::{Image, at_function};

/// `nobody` and `nogroup`.
const NOBODY: u32 = 65534;

/// Programs where somebody else can start them.
struct Installed(tempfile::TempDir);

impl Installed {
    fn new() -> Installed {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        Installed(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn copy(&self, program: &Path, name: &str, mode: u32) -> PathBuf {
        let copy = self.path(name);
        copy_program(program, &copy);
        fs::set_permissions(&copy, Permissions::from_mode(mode)).unwrap();
        copy
    }

    fn spawner(&self) -> (Target, Image) {
        let privileged = Fixture::c("privileged.c").build();
        let privileged = self.copy(&privileged, "privileged", 0o4755);
        // Root's for everybody, and no program.
        let broken = self.path("broken");
        fs::write(&broken, "no program").unwrap();
        fs::set_permissions(&broken, Permissions::from_mode(0o4755)).unwrap();
        let spawner = Fixture::c("spawner.c").opt('2').build();
        let spawner = self.copy(&spawner, "spawner", 0o755);
        let mut command = Command::new(&spawner);
        command.arg(privileged).arg(broken);
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        let target = Target::start(command);
        let image = Image::of(&spawner, target.pid());
        (target, image)
    }

    /// A tracer process of the same user.
    fn tracer(&self, target: &Target) -> Tracer {
        let program = self.copy(&std::env::current_exe().unwrap(), "tracer", 0o755);
        let script = self.path("as_nobody");
        let text = format!(
            "#!/bin/sh\nexec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups {} \"$@\"\n",
            program.display()
        );
        let fresh = self.path("fresh");
        fs::write(&fresh, text).unwrap();
        self.copy(&fresh, "as_nobody", 0o755);
        Tracer::spawn(&script, target.pid()).unwrap()
    }
}

pub(crate) fn a_program_gains_its_privilege_however_it_is_started() {
    if !nix::unistd::geteuid().is_root() {
        println!("not root: another user cannot be tried");
        return;
    }
    let installed = Installed::new();
    let (mut target, image) = installed.spawner();
    let mut tracer = installed.tracer(&target);
    tracer.arm(&at_function(&image, "pass")).unwrap();
    for how in ["f", "v", "p", "s"] {
        for _ in 0..10 {
            target.send(how);
            assert_eq!(target.line(), "ended 11", "{how}");
        }
    }
    // A child that fails to become another goes on in our text, untraced.
    for _ in 0..10 {
        target.send("x");
        assert_eq!(target.line(), "ended 12");
    }
    // What was away for it comes back.
    let before = tracer.counters(Slot(0)).hits;
    wait_until("hits again", || {
        target.send("f");
        assert_eq!(target.line(), "ended 11");
        (tracer.counters(Slot(0)).hits > before).then_some(())
    });
    tracer.release().unwrap();
    target.assert_clean();
}
