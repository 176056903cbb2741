//! The model test of rollouts: see the crate's documentation.

use verge_model::{Chunks, Invariant, Outcome, Plant, Statistics, run};

/// Events of a run, before the fleet settles.
const STEPS: u64 = 600;
/// Runs, unless `VERGE_MODEL_SEEDS` says how many.
const SEEDS: u64 = 500;
/// Runs within which each planted bug must be found.
const SEEDS_PER_PLANT: u64 = 1500;

#[test]
fn fleet_under_random_faults_keeps_every_invariant() {
    let (first, count, steps) = (setting("FIRST", 0), setting("SEEDS", SEEDS), setting("STEPS", STEPS));
    let mut sum = Statistics::default();
    for seed in first..first + count {
        let Outcome { failure, statistics, .. } = run(seed, steps, None, false);
        assert!(failure.is_none(), "{}", describe(seed, steps, None));
        sum += statistics;
    }
    println!("{count} seeds: {sum:?}");
    let Chunks { asked, checked, excused, .. } = &sum.chunks;
    assert_eq!(*asked, checked + excused.values().sum::<u64>(), "each chunk is checked or excused: {sum:?}");
    let is_varied = sum.switched > count && *asked > count && sum.purges > count / 2 && sum.canaries > count / 20;
    let has_faults = sum.replaced > 0 && sum.deleted > 0 && sum.failed_commits > count / 2 && sum.joined > count / 2;
    assert!(count < 100 || is_varied && has_faults && sum.abandoned > 0, "{sum:?}");
    // About 93 %: the rest is of edges that were cut off or lost their disks, and of origins that were restored.
    assert!(checked * 100 > asked * 88 || count < 100, "too much is excused: {sum:?}");
}

#[test]
fn each_planted_bug_of_an_edge_breaks_its_invariant() {
    check_plants(|plant| format!("{plant:?}").starts_with("Edge"));
}

#[test]
fn each_planted_bug_of_an_origin_and_its_feed_breaks_its_invariant() {
    check_plants(|plant| !format!("{plant:?}").starts_with("Edge"));
}

#[expect(clippy::print_stdout, reason = "it is the output of a test")]
fn check_plants(is_included: impl Fn(&Plant) -> bool) {
    let mut missed = Vec::new();
    for (plant, invariant) in Plant::ALL.into_iter().filter(|(plant, _)| is_included(plant)) {
        let mut broken = Vec::new();
        let finds = |seed: &u64| {
            let failure = run(*seed, STEPS, Some(plant), false).failure;
            broken.extend(failure.as_ref().map(|failure| failure.invariant));
            failure.is_some_and(|failure| failure.invariant == invariant)
        };
        match (0..SEEDS_PER_PLANT).find(finds) {
            Some(seed) => println!("{plant:?} breaks {invariant:?} in seed {seed}"),
            None => missed.push(format!("{plant:?} does not break {invariant:?}, but {:?}", tally(&broken))),
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn same_seed_is_the_same_run() {
    let trace = || run(7, STEPS, None, true).trace;
    assert_eq!(trace(), trace());
}

/// The trace of a run that failed.
fn describe(seed: u64, steps: u64, plant: Option<Plant>) -> String {
    let Outcome { failure, trace, .. } = run(seed, steps, plant, true);
    let failure = failure.map(|failure| format!("{:?}: {}", failure.invariant, failure.what));
    format!("{}\nseed {seed}, {steps} steps: {}", trace.join("\n"), failure.unwrap_or_default())
}

fn tally(broken: &[Invariant]) -> Vec<(Invariant, usize)> {
    let mut all: Vec<Invariant> = broken.to_vec();
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(|one| (one, broken.iter().filter(|other| **other == one).count())).collect()
}

/// A number from the environment variable `VERGE_MODEL_<NAME>`.
#[expect(clippy::disallowed_methods, reason = "the environment is read in `main`, and this is the test's")]
fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(format!("VERGE_MODEL_{name}")).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}
