//! Linters: programs of others that judge copies of what will be signed.

use std::path::{Path, PathBuf};

use crate::digest::Digest;

use super::hierarchy::Hierarchy;
use super::line::{ascii_line, id, plain_line, show};
use super::roster::last_day;
use super::{Error, field, raw};

/// More programs than anybody waits for.
const MAX_LINTERS: usize = 8;
/// Findings that are accepted: more would be a linter that nobody listens to.
const MAX_ACCEPTED: usize = 64;
const MAX_ARGUMENTS: usize = 32;
/// Acceptances that end within so many seconds are told by `check`.
const NEAR: i64 = 30 * 86_400;

/// A program that is given a DER file and tells its findings in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linter {
    pub id: String,
    pub form: LinterForm,
    pub judges: Judges,
    /// An absolute path. No shell comes between: it is started with these arguments and the file's name behind them.
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// SHA-256 that the program's file must have.
    pub sha256: Option<Digest>,
    /// What it may read and run besides the system's own directories; absolute paths.
    pub read: Vec<PathBuf>,
    /// Wall-clock time for one file.
    pub seconds: u32,
    /// Address space, MiB.
    pub memory_mb: u32,
    /// The issuing CAs and the profiles whose items it judges; empty: all.
    pub cas: Vec<String>,
    pub profiles: Vec<String>,
    pub accepted: Vec<AcceptedFinding>,
}

/// How a linter writes what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinterForm {
    /// `{"results": [{"finding_descriptions": [{"severity", "code", "message"}]}]}`
    Pkilint,
    /// `{"lint_name": {"result", "details"}}`
    Zlint,
}

/// What a linter can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judges {
    Certificates,
    Crls,
}

/// A finding that refuses nothing, until a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedFinding {
    pub finding: String,
    /// Where: the issuing CA, the profile, or both.
    pub ca: Option<String>,
    pub profile: Option<String>,
    pub reason: String,
    /// The first second at which it counts again, since the epoch.
    pub until: i64,
}

impl Linter {
    /// Whether it is for what this CA issues by this profile; CRLs have none.
    pub fn applies(&self, judges: Judges, ca: &str, profile: Option<&str>) -> bool {
        let among =
            |ids: &[String], id: Option<&str>| ids.is_empty() || id.is_some_and(|id| ids.iter().any(|i| i == id));
        self.judges == judges && among(&self.cas, Some(ca)) && among(&self.profiles, profile)
    }

    /// The acceptance of a finding that is in force at this time.
    pub fn accepts(&self, finding: &str, ca: &str, profile: Option<&str>, now: i64) -> Option<&AcceptedFinding> {
        self.accepted.iter().find(|accepted| {
            accepted.finding == finding
                && now < accepted.until
                && accepted.ca.as_deref().is_none_or(|id| id == ca)
                && accepted.profile.as_deref().is_none_or(|id| Some(id) == profile)
        })
    }

    /// The acceptances that have ended at this time, or soon will.
    pub fn ending(&self, now: i64) -> impl Iterator<Item = &AcceptedFinding> {
        self.accepted.iter().filter(move |accepted| accepted.until <= now + NEAR)
    }
}

/// Whether a finding's name is one: what it holds goes into plans and statements.
pub fn is_finding(name: &str) -> bool {
    let lawful = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
    (1..=128).contains(&name.len()) && name.chars().all(lawful)
}

pub(super) fn linters(raw: Vec<raw::Linter>) -> Result<Vec<Linter>, Error> {
    if raw.len() > MAX_LINTERS {
        return Err(field("linter", format!("there are more than {MAX_LINTERS}")));
    }
    raw.into_iter().enumerate().map(|(i, raw)| linter(raw, &format!("linter[{i}]"))).collect()
}

