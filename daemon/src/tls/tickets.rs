//! Session tickets that every server of a fleet accepts (RFC 5077, RFC 8446 §4.6.1).

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use rustls::server::ProducesTickets;

use crate::clock::Clock;

/// How long a key encrypts tickets, in seconds. A ticket is accepted for at least as long.
const ROTATION_SECONDS: u32 = 60 * 60;
/// The same in milliseconds.
const ROTATION: u64 = ROTATION_SECONDS as u64 * 1000;
const NAME_LEN: usize = 16;
const KEY_LEN: usize = 32;

/// Encrypts and decrypts tickets under keys that are derived from a secret of the fleet and the hour, by HKDF-SHA256.
///
/// A ticket is the name of its key, a nonce, and the session under AES-256-GCM. The keys of the hour before, of this one, and of the next
/// are accepted (a server's clock may be ahead): so no ticket is accepted after two rotations. Without a secret there are no tickets.
pub struct Tickets {
    clock: Clock,
    keys: ArcSwapOption<Keys>,
}

struct Keys {
    root: Arc<Prk>,
    hour: u64,
    previous: TicketKey,
    current: TicketKey,
    next: TicketKey,
}

struct TicketKey {
    name: [u8; NAME_LEN],
    key: RandomizedNonceKey,
}

/// The length of what is derived for an hour.
struct Derived;

impl KeyType for Derived {
    fn len(&self) -> usize {
        NAME_LEN + KEY_LEN
    }
}

impl Tickets {
    /// Without a secret yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, keys: ArcSwapOption::empty() }
    }

    /// Sets the fleet's secret. Tickets under another one are not accepted any more.
    pub fn set_secret(&self, secret: &[u8]) {
        let root = Salt::new(HKDF_SHA256, b"verge tickets").extract(secret);
        self.keys.store(Some(Arc::new(Keys::at(Arc::new(root), self.hour()))));
    }

    fn hour(&self) -> u64 {
        self.clock.now().0 / ROTATION
    }

    /// The keys of this hour.
    fn keys(&self) -> Option<Arc<Keys>> {
        let keys = self.keys.load_full()?;
        let hour = self.hour();
        if keys.hour == hour {
            return Some(keys);
        }
        let fresh = Arc::new(Keys::at(Arc::clone(&keys.root), hour));
        // If the secret was set meanwhile, its keys stay.
        self.keys.compare_and_swap(&keys, Some(Arc::clone(&fresh)));
        Some(fresh)
    }
}

impl Keys {
    fn at(root: Arc<Prk>, hour: u64) -> Self {
        let of = |hour: u64| TicketKey::derive(&root, hour);
        let (previous, current, next) = (of(hour.saturating_sub(1)), of(hour), of(hour.saturating_add(1)));
        Self { root, hour, previous, current, next }
    }
}

impl TicketKey {
    fn derive(root: &Prk, hour: u64) -> Self {
        let mut derived = [0; NAME_LEN + KEY_LEN];
        let info = hour.to_be_bytes();
        root.expand(&[&info], Derived)
            .and_then(|output| output.fill(&mut derived))
            .expect("HKDF-SHA256 derives up to 8,160 bytes");
        let (name, key) = derived.split_at(NAME_LEN);
        Self {
            name: name.try_into().expect("the name's length"),
            key: RandomizedNonceKey::new(&AES_256_GCM, key).expect("the key's length is that of AES-256"),
        }
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.keys.load().is_some()
    }

    fn lifetime(&self) -> u32 {
        ROTATION_SECONDS
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys()?;
        let TicketKey { name, key } = &keys.current;
        let mut sealed = session.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(name), &mut sealed).ok()?;
        Some([name.as_slice(), nonce.as_ref(), &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys()?;
        let (name, rest) = ticket.split_first_chunk::<NAME_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let known = [&keys.current, &keys.previous, &keys.next];
        let TicketKey { key, .. } = known.into_iter().find(|known| known.name == *name)?;
        let mut session = sealed.to_vec();
        let length = key.open_in_place(Nonce::from(nonce), Aad::from(name), &mut session).ok()?.len();
        session.truncate(length);
        Some(session)
    }
}

/// Without keys.
impl fmt::Debug for Tickets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use verge_protocol::Timestamp;

    use super::*;

    const HOUR: Duration = Duration::from_millis(ROTATION);

    fn tickets(secret: &[u8], start: Timestamp) -> (Tickets, Clock) {
        let clock = Clock::manual(start);
        let tickets = Tickets::new(clock.clone());
        tickets.set_secret(secret);
        (tickets, clock)
    }

    #[test]
    fn ticket_is_accepted_by_a_server_with_the_same_secret_only() {
        let start = Timestamp(100 * ROTATION);
        let (one, _) = tickets(b"secret", start);
        let ticket = one.encrypt(b"session").unwrap();
        assert_eq!(tickets(b"secret", start).0.decrypt(&ticket).unwrap(), b"session");
        assert_eq!(tickets(b"other", start).0.decrypt(&ticket), None);
        one.set_secret(b"other");
        assert_eq!(one.decrypt(&ticket), None);
    }

    /// Whenever in its hour a ticket was made.
    #[test]
    fn ticket_is_accepted_for_an_hour_and_not_after_two_rotations() {
        for into_hour in [0, 1, ROTATION / 2, ROTATION - 1] {
            let (tickets, clock) = tickets(b"secret", Timestamp(100 * ROTATION + into_hour));
            let ticket = tickets.encrypt(b"session").unwrap();
            clock.advance(HOUR);
            assert!(tickets.decrypt(&ticket).is_some(), "{into_hour}");
            clock.advance(HOUR);
            assert_eq!(tickets.decrypt(&ticket), None, "{into_hour}");
        }
    }

    #[test]
    fn ticket_of_a_server_whose_clock_is_ahead_is_accepted() {
        let (ahead, _) = tickets(b"secret", Timestamp(100 * ROTATION));
        let ticket = ahead.encrypt(b"session").unwrap();
        let (behind, _) = tickets(b"secret", Timestamp(100 * ROTATION - 1));
        assert!(behind.decrypt(&ticket).is_some());
        let (far_behind, _) = tickets(b"secret", Timestamp(99 * ROTATION - 1));
        assert_eq!(far_behind.decrypt(&ticket), None);
    }

    #[test]
    fn every_changed_byte_and_truncation_of_a_ticket_is_rejected() {
        let (tickets, _) = tickets(b"secret", Timestamp(0));
        let ticket = tickets.encrypt(b"session").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "{at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "{at}");
        }
        assert_ne!(tickets.encrypt(b"session"), tickets.encrypt(b"session"), "the nonce must differ");
    }

    #[test]
    fn no_tickets_without_a_secret() {
        let tickets = Tickets::new(Clock::system());
        assert!(!tickets.enabled());
        assert_eq!((tickets.encrypt(b"session"), tickets.decrypt(&[0; 100])), (None, None));
    }
}
