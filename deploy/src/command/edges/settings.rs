//! The settings of an edge: command-line options over the current settings.

use verge_protocol::EdgeName;
use verge_protocol::api::EdgeSettings;
use verge_protocol::fleet::{EdgeState, ProbeScheme};

use crate::cities::{City, UnknownCity};
use crate::cli::EdgeArgs;
use crate::exit::Exit;
use crate::failure::Failure;

/// The settings of an edge: the options given, else the current settings, else the defaults.
pub(super) fn merge(args: &EdgeArgs, current: Option<EdgeState>) -> Result<EdgeSettings, Failure> {
    let current = current.map(|state| EdgeSettings {
        addresses: state.addresses,
        port: state.port,
        scheme: state.scheme,
        location: state.location,
        regions: state.regions,
        weight: state.weight,
    });
    let mut settings = current.unwrap_or_else(|| EdgeSettings {
        addresses: Vec::new(),
        port: EdgeState::PORT,
        scheme: None,
        location: None,
        regions: [].into(),
        weight: EdgeState::WEIGHT,
    });
    if let Some(city) = &args.at {
        let city = City::find(city).map_err(|unknown| unknown_city(&unknown))?;
        (settings.location, settings.regions) = (Some(city.location()), city.regions());
    }
    settings.location = args.location.or(settings.location);
    if let Some(regions) = &args.region {
        settings.regions = regions.iter().cloned().collect();
    }
    if let Some(addresses) = &args.address {
        settings.addresses.clone_from(addresses);
    }
    settings.weight = args.weight.unwrap_or(settings.weight);
    settings.port = args.port.unwrap_or(settings.port);
    settings.scheme = args.scheme.map(ProbeScheme::from).or(settings.scheme);
    Ok(settings)
}

fn unknown_city(unknown: &UnknownCity) -> Failure {
    let suggestion =
        (!unknown.suggestions.is_empty()).then(|| format!("did you mean {}?", unknown.suggestions.join(", ")));
    Failure::new(Exit::Usage, unknown)
        .hint(suggestion)
        .hint(Some("for any other location, use --location LAT,LON and --region"))
}

/// An edge without settings.
#[derive(Debug, thiserror::Error)]
#[error("edge {0} is not configured")]
struct NotConfigured(EdgeName);

pub(super) fn not_configured(edge: &EdgeName) -> Failure {
    let hint =
        format!("use `verge edges add {edge} --address IP --at CITY` to configure it, or `verge edges` to list edges");
    Failure::new(Exit::Failure, &NotConfigured(edge.clone())).hint(Some(hint))
}

#[cfg(test)]
mod tests {
    use verge_protocol::fleet::Force;

    use super::*;

    fn at(city: &str) -> EdgeArgs {
        EdgeArgs { at: Some(city.to_owned()), ..EdgeArgs::default() }
    }

    fn regions(settings: &EdgeSettings) -> Vec<&str> {
        settings.regions.iter().map(verge_protocol::Region::as_str).collect()
    }

    #[test]
    fn city_sets_location_and_regions() {
        let settings = merge(&at("frankfurt"), None).unwrap();
        assert_eq!(settings.location.unwrap().to_string(), "50.11,8.68");
        assert_eq!(regions(&settings), ["de", "eu"]);
        assert_eq!((settings.weight, settings.port), (1, 80));
        let own = EdgeArgs { region: Some(vec!["dach".parse().unwrap()]), ..at("Frankfurt") };
        assert_eq!(regions(&merge(&own, None).unwrap()), ["dach"]);
    }

    #[test]
    fn options_not_given_keep_current_settings() {
        let current = EdgeState {
            addresses: vec!["192.0.2.1".parse().unwrap()],
            port: 8080,
            scheme: None,
            location: Some("1,2".parse().unwrap()),
            regions: ["eu".parse().unwrap()].into(),
            weight: 7,
            force: Force::Down,
        };
        let set = |args: &EdgeArgs| merge(args, Some(current.clone())).unwrap();
        let light = set(&EdgeArgs { weight: Some(1), ..EdgeArgs::default() });
        assert_eq!((light.weight, light.port, light.addresses), (1, 8080, current.addresses.clone()));
        assert_eq!((light.location, light.regions), (current.location, current.regions.clone()));
        let moved = set(&at("Tokyo"));
        assert_eq!((regions(&moved), moved.weight), (vec!["as", "jp"], 7));
    }

    #[test]
    fn unknown_city_error_has_suggestions() {
        let failure = merge(&at("Frankfrut"), None).unwrap_err();
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Usage, "unknown city `Frankfrut`"));
        insta::assert_snapshot!(failure.hints.join("\n"));
        assert_eq!(merge(&at("Nowhere"), None).unwrap_err().hints.len(), 1);
    }
}
