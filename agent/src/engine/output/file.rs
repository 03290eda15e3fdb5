//! A file on the target's host to whose end lines are written.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file that has a name now: another one, once somebody has moved the one before away, as
/// logrotate(8) does.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    owner: u32,
    file: File,
    /// A full disk takes the beginning of a line: the next one must not go on from there.
    is_torn: bool,
    looked: Instant,
}

/// How long lines may go to a file that was moved away.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl LogFile {
    /// `owner` is the user for whom it is written.
    pub(super) fn open(path: &Path, owner: u32) -> io::Result<LogFile> {
        let file = open_of(path, owner)?;
        Ok(LogFile {
            path: path.to_owned(),
            owner,
            is_torn: is_torn(&file)?,
            file,
            looked: Instant::now(),
        })
    }

    /// For people.
    pub(super) fn path(&self) -> &str {
        self.path.to_str().unwrap_or("the file")
    }

    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.looked.elapsed() >= LOOK_EVERY {
            self.look()?;
        }
        if std::mem::take(&mut self.is_torn) {
            self.file.write_all(b"\n")?;
        }
        self.file
            .write_all(line)
            .inspect_err(|_| self.is_torn = true)
    }

    fn look(&mut self) -> io::Result<()> {
        self.looked = Instant::now();
        let same = |now: &Metadata| {
            let open = self.file.metadata();
            open.is_ok_and(|open| (open.dev(), open.ino()) == (now.dev(), now.ino()))
        };
        match std::fs::symlink_metadata(&self.path) {
            Ok(now) if same(&now) => {}
            _ => {
                self.file = open_of(&self.path, self.owner)?;
                self.is_torn = is_torn(&self.file)?;
            }
        }
        Ok(())
    }
}

/// Whether its last line has no end.
fn is_torn(file: &File) -> io::Result<bool> {
    let mut last = [b'\n'];
    if let Some(at) = file.metadata()?.len().checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    Ok(last != [b'\n'])
}

/// We may have more rights than the user for whom we write. So the file is in a folder of that
/// user's, is no link to another one, and is not anybody else's.
fn open_of(path: &Path, owner: u32) -> io::Result<File> {
    let wrong = |why: &str| io::Error::other(why.to_owned());
    let folder = match path.parent() {
        Some(folder) if path.is_absolute() => folder.canonicalize()?,
        _ => return Err(wrong("it is not an absolute path of a file")),
    };
    let name = path.file_name().ok_or_else(|| wrong("it names no file"))?;
    if folder.metadata()?.uid() != owner {
        return Err(wrong("its folder is another user's"));
    }
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(folder.join(name))?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(wrong("it is a link, or not a regular file"));
    }
    if metadata.uid() != owner {
        if metadata.len() != 0 || metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err(wrong("it is another user's"));
        }
        std::os::unix::fs::fchown(&file, Some(owner), None)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_ended_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "{\"type\":\"lo").unwrap();
        let mut log = LogFile::open(&path, nix::unistd::geteuid().as_raw()).unwrap();
        log.write(b"one\n").unwrap();
        log.write(b"two\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"type\":\"lo\none\ntwo\n");
    }

    #[test]
    fn lines_follow_the_name_when_the_file_is_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut log = LogFile::open(&path, nix::unistd::geteuid().as_raw()).unwrap();
        log.write(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        log.looked -= LOOK_EVERY;
        log.write(b"two\n").unwrap();
        log.looked -= LOOK_EVERY;
        log.write(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\nthree\n");
        // What stands there now is not written to.
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        log.looked -= LOOK_EVERY;
        log.write(b"four\n").unwrap_err();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    }
}
