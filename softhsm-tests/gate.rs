//! The gate against a parent that lies. Each attack is made on the real processes and real tokens of a station; it must be
//! refused, and afterwards the tokens hold what they held before: no key made or destroyed, the same mark.

mod harness;

#[path = "gate/adoptions.rs"]
mod adoptions;
#[path = "gate/changes.rs"]
mod changes;
#[path = "gate/corpus.rs"]
mod corpus;
#[path = "gate/forgery.rs"]
mod forgery;
#[path = "gate/handover.rs"]
mod handover;
#[path = "gate/log.rs"]
mod log;
#[path = "gate/plans.rs"]
mod plans;
#[path = "gate/process.rs"]
mod process;
#[path = "gate/releases.rs"]
mod releases;
#[path = "gate/station.rs"]
mod station;
#[path = "gate/voids.rs"]
mod voids;
