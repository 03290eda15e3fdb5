//! Where a thread's own copy of a variable is (`ELF Handling For Thread-Local Storage`, 3.4.6).

use object::{Object, ObjectSymbol};

use super::evaluate::Result;
use super::tree::{Absent, Reason};
use crate::address::FileAddr;
use crate::image::ThreadLocal;
use crate::target::{Module, Target};

/// `DT_DEBUG`: the dynamic linker puts the address of its list of modules here (`elf.h`).
const DT_DEBUG: u64 = 21;
/// The most entries of a `PT_DYNAMIC`, of modules, and of lists of them.
const MAX_ENTRIES: u64 = 4096;
const MAX_MODULES: usize = 65_536;
const MAX_LISTS: usize = 64;

/// The address of a variable of a module, by its offset among the module's thread-local variables.
pub(super) fn address(
    target: &Target<'_>,
    module: usize,
    fs_base: u64,
    offset: u64,
) -> Result<u64> {
    let holder = &target.modules()[module];
    let own = holder.binary.image.thread_local();
    let own = own.ok_or_else(|| Absent::unsupported("its module has no thread-local storage"))?;
    let offset = within(&own, offset)?;
    if fs_base == 0 {
        return Err(no_block());
    }
    let block = match module {
        // Those of the program end where the thread's own block begins.
        0 => fs_base.wrapping_sub(own.room),
        _ => Linker::find(target)?.block(holder, fs_base)?,
    };
    Ok(block.wrapping_add(offset))
}

/// gcc 12 with `-gsplit-dwarf` lets the linker fill in the variable's address in the file where
/// the offset should be.
fn within(own: &ThreadLocal, told: u64) -> Result<u64> {
    let as_address = told
        .checked_sub(own.addr)
        .filter(|&offset| offset < own.size);
    match (told < own.size, as_address) {
        (true, None) => Ok(told),
        (false, Some(offset)) => Ok(offset),
        _ => Err(Absent::unsupported(
            "it is not clear which thread-local variable is meant",
        )),
    }
}

fn no_block() -> Absent {
    Absent::new(Reason::NotLive, "the thread has no block for it yet")
}

/// The dynamic linker's books, as libthread_db reads them: the C library tells where the members
/// of its own structures are (`nptl_db/structs.def`).
struct Linker<'t, 'a> {
    target: &'t Target<'a>,
    layout: Layout,
}

/// Offsets in bytes.
#[derive(Default)]
struct Layout {
    link_map_modid: u64,
    thread_dtv: u64,
    dtv_slot_size: u64,
    dtv_counter: u64,
    dtv_pointer: u64,
    /// Of the list of modules with thread-local variables; its head is in `_rtld_global`.
    list_head: u64,
    list_len: u64,
    list_next: u64,
    list_slots: u64,
    slot_size: u64,
    slot_generation: u64,
}

impl<'t, 'a> Linker<'t, 'a> {
    fn find(target: &'t Target<'a>) -> Result<Linker<'t, 'a>> {
        for library in target.modules() {
            if let Some(layout) = layout(library) {
                return Ok(Linker { target, layout });
            }
        }
        Err(Absent::unsupported(
            "a thread-local variable of a library, and the C library does not tell where those are",
        ))
    }

    /// Where the thread's variables of a module begin.
    fn block(&self, module: &Module, fs_base: u64) -> Result<u64> {
        let damaged = || Absent::unsupported("the dynamic linker's list of modules is damaged");
        let known = self.module_id(module);
        let id = known.ok_or_else(damaged)?;
        let word = |at: Option<u64>| at.and_then(|at| self.target.word(at));
        let dtv = word(fs_base.checked_add(self.layout.thread_dtv)).ok_or_else(damaged)?;
        if dtv == 0 || id == 0 {
            return Err(no_block());
        }
        // A slot of an older generation is that of a module that was unloaded.
        let thread = word(dtv.checked_add(self.layout.dtv_counter)).ok_or_else(damaged)?;
        let loaded = self.generation(id).ok_or_else(damaged)?;
        if loaded > thread {
            return Err(no_block());
        }
        let slot = id.checked_mul(self.layout.dtv_slot_size);
        let slot =
            slot.and_then(|skip| dtv.checked_add(skip)?.checked_add(self.layout.dtv_pointer));
        match word(slot).ok_or_else(damaged)? {
            // `TLS_DTV_UNALLOCATED` (`sysdeps/generic/dl-dtv.h`): the first use makes it.
            0 | u64::MAX => Err(no_block()),
            block => Ok(block),
        }
    }

