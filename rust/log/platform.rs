//! What a log asks of the system's files: that they are private, durable and still in place.
//!
//! On POSIX, which servers run on. The others have the library; that the log compiles there keeps
//! one core for all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

pub(super) use system::{is_file_of, make_folder, new_file, sync_folder, write_start};

#[cfg(unix)]
mod system {
    use super::{DirBuilder, File, OpenOptions, Path, io};
    use std::fs;
    use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};

    const FILE_MODE: u32 = 0o600;
    const FOLDER_MODE: u32 = 0o700;

    /// Makes a folder that its owner alone can use; keeps one that is there.
    pub(in crate::log) fn make_folder(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
    }

    /// How a file is opened for writing, and made for its owner alone.
    pub(in crate::log) fn new_file() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.write(true).create(true).mode(FILE_MODE);
        options
    }

    /// Makes the names in a folder durable.
    pub(in crate::log) fn sync_folder(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// Writes over the beginning of a file.
    pub(in crate::log) fn write_start(file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, 0)
    }

    /// Whether a name leads to a file that is open.
    pub(in crate::log) fn is_file_of(file: &File, path: &Path) -> io::Result<bool> {
        let file = file.metadata()?;
        match fs::metadata(path) {
            Ok(found) => Ok(found.ino() == file.ino() && found.dev() == file.dev()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(windows)]
mod system {
    use super::{DirBuilder, File, OpenOptions, Path, io};
    use std::os::windows::fs::{FileExt, OpenOptionsExt};

    /// `FILE_SHARE_READ | FILE_SHARE_WRITE`: while it is open, nobody removes or renames it.
    const SHARES: u32 = 0x1 | 0x2;

    /// Makes a folder; who may use it is what its parent passes on.
    pub(in crate::log) fn make_folder(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).create(path)
    }

    /// How a file is opened for writing.
    pub(in crate::log) fn new_file() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.write(true).create(true).share_mode(SHARES);
        options
    }

    /// NTFS has a journal of names, and no call to wait for it.
    #[allow(clippy::unnecessary_wraps)] // as it is elsewhere
    pub(in crate::log) fn sync_folder(_: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Writes over the beginning of a file.
    pub(in crate::log) fn write_start(file: &File, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            let at = u64::try_from(written).map_err(io::Error::other)?;
            match file.seek_write(rest, at)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => written += count,
            }
        }
        Ok(())
    }

    /// A file that is open keeps its name: see `SHARES`.
    #[allow(clippy::unnecessary_wraps)] // as it is elsewhere
    pub(in crate::log) fn is_file_of(_: &File, _: &Path) -> io::Result<bool> {
        Ok(true)
    }
}
