//! The files of one log; Python's `eventlog.writer` is its twin.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::platform::{is_file_of, make_folder, new_file, sync_folder, write_start};

const SUFFIX: &str = ".ndjson";
const DIGITS: usize = 20;
const MAX_WRITERS: usize = 1_000;
/// With few hits a file would never be full, and what is in it never go.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Why a log can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Other processes write it, or all logs below a folder.
    #[error("other processes write there")]
    Locked,
    /// Its folder can't be used.
    #[error("can't be written: {0}")]
    Io(#[from] io::Error),
}

/// A log that is open for writing. Its lock is held until it is dropped.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    segment_bytes: u64,
    /// The newest segment.
    segment: u64,
    file: Arc<File>,
    /// When it got its first line, or the last one before it was opened again.
    begun: SystemTime,
    /// How much of the file is whole lines.
    length: u64,
    /// Whether something may stand behind them.
    is_torn: bool,
    /// How much of the file is durable.
    durable: u64,
    /// The number of the first line that is not.
    next_sequence: u64,
    lock: File,
}

impl Segments {
    /// Opens the first log below a folder that no other process writes.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(super) fn open_free(logs: &Path, segment_bytes: u64) -> Result<Self, OpenError> {
        for number in 0..MAX_WRITERS {
            match Self::open(&logs.join(number.to_string()), segment_bytes, 1) {
                Err(OpenError::Locked) => {}
                result => return result,
            }
        }
        Err(OpenError::Locked)
    }

    /// Opens a log; makes it if it does not exist.
    ///
    /// A line that a crash has cut off is dropped: nobody was told that it is durable. A log that
    /// has no segment begins with the line of a sequence.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(super) fn open(folder: &Path, segment_bytes: u64, begin: u64) -> Result<Self, OpenError> {
        make_folder(folder)?;
        let lock = new_file().read(true).truncate(false).open(folder.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked,
            TryLockError::Error(error) => OpenError::Io(error),
        })?;
        let first = newest_segment(folder)?.unwrap_or(begin);
        let mut file = open_segment(folder, first)?;
        let (length, lines) = count_lines(&mut file)?;
        let mut log = Self {
            folder: folder.to_owned(),
            segment_bytes,
            segment: first,
            begun: file.metadata()?.modified()?,
            file: Arc::new(file),
            length,
            is_torn: true,
            durable: length,
            next_sequence: first.saturating_add(lines),
            lock,
        };
        log.drop_torn()?;
        log.file.sync_data()?;
        log.publish_end();
        Ok(log)
    }

    /// Writes whole lines; returns how many bytes of them the file has now, and why not all.
    ///
    /// Whole lines that were written stay, for a reader may have them already. They are not
    /// durable before [`Self::note_synced`] says so.
    pub(super) fn write(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        if let Err(error) = self.drop_torn() {
            return (0, Err(error));
        }
        let (written, result) = write_all(&self.file, lines);
        let whole = whole_lines(lines.get(..written).unwrap_or_default()).len();
        if self.length == 0 {
            self.begun = SystemTime::now();
        }
        self.length = self.length.saturating_add(widen(whole));
        self.is_torn = result.is_err();
        if self.is_torn {
            // If this fails as well, it is tried again before the next line.
            let _ = self.drop_torn();
        }
        (whole, result)
    }

    /// What is to be synced.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Notes that so many more bytes and lines of the file are durable.
    pub(super) fn note_synced(&mut self, bytes: usize, lines: usize) {
        self.durable = self.durable.saturating_add(widen(bytes));
        self.next_sequence = self.next_sequence.saturating_add(widen(lines));
        self.publish_end();
    }

    /// Takes back what is not durable, after a sync that failed; it is to be written again.
    ///
    /// What is on the disk is open then. Readers see the same bytes come back.
    pub(super) fn rewind(&mut self) {
        self.length = self.durable;
        self.is_torn = true;
    }

    /// Whether the next line belongs into another file: this one is full or old, or was deleted.
    ///
    /// # Errors
    /// It can't be seen whether it was.
    pub(super) fn is_finished(&self) -> io::Result<bool> {
        let is_old = self.length > 0 && self.begun.elapsed().is_ok_and(|age| age >= LONGEST);
        Ok(self.length >= self.segment_bytes || is_old || !self.is_in_place()?)
    }

    /// Begins the next file, once all of this one is durable.
    ///
    /// # Errors
    /// It can't be made.
    pub(super) fn begin_next(&mut self) -> io::Result<()> {
        if self.is_in_place()? { self.begin_segment() } else { self.begin_anew() }
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        self.file = Arc::new(open_segment(&self.folder, self.next_sequence)?);
        self.segment = self.next_sequence;
        (self.length, self.durable, self.is_torn) = (0, 0, false);
        Ok(())
    }

    /// Notes how much is durable; a reader that does not learn of it syncs by itself.
    fn publish_end(&self) {
        let end = format!("{:0DIGITS$} {:0DIGITS$}\n", self.segment, self.durable);
        let _ = write_start(&self.lock, end.as_bytes());
    }

    /// Whether the file still has its name: without it, it takes lines that nobody reads.
    fn is_in_place(&self) -> io::Result<bool> {
        is_file_of(&self.file, &segment_path(&self.folder, self.segment))
    }

    /// Makes a log that was deleted again, where the sequence goes on; or takes another one.
    fn begin_anew(&mut self) -> io::Result<()> {
        // Perhaps the lock's file is still there, and this process would wait for itself.
        self.lock.unlock()?;
        let opened = Self::open(&self.folder, self.segment_bytes, self.next_sequence);
        let opened = match (opened, self.folder.parent()) {
            (Err(OpenError::Locked), Some(logs)) => Self::open_free(logs, self.segment_bytes),
            (opened, _) => opened,
        };
        let mut log = opened.map_err(|error| match error {
            OpenError::Io(error) => error,
            OpenError::Locked => io::Error::other(error.to_string()),
        })?;
        if log.folder == self.folder && log.next_sequence < self.next_sequence {
            log.next_sequence = self.next_sequence;
            log.begin_segment()?;
        }
        *self = log;
        Ok(())
    }

    /// Drops what stands behind the last whole line.
    fn drop_torn(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.is_torn = false;
        }
        Ok(())
    }
}

