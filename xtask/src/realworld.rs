use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lr_fixtures::text_differences;

use crate::build::{self, Purpose};
use crate::local::Local;
use crate::{command, interrupt, packages, redis};

/// How many SET commands the load sends.
const REQUESTS: u32 = 5000;

/// Builds redis from Debian's source package with `-g -O2`, logs from it under `redis-benchmark`,
/// and compares the rows with what redis counted.
pub(crate) fn run() -> Result<()> {
    packages::need(&packages::REALWORLD)?;
    interrupt::become_errors()?;
    let redis = redis::build(redis::PLAIN)?;
    let programs = build::release(Purpose::Here)?;
    let local = Local::new(programs)?;
    let folder = tempfile::Builder::new().prefix("lr-redis-").tempdir()?;
    let server = Server::start(&redis, folder.path())?;

    let pid = server.child.id().to_string();
    let mut attach = local.lr();
    attach
        .args([
            "attach",
            &pid,
            "--json",
            "--rate",
            "10000000",
            "--ignore-quota",
        ])
        .args(["--hits", &REQUESTS.to_string()])
        .args([
            "--log",
            "setCommand",
            "client={c.id} argc={c.argc} db={c.db.id}",
        ]);
    let mut attached = Attached::start(attach)?;
    attached.until_bound()?;

    let begun = Instant::now();
    let mut load = Command::new(redis.join("redis-benchmark"));
    load.arg("-s").arg(&server.socket).args([
        "-t",
        "set",
        "-c",
        "8",
        "-q",
        "-n",
        &REQUESTS.to_string(),
    ]);
    command::output(&mut load)?;
    let elapsed = begun.elapsed();
    attached.ended()?;

    let counted = server.set_calls(&redis)?;
    let rows = local.sql_numbers(
        "SELECT count(*) AS n, count(DISTINCT fields->>'client') AS c,
                count(*) FILTER ((fields->>'argc')::INT = 3 AND (fields->>'db')::INT = 0) AS r
         FROM logs",
    )?;
    println!(
        "redis counted {counted} SET commands, in {:.2} s",
        elapsed.as_secs_f64()
    );
    println!(
        "lr stored {} logs of them, from {} clients, {} with right values",
        rows[0], rows[1], rows[2]
    );
    ensure!(
        counted == REQUESTS,
        "the load sent {counted} commands, expected {REQUESTS}"
    );
    ensure!(
        rows[0] == f64::from(counted),
        "a command was missed or invented"
    );
    ensure!(rows[2] == rows[0], "a value is wrong");
    ensure!(rows[1] >= 1.0, "no client has an id");
    let differences = text_differences(server.child.id())?;
    ensure!(differences.is_empty(), "text changed: {differences:x?}");
    println!("its text is its file's again");
    Ok(())
}

/// A redis that listens on a socket in a folder of ours; killed with this.
struct Server {
    child: Child,
    socket: PathBuf,
}

impl Server {
    fn start(redis: &Path, folder: &Path) -> Result<Server> {
        let socket = folder.join("redis.sock");
        let child = Command::new(redis.join("redis-server"))
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("starting redis")?;
        let server = Server { child, socket };
        let deadline = Instant::now() + Duration::from_secs(20);
        while command::output(&mut server.cli(redis, &["ping"])).is_err() {
            interrupt::check()?;
            ensure!(Instant::now() < deadline, "redis does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        command::output(&mut server.cli(redis, &["config", "resetstat"]))?;
        Ok(server)
    }

    fn cli(&self, redis: &Path, arguments: &[&str]) -> Command {
        let mut cli = Command::new(redis.join("redis-cli"));
        cli.arg("-e").arg("-s").arg(&self.socket).args(arguments);
        cli
    }

    /// How many SET commands redis itself counted.
    fn set_calls(&self, redis: &Path) -> Result<u32> {
        let info = command::output(&mut self.cli(redis, &["info", "commandstats"]))?;
        info.lines()
            .find_map(|line| line.strip_prefix("cmdstat_set:calls=")?.split(',').next())
            .context("redis has counted no SET")?
            .parse()
            .context("redis's count")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An `lr attach --json` that runs.
struct Attached {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Attached {
    fn start(mut command: Command) -> Result<Attached> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .context("starting lr attach")?;
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let lines = BufReader::new(stdout).lines();
        Ok(Attached { child, lines })
    }

    fn until_bound(&mut self) -> Result<()> {
        for line in self.lines.by_ref() {
            if line?.contains(r#""state":"bound""#) {
                return Ok(());
            }
        }
        bail!("lr attach ended before it was bound")
    }

    /// Reads to the end of the output and waits for the process.
    fn ended(mut self) -> Result<()> {
        for line in self.lines.by_ref() {
            line?;
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "lr attach ended with {status}");
        Ok(())
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        interrupt::end(&mut self.child);
    }
}
