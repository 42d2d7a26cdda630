//! What is to be planned, by the arguments.

use std::path::Path;

use crate::config::{Act, Ceremony};
use crate::ledger::{Entries, Ledger};
use crate::x509::fields::reason_code;

use super::super::Failure;
use super::super::station::Station;
use super::PlanArgs;

/// What is to be planned.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Ceremony(&'a Path),
    Bundle(&'a Path),
    /// Revocations and CRLs named on the command line: the ceremony that is built in.
    Lists {
        revoke: &'a [String],
        reason: Option<&'a str>,
        crl: &'a [String],
    },
}

impl<'a> Source<'a> {
    pub(super) fn of(args: &'a PlanArgs) -> Result<Source<'a>, Failure> {
        let lists = !args.revoke.is_empty() || !args.crl.is_empty();
        match (&args.ceremony, &args.bundle, lists) {
            (Some(path), None, false) => Ok(Source::Ceremony(path)),
            (None, Some(path), false) => Ok(Source::Bundle(path)),
            (None, None, true) if !args.revoke.is_empty() && args.reason.is_none() => Err(Failure::usage(
                "a revocation has a reason",
                "add --reason unspecified, key-compromise, superseded, cessation-of-operation, ...",
            )),
            (None, None, true) => {
                Ok(Source::Lists { revoke: &args.revoke, reason: args.reason.as_deref(), crl: &args.crl })
            }
            _ => Err(Failure::usage("name one of --ceremony, --bundle, or --revoke and --crl", "coldroot plan --help")),
        }
    }

    /// The ceremony of this source; a bundle has none.
    pub(super) fn ceremony(
        self,
        station: &Station,
        log: &dyn Entries,
        ledger: &Ledger,
    ) -> Result<Option<Ceremony>, Failure> {
        match self {
            Source::Bundle(_) => Ok(None),
            Source::Ceremony(path) => {
                super::super::recognise::must_be_regular(path)?;
                Ok(Some(Ceremony::load(path, &station.hierarchy)?))
            }
            Source::Lists { revoke, reason, crl } => {
                let mut acts = Vec::new();
                for text in revoke {
                    acts.push(revocation(log, ledger, text, reason.unwrap_or_default())?);
                }
                for ca in crl {
                    if station.hierarchy.ca(ca).is_none() {
                        let known: Vec<&str> = station.hierarchy.cas.iter().map(|ca| ca.id.as_str()).collect();
                        let what = format!("the hierarchy declares no CA `{}`", crate::text::escape(ca));
                        return Err(Failure::usage(what, format!("it declares: {}", known.join(", "))));
                    }
                    acts.push(Act::Crl { ca: ca.clone() });
                }
                Ok(Some(Ceremony::of("Revocations and CRLs", acts, &station.hierarchy)?))
            }
        }
    }
}

/// The act that revokes the certificate with this serial number, whose issuer the ledger knows.
fn revocation(log: &dyn Entries, ledger: &Ledger, text: &str, reason: &str) -> Result<Act, Failure> {
    let shown = crate::text::escape(text);
    let serial = crate::config::revoked_serial(text).ok_or_else(|| {
        Failure::usage(
            format!("`{shown}` is no serial number"),
            "give it in hex, as `coldroot show CERTIFICATE` prints it",
        )
    })?;
    let reason = reason_code(reason).ok_or_else(|| {
        let what = format!("`{}` is no reason to revoke a certificate", crate::text::escape(reason));
        Failure::usage(what, "coldroot plan --help lists the reasons")
    })?;
    let issued = ledger.issued(log, &serial)?.ok_or_else(|| {
        let what = format!("this station has issued no certificate with the serial number {shown}");
        Failure::refused(what, "compare it with the certificate: `coldroot show CERTIFICATE`")
    })?;
    Ok(Act::Revoke { ca: issued.ca, serial, reason })
}
