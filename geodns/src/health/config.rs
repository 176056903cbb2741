//! How edges are probed.

use std::fmt;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use verge_protocol::DomainName;

use super::pace::Pace;

/// How edges are probed, and what is made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthConfig {
    /// How often.
    pub pace: Pace,
    /// How long an edge may take to hold what another edge holds. To the second.
    pub lag_after: Duration,
    /// Over what.
    pub scheme: Scheme,
    /// The host that is asked for, and that the certificate must be for; `None`: the address itself.
    pub host: Option<DomainName>,
    /// Certificates in PEM of authorities that are trusted besides the machine's own.
    pub ca: Option<Pem>,
}

/// Certificates in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem(Vec<u8>);

impl Pem {
    /// The bytes of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is an authority, and nothing that is none.
    fn is_of_authorities(&self) -> bool {
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

/// Over what an edge is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// Without TLS.
    #[default]
    Http,
    /// With it: an edge whose certificate no reader would take is not healthy.
    Https,
}

/// Why probes cannot go on like that.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HealthConfigError {
    /// It would probe without pause, or never hear anything.
    #[error("`{0}` must be more than nothing and at most ten minutes")]
    Duration(&'static str),
    /// It would be passed over.
    #[error("a `ca` is of no use without https")]
    CaWithoutHttps,
    /// Nobody would be trusted by it.
    #[error("the `ca` is not of certificates in PEM")]
    NoAuthorities,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            lag_after: Duration::from_secs(30),
            scheme: Scheme::default(),
            host: None,
            ca: None,
        }
    }
}

impl HealthConfig {
    /// The longest that a wait may be set to.
    const LONGEST: Duration = Duration::from_mins(10);

    /// Whether probes can go on like that.
    pub(crate) fn check(&self) -> Result<(), HealthConfigError> {
        let Pace { interval, timeout, retry, .. } = self.pace;
        for (name, duration) in
            [("interval", interval), ("timeout", timeout), ("retry", retry), ("lag_after", self.lag_after)]
        {
            if duration.is_zero() || duration > Self::LONGEST {
                return Err(HealthConfigError::Duration(name));
            }
        }
        if self.ca.is_some() && self.scheme == Scheme::Http {
            return Err(HealthConfigError::CaWithoutHttps);
        }
        if self.ca.as_ref().is_some_and(|ca| !ca.is_of_authorities()) {
            return Err(HealthConfigError::NoAuthorities);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_have_bounds() {
        assert_eq!(HealthConfig::default().check(), Ok(()));
        let pace = Pace { retry: Duration::ZERO, ..Pace::default() };
        let config = HealthConfig { pace, ..HealthConfig::default() };
        assert_eq!(config.check(), Err(HealthConfigError::Duration("retry")));
        let config = HealthConfig { lag_after: Duration::from_mins(11), ..HealthConfig::default() };
        assert_eq!(config.check(), Err(HealthConfigError::Duration("lag_after")));
        let config = HealthConfig { ca: Some(Pem::from(Vec::new())), ..HealthConfig::default() };
        assert_eq!(config.check(), Err(HealthConfigError::CaWithoutHttps));
    }
    #[test]
    fn an_authority_is_a_certificate() {
        let key = rcgen::KeyPair::generate().unwrap();
        let good = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        let check = |pem: &str| {
            let ca = Some(Pem::from(pem.as_bytes().to_vec()));
            HealthConfig { scheme: Scheme::Https, ca, ..HealthConfig::default() }.check()
        };
        assert_eq!(check(&good), Ok(()));
        assert_eq!(check(&format!("The edges' own:\n{good}{good}")), Ok(()));
        // What is taken for one by mistake, and what became of one on its way.
        let none = "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n";
        for bad in ["", "none", &key.serialize_pem(), &good[..good.len() / 2], none, &format!("{good}{none}")] {
            assert_eq!(check(bad), Err(HealthConfigError::NoAuthorities), "{bad}");
        }
    }
}
