use super::facts::{FactsError, read_stat};

/// Names a process for as long as the machine runs, unlike a pid: `pid-starttime`, with the
/// start in clock ticks since boot.
pub fn process_id(pid: u32) -> Result<String, FactsError> {
    Ok(process_id_of(pid, read_stat(pid)?.start_ticks))
}

/// The same from what has been read already.
pub fn process_id_of(pid: u32, start_ticks: u64) -> String {
    format!("{pid}-{start_ticks}")
}
