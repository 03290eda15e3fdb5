//! What the agent asks of the tracer process, and the answers, as bytes on their socket.

use std::io;
use std::time::Duration;

use lr_probe::Program;

use crate::error::TracerError;
use crate::groups::Groups;
use crate::plan::SitePlan;

/// Names an armed action in the tracer; chosen by the agent, below [`crate::shared::SLOTS`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Slot(pub u16);

/// Events per second, and how many at once after a quiet time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    pub per_second: f64,
    pub burst: f64,
}

/// One action to be planted at all its sites.
#[derive(Clone, Debug)]
pub struct ArmAction {
    pub slot: Slot,
    /// Matching hits after which it is done and unplanted.
    pub limit: Option<u64>,
    pub rate: Option<Rate>,
    /// The time that it has left. Then it is unplanted, whether or not the agent can still say so,
    /// and no record tells that: the agent knows the time as well.
    pub expires_in: Option<Duration>,
    /// Lifts the stop-time budget.
    pub ignore_quota: bool,
    pub mode: Mode,
    pub sites: Vec<SiteProgram>,
}

/// What becomes of a hit whose condition holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// It becomes a [`crate::Record::Hit`].
    Record,
    /// The thread stands still until it is let on, at most so long. The hit comes as
    /// [`crate::Record::Held`].
    Hold(Duration),
    /// It is counted; see [`crate::Tracer::take_groups`].
    Aggregate(Aggregate),
}

/// What is counted of hits, by what their program keeps: the field that they are grouped by, then
/// the field of the number, whose one word has the bits of a double.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Aggregate {
    /// The most groups; hits of what would be more are counted together.
    pub groups: u16,
    pub grouped: bool,
    pub number: bool,
}

#[derive(Clone, Debug)]
pub struct SiteProgram {
    pub site: SitePlan,
    pub program: Program,
    /// Names the form of what the program keeps: equal bytes of equal form are the same group.
    pub layout: u16,
}

/// Other sites for an action that is armed.
#[derive(Clone, Debug)]
pub struct AmendAction {
    pub slot: Slot,
    /// Addresses that it gives up.
    pub remove: Vec<u64>,
    /// Sites that are new, each with the number that its hits carry. The sites that it was armed
    /// with have theirs by their order.
    pub add: Vec<(u16, SiteProgram)>,
}

/// What became of the sites of an action.
#[derive(Debug, Default)]
pub struct Armed {
    pub planted: Vec<u64>,
    /// Addresses at which nothing was planted, and why.
    pub refused: Vec<(u64, TracerError)>,
}

/// What was found when the target was let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Released {
    /// Sites whose byte was put back and read again as the original.
    pub restored: u32,
    /// Sites that another tool had changed meanwhile and that were left alone.
    pub foreign: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum Command {
    Arm(ArmAction),
    Amend(AmendAction),
    Disarm(Slot),
    Verify,
    /// A thread, and the hit that holds it: its slot, and which of the slot's hits it is.
    LetOn(u32, Slot, u64),
    TakeGroups(Slot),
    Release,
}

#[derive(Debug)]
pub(crate) enum Reply {
    Armed(Armed),
    /// With what the slot had counted.
    Disarmed(Groups),
    /// Sites that are not planted any more.
    Lost(Vec<u64>),
    /// For how many nanoseconds the thread stood still, if until now.
    LetOn(Option<u64>),
    Groups(Groups),
    Released(Released),
    Failed(TracerError),
}

/// A command or reply longer than this is refused; the longest legitimate one, an action at
/// thousands of inlined copies, is well below.
pub(crate) const MAX_MESSAGE: usize = 64 << 20;

impl Command {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Command::Arm(action) => {
                out.push(1);
                encode_action(action, &mut out);
            }
            Command::Disarm(slot) => {
                out.push(2);
                out.extend_from_slice(&slot.0.to_le_bytes());
            }
            Command::Release => out.push(3),
            Command::Amend(change) => {
                out.push(4);
                encode_change(change, &mut out);
            }
            Command::Verify => out.push(5),
            Command::LetOn(tid, slot, hits) => {
                out.push(6);
                out.extend_from_slice(&tid.to_le_bytes());
                out.extend_from_slice(&slot.0.to_le_bytes());
                out.extend_from_slice(&hits.to_le_bytes());
            }
            Command::TakeGroups(slot) => {
                out.push(7);
                out.extend_from_slice(&slot.0.to_le_bytes());
            }
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Command> {
        let mut reader = Reader { bytes };
        let command = match reader.u8()? {
            1 => Command::Arm(decode_action(&mut reader)?),
            2 => Command::Disarm(Slot(reader.u16()?)),
            3 => Command::Release,
            4 => Command::Amend(decode_change(&mut reader)?),
            5 => Command::Verify,
            6 => Command::LetOn(reader.u32()?, Slot(reader.u16()?), reader.u64()?),
            7 => Command::TakeGroups(Slot(reader.u16()?)),
            _ => return None,
        };
        reader.bytes.is_empty().then_some(command)
    }
}

