use std::collections::BTreeMap;

use lr_dwarf::{HitContext, Rendered};
use lr_protocol::{LogEvent, State};
use lr_tracer::{Ended, Record, Slot};

use super::action::Action;
use super::held::HeldHit;
use super::level_of;
use super::output::Writer;
use super::slots::Slots;
use super::target::Target;
use super::threads::ThreadNames;
use crate::convert;
use crate::outbox::Outbox;

/// What is left to do about a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Notice {
    /// Its event is in the outbox, or counted.
    Hit {
        first_of: Option<String>,
    },
    /// Its thread stands still.
    Held(Box<HeldHit>),
    Done(Slot),
    Paused(Slot),
    Resumed(Slot),
    Ended(Ended),
}

/// Takes what is needed out of a record before the ring goes on.
pub(crate) fn take(
    record: Record<'_>,
    target: &Target,
    slots: &Slots,
    actions: &mut BTreeMap<String, Action>,
    threads: &mut ThreadNames,
    (writer, outbox): (&Writer, &Outbox),
) -> Notice {
    let (slot, site, tid, time_ns, hits, payload) = match record {
        Record::Hit {
            slot,
            site,
            tid,
            time_ns,
            hits,
            payload,
        } => (slot, site, tid, time_ns, hits, payload),
        Record::Held {
            slot,
            site,
            tid,
            time_ns,
            hits,
            registers,
            extended,
            payload,
        } => {
            return Notice::Held(Box::new(HeldHit {
                slot,
                site,
                tid,
                time_ns,
                hits,
                registers: *registers,
                extended: extended.to_vec(),
                payload: payload.to_vec(),
            }));
        }
        Record::Done { slot } => return Notice::Done(slot),
        Record::Paused { slot } => return Notice::Paused(slot),
        Record::Resumed { slot } => return Notice::Resumed(slot),
        Record::Ended(ended) => return Notice::Ended(ended),
    };
    let nobody = Notice::Hit { first_of: None };
    let Some(action) = slots.owner(slot).and_then(|id| actions.get_mut(id)) else {
        return nobody;
    };
    let planted = action.planted.as_ref();
    let Some(site) = planted.and_then(|planted| planted.site(site)) else {
        return nobody;
    };
    let thread = threads.name(tid);
    let hit = HitContext {
        pid: target.pid,
        tid,
        thread: &thread,
        time_ns,
        hits,
    };
    let Rendered { message, fields } = site.layout.render(payload, &hit);
    let event = LogEvent {
        ts: i64::try_from(time_ns / 1000).unwrap_or(i64::MAX),
        // Counted when it is sent.
        seq: 0,
        action_id: action.id.clone(),
        action_version: action.wanted.version,
        tid,
        thread: thread.clone(),
        file: site.file.clone(),
        line: site.line,
        function: site.function.clone(),
        level: level_of(&action.wanted.spec.kind),
        message,
        fields: fields.into_iter().map(convert::field).collect(),
    };
    match action.way.put(event, writer, outbox) {
        Ok(()) => action.fates.tell(1),
        Err(reason) => action.fates.lose(reason, 1),
    }
    Notice::Hit {
        first_of: (action.state == State::Bound).then(|| action.wanted.action_id.clone()),
    }
}
