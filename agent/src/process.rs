//! The agent process: what runs behind the hidden verb `agent-process`.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lr_protocol::{
    End, EndReason, PROTOCOL_VERSION, Problem, ProcessInfo, RegisterAgent, Registered,
};
use lr_tracer::{Aside, Tracer};
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::AgentArgs;
use crate::bind::Binder;
use crate::checks::{self, Asker};
use crate::client::{Client, Endpoint, Token};
use crate::clock::now_micros;
use crate::courtesy;
use crate::engine::{Engine, StartTracer, Stream, Target, Trace, Writer};
use crate::host::ProcessFacts;
use crate::journal;
use crate::launch::own_executable;
use crate::modules::{ModuleError, Modules};
use crate::note::note;
use crate::orders::Orders;
use crate::outbox::{Limits, Outbox};
use crate::problem::problem;
use crate::ready::Ready;
use crate::session::Session;

/// Runs an agent until its attachment ends. Its first line on standard output says whether there
/// is one; after it, standard output leads nowhere. The result is the process's exit status.
pub fn main(args: impl IntoIterator<Item = OsString>) -> i32 {
    // Not the terminal's any more. It fails where we lead a group already, as under a debugger.
    let _ = nix::unistd::setsid();
    let args = match AgentArgs::parse(args) {
        Ok(args) => args,
        Err(error) => {
            note(&format!("{error}"));
            return USAGE;
        }
    };
    courtesy::give_way();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(attach(args)),
        Err(error) => {
            note(&format!("cannot start: {error}"));
            COULD_NOT
        }
    }
}

const DONE: i32 = 0;
const COULD_NOT: i32 = 1;
const USAGE: i32 = 2;

async fn attach(args: AgentArgs) -> i32 {
    let (client, attachment) = match prepare(&args).await {
        Ok(prepared) => prepared,
        Err(problem) => return refused(problem),
    };
    let registered = match client.register(&attachment.agent).await {
        Ok(registered) => registered,
        Err(error) => return refused(error.to_problem()),
    };
    say(&Ready::Registered(registered.clone()));
    let stdout = args.has_output.then(take_output).flatten();
    note(&format!(
        "attached to process {} ({}) as agent {}",
        args.pid, attachment.agent.process.comm, registered.agent_id
    ));
    run(client, attachment, registered, stdout).await;
    DONE
}

/// What is known of the process before it is registered. Nothing has been touched yet.
struct Attachment {
    facts: ProcessFacts,
    agent: RegisterAgent,
}

async fn prepare(args: &AgentArgs) -> Result<(Client, Attachment), Problem> {
    let token = Token::from_env().map_err(|why| problem("unauthorized", why, "", &[]))?;
    let client = Client::new(args.server.clone(), token);
    let mut asker = Asker::current()
        .map_err(|error| problem("internal", "cannot read who we are", error.to_string(), &[]))?;
    asker.own_pids.extend(local_server(&client).await?);
    let facts = checks::check(args.pid, &asker)?;
    // Reading debug info here tells what is wrong with it before anything else happens; the
    // engine's thread reads its own.
    let aside = Aside::of(args.pid);
    let mut modules = Modules::open(args.pid).map_err(|error| not_loaded(&error))?;
    let executable = modules.executable().map_err(|error| not_loaded(&error))?;
    let process = ProcessInfo {
        process_id: facts.process_id(),
        pid: facts.pid,
        comm: facts.comm.clone(),
        executable: facts
            .executable
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default(),
        build_id: hexadecimal(executable.binary.build_id().unwrap_or_default()),
        uid: facts.uid,
        start_time: facts.start_time,
        container: facts.container.clone(),
    };
    drop(aside);
    let name = match args.name.as_str() {
        "" => facts.comm.clone(),
        name => name.to_owned(),
    };
    let agent = RegisterAgent {
        protocol_version: PROTOCOL_VERSION,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        name,
        tags: args.tags.clone(),
        host: host_name(),
        agent_pid: std::process::id(),
        agent_uid: nix::unistd::geteuid().as_raw(),
        process,
        linger: args.linger.clone(),
    };
    Ok((client, Attachment { facts, agent }))
}

/// The server's pid, where it is on this machine.
async fn local_server(client: &Client) -> Result<Option<u32>, Problem> {
    if !matches!(client.endpoint(), Endpoint::Unix(_)) {
        return Ok(None);
    }
    match client.server_info().await {
        Ok(info) => Ok(Some(info.pid)),
        Err(error) => Err(error.to_problem()),
    }
}

async fn run(
    client: Client,
    attachment: Attachment,
    registered: Registered,
    stdout: Option<Arc<Stream>>,
) {
    let outbox = Arc::new(Outbox::new(Limits::default()));
    let orders = Arc::new(Orders::default());
    let writer = Writer {
        agent_id: registered.agent_id.clone(),
        process_id: attachment.facts.process_id(),
        pid: attachment.facts.pid,
        owner: match client.endpoint() {
            Endpoint::Unix(_) => Some(Writer::invoking_user()),
            Endpoint::Tcp { .. } => None,
        },
        stdout,
    };
    start_engine(&attachment.facts, writer, &orders, &outbox);
    let session = Session::new(
        client,
        attachment.agent,
        registered,
        outbox,
        Arc::clone(&orders),
    );
    tokio::select! {
        () = session.run() => {}
        () = obey_signals(&orders) => unreachable!("it waits for the next signal"),
    }
}

