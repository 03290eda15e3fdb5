use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::build_id::debug_path;
use super::debug_files::DebugFiles;
use super::debug_info::Tried;
use super::separate::other_build;
use crate::image::Image;
use crate::loader::{Mapped, Root};

/// Looks for the file that `.gnu_debugaltlink` names: what dwz moved out of several debug files.
/// The name is absolute, or relative to the debug file, which `at` says the place of.
pub(crate) fn shared(
    image: &Image,
    at: Option<&(Root, PathBuf)>,
    name: &Path,
    files: &DebugFiles,
) -> Result<Option<Image>, Vec<Tried>> {
    let Some((link, build_id)) = &image.shared else {
        return Ok(None);
    };
    let link = Path::new(std::ffi::OsStr::from_bytes(link));
    let mut tried = Vec::new();
    // Beside the debug file, in its root, before anywhere else.
    let roots = at.iter().map(|(root, _)| root).chain(&files.roots);
    for root in roots {
        for path in places(root, link, at, name, build_id, files) {
            match candidate(root, &path, build_id) {
                Ok(image) => return Ok(Some(image)),
                Err(why) if tried.contains(&why) => {}
                Err(why) => tried.push(why),
            }
        }
    }
    if let Some(fetch) = &files.fetch {
        let why = match fetch.debug_info(build_id) {
            Ok(Some(file)) => match read(&file, link, build_id) {
                Ok(image) => return Ok(Some(image)),
                Err(why) => why,
            },
            Ok(None) => "no server has it".to_owned(),
            Err(why) => why,
        };
        tried.push(Tried {
            place: "debuginfod".to_owned(),
            why,
            is_absent: false,
        });
    }
    Err(tried)
}

fn places(
    root: &Root,
    link: &Path,
    at: Option<&(Root, PathBuf)>,
    name: &Path,
    build_id: &[u8],
    files: &DebugFiles,
) -> Vec<PathBuf> {
    let mut places = Vec::new();
    match at {
        _ if link.is_absolute() => places.push(link.to_owned()),
        Some((_, debug_file)) => places.extend(beside(debug_file, link)),
        None => {
            for directory in root.directories_of(name) {
                places.push(directory.join(link));
            }
        }
    }
    for folder in &files.folders {
        places.extend(debug_path(build_id).map(|tail| folder.join(tail)));
        // Where Debian and Fedora have them, whatever the link says (gdb's dwz.c).
        places.extend(link.file_name().map(|name| folder.join(".dwz").join(name)));
    }
    places
}

fn beside(debug_file: &Path, link: &Path) -> Option<PathBuf> {
    Some(debug_file.parent()?.join(link))
}

fn candidate(root: &Root, path: &Path, build_id: &[u8]) -> Result<Image, Tried> {
    let name = root.outside_name(path);
    let file = root
        .open(path)
        .map_err(|error| Tried::not_open(&name, &error))?;
    read(&file, &name, build_id).map_err(|why| Tried::present(&name, why))
}

fn read(file: &std::fs::File, name: &Path, build_id: &[u8]) -> Result<Image, String> {
    let map = Mapped::new(file).map_err(|error| error.to_string())?;
    let image = Image::read(map, name).map_err(|error| error.to_string())?;
    match &image.build_id {
        Some(found) if found == build_id => Ok(image),
        Some(found) => Err(other_build(build_id, found)),
        None => Err("no build-id in it".to_owned()),
    }
}
