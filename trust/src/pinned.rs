//! Verification by pin.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use verge_protocol::{Digest, KeyPin};

use crate::error::PinMismatch;

/// The settings of a TLS client that connects to the server with this key and to no other, whatever its name, and whatever its
/// certificate says of names and validity. For HTTP/2 and HTTP/1.1.
pub fn pinned(pin: KeyPin) -> ClientConfig {
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let verifier = Verifier { pin, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for TLS 1.2 and 1.3");
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// Accepts the pinned key. That the server has it is proven by its signature, which is verified as usual.
#[derive(Debug)]
struct Verifier {
    pin: KeyPin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        let found = KeyPin::new(Digest::of(&key));
        if found == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        let mismatch = PinMismatch { expected: self.pin, found };
        Err(CertificateError::Other(OtherError(Arc::new(mismatch))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _, date_time_ymd};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::version::{TLS12, TLS13};
    use rustls::{ClientConnection, ServerConfig, ServerConnection, Stream, SupportedProtocolVersion};

    use super::*;
    use crate::error::TrustError;

    /// A self-signed certificate that is for another name, and expired.
    fn certify(key: &KeyPair) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["elsewhere.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2000, 1, 1);
        params.self_signed(key).unwrap().der().clone()
    }

    fn pin_of(key: &KeyPair) -> KeyPin {
        KeyPin::new(Digest::of(&key.subject_public_key_info()))
    }

    /// A handshake with a server that presents `certificate` and signs with `key`, and a byte.
    fn connect(
        pin: KeyPin,
        certificate: CertificateDer<'static>,
        key: &KeyPair,
        version: &'static SupportedProtocolVersion,
    ) -> std::io::Result<()> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[version]).unwrap();
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let resolver = Presented(Arc::new(rustls::sign::CertifiedKey::new(
            vec![certificate],
            provider.key_provider.load_private_key(private).unwrap(),
        )));
        let server = Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(resolver)));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let (mut socket, _) = listener.accept().unwrap();
                let mut connection = ServerConnection::new(server).unwrap();
                // Fails if the client refuses the certificate.
                let _ = Stream::new(&mut connection, &mut socket).write_all(b"x");
            });
            let mut socket = TcpStream::connect(address).unwrap();
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let mut connection = ClientConnection::new(Arc::new(pinned(pin)), name).unwrap();
            Stream::new(&mut connection, &mut socket).read_exact(&mut [0])
        })
    }

    /// Presents a certificate even if the key is another one's.
    #[derive(Debug)]
    struct Presented(Arc<rustls::sign::CertifiedKey>);

    impl rustls::server::ResolvesServerCert for Presented {
        fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    #[test]
    fn pinned_key_is_accepted_whatever_its_certificate_says() {
        let key = KeyPair::generate().unwrap();
        for version in [&TLS12, &TLS13] {
            connect(pin_of(&key), certify(&key), &key, version).unwrap();
        }
    }

    #[test]
    fn other_key_is_refused_with_both_pins() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let error = connect(pin_of(&key), certify(&other), &other, &TLS13).unwrap_err();
        let expected = PinMismatch { expected: pin_of(&key), found: pin_of(&other) };
        assert_eq!(TrustError::find(&error), Some(TrustError::Pin(expected)));
    }

    /// Certificates are public: who presents that of the pinned key must have the key.
    #[test]
    fn certificate_of_the_pinned_key_is_refused_without_the_key() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        for version in [&TLS12, &TLS13] {
            let error = connect(pin_of(&key), certify(&key), &other, version).unwrap_err();
            assert_eq!(TrustError::find(&error), Some(TrustError::Name(CertificateError::BadSignature)), "{error}");
        }
    }
}
