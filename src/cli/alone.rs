//! `check` of a request, a key or a hierarchy by itself, before anybody packs it or begins with it.

use std::collections::BTreeMap;

use serde_json::json;

use crate::algorithm::SignatureAlgorithm;
use crate::config::{Environment, Hierarchy, Profile};
use crate::policy::{self, Check, Refused};
use crate::report::sheet::Sheet;
use crate::text::{escape, utc};
use crate::x509::{PublicKey, general_name_text};

use super::failure::Code;
use super::{Answer, Failure};

/// The profile that is asked for.
pub fn profile<'a>(hierarchy: Option<&'a Hierarchy>, id: Option<&str>) -> Result<Option<&'a Profile>, Failure> {
    let (Some(hierarchy), Some(id)) = (hierarchy, id) else { return Ok(None) };
    let leaves = || hierarchy.profiles.iter().filter(|profile| profile.issuer.is_some());
    let found = leaves().find(|profile| profile.id == id);
    found.map(Some).ok_or_else(|| {
        let known: Vec<&str> = leaves().map(|profile| profile.id.as_str()).collect();
        let what = format!("the hierarchy has no profile `{}` for requests", escape(id));
        Failure::usage(what, format!("it has {}", known.join(", ")))
    })
}

pub fn check_request(csr: &[u8], profile: Option<&Profile>) -> Result<Answer, Failure> {
    let (request, key) = policy::judge_request_alone(csr, profile).map_err(failed)?;
    let san: Vec<String> = request.san.iter().flatten().map(general_name_text).collect();
    let common: Vec<String> = request.common_names.iter().map(|name| escape(name.raw())).collect();
    let mut rows = key_rows(&key, profile);
    // Accepted, so it is one that has a name.
    let by = request.signature_algorithm.map_or("", SignatureAlgorithm::name);
    rows.push(("its signature", by.into()));
    let asked = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    rows.push(("commonName", asked(&common)));
    rows.push(("subjectAltName", asked(&san)));
    let extensions: Vec<String> = request.other_extensions.iter().map(|extension| extension.oid.clone()).collect();
    rows.push(("other extensions", asked(&extensions)));
    rows.push((
        "not judged here",
        "whose the names are, block lists, and other requests and certificates: a plan judges them".into(),
    ));
    let said = "The request is in order, as far as it can be judged by itself.";
    let sheet = Sheet::new("Certificate request").verdict(true, said).facts(&rows);
    let json = json!({
        "key": key.kind().to_string(), "spki-sha256": key.digest().hex(), "signature": by, "common-names": common,
        "subject-alt-names": san, "other-extensions": extensions, "profile": profile.map(|p| &p.id),
    });
    Ok(Answer::of(sheet, json))
}

pub fn check_key(spki: &[u8], profile: Option<&Profile>) -> Result<Answer, Failure> {
    let key = policy::judge_key_alone(spki, profile).map_err(failed)?;
    let mut rows = key_rows(&key, profile);
    rows.push(("not judged here", "block lists, primes that it shares with other keys: a plan judges them".into()));
    let sheet = Sheet::new("Public key").verdict(true, "The key has no weakness that can be seen.").facts(&rows);
    let json = json!({
        "key": key.kind().to_string(), "spki-sha256": key.digest().hex(), "profile": profile.map(|p| &p.id),
    });
    Ok(Answer::of(sheet, json))
}

/// A hierarchy that was read is lawful; what its rule sets make of the date is said besides.
pub fn check_hierarchy(h: &Hierarchy, now: i64) -> Result<Answer, Failure> {
    let ends = h.check_dates(now)?;
    let said = format!(
        "The hierarchy is lawful: {} CAs, {} keys, {} profiles, {} persons.",
        h.cas.len(),
        h.keys.len(),
        h.profiles.len(),
        h.persons.len()
    );
    let mut told: Vec<String> = ends
        .iter()
        .map(|(profile, end)| format!("Profile `{profile}`: its validity is lawful until {} (cabf-tls).", utc(*end)))
        .collect();
    let ends: BTreeMap<&str, String> = ends.into_iter().map(|(profile, end)| (profile, utc(end))).collect();
    let linters = linters(h, now);
    told.extend(linters.iter().cloned());
    let sheet = Sheet::new(format!("Hierarchy {} ({})", h.name, h.environment))
        .rehearsal(h.environment != Environment::Real)
        .verdict(true, said)
        .text(told.join("\n"))
        .digest("SHA-256", &h.digest);
    let json = json!({ "hierarchy": h.name, "digest": h.digest.hex(), "lawful-until": ends, "linters": linters });
    Ok(Answer::of(sheet, json))
}

/// What a person should know of the linters: programs that are not here, acceptances that have ended or soon will.
pub fn linters(h: &Hierarchy, now: i64) -> Vec<String> {
    let mut told = Vec::new();
    for linter in &h.linters {
        if !linter.program.is_file() {
            let program = crate::text::path(&linter.program);
            told.push(format!("linter `{}`: {program} is not on this machine", linter.id));
        }
        told.extend(linter.ending(now).map(|accepted| {
            let day = utc(accepted.until - 1);
            let (day, state) = (
                day.get(..10).unwrap_or(&day),
                if accepted.until <= now { "and counts again" } else { "which is near" },
            );
            format!("linter `{}`: `{}` is accepted until {day}, {state}", linter.id, accepted.finding)
        }));
    }
    told
}

pub fn show_key(spki: &[u8]) -> Result<Answer, Failure> {
    let key = PublicKey::from_spki(spki).map_err(|e| Failure::refused(e.to_string(), "coldroot check FILE"))?;
    let json = json!({ "key": key.kind().to_string(), "spki-sha256": key.digest().hex() });
    let sheet = Sheet::new("Public key").facts(&[("key", key.kind().to_string())]);
    Ok(Answer::of(sheet.digest("SHA-256 of the key", &key.digest()), json))
}

fn key_rows(key: &PublicKey, profile: Option<&Profile>) -> Vec<(&'static str, String)> {
    let by = profile.map_or("the usual kinds of key, no profile".into(), |p| format!("profile {}", p.id));
    vec![("key", key.kind().to_string()), ("SHA-256 of the key", key.digest().hex()), ("judged by", by)]
}

/// The check's advice is the hint, not a part of the reason.
fn failed(refused: Refused) -> Failure {
    let Refused { check, reason } = refused;
    let wrong = reason.strip_suffix(&format!("; {}", Check::mend(check))).unwrap_or(&reason);
    Failure { code: Code::CheckFailed, what: format!("{check}: {wrong}"), hint: Some(check.mend().into()) }
}