fn linter(raw: raw::Linter, at: &str) -> Result<Linter, Error> {
    id(&raw.id, at)?;
    let bounded = |name: &str, value: Option<u32>, usual: u32, most: u32| match value.unwrap_or(usual) {
        value if (1..=most).contains(&value) => Ok(value),
        _ => Err(field(format!("{at}.{name}"), format!("must be 1 to {most}"))),
    };
    let form = match raw.form.as_str() {
        "pkilint" => LinterForm::Pkilint,
        "zlint" => LinterForm::Zlint,
        other => return Err(field(format!("{at}.form"), format!("`{}` is none of pkilint, zlint", show(other)))),
    };
    let judges = match raw.judges.as_deref() {
        None | Some("certificates") => Judges::Certificates,
        Some("crls") => Judges::Crls,
        Some(_) => return Err(field(format!("{at}.judges"), "must be certificates or crls")),
    };
    if judges == Judges::Crls && !raw.profiles.is_empty() {
        return Err(field(format!("{at}.profiles"), "belongs to certificates; CRLs are chosen by `cas`"));
    }
    if raw.arguments.len() > MAX_ARGUMENTS {
        return Err(field(format!("{at}.arguments"), format!("has more than {MAX_ARGUMENTS}")));
    }
    for (i, argument) in raw.arguments.iter().enumerate() {
        plain_line(&format!("{at}.arguments[{i}]"), argument, 200)?;
    }
    let sha256 = raw
        .sha256
        .map(|hex| Digest::from_hex(&hex).ok_or_else(|| field(format!("{at}.sha256"), "must be 64 hex digits")));
    let read = raw.read.into_iter().enumerate().map(|(i, path)| absolute(&format!("{at}.read[{i}]"), path));
    if raw.accepted.len() > MAX_ACCEPTED {
        return Err(field(format!("{at}.accepted"), format!("has more than {MAX_ACCEPTED}")));
    }
    let accepted = raw.accepted.into_iter().enumerate();
    Ok(Linter {
        form,
        judges,
        program: absolute(&format!("{at}.program"), raw.program)?,
        arguments: raw.arguments,
        sha256: sha256.transpose()?,
        read: read.collect::<Result<_, _>>()?,
        seconds: bounded("seconds", raw.seconds, 30, 600)?,
        memory_mb: bounded("memory-mb", raw.memory_mb, 1024, 65_536)?,
        cas: raw.cas,
        profiles: raw.profiles,
        accepted: accepted.map(|(i, a)| accept(a, &format!("{at}.accepted[{i}]"))).collect::<Result<_, _>>()?,
        id: raw.id,
    })
}

fn absolute(at: &str, path: String) -> Result<PathBuf, Error> {
    plain_line(at, &path, 500)?;
    match Path::new(&path).is_absolute() && path != "/" {
        true => Ok(path.into()),
        false => Err(field(at, "must be an absolute path, and not `/`: which program runs must not depend on where")),
    }
}

fn accept(raw: raw::AcceptedFinding, at: &str) -> Result<AcceptedFinding, Error> {
    if !is_finding(&raw.finding) {
        return Err(field(format!("{at}.finding"), "must be a finding's name, as the linter writes it"));
    }
    if raw.ca.is_none() && raw.profile.is_none() {
        return Err(field(at, "must name the `ca` or the `profile` for which the finding is accepted, or both"));
    }
    ascii_line(&format!("{at}.reason"), &raw.reason, 200)?;
    let until = last_day(&raw.until)
        .ok_or_else(|| field(format!("{at}.until"), "must be the last day, such as \"2027-06-30\""))?;
    Ok(AcceptedFinding { finding: raw.finding, ca: raw.ca, profile: raw.profile, reason: raw.reason, until })
}

