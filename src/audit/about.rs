//! Whom and what an entry is about: what filters and exports ask.

use serde_json::{Map, Value, json};

use super::entry::{Approved, Body, Entry};
use super::serial::issuer_and_serial;
use crate::digest::Digest;
use crate::text::utc;

/// The names of all kinds of entries, as they stand in entries.
pub const KINDS: [&str; 39] = [
    "genesis",
    "open",
    "pin-try",
    "login",
    "pin-split",
    "pin-split-done",
    "bundle-received",
    "planned",
    "start",
    "key-generated",
    "wrapping-key-generated",
    "key-backed-up",
    "key-restored",
    "key-proven",
    "key-destroyed",
    "certificate",
    "revoked",
    "crl",
    "csr",
    "refused",
    "void",
    "end",
    "release-written",
    "probe",
    "inventory",
    "hierarchy-adopted",
    "crl-adopted",
    "certificate-adopted",
    "log-adopted",
    "handed-over",
    "clock-corrected",
    "medium-read",
    "copy-written",
    "indexed",
    "step",
    "deviation",
    "sampled",
    "evidence",
    "failure",
];

/// What an entry names. Texts are as they stand there, untrusted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct About<'a> {
    pub plan: Option<&'a Digest>,
    /// Ids of keys, wrapping keys included.
    pub keys: Vec<&'a str>,
    pub cas: Vec<&'a str>,
    /// Roster ids: who approved, operated, watched, keeps a share, did a step.
    pub persons: Vec<&'a str>,
    pub request: Option<&'a str>,
    /// Content octets of a certificate's serial number.
    pub serial: Option<&'a [u8]>,
}

impl<'a> About<'a> {
    pub fn new(body: &'a Body) -> About<'a> {
        let mut about = About::default();
        about.items(body);
        about.people(body);
        about
    }

    fn items(&mut self, body: &'a Body) {
        match body {
            Body::Planned { plan, counts, .. } => {
                let cas: Vec<&str> = counts.iter().map(|count| count.ca.as_str()).filter(|ca| !ca.is_empty()).collect();
                self.of(plan, &[], &cas);
            }
            Body::Start(start) => self.of(&start.plan, &[], &[]),
            Body::KeyGenerated(k) => self.of(&k.plan, &[&k.key], &[]),
            Body::WrappingKeyGenerated(k) => self.of(&k.plan, &[&k.key], &[]),
            Body::KeyBackedUp(k) => self.of(&k.plan, &[&k.key, &k.wrapping_key], &[]),
            Body::KeyRestored(k) => self.of(&k.plan, &[&k.key], &[]),
            Body::KeyProven(k) => self.of(&k.plan, &[&k.key], &[]),
            Body::KeyDestroyed(k) => self.of(&k.plan, &[&k.key], &[]),
            Body::Certificate(c) => {
                self.of(&c.plan, &[], &[&c.ca]);
                self.cas.extend(c.subject_ca.as_deref());
                self.request = c.request.as_deref();
                self.serial = issuer_and_serial(&c.der).map(|(_, serial)| serial);
            }
            Body::Revoked(r) => {
                self.of(&r.plan, &[], &[&r.ca]);
                self.serial = Some(&r.serial);
            }
            Body::Crl(c) => self.of(&c.plan, &[], &[&c.ca]),
            Body::Csr(c) => self.of(&c.plan, &[], &[&c.ca]),
            Body::Refused { plan, request, .. } => {
                self.of(plan, &[], &[]);
                self.request = Some(request);
            }
            Body::Void(void) => self.of(&void.plan, &[], &[]),
            Body::Sampled(sampled) => self.of(&sampled.plan, &[], &[]),
            Body::End(end) => self.of(&end.plan, &[], &[]),
            Body::CrlAdopted(c) => self.cas.push(&c.ca),
            Body::CertificateAdopted(c) => {
                self.cas.push(&c.ca);
                self.serial = issuer_and_serial(&c.der).map(|(_, serial)| serial);
            }
            Body::LogAdopted(l) => self.plan = l.mark_plan.as_ref(),
            Body::HandedOver(h) => self.plan = h.plan.as_ref(),
            _ => {}
        }
    }

    fn of(&mut self, plan: &'a Digest, keys: &[&'a str], cas: &[&'a str]) {
        self.plan = Some(plan);
        self.keys.extend(keys);
        self.cas.extend(cas);
    }

    fn people(&mut self, body: &'a Body) {
        match body {
            Body::Genesis(genesis) => self.approvals(&genesis.approvals),
            Body::Start(start) => {
                self.approvals(&start.approvals);
                self.persons.extend([start.operator.as_str(), &start.witness]);
            }
            Body::Void(void) => {
                self.approvals(&void.approvals);
                self.persons.extend([void.operator.as_str(), &void.witness]);
            }
            Body::PinSplit(split) => self.persons.extend(split.shares.iter().filter_map(|s| s.custodian.as_deref())),
            Body::Step { persons, .. } | Body::Deviation { persons, .. } => {
                self.persons.extend(persons.iter().map(String::as_str));
            }
            Body::Sampled(sampled) => self.persons.extend(sampled.persons.iter().map(String::as_str)),
            Body::Evidence(evidence) => self.persons.push(&evidence.person),
            other => {
                if let Some(decision) = other.decision() {
                    self.approvals(&decision.approvals);
                    self.persons.extend([decision.operator.as_str(), &decision.witness]);
                }
            }
        }
    }

    fn approvals(&mut self, approvals: &'a [Approved]) {
        self.persons.extend(approvals.iter().map(|approved| approved.person.as_str()));
    }
}

/// An entry as JSON: every field under its own name, octets and digests as hex, `der` as base64, times as [`utc`].
///
/// ```json
/// {"index": 41, "time": "2026-11-22T01:02:03Z", "kind": "crl", "fields": {"ca": "root", "number": 1, …}}
/// ```
pub fn to_json(index: u64, entry: &Entry) -> serde_json::Result<Value> {
    let mut body = serde_json::to_value(&entry.body)?;
    let kind = super::check::kind(&entry.body);
    let mut fields = body.get_mut(kind).map(Value::take).unwrap_or_default();
    if let Value::Object(map) = &mut fields {
        map.iter_mut().for_each(|(name, value)| readable(name, value));
        if let Body::Certificate(certificate) = &entry.body {
            let mut with = Map::new();
            let serial = issuer_and_serial(&certificate.der).map(|(_, serial)| crate::text::hex(serial));
            with.insert("serial".into(), json!(serial));
            with.insert("sha256".into(), json!(Digest::of(&certificate.der)));
            map.insert("read-from-der".into(), Value::Object(with));
        }
    }
    Ok(json!({ "index": index, "time": utc(entry.time), "kind": kind, "fields": fields }))
}

/// serde gives octets as lists of numbers, and times as what they are stored as.
fn readable(name: &str, value: &mut Value) {
    const TIMES: [&str; 6] = ["witness-time", "date", "this-update", "next-update", "from", "to"];
    match value {
        Value::Number(seconds) if TIMES.contains(&name) => {
            *value = seconds.as_i64().map_or(Value::Null, |seconds| utc(seconds).into());
        }
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_u64) => {
            // The only lists of numbers in an entry are octets.
            let octets: Vec<u8> = items.iter().filter_map(|n| u8::try_from(n.as_u64()?).ok()).collect();
            *value = match name {
                "der" => data_encoding::BASE64.encode(&octets).into(),
                _ => crate::text::hex(&octets).into(),
            };
        }
        Value::Array(items) if items.is_empty() && OCTETS.contains(&name) => *value = "".into(),
        Value::Array(items) => items.iter_mut().for_each(|item| readable("", item)),
        Value::Object(map) => map.iter_mut().for_each(|(name, value)| readable(name, value)),
        _ => {}
    }
}

