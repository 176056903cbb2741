//! Cities with data centres, so that `--at CITY` can stand for coordinates and regions.

mod city;
mod table;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

pub use self::city::City;

/// The most cities that are suggested.
const SUGGESTIONS_MAX: usize = 5;

/// A name that is not in the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown city `{name}`")]
pub struct UnknownCity {
    /// The name that was given.
    pub name: String,
    /// Cities with a similar name, the most similar first.
    pub suggestions: Vec<&'static str>,
}

impl City {
    /// The city of this name, ignoring case, accents, spaces and hyphens.
    pub fn find(name: &str) -> Result<Self, UnknownCity> {
        let wanted = normalize(name);
        let found = table::ALL.iter().find(|city| normalize(city.name()) == wanted);
        found.copied().ok_or_else(|| UnknownCity { name: name.to_owned(), suggestions: suggest(&wanted) })
    }
}

/// A name in lowercase, with letters and digits only and without accents.
fn normalize(name: &str) -> String {
    let letters = name.nfd().filter(|letter| !is_combining_mark(*letter));
    letters.filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Cities whose normalized name starts like `typed`, or differs from it in at most a third of its letters; the most similar first.
fn suggest(typed: &str) -> Vec<&'static str> {
    let max_distance = typed.chars().count() / 3;
    let mut similar: Vec<(usize, &'static str)> = table::ALL
        .iter()
        .filter_map(|city| {
            let normalized = normalize(city.name());
            let is_prefix = typed.len() >= 2 && (normalized.starts_with(typed) || typed.starts_with(&normalized));
            let distance = if is_prefix { 0 } else { strsim::levenshtein(typed, &normalized) };
            (distance <= max_distance).then_some((distance, city.name()))
        })
        .collect();
    similar.sort_unstable();
    similar.into_iter().take(SUGGESTIONS_MAX).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_lines_are_valid_sorted_and_unique() {
        for city in table::ALL {
            assert_eq!(City::find(city.name), Ok(*city), "names are unique");
            assert_eq!(city.regions().len(), 2, "{}", city.name);
            assert!(city.country.len() == 2 && city.country.bytes().all(|byte| byte.is_ascii_lowercase()));
            assert!(["af", "an", "as", "eu", "na", "oc", "sa"].contains(&city.continent), "{}", city.name);
            assert_eq!(city.location().to_string(), city.location);
        }
        assert!(table::ALL.is_sorted_by_key(|city| city.name));
    }

    /// Catches a wrong sign or swapped digits: each city is within the radius of its continent.
    #[test]
    fn city_locations_are_on_their_continents() {
        for city in table::ALL {
            let (middle, reach) = match city.continent {
                "af" => ("2,20", 4500.0),
                "as" => ("28,85", 6000.0),
                "eu" => ("50,15", 2600.0),
                "na" => ("40,-98", 3500.0),
                "oc" => ("-30,147", 3500.0),
                _ => ("-18,-60", 3500.0),
            };
            let distance = city.location().kilometres_to(middle.parse().unwrap());
            assert!(distance < reach, "{} is {distance:.0} km from the middle of {}", city.name, city.continent);
        }
    }

    #[test]
    fn unknown_city_has_suggestions() {
        let suggestions = |name| City::find(name).unwrap_err().suggestions;
        assert_eq!(suggestions("Frankfrut"), ["Frankfurt"]);
        assert_eq!(suggestions("San"), ["San Francisco", "San Jose", "Santiago"]);
        assert_eq!(suggestions("Frankfurt am Main"), ["Frankfurt"]);
        assert_eq!(suggestions("Nowhere"), [""; 0]);
        assert_eq!(suggestions(""), [""; 0]);
    }

    #[test]
    fn city_names_match_without_case_accents_spaces_and_hyphens() {
        for (typed, name) in [
            ("frankfurt", "Frankfurt"),
            ("São Paulo", "Sao Paulo"),
            ("zürich", "Zurich"),
            ("new-york", "New York"),
            ("hongkong", "Hong Kong"),
        ] {
            assert_eq!(City::find(typed).map(City::name), Ok(name));
        }
    }
}
