//! `adopt-crl`: a CRL of one of this station's CAs that was signed elsewhere. The next ones go on behind it: their numbers are
//! greater, and what it names and this station does not know stays revoked.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::audit::Log;
use crate::audit::entry::{Body, CrlAdopted};
use crate::digest::Digest;
use crate::ledger::Ledger;
use crate::report::terminal::{human_count, pairs};
use crate::text::{escape, hex, shell, utc};
use crate::x509::{
    self, PathFault,
    fields::{CrlFields, REASONS, reason_name},
};

use super::change::{Decided, Outcome, Wanted, decide, resume};
use super::recognise::{Kind, recognise};
use super::station::Station;
use super::{Answer, Failure, Globals};

/// Takes a CRL from elsewhere for one of its own.
#[derive(Args)]
#[command(
    after_help = "For a CA that has signed CRLs in a former system, or after a log was lost. Without approvals it writes the statement that \
    the quorum signs.\n\nExample:\n  \
    coldroot adopt-crl servers-1.crl --reason \"from the system before\" --operator carol --witness dave\n  \
    coldroot approve out/adopt-crl-3f2a9c01.statement --person alice --key SSHKEY\n  \
    coldroot adopt-crl servers-1.crl --reason \"from the system before\" --operator carol --witness dave \\\n    \
    --approval out/adopt-crl-3f2a9c01.statement.alice.sig --approval out/adopt-crl-3f2a9c01.statement.bob.sig"
)]
pub struct CrlArgs {
    /// The CRL, DER or PEM
    #[arg(value_name = "CRL")]
    pub crl: PathBuf,
    #[command(flatten)]
    pub decided: Decided,
}

pub fn adopt_crl(globals: &Globals, args: CrlArgs) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    super::recognise::must_be_regular(&args.crl)?;
    let (mut log, ledger) = station.open_log()?;
    // A CRL is hostile input: it is parsed inside, when the gate runs already.
    let gate = if args.decided.approval.is_empty() { None } else { Some(station.start_gate()?) };
    let inputs: Vec<_> = args.decided.approval.iter().chain([&args.crl]).map(PathBuf::as_path).collect();
    station.enter_sandbox(&inputs, None)?;
    let Kind::Crl(der) = recognise(&args.crl)? else {
        let what = format!("{} is no CRL", crate::text::path(&args.crl));
        return Err(Failure::refused(what, "give the CRL itself, DER or PEM"));
    };
    let digest = Digest::of(&der);
    let newest = ledger.changed.newest().map(|index| log.entry(index)).transpose()?.map(|entry| entry.body);
    if let Some(Body::CrlAdopted(made)) = newest.filter(|body| matches!(body, Body::CrlAdopted(c) if c.crl == digest)) {
        if let Some(gate) = gate {
            resume(&station, &mut log, gate)?;
        }
        return Ok(adopted(&station, &made));
    }
    let crl = x509::read_crl(&der).map_err(|e| Failure::refused(format!("the CRL cannot be read: {e}"), WHOLE))?;
    let (ca, unknown) = judge(&der, &crl, &ledger, &log, &station)?;
    let made = CrlAdopted {
        ca,
        number: crl.number,
        this_update: crl.this_update,
        next_update: crl.next_update,
        crl: digest,
        entries: crl.revoked.len() as u64,
        unknown,
        decision: args.decided.decision(&ledger),
    };
    let wanted = Wanted {
        body: Body::CrlAdopted(made.clone()),
        artefacts: vec![&der],
        adopted: None,
        command: format!("coldroot --station {} adopt-crl {}", shell(&station.dir), shell(&args.crl)),
        inputs: Vec::new(),
        gate,
    };
    match decide(&station, &mut log, &ledger, &args.decided, wanted)? {
        Outcome::Statement(answer) => Ok(answer),
        Outcome::Made => Ok(adopted(&station, &made)),
    }
}

/// Serial numbers that a hint names at once.
const MOST_SHOWN: usize = 20;
const WHOLE: &str = "give a whole CRL of this CA, as RFC 5280 section 5 has it, with a number";

