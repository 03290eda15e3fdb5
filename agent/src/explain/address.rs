use lr_dwarf::{Binary, InlinedFrame, LoadBias, LocateError, Place};
use lr_protocol::{ExplainedAddress, ExplainedCall, ExplainedInstruction, Resume};
use lr_tracer::{
    Circumstances, MAY_MISS_HITS, PlanError, ResumeKind, SitePlan, TextRange, disassemble,
};

use super::loaded::hex;
use crate::bind::{is_restartable, last_resort};
use crate::convert;
use crate::locate::file_name;

/// The longest x86 instruction (Intel SDM volume 2, section 2.3.11).
const MOST_CODE: usize = 15;

/// A place of a module, as it is loaded.
pub(super) struct Site<'a> {
    pub(super) binary: &'a Binary,
    pub(super) bias: LoadBias,
    pub(super) module: &'a str,
    pub(super) place: &'a Place,
    /// Whether a byte that is planted there stays in the process.
    pub(super) is_private: bool,
    /// What the process rules out.
    pub(super) circumstances: Circumstances,
}

/// Chooses how to go on, given where twins may lie.
type Plan<'a> = dyn Fn(&[TextRange<'_>]) -> Result<SitePlan, PlanError> + 'a;

/// Everything about one address. `with_texts` is called where a twin has to be looked for.
pub(super) fn explained(
    site: &Site<'_>,
    with_texts: impl FnOnce(&Plan<'_>) -> Result<SitePlan, PlanError>,
) -> Result<ExplainedAddress, LocateError> {
    let place = site.place;
    let address = place.addr.in_target(site.bias);
    // The last instruction of a file may be shorter than the longest one.
    let code = (1..=MOST_CODE)
        .rev()
        .find_map(|len| site.binary.bytes_at(place.addr, len))
        .unwrap_or_default();
    let variables = site.binary.variables(place, site.bias)?;
    Ok(ExplainedAddress {
        address: hex(address),
        file_address: format!("{:#x}", place.addr.0),
        module: site.module.to_owned(),
        function: place.function.clone(),
        file: place.file.clone(),
        line: place.line,
        column: place.column,
        inlined: place.inlined.iter().map(call).collect(),
        instruction: instruction(address.0, code),
        resume: resume(site, address.0, code, with_texts),
        variables: variables.into_iter().map(convert::variable).collect(),
    })
}

fn resume(
    site: &Site<'_>,
    address: u64,
    code: &[u8],
    with_texts: impl FnOnce(&Plan<'_>) -> Result<SitePlan, PlanError>,
) -> Resume {
    if !site.is_private {
        return Resume::Refused {
            code: "text_not_private".to_owned(),
            message: "the code there is not private to the process: a write could reach more \
                      than it"
                .to_owned(),
        };
    }
    let circumstances = Circumstances {
        is_restartable: is_restartable(site.binary, site.place.addr, code),
        ..site.circumstances
    };
    let plan =
        |texts: &[TextRange<'_>]| SitePlan::choose_under(circumstances, address, code, texts, &[]);
    let chosen = match plan(&[]) {
        Ok(chosen) => Ok(chosen),
        Err(_) => with_texts(&plan),
    };
    let at = |plan: &SitePlan| {
        plan.steps_at()
            .map_or(String::new(), |at| format!("{at:#x}"))
    };
    match chosen {
        Ok(plan) => match plan.resume() {
            ResumeKind::Emulate => Resume::Emulate,
            ResumeKind::Twin => Resume::Twin { at: at(&plan) },
            ResumeKind::Borrow => Resume::Borrow { at: at(&plan) },
            ResumeKind::InPlace => Resume::InPlace {
                warning: MAY_MISS_HITS.to_owned(),
            },
        },
        Err(error) => Resume::Refused {
            code: "cannot_resume".to_owned(),
            message: refusal(&error, site),
        },
    }
}

fn refusal(error: &PlanError, site: &Site<'_>) -> String {
    let name = format!("{}!{:#x}", file_name(site.module), site.place.addr.0);
    match last_resort(error, &name) {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

fn instruction(address: u64, code: &[u8]) -> ExplainedInstruction {
    let Some((bytes, text)) = disassemble(address, code) else {
        return ExplainedInstruction {
            bytes: String::new(),
            text: String::new(),
        };
    };
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    ExplainedInstruction {
        bytes: bytes.join(" "),
        text,
    }
}

fn call(frame: &InlinedFrame) -> ExplainedCall {
    ExplainedCall {
        function: frame.function.clone(),
        file: frame.file.clone(),
        line: frame.line,
    }
}
