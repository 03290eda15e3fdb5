use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lr_dwarf::{DebugInfo, Location};
use lr_fixtures::{Fixture, location, wait_until};

use super::*;

const ID: &str = "5105510551055105";

/// A program of which the debug info is in another file: the stripped one, and that.
fn stripped(folder: &Path) -> (PathBuf, PathBuf) {
    let exe = Fixture::c("values.c")
        .flag(&format!("-Wl,--build-id=0x{ID}"))
        .build();
    let (stripped, debug) = (folder.join("program"), folder.join("program.debug"));
    for (option, to) in [("--strip-all", &stripped), ("--only-keep-debug", &debug)] {
        let done = Command::new("objcopy")
            .arg(option)
            .arg(&exe)
            .arg(to)
            .status();
        assert!(done.unwrap().success());
    }
    (stripped, debug)
}

fn settings(folder: &Path, servers: &[&str]) -> Settings {
    Settings {
        servers: servers.iter().map(|&server| server.to_owned()).collect(),
        cache: folder.join("cache"),
        timeout: Duration::from_secs(30),
        max_size: 64 << 20,
        owner: None,
    }
}

fn silent(_: &str) {}

fn open(program: &Path, settings: Settings, asking: Asking) -> Binary {
    let fetch = Debuginfod::new(settings, asking, silent);
    let files = DebugFiles::none().fetch(Box::new(fetch));
    Binary::open_with(File::open(program).unwrap(), program, &files).unwrap()
}

/// A server that answers every request by a function, on a port of its own.
struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn start(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (count, answer) = (requests.clone(), Arc::new(answer));
        // It ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(mut stream), answer) = (stream, answer.clone()) else {
                    return;
                };
                count.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    while lines
                        .next()
                        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                    {
                    }
                    answer(&mut stream);
                });
            }
        });
        Server { url, requests }
    }

    fn of_status(status: &'static str) -> Server {
        Server::start(move |stream| {
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        })
    }

    fn of_file(bytes: Vec<u8>) -> Server {
        Server::start(move |stream| {
            let len = bytes.len();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n");
            let _ = stream.write_all(&bytes);
        })
    }

    fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn why_missing(binary: &Binary) -> String {
    match binary.debug_info() {
        DebugInfo::Missing { tried } => tried.last().unwrap().to_string(),
        found => panic!("{found:?}"),
    }
}

/// Debian's own server, which serves a folder, until this is dropped.
struct Debian(Child);

impl Drop for Debian {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn debians_server_has_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (program, _) = stripped(folder.path());
    let served = folder.path().join("served");
    std::fs::create_dir(&served).unwrap();
    std::fs::rename(
        folder.path().join("program.debug"),
        served.join("program.debug"),
    )
    .unwrap();
    // It takes no port 0: a free one is found, and another if somebody was faster.
    let (_server, url) = wait_until("debuginfod to listen", || {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let database = folder.path().join(format!("{port}.sqlite"));
        let child = Command::new("debuginfod")
            .args(["-p", &port.to_string(), "-d"])
            .arg(&database)
            .arg("-F")
            .arg(&served)
            .env_remove("DEBUGINFOD_URLS")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut server = Debian(child.unwrap());
        let url = format!("http://127.0.0.1:{port}");
        wait_until("the server to answer or to end", || {
            let has_ended = server.0.try_wait().unwrap().is_some();
            (has_ended || TcpStream::connect(("127.0.0.1", port)).is_ok()).then_some(())
        });
        let is_up = server.0.try_wait().unwrap().is_none();
        is_up.then_some((server, url))
    });
    // It answers before it has looked into the folder.
    let binary = wait_until("the server to know the file", || {
        let _ = std::fs::remove_dir_all(folder.path().join("cache"));
        let settings = settings(folder.path(), &[&url]);
        let binary = open(&program, settings, Asking::Servers);
        binary.has_debug_info().then_some(binary)
    });
    let line = Location::parse(&location("values.c", "show")).unwrap();
    assert_eq!(binary.resolve(&line).unwrap()[0].function, "show");
    let kept = folder.path().join("cache").join(ID).join("debuginfo");
    assert!(kept.is_file());
}

#[test]
fn what_was_received_is_kept_and_taken_without_asking() {
    let folder = tempfile::tempdir().unwrap();
    let (program, debug) = stripped(folder.path());
    let server = Server::of_file(std::fs::read(&debug).unwrap());
    let missing = Server::of_status("404 Not Found");
    let urls = [missing.url.as_str(), server.url.as_str()];
    let binary = open(&program, settings(folder.path(), &urls), Asking::CacheOnly);
    assert!(why_missing(&binary).contains("not named"));
    assert_eq!((missing.count(), server.count()), (0, 0));

    let binary = open(&program, settings(folder.path(), &urls), Asking::Servers);
    assert!(binary.has_debug_info(), "{}", why_missing(&binary));
    assert_eq!((missing.count(), server.count()), (1, 1));
    let kept = folder.path().join("cache").join(ID);
    assert_eq!(std::fs::metadata(&kept).unwrap().mode() & 0o777, 0o700);
    let names: Vec<_> = std::fs::read_dir(&kept).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");

    for asking in [Asking::CacheOnly, Asking::Servers] {
        let binary = open(&program, settings(folder.path(), &urls), asking);
        assert!(binary.has_debug_info());
    }
    assert_eq!((missing.count(), server.count()), (1, 1));

    // What is broken there is fetched again.
    let file = kept.join("debuginfo");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, b"no ELF file").unwrap();
    let binary = open(&program, settings(folder.path(), &urls), Asking::Servers);
    assert!(binary.has_debug_info());
    assert_eq!(server.count(), 2);
}

