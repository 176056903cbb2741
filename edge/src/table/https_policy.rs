//! How the hosts of a site are reached over TLS.

use http::HeaderValue;
use verge_protocol::https::SiteHttps;

/// The settings of a site, ready for responses.
#[derive(Debug, Clone)]
pub(crate) struct HttpsPolicy {
    is_optional: bool,
    hsts: Option<HeaderValue>,
}

impl HttpsPolicy {
    pub(crate) fn new(settings: &SiteHttps) -> Self {
        let value = |hsts: String| HeaderValue::try_from(hsts).expect("words and a number are a header value");
        Self { is_optional: settings.optional, hsts: settings.hsts.map(|hsts| value(hsts.to_string())) }
    }

    /// Whether requests without TLS are answered where there is a certificate.
    pub(crate) fn is_optional(&self) -> bool {
        self.is_optional
    }

    /// The `Strict-Transport-Security` of responses over TLS.
    pub(crate) fn hsts(&self) -> Option<&HeaderValue> {
        self.hsts.as_ref()
    }
}
