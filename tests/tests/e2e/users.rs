//! Who may attach to what. These need root, to be somebody else; without it they say so.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lr_fixtures::{Fixture, Target, copy_program, location};

use crate::binaries;
use crate::running::Running;
use crate::world::World;

/// `nobody` and `nogroup`.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        println!("not root: another user cannot be tried");
    }
    is_root
}

/// What is installed, where every user can read it.
struct Installed {
    world: World,
    bin: PathBuf,
}

impl Installed {
    fn new() -> Installed {
        let world = World::new();
        open(world.folder());
        let (bin, lib) = (world.folder().join("bin"), world.folder().join("lib/lr"));
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(&lib).unwrap();
        for folder in [&bin, &lib, &world.folder().join("lib")] {
            open(folder);
        }
        for name in ["lr", "lr-server"] {
            copy_program(&binaries::folder().join(name), &bin.join(name));
        }
        let library = "libduckdb.so";
        let fetched = binaries::root().join(".duckdb").join(library);
        std::fs::copy(fetched, lib.join(library)).unwrap();
        Installed { world, bin }
    }

    /// `lr` as another user, whose state directory it is.
    fn lr_as_nobody(&self, arguments: &[&str]) -> Command {
        if !self.world.state_dir().exists() {
            std::fs::create_dir(self.world.state_dir()).unwrap();
            std::fs::set_permissions(
                self.world.state_dir(),
                std::fs::Permissions::from_mode(0o700),
            )
            .unwrap();
            chown(self.world.state_dir(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut command = Command::new(self.bin.join("lr"));
        self.world.settle(&mut command);
        command
            .args(arguments)
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/");
        command
    }

    fn orders_as(&self, user: u32) -> Target {
        let copy = self.world.folder().join("orders");
        copy_program(&Fixture::c("orders.c").build(), &copy);
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(copy);
        command.uid(user).gid(user).current_dir("/");
        Target::start(command)
    }
}

fn open(folder: &Path) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn attach(target: &Target) -> Vec<String> {
    let line = location("orders.c", "process");
    [
        "attach",
        "--json",
        "--hits",
        "3",
        "--log",
        &line,
        "id={o.id}",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([target.pid().to_string()])
    .collect()
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn ones_own_process_needs_no_right() {
    if !is_root() {
        return;
    }
    let installed = Installed::new();
    let target = installed.orders_as(NOBODY);
    let arguments = attach(&target);
    let mut attached = Running::start(installed.lr_as_nobody(&words(&arguments)));
    attached.logs(3);
    attached.ended().done();
    target.assert_unharmed();
}

#[test]
fn somebody_elses_process_is_refused() {
    if !is_root() {
        return;
    }
    let installed = Installed::new();
    let target = installed.orders_as(0);
    let arguments = attach(&target);
    let message = Running::start(installed.lr_as_nobody(&words(&arguments)))
        .ended()
        .refused(4, "permission_denied");
    assert!(message.contains("sudo"), "what to do: {message}");
    target.assert_unharmed();
}

/// `lr` as another user with one capability, attaching to a target.
fn with_cap_sys_ptrace(installed: &Installed, target: &Target) -> Command {
    // Makes the state directory; the command itself is not run.
    drop(installed.lr_as_nobody(&[]));
    let mut command = Command::new("setpriv");
    installed.world.settle(&mut command);
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .args(["--inh-caps", "-all,+sys_ptrace"])
        .args(["--ambient-caps", "-all,+sys_ptrace"])
        .args(["--bounding-set", "-all,+sys_ptrace"])
        .arg(installed.bin.join("lr"))
        .args(attach(target))
        .current_dir("/");
    command
}

#[test]
fn cap_sys_ptrace_alone_is_enough_for_ones_own() {
    if !is_root() {
        return;
    }
    let installed = Installed::new();
    let target = installed.orders_as(NOBODY);
    let mut attached = Running::start(with_cap_sys_ptrace(&installed, &target));
    attached.logs(3);
    attached.ended().done();
    target.assert_unharmed();
}

#[test]
fn cap_sys_ptrace_alone_does_not_open_the_memory_of_others() {
    if !is_root() {
        return;
    }
    // The kernel checks /proc/PID/mem by its owner before it looks at this capability.
    let installed = Installed::new();
    let target = installed.orders_as(12345);
    Running::start(with_cap_sys_ptrace(&installed, &target))
        .ended()
        .refused(4, "permission_denied");
    target.assert_unharmed();
}

/// Gives the installed `lr` capabilities, as the README's line does; false without `setcap`.
fn set_capabilities(installed: &Installed, capabilities: &str) -> bool {
    let status = Command::new("setcap")
        .arg(capabilities)
        .arg(installed.bin.join("lr"))
        .status();
    let Ok(status) = status else {
        println!("no setcap here");
        return false;
    };
    assert!(status.success());
    true
}

fn check_file_capabilities(capabilities: &str, owner: u32) {
    if !is_root() {
        return;
    }
    let installed = Installed::new();
    if !set_capabilities(&installed, capabilities) {
        return;
    }
    let target = installed.orders_as(owner);
    let arguments = attach(&target);
    let mut attached = Running::start(installed.lr_as_nobody(&words(&arguments)));
    attached.logs(3);
    attached.ended().done();
    target.assert_unharmed();
}

#[test]
fn a_file_with_cap_sys_ptrace_attaches_to_ones_own() {
    check_file_capabilities("cap_sys_ptrace=ep", NOBODY);
}

#[test]
fn a_file_with_both_capabilities_attaches_to_others() {
    check_file_capabilities("cap_sys_ptrace,cap_dac_override=ep", 12345);
}

#[test]
fn under_sudo_the_server_stays_the_users() {
    if !is_root() {
        return;
    }
    let installed = Installed::new();
    let target = installed.orders_as(0);
    drop(installed.lr_as_nobody(&[]));
    let mut command = Command::new(installed.bin.join("lr"));
    installed.world.settle(&mut command);
    command
        .args(attach(&target))
        .env("SUDO_UID", NOBODY.to_string())
        .env("SUDO_GID", NOBODY.to_string())
        .env("SUDO_USER", "nobody")
        .current_dir("/");
    let mut attached = Running::start(command);
    attached.logs(3);
    attached.ended().done();
    target.assert_unharmed();

    let server = installed.world.server_pid().expect("the server stays");
    assert_eq!(
        std::fs::metadata(format!("/proc/{server}")).unwrap().uid(),
        NOBODY
    );
    for file in ["server.sock", "lr.duckdb", "server.log"] {
        let path = installed.world.state_dir().join(file);
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), NOBODY, "{file}");
    }
    // And the user asks it without sudo.
    let query = ["sql", "--format", "csv", "SELECT count(*) AS n FROM logs"];
    let answer = Running::start(installed.lr_as_nobody(&query))
        .ended()
        .done();
    assert_eq!(answer.trim_end(), "n\n3");
}

#[test]
fn another_user_does_not_reach_the_server() {
    if !is_root() {
        return;
    }
    let installed = Installed::new();
    Running::start(installed.lr_as_nobody(&["server", "start"]))
        .ended()
        .done();
    let socket = format!(
        "unix:{}",
        installed.world.state_dir().join("server.sock").display()
    );
    let mut command = Command::new(installed.bin.join("lr"));
    installed.world.settle(&mut command);
    command
        .args(["agents", "--server", &socket])
        .uid(12345)
        .gid(12345)
        .current_dir("/");
    let ended = Running::start(command).ended();
    assert_ne!(ended.status, Some(0), "{}", ended.stdout);
}
