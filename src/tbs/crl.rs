//! TBSCertList (RFC 5280 §5.1.2), full CRLs only.

use std::collections::BTreeSet;

use rcgen::{
    CertificateParams, CertificateRevocationListParams, Issuer, KeyIdMethod, RevocationReason, RevokedCertParams,
    SerialNumber,
};

use super::{Error, Placeholder, moment, sequence, serial, tbs_elements, whole_sequence};
use crate::x509::fields::{CrlFields, Revoked};

/// The exact bytes of a TBSCertList with these fields. The authority key identifier is required (RFC 5280 §5.2.1).
pub fn crl(fields: &CrlFields) -> Result<Vec<u8>, Error> {
    if fields.next_update <= fields.this_update {
        return Err(Error::TimeOrder { start: fields.this_update, end: fields.next_update });
    }
    if let Some(other) = fields.others.first().or(fields.critical.first()) {
        return Err(Error::Extension(crate::text::escape(other)));
    }
    let aki = fields.aki.as_ref().ok_or(Error::Missing("authority key identifier"))?;
    let issuer = whole_sequence("issuer", &fields.issuer)?;
    let mut seen = BTreeSet::new();
    let mut revoked_certs = Vec::with_capacity(fields.revoked.len());
    for revoked in &fields.revoked {
        if !seen.insert(revoked.serial.as_slice()) {
            return Err(Error::EntryTwice(crate::text::hex(&revoked.serial)));
        }
        revoked_certs.push(entry(revoked)?);
    }
    let params = CertificateRevocationListParams {
        this_update: moment(fields.this_update)?,
        next_update: moment(fields.next_update)?,
        crl_number: SerialNumber::from(fields.number),
        issuing_distribution_point: None,
        revoked_certs,
        // A CRL's AKI comes from these parameters, not from the issuer's.
        key_identifier_method: KeyIdMethod::PreSpecified(aki.to_vec()),
    };
    let written = params
        .signed_by(&Issuer::new(CertificateParams::default(), Placeholder))
        .map_err(|e| Error::Rcgen(e.to_string()))?;

    // version, signature, issuer, then what stays as rcgen wrote it
    let mut elements = tbs_elements(written.der())?;
    match elements.get_mut(1..3) {
        Some([algorithm, name]) => {
            *algorithm = fields.signature.identifier_der().to_vec();
            *name = issuer;
        }
        _ => return Err(Error::Missing("issuer")),
    }
    Ok(sequence(&elements))
}

fn entry(revoked: &Revoked) -> Result<RevokedCertParams, Error> {
    use RevocationReason::*;
    let reason_code = match revoked.reason {
        None => None,
        Some(1) => Some(KeyCompromise),
        Some(2) => Some(CaCompromise),
        Some(3) => Some(AffiliationChanged),
        Some(4) => Some(Superseded),
        Some(5) => Some(CessationOfOperation),
        Some(6) => Some(CertificateHold),
        Some(9) => Some(PrivilegeWithdrawn),
        Some(10) => Some(AaCompromise),
        // 0 is told by absence (RFC 5280 §5.3.1), 7 is unused, 8 (removeFromCRL) belongs to delta CRLs.
        Some(other) => return Err(Error::Reason(other)),
    };
    Ok(RevokedCertParams {
        serial_number: serial(&revoked.serial)?,
        revocation_time: moment(revoked.date)?,
        reason_code,
        invalidity_date: None,
    })
}
