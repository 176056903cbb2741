//! The certificates that the edge presents: where they come from, and what is wrong with them.

mod certificate_files;
mod presented;

use std::sync::{Arc, PoisonError};

use verge_daemon::tls::Certificates;
use verge_daemon::{Clock, Tasks};
use verge_protocol::{CertificateName, Timestamp};

pub(crate) use self::certificate_files::check_files;
use self::certificate_files::{CertificateFilesTask, FileProblems};
pub(crate) use self::presented::PresentedCertificates;
use crate::config::CertificateFiles;

/// A certificate that should have been renewed has less than a sixth of its lifetime left, or so many milliseconds: authorities and
/// operators renew at a third, and tools at 30 days.
const RENEWAL_OVERDUE: u64 = 14 * 24 * 60 * 60 * 1000;

/// What is presented, and what is wrong with it. Clones share it.
#[derive(Clone)]
pub(crate) struct TlsStatus {
    presented: Arc<Certificates>,
    file_problems: FileProblems,
    clock: Clock,
}

impl TlsStatus {
    /// Loads the operator's certificate files, and reloads them when they change, until `tasks` drain.
    pub(crate) async fn watch(
        files: Vec<CertificateFiles>,
        presented: &PresentedCertificates,
        clock: Clock,
        tasks: &Tasks,
    ) -> Self {
        let file_problems: FileProblems = Arc::default();
        if !files.is_empty() {
            let mut task =
                CertificateFilesTask::new(files, presented.clone(), Arc::clone(&file_problems), clock.clone());
            task = task.load().await;
            let draining = tasks.draining().clone();
            drop(tasks.spawn("certificate files", draining.run_until_cancelled_owned(task.run())));
        }
        Self { presented: Arc::clone(presented.certificates()), file_problems, clock }
    }

    /// Why files of the operator's are not presented as they are.
    pub(crate) fn file_problems(&self) -> Vec<String> {
        self.file_problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The certificates that are presented but should have been renewed, with the ends of their validity.
    pub(crate) fn expiring(&self) -> Vec<(CertificateName, Timestamp)> {
        let now = self.clock.now();
        let mut expiring = self.presented.presented();
        expiring.retain(|(_, certificate)| {
            let (start, end) = (certificate.not_before(), certificate.not_after());
            let margin = (end.0.saturating_sub(start.0) / 6).min(RENEWAL_OVERDUE);
            now.0 >= end.0.saturating_sub(margin)
        });
        expiring.into_iter().map(|(name, certificate)| (name, certificate.not_after())).collect()
    }

    /// Seconds until each presented certificate expires, negative after that, by the first of its names for which it is presented.
    pub(crate) fn expiry_seconds(&self) -> Vec<(String, f64)> {
        let now = self.clock.now();
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; milliseconds stay below 2^53")]
        let seconds = |end: Timestamp| (end.0 as f64 - now.0 as f64) / 1000.0;
        let presented = self.presented.presented();
        presented.iter().map(|(name, certificate)| (name.to_string(), seconds(certificate.not_after()))).collect()
    }
}

#[cfg(test)]
impl TlsStatus {
    pub(crate) fn with_file_problems(file_problems: Vec<String>, clock: Clock) -> Self {
        let file_problems = Arc::new(std::sync::Mutex::new(file_problems));
        Self { presented: Arc::default(), file_problems, clock }
    }
}
