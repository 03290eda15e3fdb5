//! Indexes on disk, so that the second question about a binary is answered at once.
//!
//! A file is written under a name of its own and renamed, so that two processes may write the same
//! one, and whoever reads it sees all of it or nothing. What it says is believed if its checksum is
//! right and it is about this very debug info; otherwise it is written anew. Whatever fails here
//! costs time and nothing else.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use nix::unistd::{Gid, Uid, geteuid, setfsgid, setfsuid};
use xxhash_rust::xxh3::Xxh3;

use super::table::Table;
use crate::loader::{Mapped, open_regular};

const MAGIC: [u8; 8] = *b"lrindex\n";
/// Changes with the form of what is kept and with what is put into it.
const VERSION: u32 = 1;
/// Magic, version, length of the key, checksum.
const HEADER: usize = 24;
/// A file that nobody renamed in this time has no writer any more.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The folder in which indexes are kept between runs, and how much of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexCache {
    folder: PathBuf,
    most_bytes: u64,
    owner: Option<(u32, u32)>,
}

/// What an index is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Key {
    /// Of the file, without a folder.
    pub(super) name: String,
    /// Equal for equal debug info.
    pub(super) about: Vec<u8>,
}

impl IndexCache {
    /// At most 2 GiB in a folder that is made, for its owner only, when something is kept.
    pub fn new(folder: PathBuf) -> IndexCache {
        IndexCache {
            folder,
            most_bytes: 2 << 30,
            owner: None,
        }
    }

    /// Another limit. Over it, what was not used for the longest time goes first.
    #[must_use]
    pub fn at_most(mut self, bytes: u64) -> IndexCache {
        self.most_bytes = bytes;
        self
    }

    /// User and group in whose place root reads and writes: under `sudo` the cache is that of the
    /// user who called it, and so are the links in its path.
    #[must_use]
    pub fn owned_by(mut self, uid: u32, gid: u32) -> IndexCache {
        self.owner = Some((uid, gid));
        self
    }

    pub(super) fn read(&self, key: &Key) -> Option<Table> {
        let _as_owner = AsOwner::begin(self.owner);
        let file = open_regular(&self.folder.join(&key.name)).ok()?;
        if !is_ours(&file.metadata().ok()?, self.owner) {
            return None;
        }
        let map = Mapped::new(&file).ok()?;
        let body = check(&map, key)?;
        // When it was used last, whether or not the file system keeps count. Not everybody may say.
        let _ = file.set_modified(SystemTime::now());
        let table = Table::mapped(map, body)?;
        (!table.is_torn()).then_some(table)
    }

    /// Keeps a table, if it can be kept.
    pub(super) fn write(&self, key: &Key, table: &Table) {
        let _as_owner = AsOwner::begin(self.owner);
        let bytes = table.raw();
        if bytes.len() as u64 > self.most_bytes / 2 {
            return;
        }
        let _ = self.try_write(key, bytes);
    }

    fn try_write(&self, key: &Key, bytes: &[u8]) -> io::Result<()> {
        self.make_folder()?;
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let fresh = format!("{}.{}-{number}.new", key.name, std::process::id());
        let fresh = self.folder.join(fresh);
        let written = self
            .fill(&fresh, key, bytes)
            .and_then(|()| std::fs::rename(&fresh, self.folder.join(&key.name)));
        if written.is_err() {
            let _ = std::fs::remove_file(&fresh);
        }
        self.evict(&key.name);
        written
    }

