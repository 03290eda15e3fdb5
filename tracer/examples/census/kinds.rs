//! Which instructions are stepped, borrowed or refused, and how often.

use std::collections::BTreeMap;
use std::fmt;

use lr_tracer::{PlanError, ResumeKind, SitePlan};

/// Rarer ones are summed up.
const SHOWN: usize = 40;

/// Counts by mnemonic, and by reason where they are refused.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    all: usize,
    ways: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Kinds {
    pub(crate) fn add(&mut self, address: u64, code: &[u8], plan: &Result<SitePlan, PlanError>) {
        self.all += 1;
        let (way, kind) = match plan {
            Ok(plan) if plan.resume() == ResumeKind::Emulate => return,
            Ok(plan) => (plan.resume().word(), kind(address, code)),
            Err(PlanError::CannotResume { why, .. }) => {
                ("refused", format!("{}: {why}", kind(address, code)))
            }
            Err(PlanError::NotAnInstruction { .. }) => ("refused", "no instruction".to_owned()),
        };
        let kinds = self.ways.entry(way.to_owned()).or_default();
        *kinds.entry(kind).or_insert(0) += 1;
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |count: usize| 100.0 * count as f64 / self.all as f64;
        for (way, kinds) in &self.ways {
            writeln!(out, "{way}:")?;
            let mut kinds: Vec<(&String, &usize)> = kinds.iter().collect();
            kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            for (kind, count) in kinds.iter().take(SHOWN) {
                writeln!(out, "  {count:6} {:6.3} %  {kind}", share(**count))?;
            }
            let rest: usize = kinds.iter().skip(SHOWN).map(|(_, count)| **count).sum();
            writeln!(out, "  {rest:6} {:6.3} %  others", share(rest))?;
        }
        Ok(())
    }
}

/// The mnemonic with its prefix, and whether it has an operand in memory, and where.
fn kind(address: u64, code: &[u8]) -> String {
    let (_, text) = lr_tracer::disassemble(address, code).unwrap_or_default();
    let mut words = text.splitn(2, ' ');
    let mut mnemonic = words.next().unwrap_or_default().to_owned();
    let mut operands = words.next().unwrap_or_default();
    if ["lock", "rep", "repne", "repe", "notrack", "bnd"].contains(&mnemonic.as_str()) {
        let (second, rest) = operands.split_once(' ').unwrap_or((operands, ""));
        mnemonic = format!("{mnemonic} {second}");
        operands = rest;
    }
    let place = match operands.split_once(", ") {
        _ if !operands.contains('[') => "registers",
        _ if operands.contains("[rip") => "relative",
        Some((_, from)) if from.contains('[') => "of memory",
        _ => "memory",
    };
    format!("{mnemonic} ({place})")
}
