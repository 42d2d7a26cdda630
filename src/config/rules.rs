//! Rule sets: requirements of others that a CA declares to keep. Where a declaration contradicts one, the hierarchy is refused with
//! both places, long before anybody is assembled; `policy` judges what is signed by the same questions.

use std::collections::BTreeSet;

use super::cabf::{self, Kind};
use super::hierarchy::{Ca, Hierarchy};
use super::line::show;
use super::profile::{Base, NameForm, Profile, Rule};
use super::{Error, field};

/// Requirements under one name. Which checks belong to a set is said by `policy::Check::rule_sets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleSet {
    /// RFC 5280, which every CA keeps, declared or not.
    Rfc5280,
    /// CA/Browser Forum, Baseline Requirements for the Issuance and Management of Publicly-Trusted TLS Server Certificates, 2.1.
    CabfTls,
}

impl RuleSet {
    pub const ALL: [RuleSet; 2] = [RuleSet::Rfc5280, RuleSet::CabfTls];

    pub fn name(self) -> &'static str {
        match self {
            RuleSet::Rfc5280 => "rfc5280",
            RuleSet::CabfTls => "cabf-tls",
        }
    }
}

/// The declared sets, and the one that always counts.
pub(super) fn sets(names: &[String], at: &str) -> Result<BTreeSet<RuleSet>, Error> {
    let mut sets = BTreeSet::from([RuleSet::Rfc5280]);
    for (i, name) in names.iter().enumerate() {
        let at = format!("{at}[{i}]");
        let Some(set) = RuleSet::ALL.into_iter().find(|set| set.name() == name) else {
            let known = RuleSet::ALL.map(RuleSet::name).join(", ");
            return Err(field(at, format!("`{}` is no rule set; known are {known}", show(name))));
        };
        if names.iter().take(i).any(|other| other == name) {
            return Err(field(at, "stands twice"));
        }
        sets.insert(set);
    }
    Ok(sets)
}

impl Ca {
    /// Whether it keeps the Baseline Requirements.
    pub fn cabf(&self) -> bool {
        self.rules.contains(&RuleSet::CabfTls)
    }

    /// What its certificate is under the Baseline Requirements of its issuer.
    pub fn cabf_kind(&self) -> Kind {
        match (self.is_root(), self.cabf()) {
            (true, _) => Kind::Root,
            (false, true) => Kind::TlsCa,
            (false, false) => Kind::OtherCa,
        }
    }
}

/// A declaration against `cabf-tls` of the CA at this place.
struct Against {
    place: usize,
}

impl Against {
    fn error(&self, at: String, what: impl std::fmt::Display, section: &str, change: &str) -> Error {
        let rules = format!("`ca[{}].rules`", self.place);
        field(at, format!("{what}; {rules} has cabf-tls (Baseline Requirements {section}): {change}"))
    }

    fn judge(&self, at: String, judged: Result<(), String>, section: &str, change: &str) -> Result<(), Error> {
        judged.map_err(|what| self.error(at, what, section, change))
    }
}

impl Hierarchy {
    /// No declaration contradicts a rule set. What depends on a date, [`Hierarchy::check_dates`] says.
    pub(super) fn check_rules(&self) -> Result<(), Error> {
        for (i, ca) in self.cas.iter().enumerate() {
            let above = self.cas.iter().position(|other| other.id == ca.issuer).unwrap_or(i);
            let issuer = self.cas.get(above).unwrap_or(ca);
            match (issuer.cabf(), ca.cabf()) {
                (false, false) => {}
                (false, true) => {
                    let message = format!(
                        "lacks cabf-tls, which `ca[{i}].rules` has: the Baseline Requirements bind a whole path (1.1); add it, \
                         or leave it out below"
                    );
                    return Err(field(format!("ca[{above}].rules"), message));
                }
                (true, _) => self.check_cabf_ca(ca, i, &Against { place: above })?,
            }
        }
        for (i, profile) in self.profiles.iter().enumerate() {
            let place = self.cas.iter().position(|ca| profile.issuer.as_ref() == Some(&ca.id));
            let Some((place, issuer)) = place.and_then(|n| Some((n, self.cas.get(n)?))) else { continue };
            match issuer.cabf() {
                true => self.check_cabf_leaf(profile, i, issuer, &Against { place })?,
                false if profile.base == Base::CabfTlsDv => {
                    let message = format!(
                        "is for CAs that keep the Baseline Requirements; add cabf-tls to `ca[{place}].rules`, or take the base \
                         `tls-server`"
                    );
                    return Err(field(format!("profile[{i}].base"), message));
                }
                false => {}
            }
        }
        Ok(())
    }

