//! What cryptoki cannot do: calls straight through the module's list of functions. The only place for `unsafe`.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::path::Path;
use std::ptr::{self, NonNull};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error as Cryptoki, Rv};
use cryptoki::slot::Slot;
use cryptoki_sys::{CK_FUNCTION_LIST, CK_INTERFACE, CK_RV, CK_TOKEN_INFO, CKR_OK};

type Result<T> = cryptoki::error::Result<T>;

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
/// for in the same order, C_GetInterface first. In p11-kit's client the list of C_GetFunctionList is another instance,
/// that nobody has initialised.
pub(super) struct Functions {
    list: CK_FUNCTION_LIST,
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
        Ok(Functions { list, _library: library })
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
