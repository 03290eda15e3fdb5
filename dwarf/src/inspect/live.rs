use super::lifetime::{InstanceLines, Lifetime};
use super::variable::LineRange;
use crate::address::{FileAddr, LoadBias};
use crate::binary::Binary;
use crate::compile::{Scope, Stop};
use crate::info::{DieRef, Info};
use crate::place::{Place, ScopeId};

/// What a frame executes: an address in a function or an inlined instance of one.
pub(crate) struct Spot<'s> {
    pub(crate) addr: u64,
    pub(crate) instance: DieRef,
    pub(crate) file: &'s str,
    pub(crate) line: u32,
}

/// The lines at which each of some variables has a value, in the function around a spot; none
/// where that is not known. A variable comes with the scope that it is in, as a node of its unit's.
pub(crate) fn live_lines(
    binary: &Binary,
    spot: &Spot<'_>,
    variables: &[(usize, DieRef)],
) -> Vec<Vec<LineRange>> {
    read(binary, spot, variables).unwrap_or_default()
}

fn read(
    binary: &Binary,
    spot: &Spot<'_>,
    variables: &[(usize, DieRef)],
) -> Result<Vec<Vec<LineRange>>, Stop> {
    let info = Info::new(binary)?;
    let place = Place {
        addr: FileAddr(spot.addr),
        function: String::new(),
        file: spot.file.to_owned(),
        line: spot.line,
        column: 0,
        inlined: Vec::new(),
        scope: Some(ScopeId {
            unit: info.unit_offset(spot.instance.unit),
            die: spot.instance.offset,
        }),
        view: None,
    };
    let scope = Scope::new(std::rc::Rc::new(info), &place, LoadBias(0))?;
    let Some(scopes) = scope.unit_scopes() else {
        return Ok(Vec::new());
    };
    let Some(instance) = scopes.of_die(spot.instance.offset) else {
        return Ok(Vec::new());
    };
    let lines = InstanceLines::read(&scope, instance, spot.file, spot.line)?;
    let mut all = Vec::new();
    for &(node, at) in variables {
        let lifetime = Lifetime::read(&scope, &scope.info.die(at)?)?;
        all.push(lines.live(scopes, node, &lifetime));
    }
    Ok(all)
}
