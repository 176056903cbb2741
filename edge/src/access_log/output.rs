//! Where lines are written: standard output, or a file that follows its path.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::LogDestination;

/// For the owner, and a group that may read it.
const MODE: u32 = 0o640;

pub(super) struct Output {
    file: File,
    /// `None`: standard output.
    path: Option<PathBuf>,
}

impl Output {
    pub(super) fn open(destination: &LogDestination) -> io::Result<Self> {
        match destination {
            LogDestination::Stdout => {
                let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
                Ok(Self { file, path: None })
            }
            LogDestination::File(path) => Ok(Self { file: open(path)?, path: Some(path.clone()) }),
        }
    }

    /// Likewise as standard output.
    #[cfg(test)]
    pub(super) fn of_file(file: File) -> Self {
        Self { file, path: None }
    }

    /// Opens the file again if there is another one at its path, or none. Returns whether it did. After an error the one that was
    /// open is still used.
    pub(super) fn follow_path(&mut self) -> io::Result<bool> {
        let Some(path) = &self.path else { return Ok(false) };
        let opened = self.file.metadata()?;
        if std::fs::metadata(path).is_ok_and(|at_path| (at_path.dev(), at_path.ino()) == (opened.dev(), opened.ino())) {
            return Ok(false);
        }
        self.file = open(path)?;
        Ok(true)
    }

    /// Writes some of `bytes`, at least one.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return written,
            }
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(formatter, "{}", path.display()),
            None => formatter.write_str("standard output"),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    // To open one would wait for a reader.
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a named pipe; use \"-\" and a pipe"));
    }
    OpenOptions::new().append(true).create(true).mode(MODE).open(path)
}
