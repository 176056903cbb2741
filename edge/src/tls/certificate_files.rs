//! Certificates of the operator's own, in files that are reloaded when they change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use verge_daemon::file_watch::{FileStamps, POLL_INTERVAL};
use verge_daemon::tls::{Certificate, CertificateError};
use verge_daemon::{Clock, error_chain};
use verge_protocol::Timestamp;

use super::presented::PresentedCertificates;
use crate::config::CertificateFiles;

/// Why files are not presented as they are, one text for each pair.
pub(super) type FileProblems = Arc<Mutex<Vec<String>>>;

/// Why a pair of files cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// A file cannot be read.
    #[error("failed to read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// They are no certificate and its key, or it is not valid now.
    #[error("invalid certificate in {} with the key in {}", files.chain.display(), files.key.display())]
    Invalid {
        /// The files.
        files: CertificateFiles,
        /// The cause.
        source: CertificateError,
    },
}

/// Checks files as a daemon would that loads them now. Blocks.
pub(crate) fn check_files(files: &CertificateFiles, now: Timestamp) -> Result<(), FileError> {
    let invalid = |source| FileError::Invalid { files: files.clone(), source };
    read(files)?.check(now).map_err(invalid)
}

fn read(files: &CertificateFiles) -> Result<Certificate, FileError> {
    let bytes =
        |path: &Path| std::fs::read(path).map_err(|source| FileError::Unreadable { path: path.to_owned(), source });
    Certificate::from_pem(&bytes(&files.chain)?, &bytes(&files.key)?)
        .map_err(|source| FileError::Invalid { files: files.clone(), source })
}

/// A pair of files, and what is presented of it.
struct Watched {
    files: CertificateFiles,
    stamps: FileStamps,
    /// The last one that could be used.
    certificate: Option<Arc<Certificate>>,
    problem: Option<String>,
}

impl Watched {
    /// Loads the files. What cannot be used does not replace what could.
    fn load(&mut self, now: Timestamp) {
        self.stamps = FileStamps::default();
        self.stamps.add([&*self.files.chain, &*self.files.key]);
        let invalid = |source| FileError::Invalid { files: self.files.clone(), source };
        let loaded = read(&self.files).map(Arc::new);
        let result = loaded.and_then(|certificate| match certificate.check(now) {
            Ok(()) => Ok((certificate, None)),
            // There is nothing better, and this machine's clock may be wrong.
            Err(error @ (CertificateError::Expired(_) | CertificateError::NotYetValid(_)))
                if self.certificate.is_none() =>
            {
                Ok((certificate, Some(error_chain(&invalid(error)))))
            }
            Err(error) => Err(invalid(error)),
        });
        let problem = match result {
            Ok((certificate, problem)) => {
                tracing::info!(names = ?certificate.names(), until = %certificate.not_after(), "certificate loaded");
                self.certificate = Some(certificate);
                problem
            }
            Err(error) => {
                let effect = if self.certificate.is_some() { "; the previous one is still presented" } else { "" };
                Some(format!("{}{effect}", error_chain(&error)))
            }
        };
        if let Some(problem) = problem.as_ref().filter(|problem| self.problem.as_ref() != Some(problem)) {
            tracing::error!(problem, "a certificate file cannot be used as it is");
        }
        self.problem = problem;
    }
}

/// Keeps what is presented as the files are.
pub(super) struct CertificateFilesTask {
    watched: Vec<Watched>,
    presented: PresentedCertificates,
    problems: FileProblems,
    clock: Clock,
}

impl CertificateFilesTask {
    pub(super) fn new(
        files: Vec<CertificateFiles>,
        presented: PresentedCertificates,
        problems: FileProblems,
        clock: Clock,
    ) -> Self {
        let watched = |files| Watched { files, stamps: FileStamps::default(), certificate: None, problem: None };
        Self { watched: files.into_iter().map(watched).collect(), presented, problems, clock }
    }

    /// Loads all files.
    pub(super) async fn load(self) -> Self {
        self.load_where(|_| true).await
    }

    /// Reloads files that have changed, for ever.
    pub(super) async fn run(mut self) {
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            self = self.load_where(|watched| watched.stamps.have_changed()).await;
        }
    }

    async fn load_where(mut self, condition: impl Fn(&mut Watched) -> bool + Send + 'static) -> Self {
        let now = self.clock.now();
        let load = move || {
            let mut has_loaded = false;
            for watched in &mut self.watched {
                if condition(watched) {
                    watched.load(now);
                    has_loaded = true;
                }
            }
            if has_loaded {
                let certificates = self.watched.iter().filter_map(|watched| watched.certificate.clone());
                self.presented.set_own(certificates.collect());
                let problems = self.watched.iter().filter_map(|watched| watched.problem.clone());
                *self.problems.lock().unwrap_or_else(PoisonError::into_inner) = problems.collect();
            }
            self
        };
        tokio::task::spawn_blocking(load).await.expect("loading files does not panic")
    }
}
