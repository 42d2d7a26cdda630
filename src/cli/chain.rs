//! `check` of certificates and CRLs by themselves: each is verified under its issuer, where that one is at hand.

use serde_json::json;

use crate::report::sheet::Sheet;
use crate::report::terminal::counted;
use crate::text::shell;
use crate::x509;

use super::failure::Code;
use super::show::{certificate_sheet, crl_sheet};
use super::{Answer, Failure};

/// The certificates of a file under the issuers in it and the roots that were given. `now`: leaves must be valid then.
pub fn check_certificates(
    path: &std::path::Path,
    chain: &[Vec<u8>],
    roots: &[Vec<u8>],
    now: i64,
) -> Result<Answer, Failure> {
    let failed = |e: x509::Error| Failure {
        code: Code::CheckFailed,
        hint: e.hint(),
        what: format!("the certificate is not good: {e}"),
    };
    let given: Vec<&[u8]> = chain.iter().chain(roots).map(Vec::as_slice).collect();
    let mut verified = 0u64;
    for certificate in chain {
        let fields = x509::read_certificate(certificate).map_err(failed)?;
        let issuer = |other: &&&[u8]| x509::read_certificate(other).is_ok_and(|other| other.subject == fields.issuer);
        let Some(issuer) = given.iter().find(issuer) else { continue };
        match fields.ca {
            Some(_) => x509::verify_ca(certificate, issuer),
            None => x509::verify_end_entity(certificate, issuer, now),
        }
        .map_err(failed)?;
        verified += 1;
    }
    let first = chain.first().map(Vec::as_slice).unwrap_or_default();
    let sheet = certificate_sheet(first, chain.len()).map_err(failed)?;
    let all = chain.len() as u64;
    let json = json!({ "certificates": all, "verified": verified, "checked": verified > 0 });
    let root = format!("coldroot check {} --root ROOT", shell(path));
    if verified == 0 {
        let title = "NOT CHECKED, since its issuer's certificate is not at hand";
        let sheet = sheet.retitled(title).next("with the issuer's certificate", root);
        return Ok(Answer::of(sheet, json).with_code(Code::Usage));
    }
    let is = if all == 1 { "is" } else { "are" };
    let said =
        format!("{verified} of {} {is} signed by an issuer at hand.", counted(all, "certificate", "certificates"));
    let sheet = sheet.verdict(true, said);
    Ok(Answer::of(if verified < all { sheet.next("with the root", root) } else { sheet }, json))
}

/// A CRL, under the certificate of its CA.
pub fn check_crl(path: &std::path::Path, crl: &[u8], cas: &[Vec<u8>], rows: usize) -> Result<Answer, Failure> {
    let failed =
        |e: x509::Error| Failure { code: Code::CheckFailed, hint: e.hint(), what: format!("the CRL is not good: {e}") };
    let fields = x509::read_crl(crl).map_err(failed)?;
    let named = |ca: &&Vec<u8>| x509::read_certificate(ca).is_ok_and(|ca| ca.subject == fields.issuer);
    // None of that name: the first says what is wrong.
    let ca = cas.iter().find(named).or(cas.first());
    let json = json!({ "number": fields.number, "checked": ca.is_some() });
    let sheet = crl_sheet(Sheet::new("CRL"), &fields, rows);
    let Some(ca) = ca else {
        let title = "NOT CHECKED, since the certificate of its CA is not at hand";
        let next = format!("coldroot check {} --root CERTIFICATE-OF-THE-CA", shell(path));
        return Ok(Answer::of(sheet.retitled(title).next("with it", next), json).with_code(Code::Usage));
    };
    x509::verify_crl(crl, ca).map_err(failed)?;
    Ok(Answer::of(
        sheet.verdict(true, "The CRL is signed by the given CA. Whether it is the newest the log says."),
        json,
    ))
}
