//! The edges that may be named, sorted for the choice.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;

use verge_protocol::Region;

use super::foremost::Foremost;
use super::metro::Metros;
use super::picked::{Named, Picked};
use super::standing::{Grade, Standing, judge};
use super::{AllDown, Edge, Policy, rendezvous};
use crate::place::{Family, Locality, Point};

/// The edges that names of one fence may lead to in one family: everything about them is decided but the order, which is the
/// reader's.
#[derive(Debug)]
pub(super) struct Roster {
    /// How every edge of the fleet stands.
    standings: Vec<Standing>,
    /// The metros that have a candidate, in the order of their founders' names, and which candidates those are.
    metros: Vec<(Point, Range<usize>)>,
    /// By metro, those without one last; inside of each by name.
    candidates: Vec<Candidate>,
    /// Of all candidates.
    addresses: Vec<Address>,
}

/// An edge that may be named.
#[derive(Debug)]
struct Candidate {
    edge: usize,
    key: u64,
    weight: u16,
    addresses: Range<usize>,
}

/// An address that may be named.
#[derive(Debug)]
struct Address {
    ip: IpAddr,
    key: u64,
    shaky: bool,
}

impl Roster {
    pub(super) fn new(
        edges: &[Edge],
        metros: &Metros,
        fence: &BTreeSet<Region>,
        family: Family,
        all_down: AllDown,
    ) -> Self {
        let grades: Vec<_> = edges.iter().map(|edge| edge.grade(fence, family)).collect();
        let standings = judge(&grades, |edge| edges[edge].force, all_down);
        let mut order: Vec<usize> = (0..edges.len()).filter(|edge| standings[*edge].may_be_named()).collect();
        order.sort_by_key(|edge| (metros.of_edge(*edge).is_none(), metros.of_edge(*edge), *edge));
        let mut roster = Self { standings, metros: Vec::new(), candidates: Vec::new(), addresses: Vec::new() };
        for among in order.chunk_by(|one, other| metros.of_edge(*one) == metros.of_edge(*other)) {
            let first = roster.candidates.len();
            for &edge in among {
                roster.push(edge, &edges[edge], family, grades[edge]);
            }
            if let Some(metro) = metros.of_edge(among[0]) {
                roster.metros.push((metros.centre(metro), first..roster.candidates.len()));
            }
        }
        roster
    }

    fn push(&mut self, index: usize, edge: &Edge, family: Family, grade: Result<Grade, Standing>) {
        let first = self.addresses.len();
        let as_good = edge.graded(family).filter(|(_, _, its)| Ok(*its) == grade);
        self.addresses.extend(as_good.map(|(ip, shaky, _)| Address {
            ip,
            key: rendezvous::network_key(ip.into()),
            shaky,
        }));
        let addresses = first..self.addresses.len();
        self.candidates.push(Candidate { edge: index, key: edge.key, weight: edge.weight, addresses });
    }

    /// How each edge of the fleet stands.
    pub(super) fn standings(&self) -> &[Standing] {
        &self.standings
    }

    pub(super) fn choose(&self, from: &Locality, policy: &Policy) -> Picked {
        let network = rendezvous::network_key(from.network);
        let mut picked = Picked::new(policy.ttl);
        let placed = match from.place {
            Some(place) => {
                // Each has somebody to name, so no more metros than answers are needed.
                let mut nearest = Foremost::of(policy.answers);
                for (metro, (centre, _)) in self.metros.iter().enumerate() {
                    nearest.offer(-place.nearness(centre), metro);
                }
                for metro in nearest.iter() {
                    self.pick(self.metros[metro].1.clone(), network, policy, &mut picked);
                }
                self.metros.last().map_or(0, |(_, among)| among.end)
            }
            // All are equally far from a reader who is nowhere.
            None => 0,
        };
        self.pick(placed..self.candidates.len(), network, policy, &mut picked);
        picked
    }

    /// Names the first of some candidates, as many as still fit.
    fn pick(&self, among: Range<usize>, network: u64, policy: &Policy, picked: &mut Picked) {
        let mut first = Foremost::of(policy.answers - picked.named().len());
        match among.len() {
            0 => return,
            1 => first.offer(0.0, among.start),
            _ => {
                for index in among {
                    let Candidate { key, weight, .. } = self.candidates[index];
                    // Spares most logarithms.
                    if first.takes(rendezvous::least_time(network, key, weight)) {
                        first.offer(rendezvous::time(network, key, weight), index);
                    }
                }
            }
        }
        for index in first.iter() {
            let candidate = &self.candidates[index];
            let address = self.address(candidate, network);
            let ttl = if address.shaky { policy.shaky_ttl } else { policy.ttl };
            picked.push(Named { address: address.ip, edge: candidate.edge }, ttl);
        }
    }

    /// The one address by which an edge is named to a network. Several share the networks evenly, and one that fails moves only
    /// its own.
    fn address(&self, candidate: &Candidate, network: u64) -> &Address {
        let among = &self.addresses[candidate.addresses.clone()];
        let [only] = among else {
            let draw = |address: &&Address| rendezvous::draw(network ^ candidate.key, address.key);
            return among.iter().max_by_key(draw).expect("a candidate is as good as one of its addresses");
        };
        only
    }
}
