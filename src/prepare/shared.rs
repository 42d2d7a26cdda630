//! The RSA moduli of a bundle against each other, against the newest ones on record, and against those of the CAs.

use std::path::Path;

use crate::audit::entry::Body;
use crate::config::Hierarchy;
use crate::digest::Digest;
use crate::ledger::{self, Entries, Ledger};
use crate::plan::MAX_BROKEN;
use crate::text::{escape, hex};
use crate::weak_keys::Search;
use crate::x509::{self, PublicKey, Request};
use crate::{bundle, plan};

use super::Error;
use super::issuers::{ca_keys, recorded_keys};

/// What [`shared_factors`] finds.
#[derive(Debug, Default)]
pub struct SharedFactors {
    /// Digests of the moduli asked for that share a prime with another one ([`crate::weak_keys::modulus_digest`]).
    pub asked: Vec<Digest>,
    /// Keys on record that do: `certificate SERIAL` or `CA ID`.
    pub broken: Vec<String>,
}

/// A CA's key is told from a certificate's, whose tag is its log index, by this bit.
const OF_CA: u64 = 1 << 63;

/// Searches the requests of a bundle. Only a request that proves its key takes part: with a modulus that is made to share a factor with
/// another's key, and whose private half nobody has, no one gets that other key refused. `tell` hears how many of how many steps
/// are done.
pub fn shared_factors(
    hierarchy: &Hierarchy,
    (ledger, log): (&Ledger, &dyn Entries),
    scratch: &Path,
    items: impl Iterator<Item = Result<bundle::Item, bundle::Error>>,
    tell: impl FnMut(u64, u64),
) -> Result<SharedFactors, Error> {
    let io = |e| Error::Plan(plan::Error::Io(e));
    let mut search = Search::new(scratch).map_err(io)?;
    for item in items {
        if let bundle::Item::Request(request) = item?
            && let Some(key) = proven(&request.csr)
            && let Some(modulus) = key.modulus()
        {
            search.ask(modulus).map_err(io)?;
        }
    }
    if search.is_empty() {
        return Ok(SharedFactors::default());
    }
    for range in ledger.rsa_certificates() {
        for entry in log.row(range) {
            let (index, entry) = entry.map_err(ledger::Error::from)?;
            if let Some(modulus) = certified(index, &entry.body)?.as_ref().and_then(PublicKey::modulus) {
                search.record(modulus, index).map_err(io)?;
            }
        }
    }
    let keys = recorded_keys(ledger);
    let cas: Vec<(&str, &[u8])> = ca_keys(hierarchy, &keys).collect();
    for ((_, spki), n) in cas.iter().zip(0..) {
        if let Some(modulus) = PublicKey::from_spki(spki).ok().as_ref().and_then(PublicKey::modulus) {
            search.record(modulus, OF_CA | n).map_err(io)?;
        }
    }
    let found = search.run(tell).map_err(io)?;
    let mut broken = Vec::new();
    for tag in &found.recorded {
        if broken.len() >= MAX_BROKEN {
            broken.push(format!("and {} more", found.recorded.len() - MAX_BROKEN));
            break;
        }
        let ca = usize::try_from(tag & !OF_CA).ok().and_then(|n| cas.get(n)).filter(|_| tag & OF_CA != 0);
        broken.push(match ca {
            Some((ca, _)) => format!("CA {}", escape(ca)),
            None => whose(log, *tag)?,
        });
    }
    Ok(SharedFactors { asked: found.asked.into_iter().collect(), broken })
}

/// The RSA key of a request that proves it, of a size that a profile can take.
fn proven(csr: &[u8]) -> Option<PublicKey> {
    let request = Request::parse(csr).ok().filter(|request| x509::is_rsa(&request.spki))?;
    let key = PublicKey::from_spki(&request.spki).ok().filter(|key| key.algorithm().is_some())?;
    request.verify_possession().ok().map(|_| key)
}

fn certified(index: u64, body: &Body) -> Result<Option<PublicKey>, Error> {
    let Body::Certificate(issued) = body else { return Ok(None) };
    let fields =
        x509::read_certificate(&issued.der).map_err(|e| ledger::Error::Entry { index, what: e.to_string() })?;
    Ok(PublicKey::from_spki(&fields.spki).ok())
}

/// A certificate of a key that is broken.
fn whose(log: &dyn Entries, index: u64) -> Result<String, Error> {
    let entry = log.entry(index).map_err(ledger::Error::from)?;
    let Body::Certificate(issued) = &entry.body else { return Ok(format!("log entry {index}")) };
    if let Some(ca) = &issued.subject_ca {
        return Ok(format!("CA {}", escape(ca)));
    }
    let fields =
        x509::read_certificate(&issued.der).map_err(|e| ledger::Error::Entry { index, what: e.to_string() })?;
    Ok(format!("certificate {}", hex(&fields.serial)))
}
