//! What was typed about an edge, over what was said of it before.

use verge_protocol::EdgeName;
use verge_protocol::api::EdgeSettings;
use verge_protocol::fleet::EdgeState;

use crate::cities::{City, UnknownCity};
use crate::cli::Described;
use crate::exit::Exit;
use crate::failure::Failure;

/// The settings of an edge: what was typed, else what is said of it now, else the default.
pub(super) fn settings(described: &Described, current: Option<EdgeState>) -> Result<EdgeSettings, Failure> {
    let current = current.map(|state| EdgeSettings {
        addresses: state.addresses,
        port: state.port,
        location: state.location,
        regions: state.regions,
        weight: state.weight,
    });
    let mut settings = current.unwrap_or_else(|| EdgeSettings {
        addresses: Vec::new(),
        port: EdgeState::PORT,
        location: None,
        regions: [].into(),
        weight: EdgeState::WEIGHT,
    });
    if let Some(city) = &described.at {
        let city = City::find(city).map_err(|unknown| unknown_city(&unknown))?;
        (settings.location, settings.regions) = (Some(city.place()), city.regions());
    }
    settings.location = described.place.or(settings.location);
    if let Some(regions) = &described.region {
        settings.regions = regions.iter().cloned().collect();
    }
    if let Some(addresses) = &described.address {
        settings.addresses.clone_from(addresses);
    }
    settings.weight = described.weight.unwrap_or(settings.weight);
    settings.port = described.port.unwrap_or(settings.port);
    Ok(settings)
}

fn unknown_city(unknown: &UnknownCity) -> Failure {
    let near = (!unknown.near.is_empty()).then(|| format!("did you mean {}?", unknown.near.join(", ")));
    Failure::new(Exit::Usage, unknown)
        .hint(near)
        .hint(Some("--place LAT,LON says where any other place is, and --region its regions"))
}

/// An edge of which nothing was said yet.
#[derive(Debug, thiserror::Error)]
#[error("edge {0} was not described yet")]
struct NotDescribed(EdgeName);

pub(super) fn not_described(edge: &EdgeName) -> Failure {
    let hint = format!("`verge edges add {edge} --address IP --at CITY` does that; `verge edges` lists what there is");
    Failure::new(Exit::Failure, &NotDescribed(edge.clone())).hint(Some(hint))
}

#[cfg(test)]
mod tests {
    use verge_protocol::fleet::Force;

    use super::*;

    fn at(city: &str) -> Described {
        Described { at: Some(city.to_owned()), ..Described::default() }
    }

    fn regions(settings: &EdgeSettings) -> Vec<&str> {
        settings.regions.iter().map(verge_protocol::Region::as_str).collect()
    }

    #[test]
    fn a_city_says_place_and_regions() {
        let settings = super::settings(&at("frankfurt"), None).unwrap();
        assert_eq!(settings.location.unwrap().to_string(), "50.11,8.68");
        assert_eq!(regions(&settings), ["de", "eu"]);
        assert_eq!((settings.weight, settings.port), (1, 80));
        let own = Described { region: Some(vec!["dach".parse().unwrap()]), ..at("Frankfurt") };
        assert_eq!(regions(&super::settings(&own, None).unwrap()), ["dach"]);
    }

    #[test]
    fn what_is_not_given_stays() {
        let current = EdgeState {
            addresses: vec!["192.0.2.1".parse().unwrap()],
            port: 8080,
            location: Some("1,2".parse().unwrap()),
            regions: ["eu".parse().unwrap()].into(),
            weight: 7,
            force: Force::Down,
        };
        let set = |described: &Described| super::settings(described, Some(current.clone())).unwrap();
        let light = set(&Described { weight: Some(1), ..Described::default() });
        assert_eq!((light.weight, light.port, light.addresses), (1, 8080, current.addresses.clone()));
        assert_eq!((light.location, light.regions), (current.location, current.regions.clone()));
        let moved = set(&at("Tokyo"));
        assert_eq!((regions(&moved), moved.weight), (vec!["as", "jp"], 7));
    }

    #[test]
    fn an_unknown_city_is_no_dead_end() {
        let failure = super::settings(&at("Frankfrut"), None).unwrap_err();
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Usage, "the city `Frankfrut` is not known"));
        insta::assert_snapshot!(failure.hints.join("\n"));
        assert_eq!(super::settings(&at("Nowhere"), None).unwrap_err().hints.len(), 1);
    }
}