fn encode_action(action: &ArmAction, out: &mut Vec<u8>) {
    out.extend_from_slice(&action.slot.0.to_le_bytes());
    out.push(u8::from(action.ignore_quota));
    put_option(out, action.limit);
    put_option(out, action.rate.map(|rate| rate.per_second.to_bits()));
    put_option(out, action.rate.map(|rate| rate.burst.to_bits()));
    put_option(out, action.expires_in.map(nanos));
    encode_mode(action.mode, out);
    put_count(out, action.sites.len());
    for site in &action.sites {
        encode_site(site, out);
    }
}

fn encode_mode(mode: Mode, out: &mut Vec<u8>) {
    match mode {
        Mode::Record => out.push(0),
        Mode::Hold(time) => {
            out.push(1);
            out.extend_from_slice(&nanos(time).to_le_bytes());
        }
        Mode::Aggregate(aggregate) => {
            out.push(2);
            out.extend_from_slice(&aggregate.groups.to_le_bytes());
            out.push(u8::from(aggregate.grouped));
            out.push(u8::from(aggregate.number));
        }
    }
}

/// Centuries are as good as for ever.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn decode_mode(reader: &mut Reader<'_>) -> Option<Mode> {
    Some(match reader.u8()? {
        0 => Mode::Record,
        1 => Mode::Hold(Duration::from_nanos(reader.u64()?)),
        2 => Mode::Aggregate(Aggregate {
            groups: reader.u16()?,
            grouped: reader.u8()? != 0,
            number: reader.u8()? != 0,
        }),
        _ => return None,
    })
}

fn encode_change(change: &AmendAction, out: &mut Vec<u8>) {
    out.extend_from_slice(&change.slot.0.to_le_bytes());
    put_count(out, change.remove.len());
    for address in &change.remove {
        out.extend_from_slice(&address.to_le_bytes());
    }
    put_count(out, change.add.len());
    for (index, site) in &change.add {
        out.extend_from_slice(&index.to_le_bytes());
        encode_site(site, out);
    }
}

fn encode_site(site: &SiteProgram, out: &mut Vec<u8>) {
    out.extend_from_slice(&site.layout.to_le_bytes());
    site.site.encode(out);
    site.program.encode(out);
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("sites fit in memory");
    out.extend_from_slice(&count.to_le_bytes());
}

fn decode_action(reader: &mut Reader<'_>) -> Option<ArmAction> {
    let slot = Slot(reader.u16()?);
    let ignore_quota = reader.u8()? != 0;
    let limit = reader.option()?;
    let per_second = reader.option()?.map(f64::from_bits);
    let burst = reader.option()?.map(f64::from_bits);
    let expires_in = reader.option()?.map(Duration::from_nanos);
    let mode = decode_mode(reader)?;
    let rate = per_second
        .zip(burst)
        .map(|(per_second, burst)| Rate { per_second, burst });
    let count = reader.u32()?;
    let mut sites = Vec::new();
    for _ in 0..count {
        sites.push(decode_site(reader)?);
    }
    Some(ArmAction {
        slot,
        limit,
        rate,
        expires_in,
        ignore_quota,
        mode,
        sites,
    })
}

fn decode_change(reader: &mut Reader<'_>) -> Option<AmendAction> {
    let slot = Slot(reader.u16()?);
    let mut remove = Vec::new();
    for _ in 0..reader.u32()? {
        remove.push(reader.u64()?);
    }
    let mut add = Vec::new();
    for _ in 0..reader.u32()? {
        add.push((reader.u16()?, decode_site(reader)?));
    }
    Some(AmendAction { slot, remove, add })
}

fn decode_site(reader: &mut Reader<'_>) -> Option<SiteProgram> {
    let layout = reader.u16()?;
    let site = SitePlan::decode(reader)?;
    let (program, rest) = Program::decode(reader.bytes).ok()?;
    reader.bytes = rest;
    Some(SiteProgram {
        site,
        program,
        layout,
    })
}

