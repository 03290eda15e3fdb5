use std::cell::{Cell, OnceCell, RefCell};

use super::constant;
use super::declaration::{Slot, Writes};
use super::evaluate::{self, Context, NOT_HERE, Result};
use super::limits::Limits;
use super::lines::{self, Lost};
use super::object::Object;
use super::reader::Reader;
use super::referent::Surroundings;
use super::shape::{Shape, shape};
use super::tree::{Absent, Kind, Reason, Value};
use crate::image::Bytes;
use crate::info::{Cfa, Die, DieRef, Language, same_file};
use crate::inspect::Spot;
use crate::resolve::{after_prologue, producer};
use crate::target::Target;
use crate::unwind::{CodeScope, Frame, Stack};

/// The parameters and variables of a frame: those of the function first, then those of the blocks
/// around the address, each in the order of the debug info.
pub fn variables<'a>(
    target: &Target<'a>,
    stack: &Stack<'a>,
    frame: &Frame,
    limits: &Limits,
) -> Vec<Value> {
    let Some(listing) = Listing::new(target, stack, frame, limits) else {
        return Vec::new();
    };
    let mut values = Vec::new();
    for &node in &frame.nodes {
        listing.node.set(node);
        // A broken scope costs its own variables.
        let _ = listing.add(listing.code.die(node), 0, &mut values);
    }
    let activation = stack.activations.get(frame.activation);
    let code = listing.code;
    if let (true, Some(activation), Some(&instance)) =
        (limits.lines, activation, frame.nodes.first())
    {
        let spot = Spot {
            addr: activation.addr,
            instance: code.die(instance),
            file: &frame.file,
            line: frame.line,
        };
        lines::tell(code.info.binary, &spot, &listing.lost.borrow(), &mut values);
    }
    values
}

/// By its DWARF number (System V psABI for x86-64, figure 3.36).
const RBP: gimli::Register = gimli::Register(6);
/// How deep blocks without addresses nest.
const MAX_BLOCKS: usize = 16;

pub(super) struct Listing<'t, 'a> {
    pub(super) context: Context<'t, 'a>,
    pub(super) code: &'t CodeScope<'a>,
    frame: &'t Frame,
    pub(super) reader: Reader<'t, 'a>,
    /// The scope whose variables are being read.
    node: Cell<usize>,
    lost: RefCell<Vec<Lost>>,
    /// Of the function; none of an optimised one.
    writes: OnceCell<Option<Writes>>,
}

impl<'t, 'a> Listing<'t, 'a> {
    /// `None` where nothing is known of the frame's code.
    pub(super) fn new(
        target: &'t Target<'a>,
        stack: &'t Stack<'a>,
        frame: &'t Frame,
        limits: &Limits,
    ) -> Option<Listing<'t, 'a>> {
        let code = stack.activations.get(frame.activation)?.code.as_ref()?;
        let context = Context::of_activation(target, stack, frame.activation)?;
        let surroundings = Surroundings {
            context: context.clone(),
            scopes: frame.nodes.iter().map(|&node| code.die(node)).collect(),
        };
        Some(Listing {
            context,
            code,
            frame,
            reader: Reader::new(target, &code.info, limits).in_frame(surroundings),
            node: Cell::new(0),
            lost: RefCell::default(),
            writes: OnceCell::new(),
        })
    }

    fn add(&self, scope: DieRef, depth: usize, values: &mut Vec<Value>) -> Result<()> {
        let info = &self.code.info;
        let mut named = Vec::new();
        for die in info.children(scope)? {
            if die.tag() == gimli::DW_TAG_lexical_block {
                named.extend(info.follow(&die, gimli::DW_AT_abstract_origin));
            }
            // A block without addresses is there wherever the scope is.
            if is_bare_block(&die) && depth < MAX_BLOCKS {
                self.add(die.at, depth + 1, values)?;
            }
            if !is_variable(&die) || is_elsewhere(&die) {
                continue;
            }
            let origins = info.origins(die.at)?;
            named.extend(origins.iter().map(|die| die.at));
            let Some(name) = origins.iter().find_map(|die| info.own_name(die)) else {
                continue;
            };
            let value = self.variable(&name, &die);
            if value.absent.as_ref().is_some_and(is_lost) {
                self.lost.borrow_mut().push(Lost {
                    index: values.len(),
                    node: self.node.get(),
                    at: die.at,
                });
            }
            values.push(value);
        }
        let origins = info.origins(scope)?;
        if origins.len() > 1 {
            self.add_blocks_of(scope, &mut named)?;
        }
        for origin in origins.iter().skip(1) {
            self.add_traces(origin.at, &named, depth, values)?;
        }
        Ok(())
    }

    /// Adds what the blocks around the address have of the abstract instance: gcc puts variables
    /// of an inlined function into a block that the function itself does not have.
    fn add_blocks_of(&self, scope: DieRef, named: &mut Vec<DieRef>) -> Result<()> {
        let info = &self.code.info;
        let nodes = self.frame.nodes.iter().map(|&node| self.code.die(node));
        for block in nodes.skip_while(|&node| node != scope).skip(1) {
            for die in info.children(block)?.iter().filter(|die| is_variable(die)) {
                named.extend(info.origins(die.at)?.iter().map(|die| die.at));
            }
        }
        Ok(())
    }