    /// The number that the linker gave to a module's thread-local variables.
    fn module_id(&self, module: &Module) -> Option<u64> {
        let dynamic = module.binary.image.dynamic()?.wrapping_add(module.bias.0);
        let mut list = self.first_list()?;
        for _ in 0..MAX_LISTS {
            // `struct r_debug`: version, then the first module (`link.h`).
            let version = self.target.word(list)? & 0xffff_ffff;
            let mut map = self.target.word(list.checked_add(8)?)?;
            for _ in 0..MAX_MODULES {
                if map == 0 {
                    break;
                }
                // `struct link_map`: l_addr, l_name, l_ld, l_next.
                if self.target.word(map.checked_add(16)?)? == dynamic {
                    return self
                        .target
                        .word(map.checked_add(self.layout.link_map_modid)?);
                }
                map = self.target.word(map.checked_add(24)?)?;
            }
            // Other namespaces (dlmopen(3)) have lists of their own since version 2.
            list = match version {
                2.. => self.target.word(list.checked_add(40)?)?,
                _ => 0,
            };
            if list == 0 {
                break;
            }
        }
        None
    }

    fn first_list(&self) -> Option<u64> {
        let program = self.target.modules().first()?;
        let mut at = program.binary.image.dynamic()?.wrapping_add(program.bias.0);
        for _ in 0..MAX_ENTRIES {
            match self.target.word(at)? {
                0 => return None,
                DT_DEBUG => return self.target.word(at.checked_add(8)?),
                _ => at = at.checked_add(16)?,
            }
        }
        None
    }

    /// How many changes there had been when a module was loaded.
    fn generation(&self, id: u64) -> Option<u64> {
        let layout = &self.layout;
        let global = self.target.modules().iter().find_map(|module| {
            let [addr] = symbols(module, ["_rtld_global"])?;
            Some(addr.wrapping_add(module.bias.0))
        })?;
        let mut list = self.target.word(global.checked_add(layout.list_head)?)?;
        let mut skipped = 0u64;
        for _ in 0..MAX_LISTS {
            if list == 0 {
                return None;
            }
            let len = self.target.word(list.checked_add(layout.list_len)?)?;
            if let Some(index) = id.checked_sub(skipped).filter(|&index| index < len) {
                let slots = list.checked_add(layout.list_slots)?;
                let slot = slots.checked_add(index.checked_mul(layout.slot_size)?)?;
                return self.target.word(slot.checked_add(layout.slot_generation)?);
            }
            skipped = skipped.checked_add(len)?;
            list = self.target.word(list.checked_add(layout.list_next)?)?;
        }
        None
    }
}

/// Where a C library says that its members are; `None` of what is none, or does not say.
fn layout(library: &Module) -> Option<Layout> {
    let names = [
        "_thread_db_link_map_l_tls_modid",
        "_thread_db_pthread_dtvp",
        "_thread_db_dtv_dtv",
        "_thread_db_dtv_t_counter",
        "_thread_db_dtv_t_pointer_val",
        "_thread_db_rtld_global__dl_tls_dtv_slotinfo_list",
        "_thread_db_dtv_slotinfo_list_len",
        "_thread_db_dtv_slotinfo_list_next",
        "_thread_db_dtv_slotinfo_list_slotinfo",
        "_thread_db_dtv_slotinfo_gen",
    ];
    // Size in bits, count of elements, offset (`nptl_db/db_info.c`); the size of an array is that
    // of an element.
    let mut members = [(0, 0); 10];
    for (member, addr) in members.iter_mut().zip(symbols(library, names)?) {
        let bytes = library.binary.data_at(FileAddr(addr), 12)?;
        let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
        *member = (u64::from(number(0)? / 8), u64::from(number(8)?));
    }
    let [
        modid,
        dtvp,
        dtv,
        counter,
        pointer,
        head,
        len,
        next,
        slots,
        generation,
    ] = members;
    Some(Layout {
        link_map_modid: modid.1,
        thread_dtv: dtvp.1,
        dtv_slot_size: dtv.0,
        dtv_counter: dtv.1.checked_add(counter.1)?,
        dtv_pointer: dtv.1.checked_add(pointer.1)?,
        list_head: head.1,
        list_len: len.1,
        list_next: next.1,
        list_slots: slots.1,
        slot_size: slots.0,
        slot_generation: generation.1,
    })
}

/// Addresses in the file of symbols that a library exports; `None` unless it has all of them.
fn symbols<const N: usize>(library: &Module, names: [&str; N]) -> Option<[u64; N]> {
    let elf = library.binary.image.elf()?;
    let mut found = [None; N];
    for symbol in elf.dynamic_symbols() {
        let Ok(name) = symbol.name() else { continue };
        if let Some(at) = names.iter().position(|wanted| *wanted == name)
            && !symbol.is_undefined()
        {
            found[at] = Some(symbol.address());
        }
    }
    let mut all = [0; N];
    for (addr, found) in all.iter_mut().zip(found) {
        *addr = found?;
    }
    Some(all)
}
