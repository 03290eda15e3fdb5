use std::ffi::OsString;

use lr_agent::client::{SERVER_PROCESS, server_process};

/// Runs the process that `lr` started of itself, if this is one, and returns its exit status. This
/// comes before the command line is parsed and before there is a runtime: these processes have
/// neither terminal nor users, and choose their own threads.
pub(crate) fn run() -> Option<u8> {
    let mut args = std::env::args_os().skip(1);
    let verb = args.next()?;
    let args: Vec<OsString> = args.collect();
    let status = match verb.to_str()? {
        "agent-process" => lr_agent::process::main(args),
        "tracer" => lr_agent::tracer_main(),
        SERVER_PROCESS => server_process(args),
        _ => return None,
    };
    Some(u8::try_from(status).unwrap_or(crate::exit::COULD_NOT))
}
