//! Access tokens.

use rand::Rng as _;
use verge_daemon::Secret;
use verge_protocol::Digest;
use verge_protocol::token::{self, TokenError};

/// Generates a token, with 160 random bits.
pub(crate) fn generate() -> Secret {
    let mut random = [0_u8; token::RANDOM_DIGITS / 2];
    rand::rng().fill_bytes(&mut random);
    let mut digits = Digest::of(&random).to_string();
    digits.truncate(token::RANDOM_DIGITS);
    Secret::new(token::from_random_digits(&digits))
}

/// The digest under which the origin stores a token.
pub(crate) fn digest(token: &str) -> Result<Digest, TokenError> {
    token::check(token)?;
    Ok(Digest::of(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_token_is_well_formed_and_unique() {
        let token = generate();
        assert!(digest(token.expose()).is_ok());
        assert_eq!(digest(&token.expose()[1..]), Err(TokenError::Prefix));
        assert_ne!(generate(), token);
    }
}
