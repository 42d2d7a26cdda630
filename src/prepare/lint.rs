//! Linters of others: what they are given, and what comes of what they find.
//!
//! Every certificate of a ceremony and every CRL is linted. Of a batch, one item of each shape (CA, profile, kinds of names, extensions, kind of
//! key) and [`DRAWN`] of the rest; where a shape has an error, each of its items. A linter gets the bytes of the plan under a
//! signature by a throw-away key.

use std::collections::BTreeMap;

use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use crate::cbor::Bytes;
use crate::config::{Hierarchy, Judges};
use crate::digest::Digest;
use crate::plan::{Certificate, Crl, Level, Linted};
use crate::policy::{Check, Refused};
use crate::x509::fields::{CertFields, GeneralName};
use crate::{tbs, text, x509};

use super::Error;
use super::throw_away::ThrowAway;

/// So many items of a batch are drawn at random, besides the first of each shape.
pub(super) const DRAWN: usize = 100;
/// A larger CRL is not given to linters, which hold it in memory many times over.
const MAX_CRL: usize = 1 << 20;

/// What a linter found in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name, of few characters ([`crate::config::is_finding`]).
    pub id: String,
    pub level: Level,
    /// What the linter says about it: untrusted.
    pub said: Option<String>,
}

/// The linters of a hierarchy, by their number in it.
pub trait Linters {
    /// SHA-256 of the program.
    fn program(&self, linter: usize) -> Option<Digest>;
    /// Judges a file in DER; `Err`: why there is no answer, safe for any output.
    fn lint(&mut self, linter: usize, der: &[u8]) -> Result<Vec<Finding>, String>;
}

/// Nobody: for hierarchies without linters.
impl Linters for () {
    fn program(&self, _: usize) -> Option<Digest> {
        None
    }

    fn lint(&mut self, _: usize, _: &[u8]) -> Result<Vec<Finding>, String> {
        Err("it is not started here".into())
    }
}

/// The linters at work on one plan.
pub struct Lint<'a> {
    linters: &'a mut dyn Linters,
    hierarchy: &'a Hierarchy,
    /// By which acceptances end.
    now: i64,
    keys: BTreeMap<KeyAlgorithm, ThrowAway>,
    /// What stands in the plan's head, one for each linter that was asked.
    words: BTreeMap<usize, Linted>,
    /// The plan has one: no linter may be absent. All of a plan's certificates are judged before its first CRL, in whatever order a
    /// ceremony names them.
    certificates: bool,
}

/// What is judged.
struct Item<'i> {
    judges: Judges,
    ca: &'i str,
    profile: Option<&'i str>,
    shape: String,
    tbs: &'i [u8],
    /// Of a certificate that its own key signs.
    own: Option<&'i CertFields>,
    algorithm: SignatureAlgorithm,
    key: KeyAlgorithm,
}

impl<'a> Lint<'a> {
    pub fn new(hierarchy: &'a Hierarchy, linters: &'a mut dyn Linters, now: i64) -> Lint<'a> {
        Lint { linters, hierarchy, now, keys: BTreeMap::new(), words: BTreeMap::new(), certificates: false }
    }

    /// The same linters for another plan, whose words are its own.
    pub(super) fn again(&mut self) -> Lint<'_> {
        Lint::new(self.hierarchy, &mut *self.linters, self.now)
    }

    /// For the plan's head.
    pub(super) fn take_words(&mut self) -> Vec<Linted> {
        std::mem::take(&mut self.words).into_values().collect()
    }

    /// What was said of this plan's dry run.
    pub(super) fn keep(&mut self, words: Vec<Linted>) {
        self.words = words.into_iter().enumerate().collect();
    }

    /// Has a certificate judged.
    pub(super) fn certificate(&mut self, c: &Certificate) -> Result<Result<(), Refused>, Error> {
        self.certificates = true;
        self.judge(&Item {
            judges: Judges::Certificates,
            ca: &c.ca,
            profile: Some(&c.profile),
            shape: shape(c),
            tbs: &c.tbs,
            own: (c.fields.spki == c.signer.spki).then_some(&c.fields),
            algorithm: c.fields.signature,
            key: c.signer.algorithm,
        })
    }

    /// Has a CRL judged. Where the plan holds no certificate, a linter that does not answer stops nothing.
    pub(super) fn crl(&mut self, c: &Crl) -> Result<Result<(), Refused>, Error> {
        self.judge(&Item {
            judges: Judges::Crls,
            ca: &c.ca,
            profile: None,
            shape: format!("CRL of {}", c.ca),
            tbs: &c.tbs,
            own: None,
            algorithm: c.fields.signature,
            key: c.signer.algorithm,
        })
    }

    fn judge(&mut self, item: &Item) -> Result<Result<(), Refused>, Error> {
        let hierarchy = self.hierarchy;
        let mut verdict = Ok(());
        let mut copy = None;
        for (n, linter) in hierarchy.linters.iter().enumerate() {
            if !linter.applies(item.judges, item.ca, item.profile) {
                continue;
            }
            let program = self.linters.program(n);
            let word = self.words.entry(n).or_insert_with(|| Linted::new(&linter.id, program));
            // A program that has gone is asked once, and not for each CRL.
            if item.judges == Judges::Crls && word.not_linted.is_some() {
                continue;
            }
            if item.judges == Judges::Crls && item.tbs.len() > MAX_CRL {
                word.not_linted = Some(format!("a CRL of {} octets is too long for a linter", item.tbs.len()));
                continue;
            }
            if copy.is_none() {
                copy = Some(signed(&mut self.keys, item)?);
            }
            let findings = match self.linters.lint(n, copy.as_deref().unwrap_or_default()) {
                Ok(findings) => findings,
                Err(why) if self.certificates => return Err(Error::NotLinted { linter: linter.id.clone(), why }),
                Err(why) => {
                    word.not_linted = Some(why);
                    continue;
                }
            };
            word.linted += 1;
            let mut refused = None;
            for finding in findings {
                let accepted = linter.accepts(&finding.id, item.ca, item.profile, self.now);
                word.count(&finding.id, finding.level, &item.shape, accepted.map(|accepted| accepted.reason.as_str()));
                if finding.level >= Level::Error && accepted.is_none() && refused.is_none() {
                    refused = Some(wrong(&linter.id, &finding));
                }
            }
            if let Some(wrong) = refused {
                word.refused += 1;
                verdict = verdict.and(Err(Refused::new(Check::Lint, wrong)));
            }
        }
        Ok(verdict)
    }
}

