//! Cities in which machines are rented, so that nobody need look up coordinates.

mod near;
mod table;

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use verge_protocol::{GeoPoint, Region};

/// A city.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct City {
    name: &'static str,
    place: &'static str,
    /// ISO 3166-1 alpha-2, in lowercase.
    country: &'static str,
    /// One of `af`, `an`, `as`, `eu`, `na`, `oc`, `sa`.
    continent: &'static str,
}

/// A name that is no known city's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the city `{name}` is not known")]
pub struct UnknownCity {
    /// What was typed.
    pub name: String,
    /// Known cities with a name like it, the likeliest first.
    pub near: Vec<&'static str>,
}

impl City {
    /// The city of this name, in whatever case, with or without its accents, spaces and hyphens.
    pub fn find(name: &str) -> Result<Self, UnknownCity> {
        let plain = plain(name);
        let found = table::ALL.iter().find(|city| self::plain(city.name) == plain);
        found.copied().ok_or_else(|| UnknownCity { name: name.to_owned(), near: near::to(&plain, table::ALL) })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Where it is, to a kilometre or so.
    pub fn place(self) -> GeoPoint {
        self.place.parse().expect("a test reads every line of the table")
    }

    /// Its continent and its country.
    pub fn regions(self) -> BTreeSet<Region> {
        [self.continent, self.country].map(|code| code.parse().expect("a test reads every line of the table")).into()
    }
}

/// What two spellings of a name have in common.
fn plain(name: &str) -> String {
    let letters = name.nfd().filter(|letter| !is_combining_mark(*letter));
    letters.filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_can_be_used() {
        for city in table::ALL {
            assert_eq!(City::find(city.name), Ok(*city), "one line for a name");
            assert_eq!(city.regions().len(), 2, "{}", city.name);
            assert!(city.country.len() == 2 && city.country.bytes().all(|byte| byte.is_ascii_lowercase()));
            assert!(["af", "an", "as", "eu", "na", "oc", "sa"].contains(&city.continent), "{}", city.name);
            assert_eq!(city.place().to_string(), city.place);
        }
        assert!(table::ALL.is_sorted_by_key(|city| city.name));
    }

    /// No place is off by more than a slip of the finger would be: whoever is on one continent is within reach of its middle.
    #[test]
    fn no_city_is_on_the_wrong_side_of_the_earth() {
        for city in table::ALL {
            let (middle, reach) = match city.continent {
                "af" => ("2,20", 4500.0),
                "as" => ("28,85", 6000.0),
                "eu" => ("50,15", 2600.0),
                "na" => ("40,-98", 3500.0),
                "oc" => ("-30,147", 3500.0),
                _ => ("-18,-60", 3500.0),
            };
            let distance = city.place().kilometres_to(middle.parse().unwrap());
            assert!(distance < reach, "{} is {distance:.0} km from the middle of {}", city.name, city.continent);
        }
    }

    #[test]
    fn a_name_may_be_spelt_as_people_do() {
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
