//! The local server: found, started, shared, stopped; and one that listens elsewhere.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use lr_fixtures::{Fixture, Target, location, wait_until};

use crate::binaries;
use crate::running::Running;
use crate::world::World;

fn orders() -> Target {
    Target::spawn(&Fixture::c("orders.c").build(), [""; 0])
}

#[test]
fn is_started_in_a_private_directory_and_survives_the_agent() {
    let world = World::new();
    let target = orders();
    let line = location("orders.c", "process");
    world
        .attach(&target, &line, "{o.id}", &["--hits", "1"])
        .ended()
        .done();
    let mode = std::fs::metadata(world.state_dir())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    let server = world.server_pid().expect("it survives the agent");
    world
        .attach(&target, &line, "{o.id}", &["--hits", "1"])
        .ended()
        .done();
    assert_eq!(world.server_pid(), Some(server), "and serves the next");
    let status = world.lr(["server", "status"]).done();
    assert!(status.contains(&server.to_string()), "{status}");
}

#[test]
fn two_attaches_at_once_share_one() {
    let world = World::new();
    let (first, second) = (orders(), orders());
    let line = location("orders.c", "process");
    let one = world.attach(&first, &line, "{o.id}", &["--hits", "2"]);
    let two = world.attach(&second, &line, "{o.id}", &["--hits", "3"]);
    one.ended().done();
    two.ended().done();
    assert_eq!(world.sql_number("SELECT count(*) FROM logs"), 5);
    assert_eq!(
        world.sql_number("SELECT count(DISTINCT process_id) FROM logs"),
        2
    );
}

#[test]
fn stop_ends_it_and_what_is_attached_is_let_go() {
    let world = World::new();
    let target = orders();
    let line = location("orders.c", "process");
    let mut attached = world.attach(&target, &line, "{o.id}", &[]);
    attached.logs(2);
    world.lr(["server", "stop"]).status(0);
    wait_until("the server to end", || {
        world.server_pid().is_none().then_some(())
    });
    assert!(!world.state_dir().join("server.sock").exists());
    let ended = attached.ended();
    assert_ne!(
        ended.status,
        Some(0),
        "an attach whose server went away says so"
    );
    assert!(!ended.stderr.is_empty());
}

/// A server that listens on a free port, with a token.
fn listening(world: &World, token: &str) -> (Running, String) {
    let file = world.folder().join("token");
    let mut written = std::fs::File::create(&file).unwrap();
    written
        .set_permissions(std::fs::Permissions::from_mode(0o600))
        .unwrap();
    writeln!(written, "{token}").unwrap();
    let mut command = Command::new(binaries::lr_server());
    world.settle(&mut command);
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(["--ready-fd", "1", "--token-file"])
        .arg(&file)
        .arg("--state-dir")
        .arg(world.folder().join("remote"));
    let mut server = Running::start(command);
    let ready = server.json();
    assert_eq!(ready["pid"], server.pid(), "{ready}");
    let url = format!("http://{}", ready["listen"].as_str().unwrap());
    (server, url)
}

#[test]
fn elsewhere_with_a_token() {
    let world = World::new();
    let (server, url) = listening(&world, "a-right-token-of-sufficient-length");
    let target = orders();
    let pid = target.pid().to_string();
    let line = location("orders.c", "process");
    let arguments = [
        "attach", &pid, "--server", &url, "--json", "--hits", "2", "--log", &line, "{o.id}",
    ];

    let mut command = world.command();
    command
        .args(arguments)
        .env("LR_TOKEN", "a-right-token-of-sufficient-length");
    let mut attached = Running::start(command);
    attached.logs(2);
    attached.ended().done();

    let mut command = world.command();
    command
        .args(arguments)
        .env("LR_TOKEN", "another-token-of-sufficient-length");
    Running::start(command).ended().refused(4, "unauthorized");
    world.lr(arguments).refused(4, "unauthorized");
    target.assert_unharmed();
    assert!(world.server_pid().is_none(), "no local server was started");
    server.signal(nix::sys::signal::Signal::SIGTERM);
    server.ended().status(0);
}

#[test]
fn unreachable() {
    let world = World::new();
    let target = orders();
    let pid = target.pid().to_string();
    let socket = world.folder().join("nobody.sock");
    let nowhere = format!("unix:{}", socket.display());
    // While the port is ours at one address of this machine, nobody listens at it at another.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    for server in [nowhere, format!("http://127.0.0.2:{port}")] {
        let line = location("orders.c", "process");
        let arguments = [
            "attach", &pid, "--server", &server, "--log", &line, "{o.id}",
        ];
        world.lr(arguments).refused(1, "server_unreachable");
    }
    target.assert_unharmed();
}

#[test]
fn a_port_that_is_taken() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let token = world.folder().join("token");
    std::fs::write(&token, "a-token-of-sufficient-length-for-anybody\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new(binaries::lr_server());
    world.settle(&mut command);
    command
        .arg("serve")
        .arg("--listen")
        .arg(taken.local_addr().unwrap().to_string())
        .arg("--token-file")
        .arg(&token)
        .arg("--state-dir")
        .arg(world.folder().join("remote"));
    let ended = Running::start(command).ended().status(1);
    assert!(ended.stderr.contains("port_taken"), "{}", ended.stderr);
}

#[test]
fn a_state_directory_that_cannot_be() {
    let world = World::new();
    let target = orders();
    let file = world.folder().join("file");
    std::fs::write(&file, "").unwrap();
    let mut command = world.command();
    command
        .env("LR_STATE_DIR", file.join("state"))
        .args(["attach", &target.pid().to_string()]);
    let message = Running::start(command).ended().refused(1, "state_dir");
    assert!(message.contains(file.to_str().unwrap()), "{message}");
    target.assert_unharmed();
}

#[test]
fn a_state_directory_of_somebody_else() {
    if !nix::unistd::geteuid().is_root() {
        println!("not root: nothing of somebody else's can be made");
        return;
    }
    let world = World::new();
    std::fs::create_dir(world.state_dir()).unwrap();
    std::os::unix::fs::chown(world.state_dir(), Some(65534), Some(65534)).unwrap();
    world.lr(["server", "start"]).refused(1, "state_dir");
    assert_eq!(std::fs::metadata(world.state_dir()).unwrap().uid(), 65534);
}