/// Whether this CRL may count, of which CA it is, and how many of its entries are unknown here.
fn judge(der: &[u8], crl: &CrlFields, ledger: &Ledger, log: &Log, station: &Station) -> Result<(String, u64), Failure> {
    for (oid, what) in [
        ("2.5.29.27", "a delta CRL, which tells of changes alone"),
        ("2.5.29.28", "one part of a CRL that was partitioned"),
        ("2.5.29.29", "an indirect CRL, with entries of other issuers"),
    ] {
        if crl.critical.iter().chain(&crl.others).any(|found| found == oid) {
            return Err(Failure::refused(format!("this is {what}"), WHOLE));
        }
    }
    // A CA may have been certified before, under the same key and name: its newest certificate is the one that counts.
    let of_ca = ledger
        .cas
        .iter()
        // A cross-certificate has the subject of the CA that it is for.
        .filter(|(id, _)| station.hierarchy.ca(id).is_some())
        .find(|(_, (_, ca))| x509::read_certificate(ca).is_ok_and(|ca| ca.subject.as_slice() == crl.issuer.as_slice()));
    let Some((ca, (_, certificate))) = of_ca else {
        return Err(Failure::refused("the CRL's issuer is none of the CAs on record", "give a CRL of one of them"));
    };
    let shown = escape(ca);
    x509::verify_crl(der, certificate).map_err(|e| match e {
        x509::Error::Path(PathFault::Critical(oid)) => Failure::refused(
            format!("the CRL of CA `{shown}` has the critical extension {oid}, which nobody here understands"),
            "give one without it: what it says of the list's meaning cannot be judged (RFC 5280 section 5.2)",
        ),
        e => Failure::refused(format!("the CRL is not one of CA `{shown}`: {e}"), WHOLE),
    })?;
    let now = station.now();
    if crl.this_update > now {
        let what = format!("the CRL is of {}, and it is {}", utc(crl.this_update), utc(now));
        return Err(Failure::refused(what, "compare the station's clock with another one"));
    }
    let lasting = |reason: &u8| REASONS.iter().any(|(known, _)| known == reason);
    if let Some(odd) = crl.revoked.iter().find(|on| on.reason.is_some_and(|reason| !lasting(&reason))) {
        let what =
            format!("serial {} has a reason that does not last (a hold, or one of delta CRLs)", hex(&odd.serial));
        return Err(Failure::refused(what, "have it lifted or made lasting where it was signed"));
    }
    let mut serials = std::collections::BTreeSet::new();
    if let Some(twice) = crl.revoked.iter().find(|on| !serials.insert(on.serial.as_slice())) {
        return Err(Failure::refused(format!("serial {} stands twice on it", hex(&twice.serial)), WHOLE));
    }
    let foreign = ledger.sort_out(log, ca, crl)?;
    if let Some(first) = foreign.good_here.first() {
        let (serial, count) = (hex(&first.serial), foreign.good_here.len());
        let what = format!(
            "{count} of its entries name certificates that are on record and not revoked: serial {serial} first"
        );
        let alike = foreign.good_here.iter().filter(|on| on.reason == first.reason);
        let serials: Vec<String> = alike.take(MOST_SHOWN).map(|on| format!(" --revoke {}", hex(&on.serial))).collect();
        let (dir, reason) = (shell(&station.dir), reason_name(first.reason));
        let hint =
            format!("revoke them here first: coldroot --station {dir} plan{} --reason {reason}", serials.concat());
        return Err(Failure::refused(what, hint));
    }
    if !ledger.adopts(ca, crl.number, &foreign.unknown) {
        let numbers = ledger.adoptable(ca);
        let ranges: Vec<String> = numbers.iter().map(|n| format!("from {} to {}", n.start(), n.end())).collect();
        let what = format!(
            "CRL {} of CA `{shown}` brings nothing: all of it is on record, and its number is not {}",
            crl.number,
            ranges.join(", or ")
        );
        return Err(Failure::refused(what, "nothing is to be done: everything on record is on the next one"));
    }
    Ok((ca.clone(), foreign.unknown.len() as u64))
}

fn adopted(station: &Station, made: &CrlAdopted) -> Answer {
    let text = format!(
        "CRL {} of CA `{}` counts as one of this station's.\n\n{}\n  next: sign one that goes on behind it: coldroot --station {} plan --crl {}\n",
        made.number,
        escape(&made.ca),
        pairs(&[
            ("entries", human_count(made.entries)),
            ("unknown here", format!("{}, kept on every further CRL", human_count(made.unknown))),
            ("next number", (made.number + 1).to_string()),
        ]),
        shell(&station.dir),
        shell(&made.ca),
    );
    let json = json!({ "ca": made.ca, "number": made.number, "entries": made.entries, "unknown": made.unknown });
    Answer::new(text, json)
}
