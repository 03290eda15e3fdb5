use std::path::Path;

/// Who may attach at all, by the Yama security module
/// (kernel documentation, `admin-guide/LSM/Yama.rst`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum YamaScope {
    /// 0, or a kernel without Yama: the ordinary rules of ptrace(2) alone.
    Classic,
    /// 1: one's own descendants, or those that allowed it by `PR_SET_PTRACER`.
    Restricted,
    /// 2: with `CAP_SYS_PTRACE` only.
    AdminOnly,
    /// 3: nobody, until the next boot.
    Nobody,
}

const PATH: &str = "/proc/sys/kernel/yama/ptrace_scope";

impl YamaScope {
    /// This machine's.
    pub fn current() -> YamaScope {
        YamaScope::read(Path::new(PATH))
    }

    /// From a file of the kernel's form; a kernel without Yama does not have it.
    pub fn read(path: &Path) -> YamaScope {
        match std::fs::read_to_string(path) {
            Ok(text) => YamaScope::parse(&text),
            Err(_) => YamaScope::Classic,
        }
    }

    fn parse(text: &str) -> YamaScope {
        match text.trim() {
            "1" => YamaScope::Restricted,
            "2" => YamaScope::AdminOnly,
            "3" => YamaScope::Nobody,
            _ => YamaScope::Classic,
        }
    }

    /// The kernel's number for it.
    pub fn number(self) -> u8 {
        match self {
            YamaScope::Classic => 0,
            YamaScope::Restricted => 1,
            YamaScope::AdminOnly => 2,
            YamaScope::Nobody => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_numbers_and_no_file() {
        for (text, expected) in [
            ("0\n", YamaScope::Classic),
            ("1\n", YamaScope::Restricted),
            ("2\n", YamaScope::AdminOnly),
            ("3\n", YamaScope::Nobody),
        ] {
            let stub = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(stub.path(), text).unwrap();
            let scope = YamaScope::read(stub.path());
            assert_eq!(scope, expected);
            assert_eq!(scope.number().to_string(), text.trim());
        }
        assert_eq!(
            YamaScope::read(Path::new("/nonexistent/ptrace_scope")),
            YamaScope::Classic
        );
    }
}
