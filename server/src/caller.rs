use std::sync::Arc;

/// Who sends a request, as far as the connection tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Caller {
    /// The owner of the server, or root, over the Unix socket; the name is that of the peer's uid.
    Socket { user: Arc<str> },
    /// Somebody else over the Unix socket.
    Stranger { uid: u32 },
    /// Over TCP where a bearer token is asked for.
    Bearer,
    /// Over loopback TCP, where only the portal is served.
    Portal,
}

impl Caller {
    /// The name under which actions of this caller are kept.
    pub(crate) fn user(&self, owner: &str) -> String {
        match self {
            Caller::Socket { user } => user.to_string(),
            Caller::Portal => owner.to_owned(),
            Caller::Bearer => "token".to_owned(),
            Caller::Stranger { uid } => format!("uid {uid}"),
        }
    }
}
