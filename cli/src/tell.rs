/// Tells the user a line on standard error, formatted as by `format!`. Unlike `eprintln!` it does
/// not panic where nobody reads that, as in `lr attach … 2>&1 | head`: a panic would skip what is
/// still to be taken back.
macro_rules! tell {
    ($($argument:tt)*) => {
        $crate::tell::line(&format!($($argument)*))
    };
}

pub(crate) use tell;

pub(crate) fn line(text: &str) {
    raw(&format!("{text}\n"));
}

/// Text that has its line ends.
pub(crate) fn raw(text: &str) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(text.as_bytes());
}
