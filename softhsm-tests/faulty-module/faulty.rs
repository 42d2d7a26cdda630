//! A PKCS#11 module that forwards to another one, logs the calls, and plays faults by a script. See README.md.
//!
//! It stands between worker and token, so what is tested is the program as it is: no mock answers in the token's place,
//! and whatever the script does not name is the real module's own answer.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use cryptoki_sys::*;

#[path = "script.rs"]
mod script;
use script::{Fault, Rule, When};

/// The name says it all, and no two of them are live in one process: a module is loaded once.
static FAULTY: OnceLock<Faulty> = OnceLock::new();

struct Faulty {
    real: CK_FUNCTION_LIST,
    list: CK_FUNCTION_LIST,
    dir: PathBuf,
    rules: Vec<Rule>,
    /// No other process has loaded the module since the directory was made.
    first: bool,
    calls: Mutex<HashMap<&'static str, u64>>,
    log: Option<Mutex<File>>,
}

impl Faulty {
    /// Loads the real module. What is wrong here is the test's mistake, so it ends the process with a message.
    fn start() -> Faulty {
        let real = std::env::var("FAULTY_MODULE").expect("FAULTY_MODULE names the real module");
        let dir = PathBuf::from(std::env::var_os("FAULTY_DIR").expect("FAULTY_DIR names the script's directory"));
        let script = fs::read_to_string(dir.join("script")).unwrap_or_default();
        let rules = script::parse(&script).unwrap_or_else(|line| panic!("not a line of a script: {line}"));
        let first = OpenOptions::new().write(true).create_new(true).open(dir.join("first")).is_ok();
        let log = OpenOptions::new().create(true).append(true).open(dir.join("calls")).ok().map(Mutex::new);
        // SAFETY: a PKCS#11 module, by the word of the test; its constructors are its own matter. It is never unloaded,
        // since function pointers out of it stay in `real`.
        let library = Box::leak(Box::new(unsafe { libloading::Library::new(&real) }.expect("the real module loads")));
        // SAFETY: PKCS #11 section 5.3 gives C_GetFunctionList this signature and its list the life of the library.
        let real = unsafe {
            let get: libloading::Symbol<unsafe extern "C" fn(CK_FUNCTION_LIST_PTR_PTR) -> CK_RV> =
                library.get(b"C_GetFunctionList\0").expect("the real module has C_GetFunctionList");
            let mut list = std::ptr::null_mut();
            assert_eq!(get(&mut list), CKR_OK);
            *list
        };
        Faulty { real, list: replaced(real), dir, rules, first, calls: Mutex::default(), log }
    }

    /// Counts and logs one call; the fault that the script has for it.
    fn fault(&self, name: &'static str) -> Option<&Fault> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let count = calls.entry(name).or_default();
        *count += 1;
        if let Some(log) = &self.log {
            let _ = writeln!(log.lock().unwrap_or_else(PoisonError::into_inner), "{name}");
        }
        let due = |(number, rule): &(usize, &Rule)| rule.applies(name, *count) && self.fires(*number, rule);
        self.rules.iter().enumerate().find(due).map(|(_, rule)| &rule.fault)
    }

    /// A rule with `once` fires for who makes the file.
    fn fires(&self, number: usize, rule: &Rule) -> bool {
        let mark = || self.dir.join(format!("fired-{number}"));
        match rule.when {
            When::Always => true,
            When::Once => OpenOptions::new().write(true).create_new(true).open(mark()).is_ok(),
            When::Later => !self.first,
        }
    }
}

fn faulty() -> &'static Faulty {
    FAULTY.get_or_init(Faulty::start)
}

/// The entry point that every module has. C_GetInterface is missing on purpose: who looks for it falls back to this.
///
/// # Safety
/// `list` points to a place for a pointer (PKCS #11 section 5.3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    let Some(list) = (unsafe { list.as_mut() }) else { return CKR_ARGUMENTS_BAD };
    // The caller reads through the pointer and never writes, as the standard has it.
    *list = (&raw const faulty().list).cast_mut();
    CKR_OK
}

/// The real function has filled in what it can: C_GetAttributeValue does so for the other attributes too when one is
/// unknown or secret.
fn answered(rv: CK_RV) -> bool {
    matches!(rv, CKR_OK | CKR_ATTRIBUTE_TYPE_INVALID | CKR_ATTRIBUTE_SENSITIVE)
}

/// One wrapper for each function: the fault, if it is one that needs no look at the arguments, or the real function and
/// then `$after`, which sees the arguments and the fault; it runs only where the real function was content with them.
macro_rules! wrap {
    ($($name:ident($($arg:ident: $kind:ty),*) $(=> $after:expr)?;)*) => {
        $(#[allow(non_snake_case)]
        unsafe extern "C" fn $name($($arg: $kind),*) -> CK_RV {
            let fault = faulty().fault(stringify!($name));
            match fault {
                Some(Fault::Return(rv)) => return *rv,
                Some(Fault::Hang) => loop { std::thread::park() },
                Some(Fault::Crash) => std::process::abort(),
                _ => {}
            }
            let Some(real) = faulty().real.$name else { return CKR_FUNCTION_NOT_SUPPORTED };
            // SAFETY: the arguments are handed on as they came.
            let rv = unsafe { real($($arg),*) };
            match fault {
                Some(Fault::After(instead)) => return *instead,
                $(Some(fault) if answered(rv) => $after(fault),)?
                _ => {}
            }
            rv
        })*

        fn replaced(real: CK_FUNCTION_LIST) -> CK_FUNCTION_LIST {
            CK_FUNCTION_LIST { C_GetFunctionList: Some(C_GetFunctionList), $($name: Some($name),)* ..real }
        }
    };
}

