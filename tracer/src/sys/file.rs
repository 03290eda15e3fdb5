use std::ffi::CString;

/// Whether a file gives capabilities to who executes it (capabilities(7), "File capabilities").
pub(crate) fn has_file_capabilities(path: &str) -> bool {
    let Ok(path) = CString::new(path) else {
        return false;
    };
    let name = c"security.capability";
    // SAFETY: both are NUL-terminated strings; without room the kernel only tells the size.
    let size = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) };
    size > 0
}
