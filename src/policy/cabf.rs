//! The rule set `cabf-tls` over what is to be signed: the questions of [`crate::config::cabf`], each under the name of its check. The
//! declarations were judged by the same ones; here they meet the date, the names asked for, and certificates that come from outside.

use super::check::{Check, Refused};
use crate::config::Validity;
use crate::config::cabf::{self, Kind};
use crate::text::utc;
use crate::x509::PublicKey;
use crate::x509::fields::{CertFields, CrlFields, key_usage};

/// Judges what a certificate will say that is issued under the Baseline Requirements; `signed_until`: the end of the plan's window,
/// since it may be signed as late as that. `who`: whom a refusal is about.
pub(super) fn judge(who: &str, kind: Kind, fields: &CertFields, signed_until: i64) -> Result<(), Refused> {
    let refuse = |check: Check, wrong: String| Refused::new(check, format!("{who} {wrong}"));
    let most = i64::from(cabf::window_hours(kind)) * 3_600;
    if signed_until - fields.not_before > most {
        let (from, until) = (utc(fields.not_before), utc(signed_until));
        let wrong =
            format!("would be dated {from} and may be signed until {until}, more than {} hours later", most / 3_600);
        return Err(refuse(Check::CabfWindow, wrong));
    }
    judge_validity(kind, fields, signed_until).map_err(|wrong| refuse(Check::CabfValidity, wrong))?;
    let key = PublicKey::from_spki(&fields.spki).map_err(|e| refuse(Check::KeyEncoding, e.to_string()))?;
    if !key.algorithm().is_some_and(cabf::takes_key) {
        return Err(refuse(Check::CabfKey, format!("has {}", key.kind())));
    }
    cabf::purposes(kind, &fields.eku).map_err(|wrong| refuse(Check::CabfPurposes, wrong))?;
    cabf::policies(kind, &fields.policies).map_err(|wrong| refuse(Check::CabfPolicies, wrong))?;
    cabf::extensions(&fields.others).map_err(|wrong| refuse(Check::CabfExtensions, wrong))?;
    judge_urls(kind, fields, signed_until).map_err(|wrong| refuse(Check::CabfUrls, wrong))?;
    if kind == Kind::Server {
        cabf::names(&fields.san).map_err(|wrong| refuse(Check::CabfNames, wrong))?;
        let encipher = fields.key_usage & key_usage::KEY_ENCIPHERMENT != 0;
        if encipher && !crate::x509::is_rsa(&fields.spki) {
            return Err(refuse(Check::CabfKey, "has keyEncipherment, which an ECDSA key cannot do".into()));
        }
    }
    Ok(())
}

fn judge_validity(kind: Kind, fields: &CertFields, signed_until: i64) -> Result<(), String> {
    // Both ends are included (RFC 5280 §4.1.2.5).
    let seconds = fields.not_after - fields.not_before + 1;
    let days = |days: u32| Validity::days(days).seconds();
    let (least, most) = match kind {
        Kind::Root => (days(*cabf::ROOT_DAYS.start()), days(*cabf::ROOT_DAYS.end())),
        Kind::Server => (0, days(cabf::server_days(signed_until))),
        Kind::TlsCa | Kind::OtherCa | Kind::CrossCa => return Ok(()),
    };
    match (least..=most).contains(&seconds) {
        true => Ok(()),
        false => Err(format!(
            "would be valid from {} to {}, where {} days are lawful for what is signed by {}",
            utc(fields.not_before),
            utc(fields.not_after),
            if kind == Kind::Root {
                format!("{} to {}", cabf::ROOT_DAYS.start(), cabf::ROOT_DAYS.end())
            } else {
                format!("at most {}", cabf::server_days(signed_until))
            },
            utc(signed_until)
        )),
    }
}

fn judge_urls(kind: Kind, fields: &CertFields, signed_until: i64) -> Result<(), String> {
    let short = kind == Kind::Server && cabf::short_lived(fields.not_after - fields.not_before + 1, signed_until);
    if kind != Kind::Root && !(short && fields.crl_urls.is_empty()) {
        cabf::urls(&fields.crl_urls).map_err(|wrong| format!("{wrong} where its issuer's CRL is"))?;
    }
    if kind == Kind::Server || !fields.issuer_urls.is_empty() {
        cabf::urls(&fields.issuer_urls).map_err(|wrong| format!("{wrong} where its issuer's certificate is"))?;
    }
    Ok(())
}

/// Judges a CRL; `servers`: it tells of servers' certificates.
pub(super) fn judge_crl(ca: &str, fields: &CrlFields, servers: bool) -> Result<(), Refused> {
    let days = if servers { cabf::CRL_DAYS_OF_SERVERS } else { cabf::CRL_DAYS_OF_CAS };
    if fields.next_update - fields.this_update > Validity::days(days).seconds() {
        let (from, until) = (utc(fields.this_update), utc(fields.next_update));
        let wrong = format!("CRL of CA `{ca}`: from {from} to {until} are more than {days} days");
        return Err(Refused::new(Check::CabfCrl, wrong));
    }
    Ok(())
}
