//! Where names and source files are: the index of a binary.
//!
//! Two parts, each made when it is first asked for and kept on disk where a folder is given
//! ([`IndexCache`]) and the binary has a build-id:
//! - *files*: source files to units, from the headers of line tables;
//! - *names*: functions, variables of static storage and types, from one walk over all units.
//!
//! Both only say where to look: whoever asks reads the DIE and compares.

mod cache;
mod collect;
mod component;
mod cursor;
#[cfg(test)]
mod debug_names;
mod files;
mod form;
mod hints;
mod inlined;
mod names;
#[cfg(test)]
mod oracle;
mod parallel;
mod plan;
mod root;
mod table;
mod text;
mod walk;

use std::sync::OnceLock;

pub use cache::IndexCache;
pub(crate) use files::FileIndex;
pub(crate) use names::{Kind, NameIndex};
pub(crate) use parallel::each;
pub(crate) use walk::Parents;

use self::cache::Key;
use self::parallel::OnProgress;
use self::table::Table;
use crate::binary::Binary;
use crate::info::Info;

/// What is known of where things are.
#[derive(Default)]
pub(crate) struct Index {
    files: OnceLock<FileIndex>,
    names: OnceLock<NameIndex>,
    pub(crate) cache: Option<IndexCache>,
    pub(crate) progress: Option<Box<OnProgress>>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("files", &self.files.get().is_some())
            .field("names", &self.names.get().is_some())
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl Index {
    pub(crate) fn files<'a>(&self, binary: &'a Binary, info: &Info<'a>) -> &FileIndex {
        self.files.get_or_init(|| {
            let known = self.kept(info, "files").and_then(FileIndex::new);
            known.unwrap_or_else(|| {
                let read = files::read(binary, info, self.progress.as_deref());
                self.keep(info, "files", read.table());
                read
            })
        })
    }

    pub(crate) fn names<'a>(&self, binary: &'a Binary, info: &Info<'a>) -> &NameIndex {
        self.names.get_or_init(|| {
            let known = self.kept(info, "names").and_then(NameIndex::new);
            known.unwrap_or_else(|| {
                let read = collect::read(binary, info, self.progress.as_deref());
                self.keep(info, "names", read.table());
                read
            })
        })
    }

    fn kept(&self, info: &Info<'_>, part: &str) -> Option<Table> {
        let cache = self.cache.as_ref()?;
        cache.read(&key(info, part)?)
    }

    fn keep(&self, info: &Info<'_>, part: &str, table: &Table) {
        // Of a file that changed meanwhile, or that cannot be read, there is nothing to keep.
        if let Some(cache) = &self.cache
            && info.binary.is_whole()
            && let Some(key) = key(info, part)
        {
            cache.write(&key, table);
        }
    }
}

/// The build-ids of all files that take part, and how many units of which lengths they have.
fn key(info: &Info<'_>, part: &str) -> Option<Key> {
    let mut about = Vec::new();
    let binary = info.binary;
    let images = [Some(binary.debug_image()), binary.shared_image()];
    for image in images.into_iter().flatten() {
        let build_id = image.build_id.as_deref().unwrap_or_default();
        about.extend((build_id.len() as u64).to_le_bytes());
        about.extend(build_id);
    }
    let mut units = xxhash_rust::xxh3::Xxh3::new();
    // For lines the files that split units are in need not be opened.
    let all = match part {
        "files" => info.own_units(),
        _ => info.all_units(),
    };
    for unit in all.clone() {
        let header = match part {
            "files" => info.skeleton_header(unit),
            _ => info.header(unit),
        };
        let len = header.map_or(0, |header| header.unit_length());
        units.update(&(len as u64).to_le_bytes());
    }
    about.extend((info.own_units().len() as u64).to_le_bytes());
    about.extend((all.len() as u64).to_le_bytes());
    about.extend(units.digest().to_le_bytes());
    Key::new(binary.build_id()?, part, &about)
}