    fn fill(&self, path: &Path, key: &Key, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let mut hash = Xxh3::new();
        hash.update(&key.about);
        hash.update(bytes);
        file.write_all(&MAGIC)?;
        file.write_all(&VERSION.to_le_bytes())?;
        let len = u32::try_from(key.about.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        file.write_all(&len.to_le_bytes())?;
        file.write_all(&hash.digest().to_le_bytes())?;
        file.write_all(&key.about)?;
        file.write_all(bytes)
    }

    fn make_folder(&self) -> io::Result<()> {
        if !self.folder.is_dir() {
            make(&self.folder)?;
        }
        let folder = std::fs::metadata(&self.folder)?;
        if !is_ours(&folder, self.owner) || folder.permissions().mode() & 0o022 != 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(())
    }

    /// Removes what is too much, and what writers left behind that were killed.
    fn evict(&self, keep: &str) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        let now = SystemTime::now();
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            // Other programs' files are not ours to remove, nor to count.
            if name.ends_with(".new") && name.contains(SUFFIX) {
                let age = now.duration_since(modified).unwrap_or_default();
                if age > ABANDONED {
                    let _ = std::fs::remove_file(path);
                }
            } else if name.ends_with(SUFFIX) && *name != *keep {
                kept.push((modified, metadata.len(), path));
            }
        }
        let fresh = std::fs::metadata(self.folder.join(keep));
        let mut sum: u64 = kept.iter().map(|&(_, len, _)| len).sum();
        sum += fresh.map_or(0, |fresh| fresh.len());
        kept.sort();
        for (_, len, path) in kept {
            if sum <= self.most_bytes {
                return;
            }
            if std::fs::remove_file(path).is_ok() {
                sum -= len;
            }
        }
    }
}

