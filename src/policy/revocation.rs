//! Who may have which certificate revoked, and why.

use super::check::{Check, Refused};
use crate::text;
use crate::x509::fields::reason_name;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker<'a> {
    /// A desk, by its id: for the end entities whose certificates it has asked for.
    Desk(&'a str),
    /// The station's own ceremony.
    Station,
}

/// What the ledger knows of the certificate.
pub struct IssuedFacts<'a> {
    pub ca: &'a str,
    /// The desk that asked for it; `None` for CAs.
    pub desk: Option<&'a str>,
    /// Seconds since the epoch.
    pub not_after: i64,
    pub of_ca: bool,
    /// Its issuer keeps the Baseline Requirements.
    pub cabf: bool,
    /// When it was revoked.
    pub revoked: Option<i64>,
}

/// Judges one revocation. `issued` is `None` for a serial number that is not on record; `planned`: the plan has it already.
pub fn judge_revocation(
    asker: Asker<'_>,
    reason: Option<u8>,
    issued: Option<&IssuedFacts<'_>>,
    planned: bool,
    now: i64,
) -> Result<(), Refused> {
    let refuse = |wrong: String| Err(Refused::new(Check::Revocation, wrong));
    let Some(issued) = issued else {
        return refuse("this station has issued no certificate with this serial number".into());
    };
    if let Asker::Desk(desk) = asker {
        if issued.of_ca {
            return refuse("it is a CA's certificate, which no desk may have revoked".into());
        }
        if issued.desk != Some(desk) {
            return refuse("another desk has asked for this certificate".into());
        }
    }
    let lawful = match issued.of_ca {
        true => reason.is_none_or(|reason| matches!(reason, 2..=5 | 9)),
        false => reason.is_none_or(|reason| matches!(reason, 1 | 3..=5 | 9)),
    };
    if !lawful {
        let whose = if issued.of_ca { "a CA" } else { "an end entity" };
        return refuse(format!("`{}` is no reason to revoke the certificate of {whose}", reason_name(reason)));
    }
    if issued.of_ca && issued.cabf && reason.is_none() {
        let wrong = format!("CA `{}` revokes no CA without a reason", issued.ca);
        return Err(Refused::new(Check::CabfRevocation, wrong));
    }
    if let Some(date) = issued.revoked {
        return refuse(format!("it was revoked at {}", text::utc(date)));
    }
    if planned {
        return refuse("it is asked for twice".into());
    }
    if issued.not_after < now {
        return refuse(format!("the certificate expired at {}", text::utc(issued.not_after)));
    }
    Ok(())
}
