//! What the validators of a hierarchy say in the lists of one bundle.

use std::collections::{BTreeSet, HashMap};

use super::check::{Check, Refused};
use crate::config::Profile;
use crate::digest::Digest;
use crate::text::{escape, utc};

const DAY: i64 = 86_400;

/// One validator's word for one name.
#[derive(Clone, Copy, Debug)]
pub struct Validation {
    /// Which validator: one that says it twice counts once.
    pub validator: usize,
    /// The tag of the requester.
    pub requester: Digest,
    /// When, seconds since the epoch.
    pub time: i64,
    /// The name has changed hands and is the requester's now.
    pub takes_over: bool,
}

/// All of them, by name.
#[derive(Default)]
pub struct Vouched {
    by_name: HashMap<String, Vec<Validation>>,
    count: usize,
}

/// More words than a bundle's lists may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Vouched {
    /// The most that is kept: a few hundred megabytes of memory.
    pub const MAX: usize = 1_000_000;

    /// Takes in a word for a name, which is compared in lower case.
    pub fn add(&mut self, name: &str, validation: Validation) -> Result<(), TooMany> {
        if self.count == Vouched::MAX {
            return Err(TooMany);
        }
        self.count += 1;
        self.by_name.entry(name.to_ascii_lowercase()).or_default().push(validation);
        Ok(())
    }

    fn of(&self, name: &str, requester: Digest) -> impl Iterator<Item = &Validation> {
        self.by_name.get(name).into_iter().flatten().filter(move |word| word.requester == requester)
    }

    /// Each name: as many validators as the profile wants, for this requester, at a time that is neither too long before
    /// `now` nor behind it.
    pub(super) fn judge(
        &self,
        names: &[String],
        requester: Digest,
        profile: &Profile,
        now: i64,
    ) -> Result<(), Refused> {
        let (wanted, days) = (profile.validators, profile.validation_days);
        let enough = |validators: &BTreeSet<usize>| validators.len() as u64 >= u64::from(wanted);
        for name in names {
            let all: BTreeSet<usize> = self.of(name, requester).map(|word| word.validator).collect();
            if !enough(&all) {
                let wrong = format!("{} of {wanted} validators vouch for `{}`", all.len(), escape(name));
                return Err(Refused::new(Check::ValidatedBy, wrong));
            }
            let fresh = self.of(name, requester).filter(|word| is_fresh(word, days, now));
            let fresh: BTreeSet<usize> = fresh.map(|word| word.validator).collect();
            if !enough(&fresh) {
                let newest = self.of(name, requester).map(|word| word.time).max().map_or("none".into(), utc);
                let wrong = format!(
                    "{} of {wanted} validators of `{}` did so in the last {days} days; the newest is of {newest}",
                    fresh.len(),
                    escape(name)
                );
                return Err(Refused::new(Check::ValidationAge, wrong));
            }
        }
        Ok(())
    }

    /// Whether a validator says, freshly, that the name has come to this requester. `since`: when the certificate began
    /// that stands in the way. Only a newer word takes its name away: an old list, packed again, would take it back.
    pub fn takes_over(&self, name: &str, requester: Digest, profile: &Profile, now: i64, since: i64) -> bool {
        let says =
            |word: &Validation| word.takes_over && word.time > since && is_fresh(word, profile.validation_days, now);
        self.of(name, requester).any(says)
    }
}

fn is_fresh(word: &Validation, days: u32, now: i64) -> bool {
    (now - i64::from(days) * DAY..=now).contains(&word.time)
}
