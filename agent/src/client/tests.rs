//! The client against servers that behave, and against some that do not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lr_protocol::LiveEvent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use super::request::{Ask, Transport};
use super::*;

/// An answer with this header is the last of its connection, though the client is not told so.
const CLOSES: &str = "x-then: close";

/// Answers the nth request of all with the nth text, byte for byte, then closes the connection of
/// the last one. Says how many connections it took and what it was asked.
struct Scripted {
    _dir: tempfile::TempDir,
    client: Client,
    connections: Arc<AtomicUsize>,
    served: tokio::task::JoinHandle<Vec<String>>,
}

fn scripted(answers: &[String]) -> Scripted {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let served = tokio::spawn(serve(listener, answers.to_vec(), connections.clone()));
    Scripted {
        _dir: dir,
        client: client(&path),
        connections,
        served,
    }
}

fn client(path: &Path) -> Client {
    Client::new(Endpoint::Unix(path.into()), None)
}

async fn serve(
    listener: UnixListener,
    answers: Vec<String>,
    connections: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut asked = Vec::new();
    let mut answers = answers.into_iter().peekable();
    while answers.peek().is_some() {
        let (mut stream, _) = listener.accept().await.unwrap();
        connections.fetch_add(1, Ordering::SeqCst);
        while let Some(request) = read_request(&mut stream).await {
            asked.push(request);
            let answer = answers.next().unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answers.peek().is_none() || answer.contains(CLOSES) {
                break;
            }
        }
    }
    asked
}

async fn read_request<S: AsyncReadExt + Unpin>(stream: &mut S) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_string();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn stream_of(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{body}")
}

const ALL: LiveQuery = LiveQuery::Tail {
    action: None,
    agent: None,
    since_s: None,
};

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = scripted(&[
        answer("200 OK", "[]"),
        answer("200 OK", "[]"),
        answer("204 No Content", ""),
    ]);
    server.client.agents(Listing::Current).await.unwrap();
    server.client.actions(Listing::All).await.unwrap();
    server.client.remove_action("a/b").await.unwrap();
    let asked = server.served.await.unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    let lines: Vec<_> = asked.iter().map(|r| r.lines().next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "GET /api/v1/agents HTTP/1.1",
            "GET /api/v1/actions?all=true HTTP/1.1",
            "DELETE /api/v1/actions/a%2Fb HTTP/1.1",
        ]
    );
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced() {
    let first = answer(&format!("200 OK\r\n{CLOSES}"), "[]");
    let server = scripted(&[first, answer("200 OK", "[]")]);
    server.client.agents(Listing::Current).await.unwrap();
    server.client.agents(Listing::Current).await.unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_problem_arrives_as_it_was_sent() {
    let problem = r#"{"code":"not_found","title":"no agent x","status":404,"suggestions":["y"]}"#;
    let server = scripted(&[answer("404 Not Found", problem)]);
    let error = server.client.detach("x").await.unwrap_err();
    assert_eq!((error.code(), error.status()), ("not_found", Some(404)));
    assert_eq!(error.to_problem().suggestions, ["y"]);
}

#[tokio::test]
async fn a_refusal_without_a_problem_names_the_status() {
    let server = scripted(&[answer("502 Bad Gateway", "<html>")]);
    let error = server.client.server_info().await.unwrap_err();
    assert_eq!(error.code(), "protocol_mismatch");
    assert!(error.to_string().contains("502"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_not_ours_is_not_understood() {
    for answer in [answer("200 OK", "hello"), "SSH-2.0-OpenSSH_9.2\r\n".into()] {
        let server = scripted(&[answer]);
        let error = server.client.server_info().await.unwrap_err();
        assert_eq!(error.code(), "protocol_mismatch", "{error}");
    }
}

#[tokio::test]
async fn a_cut_answer_is_an_unreachable_server() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[".to_string();
    for answer in [cut, "HTTP/1.1 200".into(), String::new()] {
        let server = scripted(&[answer]);
        let error = server.client.agents(Listing::Current).await.unwrap_err();
        assert_eq!(error.code(), "server_unreachable", "{error}");
    }
}

#[tokio::test]
async fn nobody_there_is_an_unreachable_server() {
    let dir = tempfile::tempdir().unwrap();
    let error = client(&dir.path().join("none"))
        .server_info()
        .await
        .unwrap_err();
    assert!(matches!(
        &error,
        ClientError::Unreachable { source, .. } if source.kind() == std::io::ErrorKind::NotFound
    ));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_waited_for_no_longer_than_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.sock");
    // Connections wait in the backlog; nobody accepts them.
    let _listener = UnixListener::bind(&path).unwrap();
    let transport = Transport::new(Endpoint::Unix(path), None);
    let ask = Ask {
        method: hyper::Method::GET,
        path: "/server".into(),
        body: None,
        most: 1 << 20,
        limit: Duration::from_millis(50),
        repeatable: true,
    };
    let error = transport.whole(&ask).await.unwrap_err();
    assert!(matches!(
        &error,
        ClientError::Unreachable { source, .. } if source.kind() == std::io::ErrorKind::TimedOut
    ));
    assert!(transport.download(&ask).await.is_err());
}

#[tokio::test]
async fn live_events_come_in_order_and_the_end_is_told() {
    let loss = r#"{"type":"loss","ts":"t","agent":"a","process":"1-2","action":null,"reason":"ring_full","count":3}"#;
    let server = scripted(&[stream_of(&format!(
        ": lease\n\ndata: {loss}\n\n: still here\n\ndata: {{\"type\":\"of a later version\"}}\n\n"
    ))]);
    let mut live = server.client.live(&ALL).await.unwrap();
    let Some(LiveEvent::Loss(loss)) = live.next().await.unwrap() else {
        panic!("a loss comes first")
    };
    assert_eq!(loss.count, 3);
    assert_eq!(live.next().await.unwrap(), Some(LiveEvent::Unknown));
    assert_eq!(live.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_live_stream_that_breaks_off_is_an_error() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\ndata: {";
    let server = scripted(&[chunked.into()]);
    let mut live = server.client.live(&ALL).await.unwrap();
    assert_eq!(live.next().await.unwrap_err().code(), "server_unreachable");
}

#[tokio::test]
async fn garbage_in_a_live_stream_is_an_error() {
    let server = scripted(&[stream_of("data: not json\n\n")]);
    let mut live = server.client.live(&ALL).await.unwrap();
    assert_eq!(live.next().await.unwrap_err().code(), "protocol_mismatch");
}

#[tokio::test]
async fn the_token_is_sent_over_tcp_only() {
    let token = Token::new("secret").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = Endpoint::parse(&format!("http://127.0.0.1:{port}")).unwrap();
    let tcp = Client::new(endpoint, Some(token.clone()));
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await.unwrap();
        let answer = answer("200 OK", "[]");
        stream.write_all(answer.as_bytes()).await.unwrap();
        request
    });
    tcp.agents(Listing::Current).await.unwrap();
    let request = served.await.unwrap();
    assert!(request.contains("authorization: Bearer secret\r\n"));
    assert!(request.contains(&format!("host: 127.0.0.1:{port}\r\n")));

    let server = scripted(&[answer("200 OK", "[]")]);
    let unix = Client::new(server.client.endpoint().clone(), Some(token));
    unix.agents(Listing::Current).await.unwrap();
    assert!(!server.served.await.unwrap()[0].contains("secret"));
}
