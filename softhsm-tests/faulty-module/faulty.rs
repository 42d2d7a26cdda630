//! A PKCS#11 module that forwards to another one, logs the calls, and plays faults by a script. See README.md.
//!
//! It stands between worker and token, so what is tested is the program as it is: no mock answers in the token's place,
//! and whatever the script does not name is the real module's own answer.
#![allow(unsafe_code, reason = "a PKCS#11 module is a table of foreign functions; each call says why it may be made")]

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use cryptoki_sys::*;

#[path = "answers.rs"]
mod answers;
#[path = "deeds.rs"]
mod deeds;
#[path = "script.rs"]
mod script;
use script::{Call, Change, Fault, Rule, When};

/// The name says it all, and no two of them are live in one process: a module is loaded once.
static FAULTY: OnceLock<Faulty> = OnceLock::new();

struct Faulty {
    real: CK_FUNCTION_LIST,
    list: CK_FUNCTION_LIST,
    dir: PathBuf,
    rules: Vec<Rule>,
    /// How many processes have loaded the module since the directory was made, this one included.
    process: u64,
    /// Calls of each function, of all (`*`), and of those that give a signature (`signature`).
    calls: Mutex<HashMap<&'static str, u64>>,
    log: Option<Mutex<File>>,
}

impl Faulty {
    /// Loads the real module. What is wrong here is the test's mistake, so it ends the process with a message.
    fn start() -> Faulty {
        let real = std::env::var("FAULTY_MODULE").expect("FAULTY_MODULE names the real module");
        let dir = PathBuf::from(std::env::var_os("FAULTY_DIR").expect("FAULTY_DIR names the script's directory"));
        let script = fs::read_to_string(dir.join("script")).unwrap_or_default();
        let rules = script::parse(&script, NAMES).unwrap_or_else(|line| panic!("not a line of a script: {line}"));
        let appended = |name| OpenOptions::new().create(true).append(true).open(dir.join(name)).ok();
        // The place behind one's own octet in a file that all append to is one's number among them.
        let number = |mut file: File| file.write_all(b".").and_then(|()| file.stream_position()).ok();
        let process = appended("processes").and_then(number).unwrap_or(1);
        let log = appended("calls").map(Mutex::new);
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
        Faulty { real, list: replaced(real), dir, rules, process, calls: Mutex::default(), log }
    }

    /// Counts and logs one call; the fault that the script has for it.
    fn fault(&self, call: &Call) -> Option<&Fault> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        for name in call.names() {
            *calls.entry(name).or_default() += 1;
        }
        if let Some(log) = &self.log {
            // In one write: another thread may crash the process in the middle of two.
            let line = format!("{}\n", call.name);
            let _ = log.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
        }
        let due =
            |(number, rule): &(usize, &Rule)| rule.applies(call, &calls, self.process) && self.fires(*number, rule);
        self.rules.iter().enumerate().find(due).map(|(_, rule)| &rule.fault)
    }

    /// A rule with `once` fires for who makes the file.
    fn fires(&self, number: usize, rule: &Rule) -> bool {
        let mark = || self.dir.join(format!("fired-{number}"));
        match rule.when {
            When::Always => true,
            When::Once => OpenOptions::new().write(true).create_new(true).open(mark()).is_ok(),
            When::Later => self.process > 1,
        }
    }
}

fn faulty() -> &'static Faulty {
    FAULTY.get_or_init(Faulty::start)
}

/// The entry point that every module has. C_GetInterface is missing on purpose: who looks for it falls back to this, and
/// mechanisms of PKCS #11 3.x go through the functions of 2.40 as well.
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

