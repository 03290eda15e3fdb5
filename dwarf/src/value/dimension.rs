use super::evaluate::Result;
use super::referent::Surroundings;
use super::tree::{Absent, Reason};
use crate::info::{Die, DieRef, Info};

/// One dimension of an array: `DW_TAG_subrange_type` (DWARF 5, 5.13).
#[derive(Clone, Debug)]
pub(super) struct Dimension {
    pub(super) count: Result<u64>,
    /// From one element to the next, in bits; `None` where they lie one behind the other.
    pub(super) stride: Option<u64>,
}

/// The dimensions of an array, outermost first; their lengths may be those of a frame.
pub(super) fn dimensions<'a>(
    info: &Info<'a>,
    array: DieRef,
    frame: Option<&Surroundings<'_, 'a>>,
) -> Result<Vec<Dimension>> {
    let mut dimensions = Vec::new();
    for die in info.children(array)? {
        let count = match die.tag() {
            gimli::DW_TAG_subrange_type => count(&die, frame),
            gimli::DW_TAG_enumeration_type => {
                Err(Absent::unsupported("an array over an enumeration"))
            }
            _ => continue,
        };
        let stride = stride(&die)?;
        dimensions.push(Dimension { count, stride });
    }
    if let Some(last) = dimensions.last_mut()
        && last.stride.is_none()
    {
        last.stride = stride(&info.die(array)?)?;
    }
    Ok(dimensions)
}

/// From one element to the next, in bits, where that is told.
fn stride(die: &Die<'_>) -> Result<Option<u64>> {
    for (name, bits) in [(gimli::DW_AT_byte_stride, 8), (gimli::DW_AT_bit_stride, 1)] {
        if die.attr(name).is_some() {
            let stride = die.udata(name).and_then(|stride| stride.checked_mul(bits));
            let other = || Absent::unsupported("a stride that is computed, or goes down");
            return stride.map(Some).ok_or_else(other);
        }
    }
    Ok(None)
}

fn count<'a>(die: &Die<'a>, frame: Option<&Surroundings<'_, 'a>>) -> Result<u64> {
    let unknown = || Absent::new(Reason::Length, "debug info does not tell how many");
    let number = |name| -> Result<Option<i64>> {
        let Some(attr) = die.entry.attr(name) else {
            return Ok(None);
        };
        let constant = match attr.value() {
            gimli::AttributeValue::Sdata(value) => Some(value),
            _ => attr.udata_value().map(u64::cast_signed),
        };
        match (constant, frame) {
            (Some(constant), _) => Ok(Some(constant)),
            (None, Some(frame)) => frame.number(die, name).map(Some),
            (None, None) => Err(unknown()),
        }
    };
    if let Some(count) = number(gimli::DW_AT_count)? {
        return u64::try_from(count).map_err(|_| unknown());
    }
    let Some(upper) = number(gimli::DW_AT_upper_bound)? else {
        return Err(unknown());
    };
    let lower = number(gimli::DW_AT_lower_bound)?.unwrap_or(0);
    // The last of no elements is the one before the first.
    let count = upper
        .checked_sub(lower)
        .and_then(|last| last.checked_add(1));
    count
        .and_then(|count| u64::try_from(count).ok())
        .ok_or_else(unknown)
}
