//! Client of edges, as a reader is, but at an address of its own choice.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::HOST;
use reqwest::{Certificate, Response, Url};

/// How long connecting to an edge may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// After how long without an answer over TLS an edge is asked without, too: a firewall may drop what is sent to one port.
const PLAIN_DELAY: Duration = Duration::from_millis(300);

/// A client of edges. Follows no redirects and uses no proxy: it is that edge that is asked.
#[derive(Default)]
pub struct EdgeClient {
    plain: OnceLock<Option<reqwest::Client>>,
    /// Trusted besides those of the system.
    authorities: Vec<Certificate>,
}

impl EdgeClient {
    /// A client that trusts an authority besides those of the system.
    pub fn trusting(authority: Certificate) -> Self {
        Self { authorities: vec![authority], ..Self::default() }
    }

    /// `HEAD` of a file of the site at the URL `site`, from the edge at the URL `edge`; `None`: there was no answer, or a URL is not one of
    /// HTTP. If the site is served over HTTPS, so is this request, at the port of readers unless the edge's own URL has one of HTTPS; an
    /// edge that has no certificate for the site, or does not answer soon, is asked without TLS. A redirect is not preferred to an answer
    /// over TLS that comes a little later.
    pub async fn head(&self, edge: Url, site: &Url, path: &str) -> Option<Response> {
        match (edge.scheme(), site.scheme()) {
            ("https", _) => self.head_encrypted(&edge, edge.port_or_known_default()?, site, path).await,
            ("http", "https") => {
                let mut encrypted = pin!(self.head_encrypted(&edge, site.port_or_known_default()?, site, path));
                let plain = self.head_plain(&edge, site, path);
                match tokio::time::timeout(PLAIN_DELAY, &mut encrypted).await {
                    Ok(None) => plain.await,
                    Ok(answer) => answer,
                    Err(_) => tokio::select! {
                        Some(answer) = &mut encrypted => Some(answer),
                        Some(answer) = plain => {
                            let is_redirect = answer.status().is_redirection();
                            let wait = if is_redirect { PLAIN_DELAY } else { Duration::ZERO };
                            tokio::time::timeout(wait, encrypted).await.ok().flatten().or(Some(answer))
                        }
                        else => None,
                    },
                }
            }
            ("http", _) => self.head_plain(&edge, site, path).await,
            _ => None,
        }
    }

    async fn head_plain(&self, edge: &Url, site: &Url, path: &str) -> Option<Response> {
        // Loads no root certificates, which a slim container may lack and which take time.
        let http = self.plain.get_or_init(|| builder().tls_certs_only([]).build().ok());
        send(http.as_ref()?, edge.clone(), site, path).await
    }

    /// The certificate is verified by the name of the site, as readers do.
    async fn head_encrypted(&self, edge: &Url, port: u16, site: &Url, path: &str) -> Option<Response> {
        let host = edge.host_str()?.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.ok()?.collect();
        let http = builder().http1_only().tls_certs_merge(self.authorities.iter().cloned());
        let http = http.resolve_to_addrs(site.host_str()?, &addresses).build().ok()?;
        let mut url = site.clone();
        url.set_scheme("https").ok()?;
        url.set_port(Some(port)).ok()?;
        send(&http, url, site, path).await
    }
}

async fn send(http: &reqwest::Client, mut url: Url, site: &Url, path: &str) -> Option<Response> {
    // Escapes what a path of a URL cannot hold.
    url.path_segments_mut().ok()?.clear().extend(path.split('/'));
    url.set_query(None);
    http.head(url).header(HOST, authority(site)?).send().await.ok()
}

/// The value of `Host` for a URL.
fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("verge/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::CertifiedKey;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;

    use super::*;

    #[tokio::test]
    async fn site_on_https_is_asked_for_over_tls_by_its_name_at_the_address_of_the_edge() {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["app.example".to_owned()]).unwrap();
        let trusted = Certificate::from_der(cert.der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![cert.into()], signing_key.into()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let edge = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
            let mut request = vec![0; 1000];
            let length = stream.read(&mut request).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nverge-release: v3\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        };
        let client = EdgeClient { authorities: vec![trusted], ..EdgeClient::default() };
        let site: Url = format!("https://app.example:{port}/").parse().unwrap();
        let asked = client.head("http://127.0.0.1:1".parse().unwrap(), &site, "a b.txt");
        let (request, answer) = tokio::join!(edge, asked);
        assert_eq!(answer.unwrap().headers()["verge-release"], "v3");
        let request = request.to_ascii_lowercase();
        assert!(request.starts_with("head /a%20b.txt http/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("\r\nhost: app.example:{port}\r\n")), "{request}");
    }

    #[tokio::test]
    async fn edge_that_does_not_answer_over_tls_is_asked_without() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answering = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let edge: Url = format!("http://{}", answering.local_addr().unwrap()).parse().unwrap();
        let site: Url = format!("https://app.example:{}/", silent.local_addr().unwrap().port()).parse().unwrap();
        let answering = async {
            let (mut stream, _) = answering.accept().await.unwrap();
            let mut request = [0; 1000];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nverge-release: v3\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            stream
        };
        let client = EdgeClient::default();
        let (answer, _open) = tokio::join!(client.head(edge, &site, ""), answering);
        assert_eq!(answer.unwrap().headers()["verge-release"], "v3");
    }

    #[tokio::test]
    async fn edge_without_a_certificate_is_asked_without_tls() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let edge: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let site: Url = format!("https://app.example:{}/", edge.port().unwrap()).parse().unwrap();
        let answering = async {
            // The first connection begins with a handshake.
            drop(listener.accept().await.unwrap());
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1000];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nverge-release: v3\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        };
        let client = EdgeClient::default();
        let (answer, ()) = tokio::join!(client.head(edge, &site, ""), answering);
        assert_eq!(answer.unwrap().headers()["verge-release"], "v3");
    }
}