    /// The certificate of a CA under an issuer that keeps the Baseline Requirements, itself for a root; and if it keeps them too,
    /// what it issues.
    fn check_cabf_ca(&self, ca: &Ca, i: usize, against: &Against) -> Result<(), Error> {
        let at = |name: &str| format!("ca[{i}].{name}");
        let kind = ca.cabf_kind();
        let change = "give it such purposes, or change the rules";
        against.judge(at("limits.eku"), cabf::purposes(kind, &ca.limits.eku), "7.1.2.3.3, 7.1.2.10.6", change)?;
        against.judge(at("subject"), cabf::ca_name(&ca.subject), "7.1.2.10.2, 7.1.4", "name it so")?;
        if let Some((n, profile)) = self.profiles.iter().enumerate().find(|(_, profile)| profile.id == ca.profile) {
            let at = |name: &str| format!("profile[{n}].{name}");
            let policies = cabf::policies(kind, &profile.policies);
            against.judge(at("policies"), policies, "7.1.2.3.2, 7.1.2.10.5", "declare them so")?;
            check_window(profile, n, kind, against)?;
        }
        match ca.days {
            None if kind == Kind::Root => {
                let most = cabf::ROOT_DAYS.end();
                let change = format!("declare `days` of at most {most}");
                return Err(against.error(at("expires"), "is `never`", "7.1.2.1.1", &change));
            }
            Some(days) if kind == Kind::Root && !cabf::ROOT_DAYS.contains(&days) => {
                let change = format!("declare {} to {}", cabf::ROOT_DAYS.start(), cabf::ROOT_DAYS.end());
                return Err(against.error(at("days"), format!("is {days}"), "7.1.2.1.1", &change));
            }
            _ => {}
        }
        if let Some((n, key)) = self.keys.iter().enumerate().find(|(_, key)| key.id == ca.key)
            && !cabf::takes_key(key.algorithm)
        {
            let what = format!("is `{}`", key.algorithm);
            return Err(against.error(format!("key[{n}].algorithm"), what, "6.1.5", "take RSA or ECDSA"));
        }
        if ca.cabf() { self.check_cabf_issuer(ca, i) } else { Ok(()) }
    }

    /// What a CA that keeps the Baseline Requirements puts into what it issues.
    fn check_cabf_issuer(&self, ca: &Ca, i: usize) -> Result<(), Error> {
        let (at, against) = (|name: &str| format!("ca[{i}].{name}"), Against { place: i });
        // A root that does is refused with its profile.
        let servers = !ca.is_root() && self.certifies_end_entities(ca);
        let (most, of) = match servers {
            true => (cabf::CRL_DAYS_OF_SERVERS, "of servers"),
            false => (cabf::CRL_DAYS_OF_CAS, "of CAs"),
        };
        if ca.crl_days > most {
            let change = format!("declare at most {most} for a CRL {of}");
            return Err(against.error(at("crl-days"), format!("is {}", ca.crl_days), "7.2", &change));
        }
        let below = self.cas.iter().any(|other| !other.is_root() && other.issuer == ca.id);
        let change = "declare http:// URLs";
        if servers || below || !ca.crl_urls.is_empty() {
            against.judge(at("crl-urls"), cabf::urls(&ca.crl_urls), "7.1.2.11.2", change)?;
        }
        if servers || !ca.issuer_urls.is_empty() {
            against.judge(at("issuer-urls"), cabf::urls(&ca.issuer_urls), "7.1.2.7.7, 7.1.2.10.3", change)?;
        }
        Ok(())
    }

