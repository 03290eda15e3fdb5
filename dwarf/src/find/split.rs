use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use gimli::{DwarfFileType, DwoId, UnitHeader};

use super::debug_files::DebugFiles;
use super::debug_info::Tried;
use crate::image::{Bytes, Image, Naming};
use crate::loader::{Mapped, Root};

/// The files that a binary's units were split into (DWARF 5 section 7.3.5, and the GNU form of it
/// before), opened when they are asked for.
#[derive(Debug)]
pub(crate) struct SplitFiles {
    debug_files: DebugFiles,
    /// The binary, and its debug file where it has one.
    names: Vec<PathBuf>,
    package: OnceLock<Option<Image>>,
    /// By index of the skeleton unit.
    files: OnceLock<Vec<Slot>>,
}

/// A `.dwo` file, or what is wrong with where it should be.
type Slot = OnceLock<Result<Image, Tried>>;

/// What a skeleton unit says of its other half.
#[derive(Debug)]
pub(crate) struct Half {
    /// As in `DW_AT_dwo_name`, and the directory that it is relative to.
    pub(crate) name: PathBuf,
    pub(crate) directory: PathBuf,
    pub(crate) id: DwoId,
}

impl SplitFiles {
    pub(crate) fn new(name: &Path, debug_file: Option<&Path>, debug_files: &DebugFiles) -> Self {
        SplitFiles {
            debug_files: debug_files.clone(),
            names: [Some(name), debug_file]
                .into_iter()
                .flatten()
                .map(Path::to_owned)
                .collect(),
            package: OnceLock::new(),
            files: OnceLock::new(),
        }
    }

    /// `program.dwp`, where there is one beside the binary or its debug file.
    pub(crate) fn package(&self) -> Option<&Image> {
        let find = || {
            let mut names = Vec::new();
            for name in &self.names {
                names.push(with_dwp(name));
                // `a.debug` has its units in `a.dwp` too (gdb manual, `open_and_init_dwp_file`).
                if name
                    .extension()
                    .is_some_and(|extension| extension == "debug")
                {
                    names.push(name.with_extension("dwp"));
                }
            }
            for root in &self.debug_files.roots {
                for path in names.iter().flat_map(|name| root.beside(name)) {
                    let image = open(root, &path).ok();
                    if let Some(image) = image.filter(Image::is_package) {
                        return Some(image);
                    }
                }
            }
            None
        };
        self.package.get_or_init(find).as_ref()
    }

    /// The `.dwo` file of a skeleton unit, or what is wrong with where it should be. `count` is
    /// the number of units that there are.
    pub(crate) fn file(&self, count: usize, unit: usize, half: &Half) -> Result<&Image, Tried> {
        let files = self
            .files
            .get_or_init(|| (0..count).map(|_| OnceLock::new()).collect());
        let Some(slot) = files.get(unit) else {
            return Err(Tried::present(&half.name, "no such unit".to_owned()));
        };
        let found = slot.get_or_init(|| self.find(half));
        found.as_ref().map_err(Clone::clone)
    }

    /// What was opened so far.
    pub(crate) fn images(&self) -> impl Iterator<Item = &Image> {
        let package = self.package.get().and_then(Option::as_ref);
        let files = self.files.get().into_iter().flatten();
        let opened = files.filter_map(|slot| slot.get()?.as_ref().ok());
        package.into_iter().chain(opened)
    }

    fn find(&self, half: &Half) -> Result<Image, Tried> {
        let whole = half.directory.join(&half.name);
        let mut first = None;
        for root in &self.debug_files.roots {
            let mut paths = vec![whole.clone()];
            // A build that was moved has them beside the program, or beneath it.
            for directory in self.names.iter().flat_map(|name| root.directories_of(name)) {
                if half.name.is_relative() {
                    paths.push(directory.join(&half.name));
                }
                paths.extend(half.name.file_name().map(|name| directory.join(name)));
            }
            for path in paths {
                let name = root.outside_name(&path);
                let found = open(root, &path).and_then(|image| {
                    check(&image, half.id).map_err(|why| Tried::present(&name, why))?;
                    Ok(image)
                });
                match found {
                    Ok(image) => return Ok(image),
                    // What is there and wrong says more than what is not there.
                    Err(tried) => match &first {
                        None => first = Some(tried),
                        Some(known) if known.is_absent && !tried.is_absent => first = Some(tried),
                        Some(_) => {}
                    },
                }
            }
        }
        Err(first.unwrap_or_else(|| Tried {
            place: whole.display().to_string(),
            why: "not looked for".to_owned(),
            is_absent: true,
        }))
    }
}

/// The unit of a `.dwo` file that a skeleton means.
pub(crate) fn unit_of<'a>(
    dwarf: &gimli::Dwarf<Bytes<'a>>,
    id: DwoId,
) -> Option<UnitHeader<Bytes<'a>>> {
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        let unit = gimli::Unit::new(dwarf, header);
        if unit.is_ok_and(|unit| unit.dwo_id == Some(id)) {
            return Some(header);
        }
    }
    None
}

fn check(image: &Image, id: DwoId) -> Result<(), String> {
    let mut dwarf = image.dwarf();
    dwarf.file_type = DwarfFileType::Dwo;
    match unit_of(&dwarf, id) {
        Some(_) => Ok(()),
        None if !image.has_debug_info() => Err("no split debug info in it".to_owned()),
        None => Err(format!("another build: no unit of id {:016x}", id.0)),
    }
}

fn open(root: &Root, path: &Path) -> Result<Image, Tried> {
    let name = root.outside_name(path);
    let file = root
        .open(path)
        .map_err(|error| Tried::not_open(&name, &error))?;
    let map = Mapped::new(&file).map_err(|error| Tried::present(&name, error.to_string()))?;
    Image::read_named(map, &name, Naming::Split)
        .map_err(|error| Tried::present(&name, error.to_string()))
}

fn with_dwp(name: &Path) -> PathBuf {
    let mut name = OsString::from(name);
    name.push(".dwp");
    PathBuf::from(name)
}
