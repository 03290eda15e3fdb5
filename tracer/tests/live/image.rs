//! Where the code of a fixture lies in its process, by symbol.

use std::path::Path;
use std::time::Duration;

use lr_fixtures::{Target, wait_until};
use lr_probe::Program;
use lr_tracer::{
    ArmAction, Circumstances, Mode, PlanError, Record, SitePlan, SiteProgram, Slot, TextRange,
    Tracer,
};
use object::{Object, ObjectSection, ObjectSymbol};

pub(crate) struct Image {
    data: Vec<u8>,
    bias: u64,
    libc: Option<(u64, Vec<u8>)>,
}

impl Image {
    pub(crate) fn of(program: &Path, pid: u32) -> Image {
        let data = std::fs::read(program).unwrap();
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let file = object::File::parse(&*data).unwrap();
        let position_independent = file.kind() == object::ObjectKind::Dynamic;
        let first = u64::from_str_radix(maps.split('-').next().unwrap(), 16).unwrap();
        let bias = if position_independent { first } else { 0 };
        Image {
            data,
            bias,
            libc: libc_text(&maps),
        }
    }

    /// Runtime address and length of a function.
    pub(crate) fn function(&self, name: &str) -> (u64, u64) {
        let file = object::File::parse(&*self.data).unwrap();
        let symbol = file
            .symbols()
            .find(|symbol| symbol.name() == Ok(name))
            .unwrap();
        (symbol.address() + self.bias, symbol.size())
    }

    /// Where the byte at a runtime address is in the program's file.
    pub(crate) fn file_offset(&self, address: u64) -> u64 {
        let file = object::File::parse(&*self.data).unwrap();
        let text = file.section_by_name(".text").unwrap();
        let (offset, _) = text.file_range().unwrap();
        address - self.bias - text.address() + offset
    }

    pub(crate) fn plan(&self, address: u64, avoid: &[u64]) -> Result<SitePlan, PlanError> {
        self.plan_under(Circumstances::default(), address, avoid)
    }

    pub(crate) fn plan_under(
        &self,
        circumstances: Circumstances,
        address: u64,
        avoid: &[u64],
    ) -> Result<SitePlan, PlanError> {
        let file = object::File::parse(&*self.data).unwrap();
        let text = file.section_by_name(".text").unwrap();
        let start = text.address() + self.bias;
        let bytes = text.data().unwrap();
        let code = &bytes[usize::try_from(address - start).unwrap()..];
        let mut texts = vec![TextRange { start, bytes }];
        if let Some((start, bytes)) = &self.libc {
            texts.push(TextRange {
                start: *start,
                bytes,
            });
        }
        SitePlan::choose_under(circumstances, address, code, &texts, avoid)
    }

    /// Addresses of all instructions of a function.
    pub(crate) fn instructions(&self, name: &str) -> Vec<u64> {
        let (start, length) = self.function(name);
        let mut addresses = Vec::new();
        let mut at = start;
        while at < start + length {
            addresses.push(at);
            at += self.instruction_length(at);
        }
        addresses
    }

    pub(crate) fn is_return(&self, address: u64) -> bool {
        let (_, text) = lr_tracer::disassemble(address, self.code(address)).unwrap();
        text == "ret"
    }

    fn instruction_length(&self, address: u64) -> u64 {
        lr_tracer::instruction_length(self.code(address)).unwrap() as u64
    }

    fn code(&self, address: u64) -> &[u8] {
        let file = object::File::parse(&*self.data).unwrap();
        let text = file.section_by_name(".text").unwrap();
        let offset = usize::try_from(address - text.address() - self.bias).unwrap();
        &text.data().unwrap()[offset..]
    }
}

/// The C library's executable mapping: programs this small have few twins of their own.
fn libc_text(maps: &str) -> Option<(u64, Vec<u8>)> {
    let line = maps
        .lines()
        .find(|line| line.contains("r-xp") && line.contains("/libc.so.6"))?;
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (start, end) = fields[0].split_once('-')?;
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let offset = usize::try_from(number(fields[2])).unwrap();
    let length = usize::try_from(number(end) - number(start)).unwrap();
    let file = std::fs::read(fields[5]).unwrap();
    Some((
        number(start),
        file[offset..(offset + length).min(file.len())].to_vec(),
    ))
}

/// Starts a tracer: this test program again, as `tracer`.
pub(crate) fn tracer(target: &Target) -> Tracer {
    Tracer::spawn(&std::env::current_exe().unwrap(), target.pid()).unwrap()
}

pub(crate) fn action(slot: u16, sites: Vec<SiteProgram>) -> ArmAction {
    ArmAction {
        slot: Slot(slot),
        limit: None,
        rate: None,
        expires_in: None,
        ignore_quota: true,
        mode: Mode::Record,
        sites,
    }
}

pub(crate) fn site(plan: SitePlan) -> SiteProgram {
    SiteProgram {
        site: plan,
        program: Program::empty(),
        layout: 0,
    }
}

/// An action at the first instruction of a function.
pub(crate) fn at_function(image: &Image, name: &str) -> ArmAction {
    let (address, _) = image.function(name);
    action(0, vec![site(image.plan(address, &[]).unwrap())])
}

/// Reads records until `done` says so.
pub(crate) fn read_until<T>(
    tracer: &mut Tracer,
    what: &str,
    mut done: impl FnMut(Record<'_>) -> Option<T>,
) -> T {
    wait_until(what, || {
        tracer.wait(Duration::from_millis(50));
        while let Some(record) = tracer.next_record() {
            if let Some(result) = done(record) {
                return Some(result);
            }
        }
        None
    })
}
