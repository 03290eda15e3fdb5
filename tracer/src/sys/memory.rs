use std::io;

/// Whether two processes share their address space (kcmp(2), `KCMP_VM`).
pub(crate) fn same_address_space(a: i32, b: i32) -> io::Result<bool> {
    const KCMP_VM: libc::c_long = 1;
    // SAFETY: kcmp takes numbers only.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kcmp,
            libc::c_long::from(a),
            libc::c_long::from(b),
            KCMP_VM,
            0 as libc::c_long,
            0 as libc::c_long,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result == 0)
    }
}
