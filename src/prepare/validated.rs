//! The validators' lists of a bundle: who has signed each, and what it says.

use crate::approval;
use crate::bundle::{List, ListError, VALIDATIONS, Validations};
use crate::config::{Hierarchy, Validator};
use crate::digest::Tagger;
use crate::policy::{TooMany, Validation, Vouched};
use crate::text::{escape, utc};

/// Why a list does not count, and its bundle is refused with it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("is signed by {fingerprint}, which is the key of no validator of this hierarchy")]
    Stranger { fingerprint: String },
    #[error("is signed by the desk `{desk}`; a desk vouches for nothing")]
    Desk { desk: String },
    #[error("is not signed by a validator: {0}")]
    Signature(approval::Error),
    #[error("is signed by the validator `{validator}`, who expired at {}", utc(*since))]
    Expired { validator: String, since: i64 },
    #[error(transparent)]
    List(ListError),
    #[error("is for {field} `{}`; here it is `{wanted}`", escape(found))]
    Other { field: &'static str, wanted: String, found: String },
    #[error("is one too many: a bundle's lists hold at most {} names together", Vouched::MAX)]
    TooMany,
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Stranger { .. } | Error::Desk { .. } => {
                format!("a [[validator]] of the hierarchy signs it: ssh-keygen -Y sign -n {VALIDATIONS} -f KEY LIST")
            }
            Error::Signature(_) => {
                format!(
                    "list and signature belong together: ssh-keygen -Y sign -n {VALIDATIONS} -f KEY LIST, and pack again"
                )
            }
            Error::Expired { .. } => "another validator must look at these names and sign a list".into(),
            Error::List(_) => "the validator must mend the list and sign it again".into(),
            Error::Other { .. } => "take the list that the validator made for this station".into(),
            Error::TooMany => "split the requests and their lists over several bundles".into(),
        })
    }
}

/// Verifies a list by a validator of the hierarchy, and reads it: not one octet of it is parsed before. `now`: seconds since
/// the epoch. Gives the validator's place among the hierarchy's validators.
pub fn verify<'h>(
    hierarchy: &'h Hierarchy,
    validations: &Validations,
    now: i64,
) -> Result<(usize, &'h Validator, List), Error> {
    let (place, validator) = signer(hierarchy, validations)?;
    if let Some(since) = validator.expires.filter(|expires| *expires <= now) {
        return Err(Error::Expired { validator: validator.id.clone(), since });
    }
    let list = List::parse(&validations.list).map_err(Error::List)?;
    let environment = hierarchy.environment.to_string();
    let belongs = [
        ("environment", &environment, &list.environment),
        ("hierarchy", &hierarchy.name, &list.hierarchy),
        ("origin", &hierarchy.origin, &list.origin),
    ];
    if let Some((field, wanted, found)) = belongs.into_iter().find(|(_, wanted, found)| wanted != found) {
        return Err(Error::Other { field, wanted: wanted.clone(), found: found.clone() });
    }
    Ok((place, validator, list))
}

fn signer<'h>(hierarchy: &'h Hierarchy, validations: &Validations) -> Result<(usize, &'h Validator), Error> {
    let by = |keys: &[String]| approval::verify(VALIDATIONS, &validations.list, &validations.signature, keys);
    for (place, validator) in hierarchy.validators.iter().enumerate() {
        match by(&validator.keys) {
            Ok(_) => return Ok((place, validator)),
            Err(approval::Error::UnknownKey { .. }) => {}
            Err(other) => return Err(Error::Signature(other)),
        }
    }
    if let Some(desk) = hierarchy.desks.iter().find(|desk| by(&desk.keys).is_ok()) {
        return Err(Error::Desk { desk: desk.id.clone() });
    }
    // Among no keys at all none is found: what comes back is whose signature it is, or that it is none.
    match by(&[]) {
        Ok(fingerprint) | Err(approval::Error::UnknownKey { fingerprint }) => Err(Error::Stranger { fingerprint }),
        Err(other) => Err(Error::Signature(other)),
    }
}

/// Takes a verified list in.
pub(super) fn take(vouched: &mut Vouched, tagger: &Tagger, validator: usize, list: &List) -> Result<(), Error> {
    for said in &list.validations {
        let (time, takes_over) = (said.time, said.takes_over);
        let word = Validation { validator, requester: tagger.tag(said.requester.raw()), time, takes_over };
        for name in &said.names {
            vouched.add(name, word).map_err(|TooMany| Error::TooMany)?;
        }
    }
    Ok(())
}
