//! Where names and source files are: the index of a binary.

mod collect;
mod component;
mod cursor;
mod files;
mod form;
mod inlined;
mod names;
mod parallel;
mod plan;
mod root;
mod table;
mod text;
mod walk;

use std::sync::OnceLock;

pub(crate) use files::FileIndex;
pub(crate) use names::{Kind, NameIndex};
pub(crate) use parallel::OnProgress;
pub(crate) use walk::Parents;

use crate::binary::Binary;
use crate::info::Info;

/// What is known of where things are, each part made when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct Index {
    files: OnceLock<FileIndex>,
    names: OnceLock<NameIndex>,
}

impl Index {
    pub(crate) fn files<'a>(&self, binary: &'a Binary, info: &Info<'a>) -> &FileIndex {
        self.files
            .get_or_init(|| files::read(binary, info, None))
    }

    pub(crate) fn names<'a>(&self, binary: &'a Binary, info: &Info<'a>) -> &NameIndex {
        self.names
            .get_or_init(|| collect::read(binary, info, None))
    }
}
