//! The planted addresses of one attachment.

use std::collections::HashMap;
use std::sync::Arc;

use lr_probe::Program;

use crate::command::Slot;
use crate::error::TracerError;
use crate::plan::{ResumeKind, SitePlan};
use crate::process::proc::{Backing, Mappings};
use crate::process::text::Text;
use crate::resume::{Instruction, Twin};

/// Whether our byte is at the address now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Presence {
    Planted,
    /// The original is back; a thread may still be on its way from the int3 to us.
    Ghost,
}

/// What one action does at one site.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) slot: Slot,
    /// Index in the action's list of sites.
    pub(crate) index: u16,
    pub(crate) program: Arc<Program>,
    /// Of what the program keeps.
    pub(crate) layout: u16,
}

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) instruction: Instruction,
    pub(crate) original: u8,
    pub(crate) presence: Presence,
    /// The byte of a file that our byte stands for. What is at the address is not always this: a
    /// library may be unloaded and something else be mapped there.
    pub(crate) backing: Backing,
    pub(crate) plan: SitePlan,
    /// Where to step, unless it is emulated or stepped itself.
    pub(crate) twin: Option<Twin>,
    pub(crate) users: Vec<User>,
}

impl Site {
    /// A site that is not planted yet and nobody uses.
    pub(crate) fn new(plan: SitePlan, backing: Backing) -> Option<Site> {
        let instruction = Instruction::decode(plan.address, &plan.code)?;
        let whole = instruction.length() == plan.code.len();
        let emulates = plan.kind != ResumeKind::Emulate || instruction.emulated().is_some();
        let lends = plan
            .twins
            .iter()
            .all(|twin| instruction.can_lend(twin.loan));
        let steps = plan.kind != ResumeKind::InPlace || instruction.may_step_in_place();
        (whole && emulates && lends && steps).then(|| Site {
            original: plan.code[0],
            instruction,
            presence: Presence::Ghost,
            backing,
            twin: None,
            plan,
            users: Vec::new(),
        })
    }

    /// Whether our byte may be at the address: not where something else is mapped by now. Where
    /// that cannot be told, the byte itself decides.
    pub(crate) fn may_be_at(&self, address: u64, map: Option<&Mappings>) -> bool {
        map.is_none_or(|map| map.backing(address).as_ref() == Some(&self.backing))
    }
}

/// All sites by address. Ghosts stay until the attachment ends.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    by_address: HashMap<u64, Site>,
}

impl Sites {
    pub(crate) fn get(&self, address: u64) -> Option<&Site> {
        self.by_address.get(&address)
    }

    pub(crate) fn get_mut(&mut self, address: u64) -> Option<&mut Site> {
        self.by_address.get_mut(&address)
    }

    pub(crate) fn insert(&mut self, address: u64, site: Site) {
        self.by_address.insert(address, site);
    }

    pub(crate) fn planted(&self) -> impl Iterator<Item = (u64, u8)> {
        self.by_address
            .iter()
            .filter(|(_, site)| site.presence == Presence::Planted)
            .map(|(&address, site)| (address, site.original))
    }

    /// Every address that our byte is or was at.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, &Site)> {
        self.by_address
            .iter()
            .map(|(&address, site)| (address, site))
    }

    /// Addresses that a slot uses.
    pub(crate) fn of_slot(&self, slot: Slot) -> Vec<u64> {
        self.by_address
            .iter()
            .filter(|(_, site)| site.users.iter().any(|user| user.slot == slot))
            .map(|(&address, _)| address)
            .collect()
    }

    /// Whether threads can go on from a site as it was planned.
    pub(crate) fn has_its_twin(&self, address: u64, text: &Text) -> bool {
        let site = self.by_address.get(&address);
        let Some(twin) = site.and_then(|site| site.twin.as_ref()) else {
            return true;
        };
        let mut bytes = vec![0; twin.code.len()];
        text.read(twin.address, &mut bytes).is_ok() && bytes == twin.code
    }

    /// A twin of `plan` whose bytes are there now and that no site will overlap, `new` included.
    pub(crate) fn pick_twin(
        &self,
        plan: &SitePlan,
        text: &Text,
        new: &[u64],
    ) -> Result<Option<Twin>, TracerError> {
        if matches!(plan.kind, ResumeKind::Emulate | ResumeKind::InPlace) {
            return Ok(None);
        }
        let fits = |twin: &Twin| {
            let range = twin.address..twin.address + twin.code.len() as u64;
            let mut bytes = vec![0; twin.code.len()];
            !new.iter().any(|address| range.contains(address))
                && !self.planted().any(|(address, _)| range.contains(&address))
                && text.read(twin.address, &mut bytes).is_ok()
                && bytes == twin.code
        };
        let twin = plan.twins.iter().find(|twin| fits(twin));
        twin.cloned().map(Some).ok_or(TracerError::NoTwin {
            address: plan.address,
        })
    }

    /// Moves the sites whose twin a site at `address` would overlap to another twin, which none of
    /// the `new` addresses overlaps.
    pub(crate) fn make_way(
        &mut self,
        address: u64,
        new: &[u64],
        text: &Text,
    ) -> Result<(), TracerError> {
        let overlapped = |site: &Site| {
            site.twin.as_ref().is_some_and(|twin| {
                let range = twin.address..twin.address + twin.code.len() as u64;
                range.contains(&address)
            })
        };
        let moving: Vec<u64> = self
            .by_address
            .iter()
            .filter(|(_, site)| overlapped(site))
            .map(|(&address, _)| address)
            .collect();
        for moved in moving {
            let site = &self.by_address[&moved];
            // Where nobody wants to plant again, nothing has to be stepped.
            let twin = match site.users.is_empty() {
                true => None,
                false => self
                    .pick_twin(&site.plan, text, new)
                    .map_err(|_| TracerError::NoTwin { address })?,
            };
            if let Some(site) = self.by_address.get_mut(&moved) {
                site.twin = twin;
            }
        }
        Ok(())
    }
}
