//! A hit log: a queue, the files, and the thread between them.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Hit;
use super::id::Ids;
use super::queue::{Entry, Figures, Queue};
use super::segments::{OpenError, Segments};

/// So many bytes are written and synced at once; then the next ones.
const CHUNK_BYTES: usize = 4 << 20;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// What bounds a hit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many lines wait in memory; more are dropped.
    pub max_queued: usize,
    /// The longest that a line waits before it is written, if the disk is fast.
    pub batch: Duration,
    /// From this size on a new file is begun.
    pub segment_bytes: u64,
}

/// A line that would be none, or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is not empty and has no line end in it")]
pub struct LineError;

/// A hit log that is open for writing. Threads may share it.
#[derive(Debug)]
pub struct HitLog {
    queue: Arc<Queue>,
}

impl HitLog {
    /// Opens the first log below a folder that no other process writes, and starts its thread.
    ///
    /// Folders that do not exist are made.
    /// A process that forks opens it afterwards: threads stay behind.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(logs: &Path, limits: Limits) -> Result<Self, OpenError> {
        let segments = Segments::open_free(logs, limits.segment_bytes)?;
        // The other half is for the disk.
        let queue = Arc::new(Queue::new(limits.max_queued, limits.batch / 2));
        let shared = Arc::clone(&queue);
        thread::Builder::new().name("hit-log".to_owned()).spawn(move || {
            let ended = End(&shared);
            Writer::new(&shared, segments).run();
            drop(ended);
        })?;
        Ok(Self { queue })
    }

    /// Takes a hit without waiting for the disk; returns false if it was dropped.
    #[must_use]
    pub fn put_hit(&self, hit: Hit) -> bool {
        self.queue.put(Entry::Hit(hit))
    }

    /// Takes a JSON object on one line; returns false if it was dropped.
    ///
    /// # Errors
    /// It is empty, or not one line.
    pub fn put_line(&self, line: &[u8]) -> Result<bool, LineError> {
        if line.is_empty() || memchr::memchr(b'\n', line).is_some() {
            return Err(LineError);
        }
        Ok(self.queue.put(Entry::Line(line.into())))
    }

    /// Waits until all lines put so far are durable; says whether they are.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        self.queue.flush(timeout)
    }

    /// Takes no more lines and writes those that wait; returns how many were lost.
    #[must_use]
    pub fn close(&self, timeout: Duration) -> u64 {
        self.queue.close(timeout)
    }

    /// What was counted.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.queue.figures()
    }
}

impl Drop for HitLog {
    fn drop(&mut self) {
        let _lost = self.queue.close(Duration::ZERO);
    }
}

/// Tells those who wait that the thread ends, however it does.
struct End<'q>(&'q Queue);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.note_end();
    }
}

struct Writer<'q> {
    queue: &'q Queue,
    segments: Segments,
    ids: Ids,
    /// Lines that are not durable yet. They are kept as they are, for their ids must not change.
    lines: Vec<u8>,
}

impl<'q> Writer<'q> {
    fn new(queue: &'q Queue, segments: Segments) -> Self {
        Self { queue, segments, ids: Ids::new(), lines: Vec::new() }
    }

    fn run(mut self) {
        let mut batch = Vec::new();
        while self.queue.take(&mut batch) {
            for entry in batch.drain(..) {
                if !self.add(&entry) || (self.lines.len() >= CHUNK_BYTES && !self.write()) {
                    return;
                }
            }
            if !self.write() {
                return;
            }
        }
    }

    /// Adds a line to those to write; returns false if there is no time left to.
    fn add(&mut self, entry: &Entry) -> bool {
        match entry {
            Entry::Line(line) => {
                self.lines.extend_from_slice(line);
                self.lines.push(b'\n');
            }
            Entry::Hit(hit) => {
                let mut pause = FIRST_RETRY;
                let id = loop {
                    match self.ids.make(hit.at) {
                        Ok(id) => break id,
                        Err(error) => self.queue.note_outcome(Some(error.to_string())),
                    }
                    if !self.wait(&mut pause) {
                        return false;
                    }
                };
                hit.write(&id, &mut self.lines);
            }
        }
        true
    }

    /// Makes the lines durable, however long it takes; returns false if there is no time left.
    fn write(&mut self) -> bool {
        let mut pause = FIRST_RETRY;
        while !self.lines.is_empty() {
            let (durable, result) = self.segments.append(&self.lines);
            self.lines.drain(..durable.bytes);
            let place = self.segments.folder().display();
            let failure = result.as_ref().err().map(|error| format!("{place}: {error}"));
            self.queue.note_outcome(failure);
            self.queue.note_written(durable.lines);
            if result.is_ok() {
                pause = FIRST_RETRY;
            } else if !self.wait(&mut pause) {
                return false;
            }
        }
        true
    }

    fn wait(&self, pause: &mut Duration) -> bool {
        let time = *pause;
        *pause = (2 * time).min(LAST_RETRY);
        self.queue.pause(time)
    }
}
