//! The tracer process: a control thread that talks to the agent, and, while an action is armed, a
//! tracer thread that holds the target. The target goes free when that thread ends.

mod aside;
mod attach;
mod budget;
mod control;
mod cost;
mod courtesy;
mod deference;
mod desk;
mod engine;
mod hit;
mod hold;
mod life;
mod memory;
mod names;
mod placement;
mod preflight;
mod privilege;
mod proc;
mod settle;
mod site;
mod slot;
mod step;
mod step_watch;
mod stop;
mod tally;
pub(crate) mod text;
mod turns;
mod vectors;

pub use budget::{ACTION_SHARE, PAUSE};
pub use control::tracer_main;
pub use courtesy::Aside;
pub use text::PutBack;

/// Nanoseconds of the monotonic clock.
pub(crate) fn monotonic_ns() -> u64 {
    clock_ns(nix::time::ClockId::CLOCK_MONOTONIC)
}

/// Nanoseconds since the Unix epoch.
fn realtime_ns() -> u64 {
    clock_ns(nix::time::ClockId::CLOCK_REALTIME)
}

fn clock_ns(clock: nix::time::ClockId) -> u64 {
    let now = nix::time::clock_gettime(clock).expect("the clock exists since Linux 2.6");
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec()).unwrap_or(0);
    seconds * 1_000_000_000 + nanos
}