/// One wrapper for each function: what is done before, the real function, what is done after. In braces stands what else
/// a rule may look at, and behind the arrow who may change the answer: it gets the change, if there is one, and the real
/// function.
macro_rules! wrap {
    ($($name:ident $([$session:ident])? ($($arg:ident: $kind:ty),*) $({ $($field:ident: $seen:expr),* })? $(=> $answer:expr)?;)*) => {
        $(#[allow(non_snake_case, reason = "the names are those of PKCS #11")]
        unsafe extern "C" fn $name($($session: CK_SESSION_HANDLE,)? $($arg: $kind),*) -> CK_RV {
            #[allow(unused_mut, unused_assignments, reason = "many calls have no session and no field")]
            let mut call = Call::of(stringify!($name));
            $(call.session = Some($session);)?
            $($(call.$field = $seen;)*)?
            let fault = faulty().fault(&call);
            if let Some(Fault::Before(deed)) = fault && let Some(rv) = deeds::done(deed, &call) {
                return rv;
            }
            if let Some(Fault::Refusal(_, rv)) = fault {
                return *rv;
            }
            let Some(real) = faulty().real.$name else { return CKR_FUNCTION_NOT_SUPPORTED };
            // SAFETY: the arguments are handed on as they came.
            let real = || unsafe { real($($session,)? $($arg),*) };
            #[allow(unused_variables, reason = "many answers are never changed")]
            let change = match fault {
                Some(Fault::Change(change)) => Some(change),
                _ => None,
            };
            let rv = wrap!(@answer change, real $(, $answer)?);
            match fault {
                Some(Fault::After(deed)) => deeds::done(deed, &call).unwrap_or(rv),
                _ => rv,
            }
        })*

        /// What a rule may name.
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        fn replaced(real: CK_FUNCTION_LIST) -> CK_FUNCTION_LIST {
            CK_FUNCTION_LIST { C_GetFunctionList: Some(C_GetFunctionList), $($name: Some($name),)* ..real }
        }
    };
    (@answer $change:ident, $real:ident) => { $real() };
    (@answer $change:ident, $real:ident, $answer:expr) => { answered($answer, $change, &$real) };
}

/// Gives the closure's arguments their types.
fn answered(
    answer: impl FnOnce(Option<&Change>, &dyn Fn() -> CK_RV) -> CK_RV,
    change: Option<&Change>,
    real: &dyn Fn() -> CK_RV,
) -> CK_RV {
    answer(change, real)
}

use script::{mechanism as kind_of, template as read};