    /// Where no trace of a variable is left, only the abstract instance still has it, and what is
    /// static or a constant has its value there. So it is with blocks.
    fn add_traces(
        &self,
        origin: DieRef,
        named: &[DieRef],
        depth: usize,
        values: &mut Vec<Value>,
    ) -> Result<()> {
        let info = &self.code.info;
        for die in info.children(origin)? {
            if named.contains(&die.at) {
                continue;
            }
            if die.tag() == gimli::DW_TAG_lexical_block && depth < MAX_BLOCKS {
                self.add_traces(die.at, named, depth + 1, values)?;
            }
            if !is_variable(&die) || is_elsewhere(&die) {
                continue;
            }
            if let Some(name) = info.own_name(&die) {
                values.push(self.variable(&name, &die));
            }
        }
        Ok(())
    }

    fn variable(&self, name: &str, die: &Die<'a>) -> Value {
        let of = match self.code.info.type_die_of(die.at) {
            Ok(of) => of,
            Err(error) => {
                let value = Value::new(name, String::new(), Kind::Unknown);
                return value.without(error.into());
            }
        };
        match self.object(die, of) {
            Ok(object) => self.reader.value(name, of, &object),
            Err(absent) => {
                let type_name = self.code.info.type_name(of);
                Value::new(name, type_name, self.kind(die)).without(absent)
            }
        }
    }

    fn kind(&self, die: &Die<'a>) -> Kind {
        let of = self.code.info.type_die_of(die.at).ok().flatten();
        self.reader.kind(of)
    }

    pub(super) fn object(&self, die: &Die<'a>, of: Option<DieRef>) -> Result<Object> {
        let info = &self.code.info;
        if let Some(why) = self.is_later(die)? {
            return Err(Absent::new(Reason::NotLive, why));
        }
        if self.is_unset(die)? {
            let detail = "the function has no frame here, not yet or not any more";
            return Err(Absent::new(Reason::NotLive, detail));
        }
        if let Some(location) = self.context.location(die, gimli::DW_AT_location)? {
            let size = self.reader.size(of)?;
            let mut context = self.context.clone();
            context.is_kept = self.is_kept(die, location)?;
            return evaluate::object(&context, location, size);
        }
        let origins = info.origins(die.at)?;
        let constant = origins
            .iter()
            .find_map(|die| Some((die, die.attr(gimli::DW_AT_const_value)?)));
        match constant {
            Some((die, value)) => constant::object(info, die, value),
            None if die.attr(gimli::DW_AT_location).is_some() => {
                Err(Absent::optimized_out(NOT_HERE))
            }
            None => {
                // What is static may stand in the abstract instance, with its address.
                for origin in origins.iter().skip(1) {
                    if let Some(location) = self.context.location(origin, gimli::DW_AT_location)? {
                        let size = self.reader.size(of)?;
                        let mut context = self.context.clone();
                        if let Some(frame) = &mut context.frame {
                            // Its addresses may be indexes into its own unit's.
                            frame.unit = origin.at.unit;
                        }
                        return evaluate::object(&context, location, size);
                    }
                }
                Err(Absent::optimized_out("the compiler kept no trace of it"))
            }
        }
    }

    /// Whether a variable is still at its location when the call that has not returned does. gcc
    /// keeps variables over calls in registers that it knows the callee to leave alone
    /// (`-fipa-ra`), and ends the others before the call returns. LLVM joins what was in a register
    /// before a call with the result that is there afterwards.
    fn is_kept(&self, die: &Die<'a>, location: gimli::Expression<Bytes<'a>>) -> Result<bool> {
        let frame = self.context.frame()?;
        let activation = &frame.stack.activations[frame.activation];
        if activation.is_exact || !self.is_of_gcc()? {
            return Ok(false);
        }
        let after = activation.addr.wrapping_add(1);
        Ok(match die.attr(gimli::DW_AT_location) {
            Some(gimli::AttributeValue::Exprloc(_)) | None => false,
            Some(list) => {
                let info = &self.code.info;
                info.listed_location(die, list, after, None)? == Some(location)
            }
        })
    }

    fn is_of_gcc(&self) -> Result<bool> {
        let producer = producer(&self.code.info, self.code.unit)?;
        Ok(producer.is_some_and(|producer| producer.starts_with("GNU ")))
    }

