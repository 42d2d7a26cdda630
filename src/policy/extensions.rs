//! Which extensions a certificate gets beside those that every one has: those that the profile adds, and of the request's only the
//! TLS feature, where the profile takes it.

use super::check::{Check, Refused};
use crate::config::{Profile, Rule};
use crate::x509::fields::OtherExtension;
use crate::x509::{Request, TLS_FEATURE};

pub(super) fn judge(request: &Request, profile: &Profile) -> Result<Vec<OtherExtension>, Refused> {
    let refuse = |wrong: String| Err(Refused::new(Check::ExtensionsRequested, wrong));
    let mut extensions = profile.added.clone();
    for asked in &request.other_extensions {
        match profile.extensions.get(&asked.oid).copied().unwrap_or(profile.other_extensions) {
            Rule::Ignored => {}
            Rule::Refused => {
                return refuse(format!("the request asks for the extension {}, which this profile refuses", asked.oid));
            }
            Rule::Taken | Rule::Needed if *asked == OtherExtension::must_staple() => extensions.push(asked.clone()),
            Rule::Taken | Rule::Needed => {
                return refuse(format!("the request's extension {} asks for more than status_request", asked.oid));
            }
        }
    }
    let asked = |oid: &String| request.other_extensions.iter().any(|asked| asked.oid == *oid);
    let needed = profile.extensions.iter().filter(|(_, rule)| **rule == Rule::Needed).map(|(oid, _)| oid);
    if let Some(oid) = needed.into_iter().find(|oid| !asked(oid)) {
        let word = if oid == TLS_FEATURE { " (tls-feature)" } else { "" };
        return refuse(format!("the request lacks the extension {oid}{word}, which this profile needs"));
    }
    extensions.sort_by(|a, b| a.oid.cmp(&b.oid));
    Ok(extensions)
}
