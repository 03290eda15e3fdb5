use crate::address::LoadBias;
use crate::binary::Binary;
use crate::error::{CompileError, CompileErrorKind, Part};
use crate::layout::Layout;
use crate::place::Place;

/// What is asked at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source<'a> {
    /// An expression; only hits where it holds count.
    pub condition: Option<&'a str>,
    pub template: &'a str,
}

/// What runs at a hit, and how to read what it wrote.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub program: lr_probe::Program,
    pub layout: Layout,
    /// Sentences for the user: what will never have a value here, and why.
    pub warnings: Vec<String>,
}

pub(crate) fn compile(
    _binary: &Binary,
    _place: &Place,
    _bias: LoadBias,
    _source: &Source<'_>,
) -> Result<Compiled, CompileError> {
    Err(CompileError {
        part: Part::Template,
        column: 0,
        kind: CompileErrorKind::BadDebugInfo {
            why: "not read yet".to_owned(),
        },
    })
}
