/// A set of capabilities as `/proc/pid/status` writes it (capabilities(7)).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CapabilitySet(pub u64);

/// Those that decide what we may do; the numbers are of `linux/capability.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Capability {
    DacOverride = 1,
    SysPtrace = 19,
    SysAdmin = 21,
}

impl CapabilitySet {
    pub fn has(self, capability: Capability) -> bool {
        self.0 & (1 << (capability as u32)) != 0
    }

    /// Whether everything in `other` is in this set too.
    pub fn covers(self, other: CapabilitySet) -> bool {
        other.0 & !self.0 == 0
    }
}
