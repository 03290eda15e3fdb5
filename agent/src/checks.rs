//! What is looked at before anything touches a process, in the order in which the answers help
//! most. Every refusal says what to do.

use std::fs::File;
use std::io;

use lr_protocol::Problem;

use crate::host::{
    Capability, CapabilitySet, FactsError, ProcessFacts, Status, TrapSignal, YamaScope,
};
use crate::problem::problem;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    pub status: Status,
    pub yama: YamaScope,
    /// Processes that must not be attached to, because hits would wait for themselves: the agent
    /// and its local server.
    pub own_pids: Vec<u32>,
}

impl Asker {
    /// This process, on this machine.
    pub fn current() -> Result<Asker, FactsError> {
        let pid = std::process::id();
        Ok(Asker {
            status: ProcessFacts::read(pid)?.status,
            yama: YamaScope::current(),
            own_pids: vec![pid],
        })
    }

    fn capabilities(&self) -> CapabilitySet {
        self.status.cap_eff
    }
}

/// Reads the facts of a process and says whether it can be attached to.
pub fn check(pid: u32, asker: &Asker) -> Result<ProcessFacts, Problem> {
    let facts = ProcessFacts::read(pid).map_err(|error| not_readable(&error))?;
    judge(&facts, asker)?;
    may_look_inside(pid, asker.yama)?;
    Ok(facts)
}

/// Whether there is a program under a pid whose files can be looked at. Who may is told by what is
/// read next.
pub(crate) fn has_program(pid: u32) -> Result<(), Problem> {
    let facts = ProcessFacts::read(pid).map_err(|error| not_readable(&error))?;
    runs_a_program(&facts)
}

/// The part of [`check`] that follows from the facts alone.
pub fn judge(facts: &ProcessFacts, asker: &Asker) -> Result<(), Problem> {
    is_a_process(facts, asker)?;
    may_trace(facts, asker)?;
    is_free(facts)?;
    runs_our_instructions(facts)?;
    takes_traps(facts)
}

fn not_readable(error: &FactsError) -> Problem {
    match error {
        FactsError::NoSuchProcess(pid) => problem(
            "no_such_process",
            error.to_string(),
            format!("/proc/{pid} is not there"),
            &["`lr ps` lists the processes that can be attached to"],
        ),
        FactsError::Unreadable { .. } => problem(
            "permission_denied",
            error.to_string(),
            "",
            &["run it as root, or mount /proc without hidepid"],
        ),
    }
}

fn is_a_process(facts: &ProcessFacts, asker: &Asker) -> Result<(), Problem> {
    runs_a_program(facts)?;
    let pid = facts.pid;
    if asker.own_pids.contains(&pid) {
        return Err(problem(
            "own_process",
            format!("process {pid} ({}) is part of lr itself", facts.comm),
            "a hit in it would have to be handled by itself",
            &["attach to another process"],
        ));
    }
    Ok(())
}

fn runs_a_program(facts: &ProcessFacts) -> Result<(), Problem> {
    let pid = facts.pid;
    if let Some(process) = facts.thread_of {
        return Err(problem(
            "no_such_process",
            format!("{pid} is a thread of process {process}, not a process"),
            "a process is attached to as a whole",
            &[&format!("use {process}")],
        ));
    }
    if facts.zombie {
        return Err(problem(
            "process_gone",
            format!("process {pid} ({}) has ended", facts.comm),
            "it is a zombie: its parent has not collected its exit status yet",
            &["`lr ps` lists the processes that can be attached to"],
        ));
    }
    if facts.kernel_thread {
        return Err(problem(
            "kernel_thread",
            format!("{pid} ({}) is a thread of the kernel", facts.comm),
            "it runs no program that could be traced",
            &["`lr ps` lists the processes that can be attached to"],
        ));
    }
    Ok(())
}

