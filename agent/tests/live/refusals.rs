use lr_fixtures::{Fixture, Target};

use crate::server::Server;

#[track_caller]
fn check(server: &Server, pid: u32, code: &str) -> String {
    let failure = server.launch(pid).err().expect(code);
    assert_eq!(failure.code(), code, "{failure}");
    failure.to_string()
}

pub(crate) fn nobody_has_that_pid() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    check(&Server::start(), child.id(), "no_such_process");
}

pub(crate) fn a_traced_process_names_its_tracer() {
    let target = Target::spawn(&Fixture::c("tight.c").build(), [""; 0]);
    let server = Server::start();
    let mut tracer = match std::process::Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "-p", &target.pid().to_string()])
        .spawn()
    {
        Ok(tracer) => tracer,
        Err(error) => {
            println!("not tried: strace does not start ({error})");
            return;
        }
    };
    lr_fixtures::wait_until("strace to attach", || (target.tracer() != 0).then_some(()));
    let message = check(&server, target.pid(), "already_traced");
    assert!(message.contains("strace"), "{message}");
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    target.assert_unharmed();
}

pub(crate) fn a_process_that_ignores_sigtrap() {
    let target = Target::spawn(&Fixture::c("sigtrap_ignored.c").build(), [""; 0]);
    check(&Server::start(), target.pid(), "sigtrap_ignored");
    target.assert_unharmed();
}

pub(crate) fn a_thirty_two_bit_program() {
    let flags = ["-m32", "-nostdlib", "-static", "-ffreestanding"];
    let fixture = flags
        .iter()
        .fold(Fixture::c("thirty_two.c").no_pie(), |fixture, flag| {
            fixture.flag(flag)
        });
    let target = Target::spawn(&fixture.build(), [""; 0]);
    let message = check(&Server::start(), target.pid(), "not_x86_64");
    assert!(message.contains("32-bit"), "{message}");
}

pub(crate) fn no_server_answers() {
    let target = Target::spawn(&Fixture::c("tight.c").build(), [""; 0]);
    let server = Server::start();
    std::fs::remove_file(server.socket()).unwrap();
    check(&server, target.pid(), "server_unreachable");
    target.assert_unharmed();
}
