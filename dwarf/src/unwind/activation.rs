use std::rc::Rc;
use std::sync::Arc;

use super::call::is_beginning;
use super::registers::FrameRegisters;
use super::sigreturn;
use crate::info::{DieRef, Info, NodeKind, UnitScopes};
use crate::target::Target;

/// One call that has not returned: a frame of the stack, whatever is inlined in its code.
#[derive(Clone, Debug)]
pub(crate) struct Activation<'a> {
    pub(crate) registers: FrameRegisters,
    /// The next instruction that it runs.
    pub(crate) pc: u64,
    /// The address that debug info is looked up at, in the file: within the call that has not
    /// returned, whose return address may belong to something else.
    pub(crate) addr: u64,
    pub(crate) module: Option<usize>,
    pub(crate) code: Option<CodeScope<'a>>,
    pub(crate) cfa: Option<u64>,
    /// Interrupted by a signal, or where the thread stands.
    pub(crate) is_exact: bool,
    /// The kernel's frame for a signal.
    pub(crate) is_signal: bool,
    /// What a stack that was made for a context begins with.
    pub(crate) is_bottom: bool,
    /// The call that it ended with: it is not on the stack any more.
    pub(crate) tail_call: Option<DieRef>,
    /// How it is known that the one before it was called here.
    pub(crate) reached: Reached,
}

/// How it is known that one frame called the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reached {
    /// By the rules of the unwind tables; of the innermost frame, by the thread's registers.
    Unwound,
    /// The code before it has no unwind table, or is none at all: on top of the stack was an
    /// address behind a call.
    Guessed,
    /// Functions between the two ended with calls, and which they were is not known.
    Skipping,
}

/// What debug info knows of the code around an address.
#[derive(Clone, Debug)]
pub(crate) struct CodeScope<'a> {
    pub(crate) info: Rc<Info<'a>>,
    pub(crate) unit: usize,
    pub(crate) scopes: Arc<UnitScopes>,
    pub(crate) innermost: Option<usize>,
}

impl<'a> Activation<'a> {
    pub(crate) fn new(
        target: &Target<'a>,
        registers: FrameRegisters,
        pc: u64,
        is_exact: bool,
    ) -> Activation<'a> {
        let is_bottom = !is_exact && is_beginning(target, pc);
        // What is before a restorer has nothing to do with it.
        let is_restorer = !is_exact && sigreturn::is_restorer(target, pc);
        let lookup = match is_exact || is_bottom || is_restorer {
            true => pc,
            false => pc.wrapping_sub(1),
        };
        let module = target.module_at(lookup);
        let addr = module.map_or(lookup, |index| target.modules()[index].file_addr(lookup).0);
        let code = module.and_then(|index| target.code_at(index, addr));
        Activation {
            registers,
            pc,
            addr,
            module,
            code,
            cfa: None,
            is_exact,
            is_signal: false,
            is_bottom,
            tail_call: None,
            reached: Reached::Unwound,
        }
    }
}

impl<'a> CodeScope<'a> {
    pub(crate) fn read(info: &Rc<Info<'a>>, addr: u64) -> Option<CodeScope<'a>> {
        let hinted = info.binary.hinted_units(info);
        let in_unit = |unit| CodeScope::in_unit(info, unit, addr);
        hinted.at(addr).find_map(in_unit).or_else(|| {
            let all = info.binary.all_units(info);
            all.at(addr).find_map(in_unit)
        })
    }

    /// `None` where a unit that claims an address has neither a row nor a function there.
    fn in_unit(info: &Rc<Info<'a>>, unit: usize, addr: u64) -> Option<CodeScope<'a>> {
        let scopes = info.scopes(unit).ok()?;
        let innermost = scopes.innermost(addr);
        let has_row = || {
            let lines = info.lines(unit);
            lines.is_ok_and(|lines| lines.row_at(addr).is_some())
        };
        if innermost.is_none() && !has_row() {
            return None;
        }
        Some(CodeScope {
            info: Rc::clone(info),
            unit,
            scopes,
            innermost,
        })
    }

    pub(crate) fn die(&self, node: usize) -> DieRef {
        DieRef {
            unit: self.unit,
            offset: self.scopes.node(node).die,
        }
    }

    /// The function that the code belongs to, whatever was inlined into it.
    pub(crate) fn function(&self) -> Option<usize> {
        self.scopes.outward(self.innermost?).last()
    }

    /// The functions at the address, innermost first: inlined instances, then the function itself;
    /// with each the scopes in it around the address, outermost first.
    pub(crate) fn instances(&self) -> Vec<(usize, Vec<usize>)> {
        let mut all = Vec::new();
        let mut nodes = Vec::new();
        for node in self
            .innermost
            .into_iter()
            .flat_map(|node| self.scopes.outward(node))
        {
            nodes.push(node);
            if self.scopes.node(node).kind != NodeKind::Block {
                nodes.reverse();
                all.push((node, std::mem::take(&mut nodes)));
            }
        }
        all
    }
}
