//! Client of edges, as a reader is, but at an address of its own choice.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::HOST;
use reqwest::{Response, Url};

/// How long connecting to an edge may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A client of edges. Follows no redirects and uses no proxy: it is that edge that is asked.
#[derive(Default)]
pub struct EdgeClient {
    plain: OnceLock<Option<reqwest::Client>>,
    encrypted: OnceLock<Option<reqwest::Client>>,
}

impl EdgeClient {
    /// `HEAD` of a file of the site at `host`, from the edge at `url`; `None`: there was no answer, or the URL is not one of HTTP.
    pub async fn head(&self, mut url: Url, host: &str, path: &str) -> Option<Response> {
        let http = match url.scheme() {
            // Loads no root certificates, which a slim container may lack and which take time.
            "http" => self.plain.get_or_init(|| builder().tls_certs_only([]).build().ok()),
            "https" => self.encrypted.get_or_init(|| builder().build().ok()),
            _ => return None,
        };
        // Escapes what a path of a URL cannot hold.
        url.path_segments_mut().ok()?.clear().extend(path.split('/'));
        url.set_query(None);
        http.as_ref()?.head(url).header(HOST, host).send().await.ok()
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("verge/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
}
