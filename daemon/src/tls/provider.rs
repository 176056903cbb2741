//! The one provider of cryptography: aws-lc-rs.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};

/// The provider: TLS 1.2 and 1.3, key exchange by X25519MLKEM768 if the peer offers it.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(hybrid_first())
}

/// Makes the provider that of every TLS client and server of this process that names none.
pub fn install() {
    // An error says that this process has one already: a test that runs several daemons.
    let _ = hybrid_first().install_default();
}

fn hybrid_first() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..default_provider()
    }
}
