use std::path::PathBuf;

/// As `file` and `readelf -n` write it.
pub(crate) fn hexadecimal(build_id: &[u8]) -> String {
    build_id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `.build-id/xx/yyyy.debug`; `None` where an id is too short to be one.
pub(super) fn debug_path(build_id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = build_id
        .split_first()
        .filter(|(_, rest)| !rest.is_empty())?;
    let rest = hexadecimal(rest);
    Some(PathBuf::from(format!(".build-id/{first:02x}/{rest}.debug")))
}
