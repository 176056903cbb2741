//! Simulated locations: the cluster is on one machine, but its edges and readers are assigned to real cities.

use crate::cities::City;

/// The cities of the edges, in turn; the first three are on three continents.
const EDGES: [&str; 9] =
    ["Frankfurt", "New York", "Singapore", "Sao Paulo", "Sydney", "Johannesburg", "San Francisco", "Tokyo", "Mumbai"];

/// Readers in Europe, America and Asia, each near one of the first three edges. Their networks are reserved for documentation
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
    /// Their city.
    pub(super) fn city(&self) -> City {
        find(self.city)
    }
}

/// The city of edge number `edge`, from 1.
pub(super) fn of_edge(edge: u16) -> City {
    find(EDGES[usize::from(edge - 1) % EDGES.len()])
}

fn find(city: &str) -> City {
    City::find(city).expect("a test looks up every city")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_edge_is_on_the_readers_continent() {
        let edges: Vec<City> = (1..=20).map(of_edge).collect();
        let nearest = |readers: &Readers| {
            let distance = |edge: &&City| edge.location().kilometres_to(readers.city().location());
            edges.iter().min_by(|one, other| distance(one).total_cmp(&distance(other))).unwrap().name()
        };
        assert_eq!(READERS.each_ref().map(nearest), ["Frankfurt", "New York", "Singapore"]);
        assert_eq!(edges[9].name(), "Frankfurt", "cities are reused in turn");
    }
}
