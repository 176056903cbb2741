//! How a directory is read.

use clap::Args;

/// How a directory is read.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct ScanArgs {
    /// Serve index.html for paths that match no file [default: `spa` in verge.toml, else detected from _redirects and index.html]
    #[arg(long, overrides_with = "no_spa")]
    pub spa: bool,
    /// Serve 404 for paths that match no file
    #[arg(long, overrides_with = "spa")]
    pub no_spa: bool,
    /// Push even if there is no index.html, if the directory holds sources, if there are less than half as many files as in the current
    /// release, or exactly the same
    #[arg(long)]
    pub force: bool,
    /// Push even if there are .env files (never uploaded) or private keys (uploaded)
    #[arg(long)]
    pub allow_secrets: bool,
    /// Leave out rules in _redirects, _headers and netlify.toml that are invalid or not supported yet
    #[arg(long)]
    pub ignore_rules: bool,
}

impl ScanArgs {
    /// Whether it is a single-page app, if a flag says so.
    pub fn single_page(&self) -> Option<bool> {
        match (self.spa, self.no_spa) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            (false, false) => None,
        }
    }
}
