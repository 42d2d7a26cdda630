//! The return values of PKCS #11 3.2, and what each means for a run.
//!
//! The class decides what the gate does (`docs/recovery.md` has this table and argues it):
//!
//! | class | the gate |
//! | --- | --- |
//! | retry | asks the same worker again, after a pause; from the third failure in a row on, another worker |
//! | reopen | ends the worker and asks another one: the module initialised anew, one login, the keys found again |
//! | refuse | does not ask again: the question is impossible here |
//! | halt | does not ask again: state is kept, and a person must look first |
//! | pin | does not ask again: a token counts its tries |
//!
//! Where a device says the same for "not now" and "never" (`CKR_FUNCTION_FAILED`, `CKR_DEVICE_ERROR`), it is asked again:
//! that costs a bounded time, while giving up costs the people who are assembled. Handles and logins that are gone are
//! trouble and not refusals: they belonged to a session that is gone as well. What is not in the table concludes nothing.

use cryptoki::error::{Rv, RvError};

use super::ask::Class;

/// One return value.
#[derive(Debug)]
pub(super) struct Ckr {
    value: u64,
    /// As the standard writes it.
    name: &'static str,
    class: Class,
    /// For people, a clause each: what it means, and what to do if it stays.
    means: &'static str,
    then: &'static str,
}

/// The class of values that the standard does not know, a vendor's own among them.
const UNKNOWN: Class = Class::Reopen;

impl Ckr {
    fn of(rv: &RvError) -> Option<&'static Ckr> {
        TABLE.iter().find(|ckr| cryptoki::error::Rv::from(ckr.value) == Rv::Error(*rv))
    }
}

/// What the value means for the run.
pub(super) fn class(rv: &RvError) -> Class {
    Ckr::of(rv).map_or(UNKNOWN, |ckr| ckr.class)
}

/// The name of a value as the standard writes it: `CKR_PIN_INCORRECT`.
pub(super) fn name(rv: &RvError) -> String {
    match (Ckr::of(rv), rv) {
        (Some(ckr), _) => ckr.name.into(),
        (None, RvError::VendorDefined(n) | RvError::UnknownErrorCode(n)) => format!("CKR 0x{n:08x}"),
        (None, other) => format!("{other:?}"),
    }
}

/// The name and what it means: `CKR_PIN_INCORRECT (the PIN is wrong)`.
pub(super) fn shown(rv: &RvError) -> String {
    match Ckr::of(rv) {
        Some(ckr) => format!("{} ({})", ckr.name, ckr.means),
        None => name(rv),
    }
}

/// What people do about it; `None` for values that the standard does not know.
pub(super) fn advice(rv: &RvError) -> Option<&'static str> {
    Ckr::of(rv).map(|ckr| ckr.then)
}

