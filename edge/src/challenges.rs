//! Answers to certificate authorities that check the control of a domain over HTTP (RFC 8555 §8.3).

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use verge_protocol::DomainName;
use verge_protocol::certificate::ChallengeState;

/// The challenges in the feed. Clones share them; a look-up takes no lock.
#[derive(Clone, Default)]
pub(crate) struct Challenges(Arc<ArcSwap<HashMap<Box<str>, Arc<ChallengeState>>>>);

/// What a request for a token gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChallengeAnswer {
    /// The key authorization.
    Authorization(String),
    /// The domain has challenges, and this token is not of one.
    UnknownToken,
    /// The domain has no challenges.
    NoChallenge,
}

impl Challenges {
    /// The path under which tokens are requested.
    pub(crate) const PATH: &str = "/.well-known/acme-challenge/";

    /// What a request of `host`, which is lowercase, for a token gets.
    pub(crate) fn answer(&self, host: &str, token: &str) -> ChallengeAnswer {
        let challenges = self.0.load();
        match challenges.get(host).filter(|challenge| !challenge.http.is_empty()) {
            None => ChallengeAnswer::NoChallenge,
            Some(challenge) => match challenge.http.get(token) {
                Some(authorization) => ChallengeAnswer::Authorization(authorization.clone()),
                None => ChallengeAnswer::UnknownToken,
            },
        }
    }

    /// Applies the value of a row; `None` removes the challenges of the domain.
    pub(crate) fn apply(&self, domain: &DomainName, state: Option<ChallengeState>) {
        let state = state.map(Arc::new);
        self.0.rcu(|challenges| {
            let mut challenges = HashMap::clone(challenges);
            match &state {
                Some(state) => challenges.insert(domain.as_str().into(), Arc::clone(state)),
                None => challenges.remove(domain.as_str()),
            };
            challenges
        });
    }

    /// Removes the domains whose keys are not in `keys`.
    pub(crate) fn retain_keys(&self, keys: &BTreeSet<&str>) {
        self.0.rcu(|challenges| {
            let mut challenges = HashMap::clone(challenges);
            challenges.retain(|domain, _| keys.contains(&*format!("challenge/{domain}")));
            challenges
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_answered_on_its_domain_only() {
        let (challenges, domain) = (Challenges::default(), "www.example.com".parse().unwrap());
        let http = [("token".to_owned(), "token.thumbprint".to_owned())].into();
        challenges.apply(&domain, Some(ChallengeState { http, ..ChallengeState::default() }));
        let authorization = ChallengeAnswer::Authorization("token.thumbprint".to_owned());
        assert_eq!(challenges.answer("www.example.com", "token"), authorization);
        assert_eq!(challenges.answer("www.example.com", "other"), ChallengeAnswer::UnknownToken);
        assert_eq!(challenges.answer("example.com", "token"), ChallengeAnswer::NoChallenge);
        challenges.retain_keys(&["challenge/www.example.com"].into());
        assert_eq!(challenges.answer("www.example.com", "token"), authorization);
        challenges.retain_keys(&BTreeSet::new());
        assert_eq!(challenges.answer("www.example.com", "token"), ChallengeAnswer::NoChallenge);
    }
}
