//! Whether the CRLs on record say what the log says was revoked: each entry with its date and reason, and none missing.

use crate::audit::View;
use crate::audit::entry::Body;
use crate::ledger::Ledger;
use crate::text::escape;
use crate::x509;

use super::Error;

/// Folds the log, and compares each CRL with the revocations before it.
pub fn check(log: &View) -> Result<Ledger, Error> {
    let failed = |what: String| Error::Check { check: "crl-entries", what };
    let mut ledger = Ledger::default();
    for entry in log.entries(0..log.size()) {
        let (index, entry, _) = entry?;
        if let Body::Crl(crl) = &entry.body {
            let (ca, number) = (escape(&crl.ca), crl.number);
            let der = log.artefact(&crl.crl).map_err(|_| failed(format!("CRL {number} of CA `{ca}` is missing")))?;
            let read = x509::read_crl(&der).map_err(|e| failed(format!("CRL {number} of CA `{ca}`: {e}")))?;
            let recorded: Vec<_> = ledger.revoked(&crl.ca).iter().map(|on| on.entry.clone()).collect();
            if read.revoked != recorded {
                let what =
                    format!("CRL {number} of CA `{ca}` does not say what entries before {index} say was revoked");
                return Err(failed(what));
            }
        }
        ledger.add(log, index, &entry).map_err(|e| failed(e.to_string()))?;
    }
    Ok(ledger)
}
