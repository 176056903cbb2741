//! Orders and their authorizations (RFC 8555 §7.1.3 and §7.1.4), as JSON shows them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// All orders, by number.
#[derive(Default)]
pub(super) struct Orders(Vec<Order>);

/// An order.
pub(super) struct Order {
    pub(super) authorizations: Vec<Authorization>,
    /// What it replaces, as the client says.
    replaces: Option<String>,
    /// The index of its certificate.
    pub(super) certificate: Option<usize>,
}

/// The authorization of a name, with its one challenge.
pub(super) struct Authorization {
    pub(super) name: String,
    pub(super) token: String,
    /// The result of the check; the error says why it failed.
    pub(super) checked: Option<Result<(), String>>,
}

impl Orders {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&mut self, number: usize) -> &mut Order {
        &mut self.0[number]
    }

    /// Makes an order, and returns its number.
    pub(super) fn add(&mut self, names: BTreeSet<String>, replaces: Option<String>) -> usize {
        let number = self.0.len();
        let authorization = |(index, name)| {
            // A token is at least 128 bits in base64url (RFC 8555 §8.3).
            Authorization { name, token: format!("token-{number:08}-{index:08}"), checked: None }
        };
        let authorizations = names.into_iter().enumerate().map(authorization).collect();
        self.0.push(Order { authorizations, replaces, certificate: None });
        number
    }
}

impl Order {
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.authorizations.iter().map(|authorization| authorization.name.clone()).collect()
    }

    pub(super) fn status(&self) -> &'static str {
        let all = || self.authorizations.iter().map(|authorization| &authorization.checked);
        match self.certificate {
            Some(_) => "valid",
            None if all().any(|checked| matches!(checked, Some(Err(_)))) => "invalid",
            None if all().all(|checked| matches!(checked, Some(Ok(())))) => "ready",
            None => "pending",
        }
    }

    pub(super) fn json(&self, url: &str, number: usize) -> Value {
        let identifiers = self.authorizations.iter().map(Authorization::identifier);
        let authorizations =
            (0..self.authorizations.len()).map(|index| format!("{url}/authorization/{number}/{index}"));
        let mut order = json!({
            "status": self.status(),
            "identifiers": identifiers.collect::<Vec<_>>(),
            "authorizations": authorizations.collect::<Vec<_>>(),
            "finalize": format!("{url}/finalize/{number}"),
        });
        if let Some(replaces) = &self.replaces {
            order["replaces"] = replaces.clone().into();
        }
        if self.certificate.is_some() {
            order["certificate"] = format!("{url}/certificate/{number}").into();
        }
        order
    }
}

impl Authorization {
    fn identifier(&self) -> Value {
        json!({ "type": "dns", "value": self.name })
    }

    fn status(&self) -> &'static str {
        match self.checked {
            None => "pending",
            Some(Ok(())) => "valid",
            Some(Err(_)) => "invalid",
        }
    }

    pub(super) fn json(&self, url: &str, number: usize, index: usize) -> Value {
        json!({
            "status": self.status(),
            "identifier": self.identifier(),
            "challenges": [self.challenge_json(url, number, index)],
        })
    }

    pub(super) fn challenge_json(&self, url: &str, number: usize, index: usize) -> Value {
        let mut challenge = json!({
            "type": "http-01",
            "url": format!("{url}/challenge/{number}/{index}"),
            "token": self.token,
            "status": self.status(),
        });
        if let Some(Err(reason)) = &self.checked {
            challenge["error"] = json!({ "type": "urn:ietf:params:acme:error:unauthorized", "detail": reason });
        }
        challenge
    }
}
