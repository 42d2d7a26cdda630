//! Head and items. Stored types: a change needs a new version.

use serde::{Deserialize, Serialize};

use super::{Error, Validations, lawful_request_id, limits};
use crate::cbor::{self, Bytes};
use crate::config::{Desk, Environment, Hierarchy};
use crate::digest::Digest;
use crate::text::{Untrusted, hex, idn};

/// What the desk signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Head {
    /// Name, origin and environment of the hierarchy that the bundle is for.
    pub hierarchy: String,
    pub origin: String,
    pub environment: Environment,
    /// The desk's id in the hierarchy.
    pub desk: String,
    /// The desk's bundles are numbered from 1, and processed in this order.
    pub sequence: u64,
    pub answers: Answers,
    /// Seconds since the epoch.
    pub created: i64,
    pub expires: i64,
    /// Items of the body, at least one.
    pub count: u64,
    /// Those of them that ask for a revocation.
    pub revocations: u64,
    /// Those that are validators' lists.
    pub lists: u64,
    /// Octets of the body, frames included, and their SHA-256.
    pub body_length: u64,
    pub body_digest: Digest,
    /// RFC 6962 Merkle root; a leaf is an encoded item without its frame.
    pub root: Digest,
    /// 16 random octets: without them a digest of the head would tell what can be guessed.
    pub salt: Bytes,
}

/// The last release that the desk has received: the station compares its log with it, so a log that was rolled back is
/// seen when the next bundle comes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Answers {
    /// 0 when there was none.
    pub release: u64,
    /// The signed note (C2SP tlog-checkpoint) that came with it.
    pub checkpoint: Option<String>,
}

/// One thing that the desk asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Item {
    /// Stands before all others.
    Validations(Validations),
    Request(Request),
    Revoke(Revocation),
}

/// A request to revoke a certificate of an end entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Revocation {
    /// Content octets of the certificate's serial number; in hex it is the id that the answer carries.
    pub serial: Bytes,
    /// reasonCode, one of those for end entities; `None` for unspecified.
    pub reason: Option<u8>,
    /// Personal data: who asked.
    #[serde(with = "untrusted")]
    pub requester: Untrusted,
}

/// A certificate request and what the validator found out about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Request {
    /// The id that the answer carries, and the name of its file.
    pub request: String,
    pub profile: String,
    /// Personal data: whom the answer concerns.
    #[serde(with = "untrusted")]
    pub requester: Untrusted,
    /// The names that belong to the requester, each in its one spelling ([`crate::text::idn::canonical`]).
    pub names: Vec<String>,
    /// The PKCS#10 CertificationRequest in DER (RFC 2986), unjudged.
    pub csr: Bytes,
}

impl Head {
    /// Decodes strictly and compares every field with its limits.
    pub(super) fn decode(bytes: &[u8]) -> Result<Head, Error> {
        let head: Head = cbor::from_slice(bytes).map_err(Error::Head)?;
        head.check()?;
        Ok(head)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        cbor::to_vec(self).map_err(Error::Head)
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |field, message| Err(Error::HeadField { field, message });
        let line =
            |text: &str, max| !text.is_empty() && text.len() <= max && text.bytes().all(|c| (b' '..=b'~').contains(&c));
        if !line(&self.hierarchy, 64) {
            return wrong("hierarchy", "must be 1 to 64 printable ASCII characters");
        }
        if !line(&self.origin, 128) {
            return wrong("origin", "must be 1 to 128 printable ASCII characters");
        }
        if !line(&self.desk, 64) {
            return wrong("desk", "must be 1 to 64 printable ASCII characters");
        }
        if self.sequence == 0 {
            return wrong("sequence", "begins at 1");
        }
        if self.answers.checkpoint.is_some() != (self.answers.release > 0) {
            return wrong("answers", "must hold a release and its checkpoint, or neither");
        }
        if self.answers.checkpoint.as_ref().is_some_and(|note| note.len() > limits::CHECKPOINT) {
            return wrong("answers", "holds a checkpoint longer than any real one");
        }
        if self.created < 0 || self.expires <= self.created {
            return wrong("expires", "must be later than `created`");
        }
        if self.count == 0 {
            return Err(Error::Empty);
        }
        if self.count > limits::COUNT {
            return Err(Error::TooMany);
        }
        if self.lists > limits::LISTS {
            return wrong("lists", "must be at most 1000");
        }
        if self.lists >= self.count {
            return Err(Error::Empty);
        }
        if self.revocations > self.items() {
            return wrong("revocations", "cannot be more than all items");
        }
        // Neither product can overflow: the count is below 2^20, the factor below 2^18.
        if self.body_length < self.count || self.body_length > self.count * (limits::ITEM + limits::FRAME) {
            return wrong("body-length", "cannot be, for so many items");
        }
        if self.salt.len() != limits::SALT {
            return wrong("salt", "must be 16 octets");
        }
        Ok(())
    }

    /// Requests and revocations: what is answered.
    pub fn items(&self) -> u64 {
        self.count.saturating_sub(self.lists)
    }

    /// Compares the numbers with what the desk may bring at once.
    pub fn judge_limits(&self, desk: &Desk) -> Result<(), Error> {
        let numbers = [
            ("items", self.items(), desk.max_items.unwrap_or(limits::COUNT)),
            ("revocations", self.revocations, desk.max_revocations),
        ];
        match numbers.into_iter().find(|(_, found, limit)| found > limit) {
            None => Ok(()),
            Some((what, found, limit)) => Err(Error::Limit { desk: desk.id.clone(), what, found, limit }),
        }
    }

