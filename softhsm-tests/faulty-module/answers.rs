//! The real module's answers, changed.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use cryptoki_sys::*;

use super::faulty;
use super::script::Change;

/// No module gives an object this number.
const STRANGER: CK_OBJECT_HANDLE = 0xdead;

type Real<'a> = &'a dyn Fn() -> CK_RV;

/// The real function has filled in what it can: C_GetAttributeValue does so for the other attributes too when one is
/// unknown or secret.
fn answered(rv: CK_RV) -> bool {
    matches!(rv, CKR_OK | CKR_ATTRIBUTE_TYPE_INVALID | CKR_ATTRIBUTE_SENSITIVE)
}

fn size(number: CK_ULONG) -> usize {
    usize::try_from(number).expect("a length fits")
}

pub unsafe fn info(change: Option<&Change>, real: Real, info: CK_INFO_PTR) -> CK_RV {
    let rv = real();
    let (true, Some(info)) = (rv == CKR_OK, unsafe { info.as_mut() }) else { return rv };
    if let Some(Change::Library(maker, text)) = change {
        for (field, text) in [(&mut info.manufacturerID, maker), (&mut info.libraryDescription, text)] {
            field.fill(b' ');
            field[..text.len()].copy_from_slice(text.as_bytes());
        }
    }
    rv
}

pub unsafe fn token_info(change: Option<&Change>, real: Real, info: CK_TOKEN_INFO_PTR) -> CK_RV {
    let rv = real();
    let (true, Some(info)) = (rv == CKR_OK, unsafe { info.as_mut() }) else { return rv };
    match change {
        Some(Change::Flags(flags)) => info.flags |= flags,
        Some(Change::NoFlags(flags)) => info.flags &= !flags,
        Some(Change::Serial(text)) => {
            info.serialNumber.fill(b' ');
            info.serialNumber[..text.len()].copy_from_slice(text.as_bytes());
        }
        _ => {}
    }
    rv
}

/// The list without some, in both of its forms: the count alone, and the list.
pub unsafe fn mechanisms(
    change: Option<&Change>,
    real: Real,
    slot: CK_SLOT_ID,
    list: *mut CK_MECHANISM_TYPE,
    count: CK_ULONG_PTR,
) -> CK_RV {
    let Some(Change::NoMechanism(missing)) = change else { return real() };
    let ask = faulty().real.C_GetMechanismList.expect("every module has it");
    let mut number = 0;
    let rv = unsafe { ask(slot, std::ptr::null_mut(), &mut number) };
    if rv != CKR_OK {
        return rv;
    }
    let mut all = vec![0; size(number)];
    let rv = unsafe { ask(slot, all.as_mut_ptr(), &mut number) };
    all.truncate(size(number));
    all.retain(|kind| !missing.contains(kind));
    if rv != CKR_OK {
        return rv;
    }
    let room = size(unsafe { *count });
    unsafe { *count = all.len() as CK_ULONG };
    if list.is_null() {
        return CKR_OK;
    }
    if room < all.len() {
        return CKR_BUFFER_TOO_SMALL;
    }
    unsafe { std::ptr::copy_nonoverlapping(all.as_ptr(), list, all.len()) };
    CKR_OK
}

pub unsafe fn objects(
    change: Option<&Change>,
    real: Real,
    objects: CK_OBJECT_HANDLE_PTR,
    most: CK_ULONG,
    count: CK_ULONG_PTR,
) -> CK_RV {
    let rv = real();
    if rv != CKR_OK {
        return rv;
    }
    // SAFETY: the caller's place for `most` handles, of which the real module has written `found`.
    let (all, found) = unsafe { (std::slice::from_raw_parts_mut(objects, size(most)), size(*count)) };
    let now = match change {
        // As many of them as there is room for.
        Some(Change::Double) => {
            let twice = (2 * found).min(all.len());
            all.copy_within(..twice - found, found);
            twice
        }
        Some(Change::Stranger) if found < all.len() => {
            all[found] = STRANGER;
            found + 1
        }
        Some(Change::NoObjects) => 0,
        Some(Change::Count(count)) => size(*count),
        _ => found,
    };
    unsafe { *count = now as CK_ULONG };
    rv
}

/// Which key each session signs with, and each key's last signature.
#[derive(Default)]
struct Signed {
    keys: HashMap<CK_SESSION_HANDLE, CK_OBJECT_HANDLE>,
    last: HashMap<CK_OBJECT_HANDLE, Vec<u8>>,
}

static SIGNED: LazyLock<Mutex<Signed>> = LazyLock::new(Mutex::default);