#[test]
fn that_nobody_has_it_is_believed_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let (program, _) = stripped(folder.path());
    let server = Server::of_status("404 Not Found");
    for _ in 0..3 {
        let settings = settings(folder.path(), &[&server.url]);
        let binary = open(&program, settings, Asking::Servers);
        assert!(why_missing(&binary).contains("no server has it"));
        let line = Location::parse("values.c:1").unwrap();
        assert_eq!(binary.resolve(&line).unwrap_err().code(), "no_debug_info");
    }
    assert_eq!(server.count(), 1);
    // Eleven minutes ago is too long.
    let note = folder.path().join("cache").join(ID).join("debuginfo");
    let then = std::time::SystemTime::now() - Duration::from_secs(660);
    let file = File::open(&note).unwrap();
    file.set_modified(then).unwrap();
    let settings = settings(folder.path(), &[&server.url]);
    open(&program, settings, Asking::Servers);
    assert_eq!(server.count(), 2);
}

#[test]
fn hostile_servers_cost_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (program, _) = stripped(folder.path());
    let check = |server: &Server, expected: &str, settings: Settings| {
        let binary = open(&program, settings, Asking::Servers);
        let why = why_missing(&binary);
        assert!(why.contains(expected), "{why}");
        assert!(server.count() > 0);
        let kept = folder.path().join("cache").join(ID);
        let left = std::fs::read_dir(kept).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{expected}");
    };
    let with = |server: &Server| settings(folder.path(), &[&server.url]);

    let server = Server::of_status("500 Internal Server Error");
    check(&server, "status 500", with(&server));
    // Another program's file, and none at all.
    let other = Fixture::c("values.c").flag("-Wl,--build-id=0x99").build();
    let server = Server::of_file(std::fs::read(other).unwrap());
    check(&server, "something else", with(&server));
    let server = Server::of_file(b"<html>hello</html>".to_vec());
    check(&server, "something else", with(&server));
    // Without end.
    let server = Server::start(|stream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[0; 65536]).is_ok() {}
    });
    let mut small = with(&server);
    small.max_size = 1 << 20;
    check(&server, "larger than 1048576 bytes", small);
    // Larger than it may be, and says so.
    let server = Server::start(|stream| {
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
        );
    });
    check(&server, "larger than", with(&server));
    // Says nothing.
    let server = Server::start(|stream| {
        let _ = stream.read(&mut [0; 1]);
    });
    let mut hasty = with(&server);
    hasty.timeout = Duration::from_secs(1);
    check(&server, "timeout", hasty.clone());
    // Sends a byte now and then.
    let server = Server::start(|stream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    hasty.servers = vec![server.url.clone()];
    // Longer than a thread of a busy machine may have to wait for its turn.
    hasty.timeout = Duration::from_secs(5);
    check(&server, "less than 100 KiB in 5 s", hasty);
    // Leads round in a circle.
    let server = Server::start(|stream| {
        let _ = write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"
        );
    });
    check(&server, "redirect", with(&server));
}

#[test]
fn no_server_costs_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (program, _) = stripped(folder.path());
    // While the port is ours at one address of this machine, nobody listens at it at another.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let url = format!("http://user:secret@127.0.0.2:{port}");
    let binary = open(&program, settings(folder.path(), &[&url]), Asking::Servers);
    let why = why_missing(&binary);
    assert!(why.contains("127.0.0.2"), "{why}");
    assert!(!why.contains("secret"), "{why}");
}

#[test]
fn without_a_folder_it_serves_once() {
    let folder = tempfile::tempdir().unwrap();
    let (program, debug) = stripped(folder.path());
    let server = Server::of_file(std::fs::read(&debug).unwrap());
    let mut settings = settings(folder.path(), &[&server.url]);
    // A file where a folder should be.
    settings.cache = program.clone();
    let binary = open(&program, settings, Asking::Servers);
    assert!(binary.has_debug_info(), "{}", why_missing(&binary));
}

#[test]
fn root_keeps_files_as_the_user_who_asked() {
    if !Uid::effective().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (program, debug) = stripped(folder.path());
    let server = Server::of_file(std::fs::read(&debug).unwrap());
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open_to_all).unwrap();
    let mut settings = settings(folder.path(), &[&server.url]);
    settings.owner = Some((65534, 65534));
    let binary = open(&program, settings.clone(), Asking::Servers);
    assert!(binary.has_debug_info(), "{}", why_missing(&binary));
    let kept = settings.cache.join(ID).join("debuginfo");
    let metadata = std::fs::metadata(&kept).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (65534, 65534));
    // A link of theirs leads nowhere that they may not write.
    let secret = folder.path().join("secret");
    std::fs::create_dir(&secret).unwrap();
    settings.cache = folder.path().join("link");
    std::os::unix::fs::symlink(&secret, &settings.cache).unwrap();
    let binary = open(&program, settings, Asking::Servers);
    assert!(binary.has_debug_info());
    assert_eq!(std::fs::read_dir(&secret).unwrap().count(), 0);
}
