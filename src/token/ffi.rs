//! What cryptoki cannot do: calls straight through the module's list of functions. The only place for `unsafe`.
#![allow(
    unsafe_code,
    reason = "a module's functions are pointers into foreign code; each call argues why it may be made"
)]

use std::ffi::CStr;
use std::path::Path;
use std::ptr::{self, NonNull};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error as Cryptoki, Rv, RvError};
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_INFO, CK_INTERFACE, CK_MECHANISM, CK_MECHANISM_TYPE, CK_RV, CK_TOKEN_INFO, CK_ULONG,
    CKR_CRYPTOKI_NOT_INITIALIZED, CKR_OK,
};

type Result<T> = cryptoki::error::Result<T>;

/// The longest answer that a module may announce for a signature or a wrapped key: more is no answer.
const LONGEST_ANSWER: CK_ULONG = 1 << 20;

/// C_Initialize with OS locking. `reserved` goes into pReserved, as NSS wants its configuration.
pub(super) fn initialize(pkcs11: &Pkcs11, reserved: Option<&CStr>) -> Result<()> {
    let flags = CInitializeFlags::OS_LOCKING_OK;
    let args = match reserved {
        None => CInitializeArgs::new(flags),
        // SAFETY: the pointer is to a text that ends in NUL, which is what the hierarchy's `init-args` promises of the
        // module, and `reserved` lives until C_Initialize has returned: PKCS #11 lets a module keep none of its arguments.
        Some(text) => unsafe { CInitializeArgs::new_with_reserved(flags, NonNull::from(text).cast()) },
    };
    pkcs11.initialize(args)
}

/// The functions of a module that cryptoki has loaded and initialised: of the same instance, which is why they are asked
/// for in the same order, C_GetInterface first. p11-kit's client makes another instance for everyone who asks, which nobody
/// has initialised: then they are of no use, and cryptoki does what it can.
pub(super) struct Functions {
    list: CK_FUNCTION_LIST,
    /// They are another instance's.
    apart: bool,
    /// Keeps the library mapped for as long as `list` points into it.
    _library: cryptoki_sys::Pkcs11,
}

impl Functions {
    /// The library is loaded already: this counts one user more and runs none of its code but these two questions.
    pub(super) fn of(path: &Path) -> Result<Functions> {
        // SAFETY: loading runs the library's constructors. It is loaded at this absolute path already, so they have run:
        // nothing happens that the hierarchy's `module` has not allowed.
        let library = unsafe { cryptoki_sys::Pkcs11::new(path) }.map_err(Cryptoki::LibraryLoading)?;
        let list = match interface(&library)? {
            Some(list) => list,
            None => function_list(&library)?,
        };
        Ok(Functions { list, apart: false, _library: library })
    }

    /// Finds out whether they are those of the instance that cryptoki has initialised, which must have happened.
    pub(super) fn settled(mut self) -> Result<Functions> {
        let call = self.list.C_GetInfo.ok_or(Cryptoki::NullFunctionPointer)?;
        let mut info = CK_INFO::default();
        // SAFETY: C_GetInfo may be called at any time after C_Initialize, and before it answers that it was not (section
        // 5.4.3); `info` is a whole CK_INFO of our own, which the module fills before it returns and does not keep.
        let said = unsafe { call(&mut info) };
        self.apart = said == CKR_CRYPTOKI_NOT_INITIALIZED;
        if !self.apart {
            ok(said, Function::GetInfo)?;
        }
        Ok(self)
    }

    pub(super) fn are_apart(&self) -> bool {
        self.apart
    }

    /// One signature of a key that wants no login for it: C_SignInit, and one C_Sign where that can be called directly.
    pub(super) fn sign_whole(
        &self,
        session: &Session,
        mechanism: &Mechanism,
        key: ObjectHandle,
        message: &[u8],
        longest: usize,
    ) -> Result<Vec<u8>> {
        if self.apart {
            return session.sign(mechanism, key, message);
        }
        session.sign_init(mechanism, key)?;
        self.sign(session, message, longest)
    }

    /// C_GetTokenInfo as the module gives it. cryptoki reads its clock as well, and fails where that holds no digits
    /// (opencryptoki).
    pub(super) fn token_info(&self, slot: Slot) -> Result<CK_TOKEN_INFO> {
        let call = self.list.C_GetTokenInfo.ok_or(Cryptoki::NullFunctionPointer)?;
        #[allow(clippy::useless_conversion, reason = "a CK_SLOT_ID has 32 bits on a machine of 32")]
        let slot = slot.id().try_into().map_err(|_| Cryptoki::InvalidValue)?;
        let mut info = CK_TOKEN_INFO::default();
        // SAFETY: the module is initialised, which `Module` holds true as long as it holds this; `info` is a whole
        // CK_TOKEN_INFO of our own, which the module fills before it returns and does not keep.
        ok(unsafe { call(slot, &mut info) }, Function::GetTokenInfo)?;
        Ok(info)
    }

