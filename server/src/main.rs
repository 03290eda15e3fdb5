//! The management server: HTTP, DuckDB store, live fan-out, portal.
//!
//! Constraints, and what follows from them:
//! - It stores before it answers, and tells only what it has stored.
//! - It never blocks the async runtime: DuckDB runs on threads of its own.
//! - All it is sent is hostile: bodies are bounded, texts are bounded, SQL is judged by its parse
//!   tree, and every refusal is a `Problem`.
//! - It holds no secret that a log, a URL or an argument could show.

mod accept;
mod app;
mod caller;
mod clock;
mod courtesy;
mod gate;
mod id;
mod live;
mod log;
mod portal;
mod problem;
mod proc;
mod ready;
mod registry;
mod routes;
mod serve;
mod state_dir;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::problem::Refusal;
use crate::ready::Ready;
use crate::serve::Options;

/// The management server of lr.
#[derive(Debug, Parser)]
#[command(name = "lr-server", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve: the local user over a Unix socket, or others over TCP with --listen.
    Serve {
        /// Where the socket, the database and the log are [default: $LR_STATE_DIR, else
        /// $XDG_STATE_HOME/lr, else ~/.local/state/lr].
        #[arg(long, value_name = "DIR")]
        state_dir: Option<PathBuf>,
        /// Serve the API over TCP on this address instead of the Unix socket.
        #[arg(long, value_name = "ADDR", requires = "token_file")]
        listen: Option<SocketAddr>,
        /// A file with the bearer token, which nobody else may read.
        #[arg(long, value_name = "FILE", requires = "listen")]
        token_file: Option<PathBuf>,
        /// The portal's port on 127.0.0.1; 0 takes a free one.
        #[arg(long, value_name = "N", default_value_t = 0)]
        portal_port: u16,
        /// Write one line of JSON to this file descriptor once connections are accepted.
        #[arg(long, value_name = "N")]
        ready_fd: Option<i32>,
    },
    /// Print the version.
    Version,
}

fn main() -> ExitCode {
    match Arguments::parse().verb {
        Verb::Version => {
            println!("lr-server {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Verb::Serve {
            state_dir,
            listen,
            token_file,
            portal_port,
            ready_fd,
        } => {
            let options = Options {
                state_dir,
                listen,
                token_file,
                portal_port,
            };
            run(options, Ready::new(ready_fd))
        }
    }
}

fn run(options: Options, ready: Ready) -> ExitCode {
    // Everything that the server makes is its user's alone.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Refusal::internal("cannot start").detail(error.to_string())),
    };
    match runtime.block_on(serve::serve(options, ready)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => fail(&refusal),
    }
}

fn fail(refusal: &Refusal) -> ExitCode {
    eprintln!("lr-server: {refusal} ({})", refusal.0.code);
    for suggestion in &refusal.0.suggestions {
        eprintln!("  {suggestion}");
    }
    match refusal.0.code.as_str() {
        "permission_denied" => ExitCode::from(4),
        _ => ExitCode::FAILURE,
    }
}
