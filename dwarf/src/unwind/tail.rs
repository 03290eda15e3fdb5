//! Functions that ended with a call (DWARF 5, 3.4.1): nothing of them is left on the stack. Where
//! the caller called another function than the one that runs, and call sites tell one way from
//! the one to the other, they are told from that.

use super::activation::{Activation, Reached};
use super::registers::{RIP, RSP};
use super::sites::{Function, Site, entry_of, is_call_to};
use super::stack::Stack;
use crate::info::{Cfa, DieRef, Info};
use crate::target::Target;
use crate::value::evaluate::{self, Context};

/// How many functions of a chain, calls that are looked at, and chains that are told apart.
const MAX_CHAIN: usize = 64;
const MAX_STEPS: usize = 2_000;
const MAX_WAYS: usize = 64;

/// A function, and the DIE of the call that it ended with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Link {
    function: Function,
    site: DieRef,
    /// Address in the file that the call would return to, or of the call itself.
    pc: u64,
    is_call_itself: bool,
}

/// What there was between a call and the function that runs.
enum Between {
    Nothing,
    /// The functions that are part of every way there is: first those that the call went through,
    /// then those before the one that runs. In between may have been others.
    Some {
        first: Vec<Link>,
        last: Vec<Link>,
        is_whole: bool,
    },
}

/// Puts into a stack the activations that ended with calls. From the bottom on, since what a
/// function calls may be told by what it was passed itself.
pub(super) fn add<'a>(target: &Target<'a>, stack: &mut Stack<'a>) {
    for index in (0..stack.activations.len().saturating_sub(1)).rev() {
        let Between::Some {
            first,
            last,
            is_whole,
        } = between(target, stack, index).unwrap_or(Between::Nothing)
        else {
            continue;
        };
        let make = |links: &[Link]| -> Option<Vec<Activation<'a>>> {
            let links = links.iter().rev();
            links
                .map(|link| made_up(target, stack, index, link))
                .collect()
        };
        let made = make(&first).zip(make(&last));
        let (first, mut made, is_whole) = match made {
            Some((first, last)) => (first, last, is_whole),
            None => (Vec::new(), Vec::new(), false),
        };
        let gap = index + 1 + made.len();
        made.extend(first);
        stack.activations.splice(index + 1..index + 1, made);
        if !is_whole {
            stack.activations[gap].reached = Reached::Skipping;
        }
    }
}

/// `None` where something is not known that would have to be.
fn between<'a>(target: &Target<'a>, stack: &Stack<'a>, index: usize) -> Option<Between> {
    let (callee, caller) = (&stack.activations[index], &stack.activations[index + 1]);
    // Interrupted code did not call, and a guess is not built on.
    if callee.is_signal || caller.is_exact || caller.is_signal {
        return None;
    }
    if caller.reached != Reached::Unwound {
        return None;
    }
    let (code, of) = (caller.code.as_ref()?, callee.code.as_ref()?);
    let (module, own) = (caller.module?, callee.module?);
    // What is written in assembly is entered in ways of its own.
    if is_assembly(&of.info, of.unit) {
        return None;
    }
    let running = Function {
        module: own,
        die: of.die(of.function()?),
    };
    let at = Function {
        module,
        die: code.die(code.function()?),
    };
    let sites = target.sites(at)?;
    let returns_to = target.modules()[module].file_addr(caller.pc).0;
    let site = sites.returning_to(returns_to)?;
    let called = match site.named(&code.info) {
        Some(named) => {
            if is_call_to(target, module, named, running).ok()? {
                return Some(Between::Nothing);
            }
            target.meant(module, named)?.to_vec()
        }
        None => vec![by_address(target, stack, index + 1, site)?],
    };
    let entry = |function: &Function| {
        let info = target.info(function.module)?;
        Some((function.module, entry_of(&info, function.die)?))
    };
    let goal = entry(&running)?;
    if called.iter().any(|function| entry(function) == Some(goal)) {
        return Some(Between::Nothing);
    }
    let mut search = Search {
        target,
        goal,
        steps: 0,
        is_sure: true,
        way: Vec::new(),
        found: Vec::new(),
    };
    for function in called {
        search.from(function);
    }
    Some(search.result())
}

/// The function that a call by an address went to.
fn by_address<'a>(
    target: &Target<'a>,
    stack: &Stack<'a>,
    caller: usize,
    site: &Site<'a>,
) -> Option<Function> {
    let context = Context::of_activation(target, stack, caller)?;
    let expression = site.target()?;
    let address = evaluate::address(&context, expression, None).ok()?;
    let module = target.module_at(address)?;
    let addr = target.modules()[module].file_addr(address).0;
    super::sites::function_from(target, module, addr)
}

