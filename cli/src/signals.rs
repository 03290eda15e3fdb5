use lr_agent::host::ProcessFacts;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// The signals that ask a command to end. From its creation on they do not kill the process.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Not where it was ignored when we came: that is what `nohup` is for.
    hangup: Option<Signal>,
}

impl Signals {
    pub(crate) fn new() -> Result<Signals, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Failure::new("internal", format!("cannot listen for signals: {error}"))
            })
        };
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: match is_ignored(SignalKind::hangup()) {
                true => None,
                false => Some(listen(SignalKind::hangup())?),
            },
        })
    }

    /// The next one. May be dropped and called again.
    pub(crate) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether this process ignores a signal, as the kernel shows it (proc(5), SigIgn).
fn is_ignored(kind: SignalKind) -> bool {
    let bit = 1u64 << (kind.as_raw_value() - 1);
    ProcessFacts::read(std::process::id()).is_ok_and(|facts| facts.status.sig_ign & bit != 0)
}
