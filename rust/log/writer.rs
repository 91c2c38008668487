//! A hit log: a queue, the files, and the threads between them.
//!
//! One writes, another syncs. So what a crash of the process takes does not depend on how long a
//! disk needs for a sync, and lines are written while earlier ones become durable.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::Hit;
use super::queue::{Figures, Queue, Work};
use super::segments::{OpenError, Segments};

/// So many bytes are handed to the system at once, while they are in the processor's cache.
const PIECE_BYTES: usize = 256 << 10;
/// With so many bytes that are not durable nothing more is written.
const MAX_UNSYNCED_BYTES: usize = 32 << 20;
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
    /// Opens the first log below a folder that no other process writes, and starts its threads.
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
        let (files, to_sync) = channel();
        let shared = Arc::clone(&queue);
        thread::Builder::new()
            .name("hit-log-sync".to_owned())
            .spawn(move || sync_files(&shared, &to_sync))?;
        let shared = Arc::clone(&queue);
        thread::Builder::new().name("hit-log".to_owned()).spawn(move || {
            let ended = End(&shared);
            Writer::new(&shared, segments, files).run();
            drop(ended);
        })?;
        Ok(Self { queue })
    }

    /// Takes a hit without waiting for the disk; returns false if it was dropped.
    #[must_use]
    pub fn put_hit(&self, hit: &Hit) -> bool {
        self.queue.put_hit(hit)
    }

    /// Takes a JSON object on one line; returns false if it was dropped.
    ///
    /// # Errors
    /// It is empty, or not one line.
    pub fn put_line(&self, line: &[u8]) -> Result<bool, LineError> {
        if line.is_empty() || memchr::memchr(b'\n', line).is_some() {
            return Err(LineError);
        }
        Ok(self.queue.put_line(line))
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

/// Syncs one file after the other, until there will be none any more.
fn sync_files(queue: &Queue, files: &Receiver<Arc<File>>) {
    for file in files {
        queue.note_synced(file.sync_data());
    }
}

struct Writer<'q> {
    queue: &'q Queue,
    segments: Segments,
    /// Lines that are not durable yet. They are kept as they are, for their ids must not change.
    lines: Vec<u8>,
    /// How many bytes of them the file has.
    written: usize,
    /// How many bytes of them are being synced; zero: none.
    syncing: usize,
    files: Sender<Arc<File>>,
}

impl<'q> Writer<'q> {
    fn new(queue: &'q Queue, segments: Segments, files: Sender<Arc<File>>) -> Self {
        Self { queue, segments, lines: Vec::new(), written: 0, syncing: 0, files }
    }

    fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let has_room = self.lines.len() < MAX_UNSYNCED_BYTES;
            let goes_on = match self.queue.next(&mut batch, has_room, self.syncing > 0) {
                Work::Batch => self.write_batch(&batch),
                Work::Synced(outcome) => match self.end_sync(outcome) {
                    Ok(()) => true,
                    Err(error) => {
                        self.note_failure(&error);
                        self.queue.pause(FIRST_RETRY) && self.write()
                    }
                },
                Work::End => return,
            };
            if !goes_on {
                return;
            }
            self.begin_sync();
        }
    }

    /// Writes lines; returns false if there is no time left to.
    fn write_batch(&mut self, mut batch: &[u8]) -> bool {
        while !batch.is_empty() {
            // A file ends with a line.
            let behind = batch.get(PIECE_BYTES..).unwrap_or_default();
            let end = memchr::memchr(b'\n', behind).map_or(batch.len(), |at| PIECE_BYTES + at + 1);
            let (piece, rest) = batch.split_at_checked(end).unwrap_or((batch, &[]));
            self.lines.extend_from_slice(piece);
            batch = rest;
            if !(self.write() && (rest.is_empty() || self.make_room())) {
                return false;
            }
        }
        true
    }

    /// Hands all lines to the system, however long it takes.
    fn write(&mut self) -> bool {
        let mut pause = FIRST_RETRY;
        while self.written < self.lines.len() {
            if let Err(error) = self.write_once() {
                let _ = self.settle();
                self.note_failure(&error);
                if !self.wait(&mut pause) {
                    return false;
                }
            }
        }
        true
    }

    fn write_once(&mut self) -> io::Result<()> {
        if self.segments.is_finished()? {
            self.settle()?;
            self.segments.begin_next()?;
        }
        let lines = self.lines.get(self.written..).unwrap_or_default();
        let (length, result) = self.segments.write(lines);
        self.written += length;
        result
    }

    /// Waits until there is room for lines that are not durable.
    fn make_room(&mut self) -> bool {
        let mut pause = FIRST_RETRY;
        while self.lines.len() >= MAX_UNSYNCED_BYTES {
            if let Err(error) = self.settle() {
                self.note_failure(&error);
                if !(self.wait(&mut pause) && self.write()) {
                    return false;
                }
            }
        }
        true
    }

    /// Makes what is written durable, before something else is done.
    fn settle(&mut self) -> io::Result<()> {
        if self.syncing > 0 {
            let outcome = self.queue.wait_for_sync();
            self.end_sync(outcome)?;
        }
        if self.written > 0 {
            self.syncing = self.written;
            let outcome = self.segments.file().sync_data();
            self.end_sync(outcome)?;
        }
        Ok(())
    }

    fn begin_sync(&mut self) {
        if self.syncing == 0 && self.written > 0 && self.files.send(self.segments.file()).is_ok() {
            self.syncing = self.written;
        }
    }

    /// Goes on from what a sync came to: lines are durable, or will be written again.
    fn end_sync(&mut self, outcome: io::Result<()>) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.syncing);
        if outcome.is_err() {
            self.segments.rewind();
            self.written = 0;
            return outcome;
        }
        let durable = self.lines.drain(..bytes);
        let lines = memchr::memchr_iter(b'\n', durable.as_slice()).count();
        drop(durable);
        self.written = self.written.saturating_sub(bytes);
        if self.lines.is_empty() {
            self.lines.shrink_to(4 * PIECE_BYTES);
        }
        self.segments.note_synced(bytes, lines);
        self.queue.note_written(lines);
        Ok(())
    }

    fn note_failure(&self, error: &io::Error) {
        let place = self.segments.folder().display();
        self.queue.note_failure(format!("{place}: {error}"));
    }

    fn wait(&self, pause: &mut Duration) -> bool {
        let time = *pause;
        *pause = (2 * time).min(LAST_RETRY);
        self.queue.pause(time)
    }
}