/// Makes a folder and those around it that are missing.
fn make(folder: &Path) -> io::Result<()> {
    if let Some(around) = folder.parent()
        && !around.as_os_str().is_empty()
        && !around.is_dir()
    {
        make(around)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// At the end of the name of every file here.
const SUFFIX: &str = ".lrindex";

impl Key {
    /// Of a part of the index of debug info with this build-id; `None` where an id is none.
    pub(super) fn new(build_id: &[u8], part: &str, about: &[u8]) -> Option<Key> {
        // Longer ones than any hash has are not made by linkers.
        if build_id.is_empty() || build_id.len() > 64 {
            return None;
        }
        let id: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut key = part.as_bytes().to_vec();
        key.extend(about);
        Some(Key {
            name: format!("{id}-{part}{SUFFIX}"),
            about: key,
        })
    }
}

/// For as long as it is there, this thread has the rights of another user in the file system.
struct AsOwner(Option<(Uid, Gid)>);

impl AsOwner {
    fn begin(owner: Option<(u32, u32)>) -> AsOwner {
        let owner = owner.filter(|_| geteuid().is_root());
        AsOwner(owner.map(|(uid, gid)| {
            // The group first: without root's rights it could not be changed.
            let group = setfsgid(Gid::from_raw(gid));
            (setfsuid(Uid::from_raw(uid)), group)
        }))
    }
}

impl Drop for AsOwner {
    fn drop(&mut self) {
        if let Some((user, group)) = self.0 {
            setfsuid(user);
            setfsgid(group);
        }
    }
}

/// Whether a file is that of the user that this process works for.
fn is_ours(metadata: &Metadata, owner: Option<(u32, u32)>) -> bool {
    let user = owner.map_or_else(|| geteuid().as_raw(), |(uid, _)| uid);
    metadata.uid() == user
}

/// Where the table begins, if a file is what it should be.
fn check(bytes: &[u8], key: &Key) -> Option<usize> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if bytes.get(..8)? != MAGIC || number(8)? != VERSION {
        return None;
    }
    let body = HEADER.checked_add(number(12)? as usize)?;
    if bytes.get(HEADER..body)? != key.about {
        return None;
    }
    let expected = u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?);
    let mut hash = Xxh3::new();
    hash.update(&bytes[HEADER..]);
    (hash.digest() == expected).then_some(body)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::super::table::TableBuilder;
    use super::*;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Folder {
            let name = format!("lr-index-cache-{test}-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            let _ = std::fs::remove_dir_all(&folder);
            Folder(folder)
        }

        fn cache(&self) -> IndexCache {
            IndexCache::new(self.0.join("lr"))
        }

        fn files(&self) -> Vec<PathBuf> {
            let entries = std::fs::read_dir(self.0.join("lr")).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn key(id: u8, about: &[u8]) -> Key {
        Key::new(&[id; 20], "names", about).unwrap()
    }

    fn table(text: &[u8]) -> Table {
        let mut builder = TableBuilder::new(1);
        builder.text(0, text).unwrap();
        builder.finish()
    }

    fn text(cache: &IndexCache, key: &Key) -> Option<Vec<u8>> {
        let table = cache.read(key)?;
        Some(
            table
                .bytes(0, 0, u32::try_from(table.len(0) * 4).unwrap())
                .to_vec(),
        )
    }

    #[test]
    fn what_was_kept_comes_back() {
        let folder = Folder::new("kept");
        let cache = folder.cache();
        assert_eq!(text(&cache, &key(1, b"a")), None);
        cache.write(&key(1, b"a"), &table(b"text"));
        assert_eq!(text(&cache, &key(1, b"a")).unwrap(), b"text");
        // Other debug info with the same build-id, other files.
        assert_eq!(text(&cache, &key(1, b"b")), None);
        assert_eq!(text(&cache, &key(2, b"a")), None);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.0.join("lr")), 0o700);
        assert_eq!(mode(&folder.files()[0]), 0o600);
    }

    #[test]
    fn a_build_id_that_is_none_keeps_nothing() {
        assert_eq!(Key::new(&[], "names", b""), None);
        assert_eq!(Key::new(&[0; 65], "names", b""), None);
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let folder = Folder::new("flips");
        let (cache, key) = (folder.cache(), key(1, b"about"));
        cache.write(&key, &table(b"some text, long enough to be of use"));
        let file = folder.files().remove(0);
        let good = std::fs::read(&file).unwrap();
        for at in 0..good.len() {
            for bit in [1, 0x80] {
                let mut bytes = good.clone();
                bytes[at] ^= bit;
                std::fs::write(&file, &bytes).unwrap();
                assert_eq!(text(&cache, &key), None, "byte {at}");
            }
        }
        for len in 0..good.len() {
            std::fs::write(&file, &good[..len]).unwrap();
            assert_eq!(text(&cache, &key), None, "{len} bytes");
        }
        let mut longer = good.clone();
        longer.push(0);
        std::fs::write(&file, &longer).unwrap();
        assert_eq!(text(&cache, &key), None);
        // And what is written over it is good again.
        cache.write(&key, &table(b"text"));
        assert_eq!(text(&cache, &key).unwrap(), b"text");
    }

    #[test]
    fn another_version_is_written_anew() {
        let folder = Folder::new("version");
        let (cache, key) = (folder.cache(), key(1, b""));
        cache.write(&key, &table(b"text"));
        let file = folder.files().remove(0);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(text(&cache, &key), None);
    }

    #[test]
    fn writers_do_not_meet() {
        let folder = Folder::new("writers");
        let (cache, key) = (folder.cache(), key(1, b""));
        let long = vec![b'x'; 100_000];
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        cache.write(&key, &table(&long));
                        // There from the first write on, and always whole.
                        assert_eq!(text(&cache, &key).unwrap(), long);
                    }
                });
            }
        });
        assert_eq!(folder.files().len(), 1);
    }

    #[test]
    fn the_one_not_used_for_longest_goes_first() {
        let folder = Folder::new("evict");
        let long = table(&[b'x'; 1000]);
        let cache = folder.cache().at_most(3500);
        for id in 1..=3 {
            cache.write(&key(id, b""), &long);
            let file = File::open(folder.0.join("lr").join(key(id, b"").name)).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(id));
            file.set_modified(time).unwrap();
        }
        // Using it makes the first one the newest.
        assert!(text(&cache, &key(1, b"")).is_some());
        cache.write(&key(4, b""), &long);
        let known = |id| text(&cache, &key(id, b"")).is_some();
        assert_eq!(
            [known(1), known(2), known(3), known(4)],
            [true, false, true, true]
        );
        // What alone is more than half of everything is not kept.
        cache.write(&key(5, b""), &table(&[b'x'; 2000]));
        assert!(!known(5));
    }

    /// As `sudo` has it.
    #[test]
    fn roots_cache_may_be_a_users() {
        if !geteuid().is_root() {
            return;
        }
        const NOBODY: u32 = 65_534;
        let folder = Folder::new("owner");
        std::fs::create_dir_all(&folder.0).unwrap();
        let cache = folder.cache().owned_by(NOBODY, NOBODY);
        // Where that user may not write nothing is written, whoever we are.
        cache.write(&key(1, b""), &table(b"text"));
        assert!(!folder.0.join("lr").exists());
        std::os::unix::fs::chown(&folder.0, Some(NOBODY), Some(NOBODY)).unwrap();
        cache.write(&key(1, b""), &table(b"text"));
        for path in [folder.0.join("lr"), folder.files().remove(0)] {
            let metadata = std::fs::metadata(path).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (NOBODY, NOBODY));
        }
        assert_eq!(text(&cache, &key(1, b"")).unwrap(), b"text");
        // And root has root's rights again.
        std::fs::write(folder.0.join("lr/roots"), b"").unwrap();
        assert_eq!(
            std::fs::metadata(folder.0.join("lr/roots")).unwrap().uid(),
            0
        );
    }

    #[test]
    fn what_killed_writers_left_goes() {
        let folder = Folder::new("left");
        let cache = folder.cache();
        cache.write(&key(1, b""), &table(b"text"));
        let name = |id| {
            folder
                .0
                .join("lr")
                .join(format!("{}.7-0.new", key(id, b"").name))
        };
        for (id, age) in [(2, ABANDONED * 2), (3, Duration::ZERO)] {
            let file = File::create(name(id)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        let other = folder.0.join("lr/other");
        std::fs::write(&other, b"not ours").unwrap();
        cache.write(&key(1, b""), &table(b"text"));
        assert!(!name(2).exists());
        assert!(name(3).exists() && other.exists());
    }

    #[test]
    fn a_folder_that_cannot_be_used_costs_nothing_but_time() {
        let folder = Folder::new("unusable");
        std::fs::create_dir_all(&folder.0).unwrap();
        // A file where the folder should be: root may write into any folder.
        std::fs::write(folder.0.join("lr"), b"").unwrap();
        let cache = folder.cache();
        cache.write(&key(1, b""), &table(b"text"));
        assert_eq!(text(&cache, &key(1, b"")), None);
        assert_eq!(std::fs::read(folder.0.join("lr")).unwrap(), b"");
    }

    #[test]
    fn a_folder_that_others_may_write_is_not_used() {
        let folder = Folder::new("open");
        std::fs::create_dir_all(folder.0.join("lr")).unwrap();
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.0.join("lr"), open).unwrap();
        folder.cache().write(&key(1, b""), &table(b"text"));
        assert!(folder.files().is_empty());
    }

    /// In a mount namespace of its own, so that nothing is left mounted; only root may.
    #[test]
    fn a_full_disk_keeps_nothing_and_leaves_nothing() {
        if !geteuid().is_root() {
            return;
        }
        const INNER: &str = "LR_TEST_FULL_DISK";
        if let Some(folder) = std::env::var_os(INNER) {
            let cache = IndexCache::new(Path::new(&folder).join("lr"));
            cache.write(&key(1, b""), &table(&vec![b'x'; 1 << 20]));
            assert_eq!(text(&cache, &key(1, b"")), None);
            let left = std::fs::read_dir(Path::new(&folder).join("lr")).unwrap();
            assert_eq!(left.count(), 0);
            return;
        }
        let folder = Folder::new("full");
        std::fs::create_dir_all(&folder.0).unwrap();
        let script = "mount -t tmpfs -o size=64k none \"$LR_TEST_FULL_DISK\" && exec \"$0\" \"$@\"";
        let test = std::thread::current().name().unwrap().to_owned();
        let output = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .args([test.as_str(), "--exact"])
            .env(INNER, &folder.0)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        // Where even root may not mount, as in some containers, there is nothing to see.
        if said.is_empty() {
            return;
        }
        assert!(said.contains("1 passed"), "{said}");
    }
}