    /// Ends a signature that `Session::sign_init` (and a login, where the key wants one) has begun: one C_Sign into `longest`
    /// octets. cryptoki asks for the length first, on a network HSM one more round trip for each signature, and joins
    /// C_SignInit with it, so that the login of an always-authenticate key, which belongs between the two, has no place.
    pub(super) fn sign(&self, session: &Session, message: &[u8], longest: usize) -> Result<Vec<u8>> {
        if self.apart {
            return Err(Cryptoki::NotSupported);
        }
        let call = self.list.C_Sign.ok_or(Cryptoki::NullFunctionPointer)?;
        let length = CK_ULONG::try_from(message.len())?;
        into_buffer(longest, Function::Sign, |place, room| {
            // SAFETY: the session is open, since `session` is borrowed and closes only when it is dropped. `message` has
            // `length` octets, which C_Sign does not write to, whatever its type says; `place` is null or has `*room` octets
            // (see `into_buffer`), and the module keeps neither.
            unsafe { call(session.handle(), message.as_ptr().cast_mut(), length, place, room) }
        })
    }

    /// C_WrapKey, cut to the length that the module returns with the octets themselves: cryptoki keeps the one that it was
    /// told at first, which some modules (NSS) give too large.
    pub(super) fn wrap(
        &self,
        session: &Session,
        mechanism: &Mechanism<'_>,
        wrapping: ObjectHandle,
        key: ObjectHandle,
        longest: usize,
    ) -> Result<Vec<u8>> {
        let call = self.list.C_WrapKey.ok_or(Cryptoki::NullFunctionPointer)?;
        // Its parameters, if any, lie in `mechanism`, which outlives the call.
        let mut mechanism = CK_MECHANISM::from(mechanism);
        into_buffer(longest, Function::WrapKey, |place, room| {
            // SAFETY: as for a signature; `mechanism` is a whole CK_MECHANISM, and the two handles are numbers that the
            // module judges.
            unsafe { call(session.handle(), &mut mechanism, wrapping.handle(), key.handle(), place, room) }
        })
    }
}

/// Asks for an answer into `longest` octets, and where that is too little, once more with the room that the module names
/// (PKCS #11 v3.0, section 5.2). `call` gets null, or a place with as many octets as the second argument says.
fn into_buffer(
    longest: usize,
    function: Function,
    mut call: impl FnMut(*mut u8, *mut CK_ULONG) -> CK_RV,
) -> Result<Vec<u8>> {
    let mut answer = vec![0; longest];
    let mut room = CK_ULONG::try_from(longest)?;
    let mut said = Rv::from(call(answer.as_mut_ptr(), &mut room));
    if said == Rv::Error(RvError::BufferTooSmall) {
        room = 0;
        ok(call(ptr::null_mut(), &mut room), function)?;
        if room > LONGEST_ANSWER {
            return Err(Cryptoki::InvalidValue);
        }
        answer = vec![0; usize::try_from(room)?];
        said = Rv::from(call(answer.as_mut_ptr(), &mut room));
    }
    said.into_result(function)?;
    let length = usize::try_from(room)?;
    if length > answer.len() {
        // More than there was room for: not to be believed, and not to be read.
        return Err(Cryptoki::InvalidValue);
    }
    answer.truncate(length);
    Ok(answer)
}

/// The default interface's functions, where it is of version 3 or later: all of those begin with the list of 2.40
/// (PKCS #11 v3.0, section 5.1).
fn interface(library: &cryptoki_sys::Pkcs11) -> Result<Option<CK_FUNCTION_LIST>> {
    let Ok(call) = &library.C_GetInterface else { return Ok(None) };
    let mut interface: *mut CK_INTERFACE = ptr::null_mut();
    // SAFETY: no name and no version ask for the default interface (section 5.4.6); the place for the answer is ours.
    ok(unsafe { call(ptr::null_mut(), ptr::null_mut(), &mut interface, 0) }, Function::GetInterface)?;
    if interface.is_null() {
        return Ok(None);
    }
    // SAFETY: after CKR_OK a pointer that is not null is to a CK_INTERFACE of the module's own, which lives as long as the
    // library is mapped.
    let functions = unsafe { (*interface).pFunctionList }.cast::<CK_FUNCTION_LIST>();
    if functions.is_null() {
        return Ok(None);
    }
    // SAFETY: the same of its list, whose beginning is a CK_FUNCTION_LIST in every version. It is copied.
    let list = unsafe { *functions };
    Ok(Some(list).filter(|list| list.version.major >= 3))
}

