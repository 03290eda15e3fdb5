use std::os::unix::fs::PermissionsExt as _;

use crate::client::Address;
use crate::fixture::{Server, state_dir};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A free port, which the server says.
const ANY: &str = "127.0.0.1:0";

#[test]
fn the_api_over_tcp_asks_for_its_token() {
    let (folder, dir) = state_dir();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
    let start = |address: &str| {
        let token_file = token_file.to_str().unwrap();
        Server::try_start(&dir, &["--listen", address, "--token-file", token_file])
    };

    std::fs::set_permissions(&token_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (problem, _) = start(ANY).err().unwrap();
    assert_eq!(problem["code"], "token_file");

    std::fs::set_permissions(&token_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let server = start(ANY).unwrap();
    assert!(!dir.join("server.sock").exists());
    let api = Address::Tcp(server.ready["listen"].as_str().unwrap().to_owned());
    let ask = |token: &str| {
        let value = format!("Bearer {token}");
        api.send("GET", "/api/v1/server", &[("authorization", &value)], b"")
    };
    assert_eq!(ask(TOKEN).status, 200);
    for wrong in ["", "0123456789abcdef", "0123456789abcdef0123456789abcdeF"] {
        let refused = ask(wrong);
        assert_eq!(
            (refused.status, refused.code()),
            (401, "unauthorized".to_owned())
        );
    }
    assert_eq!(api.get("/api/v1/server").code(), "unauthorized");
    assert_eq!(api.get("/").code(), "unauthorized");
    let log = std::fs::read_to_string(dir.join("server.log")).unwrap();
    assert!(!log.contains(TOKEN));

    drop(server);
    let taken = std::net::TcpListener::bind(ANY).unwrap();
    let (problem, status) = start(&taken.local_addr().unwrap().to_string())
        .err()
        .unwrap();
    assert_eq!(problem["code"], "port_taken");
    assert_eq!(status.code(), Some(1));
}
