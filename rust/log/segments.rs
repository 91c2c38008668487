//! The files of one log; Python's `eventlog.writer` is its twin.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
const SUFFIX: &str = ".ndjson";
const DIGITS: usize = 20;

/// Why a log can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes it.
    #[error("another process writes this log")]
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
    /// Where the file was put.
    path: PathBuf,
    file: File,
    /// How much of the file is whole lines that are durable.
    length: u64,
    /// Whether something may stand behind them.
    is_dirty: bool,
    next_sequence: u64,
    _lock: File,
}

impl Segments {
    /// Opens a log; makes it if it does not exist.
    ///
    /// A line that a crash has cut off is dropped: nobody was told that it is durable.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(super) fn open(folder: &Path, segment_bytes: u64) -> Result<Self, OpenError> {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
        let lock = new_file().read(true).truncate(false).open(folder.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked,
            TryLockError::Error(error) => OpenError::Io(error),
        })?;
        let first = newest_segment(folder)?.unwrap_or(1);
        let (path, mut file) = open_segment(folder, first)?;
        let (length, lines) = count_lines(&mut file)?;
        let mut log = Self {
            folder: folder.to_owned(),
            segment_bytes,
            path,
            file,
            length,
            is_dirty: true,
            next_sequence: first.saturating_add(lines),
            _lock: lock,
        };
        log.drop_torn()?;
        Ok(log)
    }

    /// Appends whole lines; returns how many bytes of them are durable now, and why not all.
    ///
    /// What could not be written is to be given again: lines that were written stay, for a
    /// reader may have them already.
    pub(super) fn append(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        let mut kept = 0;
        let result = self.prepare().and_then(|()| {
            self.is_dirty = true;
            let (written, result) = write_all(&mut self.file, lines);
            let whole = lines.get(..written).unwrap_or_default();
            let end = memchr::memrchr(b'\n', whole).map_or(0, |at| at + 1);
            let whole = whole.get(..end).unwrap_or_default();
            // A failed sync leaves it open what is on disk: the same bytes are written anew.
            if !whole.is_empty() {
                self.file.sync_data()?;
            }
            kept = whole.len();
            self.length = self.length.saturating_add(widen(kept));
            let count = memchr::memchr_iter(b'\n', whole).count();
            self.next_sequence = self.next_sequence.saturating_add(widen(count));
            self.is_dirty = kept != lines.len();
            result
        });
        if result.is_err() {
            // If this fails as well, it is tried again before the next line.
            let _ = self.drop_torn();
        }
        (kept, result)
    }

    fn prepare(&mut self) -> io::Result<()> {
        if !self.is_in_place()? {
            return self.begin_anew();
        }
        self.drop_torn()?;
        if self.length >= self.segment_bytes {
            (self.path, self.file) = open_segment(&self.folder, self.next_sequence)?;
            self.length = 0;
        }
        Ok(())
    }

    /// Whether the file still has its name: without it, it takes lines that nobody reads.
    fn is_in_place(&self) -> io::Result<bool> {
        let file = self.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(found) => Ok(found.ino() == file.ino() && found.dev() == file.dev()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a log that was deleted again; the sequence goes on.
    fn begin_anew(&mut self) -> io::Result<()> {
        let mut log =
            Self::open(&self.folder, self.segment_bytes).map_err(|error| match error {
                OpenError::Io(error) => error,
                OpenError::Locked => {
                    io::Error::other("it was deleted, and another process has it now")
                }
            })?;
        if log.next_sequence < self.next_sequence {
            log.next_sequence = self.next_sequence;
            (log.path, log.file) = open_segment(&self.folder, self.next_sequence)?;
            log.length = 0;
        }
        *self = log;
        Ok(())
    }

    /// Drops what stands behind the last whole line.
    fn drop_torn(&mut self) -> io::Result<()> {
        if self.is_dirty {
            self.file.set_len(self.length)?;
            self.is_dirty = false;
        }
        Ok(())
    }
}

/// Writes what fits; returns how many bytes did.
fn write_all(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
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

fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(FILE_MODE);
    options
}

fn open_segment(folder: &Path, first_sequence: u64) -> io::Result<(PathBuf, File)> {
    let path = folder.join(format!("{first_sequence:0DIGITS$}{SUFFIX}"));
    let file = new_file().read(true).append(true).open(&path)?;
    File::open(folder)?.sync_all()?;
    Ok((path, file))
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
fn count_lines(file: &mut File) -> io::Result<(u64, u64)> {
    let mut buffer = vec![0; 1 << 20];
    let (mut read, mut length, mut lines) = (0, 0, 0);
    loop {
        let count = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else {
            return Ok((length, lines));
        };
        for at in memchr::memchr_iter(b'\n', chunk) {
            lines += 1;
            length = read + widen(at + 1);
        }
        read += widen(count);
    }
}
