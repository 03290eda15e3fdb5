//! Which source file a user means, and which units have code of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::LocateError;
use crate::info::{Info, normal_path, same_file};
use crate::resolve::rows::has_code;
use crate::resolve::suggest::similar;

/// Unit to the indices that a file has in its table.
pub(crate) type Sources = BTreeMap<usize, Vec<u64>>;

/// The one source file whose path ends in `wanted`, and where its rows are.
pub(crate) fn find_file(
    info: &Info<'_>,
    wanted: &str,
) -> std::result::Result<(String, Sources), LocateError> {
    let wanted = normal_path(wanted);
    let last = wanted.rsplit('/').next().unwrap_or(&wanted);
    let mut found: BTreeMap<String, Sources> = BTreeMap::new();
    let files = info.binary.files(info);
    for (file, path) in files.called(last.as_bytes()) {
        if !ends_in(&path, &wanted) {
            continue;
        }
        let sources = found.entry(path).or_default();
        for (unit, index) in files.uses(file) {
            sources.entry(unit).or_default().push(index);
        }
    }
    merge_relative(&mut found);
    if found.len() > 1 {
        if let Some(sources) = found.remove(&wanted) {
            return Ok((wanted, sources));
        }
        let with_code: BTreeSet<String> = found
            .iter()
            .filter(|(_, sources)| has_code(info, sources))
            .map(|(path, _)| path.clone())
            .collect();
        if !with_code.is_empty() {
            found.retain(|path, _| with_code.contains(path));
        }
    }
    let names = files
        .names()
        .filter_map(|name| std::str::from_utf8(name).ok());
    match found.len() {
        0 => Err(LocateError::NoSuchFile {
            name: info.binary.name().display().to_string(),
            similar: similar(last, names),
            file: wanted,
        }),
        1 => Ok(found.pop_first().expect("there is one")),
        _ => Err(LocateError::AmbiguousFile {
            file: wanted,
            candidates: found.into_keys().collect(),
        }),
    }
}

/// A path that lacks its directory joins the one that has it.
fn merge_relative(found: &mut BTreeMap<String, Sources>) {
    let relative = found.keys().filter(|path| !path.starts_with('/')).cloned();
    for path in relative.collect::<Vec<String>>() {
        let is_full = |full: &&String| full.starts_with('/') && same_file(full, &path);
        let Some(full) = found.keys().find(is_full).cloned() else {
            continue;
        };
        let sources = found.remove(&path).unwrap_or_default();
        let known = found.entry(full).or_default();
        for (unit, files) in sources {
            known.entry(unit).or_default().extend(files);
        }
    }
}

fn ends_in(path: &str, wanted: &str) -> bool {
    path.strip_suffix(wanted)
        .is_some_and(|before| before.is_empty() || before.ends_with('/'))
}
