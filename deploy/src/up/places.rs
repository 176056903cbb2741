//! Where in the world the parts of a cluster are said to be. All of it is on one machine; told apart are real cities.

use crate::cities::City;

/// Where the edges stand, in turn: the first three on three continents.
const EDGES: [&str; 9] =
    ["Frankfurt", "New York", "Singapore", "Sao Paulo", "Sydney", "Johannesburg", "San Francisco", "Tokyo", "Mumbai"];

/// Where readers are, each near one of the first three edges: in Europe, America and Asia. The networks are nobody's: they are kept for documentation
/// (RFC 5737, RFC 3849).
pub(super) const READERS: [Readers; 3] = [
    Readers { city: "Strasbourg", networks: ["192.0.2.0/24", "2001:db8:1::/48"] },
    Readers { city: "Boston", networks: ["198.51.100.0/24", "2001:db8:2::/48"] },
    Readers { city: "Kuala Lumpur", networks: ["203.0.113.0/24", "2001:db8:3::/48"] },
];

/// Readers in one city.
#[derive(Debug, Clone, Copy)]
pub(super) struct Readers {
    city: &'static str,
    pub(super) networks: [&'static str; 2],
}

impl Readers {
    /// Where they are.
    pub(super) fn city(&self) -> City {
        known(self.city)
    }
}

/// Where edge number `edge`, from 1, stands.
pub(super) fn of_edge(edge: u16) -> City {
    known(EDGES[usize::from(edge - 1) % EDGES.len()])
}

fn known(city: &str) -> City {
    City::find(city).expect("a test finds every city")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_nearest_to_the_edge_of_their_continent_however_many_there_are() {
        let edges: Vec<City> = (1..=20).map(of_edge).collect();
        let nearest = |readers: &Readers| {
            let distance = |edge: &&City| edge.place().kilometres_to(readers.city().place());
            edges.iter().min_by(|one, other| distance(one).total_cmp(&distance(other))).unwrap().name()
        };
        assert_eq!(READERS.each_ref().map(nearest), ["Frankfurt", "New York", "Singapore"]);
        assert_eq!(edges[9].name(), "Frankfurt", "they are taken in turn");
    }
}