    /// Compares the head with the station it has come to and with the time there (seconds since the epoch); gives the
    /// desk whose keys must have signed. The sequence and the answered release are the ledger's to judge.
    pub fn judge<'h>(&self, hierarchy: &'h Hierarchy, now: i64) -> Result<&'h Desk, Error> {
        let other = |field, wanted: &str, found: &str| {
            Err(Error::OtherStation { field, wanted: wanted.to_string(), found: found.to_string() })
        };
        if self.environment != hierarchy.environment {
            return other("environment", &hierarchy.environment.to_string(), &self.environment.to_string());
        }
        if self.hierarchy != hierarchy.name {
            return other("hierarchy", &hierarchy.name, &self.hierarchy);
        }
        if self.origin != hierarchy.origin {
            return other("origin", &hierarchy.origin, &self.origin);
        }
        if self.created > now {
            return Err(Error::FromTheFuture { created: self.created, now });
        }
        if self.expires <= now {
            return Err(Error::Expired { expires: self.expires, now });
        }
        hierarchy.desk(&self.desk).ok_or_else(|| Error::UnknownDesk { desk: self.desk.clone() })
    }
}

impl Item {
    /// The id that the answer carries; a list, which is not answered, has one that no request can have.
    pub fn id(&self) -> String {
        match self {
            Item::Validations(validations) => format!("validations:{}", validations.digest()),
            Item::Request(request) => request.request.clone(),
            Item::Revoke(revocation) => hex(&revocation.serial),
        }
    }

    pub(super) fn decode(bytes: &[u8], number: u64) -> Result<Item, Error> {
        let item: Item = cbor::from_slice(bytes).map_err(|cause| Error::Item { number, cause })?;
        item.check(number)?;
        Ok(item)
    }

    pub(super) fn encode(&self, number: u64) -> Result<Vec<u8>, Error> {
        self.check(number)?;
        let bytes = cbor::to_vec(self).map_err(|cause| Error::Item { number, cause })?;
        match bytes.len() as u64 {
            length if length > limits::ITEM => {
                Err(Error::Item { number, cause: cbor::Error::TooLarge { length, limit: limits::ITEM } })
            }
            _ => Ok(bytes),
        }
    }

    fn check(&self, number: u64) -> Result<(), Error> {
        match self {
            Item::Validations(validations) => validations.check(number),
            Item::Request(request) => request.check(number),
            Item::Revoke(revocation) => revocation.check(number),
        }
    }
}

impl Revocation {
    /// Whether this reasonCode fits the certificate of an end entity, and lasts (RFC 5280 §5.3.1).
    pub fn of_end_entities(reason: u8) -> bool {
        matches!(reason, 1 | 3 | 4 | 5 | 9)
    }

    fn check(&self, number: u64) -> Result<(), Error> {
        let wrong = |field, message| Err(Error::ItemField { number, field, message });
        if !(1..=20).contains(&self.serial.len()) || self.serial.first().is_some_and(|first| *first >= 0x80) {
            return wrong("serial", "must be 1 to 20 octets, positive (RFC 5280 section 4.1.2.2)");
        }
        if self.reason.is_some_and(|reason| !Revocation::of_end_entities(reason)) {
            return wrong("reason", "must be 1, 3, 4, 5 or 9, or be left out (RFC 5280 section 5.3.1)");
        }
        one_line(&self.requester, number)
    }
}

fn one_line(requester: &Untrusted, number: u64) -> Result<(), Error> {
    let requester = requester.raw();
    match requester.len() > limits::REQUESTER || requester.chars().any(char::is_control) {
        true => {
            let message = "must be one line of at most 256 octets";
            Err(Error::ItemField { number, field: "requester", message })
        }
        false => Ok(()),
    }
}

impl Request {
    fn check(&self, number: u64) -> Result<(), Error> {
        let request = self;
        let wrong = |field, message| Err(Error::ItemField { number, field, message });
        if !lawful_request_id(&request.request) {
            return wrong(
                "request",
                "must be 1 to 64 of A-Z, a-z, 0-9, `.`, `_`, `-`, and begin with a letter or digit",
            );
        }
        if !lawful_request_id(&request.profile) {
            return wrong("profile", "is no profile's id");
        }
        one_line(&request.requester, number)?;
        if request.names.is_empty() || request.names.len() > limits::NAMES {
            return wrong("names", "must be 1 to 100 validated names");
        }
        let lawful = |name: &String| name.len() <= limits::NAME && idn::must_be_canonical(name).is_ok();
        if !request.names.iter().all(lawful) {
            return wrong(
                "names",
                "must each be 1 to 253 octets without spaces, in A-labels and canonical (RFC 5890, RFC 7622)",
            );
        }
        if request.csr.is_empty() {
            return wrong("csr", "is empty");
        }
        Ok(())
    }
}

/// [`Untrusted`] is never shown, but stored as the text it is.
mod untrusted {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::text::Untrusted;

    pub fn serialize<S: Serializer>(text: &Untrusted, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(text.raw())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Untrusted, D::Error> {
        String::deserialize(d).map(Untrusted::new)
    }
}
