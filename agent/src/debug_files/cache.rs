use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// How long it is believed that nobody has a file, as in elfutils' `cache_miss_s`.
const BELIEVED: Duration = Duration::from_secs(600);

/// The folder of elfutils' own client: `BUILDID/debuginfo`, empty where nobody had it.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

/// What is known of a build-id.
#[derive(Debug)]
pub(super) enum Known {
    File(File),
    /// Nobody had it a short time ago.
    Nowhere,
    Nothing,
}

/// A file that is being received.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) file: File,
    /// Where it is until it is complete; `None` if the folder cannot be used.
    path: Option<PathBuf>,
}

impl Cache {
    pub(super) fn new(folder: &Path) -> Cache {
        Cache {
            folder: folder.to_owned(),
        }
    }

    pub(super) fn known(&self, build_id: &str) -> Known {
        let path = self.place(build_id);
        let Ok(file) = lr_dwarf::open_regular(&path) else {
            return Known::Nothing;
        };
        let Ok(metadata) = file.metadata() else {
            return Known::Nothing;
        };
        if metadata.len() > 0 {
            return Known::File(file);
        }
        let age = metadata
            .modified()
            .ok()
            .and_then(|modified| SystemTime::now().duration_since(modified).ok());
        match age.is_some_and(|age| age < BELIEVED) {
            true => Known::Nowhere,
            false => Known::Nothing,
        }
    }

    /// A new file, which nobody sees under its name before it is complete. Where the folder
    /// cannot be used it is one without a name.
    pub(super) fn receive(&self, build_id: &str) -> io::Result<Receiving> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let place = self.place(build_id);
        let fresh = place.with_extension(format!("{}-{count}", std::process::id()));
        let folder = place.parent().unwrap_or(&self.folder);
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .and_then(|()| {
                File::options()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .mode(0o400)
                    .open(&fresh)
            });
        match made {
            Ok(file) => Ok(Receiving {
                file,
                path: Some(fresh),
            }),
            Err(_) => Ok(Receiving {
                file: tempfile::tempfile()?,
                path: None,
            }),
        }
    }

    /// Gives a complete file its name. Two processes that received it at once both do that.
    pub(super) fn keep(&self, build_id: &str, mut received: Receiving) -> io::Result<File> {
        if let Some(path) = received.path.take() {
            fs::rename(path, self.place(build_id))?;
        }
        received.file.try_clone()
    }

    /// Remembers that nobody has it.
    pub(super) fn keep_nowhere(&self, build_id: &str) {
        // Without the note it is only asked for again.
        if let Ok(empty) = self.receive(build_id) {
            let _ = self.keep(build_id, empty);
        }
    }

    fn place(&self, build_id: &str) -> PathBuf {
        self.folder.join(build_id).join("debuginfo")
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}