wrap! {
    C_Initialize(args: CK_VOID_PTR);
    C_Finalize(reserved: CK_VOID_PTR);
    C_GetInfo(info: CK_INFO_PTR);
    C_GetSlotList(present: CK_BBOOL, slots: CK_SLOT_ID_PTR, count: CK_ULONG_PTR);
    C_GetTokenInfo(slot: CK_SLOT_ID, info: CK_TOKEN_INFO_PTR)
        => |fault| unsafe { token_info(fault, info) };
    C_InitToken(slot: CK_SLOT_ID, pin: CK_UTF8CHAR_PTR, length: CK_ULONG, label: CK_UTF8CHAR_PTR);
    C_InitPIN(session: CK_SESSION_HANDLE, pin: CK_UTF8CHAR_PTR, length: CK_ULONG);
    C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, app: CK_VOID_PTR, notify: CK_NOTIFY, session: CK_SESSION_HANDLE_PTR);
    C_CloseSession(session: CK_SESSION_HANDLE);
    C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: CK_UTF8CHAR_PTR, length: CK_ULONG);
    C_Logout(session: CK_SESSION_HANDLE);
    C_CreateObject(session: CK_SESSION_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG, object: CK_OBJECT_HANDLE_PTR);
    C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE);
    C_GetAttributeValue(
        session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG
    ) => |fault| unsafe { attribute(fault, session, object, template, count) };
    C_FindObjectsInit(session: CK_SESSION_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG);
    C_FindObjects(session: CK_SESSION_HANDLE, objects: CK_OBJECT_HANDLE_PTR, most: CK_ULONG, count: CK_ULONG_PTR);
    C_FindObjectsFinal(session: CK_SESSION_HANDLE);
    C_SignInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE);
    C_Sign(
        session: CK_SESSION_HANDLE, data: CK_BYTE_PTR, data_length: CK_ULONG, signature: CK_BYTE_PTR, length: CK_ULONG_PTR
    ) => |fault| unsafe { garble(fault, signature, length) };
    C_GenerateKeyPair(
        session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, public: CK_ATTRIBUTE_PTR, public_count: CK_ULONG,
        private: CK_ATTRIBUTE_PTR, private_count: CK_ULONG, public_key: CK_OBJECT_HANDLE_PTR, private_key: CK_OBJECT_HANDLE_PTR
    );
    C_GenerateRandom(session: CK_SESSION_HANDLE, random: CK_BYTE_PTR, length: CK_ULONG);
}

unsafe fn token_info(fault: &Fault, info: CK_TOKEN_INFO_PTR) {
    let Some(info) = (unsafe { info.as_mut() }) else { return };
    match fault {
        Fault::Flags(flags) => info.flags |= flags,
        Fault::Serial(text) => {
            info.serialNumber.fill(b' ');
            info.serialNumber[..text.len()].copy_from_slice(text.as_bytes());
        }
        _ => {}
    }
}

/// Turns the last bit of the signature; asked for the length alone, there is none.
unsafe fn garble(fault: &Fault, signature: CK_BYTE_PTR, length: CK_ULONG_PTR) {
    if let (Fault::Garble, false) = (fault, signature.is_null()) {
        let length = usize::try_from(unsafe { *length }).expect("a length fits");
        let signature = unsafe { std::slice::from_raw_parts_mut(signature, length) };
        *signature.last_mut().expect("a signature has octets") ^= 1;
    }
}

/// Puts the script's octets in the place of an attribute's, at most as many as there are.
unsafe fn attribute(
    fault: &Fault,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: CK_ATTRIBUTE_PTR,
    count: CK_ULONG,
) {
    let Fault::Attribute { kind, octets, label } = fault else { return };
    if label.as_ref().is_some_and(|wanted| unsafe { label_of(session, object) } != *wanted) {
        return;
    }
    let count = usize::try_from(count).expect("a count fits");
    for asked in unsafe { std::slice::from_raw_parts_mut(template, count) } {
        let length = usize::try_from(asked.ulValueLen).expect("a length fits").min(octets.len());
        let there = asked.ulValueLen != CK_UNAVAILABLE_INFORMATION && !asked.pValue.is_null();
        if asked.type_ == *kind && there {
            unsafe { std::ptr::copy_nonoverlapping(octets.as_ptr(), asked.pValue.cast(), length) };
        }
    }
}

unsafe fn label_of(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> String {
    let mut label = [0u8; 64];
    let mut asked =
        CK_ATTRIBUTE { type_: CKA_LABEL, pValue: label.as_mut_ptr().cast(), ulValueLen: label.len() as CK_ULONG };
    let read = faulty().real.C_GetAttributeValue.expect("every module has it");
    if unsafe { read(session, object, &mut asked, 1) } != CKR_OK {
        return String::new();
    }
    let length = usize::try_from(asked.ulValueLen).expect("a length fits");
    String::from_utf8_lossy(&label[..length]).into_owned()
}
