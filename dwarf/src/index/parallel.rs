//! Work on all CPUs, and how far it is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Beyond this, memory is what limits.
const MAX_THREADS: usize = 16;
/// What takes less is not told to anybody (DESIGN: progress for anything over half a second).
const QUIET: Duration = Duration::from_millis(500);
const BETWEEN: Duration = Duration::from_secs(1);

/// Whoever is told how far a long reading of debug info is: from 0 to 100.
pub(crate) type OnProgress = dyn Fn(u8) + Send + Sync;

/// Calls `work` once for each item on as many threads as there are CPUs. Each thread begins with
/// a state of its own, of which `end` makes what is given back, in no order.
pub(crate) fn each<S, R: Send>(
    items: &[usize],
    weight: impl Fn(usize) -> usize,
    progress: Option<&OnProgress>,
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) + Sync,
    end: impl Fn(S) -> R + Sync,
) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(MAX_THREADS).min(items.len());
    // The longest first: the last one decides when all are done.
    let mut order: Vec<(usize, usize)> = items.iter().map(|&item| (weight(item), item)).collect();
    order.sort_by_key(|&(weight, _)| std::cmp::Reverse(weight));
    let total: usize = order.iter().map(|&(weight, _)| weight).sum();
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let run = |progress: Option<&OnProgress>| {
        let mut state = begin();
        let (start, mut told) = (Instant::now(), None::<Instant>);
        while let Some(&(weight, item)) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(&mut state, item);
            let done = done.fetch_add(weight, Ordering::Relaxed) + weight;
            if let Some(progress) = progress
                && start.elapsed() > QUIET
                && told.is_none_or(|told| told.elapsed() > BETWEEN)
            {
                told = Some(Instant::now());
                let share = done.saturating_mul(100) / total.max(1);
                progress(u8::try_from(share).unwrap_or(100));
            }
        }
        end(state)
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| run(None))).collect();
        let mut states = vec![run(progress)];
        for other in others {
            states.push(other.join().expect("workers do not panic"));
        }
        states
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_once() {
        let items: Vec<usize> = (0..1000).collect();
        let states = each(
            &items,
            |item| item,
            None,
            Vec::new,
            |seen: &mut Vec<usize>, item| seen.push(item),
            |seen| seen,
        );
        let mut seen: Vec<usize> = states.into_iter().flatten().collect();
        seen.sort_unstable();
        assert_eq!(seen, items);
    }

    #[test]
    fn what_takes_long_is_told() {
        let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let telling = told.clone();
        let progress = move |share: u8| telling.lock().unwrap().push(share);
        let long = |(): &mut (), _| std::thread::sleep(QUIET + Duration::from_millis(1));
        each(&[7], |item| item, Some(&progress), || (), long, |()| ());
        assert_eq!(*told.lock().unwrap(), [100]);
    }
}
