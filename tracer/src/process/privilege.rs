//! Whether a program would run with more privilege than who starts it (execve(2)).

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::sys::{self, Call};

/// The kernel's PATH_MAX.
const MOST_PATH: usize = 4096;
/// Interpreters of interpreters that the kernel follows.
const MOST_SCRIPTS: usize = 5;
/// What the kernel reads of a script (`BINPRM_BUF_SIZE`).
const SCRIPT_HEAD: u64 = 256;

/// Whether a thread that enters a system call would gain privilege by it. What cannot be told is
/// taken to be so.
pub(crate) fn is_gained_by(tid: i32, call: &Call) -> bool {
    let (folder, path) = match call.number {
        libc::SYS_execve => (format!("/proc/{tid}/cwd"), call.arguments[0]),
        libc::SYS_execveat => (folder_of(tid, call.arguments[0]), call.arguments[1]),
        _ => return false,
    };
    let Some(path) = path_at(tid, path) else {
        return false;
    };
    let mut file = in_namespace(tid, &folder, &path);
    for _ in 0..MOST_SCRIPTS {
        match gains(&file) {
            Some(true) => return true,
            Some(false) => {}
            // Such a call fails, unless our view of the file system is not the thread's.
            None => return !shares_our_root(tid),
        }
        let Some(interpreter) = interpreter(&file) else {
            return false;
        };
        file = in_namespace(tid, &folder, &interpreter);
    }
    false
}

/// `None` where there is no such file.
fn gains(file: &str) -> Option<bool> {
    let mode = fs::metadata(file).ok()?.mode();
    Some(mode & (libc::S_ISUID | libc::S_ISGID) != 0 || sys::has_file_capabilities(file))
}

fn folder_of(tid: i32, descriptor: u64) -> String {
    // An int in the kernel's eyes.
    let descriptor = u32::try_from(descriptor & 0xffff_ffff).unwrap_or(0);
    match descriptor.cast_signed() {
        libc::AT_FDCWD => format!("/proc/{tid}/cwd"),
        _ => format!("/proc/{tid}/fd/{descriptor}"),
    }
}

/// An empty path is the folder itself (`AT_EMPTY_PATH`).
fn in_namespace(tid: i32, folder: &str, path: &str) -> String {
    match path {
        "" => folder.to_owned(),
        path if path.starts_with('/') => format!("/proc/{tid}/root{path}"),
        path => format!("{folder}/{path}"),
    }
}

fn shares_our_root(tid: i32) -> bool {
    fs::read_link(format!("/proc/{tid}/root")).is_ok_and(|root| root.as_os_str() == "/")
}

/// A path in a thread's memory; `None` where there is none, for which a call fails.
fn path_at(tid: i32, address: u64) -> Option<String> {
    let mut bytes = vec![0; MOST_PATH];
    let memory = File::open(format!("/proc/{tid}/mem")).ok()?;
    let read = memory.read_at(&mut bytes, address).ok()?;
    let end = bytes[..read].iter().position(|&byte| byte == 0)?;
    String::from_utf8(bytes[..end].to_vec()).ok()
}

/// The program that a script names in its first line.
fn interpreter(file: &str) -> Option<String> {
    let mut head = Vec::new();
    let file = File::open(file).ok()?;
    file.take(SCRIPT_HEAD).read_to_end(&mut head).ok()?;
    let line = head
        .strip_prefix(b"#!")?
        .split(|&byte| byte == b'\n')
        .next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.split_ascii_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// As if this thread were about to execute the file.
    fn is_gained(path: &str) -> bool {
        let name = format!("{path}\0");
        let address = name.as_ptr() as usize as u64;
        let call = Call {
            number: libc::SYS_execve,
            arguments: [address, 0, 0, 0, 0, 0],
        };
        is_gained_by(nix::unistd::gettid().as_raw(), &call)
    }

    #[test]
    fn a_set_user_id_program_gains_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        let name = path.to_str().unwrap();
        for (mode, gains) in [(0o755, false), (0o4755, true), (0o2755, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_gained(name), gains, "{mode:o}");
        }
        let script = folder.path().join("script");
        fs::write(&script, format!("#! {name} -x\nrest")).unwrap();
        assert!(is_gained(script.to_str().unwrap()));
        assert!(!is_gained("/bin/sh"));
        assert!(!is_gained("/nowhere/at all"));
    }
}
