use lr_dwarf::{Binary, DebugInfo, LoadBias, LocateError, Resolved, RuntimeAddr};
use lr_protocol::{ExplainedModule, ExplainedTarget, Explanation, NotBound, Problem};
use lr_tracer::{Circumstances, TextRange};

use super::ExplainRequest;
use super::address::{Site, explained};
use crate::convert;
use crate::modules::{Loaded, Modules};
use crate::problem::of_status_error;

/// Puts an explanation together, module by module.
pub(super) struct Explainer {
    explanation: Explanation,
    left: usize,
    circumstances: Circumstances,
}

impl Explainer {
    pub(super) fn new(request: &ExplainRequest, target: ExplainedTarget) -> Explainer {
        Explainer {
            explanation: Explanation {
                location: request.location.clone(),
                target,
                addresses: Vec::new(),
                more_addresses: 0,
                not_bound: Vec::new(),
                modules: Vec::new(),
                warnings: Vec::new(),
            },
            left: request.most_addresses,
            circumstances: Circumstances::default(),
        }
    }

    /// The same where ways of going on are ruled out, or asked for.
    pub(super) fn under(self, circumstances: Circumstances) -> Explainer {
        Explainer {
            circumstances,
            ..self
        }
    }

    /// The places of a module that a process or a core has loaded.
    pub(super) fn add(
        &mut self,
        loaded: &Loaded,
        resolved: &Resolved,
        modules: &mut Modules,
    ) -> Result<(), Problem> {
        let mut sources: Option<Vec<Loaded>> = None;
        for place in &resolved.places {
            if self.is_full() {
                continue;
            }
            let address = place.addr.in_target(loaded.bias);
            let site = Site {
                binary: &loaded.binary,
                bias: loaded.bias,
                module: &loaded.path,
                place,
                is_private: modules.is_private_text(address),
                circumstances: self.circumstances,
            };
            // Most instructions are emulated and need no other; opening the others takes time.
            let found = explained(&site, |plan| {
                let sources =
                    sources.get_or_insert_with(|| modules.twin_sources().unwrap_or_default());
                plan(&modules.twin_texts(loaded, sources))
            });
            self.explanation
                .addresses
                .push(found.map_err(|error| unreadable(&error))?);
        }
        self.add_rest(&loaded.binary, loaded.bias, &loaded.path, resolved);
        Ok(())
    }

    /// The places of a file that nothing runs.
    pub(super) fn add_file(
        &mut self,
        binary: &Binary,
        path: &str,
        resolved: &Resolved,
    ) -> Result<(), Problem> {
        let texts: Vec<TextRange<'_>> = binary
            .segments()
            .iter()
            .filter_map(|segment| {
                let bytes = binary.bytes_at(segment.addr, usize::try_from(segment.len).ok()?)?;
                let start = segment.addr.0;
                Some(TextRange { start, bytes })
            })
            .collect();
        for place in &resolved.places {
            if self.is_full() {
                continue;
            }
            let site = Site {
                binary,
                bias: LoadBias(0),
                module: path,
                place,
                is_private: true,
                circumstances: self.circumstances,
            };
            let found = explained(&site, |plan| plan(&texts));
            self.explanation
                .addresses
                .push(found.map_err(|error| unreadable(&error))?);
        }
        self.add_rest(binary, LoadBias(0), path, resolved);
        Ok(())
    }

    /// Counts an address that there is no room for.
    fn is_full(&mut self) -> bool {
        if self.left == 0 {
            self.explanation.more_addresses += 1;
            return true;
        }
        self.left -= 1;
        false
    }

    fn add_rest(&mut self, binary: &Binary, bias: LoadBias, path: &str, resolved: &Resolved) {
        for dropped in &resolved.dropped {
            self.explanation.not_bound.push(NotBound {
                address: hex(dropped.addr.in_target(bias)),
                function: dropped.function.clone(),
                line: dropped.line,
                column: dropped.column,
                why: convert::why_dropped(dropped.why, bias),
            });
        }
        for inexact in &resolved.inexact {
            let address = hex(inexact.addr.in_target(bias));
            let why = inexact.why;
            self.explanation.warnings.push(format!("{address}: {why}"));
        }
        let modules = &mut self.explanation.modules;
        if modules.iter().all(|module| module.path != path) {
            modules.push(module(binary, path));
        }
    }

    pub(super) fn finish(self) -> Explanation {
        self.explanation
    }
}

fn module(binary: &Binary, path: &str) -> ExplainedModule {
    let build_id = binary.build_id().unwrap_or_default();
    ExplainedModule {
        path: path.to_owned(),
        build_id: build_id.iter().map(|byte| format!("{byte:02x}")).collect(),
        debug_info: match binary.debug_info() {
            DebugInfo::Own => path.to_owned(),
            DebugInfo::Separate { path } => path.display().to_string(),
            DebugInfo::Missing { .. } => String::new(),
        },
    }
}

fn unreadable(error: &LocateError) -> Problem {
    of_status_error(convert::locate_error(error))
}

pub(super) fn hex(address: RuntimeAddr) -> String {
    format!("{:#x}", address.0)
}