/// Leaves out the beginning of a line at the end.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
    bytes.get(..end).unwrap_or_default()
}

/// Writes what fits; returns how many bytes did.
fn write_all(mut file: &File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

fn segment_path(folder: &Path, first_sequence: u64) -> PathBuf {
    folder.join(format!("{first_sequence:0DIGITS$}{SUFFIX}"))
}

fn open_segment(folder: &Path, first_sequence: u64) -> io::Result<File> {
    let path = segment_path(folder, first_sequence);
    let file = new_file().read(true).append(true).open(path)?;
    sync_folder(folder)?;
    Ok(file)
}

fn widen(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn newest_segment(folder: &Path) -> io::Result<Option<u64>> {
    let mut newest = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        let digits = digits.filter(|digits| digits.len() == DIGITS);
        newest = newest.max(digits.and_then(|digits| digits.parse().ok()));
    }
    Ok(newest)
}

/// The length and the number of a file's whole lines.
///
/// A power cut can leave bytes of zero where something was to be written.
fn count_lines(file: &mut File) -> io::Result<(u64, u64)> {
    let mut buffer = vec![0; 1 << 20];
    let (mut read, mut length, mut lines) = (0, 0, 0);
    loop {
        let count = file.read(&mut buffer)?;
        let chunk = buffer.get(..count).unwrap_or_default();
        let zero = memchr::memchr(0, chunk);
        let whole = whole_lines(chunk.get(..zero.unwrap_or(count)).unwrap_or_default());
        if !whole.is_empty() {
            length = read + widen(whole.len());
            lines += widen(memchr::memchr_iter(b'\n', whole).count());
        }
        if count == 0 || zero.is_some() {
            return Ok((length, lines));
        }
        read += widen(count);
    }
}
