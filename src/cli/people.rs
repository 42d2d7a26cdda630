//! Who stands at the station while something is carried out.

use clap::Args;

use crate::config::{Environment, Role};

use super::Failure;
use super::station::Station;

/// The most that the witness's clock and the station's may differ, in seconds.
const CLOCK_SLACK: i64 = 300;

/// Operator and witness.
#[derive(Args)]
pub struct People {
    /// Who operates the station (roster id)
    #[arg(long, value_name = "ID")]
    pub operator: String,
    /// Who watches (roster id, another person)
    #[arg(long, value_name = "ID")]
    pub witness: String,
    /// What the witness reads from another clock; a real hierarchy needs it
    #[arg(long, value_name = "UTC", value_parser = super::parse_time)]
    pub witness_time: Option<i64>,
}

/// Two persons of the roster with these roles, and two clocks that agree.
pub fn judge(station: &Station, people: &People) -> Result<(), Failure> {
    for (id, role) in [(&people.operator, Role::Operator), (&people.witness, Role::Witness)] {
        let shown = crate::text::escape(id);
        let able = || {
            station
                .hierarchy
                .persons
                .iter()
                .filter(|p| p.roles.contains(&role) && p.expired(station.clock()).is_none())
                .map(|p| p.id.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let person = station.hierarchy.person(id).filter(|p| p.roles.contains(&role));
        let wrong = match person.map(|p| p.expired(station.clock())) {
            None => format!("`{shown}` is not a person with the role {}", role.name()),
            Some(Some(since)) => format!("the roster's person `{shown}` expired at {}", crate::text::utc(since)),
            Some(None) => continue,
        };
        return Err(Failure::refused(wrong, format!("name one of: {}", able())));
    }
    if people.operator == people.witness {
        return Err(Failure::refused("operator and witness are the same person", "name two persons"));
    }
    match (people.witness_time, station.hierarchy.environment) {
        (None, Environment::Real) => Err(Failure::refused(
            "the witness's time is missing",
            "--witness-time 2026-11-22T00:00:00Z, read from another clock",
        )),
        (Some(time), _) if (time - station.clock()).abs() > CLOCK_SLACK => Err(Failure::refused(
            format!(
                "the witness reads {}, the station's clock says {}",
                crate::text::utc(time),
                crate::text::utc(station.clock())
            ),
            "find out which clock is wrong before anything is dated by it",
        )),
        _ => Ok(()),
    }
}