fn start_engine(facts: &ProcessFacts, writer: Writer, orders: &Arc<Orders>, outbox: &Arc<Outbox>) {
    let (facts, orders) = (facts.clone(), Arc::clone(orders));
    let mailbox = Arc::clone(outbox);
    on_its_own_thread(outbox, move || run_engine(&facts, writer, orders, &mailbox));
}

/// Should the work fail, the end says so; the tracer, whose handle is dropped with it, lets go.
fn on_its_own_thread(outbox: &Arc<Outbox>, work: impl FnOnce() + Send + 'static) {
    let mailbox = Arc::clone(outbox);
    let body = move || {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            mailbox.put_end(failed(
                "the agent failed by a fault of its own: see its log",
            ));
        }
    };
    let started = thread::Builder::new().name("engine".to_owned()).spawn(body);
    if let Err(error) = started {
        outbox.put_end(failed(&format!("the agent cannot start a thread: {error}")));
    }
}

fn run_engine(facts: &ProcessFacts, writer: Writer, orders: Arc<Orders>, outbox: &Arc<Outbox>) {
    let pid = facts.pid;
    let target = Target::new(facts);
    let aside = Aside::of(pid);
    let modules = match Modules::open(pid) {
        Ok(modules) => modules,
        Err(error) => {
            let end = end_soon(&target).unwrap_or_else(|| failed(&error.to_string()));
            return outbox.put_end(end);
        }
    };
    let lr = own_executable();
    let start_tracer: StartTracer = Box::new(move || {
        let journal = journal::begin(pid);
        if let Err(error) = &journal {
            note(&format!("what is planted is not written down: {error}"));
        }
        let tracer = Tracer::spawn_with(&lr, pid, journal.ok())?;
        Ok(Box::new(tracer) as Box<dyn Trace>)
    });
    let binder = Box::new(Binder::new(pid, modules));
    Engine::new(
        target,
        writer,
        binder,
        start_tracer,
        orders,
        Arc::clone(outbox),
    )
    .run(aside);
}

/// The end of a target that cannot be read any more. One that is ending has lost its memory a little
/// before it is seen to be gone.
fn end_soon(target: &Target) -> Option<End> {
    const LOOKS: u32 = 20;
    (0..LOOKS).find_map(|_| {
        let end = target.end();
        if end.is_none() {
            thread::sleep(Duration::from_millis(50));
        }
        end
    })
}

fn failed(message: &str) -> End {
    End {
        ts: now_micros(),
        reason: EndReason::Failed,
        message: message.to_owned(),
        restored: 0,
    }
}

/// Who asks us to end gets a target without any of our bytes in it.
async fn obey_signals(orders: &Orders) {
    // Whose default is to end us. Where it is caught, write(2) says that the file is too large.
    let _ = signal(SignalKind::from_raw(Signal::SIGXFSZ as i32));
    let streams = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut terminate), Ok(mut interrupt)) = streams else {
        note("signals cannot be received; ending by one still restores the target");
        return std::future::pending().await;
    };
    loop {
        let name = tokio::select! {
            _ = terminate.recv() => Signal::SIGTERM,
            _ = interrupt.recv() => Signal::SIGINT,
        };
        orders.finish(
            EndReason::Detached,
            format!("the agent was asked to end by {name}"),
        );
    }
}

fn refused(problem: Problem) -> i32 {
    note(&format!("{}: {}", problem.code, problem.title));
    say(&Ready::Problem(problem));
    COULD_NOT
}

/// Writes the ready line and closes the pipe that it goes into.
fn say(ready: &Ready) {
    let mut output = std::io::stdout().lock();
    // Whoever launched us may be gone already; the agent goes on all the same.
    let _ = output.write_all(ready.to_line().as_bytes());
    let _ = output.flush();
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdout(null);
    }
}

/// Standard output, as it came in by standard input: see [`crate::launch`].
fn take_output() -> Option<Arc<Stream>> {
    let taken = || {
        let output = std::io::stdin().as_fd().try_clone_to_owned()?;
        nix::unistd::dup2_stdout(&output)?;
        nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        Stream::start(output.into())
    };
    taken()
        .inspect_err(|error: &std::io::Error| note(&format!("no standard output: {error}")))
        .ok()
}

fn not_loaded(error: &ModuleError) -> Problem {
    let mut problem = problem(error.code(), error.to_string(), "", &[]);
    problem.suggestions = error.suggestions();
    problem
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn host_name() -> String {
    match nix::unistd::gethostname() {
        Ok(name) => name.to_string_lossy().into_owned(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_the_end_and_not_silence() {
        let outbox = Arc::new(Outbox::new(Limits::default()));
        on_its_own_thread(&outbox, || panic!("a fault"));
        outbox.ending().await;
        assert_eq!(outbox.take().end.unwrap().reason, EndReason::Failed);
    }
}
