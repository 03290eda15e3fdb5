use crate::index::each;
use crate::info::{Info, Result};

/// What `read` makes of each unit, in the order of the units, read on all CPUs. Each thread has
/// debug info of its own, and so what it keeps of units it has read.
pub(crate) fn each_unit<'a, R: Send>(
    info: &Info<'a>,
    units: &[usize],
    read: impl Fn(&Info<'a>, usize) -> Result<R> + Sync,
) -> Vec<(usize, Result<R>)> {
    let binary = info.binary;
    let parts = each(
        units,
        |unit| info.weight(unit),
        None,
        || (Info::new(binary), Vec::new()),
        |(info, found), unit| {
            let result = match info {
                Ok(info) => read(info, unit),
                Err(error) => Err(*error),
            };
            found.push((unit, result));
        },
        |(_, found)| found,
    );
    let mut all: Vec<_> = parts.into_iter().flatten().collect();
    all.sort_unstable_by_key(|found| found.0);
    all
}

impl Info<'_> {
    /// How long reading a unit takes, compared with others.
    fn weight(&self, unit: usize) -> usize {
        self.skeleton_header(unit)
            .map_or(0, |header| header.unit_length())
    }
}