    fn check_cabf_leaf(&self, profile: &Profile, i: usize, issuer: &Ca, against: &Against) -> Result<(), Error> {
        let at = |name: &str| format!("profile[{i}].{name}");
        if issuer.is_root() {
            let change = "let a CA below it issue them";
            return Err(against.error(at("issuer"), "is a root, which issues no end entities", "6.1.7", change));
        }
        if profile.base == Base::XmppServer {
            let what = "is `xmpp-server`, which certifies SRVNames, and those are otherNames";
            let change = "take `tls-server` or `cabf-tls-dv`, or issue by another CA";
            return Err(against.error(at("base"), what, "7.1.2.7.12", change));
        }
        let purposes = cabf::purposes(Kind::Server, &profile.eku);
        against.judge(at("eku"), purposes, "7.1.2.7.10", "leave such purposes to another CA")?;
        let foreign = |form: &NameForm| !matches!(form, NameForm::Dns | NameForm::Wildcard | NameForm::Ip);
        let taken = |rule: &Rule| matches!(rule, Rule::Taken | Rule::Needed);
        if let Some((form, rule)) = profile.names.iter().find(|(form, rule)| foreign(form) && taken(rule)) {
            let at = at(&format!("names.{}", form.name()));
            return Err(against.error(at, format!("is `{}`", rule.name()), "7.1.2.7.12", "refuse this form of name"));
        }
        let policies = cabf::policies(Kind::Server, &profile.policies);
        against.judge(at("policies"), policies, "7.1.2.7.2, 7.1.2.7.9", "declare it so")?;
        let added = cabf::extensions(&profile.added);
        against.judge(at("added-extensions"), added, "7.1.2.9, 7.1.2.11.3", "leave it out")?;
        if let Some(kind) = profile.keys.iter().find(|kind| !cabf::takes_key(**kind)) {
            return Err(against.error(at("keys"), format!("has `{kind}`"), "6.1.5", "leave it out"));
        }
        if cabf::last_issued(profile.validity) == Some(i64::MIN) {
            let change = format!("declare at most {} days", cabf::server_days(i64::MIN));
            return Err(against.error(at("days"), format!("is {}", profile.validity), "6.3.2", &change));
        }
        check_window(profile, i, Kind::Server, against)
    }

    /// What the Baseline Requirements no longer allow at this time (seconds since the epoch), or will not allow one day: the profile
    /// and from when on. An error for what is over already.
    pub fn check_dates(&self, now: i64) -> Result<Vec<(&str, i64)>, Error> {
        let mut ends = Vec::new();
        for (i, profile) in self.profiles.iter().enumerate() {
            let place = self.cas.iter().position(|ca| profile.issuer.as_ref() == Some(&ca.id) && ca.cabf());
            let (Some(place), Some(end)) = (place, cabf::last_issued(profile.validity)) else { continue };
            if now >= end {
                let most = cabf::server_days(now);
                let change = format!("since {} at most {most} days", crate::text::utc(end));
                let what = format!("is {}", profile.validity);
                return Err(Against { place }.error(format!("profile[{i}].days"), what, "6.3.2", &change));
            }
            ends.push((profile.id.as_str(), end));
        }
        Ok(ends)
    }

    /// Whether a profile's certificates look like those that browsers trust, which they are not without SCTs.
    pub fn for_browsers(&self, profile: &Profile) -> bool {
        profile.issuer.as_ref().and_then(|id| self.ca(id)).is_some_and(Ca::cabf)
    }

    /// Whether a CA issues end entities of any profile.
    pub fn certifies_end_entities(&self, ca: &Ca) -> bool {
        self.profiles.iter().any(|profile| profile.issuer.as_ref() == Some(&ca.id))
    }
}

/// What is signed at the end of a plan's window is as old as the window is long.
fn check_window(profile: &Profile, n: usize, kind: Kind, against: &Against) -> Result<(), Error> {
    let most = cabf::window_hours(kind);
    match profile.window_hours > most {
        false => Ok(()),
        true => {
            let what = format!("is {}", profile.window_hours);
            let change = format!("declare at most {most}");
            Err(against.error(format!("profile[{n}].window-hours"), what, "7.1.2.7, 7.1.2.10.1", &change))
        }
    }
}
