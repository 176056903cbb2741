//! What redirect rules see of a request.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::encoding::decode_form;
use super::split_path::SplitPath;

/// A request, as far as rules depend on it.
#[derive(Debug)]
pub struct RuleRequest<'a> {
    pub(super) scheme: &'a str,
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
    pub(super) path: &'a SplitPath<'a>,
    pub(super) query: Option<&'a str>,
    /// Of the query, once a rule has asked for one: the last value of each, decoded.
    parameters: OnceCell<HashMap<String, String>>,
}

impl<'a> RuleRequest<'a> {
    /// A request with `scheme`, `https` or `http`, for `host`, in lowercase and without the port. `port` is as far as the request names it;
    /// `None`: that of the scheme. `query` is as in the request.
    pub fn new(
        scheme: &'a str,
        host: &'a str,
        port: Option<u16>,
        path: &'a SplitPath<'a>,
        query: Option<&'a str>,
    ) -> Self {
        Self { scheme, host, port, path, query, parameters: OnceCell::new() }
    }

    /// A request for another path and query of the same host.
    #[must_use]
    pub fn at(&self, path: &'a SplitPath<'a>, query: Option<&'a str>) -> Self {
        Self::new(self.scheme, self.host, self.port, path, query)
    }

    /// The path.
    pub fn path(&self) -> &'a SplitPath<'a> {
        self.path
    }

    /// The query, as in the request.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The parameters of the query by name, decoded as a form (URL Standard §5.1): the last value of each. One without `=` is none. The
    /// query is parsed once, whatever the number of rules.
    pub(super) fn parameters(&self) -> &HashMap<String, String> {
        self.parameters.get_or_init(|| {
            let pairs = self.query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            pairs.map(|(name, value)| (decode_form(name), decode_form(value))).collect()
        })
    }
}
