use std::fmt;
use std::path::PathBuf;

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// A local server's socket.
    Unix(PathBuf),
    /// `http://host:port`.
    Tcp { host: String, port: u16 },
}

/// Why a text names no server.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EndpointSyntax {
    #[error(
        "`{0}`: https is not in this version; use http:// inside a private network or through a tunnel (`ssh -L`)"
    )]
    Https(String),
    #[error("`{0}` has a user or password in it; the token belongs in LR_TOKEN")]
    Credentials(String),
    #[error("`{0}` has a path or query; the server is named by host and port alone")]
    Path(String),
    #[error("`{0}` has no port that is a number from 1 to 65535")]
    Port(String),
    #[error("`{0}` names no server; expected unix:/path, /path or http://host:port")]
    Form(String),
}

impl EndpointSyntax {
    pub fn code(&self) -> &'static str {
        "usage"
    }
}

impl Endpoint {
    /// Parses `unix:/path`, `/path` or `http://host:port`, as in `--server` and `LR_SERVER`.
    pub fn parse(text: &str) -> Result<Endpoint, EndpointSyntax> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(Endpoint::Unix(PathBuf::from(path))),
                false => Err(EndpointSyntax::Form(text.into())),
            };
        }
        if text.starts_with('/') {
            return Ok(Endpoint::Unix(PathBuf::from(text)));
        }
        if text.starts_with("https://") {
            return Err(EndpointSyntax::Https(text.into()));
        }
        let Some(authority) = text.strip_prefix("http://") else {
            return Err(EndpointSyntax::Form(text.into()));
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if let Some((_, host)) = authority.rsplit_once('@') {
            return Err(EndpointSyntax::Credentials(format!("http://…@{host}")));
        }
        if authority.contains(['/', '?', '#']) {
            return Err(EndpointSyntax::Path(text.into()));
        }
        let Some((host, port)) = split_port(authority) else {
            return Err(EndpointSyntax::Port(text.into()));
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(EndpointSyntax::Form(text.into()));
        }
        Ok(Endpoint::Tcp { host, port })
    }

    /// What the `Host` header says.
    pub(super) fn authority(&self) -> String {
        match self {
            Endpoint::Unix(_) => "localhost".into(),
            Endpoint::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Endpoint::Tcp { host, port } => format!("{host}:{port}"),
        }
    }
}

/// `host:port`, `[v6]:port`; the port of http where none is given.
fn split_port(authority: &str) -> Option<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (
                host,
                port.strip_prefix(':').or(port.is_empty().then_some("80"))?,
            )
        }
        None => authority.split_once(':').unwrap_or((authority, "80")),
    };
    let port = port.parse::<u16>().ok().filter(|port| *port != 0)?;
    Some((host.to_string(), port))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
            Endpoint::Tcp { .. } => write!(f, "http://{}", self.authority()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(Endpoint::parse(text).unwrap().to_string(), expected);
    }

    fn check_err(text: &str, expected: impl Fn(&EndpointSyntax) -> bool) {
        let error = Endpoint::parse(text).unwrap_err();
        assert!(expected(&error), "{text}: {error:?}");
    }

    #[test]
    fn the_three_forms_are_read() {
        check("unix:/run/lr.sock", "unix:/run/lr.sock");
        check("/run/lr.sock", "unix:/run/lr.sock");
        check("http://lr.internal:7070", "http://lr.internal:7070");
        check("http://lr.internal:7070/", "http://lr.internal:7070");
        check("http://10.0.0.1", "http://10.0.0.1:80");
        check("http://[::1]:7070", "http://[::1]:7070");
        check("http://[::1]", "http://[::1]:80");
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for text in ["unix:/a b", "http://h:1", "http://[fe80::1]:2"] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
        }
    }

    #[test]
    fn the_rest_is_refused_for_its_reason() {
        check_err("https://lr.internal", |e| {
            matches!(e, EndpointSyntax::Https(_))
        });
        check_err("http://h:0", |e| matches!(e, EndpointSyntax::Port(_)));
        check_err("http://h:99999", |e| matches!(e, EndpointSyntax::Port(_)));
        check_err("http://h:80/api", |e| matches!(e, EndpointSyntax::Path(_)));
        check_err("http://:80", |e| matches!(e, EndpointSyntax::Form(_)));
        check_err("http://a b:80", |e| matches!(e, EndpointSyntax::Form(_)));
        check_err("unix:server.sock", |e| matches!(e, EndpointSyntax::Form(_)));
        check_err("localhost:80", |e| matches!(e, EndpointSyntax::Form(_)));
        check_err("", |e| matches!(e, EndpointSyntax::Form(_)));
    }

    #[test]
    fn a_password_is_not_repeated() {
        let error = Endpoint::parse("http://me:secret@host:80").unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }
}
