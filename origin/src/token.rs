//! Access tokens.

use rand::Rng as _;
use verge_daemon::Secret;
use verge_protocol::Digest;

const PREFIX: &str = "vrg_";
const RANDOM_BYTES: usize = 20;
const CHECKSUM_DIGITS: usize = 8;

/// Generates a token: `vrg_`, 160 random bits and a checksum, in hex. By the checksum, secret scanners recognize tokens, and the origin
/// distinguishes a truncated token from an unknown one.
pub(crate) fn generate() -> Secret {
    let mut random = [0_u8; RANDOM_BYTES];
    rand::rng().fill_bytes(&mut random);
    let mut body = Digest::of(&random).to_string();
    body.truncate(RANDOM_BYTES * 2);
    Secret::new(format!("{PREFIX}{body}{}", checksum(&body)))
}

fn checksum(body: &str) -> String {
    let mut digits = Digest::of(body.as_bytes()).to_string();
    digits.truncate(CHECKSUM_DIGITS);
    digits
}

/// The digest under which the origin stores a token; `None` if the token is malformed.
pub(crate) fn digest(token: &str) -> Option<Digest> {
    let rest = token.strip_prefix(PREFIX)?;
    let (body, sum) = rest.split_at_checked(RANDOM_BYTES * 2)?;
    (checksum(body) == sum).then(|| Digest::of(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_token_is_malformed() {
        let token = generate();
        let text = token.expose();
        assert!(digest(text).is_some());
        assert_eq!(digest(&text[..text.len() - 1]), None);
        assert_eq!(digest(&text.replacen("vrg_", "", 1)), None);
        assert_ne!(generate(), token);
    }
}