fn is_assembly(info: &Info<'_>, unit: usize) -> bool {
    let Ok(unit_data) = info.unit(unit) else {
        return true;
    };
    let root = unit_data.entry(unit_data.header.root_offset()).ok();
    let language = root.and_then(|root| root.attr_value(gimli::DW_AT_language));
    language
        == Some(gimli::AttributeValue::Language(
            gimli::DW_LANG_Mips_Assembler,
        ))
}

struct Search<'t, 'a> {
    target: &'t Target<'a>,
    /// Module and address in the file.
    goal: (usize, u64),
    steps: usize,
    /// Whether all calls that were met tell whom they call.
    is_sure: bool,
    way: Vec<Link>,
    found: Vec<Vec<Link>>,
}

impl Search<'_, '_> {
    /// Follows the calls that a function may have ended with.
    fn from(&mut self, function: Function) {
        let Some(info) = self.target.info(function.module) else {
            self.is_sure = false;
            return;
        };
        let Some(sites) = self.target.sites(function) else {
            self.is_sure = false;
            return;
        };
        self.is_sure &= sites.has_all_tail_calls;
        for site in sites.all.iter().filter(|site| site.is_tail) {
            self.steps += 1;
            if self.steps > MAX_STEPS || self.way.len() >= MAX_CHAIN {
                self.is_sure = false;
                return;
            }
            let link = Link {
                function,
                site: site.die.at,
                pc: site.returns_to.or(site.call).unwrap_or(0),
                is_call_itself: site.returns_to.is_none(),
            };
            if self.way.contains(&link) {
                continue;
            }
            let called = site.named(&info);
            let called = called.and_then(|named| self.target.meant(function.module, named));
            let Some(called) = called else {
                self.is_sure = false;
                continue;
            };
            self.way.push(link);
            for &function in called.iter() {
                self.reach(function);
            }
            self.way.pop();
        }
    }

    fn reach(&mut self, function: Function) {
        let entry = self
            .target
            .info(function.module)
            .and_then(|info| entry_of(&info, function.die));
        if entry.map(|entry| (function.module, entry)) != Some(self.goal) {
            return self.from(function);
        }
        match self.found.len() < MAX_WAYS {
            true => self.found.push(self.way.clone()),
            false => self.is_sure = false,
        }
    }

    fn result(self) -> Between {
        let nobody_knows = Between::Some {
            first: Vec::new(),
            last: Vec::new(),
            is_whole: false,
        };
        if !self.is_sure {
            return nobody_knows;
        }
        // It was reached in another way: through the dynamic linker, or in place of another.
        let Some((one, others)) = self.found.split_first() else {
            return Between::Nothing;
        };
        let mut first = one.len();
        let mut last = one.len();
        let mut shortest = one.len();
        for other in others {
            let same = |(a, b): &(&Link, &Link)| a == b;
            first = first.min(one.iter().zip(other).take_while(same).count());
            let reversed = one.iter().rev().zip(other.iter().rev());
            last = last.min(reversed.take_while(same).count());
            shortest = shortest.min(other.len());
        }
        let is_whole = others.is_empty();
        let last = match is_whole {
            true => 0,
            false => last.min(shortest - first),
        };
        Between::Some {
            first: one[..first].to_vec(),
            last: one[one.len() - last..].to_vec(),
            is_whole,
        }
    }
}

/// An activation as it was when it ended: registers that functions preserve are back to what its
/// caller had in them, and the return address is on top of the stack.
fn made_up<'a>(
    target: &Target<'a>,
    stack: &Stack<'a>,
    index: usize,
    link: &Link,
) -> Option<Activation<'a>> {
    let (callee, caller) = (&stack.activations[index], &stack.activations[index + 1]);
    let module = &target.modules()[link.function.module];
    let pc = crate::address::FileAddr(link.pc).in_target(module.bias).0;
    let cfa = callee.cfa?;
    let mut registers = caller.registers.preserved_only();
    registers.set(RSP, Some(cfa.checked_sub(8)?));
    registers.set(RIP, Some(pc));
    let mut made = Activation::new(target, registers, pc, link.is_call_itself);
    made.is_exact = false;
    made.tail_call = Some(link.site);
    made.cfa = Some(cfa);
    // It is the function that was found, and has given up its frame.
    let code = made.code.as_ref()?;
    let rules = target.frame_rules(made.module?, made.addr)?;
    let is_back = match rules.cfa {
        Cfa::Register { number: 7, offset } => offset == 8,
        _ => false,
    };
    let is_it = code.die(code.function()?) == link.function.die;
    (is_back && is_it).then_some(made)
}
