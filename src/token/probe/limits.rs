//! What the token says of itself, its sessions, and the data object for the mark.

use cryptoki::object::Attribute;
use cryptoki_sys::{
    CK_ULONG, CK_UNAVAILABLE_INFORMATION, CK_VERSION, CKF_LOGIN_REQUIRED, CKF_PROTECTED_AUTHENTICATION_PATH, CKF_RNG,
    CKF_USER_PIN_TO_BE_CHANGED, CKF_WRITE_PROTECTED,
};

use super::bench::{Bench, calling, said};
use super::step::{Claim, Facts, Found, LABEL, Memory, message};
use crate::algorithm::KeyAlgorithm;
use crate::token::data;
use crate::token::fault::{Doing, Fault, Result};
use crate::token::recipe::generation;
use crate::token::sign;

/// About as long as a mark.
const DATA: u32 = 512;

pub(super) fn facts(bench: &Bench<'_>) -> Result<Facts> {
    let (module, slot) = (bench.module, bench.token.slot);
    calling("C_GetTokenInfo");
    let info = module.info(slot)?;
    calling("C_GetInfo");
    let library = module.pkcs11.get_library_info().doing("asking the module who it is")?;
    calling("C_GetMechanismList");
    let listed = module.pkcs11.get_mechanism_list(slot).unwrap_or_default();
    let claims = KeyAlgorithm::ALL.into_iter().map(|algorithm| Claim {
        algorithm,
        generates: listed.contains(&generation(algorithm).mechanism_type()),
        signs: listed.contains(&sign::mechanism(algorithm.signs_with()).mechanism_type()),
    });
    let flag = |flag| info.flags & flag != 0;
    let version = |version: CK_VERSION| format!("{}.{}", version.major, version.minor);
    Ok(Facts {
        token: module.refresh(slot)?.facts,
        interface: library.cryptoki_version().to_string(),
        hardware: version(info.hardwareVersion),
        firmware: version(info.firmwareVersion),
        pin_pad: flag(CKF_PROTECTED_AUTHENTICATION_PATH),
        pin_octets: (said_number(info.ulMinPinLen), said_number(info.ulMaxPinLen)),
        pin_to_be_changed: flag(CKF_USER_PIN_TO_BE_CHANGED),
        login_required: flag(CKF_LOGIN_REQUIRED),
        write_protected: flag(CKF_WRITE_PROTECTED),
        random: flag(CKF_RNG),
        // 0 is CK_EFFECTIVELY_INFINITE.
        most_sessions: said_number(info.ulMaxRwSessionCount).filter(|most| *most != 0),
        public_memory: Memory {
            total: said_number(info.ulTotalPublicMemory),
            free: said_number(info.ulFreePublicMemory),
        },
        private_memory: Memory {
            total: said_number(info.ulTotalPrivateMemory),
            free: said_number(info.ulFreePrivateMemory),
        },
        claims: claims.collect(),
    })
}

/// `None` where the token does not say.
fn said_number(number: CK_ULONG) -> Option<u64> {
    #[allow(clippy::useless_conversion, reason = "a CK_ULONG has 32 bits on some machines")]
    let wide = u64::from(number);
    (number != CK_UNAVAILABLE_INFORMATION).then_some(wide)
}

/// Opens sessions until one is refused; all of them are closed again.
pub(super) fn sessions(bench: &Bench<'_>, most: u32) -> Result<Found> {
    let mut open = Vec::new();
    let mut refused = None;
    while u32::try_from(open.len()).unwrap_or(u32::MAX) < most {
        match bench.session() {
            Ok(session) => open.push(session),
            Err(error) => {
                refused = Some(said(&error));
                break;
            }
        }
    }
    let opened = u32::try_from(open.len()).unwrap_or(u32::MAX);
    calling("C_CloseSession");
    for session in open {
        session.close().doing("closing a session")?;
    }
    Ok(Found::Sessions { opened, refused })
}

/// What the mark needs: a private data object that another session reads, and that can be removed.
pub(super) fn data(bench: &Bench<'_>) -> Result<()> {
    calling("C_FindObjects");
    data::remove(bench.session, LABEL)?;
    let value = message(DATA);
    calling("C_CreateObject");
    data::write(bench.session, LABEL, &value)?;
    let other = bench.session().doing("opening a session")?;
    calling("C_GetAttributeValue");
    let read = data::read(&other, LABEL);
    calling("C_DestroyObject");
    data::remove(bench.session, LABEL)?;
    if read?.as_deref() != Some(value.as_slice()) {
        return Err(Fault::DataNotKept(LABEL.into()));
    }
    calling("C_FindObjects");
    match data::read(&other, LABEL)? {
        None => other.close().doing("closing a session"),
        Some(_) => Err(Fault::ForeignData { label: LABEL.into(), cause: "it is there again after its removal" }),
    }
}

/// Removes the data objects of an interrupted probe. Keys with the probe's label end with their sessions: one that is
/// still found is not the probe's, or the module keeps what it should not, and a person must look.
pub(super) fn sweep(bench: &Bench<'_>) -> Result<Found> {
    calling("C_FindObjects");
    let removed = data::remove(bench.session, LABEL)?;
    let named = [Attribute::Label(LABEL.as_bytes().to_vec())];
    let left = bench.session.find_objects(&named).doing("looking for what is left")?;
    Ok(Found::Swept { removed, left: u32::try_from(left.len()).unwrap_or(u32::MAX) })
}
