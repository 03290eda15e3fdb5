use std::rc::Rc;
use std::sync::Arc;

use super::registers::FrameRegisters;
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
        let lookup = if is_exact { pc } else { pc.wrapping_sub(1) };
        let module = target.module_at(lookup);
        let addr = module.map_or(lookup, |index| target.modules()[index].file_addr(lookup).0);
        let code = module.and_then(|index| CodeScope::at(target, index, addr));
        Activation {
            registers,
            pc,
            addr,
            module,
            code,
            cfa: None,
            is_exact,
            is_signal: false,
        }
    }
}

impl<'a> CodeScope<'a> {
    fn at(target: &Target<'a>, module: usize, addr: u64) -> Option<CodeScope<'a>> {
        let info = target.info(module)?;
        let unit = target.unit_at(module, &info, addr)?;
        let scopes = info.scopes(unit).ok()?;
        let innermost = scopes.innermost(addr);
        Some(CodeScope {
            info,
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
