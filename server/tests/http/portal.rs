use serde_json::json;

use crate::client::{Address, Response};
use crate::fixture::{Server, state_dir, until_done};

fn login(server: &Server) -> (String, Response) {
    let code = server.api.post("/api/v1/portal/codes", &json!({})).ok();
    let url = code["url"].as_str().unwrap();
    let (address, code) = url.split_once("/#code=").unwrap();
    assert_eq!(Some(address), server.ready["portal"].as_str());
    (code.to_owned(), enter(server, code))
}

fn enter(server: &Server, code: &str) -> Response {
    server
        .portal
        .post("/api/v1/portal/session", &json!({"code": code}))
}

#[test]
fn a_code_opens_the_portal_once() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let (code, entered) = login(&server);
    assert_eq!(entered.status, 204);
    let cookie = entered.header("set-cookie").unwrap();
    assert!(
        cookie.contains("; HttpOnly; SameSite=Strict; Path=/"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    let agents = server
        .portal
        .send("GET", "/api/v1/agents", &[("cookie", cookie)], b"");
    assert_eq!(agents.ok(), json!([]));
    assert_eq!(enter(&server, &code).code(), "unauthorized");
    let without = server.portal.get("/api/v1/agents");
    assert_eq!(
        (without.status, without.code()),
        (401, "unauthorized".to_owned())
    );
}

#[test]
fn the_portal_may_place_actions_and_no_more() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let (_, entered) = login(&server);
    let cookie = entered
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let send = |method: &str, path: &str, body: &[u8]| {
        server
            .portal
            .send(method, path, &[("cookie", &cookie)], body)
    };
    let action = json!({
        "kind": "log", "location": "a.c:1", "template": "x", "target": {"agent": agent.id},
    });
    let action = send("POST", "/api/v1/actions", action.to_string().as_bytes()).ok();
    let path = format!("/api/v1/actions/{}", action["id"].as_str().unwrap());
    assert_eq!(send("DELETE", &path, b"").status, 204);
    assert_eq!(
        send("POST", "/api/v1/query", br#"{"sql": "SELECT 1"}"#).ok()["rows"],
        json!([[1]])
    );
    for path in ["agents", "portal/codes", "server/stop"] {
        let refused = send("POST", &format!("/api/v1/{path}"), b"{}");
        assert_eq!(
            (refused.status, refused.code()),
            (403, "permission_denied".to_owned()),
            "{path}"
        );
    }
}

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let (_, entered) = login(&server);
    let cookie = entered
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let send = |headers: &[(&str, &str)]| {
        let mut headers = headers.to_vec();
        headers.push(("cookie", &cookie));
        server.portal.send("GET", "/api/v1/agents", &headers, b"")
    };
    assert_eq!(send(&[]).status, 200);
    let foreign = send(&[("host", "evil.example")]);
    assert_eq!(
        (foreign.status, foreign.code()),
        (403, "foreign_host".to_owned())
    );
    let foreign = send(&[("origin", "http://evil.example")]);
    assert_eq!(
        (foreign.status, foreign.code()),
        (403, "foreign_origin".to_owned())
    );
    let page = server
        .portal
        .send("GET", "/", &[("host", "evil.example")], b"");
    assert_eq!(page.code(), "foreign_host");
}

#[test]
fn the_page_runs_no_script_but_its_own() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let page = server.portal.get("/");
    assert_eq!(page.status, 200);
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(
        page.body
            .contains(r#"<script src="/portal.js" type="module"></script>"#)
    );
    assert!(
        !page.body.contains(" style="),
        "a style in the page would not be applied"
    );
    for file in ["/portal.js", "/portal.css", "/icon.svg"] {
        let file = server.portal.get(file);
        assert!(file.status == 200 && !file.body.trim().is_empty());
    }
}

#[test]
fn guessing_codes_ends_soon() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let codes: Vec<String> = (0..25)
        .map(|_| enter(&server, "0123456789abcdef").code())
        .collect();
    assert_eq!(codes.first().map(String::as_str), Some("unauthorized"));
    assert_eq!(codes.last().map(String::as_str), Some("too_many_attempts"));
}

#[test]
fn a_port_that_is_taken_is_said_to_be() {
    let (_folder, dir) = state_dir();
    let (_other_folder, other_dir) = state_dir();
    let server = Server::start(&dir);
    let Address::Tcp(address) = &server.portal else {
        unreachable!()
    };
    let port = address.rsplit_once(':').unwrap().1;
    let (problem, _) = Server::try_start(&other_dir, &["--portal-port", port])
        .err()
        .unwrap();
    assert_eq!(problem["code"], "port_taken");
}
