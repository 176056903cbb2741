//! What redirect rules see of a request.

use super::path_pattern::SplitPath;

/// A request, as far as rules depend on it.
#[derive(Debug, Clone, Copy)]
pub struct RuleRequest<'a> {
    /// `https` or `http`.
    pub scheme: &'a str,
    /// In lowercase, without the port.
    pub host: &'a str,
    /// The port, as far as the request names it; `None`: that of the scheme.
    pub port: Option<u16>,
    /// The path.
    pub path: &'a SplitPath<'a>,
    /// The query, as in the request.
    pub query: Option<&'a str>,
}