pub fn sign_init(real: Real, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> CK_RV {
    let rv = real();
    if rv == CKR_OK {
        SIGNED.lock().unwrap_or_else(PoisonError::into_inner).keys.insert(session, key);
    }
    rv
}

/// C_Sign with its data, or C_SignFinal.
pub unsafe fn signature(
    change: Option<&Change>,
    real: Real,
    session: CK_SESSION_HANDLE,
    data: Option<(CK_BYTE_PTR, CK_ULONG)>,
    signature: CK_BYTE_PTR,
    length: CK_ULONG_PTR,
) -> CK_RV {
    if signature.is_null() {
        return real();
    }
    // SAFETY: the caller's place for the signature, as long as it says.
    let room = unsafe { std::slice::from_raw_parts_mut(signature, size(*length)) };
    let before = room.to_vec();
    let mut signed = SIGNED.lock().unwrap_or_else(PoisonError::into_inner);
    let key = signed.keys.get(&session).copied().unwrap_or_default();
    let last = signed.last.get(&key).cloned();
    drop(signed);
    let rv = match (change, &last) {
        (Some(Change::Swap), None) => unsafe { sign_another(session, data, signature, length) },
        _ => real(),
    };
    if rv != CKR_OK {
        return rv;
    }
    let made = size(unsafe { *length });
    signed = SIGNED.lock().unwrap_or_else(PoisonError::into_inner);
    signed.last.insert(key, room[..made].to_vec());
    drop(signed);
    match change {
        Some(Change::Flip(bit)) => {
            let bit = bit.unwrap_or(8 * made - 1);
            room[bit / 8] ^= 0x80 >> (bit % 8);
        }
        Some(Change::Swap) => {
            if let Some(last) = last {
                room[..last.len()].copy_from_slice(&last);
                unsafe { *length = last.len() as CK_ULONG };
            }
        }
        Some(Change::Zero) => room[..made].fill(0),
        Some(Change::Nothing) => room.copy_from_slice(&before),
        Some(Change::Length(octets)) => unsafe { *length = *octets },
        _ => {}
    }
    rv
}

/// The key has signed nothing yet: it signs these data with another last bit.
unsafe fn sign_another(
    session: CK_SESSION_HANDLE,
    data: Option<(CK_BYTE_PTR, CK_ULONG)>,
    signature: CK_BYTE_PTR,
    length: CK_ULONG_PTR,
) -> CK_RV {
    let (data, octets) = data.expect("no signature of this key has gone before C_SignFinal");
    let mut other = unsafe { std::slice::from_raw_parts(data, size(octets)) }.to_vec();
    *other.last_mut().expect("a message has octets") ^= 1;
    let sign = faulty().real.C_Sign.expect("every module has it");
    unsafe { sign(session, other.as_mut_ptr(), octets, signature, length) }
}

pub unsafe fn random(change: Option<&Change>, real: Real, random: CK_BYTE_PTR, length: CK_ULONG) -> CK_RV {
    let rv = real();
    if let (Some(Change::Zero), CKR_OK) = (change, rv) {
        unsafe { std::slice::from_raw_parts_mut(random, size(length)) }.fill(0);
    }
    rv
}

/// Changes one attribute of the answer, of all objects or of those with the script's label.
pub unsafe fn attributes(
    change: Option<&Change>,
    real: Real,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: CK_ATTRIBUTE_PTR,
    count: CK_ULONG,
) -> CK_RV {
    let rv = real();
    let (wanted, label) = match change {
        Some(
            Change::Attribute { kind, label, .. }
            | Change::Shorten { kind, label, .. }
            | Change::Unavailable { kind, label },
        ) if answered(rv) => (*kind, label),
        _ => return rv,
    };
    if label.as_ref().is_some_and(|wanted| unsafe { label_of(session, object) } != *wanted) {
        return rv;
    }
    for asked in unsafe { std::slice::from_raw_parts_mut(template, size(count)) } {
        if asked.type_ != wanted || asked.ulValueLen == CK_UNAVAILABLE_INFORMATION {
            continue;
        }
        match change {
            // At most as many octets as there are.
            Some(Change::Attribute { octets, .. }) if !asked.pValue.is_null() => {
                let length = size(asked.ulValueLen).min(octets.len());
                unsafe { std::ptr::copy_nonoverlapping(octets.as_ptr(), asked.pValue.cast(), length) };
            }
            Some(Change::Shorten { octets, .. }) if !asked.pValue.is_null() => {
                asked.ulValueLen = asked.ulValueLen.min(*octets)
            }
            Some(Change::Unavailable { .. }) => asked.ulValueLen = CK_UNAVAILABLE_INFORMATION,
            _ => {}
        }
    }
    rv
}

unsafe fn label_of(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> String {
    let mut label = [0u8; 64];
    let mut asked =
        CK_ATTRIBUTE { type_: CKA_LABEL, pValue: label.as_mut_ptr().cast(), ulValueLen: label.len() as CK_ULONG };
    let read = faulty().real.C_GetAttributeValue.expect("every module has it");
    if unsafe { read(session, object, &mut asked, 1) } != CKR_OK {
        return String::new();
    }
    String::from_utf8_lossy(&label[..size(asked.ulValueLen)]).into_owned()
}