impl Hierarchy {
    /// What linters name is declared.
    pub(super) fn check_linters(&self) -> Result<(), Error> {
        for (i, linter) in self.linters.iter().enumerate() {
            let at = format!("linter[{i}]");
            let declared = |name: &str, id: &str, known: bool| match known {
                true => Ok(()),
                false => Err(field(format!("{at}.{name}"), format!("`{}` is not declared", show(id)))),
            };
            for ca in &linter.cas {
                declared("cas", ca, self.ca(ca).is_some())?;
            }
            for profile in &linter.profiles {
                declared("profiles", profile, self.profile(profile).is_some())?;
            }
            for (n, accepted) in linter.accepted.iter().enumerate() {
                if let Some(ca) = &accepted.ca {
                    declared(&format!("accepted[{n}].ca"), ca, self.ca(ca).is_some())?;
                }
                if let Some(profile) = &accepted.profile {
                    declared(&format!("accepted[{n}].profile"), profile, self.profile(profile).is_some())?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "id = \"a\"\nform = \"zlint\"\nprogram = \"/opt/zlint\"\n";
    const ACCEPTED: &str =
        "\n[[accepted]]\nfinding = \"e_x\"\nprofile = \"p\"\nreason = \"r\"\nuntil = \"2027-06-30\"\n";

    fn of(text: &str) -> Result<Linter, Error> {
        linters(vec![super::super::from_toml(text)?]).map(|mut all| all.remove(0))
    }

    #[test]
    fn a_linter_that_says_too_little_or_too_much_is_named() {
        let good = of(&format!("{GOOD}{ACCEPTED}")).unwrap();
        assert_eq!((good.seconds, good.memory_mb, good.judges), (30, 1024, Judges::Certificates));
        for (from, to, at) in [
            ("zlint\"\nprogram", "x509lint\"\nprogram", "linter[0].form"),
            ("/opt/zlint", "zlint", "linter[0].program"),
            ("/opt/zlint", "/", "linter[0].program"),
            ("id = \"a\"", "id = \"A b\"", "linter[0].id"),
            ("\n[[", "seconds = 0\n[[", "linter[0].seconds"),
            ("\n[[", "seconds = 601\n[[", "linter[0].seconds"),
            ("\n[[", "memory-mb = 0\n[[", "linter[0].memory-mb"),
            ("\n[[", "judges = \"requests\"\n[[", "linter[0].judges"),
            ("\n[[", "judges = \"crls\"\nprofiles = [\"p\"]\n[[", "linter[0].profiles"),
            ("\n[[", "sha256 = \"00\"\n[[", "linter[0].sha256"),
            ("\n[[", "read = [\"lib\"]\n[[", "linter[0].read[0]"),
            ("\n[[", "arguments = [\"a\\u0007\"]\n[[", "linter[0].arguments[0]"),
            ("e_x", "e x", "linter[0].accepted[0].finding"),
            ("profile = \"p\"\n", "", "linter[0].accepted[0]"),
            ("reason = \"r\"", "reason = \"\"", "linter[0].accepted[0].reason"),
            ("2027-06-30", "soon", "linter[0].accepted[0].until"),
        ] {
            let refused = of(&format!("{GOOD}{ACCEPTED}").replacen(from, to, 1)).unwrap_err();
            assert!(matches!(&refused, Error::Field { field, .. } if field == at), "{at}: {refused}");
        }
        let many = (0..9).map(|_| super::super::from_toml(GOOD).unwrap()).collect();
        assert!(linters(many).is_err());
    }

    #[test]
    fn an_acceptance_holds_for_its_profile_and_until_the_end_of_its_day() {
        let linter = of(&format!("{GOOD}{ACCEPTED}")).unwrap();
        let end = crate::text::parse_utc("2027-07-01T00:00:00Z").unwrap();
        let accepts = |finding, profile, now| linter.accepts(finding, "ca", profile, now).is_some();
        assert!(accepts("e_x", Some("p"), end - 1));
        assert!(!accepts("e_x", Some("p"), end));
        assert!(!accepts("e_x", Some("q"), 0) && !accepts("e_x", None, 0) && !accepts("e_y", Some("p"), 0));
        assert_eq!(linter.ending(end - 31 * 86_400).count(), 0);
        assert_eq!(linter.ending(end - 30 * 86_400).count(), 1);
        assert!(linter.applies(Judges::Certificates, "any", Some("any")));
        assert!(!linter.applies(Judges::Crls, "any", None));
    }
}
