//! Who may ask for what: decided from the connection and the headers, before a body is read.

use std::time::Instant;

use http::{HeaderMap, Method, header};

use crate::caller::Caller;
use crate::portal::{COOKIE, Hashed, PortalAccess};
use crate::problem::{Answer, Refusal};

/// What the gate compares with.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) portal: PortalAccess,
    /// The port that the portal listens on.
    pub(crate) portal_port: u16,
    /// The bearer token, where the API is served over TCP.
    pub(crate) token: Option<Hashed>,
}

impl Gate {
    /// Lets a request in, or says why not.
    pub(crate) fn admit(
        &self,
        caller: &Caller,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Answer<()> {
        match caller {
            Caller::Socket { .. } => Ok(()),
            Caller::Stranger { uid } => Err(Refusal::new(
                "permission_denied",
                "this server is another user's",
            )
            .detail(format!("you are uid {uid}"))),
            Caller::Bearer => self.admit_bearer(headers),
            Caller::Portal => self.admit_portal(method, path, headers),
        }
    }

    fn admit_bearer(&self, headers: &HeaderMap) -> Answer<()> {
        let given = header_text(headers, header::AUTHORIZATION)
            .and_then(|value| value.strip_prefix("Bearer "))
            .map(Hashed::of);
        match (&self.token, given) {
            (Some(token), Some(given)) if *token == given => Ok(()),
            _ => Err(Refusal::new("unauthorized", "a bearer token is needed")
                .suggest("give the server's token in LR_TOKEN")),
        }
    }

    fn admit_portal(&self, method: &Method, path: &str, headers: &HeaderMap) -> Answer<()> {
        // A name that somebody else's DNS points at this machine must not reach us.
        let host = header_text(headers, header::HOST).unwrap_or_default();
        if !self.is_own_host(host) {
            return Err(
                Refusal::new("foreign_host", "this address is not the portal's")
                    .suggest("run `lr portal` for its address"),
            );
        }
        if let Some(origin) = headers.get(header::ORIGIN) {
            let own = origin
                .to_str()
                .ok()
                .and_then(|origin| origin.strip_prefix("http://"))
                .is_some_and(|origin| origin == host);
            if !own {
                return Err(Refusal::new(
                    "foreign_origin",
                    "another site may not use the portal",
                ));
            }
        }
        match rights(method, path) {
            Rights::Everybody => Ok(()),
            Rights::Session if self.has_session(headers) => Ok(()),
            Rights::Session => Err(Refusal::new("unauthorized", "the portal is closed")
                .suggest("run `lr portal` and open the address that it prints")),
            Rights::Nobody => Err(Refusal::new("permission_denied", "not for the portal")
                .detail(format!("{method} {path}"))),
        }
    }

    fn is_own_host(&self, host: &str) -> bool {
        ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| {
            host.strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(':'))
                .is_some_and(|port| port == self.portal_port.to_string())
        })
    }

    fn has_session(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .any(|(name, secret)| name == COOKIE && self.portal.is_session(secret, Instant::now()))
    }
}

enum Rights {
    /// The page itself, which holds nothing, and the way in.
    Everybody,
    Session,
    Nobody,
}

/// What the portal may ask for.
fn rights(method: &Method, path: &str) -> Rights {
    let Some(resource) = path.strip_prefix("/api/v1/") else {
        return if *method == Method::GET || *method == Method::HEAD {
            Rights::Everybody
        } else {
            Rights::Nobody
        };
    };
    let (first, rest) = resource.split_once('/').unwrap_or((resource, ""));
    match (method.as_str(), first, rest) {
        ("POST", "portal", "session") => Rights::Everybody,
        ("GET", "server" | "agents" | "live", "") => Rights::Session,
        ("GET" | "POST", "actions", "") => Rights::Session,
        // One, and what changes it, or stops all.
        ("GET" | "PUT" | "POST" | "DELETE", "actions", _) => Rights::Session,
        ("GET", "snapshots", _) => Rights::Session,
        ("POST", "query", "") => Rights::Session,
        _ => Rights::Nobody,
    }
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate {
            portal: PortalAccess::new(Instant::now()),
            portal_port: 4000,
            token: Some(Hashed::of("secret")),
        }
    }

    fn ask(caller: &Caller, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                header::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        match gate().admit(caller, &method, path, &map) {
            Ok(()) => "ok".to_owned(),
            Err(refusal) => refusal.0.code.clone(),
        }
    }

    fn portal(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        ask(&Caller::Portal, method, path, headers)
    }

    #[test]
    fn the_portal_knows_its_own_hosts_only() {
        for host in ["127.0.0.1:4000", "localhost:4000", "[::1]:4000"] {
            assert_eq!(portal("GET", "/", &[("host", host)]), "ok");
        }
        for host in [
            "evil.example:4000",
            "127.0.0.1",
            "127.0.0.1:4001",
            "localhost.evil:4000",
        ] {
            assert_eq!(portal("GET", "/", &[("host", host)]), "foreign_host");
        }
        assert_eq!(portal("GET", "/", &[]), "foreign_host");
    }

    #[test]
    fn other_origins_are_refused_even_at_the_door() {
        let host = ("host", "127.0.0.1:4000");
        let login = |origin| {
            portal(
                "POST",
                "/api/v1/portal/session",
                &[host, ("origin", origin)],
            )
        };
        assert_eq!(login("http://127.0.0.1:4000"), "ok");
        for origin in [
            "http://evil.example",
            "null",
            "https://127.0.0.1:4000",
            "http://localhost:4000",
        ] {
            assert_eq!(login(origin), "foreign_origin");
        }
    }

    #[test]
    fn without_a_session_nothing_is_read() {
        let host = [("host", "127.0.0.1:4000")];
        for path in ["server", "agents", "live", "actions", "actions/x"] {
            assert_eq!(
                portal("GET", &format!("/api/v1/{path}"), &host),
                "unauthorized"
            );
        }
        assert_eq!(portal("POST", "/api/v1/query", &host), "unauthorized");
    }

    #[test]
    fn agents_and_codes_are_not_for_the_portal() {
        let host = [("host", "127.0.0.1:4000")];
        for (method, path) in [
            ("POST", "agents"),
            ("POST", "agents/x/batches"),
            ("GET", "agents/x/wanted"),
            ("POST", "portal/codes"),
            ("POST", "server/stop"),
            ("DELETE", "leases/x"),
        ] {
            assert_eq!(
                portal(method, &format!("/api/v1/{path}"), &host),
                "permission_denied"
            );
        }
    }

    #[test]
    fn a_token_must_be_the_whole_token() {
        let bearer = |value| {
            ask(
                &Caller::Bearer,
                "GET",
                "/api/v1/server",
                &[("authorization", value)],
            )
        };
        assert_eq!(bearer("Bearer secret"), "ok");
        for value in [
            "Bearer secre",
            "Bearer secrets",
            "Bearer ",
            "Basic secret",
            "secret",
        ] {
            assert_eq!(bearer(value), "unauthorized");
        }
        assert_eq!(ask(&Caller::Bearer, "GET", "/", &[]), "unauthorized");
    }
}
