//! Connections: one accept loop for every listener, one task for every connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::unistd::geteuid;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinSet;
use warp::reply::{Reply as _, Response};

use crate::app::App;
use crate::caller::Caller;
use crate::log::log;
use crate::problem::{Answer, Refusal};
use crate::routes::routes;
use crate::state_dir::user_name;

/// The largest body of a batch, and of anything else.
const MAX_BATCH: usize = 8 << 20;
const MAX_BODY: usize = 1 << 20;
/// How long a client may take to send its headers, and then its body.
const SEND_TIME: Duration = Duration::from_secs(30);
/// Connections at once on one listener; more have to wait.
const MAX_CONNECTIONS: usize = 512;
/// How long connections may take to end when the server stops.
const GOODBYE: Duration = Duration::from_secs(10);

/// Where connections come from, and whose they are.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener, Caller),
}

/// Serves a listener until the server stops and its connections have ended.
pub(crate) async fn serve(app: Arc<App>, listener: Listener) {
    let handler = Handler::new(app.clone());
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            tokio::select! {
                _ = connections.join_next() => continue,
                () = app.stopping() => break,
            }
        }
        let accepted = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = app.stopping() => break,
        };
        match accepted {
            Ok((Stream::Unix(stream), caller)) => {
                connections.spawn(serve_connection(
                    app.clone(),
                    handler.clone(),
                    stream,
                    caller,
                ));
            }
            Ok((Stream::Tcp(stream), caller)) => {
                connections.spawn(serve_connection(
                    app.clone(),
                    handler.clone(),
                    stream,
                    caller,
                ));
            }
            Err(error) => {
                // Out of file descriptors, most likely; some may be free soon.
                log(&format!("cannot accept: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GOODBYE, all_ended).await.is_err() {
        log("some connections did not end in time");
    }
}

enum Stream {
    Unix(UnixStream),
    Tcp(tokio::net::TcpStream),
}

async fn accept(listener: &Listener) -> std::io::Result<(Stream, Caller)> {
    match listener {
        Listener::Unix(listener) => {
            let (stream, _) = listener.accept().await?;
            let uid = stream.peer_cred()?.uid();
            let caller = if uid == geteuid().as_raw() || uid == 0 {
                Caller::Socket {
                    user: user_name(uid).into(),
                }
            } else {
                Caller::Stranger { uid }
            };
            Ok((Stream::Unix(stream), caller))
        }
        Listener::Tcp(listener, caller) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Stream::Tcp(stream), caller.clone()))
        }
    }
}

async fn serve_connection<S>(app: Arc<App>, handler: Handler, stream: S, caller: Caller)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let handler = handler.clone();
        let caller = caller.clone();
        async move { Ok::<_, Infallible>(handler.answer(request, caller).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SEND_TIME)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = app.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // A client that went away is no news.
    let _ = ended;
}

type Routes = dyn Fn(Request<Full<Bytes>>) -> BoxFuture<'static, Response> + Send + Sync;

/// From a request as it comes to its answer.
#[derive(Clone)]
struct Handler {
    app: Arc<App>,
    routes: Arc<Routes>,
}

impl Handler {
    fn new(app: Arc<App>) -> Handler {
        let service = TowerToHyperService::new(warp::service(routes(&app)));
        let routes: Arc<Routes> = Arc::new(move |request| {
            let answered = service.call(request);
            Box::pin(async move {
                answered
                    .await
                    .unwrap_or_else(|never: Infallible| match never {})
            })
        });
        Handler { app, routes }
    }

    async fn answer(&self, request: Request<Incoming>, caller: Caller) -> Response {
        match self.read(request, caller).await {
            Ok(request) => (self.routes)(request).await,
            Err(refusal) => {
                let mut response = refusal.into_response();
                // What is left of the body is not read.
                if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
                    let close = header::HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                response
            }
        }
    }

    /// Lets the request in and reads its body.
    async fn read(
        &self,
        request: Request<Incoming>,
        caller: Caller,
    ) -> Answer<Request<Full<Bytes>>> {
        let (mut parts, body) = request.into_parts();
        self.app
            .gate
            .admit(&caller, &parts.method, parts.uri.path(), &parts.headers)?;
        let limit = if parts.uri.path().ends_with("/batches") {
            MAX_BATCH
        } else {
            MAX_BODY
        };
        let body = tokio::time::timeout(SEND_TIME, Limited::new(body, limit).collect())
            .await
            .map_err(|_| Refusal::new("request_timeout", "the body did not come in time"))?
            .map_err(|error| {
                if error.is::<LengthLimitError>() {
                    Refusal::new("too_large", "the body is too large")
                        .detail(format!("at most {limit} bytes are taken"))
                } else {
                    Refusal::bad_request("the body cannot be read").detail(error.to_string())
                }
            })?
            .to_bytes();
        parts.extensions.insert(caller);
        Ok(Request::from_parts(parts, Full::new(body)))
    }
}
