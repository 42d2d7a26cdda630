//! The commands that follow a plan, a statement and a run, whole: each can be typed as it is printed, from where the last one was typed.

use std::path::{Path, PathBuf};

use crate::config::{Environment, Quorum, Role};
use crate::plan::{Certificate, Head, Item, Plan};
use crate::text::{escape, shell};

use super::people::People;
use super::station::Station;

/// What is typed after `plan`: each person of the quorum approves, then the station signs. `at` is where the plan lies in
/// `out/`; with a medium the officers have it from there, and their approvals come back on it.
pub fn after_plan(station: &Station, head: &Head, at: &Path, medium: Option<&Path>) -> String {
    let read = medium.map_or_else(|| at.to_path_buf(), |dir| dir.join(at.file_name().unwrap_or_default()));
    let read = shell(read);
    let people = approvers(station, station.hierarchy.quorum(head.kind), head.sign_from);
    let mut text = format!("  read it:  coldroot show {read}\n") + &approve(station, &read, &people);
    let operator = of_role(station, Role::Operator, head.sign_from, None);
    let witness = of_role(station, Role::Witness, head.sign_from, Some(operator));
    text.push_str(&format!(
        "  then:     coldroot{} sign --plan {} \\\n                --operator {operator} --witness {witness}",
        station_option(station),
        shell(at)
    ));
    if station.hierarchy.environment == Environment::Real {
        text.push_str(" --witness-time UTC");
    }
    match medium {
        Some(dir) => text.push_str(&format!(" \\\n                --media {}", shell(dir))),
        None => text.push_str(&given(&read, &people)),
    }
    text + "\n"
}

/// What is typed after a statement that stands alone: each person of the quorum approves it, then `command` is given again, with
/// the same people and reason. `at` is where the statement lies, `time` the one by which the roster counts.
pub fn after_statement(
    station: &Station,
    at: &Path,
    (quorum, time): (&Quorum, i64),
    (command, reason): (&str, &str),
    people: &People,
) -> String {
    let (read, approving) = (shell(at), approvers(station, quorum, time));
    let clock = if people.witness_time.is_some() { " \\\n                --witness-time UTC" } else { "" };
    format!(
        "{}  then:     {command} \\\n                --reason {} \\\n                --operator {} --witness {}{clock}{}\n",
        approve(station, &read, &approving),
        shell(reason),
        shell(&people.operator),
        shell(&people.witness),
        given(&read, &approving)
    )
}

/// A line for each person who approves what lies at `read`.
fn approve(station: &Station, read: &str, people: &[&str]) -> String {
    let labels = std::iter::once("next:").chain(std::iter::repeat(""));
    let line = |(person, label): (&&str, &str)| {
        let key = key_of(station, person);
        format!("  {label:<9} coldroot approve {read} --person {person} \\\n                --key {key}\n")
    };
    people.iter().zip(labels).map(line).collect()
}

/// Their approvals, as options.
fn given(read: &str, people: &[&str]) -> String {
    people.iter().map(|person| format!(" \\\n                --approval {read}.{person}.sig")).collect()
}

/// What is typed after `sign`: the check of the release; and in a rehearsal, whose next lesson it is, how one is revoked.
pub fn after_sign(station: &Station, plan: &mut Plan, release: &Path) -> String {
    let mut text = format!(
        "  next:      coldroot check {} --verifier-key {} \\\n                 --hierarchy {}\n",
        shell(release),
        shell(station.dir.join("verifier-key")),
        shell(station.dir.join("hierarchy.toml"))
    );
    let rehearsal = station.hierarchy.environment == Environment::Rehearsal;
    if rehearsal && let Some(item) = first_of_batch(plan) {
        text.push_str(&format!(
            "  rehearse the revocation of `{}`:\n             coldroot{} plan --revoke {} \\\n                 --reason superseded\n",
            escape(item.request.as_deref().unwrap_or_default()),
            station_option(station),
            crate::text::hex(&item.fields.serial)
        ));
    }
    text
}

/// The first certificate that a requester gets.
fn first_of_batch(plan: &mut Plan) -> Option<Box<Certificate>> {
    plan.head().counts.iter().any(|count| count.act == "batch").then_some(())?;
    (0..plan.head().items).find_map(|n| match plan.item(n) {
        Ok(Item::Certificate(item)) if item.act == "batch" => Some(item),
        _ => None,
    })
}

/// The first persons of the roster who make the quorum.
fn approvers<'a>(station: &'a Station, quorum: &Quorum, at: i64) -> Vec<&'a str> {
    let mut chosen: Vec<&str> = Vec::new();
    for (role, wanted) in quorum {
        let able = || station.hierarchy.persons.iter().filter(|p| p.roles.contains(role) && !p.keys.is_empty());
        let counted = able().filter(|p| chosen.contains(&p.id.as_str())).count();
        let missing = (*wanted as usize).saturating_sub(counted);
        let more: Vec<&str> = able()
            .filter(|p| p.expired(at).is_none() && !chosen.contains(&p.id.as_str()))
            .map(|p| p.id.as_str())
            .take(missing)
            .collect();
        chosen.extend(more);
    }
    chosen
}

/// The first person with the role, `ID` where nobody has it.
fn of_role<'a>(station: &'a Station, role: Role, at: i64, but: Option<&str>) -> &'a str {
    let able =
        |p: &&crate::config::Person| p.roles.contains(&role) && p.expired(at).is_none() && but != Some(p.id.as_str());
    station.hierarchy.persons.iter().find(able).map_or("ID", |p| p.id.as_str())
}

/// A person's SSH key: where one person plays everybody it lies in `officers/`; otherwise only they know.
fn key_of(station: &Station, person: &str) -> String {
    let path: PathBuf = station.dir.join("officers").join(person);
    let rehearsal = station.hierarchy.environment == Environment::Rehearsal;
    if rehearsal && path.is_file() { shell(path) } else { "SSHKEY".into() }
}

/// `--station DIR`, where it is not the directory that the command is typed in.
pub fn station_option(station: &Station) -> String {
    match station.dir == Path::new(".") {
        true => String::new(),
        false => format!(" --station {}", shell(&station.dir)),
    }
}
