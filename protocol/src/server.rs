use serde::{Deserialize, Serialize};

/// `GET /server`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServerInfo {
    pub version: String,
    pub protocol_version: u32,
    pub pid: u32,
    pub started_at: i64,
    pub state_dir: String,
    /// Where the portal listens, e.g. `http://127.0.0.1:40123`.
    pub portal: String,
    /// Agents attached and clients with a lease; a server without any is idle.
    pub agents: u32,
    pub leases: u32,
}

/// `POST /portal/codes`: a code that opens the portal once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PortalCode {
    /// The address with the code in its fragment, which browsers never send.
    pub url: String,
    pub expires_in_s: u64,
}

/// `POST /portal/session`: exchanges a code for a session cookie.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PortalLogin {
    pub code: String,
}
