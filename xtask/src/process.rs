//! What `/proc` says of a process.

use nix::unistd::Pid;

/// The process that traces any of its threads, if one does.
pub(crate) fn tracer_of(pid: u32) -> Option<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    for task in tasks.flatten() {
        let tracer = field(&task.path().join("status"), "TracerPid:");
        if let Some(thread @ 1..) = tracer {
            // It is a thread of the tracer that traces.
            let status = format!("/proc/{thread}/status");
            return field(status.as_ref(), "Tgid:").map(Pid::from_raw);
        }
    }
    None
}

/// A number of a `/proc` file of `name: number` lines. A thread's name may be any bytes.
fn field(path: &std::path::Path, name: &str) -> Option<i32> {
    let bytes = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().parse().ok()
}
