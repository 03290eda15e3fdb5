//! The executable against a server that says what the test wants: what is printed where, and the
//! exit status. Servers that are real are the end-to-end tests' business.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of these tests are tests too"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Answers the nth request with the nth answer, each on a connection of its own, and returns the
/// first lines of the requests.
struct Scripted {
    folder: tempfile::TempDir,
    served: std::thread::JoinHandle<Vec<String>>,
}

impl Scripted {
    fn start(answers: Vec<String>) -> Scripted {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("server.sock")).unwrap();
        let served = std::thread::spawn(move || {
            answers
                .into_iter()
                .map(|answer| {
                    let (stream, _) = listener.accept().unwrap();
                    serve(stream, &answer)
                })
                .collect()
        });
        Scripted { folder, served }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = lr(self.folder.path());
        command
            .args(arguments)
            .arg("--server")
            .arg(self.folder.path().join("server.sock"));
        command
    }

    fn lr(self, arguments: &[&str]) -> (Output, Vec<String>) {
        let output = self.command(arguments).output().unwrap();
        (output, self.served.join().unwrap())
    }
}

fn lr(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lr"));
    command
        .env("LR_STATE_DIR", folder.join("state"))
        .env("TZ", "UTC")
        .env_remove("LR_SERVER")
        .env_remove("LR_TOKEN")
        .stdin(Stdio::null());
    command
}

fn serve(mut stream: UnixStream, answer: &str) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    reader.take(length).read_to_end(&mut Vec::new()).unwrap();
    // The reader may have seen enough: `lr` ends before it has read everything in one test.
    let _ = stream.write_all(answer.as_bytes());
    first.trim_end().to_string()
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn log(message: &str) -> String {
    let json = serde_json::json!({
        "type": "log", "ts": "2026-01-02T03:04:05.678901Z", "agent": "aaaaaaaa",
        "process": "1-2", "action": "bbbbbbbb", "pid": 1, "tid": 7, "thread": "main",
        "file": "src/a.c", "line": 9, "function": "process", "level": "info",
        "message": message, "fields": {"id": 1},
    });
    format!("data: {json}\n\n")
}

#[test]
fn a_problem_becomes_lines_and_its_exit_status() {
    for (code, status) in [
        ("not_found", 1),
        ("bad_template", 2),
        ("process_gone", 3),
        ("unauthorized", 4),
    ] {
        let problem = serde_json::json!({
            "code": code, "title": "it is so\u{1b}", "status": 404, "detail": "was tried",
            "suggestions": ["do this"],
        });
        let server = Scripted::start(vec![answer("404 Not Found", &problem.to_string())]);
        let (output, _) = server.lr(&["actions", "cccccccc"]);
        assert_eq!(output.status.code(), Some(status));
        assert_eq!(text(&output.stdout), "");
        assert_eq!(
            text(&output.stderr),
            format!("error[{code}]: it is so\\u{{1b}}\n  tried: was tried\n  hint: do this\n")
        );
    }
}