    /// Why a variable that has a place in the frame for all of its block has no value yet: it is
    /// declared behind what is being executed, and its place has what was there before.
    fn is_later(&self, die: &Die<'a>) -> Result<Option<&'static str>> {
        if die.tag() != gimli::DW_TAG_variable || !self.is_in_frame(die)? {
            return Ok(None);
        }
        let info = &self.code.info;
        // rustc's blocks begin behind the declaration, and the line of what is in a macro is the
        // macro's.
        if info.language(self.code.unit) == Language::Rust {
            return Ok(None);
        }
        let Some((file, line)) = info.declared(die.at)? else {
            return Ok(None);
        };
        let here = u64::from(self.frame.line);
        if here == 0 || !same_file(&file, &self.frame.file) {
            return Ok(None);
        }
        if line > here {
            return Ok(Some("declared further down"));
        }
        let is_made = self
            .is_written(die, line, line < here)?
            .unwrap_or(line < here);
        Ok((!is_made).then_some("declared on this line, which is being executed"))
    }

    /// Whether a number or pointer in the frame was written to on each way to this instruction.
    fn is_written(&self, die: &Die<'a>, line: u64, is_later: bool) -> Result<Option<bool>> {
        let info = &self.code.info;
        let of = info.type_die_of(die.at)?;
        let is_scalar = matches!(
            shape(info, of)?,
            Shape::Base { .. }
                | Shape::Pointer(_)
                | Shape::MemberPointer { .. }
                | Shape::Enum { .. }
        );
        let (Some(offset), Some(function), true) =
            (self.frame_offset(die)?, self.code.function(), is_scalar)
        else {
            return Ok(None);
        };
        let slot = match self.frame_base(function)? {
            Some(gimli::Operation::CallFrameCFA) => Slot::FromCfa(offset),
            Some(gimli::Operation::Register { register: RBP }) => Slot::FromRbp(offset),
            _ => return Ok(None),
        };
        let frame = self.context.frame()?;
        let addr = frame.stack.activations[frame.activation].addr;
        let writes = match self.writes.get() {
            Some(writes) => writes,
            None => {
                let writes = Writes::read(self.code)?;
                self.writes.get_or_init(|| writes)
            }
        };
        match writes {
            Some(writes) => writes.precede(self.code, slot, (line, is_later), addr),
            None => Ok(None),
        }
    }

    /// What the place of a function's frame begins with.
    fn frame_base(&self, function: usize) -> Result<Option<gimli::Operation<Bytes<'a>>>> {
        let info = &self.code.info;
        let base = info.die(self.code.die(function))?;
        let base = self.context.location(&base, gimli::DW_AT_frame_base)?;
        let encoding = info.unit(self.code.unit)?.encoding();
        Ok(match base {
            Some(base) => base.operations(encoding).next()?,
            None => None,
        })
    }

    /// Whether a variable has a place in the frame, and the function has not set up its frame at
    /// this instruction, or has given it up: unoptimised code says nothing of it.
    fn is_unset(&self, die: &Die<'a>) -> Result<bool> {
        let frame = self.context.frame()?;
        let activation = &frame.stack.activations[frame.activation];
        let Some(function) = self.code.function().filter(|_| activation.is_exact) else {
            return Ok(false);
        };
        let Some(offset) = self.frame_offset(die)? else {
            return Ok(false);
        };
        let info = &self.code.info;
        let first = self.frame_base(function)?;
        // What lies above the frame was put there by the caller.
        if first == Some(gimli::Operation::CallFrameCFA) && offset >= 0 {
            return Ok(false);
        }
        if let Some(gimli::Operation::Register { register: RBP }) = first
            && let Some(rules) = info.frame_rules(activation.addr)
            && let Cfa::Register { number, .. } = rules.cfa
            && number != RBP.0
        {
            return Ok(true);
        }
        let scopes = &self.code.scopes;
        let ready = after_prologue(info, self.code.unit, scopes, function)?;
        let node = scopes.node(function);
        let entry = node.ranges.first().map_or(0, |range| range.begin);
        Ok((entry..ready).contains(&activation.addr))
    }

    fn is_in_frame(&self, die: &Die<'a>) -> Result<bool> {
        Ok(self.frame_offset(die)?.is_some())
    }

    /// The offset of a variable in the frame that it has wherever it is in scope.
    fn frame_offset(&self, die: &Die<'a>) -> Result<Option<i64>> {
        let Some(gimli::AttributeValue::Exprloc(expression)) = die.attr(gimli::DW_AT_location)
        else {
            return Ok(None);
        };
        let encoding = self.code.info.unit(die.at.unit)?.encoding();
        Ok(match expression.operations(encoding).next()? {
            Some(gimli::Operation::FrameOffset { offset }) => Some(offset),
            _ => None,
        })
    }
}

/// Whether a variable has a value, but not here.
fn is_lost(absent: &Absent) -> bool {
    absent.reason == Reason::OptimizedOut && absent.detail == NOT_HERE
}

fn is_bare_block(die: &Die<'_>) -> bool {
    die.tag() == gimli::DW_TAG_lexical_block
        && die.attr(gimli::DW_AT_low_pc).is_none()
        && die.attr(gimli::DW_AT_ranges).is_none()
}

fn is_variable(die: &Die<'_>) -> bool {
    matches!(
        die.tag(),
        gimli::DW_TAG_variable | gimli::DW_TAG_formal_parameter
    )
}

/// What is declared `extern` in a function is a variable of somewhere else.
fn is_elsewhere(die: &Die<'_>) -> bool {
    die.flag(gimli::DW_AT_declaration) && die.flag(gimli::DW_AT_external)
}