/// The rules of ptrace(2), "Ptrace access mode checking", and of Yama.
fn may_trace(facts: &ProcessFacts, asker: &Asker) -> Result<(), Problem> {
    if asker.yama == YamaScope::Nobody {
        return Err(scope_forbids(facts.pid, asker.yama));
    }
    if asker.capabilities().has(Capability::SysPtrace) {
        return may_open_memory(facts, asker);
    }
    if asker.yama == YamaScope::AdminOnly {
        return Err(scope_forbids(facts.pid, asker.yama));
    }
    let (own, target) = (&asker.status, &facts.status);
    let (uid, gid) = (own.uids.real, own.gids.real);
    let same_user = [target.uids.real, target.uids.effective, target.uids.saved] == [uid; 3];
    let same_group = [target.gids.real, target.gids.effective, target.gids.saved] == [gid; 3];
    if !same_user {
        return Err(not_permitted(
            facts,
            format!("it runs as uid {}, you are uid {uid}", facts.uid),
        ));
    }
    if !same_group {
        return Err(not_permitted(
            facts,
            format!(
                "it runs with gid {}, you have gid {gid}",
                target.gids.effective
            ),
        ));
    }
    if !facts.dumpable {
        return Err(not_permitted(
            facts,
            "it is not dumpable: it changed its user, was started from a file that it may not \
             read, or asked for this with prctl(PR_SET_DUMPABLE)"
                .to_owned(),
        ));
    }
    if !own.cap_prm.covers(target.cap_prm) {
        return Err(not_permitted(
            facts,
            "it has capabilities that you do not have".to_owned(),
        ));
    }
    Ok(())
}

/// Planting without stopping a thread goes through `/proc/pid/mem`, a file of the process's user
/// with mode 0600: `CAP_SYS_PTRACE` is what the kernel asks for when it is used, but opening it
/// takes the right to open such a file first.
fn may_open_memory(facts: &ProcessFacts, asker: &Asker) -> Result<(), Problem> {
    let owner = if facts.dumpable { facts.uid } else { 0 };
    if owner == asker.status.uids.effective || asker.capabilities().has(Capability::DacOverride) {
        return Ok(());
    }
    Err(not_permitted(
        facts,
        format!(
            "CAP_SYS_PTRACE alone does not open /proc/{}/mem, which belongs to uid {owner}: \
             CAP_DAC_OVERRIDE does",
            facts.pid
        ),
    ))
}

fn not_permitted(facts: &ProcessFacts, why: String) -> Problem {
    let (pid, comm) = (facts.pid, &facts.comm);
    problem(
        "permission_denied",
        format!("no permission to trace process {pid} ({comm})"),
        why,
        &[
            &format!("run it as root: `sudo lr attach {pid} …`"),
            "or, where whoever may run lr may be root: \
             `sudo setcap cap_sys_ptrace,cap_dac_override=ep $(command -v lr)`",
        ],
    )
}

/// What Yama says where it is in the way.
pub(crate) fn scope_forbids(pid: u32, yama: YamaScope) -> Problem {
    let title = format!(
        "kernel.yama.ptrace_scope = {} forbids tracing process {pid}",
        yama.number()
    );
    match yama {
        YamaScope::Nobody => problem(
            "ptrace_scope",
            title,
            "nobody may trace, not even root, until the next boot",
            &["boot with kernel.yama.ptrace_scope below 3 (sysctl.d)"],
        ),
        YamaScope::AdminOnly => problem(
            "ptrace_scope",
            title,
            "only those with CAP_SYS_PTRACE may trace",
            &[
                &format!("run it as root: `sudo lr attach {pid} …`"),
                "or give lr the right once: `sudo setcap cap_sys_ptrace=ep $(command -v lr)`",
            ],
        ),
        YamaScope::Restricted | YamaScope::Classic => problem(
            "ptrace_scope",
            title,
            "only a process's ancestors may trace it, or whom it names with \
             prctl(PR_SET_PTRACER), or those with CAP_SYS_PTRACE",
            &[
                &format!("run it as root: `sudo lr attach {pid} …`"),
                "or give lr the right once: `sudo setcap cap_sys_ptrace=ep $(command -v lr)`",
                "or let every user trace their own: `sudo sysctl kernel.yama.ptrace_scope=0`",
            ],
        ),
    }
}

fn is_free(facts: &ProcessFacts) -> Result<(), Problem> {
    let Some(tracer) = &facts.tracer else {
        return Ok(());
    };
    let pid = facts.pid;
    let who = match tracer.comm.as_str() {
        "" => format!("process {}", tracer.pid),
        comm => format!("process {} ({comm})", tracer.pid),
    };
    Err(problem(
        "already_traced",
        format!("process {pid} ({}) is already traced by {who}", facts.comm),
        "Linux lets one tracer hold a process",
        &[
            &format!("end {who}, or let it detach"),
            "if it is an lr of another server, `lr detach` there",
        ],
    ))
}