impl Reply {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Reply::Armed(armed) => {
                out.push(1);
                put_count(&mut out, armed.planted.len());
                for address in &armed.planted {
                    out.extend_from_slice(&address.to_le_bytes());
                }
                put_count(&mut out, armed.refused.len());
                for (address, error) in &armed.refused {
                    out.extend_from_slice(&address.to_le_bytes());
                    let mut encoded = Vec::new();
                    encode_error(error, &mut encoded);
                    put_count(&mut out, encoded.len());
                    out.extend_from_slice(&encoded);
                }
            }
            Reply::Lost(addresses) => {
                out.push(5);
                for address in addresses {
                    out.extend_from_slice(&address.to_le_bytes());
                }
            }
            Reply::Disarmed(groups) => {
                out.push(2);
                groups.encode(&mut out);
            }
            Reply::LetOn(stood) => {
                out.push(6);
                put_option(&mut out, *stood);
            }
            Reply::Groups(groups) => {
                out.push(7);
                groups.encode(&mut out);
            }
            Reply::Released(released) => {
                out.push(3);
                out.extend_from_slice(&released.restored.to_le_bytes());
                out.extend_from_slice(&released.foreign.to_le_bytes());
            }
            Reply::Failed(error) => {
                out.push(4);
                encode_error(error, &mut out);
            }
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Reply> {
        let mut reader = Reader { bytes };
        Some(match reader.u8()? {
            1 => Reply::Armed(decode_armed(&mut reader)?),
            2 => Reply::Disarmed(Groups::decode(&mut reader)?),
            3 => Reply::Released(Released {
                restored: reader.u32()?,
                foreign: reader.u32()?,
            }),
            4 => Reply::Failed(decode_error(&mut reader)?),
            5 => {
                let mut lost = Vec::new();
                while !reader.bytes.is_empty() {
                    lost.push(reader.u64()?);
                }
                Reply::Lost(lost)
            }
            6 => Reply::LetOn(reader.option()?),
            7 => Reply::Groups(Groups::decode(&mut reader)?),
            _ => return None,
        })
    }
}

fn decode_armed(reader: &mut Reader<'_>) -> Option<Armed> {
    let mut armed = Armed::default();
    for _ in 0..reader.u32()? {
        armed.planted.push(reader.u64()?);
    }
    for _ in 0..reader.u32()? {
        let address = reader.u64()?;
        let length = usize::try_from(reader.u32()?).ok()?;
        let mut error = Reader {
            bytes: reader.take(length)?,
        };
        armed.refused.push((address, decode_error(&mut error)?));
    }
    Some(armed)
}

fn encode_error(error: &TracerError, out: &mut Vec<u8>) {
    let text = |out: &mut Vec<u8>, text: &str| out.extend_from_slice(text.as_bytes());
    match error {
        TracerError::Spawn(_) | TracerError::Died => out.push(0),
        TracerError::ProcessGone { pid } => {
            out.push(1);
            out.extend_from_slice(&pid.to_le_bytes());
        }
        TracerError::NotPermitted { pid } => {
            out.push(2);
            out.extend_from_slice(&pid.to_le_bytes());
        }
        TracerError::AlreadyTraced { pid, tracer } => {
            out.push(3);
            out.extend_from_slice(&pid.to_le_bytes());
            out.extend_from_slice(&tracer.to_le_bytes());
        }
        TracerError::TextNotPrivate { address, mapping } => {
            out.push(4);
            out.extend_from_slice(&address.to_le_bytes());
            text(out, mapping);
        }
        TracerError::TextPatched {
            address,
            expected,
            found,
        } => {
            out.push(5);
            out.extend_from_slice(&address.to_le_bytes());
            out.extend_from_slice(&[*expected, *found]);
        }
        TracerError::NoTwin { address } => {
            out.push(6);
            out.extend_from_slice(&address.to_le_bytes());
        }
        TracerError::System { what, source } => {
            out.push(7);
            text(out, &format!("{what}: {source}"));
        }
        TracerError::Protocol(message) => {
            out.push(7);
            text(out, message);
        }
    }
}

fn decode_error(reader: &mut Reader<'_>) -> Option<TracerError> {
    Some(match reader.u8()? {
        0 => TracerError::Died,
        1 => TracerError::ProcessGone { pid: reader.u32()? },
        2 => TracerError::NotPermitted { pid: reader.u32()? },
        3 => TracerError::AlreadyTraced {
            pid: reader.u32()?,
            tracer: reader.u32()?,
        },
        4 => TracerError::TextNotPrivate {
            address: reader.u64()?,
            mapping: reader.rest(),
        },
        5 => TracerError::TextPatched {
            address: reader.u64()?,
            expected: reader.u8()?,
            found: reader.u8()?,
        },
        6 => TracerError::NoTwin {
            address: reader.u64()?,
        },
        7 => TracerError::Protocol(reader.rest()),
        _ => return None,
    })
}

