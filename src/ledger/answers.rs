//! What the ledger answers of certificates: the places of a thing, and what the log's entries there say.

use std::ops::Range;

use crate::audit::entry::{Body, CertificateIssued, Entry};
use crate::audit::{self, Log, View};
use crate::digest::Digest;
use crate::x509;
use crate::x509::fields::{CertFields, names_digest};

use super::places::{Key, Thing};
use super::{CA_COMPROMISE, Error, KEY_COMPROMISE, Ledger};

/// Where the entries are read that an answer needs: the log of which the ledger is the fold.
pub trait Entries {
    /// The entry at this index, compared with its hash.
    fn entry(&self, index: u64) -> Result<Entry, audit::Error>;

    /// An artefact of the log: a CRL that was adopted.
    fn artefact(&self, digest: &Digest) -> Result<Vec<u8>, audit::Error>;

    /// Many entries in a row.
    fn row(&self, range: Range<u64>) -> Box<dyn Iterator<Item = Result<(u64, Entry), audit::Error>> + '_> {
        Box::new(range.map(|index| Ok((index, self.entry(index)?))))
    }
}

impl Entries for View {
    fn entry(&self, index: u64) -> Result<Entry, audit::Error> {
        View::entry(self, index)
    }

    fn artefact(&self, digest: &Digest) -> Result<Vec<u8>, audit::Error> {
        View::artefact(self, digest)
    }

    fn row(&self, range: Range<u64>) -> Box<dyn Iterator<Item = Result<(u64, Entry), audit::Error>> + '_> {
        Box::new(View::entries(self, range).map(|entry| entry.map(|(index, entry, _)| (index, entry))))
    }
}

impl Entries for Log {
    fn row(&self, range: Range<u64>) -> Box<dyn Iterator<Item = Result<(u64, Entry), audit::Error>> + '_> {
        Entries::row(&**self, range)
    }

    fn entry(&self, index: u64) -> Result<Entry, audit::Error> {
        View::entry(self, index)
    }

    fn artefact(&self, digest: &Digest) -> Result<Vec<u8>, audit::Error> {
        View::artefact(self, digest)
    }
}

/// No log: what a preview and a dry run have, whose ledger is empty.
impl Entries for () {
    fn entry(&self, index: u64) -> Result<Entry, audit::Error> {
        Err(audit::Error::OutOfRange { index, size: 0 })
    }

    fn artefact(&self, digest: &Digest) -> Result<Vec<u8>, audit::Error> {
        Err(audit::Error::ArtefactMissing { digest: digest.hex() })
    }
}

/// What the log knows of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    pub ca: String,
    pub profile: String,
    /// The desk whose bundle asked for it; `None` for CAs.
    pub desk: Option<String>,
    /// Seconds since the epoch.
    pub not_before: i64,
    pub not_after: i64,
    /// True for a CA's certificate.
    pub of_ca: bool,
    /// True for the certificate that a CA has issued to itself.
    pub own: bool,
    /// Date and reason.
    pub revoked: Option<(i64, Option<u8>)>,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki: Digest,
}

/// Whose certificates hold a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHolder {
    /// A CA by its bare id, as `policy` compares it; a request (`request ID`) never looks like one.
    pub whose: String,
    /// The tag of who asked; `None` for CAs.
    pub requester: Option<Digest>,
    /// Digest of the names in its newest certificate.
    pub names: Digest,
    /// A certificate for it was revoked because the key is compromised.
    pub compromised: bool,
}

/// Who holds a certificate with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameHolder {
    pub request: String,
    pub requester: Option<Digest>,
    /// notBefore and notAfter of the certificate.
    pub since: i64,
    pub not_after: i64,
}

/// A certificate's entry, and what the certificate says.
struct Found {
    entry: CertificateIssued,
    fields: CertFields,
}

impl Ledger {
    /// The certificate with this serial number (content octets).
    pub fn issued(&self, log: &dyn Entries, serial: &[u8]) -> Result<Option<Issued>, Error> {
        let Some(found) = self.by_serial(log, serial)? else { return Ok(None) };
        let Found { entry, fields } = found;
        let bundle = self.plans.get(&entry.plan).and_then(|state| state.bundle.as_ref());
        Ok(Some(Issued {
            own: entry.subject_ca.as_ref() == Some(&entry.ca),
            of_ca: entry.subject_ca.is_some(),
            ca: entry.ca,
            profile: entry.profile,
            desk: bundle.map(|bundle| bundle.desk.clone()),
            not_before: fields.not_before,
            not_after: fields.not_after,
            revoked: self.revocation(log, serial)?,
            spki: Digest::of(&fields.spki),
        }))
    }

    /// Whether a certificate with this serial number is on record.
    pub fn serial_known(&self, log: &dyn Entries, serial: &[u8]) -> Result<bool, Error> {
        Ok(self.by_serial(log, serial)?.is_some())
    }

    /// Whose certificates hold this key (SHA-256 of its SubjectPublicKeyInfo): what its newest one says.
    pub fn key_holder(&self, log: &dyn Entries, spki: &Digest) -> Result<Option<KeyHolder>, Error> {
        for index in self.places_of(Thing::Key, &spki.0)?.into_iter().rev() {
            let Some(Found { entry, fields }) =
                certificate(log, index)?.filter(|f| Digest::of(&f.fields.spki) == *spki)
            else {
                continue;
            };
            let request = entry.request.unwrap_or_default();
            return Ok(Some(KeyHolder {
                whose: entry.subject_ca.unwrap_or_else(|| format!("request {request}")),
                requester: entry.requester,
                names: names_digest(&fields.subject, &fields.san),
                compromised: self.compromised(log, spki)?,
            }));
        }
        Ok(None)
    }