fn runs_our_instructions(facts: &ProcessFacts) -> Result<(), Problem> {
    let pid = facts.pid;
    match facts.elf {
        Some(elf) if elf.is_x86_64() => Ok(()),
        Some(elf) => Err(problem(
            "not_x86_64",
            format!("process {pid} ({}) is a {elf} program", facts.comm),
            "lr knows 64-bit x86-64 programs only",
            &[],
        )),
        None => Err(problem(
            "bad_elf",
            format!(
                "the executable of process {pid} ({}) cannot be read",
                facts.comm
            ),
            format!("/proc/{pid}/exe does not open, or is no ELF file"),
            &[],
        )),
    }
}

/// The kernel resets a SIGTRAP that is ignored, or blocked with a handler, when it forces the one
/// of our breakpoint: afterwards the target would not be what it was.
pub(crate) fn takes_traps(facts: &ProcessFacts) -> Result<(), Problem> {
    let pid = facts.pid;
    let TrapSignal {
        ignored,
        handled,
        blocked,
    } = facts.sigtrap;
    if ignored {
        return Err(problem(
            "sigtrap_ignored",
            format!("process {pid} ({}) ignores SIGTRAP", facts.comm),
            "a breakpoint would make the kernel reset that to the default action",
            &["let the program leave SIGTRAP at its default"],
        ));
    }
    if handled && blocked {
        return Err(problem(
            "sigtrap_handled",
            format!(
                "process {pid} ({}) handles SIGTRAP and blocks it in a thread",
                facts.comm
            ),
            "a breakpoint in that thread would make the kernel remove the handler",
            &["let the program not block SIGTRAP"],
        ));
    }
    Ok(())
}

/// Opening `/proc/pid/mem` asks the kernel, Yama and every other security module the same
/// question as attaching does, without touching the process.
fn may_look_inside(pid: u32, yama: YamaScope) -> Result<(), Problem> {
    match File::open(format!("/proc/{}/mem", crate::host::living_thread(pid))) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(denied(pid, yama)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(not_readable(&FactsError::NoSuchProcess(pid)))
        }
        Err(source) => Err(not_readable(&FactsError::Unreadable { pid, source })),
    }
}

