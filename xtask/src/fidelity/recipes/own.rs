use anyhow::Result;
use lr_fixtures::Fixture;

use super::kept;
use crate::build;
use crate::fidelity::program::Program;

pub(super) fn values_c() -> Result<Program> {
    built("values.c", &Fixture::c("values.c").opt('2'))
}

pub(super) fn values_c_unoptimised() -> Result<Program> {
    built("values.c-O0", &Fixture::c("values.c"))
}

pub(super) fn values_cpp() -> Result<Program> {
    built("values.cpp", &Fixture::cpp("values.cpp").opt('2'))
}

pub(super) fn values_cpp_unoptimised() -> Result<Program> {
    built("values.cpp-O0", &Fixture::cpp("values.cpp"))
}

pub(super) fn values_rs() -> Result<Program> {
    built("values.rs", &Fixture::rust("values.rs").opt('3'))
}

pub(super) fn values_rs_unoptimised() -> Result<Program> {
    built("values.rs-O0", &Fixture::rust("values.rs"))
}

pub(super) fn containers_cpp() -> Result<Program> {
    built("containers.cpp", &containers().opt('2'))
}

pub(super) fn containers_cpp_unoptimised() -> Result<Program> {
    built("containers.cpp-O0", &containers())
}

pub(super) fn collections_rs() -> Result<Program> {
    built("collections.rs-O0", &Fixture::rust("collections.rs"))
}

pub(super) fn owners_rs() -> Result<Program> {
    built("owners.rs-O0", &Fixture::rust("owners.rs"))
}

fn containers() -> Fixture {
    Fixture::cpp("containers.cpp").flag("-std=c++20")
}

pub(super) fn frames_clang() -> Result<Program> {
    built("frames.c-clang", &Fixture::c("frames.c").clang().opt('2'))
}

/// With its debug info in a file beside it.
pub(super) fn frames_split() -> Result<Program> {
    let folder = kept("frames-split")?;
    let fixture = Fixture::c("frames.c").opt('2').flag("-gsplit-dwarf");
    Ok(Program::new("frames.c-split", &fixture.build_in(&folder)))
}

fn built(name: &str, fixture: &Fixture) -> Result<Program> {
    let mut program = Program::new(name, &build::fixture(fixture)?);
    program.repeatable = vec![String::new()];
    Ok(program)
}