#[test]
fn an_action_is_found_by_its_name() {
    let action = |id: &str, name: &str| {
        serde_json::json!({
            "id": id, "version": 1, "kind": "log", "location": "a.c:9", "template": "x",
            "level": "info", "name": name, "ignore_quota": false, "output": "server",
            "target": {"agent": "aaaaaaaa"}, "enabled": true, "created_at": 0,
            "expires_at": 0, "created_by": "somebody", "statuses": [],
        })
    };
    let unknown = serde_json::json!({
        "code": "not_found", "title": "no action sold", "status": 404, "detail": "",
        "suggestions": [],
    });
    let unknown = answer("404 Not Found", &unknown.to_string());
    let listed = |actions: &[serde_json::Value]| {
        answer("200 OK", &serde_json::Value::from(actions).to_string())
    };
    let (one, other) = (action("bbbbbbbb", "bought"), action("cccccccc", "sold"));
    let server = Scripted::start(vec![
        unknown.clone(),
        listed(&[one.clone(), other.clone()]),
        answer("204 No Content", ""),
        answer("200 OK", &other.to_string()),
    ]);
    let (output, requests) = server.lr(&["rm", "sold"]);
    assert_eq!(text(&output.stderr), "removed sold\n");
    assert_eq!(output.status.code(), Some(0));
    assert!(requests[2].starts_with("DELETE ") && requests[2].contains("/actions/cccccccc "));

    let both = listed(&[action("bbbbbbbb", "sold"), other]);
    let server = Scripted::start(vec![unknown, both]);
    let (output, _) = server.lr(&["rm", "sold"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("error[ambiguous_action]") && said.contains("hint: cccccccc"),
        "{said}"
    );
}

#[test]
fn something_else_that_listens_there_is_said_to_be_that() {
    let server = Scripted::start(vec!["SSH-2.0-OpenSSH_9.2\r\n".into()]);
    let (output, _) = server.lr(&["agents"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error[protocol_mismatch]: "));
}

#[test]
fn a_tail_prints_logs_for_people_and_ends_with_its_server() {
    let events = format!(": hello\n\n{}{}", log("id=1"), log("\u{202e}2\n3"));
    let server = Scripted::start(vec![answer("200 OK", &events)]);
    let (output, asked) = server.lr(&["tail", "--since", "5m", "--action", "bbbbbbbb"]);
    assert_eq!(
        asked,
        ["GET /api/v1/live?action=bbbbbbbb&since_s=300 HTTP/1.1"]
    );
    assert_eq!(
        text(&output.stdout),
        "2026-01-02 03:04:05.678+00:00 main[7] a.c:9 id=1\n\
         2026-01-02 03:04:05.678+00:00 main[7] a.c:9 \\u{202e}2\\n3\n"
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("error[server_unreachable]"));
}

#[test]
fn a_tail_of_json_is_json_lines_and_nothing_else() {
    let events = format!(
        "{}data: {{\"type\":\"of a later version\"}}\n\n",
        log("id=1")
    );
    let server = Scripted::start(vec![answer("200 OK", &events)]);
    let (output, _) = server.lr(&["tail", "--json"]);
    let line: serde_json::Value = serde_json::from_str(text(&output.stdout).trim_end()).unwrap();
    assert_eq!(line["message"], "id=1");
}

#[test]
fn a_reader_that_goes_away_ends_a_tail_quietly() {
    let events = log("the same again").repeat(20_000);
    let server = Scripted::start(vec![answer("200 OK", &events)]);
    let mut child = server
        .command(&["tail"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert!(line.ends_with("the same again\n"));
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    server.served.join().unwrap();
}

#[test]
fn a_query_is_a_table_with_its_count() {
    let result = r#"{"columns":[{"name":"n","type":"BIGINT"}],"rows":[[1],[null]],"truncated":true,"elapsed_ms":3}"#;
    let server = Scripted::start(vec![answer("200 OK", result)]);
    let (output, _) = server.lr(&["sql", "select 1"]);
    assert_eq!(text(&output.stdout), " n\n------\n    1\n NULL\n");
    assert_eq!(
        text(&output.stderr),
        "(2 rows, 3 ms; cut after 2 rows; --max-rows asks for more)\n"
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn csv_is_passed_on_byte_for_byte_also_into_a_file() {
    let csv = "n\n\"a\u{1b}\"\n";
    let server = Scripted::start(vec![answer("200 OK", csv)]);
    let (output, _) = server.lr(&["sql", "--format", "csv", "select 1"]);
    assert_eq!(text(&output.stdout), csv);
    let server = Scripted::start(vec![answer("200 OK", csv)]);
    let file = server.folder.path().join("out.csv");
    let path = file.to_str().unwrap();
    let output = server
        .command(&["sql", "--format", "csv", "select 1", "-o", path])
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), csv);
    server.served.join().unwrap();
}

#[test]
fn without_a_server_nothing_is_attached_and_none_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let output = lr(folder.path()).arg("agents").output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), String::new())
    );
    let output = lr(folder.path())
        .args(["log", "a.c:1", "x"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error[no_agent]: "));
    assert!(!folder.path().join("state").exists());
}

#[test]
fn a_process_that_cannot_be_is_refused_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    // Above the largest pid that Linux gives (PID_MAX_LIMIT).
    let output = lr(folder.path())
        .args(["attach", "4194305"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).starts_with("error[no_such_process]: "));
    assert!(!folder.path().join("state").exists());
}

#[test]
fn an_address_that_is_none_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for address in [
        "https://example.org",
        "localhost:80",
        "http://user:secret@host:1",
    ] {
        let output = lr(folder.path())
            .args(["agents", "--server", address])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{address}");
        assert!(
            text(&output.stderr).starts_with("error[usage]: "),
            "{address}"
        );
        assert!(!text(&output.stderr).contains("secret"));
    }
}

#[test]
fn nobody_reads_what_is_told_either() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = lr(folder.path())
        .args(["log", "a.c:1", "x"])
        .stderr(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1), "a panic has 101");
}