fn function_list(library: &cryptoki_sys::Pkcs11) -> Result<CK_FUNCTION_LIST> {
    let Ok(call) = &library.C_GetFunctionList else { return Err(Cryptoki::MissingSymbol("C_GetFunctionList")) };
    let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
    // SAFETY: the place for the answer is ours.
    ok(unsafe { call(&mut list) }, Function::GetFunctionList)?;
    let list = NonNull::new(list).ok_or(Cryptoki::NullFunctionPointer)?;
    // SAFETY: after CKR_OK it points to the module's own list, which lives as long as the library is mapped. It is copied.
    Ok(unsafe { *list.as_ptr() })
}

fn ok(rv: CK_RV, function: Function) -> Result<()> {
    match rv {
        CKR_OK => Ok(()),
        rv => Rv::from(rv).into_result(function),
    }
}

/// A mechanism without parameters by its number, for those that cryptoki has no name for.
pub(super) fn numbered(number: CK_MECHANISM_TYPE) -> Mechanism<'static> {
    // SAFETY: `MechanismType` is `repr(transparent)` over CK_MECHANISM_TYPE, so that lists of the two have one layout, as its
    // source says; and every number is one of its values, since modules have mechanisms of their own.
    let number = unsafe { std::mem::transmute::<CK_MECHANISM_TYPE, MechanismType>(number) };
    Mechanism::VendorDefined(VendorDefinedMechanism::new::<()>(number, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki_sys::{CKR_BUFFER_TOO_SMALL, CKR_DEVICE_ERROR, CKR_OK};

    /// A module that answers `real` octets, whatever room it is said to have.
    fn module(real: &'static [u8], calls: &mut Vec<Option<CK_ULONG>>) -> impl FnMut(*mut u8, *mut CK_ULONG) -> CK_RV {
        move |place, room| {
            // SAFETY: `into_buffer` gives a valid pointer to the length, and as many octets as it says.
            unsafe {
                calls.push((!place.is_null()).then_some(*room));
                let (given, length) = (*room, real.len() as CK_ULONG);
                *room = length;
                if place.is_null() {
                    return CKR_OK;
                }
                if given < length {
                    return CKR_BUFFER_TOO_SMALL;
                }
                place.copy_from(real.as_ptr(), real.len());
            }
            CKR_OK
        }
    }

    #[test]
    fn an_answer_that_fits_takes_one_call_and_is_cut_to_its_length() {
        let mut calls = Vec::new();
        assert_eq!(into_buffer(8, Function::Sign, module(b"abc", &mut calls)).unwrap(), b"abc");
        assert_eq!(calls, [Some(8)]);
    }

    #[test]
    fn an_answer_that_does_not_fit_is_asked_for_with_the_room_it_wants() {
        let mut calls = Vec::new();
        assert_eq!(into_buffer(2, Function::Sign, module(b"abcde", &mut calls)).unwrap(), b"abcde");
        assert_eq!(calls, [Some(2), None, Some(5)]);
    }

    #[test]
    fn a_length_that_cannot_be_true_is_not_believed() {
        let lies = |lie: CK_ULONG, first: CK_RV| {
            let mut calls = 0;
            into_buffer(4, Function::Sign, move |_, room| {
                calls += 1;
                // SAFETY: `into_buffer` gives a valid pointer to the length.
                unsafe { *room = lie };
                if calls == 1 { first } else { CKR_OK }
            })
        };
        assert!(matches!(lies(5, CKR_OK), Err(Cryptoki::InvalidValue)));
        assert!(matches!(lies(LONGEST_ANSWER + 1, CKR_BUFFER_TOO_SMALL), Err(Cryptoki::InvalidValue)));
        assert!(matches!(lies(4, CKR_DEVICE_ERROR), Err(Cryptoki::Pkcs11(RvError::DeviceError, _))));
    }

    #[test]
    fn a_mechanism_keeps_its_number() {
        let raw = CK_MECHANISM::from(&numbered(0x210b));
        assert_eq!((raw.mechanism, raw.pParameter.is_null(), raw.ulParameterLen), (0x210b, true, 0));
    }
}
