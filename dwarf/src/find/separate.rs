use std::path::{Path, PathBuf};

use super::build_id::{debug_path, hexadecimal};
use super::debug_files::DebugFiles;
use super::debug_info::Tried;
use crate::image::Image;
use crate::loader::{Mapped, OpenError, Root};

/// A debug file that was found and is the right one.
#[derive(Debug)]
pub(crate) struct Found {
    /// As we would open it.
    pub(crate) path: PathBuf,
    /// Where it was found: the root and the path in it. What was fetched has none.
    pub(crate) at: Option<(Root, PathBuf)>,
    pub(crate) image: Image,
}

/// Looks for the file with the debug info of a stripped binary: by build-id, then by
/// `.gnu_debuglink`, in each root, then by asking whoever can be asked.
pub(crate) fn separate(
    binary: &Image,
    name: &Path,
    files: &DebugFiles,
) -> Result<Found, Vec<Tried>> {
    let mut tried = files.closed.clone();
    let by_id = binary.build_id.as_deref().and_then(debug_path);
    for root in &files.roots {
        let by_id = by_id
            .iter()
            .flat_map(|tail| files.folders.iter().map(move |folder| folder.join(tail)));
        for path in by_id {
            match candidate(root, &path, binary, None) {
                Ok(found) => return Ok(found),
                Err(why) => tried.push(why),
            }
        }
        let Some((link, crc)) = &binary.debug_link else {
            continue;
        };
        for path in linked(root, name, link, &files.folders) {
            match candidate(root, &path, binary, Some(*crc)) {
                Ok(found) => return Ok(found),
                Err(why) => tried.push(why),
            }
        }
    }
    if let (Some(fetch), Some(build_id)) = (&files.fetch, &binary.build_id) {
        match fetched(&**fetch, binary, build_id) {
            Ok(found) => return Ok(found),
            Err(why) => tried.push(why),
        }
    }
    Err(tried)
}

/// Where gdb looks for what `.gnu_debuglink` names.
fn linked(root: &Root, name: &Path, link: &Path, folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for directory in root.directories_of(name) {
        paths.push(directory.join(link));
        paths.push(directory.join(".debug").join(link));
        let inside = directory.strip_prefix("/").unwrap_or(&directory);
        paths.extend(folders.iter().map(|folder| folder.join(inside).join(link)));
    }
    paths
}

fn candidate(root: &Root, path: &Path, binary: &Image, crc: Option<u32>) -> Result<Found, Tried> {
    let name = root.outside_name(path);
    let tried = |why: String| Tried::present(&name, why);
    let file = root
        .open(path)
        .map_err(|error| Tried::not_open(&name, &error))?;
    let map = Mapped::new(&file).map_err(|error| tried(error.to_string()))?;
    let image = Image::read(map, &name).map_err(|error| tried(error.to_string()))?;
    check(&image, binary, crc).map_err(tried)?;
    Ok(Found {
        path: name,
        at: Some((root.clone(), path.to_owned())),
        image,
    })
}

/// Whether a debug file was made of this binary, and is of use.
fn check(image: &Image, binary: &Image, crc: Option<u32>) -> Result<(), String> {
    match (&binary.build_id, &image.build_id, crc) {
        (Some(wanted), Some(found), _) if wanted != found => {
            return Err(other_build(wanted, found));
        }
        (Some(_), Some(_), _) => {}
        (Some(wanted), None, None) => {
            return Err(format!("no build-id, wanted {}", hexadecimal(wanted)));
        }
        (_, _, Some(crc)) => {
            let found = image.checksum();
            if found != crc {
                return Err(format!("CRC {found:08x}, wanted {crc:08x}"));
            }
        }
        (None, _, None) => return Err("nothing says whose it is".to_owned()),
    }
    match image.has_debug_info() {
        true => Ok(()),
        false => Err("no debug info in it".to_owned()),
    }
}

fn fetched(fetch: &dyn super::Fetch, binary: &Image, build_id: &[u8]) -> Result<Found, Tried> {
    let name = format!("debug info of build-id {}", hexadecimal(build_id));
    let tried = |why: String| Tried {
        place: "debuginfod".to_owned(),
        why,
        is_absent: false,
    };
    let file = match fetch.debug_info(build_id) {
        Ok(Some(file)) => file,
        Ok(None) => {
            return Err(Tried {
                is_absent: true,
                ..tried("no server has it".to_owned())
            });
        }
        Err(why) => return Err(tried(why)),
    };
    let path = PathBuf::from(name);
    let map = Mapped::new(&file).map_err(|error| tried(error.to_string()))?;
    let image = Image::read(map, &path).map_err(|error| tried(error.to_string()))?;
    check(&image, binary, None).map_err(tried)?;
    Ok(Found {
        path,
        at: None,
        image,
    })
}

pub(super) fn other_build(wanted: &[u8], found: &[u8]) -> String {
    format!(
        "another build: build-id {}, wanted {}",
        hexadecimal(found),
        hexadecimal(wanted)
    )
}

impl Tried {
    pub(super) fn present(name: &Path, why: String) -> Tried {
        Tried {
            place: name.display().to_string(),
            why,
            is_absent: false,
        }
    }

    pub(super) fn not_open(name: &Path, error: &OpenError) -> Tried {
        Tried {
            place: name.display().to_string(),
            why: match error.is_absent() {
                true => "not there".to_owned(),
                false => error.to_string(),
            },
            is_absent: error.is_absent(),
        }
    }
}
