//! What waits for the disk: lines, bounded in number, that are swapped for none to be written.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Hit;
use super::id::Ids;

/// From so many lines on a batch is written at once.
const MANY: usize = 8_192;

/// Most batches fit into so many bytes; what an emptied list has beyond them is given back.
const ROOM: usize = 8 << 20;

/// What was counted since the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Lines taken.
    pub accepted: u64,
    /// Of these, lines that are durable.
    pub written: u64,
    /// Lines not taken, because too many waited or the log was closed.
    pub dropped: u64,
    /// Writes that failed.
    pub failures: u64,
    /// Lines that are not durable yet.
    pub waiting: u64,
    /// Why the last write failed; none if it did not.
    pub last_error: Option<String>,
}

/// What the thread that writes is to do next.
#[derive(Debug)]
pub(super) enum Work {
    /// To write what was put.
    Batch,
    /// To go on from what a sync came to.
    Synced(io::Result<()>),
    /// Nothing any more.
    End,
}

/// The queue of one log: any thread puts, one takes.
#[derive(Debug)]
pub(super) struct Queue {
    max_queued: usize,
    batch_after: Duration,
    state: Mutex<State>,
    /// For the thread that writes.
    work: Condvar,
    /// For those who wait until something is written.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What waits, whole lines. They are written here while a hit is in the processor's cache:
    /// texts that one thread makes and another frees cost more than the JSON.
    lines: Vec<u8>,
    /// How many they are.
    count: usize,
    ids: Ids,
    /// When the oldest of the lines was put.
    oldest: Option<Instant>,
    /// How many lines were taken out and are not durable.
    in_hand: usize,
    /// Whether someone waits for what is in the queue.
    is_urgent: bool,
    /// What the last sync came to, until it is taken.
    synced: Option<io::Result<()>>,
    /// Until when the lines that wait are to be written; nothing is put any more.
    closing: Option<Instant>,
    has_ended: bool,
    figures: Figures,
}

impl Queue {
    pub(super) fn new(max_queued: usize, batch_after: Duration) -> Self {
        Self {
            max_queued,
            batch_after,
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
        }
    }

    /// Adds a hit as a line of JSON; says whether there was room.
    pub(super) fn put_hit(&self, hit: &Hit) -> bool {
        self.put(|State { lines, ids, .. }| {
            hit.write(&ids.make(hit.at)?, lines);
            Ok(())
        })
    }

    /// Adds a line, given without its end; says whether there was room.
    pub(super) fn put_line(&self, line: &[u8]) -> bool {
        self.put(|State { lines, .. }| {
            lines.extend_from_slice(line);
            lines.push(b'\n');
            Ok(())
        })
    }

    fn put(&self, write: impl FnOnce(&mut State) -> Result<(), getrandom::Error>) -> bool {
        let mut state = self.lock();
        let waiting = state.count.saturating_add(state.in_hand);
        if state.closing.is_some() || waiting >= self.max_queued {
            state.figures.dropped += 1;
            return false;
        }
        if let Err(error) = write(&mut state) {
            state.figures.dropped += 1;
            state.figures.failures += 1;
            state.figures.last_error = Some(error.to_string());
            return false;
        }
        state.count += 1;
        state.figures.accepted += 1;
        let wakes = match state.count {
            1 => {
                state.oldest = Some(Instant::now());
                true
            }
            MANY => true,
            _ => false,
        };
        drop(state);
        if wakes {
            self.work.notify_one();
        }
        true
    }

    /// Waits for work; lines are swapped for a list that is emptied.
    ///
    /// Without room nothing is taken before a sync has ended; while one is under way there is no
    /// end.
    pub(super) fn next(&self, batch: &mut Vec<u8>, has_room: bool, is_syncing: bool) -> Work {
        let mut state = self.lock();
        loop {
            if let Some(outcome) = state.synced.take() {
                return Work::Synced(outcome);
            }
            let is_closing = state.closing.is_some();
            let wait = match state.oldest {
                None if is_closing && !is_syncing => return Work::End,
                Some(oldest) if has_room => {
                    let is_urgent = is_closing || state.is_urgent || state.count >= MANY;
                    let rest = self.batch_after.saturating_sub(oldest.elapsed());
                    if is_urgent || rest.is_zero() {
                        break;
                    }
                    Some(rest)
                }
                _ => None,
            };
            state = self.wait(state, wait);
        }
        state.oldest = None;
        state.is_urgent = false;
        state.in_hand = state.in_hand.saturating_add(std::mem::take(&mut state.count));
        batch.clear();
        batch.shrink_to(ROOM);
        std::mem::swap(&mut state.lines, batch);
        Work::Batch
    }

    /// Tells the thread that writes what a sync came to.
    pub(super) fn note_synced(&self, outcome: io::Result<()>) {
        self.lock().synced = Some(outcome);
        self.work.notify_one();
    }

    /// Waits for the sync that is under way.
    pub(super) fn wait_for_sync(&self) -> io::Result<()> {
        let mut state = self.lock();
        loop {
            if let Some(outcome) = state.synced.take() {
                return outcome;
            }
            state = self.wait(state, None);
        }
    }

    /// Notes that lines that were taken became durable.
    pub(super) fn note_written(&self, lines: usize) {
        let mut state = self.lock();
        state.in_hand = state.in_hand.saturating_sub(lines);
        state.figures.written += u64::try_from(lines).unwrap_or(u64::MAX);
        state.figures.last_error = None;
        self.done.notify_all();
    }

    /// Notes that a write failed, and why.
    pub(super) fn note_failure(&self, error: String) {
        let mut state = self.lock();
        state.figures.failures += 1;
        state.figures.last_error = Some(error);
    }

    /// Waits before a write is tried again, shorter when closing; false if time is up.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            let end = match state.closing {
                None => start + time,
                Some(deadline) if deadline <= Instant::now() => return false,
                Some(deadline) => deadline.min(start + time.min(Duration::from_millis(100))),
            };
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return true;
            }
            state = self.wait(state, Some(rest));
        }
    }

    /// Waits until all lines put so far are durable; says whether they are.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let mut state = self.lock();
        let goal = state.figures.accepted;
        state.is_urgent = true;
        self.work.notify_one();
        let (state, _) = self
            .done
            .wait_timeout_while(state, timeout, |state| {
                state.figures.written < goal && !state.has_ended
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.figures.written >= goal
    }

    /// Takes no more lines and waits until those that wait are written; returns how many are not.
    pub(super) fn close(&self, timeout: Duration) -> u64 {
        let mut state = self.lock();
        state.closing = Some(Instant::now() + timeout);
        self.work.notify_one();
        let (state, _) = self
            .done
            .wait_timeout_while(state, timeout, |state| !state.has_ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.figures.accepted.saturating_sub(state.figures.written)
    }

    /// Notes that nothing will be written any more.
    pub(super) fn note_end(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        state.closing.get_or_insert_with(Instant::now);
        self.done.notify_all();
    }

    pub(super) fn figures(&self) -> Figures {
        let state = self.lock();
        let waiting = state.count.saturating_add(state.in_hand);
        Figures { waiting: u64::try_from(waiting).unwrap_or(u64::MAX), ..state.figures.clone() }
    }

    fn wait<'q>(
        &self,
        state: MutexGuard<'q, State>,
        time: Option<Duration>,
    ) -> MutexGuard<'q, State> {
        let Some(time) = time else {
            return self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        self.work.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
