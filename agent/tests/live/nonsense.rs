//! A server that has lost its mind, or an address at which somebody else answers now.

use std::time::Duration;

use lr_fixtures::{Fixture, Target, location, wait_until};
use lr_protocol::State;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::server::{Server, log};

/// What is answered to whatever is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Nonsense {
    /// These bytes, and the connection is closed.
    Bytes(&'static [u8]),
    /// A body without an end.
    Endless,
    /// A byte now and then.
    Drip,
}

const ANSWERS: &[Nonsense] = &[
    Nonsense::Bytes(b""),
    Nonsense::Bytes(b"\x00\xff\xfe SSH-2.0-nonsense\r\n"),
    Nonsense::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\n<html>login</html>\n"),
    Nonsense::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
    Nonsense::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 41\r\n\r\n{\"revision\":-1,\"actions\":{},\"sequence\":[]}"),
    Nonsense::Bytes(b"HTTP/1.1 500 No\r\ncontent-length: 13\r\n\r\n<h1>500</h1>\n"),
    Nonsense::Bytes(b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\n[]"),
    Nonsense::Bytes(b"HTTP/1.1 302 Found\r\nlocation: http://elsewhere/\r\ncontent-length: 0\r\n\r\n"),
    Nonsense::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{\"revision\":"),
    Nonsense::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n{"),
    Nonsense::Endless,
    Nonsense::Drip,
];

impl Nonsense {
    pub(crate) async fn answer(self, mut stream: UnixStream) {
        let mut asked = [0; 1024];
        let _ = stream.read(&mut asked).await;
        match self {
            Nonsense::Bytes(bytes) => {
                let _ = stream.write_all(bytes).await;
            }
            Nonsense::Endless => {
                let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                let mut written = stream.write_all(head).await;
                let chunk = [b"10000\r\n".as_slice(), &[b'['; 0x10000], b"\r\n"].concat();
                while written.is_ok() {
                    written = stream.write_all(&chunk).await;
                }
            }
            Nonsense::Drip => {
                for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"
                    .iter()
                    .cycle()
                {
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

/// The agent goes on with what it has, and tells everything when somebody sane is there again.
pub(crate) fn a_server_that_answers_nonsense_changes_nothing() {
    let server = Server::start_with(3600);
    let target = Target::spawn(&Fixture::c("orders.c").build(), ["2", "1000"]);
    let _agent = server.launch(target.pid()).unwrap();
    server.want(vec![log("a", &location("orders.c", "process"), "{o->id}")]);
    server.wait_for_state("a", State::Hit);
    for &answer in ANSWERS {
        let asked = server.asked_in_vain();
        server.answer(Some(answer));
        // It asks what is wanted and sends what happened, each on a connection of its own.
        wait_until("the agent to ask", || {
            (server.asked_in_vain() >= asked + 2).then_some(())
        });
        assert_ne!(target.tracer(), 0, "{answer:?}");
    }
    let before = server.logs().len();
    server.answer(None);
    server.wait_for_logs(before + 100);
    assert_eq!(server.status("a").unwrap().state, State::Hit);
    server.want(vec![]);
    let counts = server.wait_for_state("a", State::Removed).counts;
    assert_eq!(
        counts.hits,
        counts.kept + counts.rate_limited + counts.dropped
    );
    let logs = server.logs();
    assert_eq!(logs.len() as u64, counts.kept);
    let seqs: Vec<u64> = logs.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=counts.kept).collect::<Vec<u64>>());
    target.assert_unharmed();
}
