use crate::target::Target;

const PAGE: u64 = 4096;
/// How far below a frame the end of its stack is looked for.
const MAX_STACK: u64 = 64 << 20;

/// Whether a frame that is not above its callee is on another stack, to which the callee switched
/// and said so in its unwind table. Stacks have an end, below which nothing can be read; a saved
/// frame pointer that was overwritten points into the same stack.
pub(super) fn is_other_stack(target: &Target<'_>, own: Option<u64>, behind: Option<u64>) -> bool {
    let (Some(own), Some(behind)) = (own, behind) else {
        return false;
    };
    let lowest = own.saturating_sub(MAX_STACK).max(behind);
    let mut page = own & !(PAGE - 1);
    while page > lowest {
        if target.word(page).is_none() {
            // And not because no more may be read.
            return target.word(behind).is_some();
        }
        page -= PAGE;
    }
    false
}
