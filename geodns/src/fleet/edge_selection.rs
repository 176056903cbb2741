//! The eligible edges of one region set and address family, indexed for selection.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;

use verge_protocol::Region;

use super::answer_policy::{AllDown, Policy};
use super::eligibility::{Eligibility, HealthStatus, decide};
use super::member::Edge;
use super::metro::Metros;
use super::rendezvous;
use super::selected_edges::{SelectedEdge, Selection};
use super::top_k::TopK;
use crate::geo::{ClientLocation, Family, GeoVector};

/// The edges that names of one region set may return in one address family. Only their order is left to decide, which depends on
/// the client.
#[derive(Debug)]
pub(super) struct Candidates {
    /// The eligibility of every edge of the fleet.
    eligibility: Vec<Eligibility>,
    /// The metros that have a candidate, in the order of their founders' names, and the range of their candidates.
    metros: Vec<(GeoVector, Range<usize>)>,
    /// By metro, those without one last; within a metro by name.
    edges: Vec<Candidate>,
    /// The addresses of all candidates.
    addresses: Vec<CandidateAddress>,
}

/// An eligible edge.
#[derive(Debug)]
struct Candidate {
    edge: usize,
    key: u64,
    weight: u16,
    addresses: Range<usize>,
}

/// An address that may be returned.
#[derive(Debug)]
struct CandidateAddress {
    ip: IpAddr,
    key: u64,
    suspect: bool,
}

impl Candidates {
    pub(super) fn new(
        edges: &[Edge],
        metros: &Metros,
        regions: &BTreeSet<Region>,
        family: Family,
        all_down: AllDown,
    ) -> Self {
        let statuses: Vec<_> = edges.iter().map(|edge| edge.status(regions, family)).collect();
        let eligibility = decide(&statuses, |edge| edges[edge].force, all_down);
        let mut order: Vec<usize> = (0..edges.len()).filter(|edge| eligibility[*edge].is_eligible()).collect();
        order.sort_by_key(|edge| (metros.of_edge(*edge).is_none(), metros.of_edge(*edge), *edge));
        let mut candidates = Self { eligibility, metros: Vec::new(), edges: Vec::new(), addresses: Vec::new() };
        for in_metro in order.chunk_by(|one, other| metros.of_edge(*one) == metros.of_edge(*other)) {
            let first = candidates.edges.len();
            for &edge in in_metro {
                candidates.push(edge, &edges[edge], family, statuses[edge]);
            }
            if let Some(metro) = metros.of_edge(in_metro[0]) {
                candidates.metros.push((metros.centre(metro), first..candidates.edges.len()));
            }
        }
        candidates
    }

    fn push(&mut self, index: usize, edge: &Edge, family: Family, status: Result<HealthStatus, Eligibility>) {
        let first = self.addresses.len();
        let best = edge.addresses_with_status(family).filter(|(_, _, its)| Ok(*its) == status);
        self.addresses.extend(best.map(|(ip, suspect, _)| CandidateAddress {
            ip,
            key: rendezvous::network_key(ip.into()),
            suspect,
        }));
        let addresses = first..self.addresses.len();
        self.edges.push(Candidate { edge: index, key: edge.key, weight: edge.weight, addresses });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// The eligibility of every edge of the fleet.
    pub(super) fn eligibility(&self) -> &[Eligibility] {
        &self.eligibility
    }

    pub(super) fn choose(&self, from: &ClientLocation, policy: &Policy) -> Selection {
        let network = rendezvous::network_key(from.network);
        let mut selection = Selection::new(policy.ttl);
        let in_metros = match from.point {
            Some(point) => {
                // Every metro has a candidate, so no more metros than answers are needed.
                let mut nearest = TopK::new(policy.answers);
                for (metro, (centre, _)) in self.metros.iter().enumerate() {
                    nearest.offer(-point.nearness(centre), metro);
                }
                for metro in nearest.iter() {
                    self.choose_among(self.metros[metro].1.clone(), network, policy, &mut selection);
                }
                self.metros.last().map_or(0, |(_, range)| range.end)
            }
            // All edges are equally far from a client without a location.
            None => 0,
        };
        self.choose_among(in_metros..self.edges.len(), network, policy, &mut selection);
        selection
    }

    /// Adds the first of a range of candidates, as many as still fit.
    fn choose_among(&self, range: Range<usize>, network: u64, policy: &Policy, selection: &mut Selection) {
        let mut first = TopK::new(policy.answers - selection.edges().len());
        match range.len() {
            0 => return,
            1 => first.offer(0.0, range.start),
            _ => {
                for index in range {
                    let Candidate { key, weight, .. } = self.edges[index];
                    // Avoids most logarithms.
                    if first.accepts(rendezvous::min_cost(network, key, weight)) {
                        first.offer(rendezvous::cost(network, key, weight), index);
                    }
                }
            }
        }
        for index in first.iter() {
            let candidate = &self.edges[index];
            let address = self.address(candidate, network);
            let ttl = if address.suspect { policy.suspect_ttl } else { policy.ttl };
            selection.push(SelectedEdge { address: address.ip, edge: candidate.edge }, ttl);
        }
    }

    /// The address of an edge that a network gets. Several addresses share the networks evenly, and one that fails moves only its
    /// own networks.
    fn address(&self, candidate: &Candidate, network: u64) -> &CandidateAddress {
        let addresses = &self.addresses[candidate.addresses.clone()];
        let [only] = addresses else {
            let hash = |address: &&CandidateAddress| rendezvous::hash(network ^ candidate.key, address.key);
            return addresses.iter().max_by_key(hash).expect("a candidate has at least one address of its status");
        };
        only
    }
}