// What the worker calls, and what it may come to call; the rest of the list is the real module's own.
wrap! {
    C_Initialize(args: CK_VOID_PTR);
    C_Finalize(reserved: CK_VOID_PTR);
    C_GetInfo(info: CK_INFO_PTR) => |change, real| unsafe { answers::info(change, real, info) };
    C_GetSlotList(present: CK_BBOOL, slots: CK_SLOT_ID_PTR, count: CK_ULONG_PTR);
    C_GetSlotInfo(slot: CK_SLOT_ID, info: CK_SLOT_INFO_PTR);
    C_GetTokenInfo(slot: CK_SLOT_ID, info: CK_TOKEN_INFO_PTR)
        => |change, real| unsafe { answers::token_info(change, real, info) };
    C_GetMechanismList(slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: CK_ULONG_PTR)
        => |change, real| unsafe { answers::mechanisms(change, real, slot, list, count) };
    C_GetMechanismInfo(slot: CK_SLOT_ID, kind: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO) { mechanism: Some(kind) };
    C_InitToken(slot: CK_SLOT_ID, pin: CK_UTF8CHAR_PTR, length: CK_ULONG, label: CK_UTF8CHAR_PTR);
    C_InitPIN[session](pin: CK_UTF8CHAR_PTR, length: CK_ULONG);
    C_SetPIN[session](old: CK_UTF8CHAR_PTR, old_length: CK_ULONG, new: CK_UTF8CHAR_PTR, new_length: CK_ULONG);
    C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, app: CK_VOID_PTR, notify: CK_NOTIFY, session: CK_SESSION_HANDLE_PTR);
    C_CloseSession[session]();
    C_CloseAllSessions(slot: CK_SLOT_ID);
    C_GetSessionInfo[session](info: *mut CK_SESSION_INFO);
    C_Login[session](user: CK_USER_TYPE, pin: CK_UTF8CHAR_PTR, length: CK_ULONG);
    C_Logout[session]();
    C_CreateObject[session](template: CK_ATTRIBUTE_PTR, count: CK_ULONG, object: CK_OBJECT_HANDLE_PTR)
        { templates: [read(template, count), &[]] };
    C_CopyObject[session](
        object: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG, copy: CK_OBJECT_HANDLE_PTR
    ) { templates: [read(template, count), &[]] };
    C_DestroyObject[session](object: CK_OBJECT_HANDLE);
    C_GetObjectSize[session](object: CK_OBJECT_HANDLE, size: CK_ULONG_PTR);
    C_GetAttributeValue[session](object: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG)
        { templates: [read(template, count), &[]] }
        => |change, real| unsafe { answers::attributes(change, real, session, object, template, count) };
    C_SetAttributeValue[session](object: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG)
        { templates: [read(template, count), &[]] };
    C_FindObjectsInit[session](template: CK_ATTRIBUTE_PTR, count: CK_ULONG) { templates: [read(template, count), &[]] };
    C_FindObjects[session](objects: CK_OBJECT_HANDLE_PTR, most: CK_ULONG, count: CK_ULONG_PTR)
        => |change, real| unsafe { answers::objects(change, real, objects, most, count) };
    C_FindObjectsFinal[session]();
    C_EncryptInit[session](mechanism: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) { mechanism: kind_of(mechanism) };
    C_Encrypt[session](data: CK_BYTE_PTR, length: CK_ULONG, out: CK_BYTE_PTR, out_length: CK_ULONG_PTR);
    C_EncryptUpdate[session](data: CK_BYTE_PTR, length: CK_ULONG, out: CK_BYTE_PTR, out_length: CK_ULONG_PTR);
    C_EncryptFinal[session](out: CK_BYTE_PTR, out_length: CK_ULONG_PTR);
    C_DecryptInit[session](mechanism: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) { mechanism: kind_of(mechanism) };
    C_Decrypt[session](data: CK_BYTE_PTR, length: CK_ULONG, out: CK_BYTE_PTR, out_length: CK_ULONG_PTR);
    C_DecryptUpdate[session](data: CK_BYTE_PTR, length: CK_ULONG, out: CK_BYTE_PTR, out_length: CK_ULONG_PTR);
    C_DecryptFinal[session](out: CK_BYTE_PTR, out_length: CK_ULONG_PTR);
    C_DigestInit[session](mechanism: CK_MECHANISM_PTR) { mechanism: kind_of(mechanism) };
    C_Digest[session](data: CK_BYTE_PTR, length: CK_ULONG, out: CK_BYTE_PTR, out_length: CK_ULONG_PTR);
    C_SignInit[session](mechanism: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) { mechanism: kind_of(mechanism) }
        => |_, real| answers::sign_init(real, session, key);
    C_Sign[session](data: CK_BYTE_PTR, length: CK_ULONG, signature: CK_BYTE_PTR, signature_length: CK_ULONG_PTR)
        { signature: !signature.is_null() }
        => |change, real| unsafe {
            answers::signature(change, real, session, Some((data, length)), signature, signature_length)
        };
    C_SignUpdate[session](data: CK_BYTE_PTR, length: CK_ULONG);
    C_SignFinal[session](signature: CK_BYTE_PTR, signature_length: CK_ULONG_PTR) { signature: !signature.is_null() }
        => |change, real| unsafe { answers::signature(change, real, session, None, signature, signature_length) };
    C_VerifyInit[session](mechanism: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) { mechanism: kind_of(mechanism) };
    C_Verify[session](data: CK_BYTE_PTR, length: CK_ULONG, signature: CK_BYTE_PTR, signature_length: CK_ULONG);
    C_VerifyUpdate[session](data: CK_BYTE_PTR, length: CK_ULONG);
    C_VerifyFinal[session](signature: CK_BYTE_PTR, signature_length: CK_ULONG);
    C_GenerateKey[session](
        mechanism: CK_MECHANISM_PTR, template: CK_ATTRIBUTE_PTR, count: CK_ULONG, key: CK_OBJECT_HANDLE_PTR
    ) { mechanism: kind_of(mechanism), templates: [read(template, count), &[]] };
    C_GenerateKeyPair[session](
        mechanism: CK_MECHANISM_PTR, public: CK_ATTRIBUTE_PTR, public_count: CK_ULONG,
        private: CK_ATTRIBUTE_PTR, private_count: CK_ULONG, public_key: CK_OBJECT_HANDLE_PTR, private_key: CK_OBJECT_HANDLE_PTR
    ) { mechanism: kind_of(mechanism), templates: [read(public, public_count), read(private, private_count)] };
    C_WrapKey[session](
        mechanism: CK_MECHANISM_PTR, with: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, out: CK_BYTE_PTR, length: CK_ULONG_PTR
    ) { mechanism: kind_of(mechanism) };
    C_UnwrapKey[session](
        mechanism: CK_MECHANISM_PTR, with: CK_OBJECT_HANDLE, wrapped: CK_BYTE_PTR, length: CK_ULONG,
        template: CK_ATTRIBUTE_PTR, count: CK_ULONG, key: CK_OBJECT_HANDLE_PTR
    ) { mechanism: kind_of(mechanism), templates: [read(template, count), &[]] };
    C_DeriveKey[session](
        mechanism: CK_MECHANISM_PTR, base: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG,
        key: CK_OBJECT_HANDLE_PTR
    ) { mechanism: kind_of(mechanism), templates: [read(template, count), &[]] };
    C_SeedRandom[session](seed: CK_BYTE_PTR, length: CK_ULONG);
    C_GenerateRandom[session](random: CK_BYTE_PTR, length: CK_ULONG)
        => |change, real| unsafe { answers::random(change, real, random, length) };
}