fn put_option(out: &mut Vec<u8>, value: Option<u64>) {
    out.push(u8::from(value.is_some()));
    out.extend_from_slice(&value.unwrap_or(0).to_le_bytes());
}

/// Takes little-endian numbers off the front of a message.
pub(crate) struct Reader<'a> {
    pub(crate) bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn option(&mut self) -> Option<Option<u64>> {
        let present = self.u8()? != 0;
        let value = self.u64()?;
        Some(present.then_some(value))
    }

    fn rest(&mut self) -> String {
        String::from_utf8_lossy(std::mem::take(&mut self.bytes)).into_owned()
    }
}

/// Writes one message, its length first.
pub(crate) fn send(mut to: impl io::Write, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(message)
}

/// Reads one message; `None` when the other side is gone.
pub(crate) fn receive(mut from: impl io::Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_MESSAGE {
        return Err(io::Error::other(format!("message of {length} bytes")));
    }
    let mut message = vec![0; length];
    match from.read_exact(&mut message) {
        Ok(()) => Ok(Some(message)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_survive_the_socket() {
        let texts = [crate::TextRange {
            start: 0x1000,
            bytes: &[0x90; 64],
        }];
        let site = SitePlan::choose(0x1000, &[0x90; 16], &texts, &[]).unwrap();
        let action = ArmAction {
            slot: Slot(7),
            limit: Some(10),
            rate: Some(Rate {
                per_second: 50.0,
                burst: 100.0,
            }),
            expires_in: Some(Duration::from_secs(3600)),
            ignore_quota: true,
            mode: Mode::Hold(Duration::from_millis(15)),
            sites: vec![SiteProgram {
                site: site.clone(),
                program: Program::empty(),
                layout: 3,
            }],
        };
        let bytes = Command::Arm(action.clone()).encode();
        let Some(Command::Arm(back)) = Command::decode(&bytes) else {
            panic!("does not decode");
        };
        assert_eq!(
            (back.slot, back.limit, back.ignore_quota, back.mode),
            (Slot(7), Some(10), true, action.mode)
        );
        assert_eq!(
            (back.rate, back.expires_in),
            (action.rate, action.expires_in)
        );
        assert_eq!(back.sites[0].layout, 3);
        for mode in [
            Mode::Record,
            Mode::Aggregate(Aggregate {
                groups: 100,
                grouped: true,
                number: false,
            }),
        ] {
            let mut bytes = Vec::new();
            encode_mode(mode, &mut bytes);
            assert_eq!(decode_mode(&mut Reader { bytes: &bytes }), Some(mode));
        }
        assert_eq!(
            back.rate,
            Some(Rate {
                per_second: 50.0,
                burst: 100.0
            })
        );
        assert_eq!(back.sites[0].site, site);
    }

    #[test]
    fn changes_and_their_outcome_survive_the_socket() {
        let site = SitePlan::choose(0x1000, &[0x90; 16], &[], &[]).unwrap();
        let program = Program::empty();
        let change = AmendAction {
            slot: Slot(7),
            remove: vec![0x2000, 0x3000],
            add: vec![(
                9,
                SiteProgram {
                    site,
                    program,
                    layout: 0,
                },
            )],
        };
        let bytes = Command::Amend(change).encode();
        let Some(Command::Amend(back)) = Command::decode(&bytes) else {
            panic!("does not decode");
        };
        assert_eq!((back.slot, back.remove), (Slot(7), vec![0x2000, 0x3000]));
        assert_eq!((back.add[0].0, back.add[0].1.site.address()), (9, 0x1000));
        for length in 0..bytes.len() {
            assert!(Command::decode(&bytes[..length]).is_none());
        }
        let armed = Armed {
            planted: vec![0x1000],
            refused: vec![
                (0x2000, TracerError::NoTwin { address: 0x2000 }),
                (0x3000, TracerError::Protocol("why".to_owned())),
            ],
        };
        let Some(Reply::Armed(back)) = Reply::decode(&Reply::Armed(armed).encode()) else {
            panic!("does not decode");
        };
        assert_eq!(back.planted, [0x1000]);
        assert_eq!(back.refused[0].1.code(), "cannot_resume");
        assert_eq!(back.refused[1].1.to_string(), "why");
        let Some(Reply::Lost(lost)) = Reply::decode(&Reply::Lost(vec![5, 6]).encode()) else {
            panic!("does not decode");
        };
        assert_eq!(lost, [5, 6]);
    }

    #[test]
    fn truncated_commands_are_refused() {
        let bytes = Command::Disarm(Slot(3)).encode();
        for length in 0..bytes.len() {
            assert!(Command::decode(&bytes[..length]).is_none());
        }
    }
}
