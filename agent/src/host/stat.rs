use std::fmt;

/// The fields of `/proc/pid/stat` (proc(5)) that we use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stat {
    pub pid: u32,
    pub comm: String,
    pub state: char,
    pub parent: u32,
    pub flags: u32,
    /// Field 20: threads that have not been collected, the main one included.
    pub threads: u32,
    /// Field 22: clock ticks since boot; with the pid it names a process for good.
    pub start_ticks: u64,
    /// Field 28: where the stack begins, which another program's does elsewhere; 0 without the
    /// right to look.
    pub start_stack: u64,
}

/// The text is not what proc(5) promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatError;

impl fmt::Display for StatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/proc/pid/stat is not in the form of proc(5)")
    }
}

impl std::error::Error for StatError {}

/// `PF_KTHREAD` of the kernel's `include/linux/sched.h`.
const PF_KTHREAD: u32 = 0x0020_0000;

impl Stat {
    /// Decodes the one line. The command's name stands in parentheses and may itself contain
    /// blanks and parentheses, so that only the last `)` ends it.
    pub fn parse(text: &str) -> Result<Stat, StatError> {
        let open = text.find(" (").ok_or(StatError)?;
        let close = text.rfind(')').ok_or(StatError)?;
        let comm = text.get(open + 2..close).ok_or(StatError)?;
        // From field 3, the state, on.
        let rest: Vec<&str> = text[close + 1..].split_ascii_whitespace().collect();
        let field = |number: usize| rest.get(number - 3).copied().ok_or(StatError);
        Ok(Stat {
            pid: number(&text[..open])?,
            comm: comm.to_owned(),
            state: field(3)?.chars().next().ok_or(StatError)?,
            parent: number(field(4)?)?,
            flags: number(field(9)?)?,
            threads: number(field(20)?)?,
            start_ticks: number(field(22)?)?,
            start_stack: field(28).and_then(number).unwrap_or(0),
        })
    }

    /// Whether it has ended and only its status is left to collect. A main thread that ended
    /// before the others looks the same, but is not alone.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1
    }

    pub fn is_kernel_thread(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, StatError> {
    text.trim().parse().map_err(|_| StatError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_line_decodes() {
        let stat = Stat::parse(
            "2417 (orders) S 2301 2417 2301 34816 2417 4194304 187 0 0 0 12 3 0 0 20 0 5 0 \
             881726 289120256 512 18446744073709551615 94 95 140 0 0 0 0 4096 17472 0 0 0 17 1 0 \
             0 0 0 0 96 97 98 140 141 142 143 0\n",
        )
        .unwrap();
        assert_eq!(
            stat,
            Stat {
                pid: 2417,
                comm: "orders".to_owned(),
                state: 'S',
                parent: 2301,
                flags: 4_194_304,
                threads: 5,
                start_ticks: 881_726,
                start_stack: 140,
            }
        );
        assert!(!stat.is_zombie() && !stat.is_kernel_thread());
    }

    #[test]
    fn a_name_may_look_like_the_fields_behind_it() {
        let stat =
            Stat::parse("7 (a) Z 1 (b) R 3 7 3 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 55 0 0 0 0 0")
                .unwrap();
        assert_eq!((stat.comm.as_str(), stat.state), ("a) Z 1 (b", 'R'));
        assert_eq!(stat.start_ticks, 55);
    }

    #[test]
    fn a_process_lives_on_without_its_main_thread() {
        let line = |threads| {
            format!("7 (a) Z 1 7 7 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 {threads} 0 55 0 0 0 0 0 0")
        };
        assert!(Stat::parse(&line(1)).unwrap().is_zombie());
        assert!(!Stat::parse(&line(2)).unwrap().is_zombie());
    }

    #[test]
    fn a_kernel_thread_has_its_flag() {
        let stat =
            Stat::parse("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0 0 0 0")
                .unwrap();
        assert!(stat.is_kernel_thread());
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        for text in [
            "",
            "1",
            "1 (x",
            "1 (x)",
            "1 (x) R 1 1",
            ") (",
            "1 () ",
            "x (y) R 1",
        ] {
            assert_eq!(Stat::parse(text), Err(StatError), "{text:?}");
        }
    }
}