/// Fields of octets, which may be empty: an empty list looks like any other.
const OCTETS: [&str; 6] = ["set", "cka-id", "spki", "check-value", "der", "serial"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::{CertificateIssued, Revoked, Start};

    #[test]
    fn the_kinds_are_those_that_entries_can_have() {
        // serde names every variant that it knows when it meets one that it does not.
        let unknown = serde_json::from_value::<Body>(json!({ "nothing-of-ours": {} })).unwrap_err().to_string();
        let known: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
        let (mut known, mut kinds) = (known, KINDS.to_vec());
        known.sort();
        kinds.sort();
        assert_eq!(known, kinds);
    }

    fn certificate() -> Body {
        Body::Certificate(CertificateIssued {
            plan: Digest([7; 32]),
            item: 3,
            ca: "xmpp-1".into(),
            subject_ca: None,
            request: Some("r1".into()),
            profile: "xmpp-server".into(),
            requester: Some(Digest([9; 32])),
            der: super::super::serial::tests::shell(1, &[0x11, 0x22]).into(),
        })
    }

    #[test]
    fn an_entry_is_about_what_stands_in_it() {
        let body = certificate();
        let about = About::new(&body);
        assert_eq!((about.plan, about.request), (Some(&Digest([7; 32])), Some("r1")));
        assert_eq!((about.cas, about.serial), (vec!["xmpp-1"], Some(&[0x11, 0x22][..])));
        let approvals =
            vec![Approved { person: "ann".into(), fingerprint: "SHA256:x".into(), signature: Digest([1; 32]) }];
        let (operator, witness) = ("olga".to_string(), "wim".to_string());
        let start = Body::Start(Start { plan: Digest([7; 32]), approvals, operator, witness, witness_time: None });
        assert_eq!(About::new(&start).persons, ["ann", "olga", "wim"]);
        assert_eq!(About::new(&Body::Failure { what: "ann".into() }), About::default());
    }

    #[test]
    fn json_has_digests_as_hex_octets_as_hex_times_as_text_and_certificates_as_base64() {
        let json = to_json(5, &Entry::new(1_795_305_600, certificate())).unwrap();
        assert_eq!(
            (&json["index"], &json["time"], &json["kind"]),
            (&json!(5), &json!("2026-11-22T00:00:00Z"), &json!("certificate"))
        );
        let fields = &json["fields"];
        assert_eq!(fields["plan"], json!("07".repeat(32)));
        let der = super::super::serial::tests::shell(1, &[0x11, 0x22]);
        assert_eq!(fields["der"], json!(data_encoding::BASE64.encode(&der)));
        assert_eq!(fields["read-from-der"], json!({ "serial": "1122", "sha256": Digest::of(&der).hex() }));
        let revoked = Revoked {
            plan: Digest([7; 32]),
            item: 0,
            ca: "xmpp-1".into(),
            serial: vec![0x11, 0x22].into(),
            reason: None,
            date: 1_795_305_600,
        };
        let fields = to_json(6, &Entry::new(0, Body::Revoked(revoked))).unwrap()["fields"].take();
        assert_eq!(fields["date"], json!("2026-11-22T00:00:00Z"));
        assert_eq!((&fields["serial"], &fields["reason"]), (&json!("1122"), &Value::Null));
    }
}
