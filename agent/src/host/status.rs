use super::capability::CapabilitySet;

/// The lines of `/proc/pid/status` (proc(5)) that we use. A line that is missing or odd is `None`
/// or zero: kernels differ, and sandboxes leave lines out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// The process that a thread belongs to.
    pub tgid: Option<u32>,
    /// 0 where nobody traces it.
    pub tracer_pid: u32,
    pub uids: Ids,
    pub gids: Ids,
    pub sig_blk: u64,
    pub sig_ign: u64,
    pub sig_cgt: u64,
    /// The thread's returns are compared with a stack of their own.
    pub shadow_stack: bool,
    pub cap_prm: CapabilitySet,
    pub cap_eff: CapabilitySet,
}

/// Real, effective and saved id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ids {
    pub real: u32,
    pub effective: u32,
    pub saved: u32,
}

impl Status {
    pub fn parse(text: &str) -> Status {
        let mut status = Status::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match key {
                "Tgid" => status.tgid = value.parse().ok(),
                "TracerPid" => status.tracer_pid = value.parse().unwrap_or(0),
                "Uid" => status.uids = ids(value).unwrap_or_default(),
                "Gid" => status.gids = ids(value).unwrap_or_default(),
                "SigBlk" => status.sig_blk = mask(value),
                "SigIgn" => status.sig_ign = mask(value),
                "SigCgt" => status.sig_cgt = mask(value),
                // Documentation/arch/x86/shstk.rst of the kernel.
                "x86_Thread_features" => {
                    status.shadow_stack = value.split(' ').any(|feature| feature == "shstk");
                }
                "CapPrm" => status.cap_prm = CapabilitySet(mask(value)),
                "CapEff" => status.cap_eff = CapabilitySet(mask(value)),
                _ => {}
            }
        }
        status
    }
}

fn ids(text: &str) -> Option<Ids> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some(Ids {
        real: numbers.next()?.ok()?,
        effective: numbers.next()?.ok()?,
        saved: numbers.next()?.ok()?,
    })
}

fn mask(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::host::capability::Capability;

    /// Recorded on Debian 12 from a service with a SIGTRAP handler, under strace.
    pub(crate) const RECORDED: &str = "Name:\torders\nUmask:\t0022\nState:\tS (sleeping)\n\
        Tgid:\t2417\nNgid:\t0\nPid:\t2417\nPPid:\t2301\nTracerPid:\t2500\n\
        Uid:\t1000\t1000\t1001\t1000\nGid:\t100\t100\t100\t100\nFDSize:\t64\nGroups:\t100\n\
        VmPeak:\t    4000 kB\nThreads:\t5\nSigQ:\t0/63432\nSigPnd:\t0000000000000000\n\
        ShdPnd:\t0000000000000000\nSigBlk:\t0000000000000010\nSigIgn:\t0000000000001000\n\
        SigCgt:\t0000000180000010\nCapInh:\t0000000000000000\nCapPrm:\t0000000000080000\n\
        CapEff:\t0000000000080000\nCapBnd:\t000001ffffffffff\nSeccomp:\t0\n";

    #[test]
    fn a_shadow_stack_is_told_of_each_thread() {
        let has = |text: &str| Status::parse(text).shadow_stack;
        assert!(has(
            "x86_Thread_features:\tshstk \nx86_Thread_features_locked:\tshstk wrss \n"
        ));
        assert!(has("x86_Thread_features:\twrss shstk\n"));
        assert!(!has(
            "x86_Thread_features:\t\nx86_Thread_features_locked:\tshstk wrss \n"
        ));
        assert!(!has(RECORDED));
    }

    #[test]
    fn a_recorded_text_decodes() {
        let status = Status::parse(RECORDED);
        assert_eq!(status.tgid, Some(2417));
        assert_eq!(status.tracer_pid, 2500);
        assert_eq!(
            status.uids,
            Ids {
                real: 1000,
                effective: 1000,
                saved: 1001
            }
        );
        assert_eq!(status.gids.real, 100);
        assert_eq!(
            (status.sig_blk, status.sig_ign, status.sig_cgt),
            (0x10, 0x1000, 0x1_8000_0010)
        );
        assert!(status.cap_eff.has(Capability::SysPtrace));
        assert!(!status.cap_eff.has(Capability::SysAdmin));
    }

    #[test]
    fn missing_and_odd_lines_are_defaults() {
        assert_eq!(Status::parse(""), Status::default());
        assert_eq!(
            Status::parse("TracerPid:\tx\nUid:\t1 2\nSigIgn:\tzz\nno colon\n"),
            Status::default()
        );
    }
}