/// Names the finding; what the linter says besides is untrusted.
fn wrong(linter: &str, finding: &Finding) -> String {
    let said = finding.said.as_deref().filter(|said| !said.is_empty());
    let said = said.map_or(String::new(), |said| format!(": {}", text::escape(said)));
    format!("the linter `{linter}` finds the {} `{}`{said}", finding.level.name(), finding.id)
}

/// The item under a signature of the same form that no real key made. A root's copy has the throw-away key for its own too: linters
/// take for self-signed what verifies under its own key.
fn signed(keys: &mut BTreeMap<KeyAlgorithm, ThrowAway>, item: &Item) -> Result<Vec<u8>, Error> {
    let pair = match keys.entry(item.key) {
        std::collections::btree_map::Entry::Occupied(pair) => pair.into_mut(),
        std::collections::btree_map::Entry::Vacant(place) => {
            place.insert(ThrowAway::generate(item.key).ok_or(Error::DryRunKey)?)
        }
    };
    let own = item.own.map(|fields| {
        let spki = pair.spki().ok_or(Error::DryRunKey)?;
        let ski = x509::PublicKey::from_spki(&spki).map_err(|_| Error::DryRunKey)?.identifier();
        let fields = CertFields { spki: Bytes::from(spki), ski: Some(ski), ..fields.clone() };
        tbs::certificate(&fields)
            .map_err(|cause| Error::Encode { what: format!("copy for linters of {}", item.shape), cause })
    });
    let own = own.transpose()?;
    let tbs = own.as_deref().unwrap_or(item.tbs);
    let signature = pair.sign(item.algorithm, tbs).ok_or(Error::DryRunKey)?;
    Ok(tbs::assemble(tbs, item.algorithm, &signature))
}

/// What makes two certificates alike for a linter, in words: issuing CA, profile, kinds of names, extensions that others have not,
/// kind of key.
pub(super) fn shape(c: &Certificate) -> String {
    if let Some(ca) = &c.subject_ca {
        return format!("CA {ca}");
    }
    let mut kinds: Vec<&str> = c.fields.san.iter().map(kind).collect();
    if c.fields.subject.as_slice() != [0x30, 0] {
        kinds.push("subject");
    }
    kinds.sort_unstable();
    kinds.dedup();
    let mut words = vec![c.ca.clone(), c.profile.clone(), kinds.join("+")];
    words.extend(c.fields.others.iter().map(|other| other.oid.clone()));
    let key = x509::PublicKey::from_spki(&c.fields.spki).ok().and_then(|key| key.algorithm());
    words.push(key.map_or("another-key", KeyAlgorithm::name).into());
    words.join(" ")
}

fn kind(name: &GeneralName) -> &'static str {
    match name {
        GeneralName::Dns(text) if text.starts_with("*.") => "wildcard",
        GeneralName::Dns(text) if text.split('.').any(|label| label.starts_with("xn--")) => "idn",
        GeneralName::Dns(_) => "dns",
        GeneralName::Srv(_) => "srv",
        GeneralName::XmppAddr(_) => "xmpp",
        GeneralName::Email(_) => "email",
        GeneralName::Utf8Mailbox(_) => "utf8-mailbox",
        GeneralName::Uri(_) => "uri",
        GeneralName::Ip(octets) if octets.len() == 4 => "ipv4",
        GeneralName::Ip(_) => "ipv6",
        GeneralName::Other(_) => "other",
    }
}
