use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest that anything in these tests may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Where a server listens.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Unix(PathBuf),
    Tcp(String),
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The code of the problem that it must be.
    pub(crate) fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        problem["code"]
            .as_str()
            .expect("problems have a code")
            .to_owned()
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        if self.body.is_empty() {
            return Value::Null;
        }
        self.json()
    }
}

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

impl Address {
    fn connect(&self) -> std::io::Result<Box<dyn Wire>> {
        match self {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(DEADLINE))?;
                Ok(Box::new(stream))
            }
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(DEADLINE))?;
                Ok(Box::new(stream))
            }
        }
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn delete(&self, path: &str) -> Response {
        self.send("DELETE", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.send("POST", path, &[], body.to_string().as_bytes())
    }

    /// Sends a request with these headers beside the usual ones; a `host` replaces the usual one.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.try_send(method, path, headers, body)
            .expect("the server answers")
    }

    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Response> {
        let mut wire = self.connect()?;
        wire.write_all(self.head(method, path, headers, body.len()).as_bytes())?;
        // A server that refuses the body need not read it.
        let _ = wire.write_all(body);
        let mut reader = BufReader::new(wire);
        let (status, headers) = read_head(&mut reader)?;
        let mut response = Response {
            status,
            headers,
            body: String::new(),
        };
        let length = response
            .header("content-length")
            .and_then(|length| length.parse().ok());
        if let Some(length) = length {
            let mut bytes = vec![0; length];
            reader.read_exact(&mut bytes)?;
            response.body = String::from_utf8(bytes).expect("bodies are UTF-8");
        }
        Ok(response)
    }

    fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\ncontent-length: {length}\r\nconnection: close\r\n"
        );
        let own_host = headers.iter().any(|(name, _)| *name == "host");
        if !own_host {
            let host = match self {
                Address::Unix(_) => "localhost",
                Address::Tcp(address) => address,
            };
            head.push_str(&format!("host: {host}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + "\r\n"
    }

    /// Opens a live stream and reads its first comment.
    pub(crate) fn live(&self, query: &str) -> Live {
        let mut wire = self.connect().unwrap();
        let head = self.head("GET", &format!("/api/v1/live?{query}"), &[], 0);
        wire.write_all(head.as_bytes()).unwrap();
        let mut reader = BufReader::new(wire);
        let (status, _) = read_head(&mut reader).unwrap();
        assert_eq!(status, 200);
        let mut live = Live {
            reader,
            text: String::new(),
        };
        live.block().expect("a stream begins with a comment");
        live
    }
}

/// An open live stream.
pub(crate) struct Live {
    reader: BufReader<Box<dyn Wire>>,
    text: String,
}

impl Live {
    /// The next event; `None` when the server ended the stream.
    pub(crate) fn next(&mut self) -> Option<Value> {
        loop {
            let block = self.block()?;
            if let Some(json) = block.strip_prefix("data: ") {
                return Some(serde_json::from_str(json).expect("data is JSON"));
            }
        }
    }

    /// Reads until an event that `wanted` accepts.
    #[track_caller]
    pub(crate) fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        while started.elapsed() < DEADLINE {
            let event = self.next().expect("the stream goes on");
            if wanted(&event) {
                return event;
            }
        }
        panic!("the event did not come");
    }

    fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block = self.text[..end].to_owned();
                self.text.drain(..end + 2);
                return Some(block);
            }
            let mut size = String::new();
            if self.reader.read_line(&mut size).ok()? == 0 {
                return None;
            }
            let size = usize::from_str_radix(size.trim(), 16).expect("a chunk has a size");
            let mut chunk = vec![0; size + 2];
            self.reader.read_exact(&mut chunk).ok()?;
            if size == 0 {
                return None;
            }
            chunk.truncate(size);
            self.text
                .push_str(std::str::from_utf8(&chunk).expect("chunks end with whole lines"));
        }
    }
}

fn read_head(reader: &mut impl std::io::BufRead) -> std::io::Result<(u16, Vec<(String, String)>)> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            return Ok((status, headers));
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
}

/// Waits until `condition` gives something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        if let Some(value) = condition() {
            return value;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what} did not happen");
}
