//! Certificates of the operator's own, in files that are reloaded when they change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use verge_protocol::{Timestamp, error_chain};

use super::certificate::{Certificate, CertificateError, PemPart};
use crate::clock::Clock;
use crate::file_watch::{FileStamps, POLL_INTERVAL};
use crate::tasks::Tasks;

/// The files of a certificate of the operator's own, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The certificate, then its intermediate certificates.
    pub chain: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

/// Why files are not presented as they are, one text for each pair. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct FileProblems(Arc<Mutex<Vec<String>>>);

/// Why a pair of files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFilesError {
    /// A file cannot be read.
    #[error("failed to read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// One file is not what it should be.
    #[error("cannot use {}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: CertificateError,
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

impl FileProblems {
    /// These problems, of files that are not watched.
    pub fn new(problems: Vec<String>) -> Self {
        Self(Arc::new(Mutex::new(problems)))
    }

    /// The problems now.
    pub fn list(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl CertificateFiles {
    /// Loads the files, once. Blocks.
    pub fn load(&self) -> Result<Certificate, CertificateFilesError> {
        self.read()
    }

    /// Checks the files as a daemon would that loads them now. Blocks.
    pub fn check(&self, now: Timestamp) -> Result<(), CertificateFilesError> {
        self.read()?.check(now).map_err(|source| self.invalid(source))
    }

    /// Loads files, and reloads those that change, until `tasks` drain. `present` is called with what can be used of all of them: before this
    /// returns, and after each change. Files that cannot be used any more do not replace what could.
    pub async fn watch(
        files: Vec<Self>,
        present: impl Fn(Vec<Arc<Certificate>>) + Send + 'static,
        clock: Clock,
        tasks: &Tasks,
    ) -> FileProblems {
        let problems = FileProblems::default();
        if !files.is_empty() {
            let watched = |files| Watched { files, stamps: FileStamps::default(), certificate: None, problem: None };
            let watched = files.into_iter().map(watched).collect();
            let task = Watch { watched, present, problems: problems.clone(), clock };
            let task = task.load_where(|_| true).await;
            let draining = tasks.draining().clone();
            drop(tasks.spawn("certificate files", draining.run_until_cancelled_owned(task.run())));
        }
        problems
    }

    fn read(&self) -> Result<Certificate, CertificateFilesError> {
        let bytes = |path: &Path| {
            std::fs::read(path).map_err(|source| CertificateFilesError::Unreadable { path: path.to_owned(), source })
        };
        Certificate::from_pem(&bytes(&self.chain)?, &bytes(&self.key)?).map_err(|source| self.invalid(source))
    }

    fn invalid(&self, source: CertificateError) -> CertificateFilesError {
        let path = match source.part() {
            Some(PemPart::Chain) => &self.chain,
            Some(PemPart::Key) => &self.key,
            None => return CertificateFilesError::Invalid { files: self.clone(), source },
        };
        CertificateFilesError::Unusable { path: path.clone(), source }
    }
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
        let loaded = self.files.read().map(Arc::new);
        let result = loaded.and_then(|certificate| match certificate.check(now) {
            Ok(()) => Ok((certificate, None)),
            // There is nothing better, and this machine's clock may be wrong.
            Err(error @ (CertificateError::Expired(_) | CertificateError::NotYetValid(_)))
                if self.certificate.is_none() =>
            {
                Ok((certificate, Some(error_chain(&self.files.invalid(error)))))
            }
            Err(error) => Err(self.files.invalid(error)),
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
struct Watch<F> {
    watched: Vec<Watched>,
    present: F,
    problems: FileProblems,
    clock: Clock,
}

impl<F: Fn(Vec<Arc<Certificate>>) + Send + 'static> Watch<F> {
    /// Reloads files that have changed, for ever.
    async fn run(mut self) {
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
                (self.present)(self.watched.iter().filter_map(|watched| watched.certificate.clone()).collect());
                let problems = self.watched.iter().filter_map(|watched| watched.problem.clone());
                *self.problems.0.lock().unwrap_or_else(PoisonError::into_inner) = problems.collect();
            }
            self
        };
        tokio::task::spawn_blocking(load).await.expect("loading files does not panic")
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn file_that_is_cut_short_is_named_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let chain = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        let key = key.serialize_pem();
        let at = |name: &str| directory.path().join(name);
        let files = CertificateFiles { chain: at("chain.pem"), key: at("key.pem") };
        let error = |chain: &str, key: &str| {
            std::fs::write(&files.chain, chain).unwrap();
            std::fs::write(&files.key, key).unwrap();
            let error = files.check(Timestamp(0)).unwrap_err();
            error_chain(&error).replace(&*directory.path().to_string_lossy(), "")
        };
        let advice = "expected a line `-----END …-----`; copy the whole file again";
        assert_eq!(
            error(&chain, &key[..key.len() / 2]),
            format!("cannot use /key.pem: the private key is cut short: {advice}")
        );
        assert_eq!(
            error(&chain[..chain.len() / 2], &key),
            format!("cannot use /chain.pem: the certificate is cut short: {advice}")
        );
        assert_eq!(
            error(&chain, "-----BEGIN PRIVATE KEY\n"),
            "cannot use /key.pem: the private key is not valid PEM: malformed line `-----BEGIN PRIVATE KEY`"
        );
        assert!(error(&chain, "").starts_with("cannot use /key.pem: no private key found"));
        let other = KeyPair::generate().unwrap().serialize_pem();
        assert_eq!(
            error(&chain, &other),
            "invalid certificate in /chain.pem with the key in /key.pem: the private key does not match the certificate"
        );
    }
}