// One line each, to be read beside the standard's own list.
#[rustfmt::skip]
const TABLE: [Ckr; 103] = [
    Ckr { value: 0x1, name: "CKR_CANCEL", class: Class::Retry, means: "the call was cancelled, at the token's own keypad for one", then: "do not cancel it again" },
    Ckr { value: 0x2, name: "CKR_HOST_MEMORY", class: Class::Reopen, means: "the module found no memory on this machine", then: "end what else runs on it" },
    Ckr { value: 0x3, name: "CKR_SLOT_ID_INVALID", class: Class::Reopen, means: "the slot is gone or has another number since the module was loaded", then: "see that the token is inserted" },
    Ckr { value: 0x5, name: "CKR_GENERAL_ERROR", class: Class::Reopen, means: "the module says that it cannot recover and not why", then: "read the module's own log" },
    Ckr { value: 0x6, name: "CKR_FUNCTION_FAILED", class: Class::Retry, means: "the module could not do it this time and not why, as throttled network HSMs answer", then: "wait, then look at the device" },
    Ckr { value: 0x7, name: "CKR_ARGUMENTS_BAD", class: Class::Refused, means: "the module takes none of the arguments it was given", then: "compare the token's vendor profile with its manual" },
    Ckr { value: 0x8, name: "CKR_NO_EVENT", class: Class::Refused, means: "no slot has changed, an answer to a question that is not asked here", then: "report the module to its vendor" },
    Ckr { value: 0x9, name: "CKR_NEED_TO_CREATE_THREADS", class: Class::Refused, means: "the module needs threads of its own, which it may make here", then: "see to its configuration" },
    Ckr { value: 0xa, name: "CKR_CANT_LOCK", class: Class::Refused, means: "the module cannot lock by means of the operating system, so parallel sessions are not safe", then: "use another version of it" },
    Ckr { value: 0x10, name: "CKR_ATTRIBUTE_READ_ONLY", class: Class::Refused, means: "an attribute can not be set by its user", then: "compare the token's vendor profile with its manual" },
    Ckr { value: 0x11, name: "CKR_ATTRIBUTE_SENSITIVE", class: Class::Refused, means: "an attribute may not be read, as it should be for private halves", then: "the hierarchy asks for what this token hides" },
    Ckr { value: 0x12, name: "CKR_ATTRIBUTE_TYPE_INVALID", class: Class::Refused, means: "the token does not know an attribute", then: "compare the token's vendor profile with its manual" },
    Ckr { value: 0x13, name: "CKR_ATTRIBUTE_VALUE_INVALID", class: Class::Refused, means: "the token does not take an attribute's value, a label that is there already for one", then: "choose another label or profile" },
    Ckr { value: 0x1b, name: "CKR_ACTION_PROHIBITED", class: Class::Refused, means: "the token's or the object's policy forbids it", then: "let its security officer see to the policy" },
    Ckr { value: 0x20, name: "CKR_DATA_INVALID", class: Class::Refused, means: "the key does not sign such data", then: "probe what this token signs" },
    Ckr { value: 0x21, name: "CKR_DATA_LEN_RANGE", class: Class::Refused, means: "the data is too long or too short for this token", then: "probe its largest message" },
    Ckr { value: 0x30, name: "CKR_DEVICE_ERROR", class: Class::Reopen, means: "the device or the way to it is in trouble", then: "see to the device, its cable and its network" },
    Ckr { value: 0x31, name: "CKR_DEVICE_MEMORY", class: Class::Reopen, means: "the device is out of memory", then: "remove from it what is not needed, or use fewer sessions" },
    Ckr { value: 0x32, name: "CKR_DEVICE_REMOVED", class: Class::Reopen, means: "the token was pulled while it worked", then: "put it in again" },
    Ckr { value: 0x40, name: "CKR_ENCRYPTED_DATA_INVALID", class: Class::Refused, means: "the wrapped data is not what this key wrapped", then: "take the right backup" },
    Ckr { value: 0x41, name: "CKR_ENCRYPTED_DATA_LEN_RANGE", class: Class::Refused, means: "the wrapped data has a length that no wrapping gives", then: "take the right backup" },
    Ckr { value: 0x42, name: "CKR_AEAD_DECRYPT_FAILED", class: Class::Refused, means: "the wrapped data was changed, or belongs to another key", then: "take the right backup" },
    Ckr { value: 0x50, name: "CKR_FUNCTION_CANCELED", class: Class::Retry, means: "the call was cancelled while it ran", then: "do not cancel it again" },
    Ckr { value: 0x51, name: "CKR_FUNCTION_NOT_PARALLEL", class: Class::Refused, means: "nothing runs in this session, an answer to a question that is not asked here", then: "report the module to its vendor" },
    Ckr { value: 0x54, name: "CKR_FUNCTION_NOT_SUPPORTED", class: Class::Refused, means: "the module does not have the function", then: "use another token for this, or another version of the module" },
    Ckr { value: 0x60, name: "CKR_KEY_HANDLE_INVALID", class: Class::Reopen, means: "the key's handle went with its session", then: "see that the key is still on the token if it stays so" },
    Ckr { value: 0x62, name: "CKR_KEY_SIZE_RANGE", class: Class::Refused, means: "the token does not take keys of this size", then: "choose another algorithm for the key" },
    Ckr { value: 0x63, name: "CKR_KEY_TYPE_INCONSISTENT", class: Class::Refused, means: "the key is of another kind than the mechanism", then: "compare the token's keys with the hierarchy" },
    Ckr { value: 0x64, name: "CKR_KEY_NOT_NEEDED", class: Class::Refused, means: "a key was given where none belongs", then: "compare the token's vendor profile with its manual" },
    Ckr { value: 0x65, name: "CKR_KEY_CHANGED", class: Class::Halt, means: "a key is not the one that it was", then: "stop and find out who was at the token" },
    Ckr { value: 0x66, name: "CKR_KEY_NEEDED", class: Class::Refused, means: "a key is missing where one belongs", then: "compare the token's vendor profile with its manual" },
    Ckr { value: 0x67, name: "CKR_KEY_INDIGESTIBLE", class: Class::Refused, means: "the key's value can not be hashed here", then: "compare the token's vendor profile with its manual" },
    Ckr { value: 0x68, name: "CKR_KEY_FUNCTION_NOT_PERMITTED", class: Class::Refused, means: "the key's attributes do not allow this use", then: "compare the token's keys with the hierarchy" },
    Ckr { value: 0x69, name: "CKR_KEY_NOT_WRAPPABLE", class: Class::Refused, means: "the token cannot wrap this key with that one", then: "see what backup its vendor has" },
    Ckr { value: 0x6a, name: "CKR_KEY_UNEXTRACTABLE", class: Class::Refused, means: "the key may not leave its token, as declared when it was made", then: "see what backup its vendor has" },
    Ckr { value: 0x70, name: "CKR_MECHANISM_INVALID", class: Class::Refused, means: "the token does not have the mechanism, or not for this key", then: "choose another algorithm for the key" },
    Ckr { value: 0x71, name: "CKR_MECHANISM_PARAM_INVALID", class: Class::Refused, means: "the token does not take the mechanism's parameters", then: "choose another algorithm for the key" },
    Ckr { value: 0x82, name: "CKR_OBJECT_HANDLE_INVALID", class: Class::Reopen, means: "the object's handle went with its session", then: "see that the object is still on the token if it stays so" },
    Ckr { value: 0x90, name: "CKR_OPERATION_ACTIVE", class: Class::Reopen, means: "the session still has an operation that was not ended", then: "see to the device if it stays so" },
    Ckr { value: 0x91, name: "CKR_OPERATION_NOT_INITIALIZED", class: Class::Reopen, means: "the session has lost the operation that was begun", then: "see to the device if it stays so" },
    Ckr { value: 0xa0, name: "CKR_PIN_INCORRECT", class: Class::Pin, means: "the PIN is wrong", then: "look how many tries are left before the next one" },
    Ckr { value: 0xa1, name: "CKR_PIN_INVALID", class: Class::Pin, means: "the PIN holds characters that the token does not take", then: "type it as it was set" },
    Ckr { value: 0xa2, name: "CKR_PIN_LEN_RANGE", class: Class::Pin, means: "the PIN is too long or too short for this token", then: "type it as it was set" },
    Ckr { value: 0xa3, name: "CKR_PIN_EXPIRED", class: Class::Pin, means: "the PIN has expired", then: "set another with the vendor's tool" },
    Ckr { value: 0xa4, name: "CKR_PIN_LOCKED", class: Class::Pin, means: "the PIN is locked after too many wrong ones", then: "let the security officer reset it" },
    Ckr { value: 0xb0, name: "CKR_SESSION_CLOSED", class: Class::Reopen, means: "the session was closed while it was in use", then: "see to the device if it stays so" },
    Ckr { value: 0xb1, name: "CKR_SESSION_COUNT", class: Class::Retry, means: "the token has no session left, those of a dead process included", then: "wait until it frees them, or set fewer `sessions`" },
    Ckr { value: 0xb3, name: "CKR_SESSION_HANDLE_INVALID", class: Class::Reopen, means: "the session is gone, after a reset, a sleep or a lost connection", then: "see to the device if it stays so" },
    Ckr { value: 0xb4, name: "CKR_SESSION_PARALLEL_NOT_SUPPORTED", class: Class::Refused, means: "the module wants serial sessions, which is what it was asked for", then: "report the module to its vendor" },
    Ckr { value: 0xb5, name: "CKR_SESSION_READ_ONLY", class: Class::Refused, means: "the session may only read, though it was opened to write", then: "see that the token is not in a read-only mode" },
    Ckr { value: 0xb6, name: "CKR_SESSION_EXISTS", class: Class::Refused, means: "another session is open, of another program for one", then: "end what else uses the token" },
    Ckr { value: 0xb7, name: "CKR_SESSION_READ_ONLY_EXISTS", class: Class::Refused, means: "a reading session keeps the security officer out", then: "end what else uses the token" },
    Ckr { value: 0xb8, name: "CKR_SESSION_READ_WRITE_SO_EXISTS", class: Class::Refused, means: "the security officer is logged in", then: "log the officer out" },
    Ckr { value: 0xc0, name: "CKR_SIGNATURE_INVALID", class: Class::Halt, means: "the token found a signature wrong", then: "stop and find out which" },
    Ckr { value: 0xc1, name: "CKR_SIGNATURE_LEN_RANGE", class: Class::Halt, means: "the token found a signature of a wrong length", then: "stop and find out which" },
    Ckr { value: 0xd0, name: "CKR_TEMPLATE_INCOMPLETE", class: Class::Refused, means: "the token wants more attributes for a new object", then: "compare the token's vendor profile with its manual" },
    Ckr { value: 0xd1, name: "CKR_TEMPLATE_INCONSISTENT", class: Class::Refused, means: "the token does not take these attributes together", then: "compare the token's vendor profile with its manual" },
    Ckr { value: 0xe0, name: "CKR_TOKEN_NOT_PRESENT", class: Class::Reopen, means: "no token is in the slot, or the way to it is down", then: "put it in, or see to its network" },
    Ckr { value: 0xe1, name: "CKR_TOKEN_NOT_RECOGNIZED", class: Class::Reopen, means: "the module does not know what is in the slot", then: "take the token out and put it in again" },
    Ckr { value: 0xe2, name: "CKR_TOKEN_WRITE_PROTECTED", class: Class::Halt, means: "the token can not be written, so the mark can not follow the log", then: "take off the write protection" },
    Ckr { value: 0xf0, name: "CKR_UNWRAPPING_KEY_HANDLE_INVALID", class: Class::Reopen, means: "the unwrapping key's handle went with its session", then: "see that the key is still on the token if it stays so" },
    Ckr { value: 0xf1, name: "CKR_UNWRAPPING_KEY_SIZE_RANGE", class: Class::Refused, means: "the unwrapping key has a size that the mechanism does not take", then: "use the key that wrapped" },
    Ckr { value: 0xf2, name: "CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT", class: Class::Refused, means: "the unwrapping key is of another kind than the mechanism", then: "use the key that wrapped" },
    Ckr { value: 0x100, name: "CKR_USER_ALREADY_LOGGED_IN", class: Class::Reopen, means: "this process is logged in already, which a login takes as success", then: "report the module to its vendor" },
    Ckr { value: 0x101, name: "CKR_USER_NOT_LOGGED_IN", class: Class::Reopen, means: "the token has forgotten the login, after a reset or a sleep", then: "see to the device if it stays so" },
    Ckr { value: 0x102, name: "CKR_USER_PIN_NOT_INITIALIZED", class: Class::Refused, means: "the token has no user PIN yet", then: "let the security officer set one" },
    Ckr { value: 0x103, name: "CKR_USER_TYPE_INVALID", class: Class::Refused, means: "the token does not have this kind of user", then: "compare the token's vendor profile with its manual" },
    Ckr { value: 0x104, name: "CKR_USER_ANOTHER_ALREADY_LOGGED_IN", class: Class::Refused, means: "somebody else is logged in to the token", then: "end what else uses it" },
    Ckr { value: 0x105, name: "CKR_USER_TOO_MANY_TYPES", class: Class::Refused, means: "more users are logged in than the token takes", then: "end what else uses it" },
    Ckr { value: 0x110, name: "CKR_WRAPPED_KEY_INVALID", class: Class::Refused, means: "the wrapped key is not what this key wrapped", then: "take the right backup" },
    Ckr { value: 0x112, name: "CKR_WRAPPED_KEY_LEN_RANGE", class: Class::Refused, means: "the wrapped key has a length that no wrapping gives", then: "take the right backup" },
    Ckr { value: 0x113, name: "CKR_WRAPPING_KEY_HANDLE_INVALID", class: Class::Reopen, means: "the wrapping key's handle went with its session", then: "see that the key is still on the token if it stays so" },
    Ckr { value: 0x114, name: "CKR_WRAPPING_KEY_SIZE_RANGE", class: Class::Refused, means: "the wrapping key has a size that the mechanism does not take", then: "use another wrapping key" },
    Ckr { value: 0x115, name: "CKR_WRAPPING_KEY_TYPE_INCONSISTENT", class: Class::Refused, means: "the wrapping key is of another kind than the mechanism", then: "use another wrapping key" },
    Ckr { value: 0x120, name: "CKR_RANDOM_SEED_NOT_SUPPORTED", class: Class::Refused, means: "the token's random numbers take no seed, which none is given", then: "report the module to its vendor" },
    Ckr { value: 0x121, name: "CKR_RANDOM_NO_RNG", class: Class::Refused, means: "the token has no random numbers", then: "use another token for the audit key" },
    Ckr { value: 0x130, name: "CKR_DOMAIN_PARAMS_INVALID", class: Class::Refused, means: "the token does not take the curve's parameters", then: "choose another algorithm for the key" },
    Ckr { value: 0x140, name: "CKR_CURVE_NOT_SUPPORTED", class: Class::Refused, means: "the token does not have the curve", then: "choose another algorithm for the key" },
    Ckr { value: 0x150, name: "CKR_BUFFER_TOO_SMALL", class: Class::Reopen, means: "the module wants more room than it asked for", then: "report it to its vendor if it stays so" },
    Ckr { value: 0x160, name: "CKR_SAVED_STATE_INVALID", class: Class::Refused, means: "a saved operation is not one, and none is saved here", then: "report the module to its vendor" },
    Ckr { value: 0x170, name: "CKR_INFORMATION_SENSITIVE", class: Class::Refused, means: "what was asked for may not be given out", then: "the hierarchy asks for what this token hides" },
    Ckr { value: 0x180, name: "CKR_STATE_UNSAVEABLE", class: Class::Refused, means: "an operation can not be saved, and none is saved here", then: "report the module to its vendor" },
    Ckr { value: 0x190, name: "CKR_CRYPTOKI_NOT_INITIALIZED", class: Class::Reopen, means: "the module has forgotten that it was initialised, or notices a fork", then: "see to its configuration if it stays so" },
    Ckr { value: 0x191, name: "CKR_CRYPTOKI_ALREADY_INITIALIZED", class: Class::Reopen, means: "the module was initialised before, by a library that it loads itself for one", then: "see to its configuration if it stays so" },
    Ckr { value: 0x1a0, name: "CKR_MUTEX_BAD", class: Class::Reopen, means: "the module's own lock is broken", then: "report it to its vendor if it stays so" },
    Ckr { value: 0x1a1, name: "CKR_MUTEX_NOT_LOCKED", class: Class::Reopen, means: "the module's own lock was not held", then: "report it to its vendor if it stays so" },
    Ckr { value: 0x1b0, name: "CKR_NEW_PIN_MODE", class: Class::Pin, means: "the token wants a new PIN first", then: "set one with the vendor's tool" },
    Ckr { value: 0x1b1, name: "CKR_NEXT_OTP", class: Class::Pin, means: "the token wants a second one-time code", then: "log in once with the vendor's tool" },
    Ckr { value: 0x1b5, name: "CKR_EXCEEDED_MAX_ITERATIONS", class: Class::Retry, means: "a random search found nothing this time, for domain parameters or a key", then: "choose another algorithm if it stays so" },
    Ckr { value: 0x1b6, name: "CKR_FIPS_SELF_TEST_FAILED", class: Class::Halt, means: "the device failed its own test, so nothing that it signs may be believed", then: "send it to its vendor" },
    Ckr { value: 0x1b7, name: "CKR_LIBRARY_LOAD_FAILED", class: Class::Refused, means: "the module cannot load a library that it needs", then: "install it, or name it in the token's `env`" },
    Ckr { value: 0x1b8, name: "CKR_PIN_TOO_WEAK", class: Class::Pin, means: "the new PIN is too weak for the token", then: "choose a longer one" },
    Ckr { value: 0x1b9, name: "CKR_PUBLIC_KEY_INVALID", class: Class::Refused, means: "the token finds a public key wrong", then: "compare the token's keys with the hierarchy" },
    Ckr { value: 0x200, name: "CKR_FUNCTION_REJECTED", class: Class::Refused, means: "the token asked somebody, and they declined it", then: "ask those who hold its cards or its second console" },
    Ckr { value: 0x201, name: "CKR_TOKEN_RESOURCE_EXCEEDED", class: Class::Retry, means: "the token is out of something for the moment", then: "wait, or set fewer `sessions`" },
    Ckr { value: 0x202, name: "CKR_OPERATION_CANCEL_FAILED", class: Class::Reopen, means: "the session's operation can not be cancelled", then: "see to the device if it stays so" },
    Ckr { value: 0x203, name: "CKR_KEY_EXHAUSTED", class: Class::Halt, means: "the key has made all the signatures it ever may", then: "plan a new key" },
    Ckr { value: 0x204, name: "CKR_PENDING", class: Class::Reopen, means: "the module answers later, though it was asked to answer at once", then: "see to its configuration if it stays so" },
    Ckr { value: 0x205, name: "CKR_SESSION_ASYNC_NOT_SUPPORTED", class: Class::Refused, means: "the token has no asynchronous sessions, and none is asked for", then: "report the module to its vendor" },
    Ckr { value: 0x206, name: "CKR_SEED_RANDOM_REQUIRED", class: Class::Halt, means: "the token's random numbers need a seed before they may be used", then: "seed them as its manual says" },
    Ckr { value: 0x207, name: "CKR_OPERATION_NOT_VALIDATED", class: Class::Halt, means: "the token's certified mode does not allow it", then: "see which mode it is in" },
    Ckr { value: 0x208, name: "CKR_TOKEN_NOT_INITIALIZED", class: Class::Halt, means: "the token is empty, though it was not", then: "stop and find out who was at it, or take the right one" },
    Ckr { value: 0x209, name: "CKR_PARAMETER_SET_NOT_SUPPORTED", class: Class::Refused, means: "the token does not have this parameter set", then: "choose another algorithm for the key" },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_has_each_value_once_and_uses_every_class() {
        let values: BTreeSet<u64> = TABLE.iter().map(|ckr| ckr.value).collect();
        let names: BTreeSet<&str> = TABLE.iter().map(|ckr| ckr.name).collect();
        assert_eq!((values.len(), names.len()), (TABLE.len(), TABLE.len()));
        assert!(TABLE.is_sorted_by_key(|ckr| ckr.value));
        for class in [Class::Retry, Class::Reopen, Class::Refused, Class::Halt, Class::Pin] {
            assert!(TABLE.iter().any(|ckr| ckr.class == class), "{class:?}");
        }
    }

    #[test]
    fn values_and_names_are_those_of_the_standard() {
        use cryptoki_sys::*;
        // The lowest and the highest of each block, and what 3.0 and 3.2 added.
        for (value, name) in [
            (CKR_CANCEL, "CKR_CANCEL"),
            (CKR_CANT_LOCK, "CKR_CANT_LOCK"),
            (CKR_ACTION_PROHIBITED, "CKR_ACTION_PROHIBITED"),
            (CKR_DEVICE_REMOVED, "CKR_DEVICE_REMOVED"),
            (CKR_AEAD_DECRYPT_FAILED, "CKR_AEAD_DECRYPT_FAILED"),
            (CKR_KEY_UNEXTRACTABLE, "CKR_KEY_UNEXTRACTABLE"),
            (CKR_OBJECT_HANDLE_INVALID, "CKR_OBJECT_HANDLE_INVALID"),
            (CKR_PIN_LOCKED, "CKR_PIN_LOCKED"),
            (CKR_SESSION_READ_WRITE_SO_EXISTS, "CKR_SESSION_READ_WRITE_SO_EXISTS"),
            (CKR_TOKEN_WRITE_PROTECTED, "CKR_TOKEN_WRITE_PROTECTED"),
            (CKR_USER_TOO_MANY_TYPES, "CKR_USER_TOO_MANY_TYPES"),
            (CKR_WRAPPING_KEY_TYPE_INCONSISTENT, "CKR_WRAPPING_KEY_TYPE_INCONSISTENT"),
            (CKR_CURVE_NOT_SUPPORTED, "CKR_CURVE_NOT_SUPPORTED"),
            (CKR_STATE_UNSAVEABLE, "CKR_STATE_UNSAVEABLE"),
            (CKR_PUBLIC_KEY_INVALID, "CKR_PUBLIC_KEY_INVALID"),
            (CKR_TOKEN_RESOURCE_EXCEEDED, "CKR_TOKEN_RESOURCE_EXCEEDED"),
            (CKR_PENDING, "CKR_PENDING"),
            (CKR_TOKEN_NOT_INITIALIZED, "CKR_TOKEN_NOT_INITIALIZED"),
            (CKR_PARAMETER_SET_NOT_SUPPORTED, "CKR_PARAMETER_SET_NOT_SUPPORTED"),
        ] {
            let Rv::Error(rv) = Rv::from(value) else { panic!("{name}") };
            assert_eq!(self::name(&rv), name);
        }
        // Every value that cryptoki knows by a name of its own is here under that name.
        for value in 1..0x300 {
            let Rv::Error(rv) = Rv::from(value) else { panic!("{value}") };
            let spelled: String = format!("{rv:?}").replace('_', "").to_uppercase();
            match (rv, Ckr::of(&rv)) {
                (RvError::UnknownErrorCode(_), _) => {}
                (_, Some(ckr)) => assert_eq!(ckr.name.replace('_', ""), format!("CKR{spelled}")),
                (_, None) => panic!("{rv:?} is missing"),
            }
        }
    }

    #[test]
    fn nothing_is_concluded_from_what_the_standard_does_not_know() {
        for rv in [RvError::VendorDefined(0x8000_0001), RvError::UnknownErrorCode(0x2ff)] {
            assert_eq!((class(&rv), advice(&rv)), (Class::Reopen, None));
        }
        assert_eq!(name(&RvError::VendorDefined(0x8000_0001)), "CKR 0x80000001");
    }

    #[test]
    fn no_pin_is_ever_tried_again_and_no_lost_handle_is_a_refusal() {
        for ckr in &TABLE {
            let about_a_pin =
                ckr.name.starts_with("CKR_PIN_") || ["CKR_NEW_PIN_MODE", "CKR_NEXT_OTP"].contains(&ckr.name);
            assert_eq!(ckr.class == Class::Pin, about_a_pin, "{}", ckr.name);
            assert!(!ckr.name.ends_with("HANDLE_INVALID") || ckr.class == Class::Reopen, "{}", ckr.name);
        }
    }

    #[test]
    fn each_sentence_is_two_short_clauses() {
        for Ckr { name, means, then, .. } in &TABLE {
            for clause in [means, then] {
                assert!(clause.is_ascii() && (8..=90).contains(&clause.len()), "{name}");
                assert!(clause.starts_with(|c: char| c.is_ascii_lowercase()), "{name}");
                assert!(!clause.contains(['.', ';', '(', '|']), "{name}");
            }
        }
    }

    #[test]
    fn the_page_about_recovery_has_the_table() {
        let page = include_str!("../../docs/recovery.md");
        let class = |class| match class {
            Class::Retry => "retry",
            Class::Reopen => "reopen",
            Class::Refused => "refuse",
            Class::Halt => "halt",
            Class::Pin => "pin",
            other => panic!("{other:?}"),
        };
        let row = |ckr: &Ckr| format!("| `{}` | {} | {}; {} |", ckr.name, class(ckr.class), ckr.means, ckr.then);
        let rows: Vec<String> = TABLE.iter().map(row).collect();
        let there: Vec<&str> = page.lines().filter(|line| line.starts_with("| `CKR_")).collect();
        assert_eq!(there, rows, "the table should read:\n{}", rows.join("\n"));
    }
}
