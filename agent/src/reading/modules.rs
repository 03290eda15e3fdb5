use std::path::PathBuf;
use std::sync::Arc;

use lr_dwarf::Module;

use crate::maps::{self, Mapping};
use crate::modules::Modules;

/// Everything that a process has loaded, opened, and sentences about what cannot be opened.
pub(crate) fn modules_of(pid: u32, modules: &mut Modules) -> (Vec<Module>, Vec<String>) {
    let mut warnings = Vec::new();
    // What is loaded was read a moment ago.
    let mappings = maps::read(pid).unwrap_or_default();
    let mut found = Vec::new();
    for index in 0..modules.paths().len() {
        let copies = match modules.load(index) {
            Ok(copies) => copies,
            Err(error) => {
                warnings.push(format!("its frames and variables are not read: {error}"));
                continue;
            }
        };
        let biases: Vec<u64> = copies.iter().map(|copy| copy.bias.0).collect();
        for copy in copies {
            let is_of = |mapping: &&Mapping| {
                mapping.path == copy.path && nearest(&biases, mapping.start) == Some(copy.bias.0)
            };
            let ranges = mappings.iter().filter(is_of);
            found.push(Module {
                path: PathBuf::from(&copy.path),
                binary: Arc::clone(&copy.binary),
                bias: copy.bias,
                ranges: ranges.map(|mapping| mapping.start..mapping.end).collect(),
            });
        }
    }
    (found, warnings)
}

/// The copy of a file that a mapping is of: the one that begins before it.
fn nearest(biases: &[u64], start: u64) -> Option<u64> {
    let before = biases.iter().copied().filter(|&bias| bias <= start);
    // A program that is not position-independent has a bias of zero, or below.
    before.max().or(biases.first().copied())
}
