//! The end of a key: both halves destroyed, and the token searched for what could be left of them.

use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;

use super::ask::KeyGone;
use super::attributes::{Half, Side};
use super::fault::{Doing, Fault, Misuse, Result};
use super::keys::{check_label, check_name, halves, read_all};
use super::vendor::Vendor;
use crate::text::{escape, hex};

/// More objects than this are no token of a root signer, and their list would not fit an answer.
const MOST_OBJECTS: usize = 20_000;

/// Destroys the pair that has this label, CKA_ID and public half.
///
/// The private half goes first: a stop between the two leaves a public half, which can be matched with the planned one. So
/// does a pair that was gone before. A private half alone is not touched: nothing shows whose it is.
pub(super) fn destroy(session: &Session, vendor: Vendor, label: &str, id: &[u8], spki: &[u8]) -> Result<KeyGone> {
    check_name(label, id)?;
    let before = inventory(session)?;
    let found = match halves(session, id, vendor)? {
        (None, None) => false,
        (Some(_), None) => return Err(Fault::HalfPair { id: hex(id), missing: Side::Public.name() }),
        (private, Some(public)) => {
            let there: Vec<&Half> = private.iter().chain([&public]).collect();
            check_label(&there, label, id)?;
            if !is_planned(&public, spki) || private.as_ref().is_some_and(|private| !private.belongs_to(&public)) {
                return Err(Fault::OtherKey { id: hex(id) });
            }
            if let Some(private) = private {
                session.destroy_object(private.handle).doing("destroying a private key")?;
            }
            session.destroy_object(public.handle).doing("destroying a public key")?;
            true
        }
    };
    prove_gone(session, vendor, label, id, spki)?;
    Ok(KeyGone { found, before, after: inventory(session)? })
}

/// No object has this CKA_ID, no key this label, and no public key is this one, whatever it is called.
fn prove_gone(session: &Session, vendor: Vendor, label: &str, id: &[u8], spki: &[u8]) -> Result<()> {
    let left = |how: &'static str| Err(Fault::NotGone { id: hex(id), how });
    let named = Attribute::Label(label.as_bytes().to_vec());
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        let by = |attribute: Attribute| session.find_objects(&[Attribute::Class(class), attribute]);
        if !by(Attribute::Id(id.to_vec())).doing("looking for what is left of a key")?.is_empty() {
            return left("CKA_ID");
        }
        if !by(named.clone()).doing("looking for what is left of a key")?.is_empty() {
            return left("label");
        }
    }
    match read_all(session, Side::Public, &[], vendor)?.iter().any(|public| is_planned(public, spki)) {
        true => left("public half"),
        false => Ok(()),
    }
}

/// Whether a public half is the planned one. One of a kind that is not known here is none.
pub(super) fn is_planned(public: &Half, spki: &[u8]) -> bool {
    let own = public.algorithm().and_then(|algorithm| public.spki(algorithm).ok());
    own.is_some_and(|own| own == spki)
}

/// A line for each object that this login sees, sorted.
fn inventory(session: &Session) -> Result<Vec<String>> {
    let handles = session.find_objects(&[]).doing("listing the token's objects")?;
    if handles.len() > MOST_OBJECTS {
        let (value, most) = (handles.len() as u64, MOST_OBJECTS as u64);
        return Err(Misuse::Range { what: "the number of objects in the token", value, least: 0, most }.into());
    }
    let mut lines = Vec::with_capacity(handles.len());
    for handle in handles {
        // What an object does not say is left out: data objects have no CKA_ID.
        let of = |attribute| session.get_attributes(handle, &[attribute]).unwrap_or_default().pop();
        let class = match of(AttributeType::Class) {
            Some(Attribute::Class(class)) => class.to_string(),
            _ => "unknown".into(),
        };
        let id = match of(AttributeType::Id) {
            Some(Attribute::Id(id)) if !id.is_empty() => hex(&id),
            _ => "-".into(),
        };
        let label = match of(AttributeType::Label) {
            Some(Attribute::Label(label)) => escape(&String::from_utf8_lossy(&label)),
            _ => "-".into(),
        };
        lines.push(format!("{class} {id} {label}"));
    }
    lines.sort();
    Ok(lines)
}