/// The kernel refused although users, groups and capabilities would do.
pub(crate) fn denied(pid: u32, yama: YamaScope) -> Problem {
    match yama {
        YamaScope::Classic => problem(
            "permission_denied",
            format!("the kernel does not let you trace process {pid}"),
            "a security module, a container's seccomp filter or another user namespace forbids it",
            &[
                &format!("run it as root: `sudo lr attach {pid} …`"),
                "in a container, add the capability: `docker run --cap-add SYS_PTRACE`",
            ],
        ),
        scope => scope_forbids(pid, scope),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{ElfIdent, TracedBy};

    const USER: &str = "Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\n";
    const ROOT: &str = "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nCapPrm:\t000001ffffffffff\n\
                        CapEff:\t000001ffffffffff\n";

    fn asker(status: &str, yama: YamaScope) -> Asker {
        Asker {
            status: Status::parse(status),
            yama,
            own_pids: vec![9],
        }
    }

    fn user() -> Asker {
        asker(USER, YamaScope::Classic)
    }

    fn target() -> ProcessFacts {
        let status = Status::parse(USER);
        ProcessFacts {
            pid: 42,
            comm: "orders".to_owned(),
            executable: Some("/srv/orders".into()),
            elf: Some(ElfIdent {
                class: 2,
                machine: 62,
            }),
            uid: 1000,
            start_ticks: 77,
            start_time: 0,
            zombie: false,
            kernel_thread: false,
            thread_of: None,
            tracer: None,
            shadow_stacks: false,
            sigtrap: TrapSignal::of(&status),
            container: String::new(),
            dumpable: true,
            status,
        }
    }

    fn check(facts: &ProcessFacts, asker: &Asker, code: &str) -> Problem {
        let problem = judge(facts, asker).expect_err(code);
        assert_eq!(problem.code, code, "{problem:?}");
        assert!(problem.title.contains("42"), "{problem:?}");
        problem
    }

    #[test]
    fn ones_own_ordinary_process_may_be_attached_to() {
        judge(&target(), &user()).unwrap();
        judge(&target(), &asker(ROOT, YamaScope::AdminOnly)).unwrap();
    }

    #[test]
    fn what_is_no_process_is_refused_first() {
        let mut facts = target();
        facts.tracer = Some(TracedBy {
            pid: 1,
            comm: String::new(),
        });
        facts.kernel_thread = true;
        check(&facts, &user(), "kernel_thread");
        facts.zombie = true;
        check(&facts, &user(), "process_gone");
        facts.thread_of = Some(41);
        check(&facts, &user(), "no_such_process");
    }

    #[test]
    fn lr_itself_is_refused() {
        let mut asker = user();
        asker.own_pids.push(42);
        check(&target(), &asker, "own_process");
    }

    #[test]
    fn another_user_needs_the_capability() {
        let other = asker(
            "Uid:\t1001\t1001\t1001\t1001\nGid:\t100\t100\t100\t100\n",
            YamaScope::Classic,
        );
        let problem = check(&target(), &other, "permission_denied");
        assert!(problem.detail.contains("1000") && problem.detail.contains("1001"));
        let with_capability = asker(
            "Uid:\t1001\t1001\t1001\t1001\nGid:\t5\t5\t5\t5\nCapEff:\t0000000000080002\n",
            YamaScope::AdminOnly,
        );
        judge(&target(), &with_capability).unwrap();
    }

    #[test]
    fn tracing_without_opening_the_memory_is_not_enough() {
        let tracing_only = |uid: u32| {
            let status = format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nCapEff:\t0000000000080000\n");
            asker(&status, YamaScope::AdminOnly)
        };
        judge(&target(), &tracing_only(1000)).unwrap();
        let problem = check(&target(), &tracing_only(1001), "permission_denied");
        assert!(problem.detail.contains("CAP_DAC_OVERRIDE"), "{problem:?}");
        let mut hidden = target();
        hidden.dumpable = false;
        check(&hidden, &tracing_only(1000), "permission_denied");
    }

    #[test]
    fn ones_own_process_may_still_be_closed() {
        let mut hidden = target();
        hidden.dumpable = false;
        let problem = check(&hidden, &user(), "permission_denied");
        assert!(problem.detail.contains("dumpable"));
        let mut capable = target();
        capable.status.cap_prm = CapabilitySet(1 << 12);
        check(&capable, &user(), "permission_denied");
        let mut setgid = target();
        setgid.status.gids.effective = 7;
        check(&setgid, &user(), "permission_denied");
    }

    #[test]
    fn yama_is_named_with_its_number() {
        for (asker, number) in [
            (asker(USER, YamaScope::AdminOnly), "2"),
            (asker(USER, YamaScope::Nobody), "3"),
            (asker(ROOT, YamaScope::Nobody), "3"),
        ] {
            let problem = check(&target(), &asker, "ptrace_scope");
            assert!(problem.title.contains(number));
        }
        // Scope 1 depends on ancestry and on PR_SET_PTRACER: only the kernel knows.
        judge(&target(), &asker(USER, YamaScope::Restricted)).unwrap();
        assert!(denied(42, YamaScope::Restricted).title.contains('1'));
        assert_eq!(denied(42, YamaScope::Classic).code, "permission_denied");
    }

    #[test]
    fn another_tracer_is_named() {
        let mut facts = target();
        facts.tracer = Some(TracedBy {
            pid: 4711,
            comm: "gdb".to_owned(),
        });
        let problem = check(&facts, &user(), "already_traced");
        assert!(problem.title.contains("4711 (gdb)"));
    }

    #[test]
    fn other_instruction_sets_are_refused() {
        let mut facts = target();
        facts.elf = Some(ElfIdent {
            class: 1,
            machine: 3,
        });
        check(&facts, &user(), "not_x86_64");
        facts.elf = None;
        check(&facts, &user(), "bad_elf");
    }

    #[test]
    fn a_trap_that_the_kernel_would_reset_is_refused() {
        let trap = |ignored, handled, blocked| {
            let mut facts = target();
            facts.sigtrap = TrapSignal {
                ignored,
                handled,
                blocked,
            };
            facts
        };
        check(&trap(true, false, false), &user(), "sigtrap_ignored");
        check(&trap(false, true, true), &user(), "sigtrap_handled");
        judge(&trap(false, true, false), &user()).unwrap();
        judge(&trap(false, false, true), &user()).unwrap();
    }

    #[test]
    fn the_living_are_told_from_the_dead() {
        let asker = Asker::current().unwrap();
        let problem = super::check(std::process::id(), &asker).unwrap_err();
        assert_eq!(problem.code, "own_process");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let problem = super::check(child.id(), &asker).unwrap_err();
        assert_eq!(problem.code, "no_such_process");
    }

    #[test]
    fn a_child_of_ours_passes() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let result = super::check(child.id(), &Asker::current().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(result.unwrap().pid, child.id());
    }
}
