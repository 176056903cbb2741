//! Settings of health checks.

use std::fmt;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use verge_protocol::DomainName;
use verge_protocol::fleet::ProbeScheme;

use super::probe_settings::ProbeSettings;

/// Settings of health checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthConfig {
    /// How often to probe, and how many results change the state.
    pub probe: ProbeSettings,
    /// How long an edge may be behind the best edge before it counts as lagging. Precise to the second.
    pub lag_after: Duration,
    /// The scheme of probes of edges that have no own.
    pub scheme: ProbeScheme,
    /// The host to request, for which the certificate must be valid; `None`: with HTTPS one that the fleet has a certificate for, else the
    /// address itself.
    pub host: Option<DomainName>,
    /// PEM certificates of authorities to trust in addition to the system's.
    pub ca: Option<Pem>,
}

/// PEM certificates.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem(Vec<u8>);

impl Pem {
    /// The contents of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the file contains at least one certificate, and only certificates that can be trusted as authorities.
    fn contains_only_authorities(&self) -> bool {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.0).collect();
        certificates.is_ok_and(|certificates| {
            let count = certificates.len();
            count > 0 && RootCertStore::empty().add_parsable_certificates(certificates) == (count, 0)
        })
    }
}

impl From<Vec<u8>> for Pem {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes of PEM", self.0.len())
    }
}

/// Why health-check settings are rejected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HealthConfigError {
    /// A duration is out of range.
    #[error("invalid `{0}`: expected more than 0 and at most 10 minutes")]
    Duration(&'static str),
    /// The `ca` does not contain PEM certificates of authorities.
    #[error("invalid `ca_file`: expected PEM certificates of authorities")]
    NoAuthorities,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            probe: ProbeSettings::default(),
            lag_after: Duration::from_secs(30),
            scheme: ProbeScheme::Http,
            host: None,
            ca: None,
        }
    }
}

impl HealthConfig {
    /// The longest duration allowed.
    const MAX_DURATION: Duration = Duration::from_mins(10);

    /// Checks the durations and the certificates.
    pub(crate) fn check(&self) -> Result<(), HealthConfigError> {
        let ProbeSettings { interval, timeout, retry, .. } = self.probe;
        for (name, duration) in
            [("interval", interval), ("timeout", timeout), ("retry", retry), ("lag_after", self.lag_after)]
        {
            if duration.is_zero() || duration > Self::MAX_DURATION {
                return Err(HealthConfigError::Duration(name));
            }
        }
        if self.ca.as_ref().is_some_and(|ca| !ca.contains_only_authorities()) {
            return Err(HealthConfigError::NoAuthorities);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_out_of_range_is_rejected() {
        assert_eq!(HealthConfig::default().check(), Ok(()));
        let probe = ProbeSettings { retry: Duration::ZERO, ..ProbeSettings::default() };
        let config = HealthConfig { probe, ..HealthConfig::default() };
        assert_eq!(config.check(), Err(HealthConfigError::Duration("retry")));
        let config = HealthConfig { lag_after: Duration::from_mins(11), ..HealthConfig::default() };
        assert_eq!(config.check(), Err(HealthConfigError::Duration("lag_after")));
    }

    #[test]
    fn ca_must_contain_only_certificates_of_authorities() {
        let key = rcgen::KeyPair::generate().unwrap();
        let good = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        let check = |pem: &str| {
            let ca = Some(Pem::from(pem.as_bytes().to_vec()));
            HealthConfig { scheme: ProbeScheme::Https, ca, ..HealthConfig::default() }.check()
        };
        assert_eq!(check(&good), Ok(()));
        assert_eq!(check(&format!("The edges' own:\n{good}{good}")), Ok(()));
        // Other files, and truncated or damaged certificates.
        let none = "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n";
        for bad in ["", "none", &key.serialize_pem(), &good[..good.len() / 2], none, &format!("{good}{none}")] {
            assert_eq!(check(bad), Err(HealthConfigError::NoAuthorities), "{bad}");
        }
    }
}
