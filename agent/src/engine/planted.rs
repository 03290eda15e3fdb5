use lr_tracer::{Armed, Slot};

use super::layouts::Layouts;
use super::trace::BoundSite;

/// Where an action is in the target.
#[derive(Debug)]
pub(crate) struct Planted {
    pub(crate) slot: Slot,
    /// By the number that their hits carry. A number is used again when no hit of the site that
    /// had it can be in the ring any more.
    sites: Vec<Option<BoundSite>>,
    /// Of all sites that it ever had.
    pub(crate) layouts: Layouts,
    /// Addresses at which the tracer planted nothing, and is not asked to again.
    refused: Vec<u64>,
}

impl Planted {
    /// Sites in the order in which they were armed.
    pub(crate) fn new(slot: Slot, sites: Vec<Option<BoundSite>>, layouts: Layouts) -> Planted {
        Planted {
            slot,
            sites,
            layouts,
            refused: Vec::new(),
        }
    }

    pub(crate) fn refuse(&mut self, armed: &Armed) {
        self.refused
            .extend(armed.refused.iter().map(|(address, _)| address));
    }

    /// Those addresses are asked for again.
    pub(crate) fn take_refused(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.refused)
    }

    pub(crate) fn refused(&self) -> &[u64] {
        &self.refused
    }

    pub(crate) fn sites(&self) -> impl Iterator<Item = &BoundSite> {
        self.sites.iter().flatten()
    }

    pub(crate) fn site(&self, number: u16) -> Option<&BoundSite> {
        self.sites.get(usize::from(number))?.as_ref()
    }

    pub(crate) fn addresses(&self) -> Vec<u64> {
        self.sites().map(BoundSite::address).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sites().next().is_none()
    }

    /// Numbers for more sites; as many as there are.
    pub(crate) fn free_numbers(&self, count: usize) -> Vec<u16> {
        let is_free = |number: &u16| self.site(*number).is_none();
        (0..=u16::MAX).filter(is_free).take(count).collect()
    }

    pub(crate) fn add(&mut self, number: u16, site: BoundSite) {
        let index = usize::from(number);
        while self.sites.len() <= index {
            self.sites.push(None);
        }
        self.sites[index] = Some(site);
    }

    /// Only when no record of theirs is left in the ring.
    pub(crate) fn remove(&mut self, numbers: &[u16]) {
        for &number in numbers {
            if let Some(site) = self.sites.get_mut(usize::from(number)) {
                *site = None;
            }
        }
    }

    /// The numbers of the sites that `gone` holds for.
    pub(crate) fn numbers_of(&self, gone: impl Fn(&BoundSite) -> bool) -> Vec<u16> {
        let numbered = (0..=u16::MAX).zip(&self.sites);
        numbered
            .filter(|(_, site)| site.as_ref().is_some_and(&gone))
            .map(|(number, _)| number)
            .collect()
    }
}