    /// Who holds a certificate with this name (lower-case) that is valid at `now` and not revoked: the newest of them, since
    /// an older one stays good when a newer one is revoked or ends. A name that has changed hands is no longer the earlier
    /// holder's, whose certificates may go on for a while.
    pub fn name_holder(&self, log: &dyn Entries, name: &str, now: i64) -> Result<Option<NameHolder>, Error> {
        // Whose the name is by its newest certificate, and the latest beginning so far: what had ended by then is past.
        let mut last: Option<(Option<Digest>, i64)> = None;
        for index in self.places_of(Thing::Name, name.as_bytes())?.into_iter().rev() {
            let Some(Found { entry, fields }) = certificate(log, index)?.filter(|found| found.holds(name)) else {
                continue;
            };
            let (requester, since) = last.unwrap_or((entry.requester, fields.not_before));
            if entry.requester != requester {
                return Ok(None);
            }
            last = Some((requester, since.max(fields.not_before)));
            if fields.not_after >= since.max(now) && self.revocation(log, &fields.serial)?.is_none() {
                return Ok(Some(NameHolder {
                    request: entry.request.unwrap_or_default(),
                    requester,
                    since: fields.not_before,
                    not_after: fields.not_after,
                }));
            }
        }
        Ok(None)
    }

    /// The newest certificate of this profile for the same names, revoked or not; where there is none, the newest one of this
    /// profile that shares the first of them which any has. At most 100 certificates of a name are looked at.
    pub fn newest_like(
        &self,
        log: &dyn Entries,
        profile: &str,
        like: &CertFields,
    ) -> Result<Option<CertFields>, Error> {
        let names = names_digest(&like.subject, &like.san);
        let mut akin = None;
        for name in x509::holder_names(&like.subject, &like.san) {
            let name = name.to_ascii_lowercase();
            for index in self.places_of(Thing::Name, name.as_bytes())?.into_iter().rev().take(100) {
                let Some(found) = certificate(log, index)?.filter(|f| f.entry.profile == profile && f.holds(&name))
                else {
                    continue;
                };
                if names_digest(&found.fields.subject, &found.fields.san) == names {
                    return Ok(Some(found.fields));
                }
                akin.get_or_insert(found.fields);
            }
            if akin.is_some() {
                break;
            }
        }
        Ok(akin)
    }

    /// The serial numbers of all certificates with the key of this one, itself among them.
    pub fn same_key(&self, log: &dyn Entries, serial: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let Some(found) = self.by_serial(log, serial)? else { return Ok(Vec::new()) };
        let mut serials = Vec::new();
        for index in self.places_of(Thing::Key, &Digest::of(&found.fields.spki).0)? {
            let other = certificate(log, index)?.filter(|other| other.fields.spki == found.fields.spki);
            serials.extend(other.map(|other| other.fields.serial.into_vec()));
        }
        Ok(serials)
    }

    /// The entries that answer a request, by its id: certificates and refusals, in their order.
    pub fn answers_to(&self, log: &dyn Entries, request: &str) -> Result<Vec<(u64, Entry)>, Error> {
        let mut answers = Vec::new();
        for index in self.places_of(Thing::Request, request.as_bytes())? {
            let entry = log.entry(index)?;
            let its = match &entry.body {
                Body::Certificate(issued) => issued.request.as_deref() == Some(request),
                Body::Refused { request: refused, .. } => refused == request,
                _ => false,
            };
            answers.extend(its.then_some((index, entry)));
        }
        Ok(answers)
    }

    fn places_of(&self, thing: Thing, what: &[u8]) -> Result<Vec<u64>, Error> {
        self.places.of(&Key::of(thing, what))
    }

    fn by_serial(&self, log: &dyn Entries, serial: &[u8]) -> Result<Option<Found>, Error> {
        let mut found: Option<Found> = None;
        for index in self.places_of(Thing::Serial, serial)? {
            let Some(certificate) = certificate(log, index)?.filter(|f| f.fields.serial.as_slice() == serial) else {
                continue;
            };
            if found.replace(certificate).is_some() {
                return Err(Error::Entry { index, what: super::TWICE.into() });
            }
        }
        Ok(found)
    }

    /// Date and reason of a revocation.
    fn revocation(&self, log: &dyn Entries, serial: &[u8]) -> Result<Option<(i64, Option<u8>)>, Error> {
        for index in self.places_of(Thing::Revoked, serial)? {
            if let Body::Revoked(revoked) = log.entry(index)?.body
                && revoked.serial.as_slice() == serial
            {
                return Ok(Some((revoked.date, revoked.reason)));
            }
        }
        Ok(None)
    }

    fn compromised(&self, log: &dyn Entries, spki: &Digest) -> Result<bool, Error> {
        for index in self.places_of(Thing::Compromised, &spki.0)? {
            if let Body::Revoked(revoked) = log.entry(index)?.body
                && matches!(revoked.reason, Some(KEY_COMPROMISE | CA_COMPROMISE))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Found {
    fn holds(&self, name: &str) -> bool {
        let names = x509::holder_names(&self.fields.subject, &self.fields.san);
        names.iter().any(|held| held.eq_ignore_ascii_case(name))
    }
}

/// The certificate at `index`; `None` where another kind of entry stands.
fn certificate(log: &dyn Entries, index: u64) -> Result<Option<Found>, Error> {
    let Body::Certificate(entry) = log.entry(index)?.body else { return Ok(None) };
    let fields = x509::read_certificate(&entry.der)
        .map_err(|e| Error::Entry { index, what: format!("its certificate does not parse: {e}") })?;
    Ok(Some(Found { entry, fields }))
}
