use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::Endpoint;

pub(super) type Sender = http1::SendRequest<Full<Bytes>>;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// More than that are not asked at the same time by one client.
const IDLE_LIMIT: usize = 4;

/// The connections that no request is using.
#[derive(Debug)]
pub(super) struct Connections {
    endpoint: Endpoint,
    idle: Mutex<Vec<Sender>>,
}

impl Connections {
    pub(super) fn new(endpoint: Endpoint) -> Connections {
        Connections {
            endpoint,
            idle: Mutex::default(),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// One that has served before and is still open.
    pub(super) async fn reuse(&self) -> Option<Sender> {
        loop {
            let mut sender = self.idle().pop()?;
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    pub(super) async fn open(&self) -> io::Result<Sender> {
        let open = async {
            match &self.endpoint {
                Endpoint::Unix(path) => handshake(UnixStream::connect(path).await?).await,
                Endpoint::Tcp { host, port } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await?;
                    // Requests are small and answered one at a time; waiting to fill a packet
                    // would only delay them.
                    stream.set_nodelay(true)?;
                    handshake(stream).await
                }
            }
        };
        tokio::time::timeout(CONNECT_LIMIT, open)
            .await
            .unwrap_or_else(|_| Err(no_answer_within(CONNECT_LIMIT)))
    }

    /// Takes back a connection whose answer has been read to its end.
    pub(super) fn give_back(&self, sender: Sender) {
        let mut idle = self.idle();
        if !sender.is_closed() && idle.len() < IDLE_LIMIT {
            idle.push(sender);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Sender>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn no_answer_within(limit: Duration) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no answer within {} s", limit.as_secs_f32()),
    )
}

async fn handshake<S>(stream: S) -> io::Result<Sender>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // It ends with its last sender. Its errors reach whoever is waiting for an answer.
    tokio::spawn(connection);
    Ok(sender)
}
