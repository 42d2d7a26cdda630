//! What the CAs above leave to a certificate: name constraints, purposes and policies (RFC 5280 §6.1), judged before it is signed.
//! A path that a relying party would refuse is refused here.

use std::collections::BTreeSet;

use super::check::{Check, Refused};
use crate::x509::fields::CertFields;

/// anyPolicy (RFC 5280 §4.2.1.4).
const ANY_POLICY: &str = "2.5.29.32.0";
/// anyExtendedKeyUsage (RFC 5280 §4.2.1.12).
const ANY_PURPOSE: &str = "2.5.29.37.0";

/// Judges what a certificate will say against every certificate above it: `path`, the issuer's first.
pub(super) fn judge_scope(path: &[CertFields], fields: &CertFields) -> Result<(), Refused> {
    for above in path {
        let outside = above.constraints.outside(&fields.subject, &fields.san);
        if let Some(outside) = outside.or_else(|| above.constraints.wider(&fields.constraints)) {
            let ca = crate::x509::name_text(&above.subject);
            return Err(Refused::new(Check::NameConstraints, format!("by the certificate of `{ca}`, {outside}")));
        }
        judge_purposes(above, fields)?;
    }
    judge_policies(path, fields)
}

/// A CA with purposes certifies for these alone. One below it that names none would claim every purpose.
fn judge_purposes(above: &CertFields, fields: &CertFields) -> Result<(), Refused> {
    if above.eku.is_empty() || above.eku.iter().any(|oid| oid == ANY_PURPOSE) {
        return Ok(());
    }
    let ca = crate::x509::name_text(&above.subject);
    let refuse = |wrong: String| Refused::new(Check::IssuerPurposes, format!("the certificate of `{ca}` {wrong}"));
    if fields.eku.is_empty() {
        return Err(refuse(format!("is for {}, and this one would be for everything", above.eku.join(", "))));
    }
    match fields.eku.iter().find(|oid| !above.eku.contains(oid)) {
        Some(oid) => Err(refuse(format!("is not for {}", crate::text::escape(oid)))),
        None => Ok(()),
    }
}

/// Certificate policies without mappings, as RFC 5280 §6.1.3 (d) to (f) processes them. `path` is the issuer's chain, the root
/// last. What the root says of policies constrains (RFC 5937 §3.2), but its own policies are not processed.
fn judge_policies(path: &[CertFields], fields: &CertFields) -> Result<(), Refused> {
    let refuse = |wrong: String| Err(Refused::new(Check::IssuerPolicies, wrong));
    let least = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
    let (mut explicit, mut any): (Option<u32>, Option<u32>) = (None, None);
    // `None`: every policy is acceptable.
    let mut valid: Option<BTreeSet<&str>> = None;
    for (i, certificate) in path.iter().rev().chain([fields]).enumerate() {
        if i > 0 {
            let own: BTreeSet<&str> = certificate.policies.iter().map(|policy| policy.oid.as_str()).collect();
            let wild = own.contains(ANY_POLICY) && any != Some(0);
            let named: BTreeSet<&str> = own.iter().copied().filter(|oid| *oid != ANY_POLICY).collect();
            if i == path.len() {
                if own.contains(ANY_POLICY) && !wild {
                    return refuse("anyPolicy no longer stands for any policy here (inhibitAnyPolicy)".into());
                }
                // Under a CA without policies none counts, and who asserts one promises nothing that is relied on.
                if let Some(known) = valid.as_ref().filter(|known| !known.is_empty())
                    && let Some(other) = own.iter().find(|oid| !known.contains(**oid))
                {
                    let wrong = format!("policy {} is none of its issuer's", crate::text::escape(other));
                    return refuse(wrong);
                }
            }
            valid = match valid {
                None if wild => None,
                None => Some(named),
                Some(known) if wild => Some(known),
                Some(known) => Some(known.intersection(&named).copied().collect()),
            };
            // At the end of a path the count goes down once more (§6.1.5 a): a limit of one already binds an end entity.
            let last = i == path.len() && fields.ca.is_none();
            let bound = explicit.is_some_and(|left| left == 0 || (last && left == 1));
            if bound && valid.as_ref().is_some_and(BTreeSet::is_empty) {
                return refuse("a CA above wants an acceptable policy in each certificate, and there is none".into());
            }
            explicit = explicit.map(|left| left.saturating_sub(1));
            any = any.map(|left| left.saturating_sub(1));
        }
        explicit = least(explicit, certificate.constraints.require_explicit_policy);
        any = least(any, certificate.constraints.inhibit_any_policy);
    }
    Ok(())
}
