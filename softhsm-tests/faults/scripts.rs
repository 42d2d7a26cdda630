//! Faults over a batch of 500, in the language of `softhsm-tests/faulty-module/README.md`.
//!
//! The signatures of an undisturbed run: 1 the checkpoint of the login, 2 that of the start, 3 to 502 the certificates, 503 the
//! CRL, 504 the checkpoint of the end.

/// A script and what comes of it.
pub struct Script {
    pub name: &'static str,
    pub text: &'static str,
    pub then: Then,
    /// So often the PIN may be given to the token in the run that the script disturbs.
    pub logins: Option<usize>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Then {
    /// The run ends by itself.
    Ends,
    /// It stops, and the same command ends it once the token is mended.
    Halts,
    /// One of them.
    Either,
}
use Then::{Either, Ends, Halts};

impl Script {
    /// A function that its rules name was called at all.
    pub fn came(&self, calls: &[String]) -> bool {
        let function = |line: &str| {
            let place = line.trim_start_matches("once ").trim_start_matches("later ");
            place.split([':', '=']).next().unwrap_or_default().to_owned()
        };
        let general = |name: &str| ["*", "signature"].contains(&name);
        self.text.lines().map(function).any(|name| general(&name) || calls.contains(&name))
    }
}

const fn script(name: &'static str, text: &'static str, then: Then) -> Script {
    Script { name, text, then, logins: None }
}

const fn with_logins(name: &'static str, text: &'static str, then: Then, logins: usize) -> Script {
    Script { name, text, then, logins: Some(logins) }
}

pub const SCRIPTS: &[Script] = &[
    script("nothing goes wrong", "C_Sign=sleep:0", Ends),
    // Return values that another worker may mend
    script("the device fails once", "once signature:100=0x30", Ends),
    script("the device fails in the second chunk", "once signature:300=0x30", Ends),
    script("the device fails at the CRL", "once signature:503=0x30", Ends),
    script("the device fails at the last checkpoint", "once signature:504=0x30", Ends),
    script("the device fails in the first signature", "once signature:1=0x30", Ends),
    script("the token is gone for a moment", "once C_SignInit:150=0xe0", Ends),
    script("the device was removed", "once C_SignInit:150=0x32", Ends),
    script("no memory in the device", "once C_SignInit:150=0x31", Ends),
    script("a general error", "once C_SignInit:150=0x5", Ends),
    script("the session handle is no longer valid", "once C_SignInit:150=0xb3", Ends),
    script("the session is closed", "once C_SignInit:150=0xb0", Ends),
    script("the key handle is no longer valid", "once C_SignInit:150=0x60", Ends),
    script("the object handle is no longer valid", "once C_SignInit:150=0x82", Ends),
    script("nobody is logged in", "once C_SignInit:150=0x101", Ends),
    script("the module was finalised", "once C_SignInit:150=0x190", Ends),
    script("an operation is active", "once C_SignInit:150=0x90", Ends),
    script("a vendor's own error", "once C_SignInit:150=0x80000041", Ends),
    // Answers that are lost
    script("a signature is lost", "once signature:200=after:0x30", Ends),
    script("the writing of the mark is lost", "once C_CreateObject:2=after:0x30", Ends),
    script("the removal of the old mark is lost", "once C_DestroyObject:2=after:0x30", Ends),
    // Hangs
    script("a signature hangs", "once signature:100=hang", Ends),
    script("C_SignInit hangs in the second chunk", "once C_SignInit:300=hang", Ends),
    script("the mark's writing hangs when it is done", "once C_CreateObject:3=after:hang", Ends),
    script("C_FindObjects hangs", "once C_FindObjects:9=hang", Ends),
    with_logins("C_Login hangs", "C_Login=hang", Halts, 1),
    script("every worker hangs", "once signature:50=hang\nlater signature:1=hang", Halts),
    // Ends of the process
    script("the module aborts", "once signature:100=crash", Ends),
    script("the module reads where nothing is", "once C_SignInit:300=segv", Ends),
    script("the module ends the process", "once signature:100=exit:0", Ends),
    script("a worker is killed", "once signature:400=kill:worker", Ends),
    script("a worker dies behind a signature", "once signature:100=after:crash", Ends),
    script("a worker dies at the mark", "once C_DestroyObject:3=crash", Ends),
    script("every worker dies", "signature:50=crash", Ends),
    script("the gate is killed", "once signature:100=kill:gate", Halts),
    script("the parent is killed", "once signature:300=kill:parent", Halts),
    script("all three are killed", "once signature:350=kill:all", Halts),
    // Wrong answers
    script("a bit is flipped", "signature:100=flip:17", Halts),
    script("the first certificate has a flipped bit", "signature:3=flip:511", Halts),
    script("the last certificate has a flipped bit", "signature:502=garble", Halts),
    script("the CRL has a flipped bit", "signature:503=flip:9", Halts),
    script("the checkpoint of the start has a flipped bit", "signature:2=flip:100", Halts),
    script("the last checkpoint has a flipped bit", "signature:504=flip:100", Halts),
    script("a worker that follows flips bits", "once signature:100=crash\nlater signature:every:7=flip:40", Halts),
    script("another item's signature", "signature:100=swap", Halts),
    script("another item's signature in the second chunk", "signature:450=swap", Halts),
    script("every third answer is another item's", "signature:every:3=swap", Halts),
    script("a certificate's signature for the CRL", "signature:503=swap", Halts),
    script("a signature of zeros", "once signature:100=zero", Ends),
    script("a signature that is not written", "once signature:100=nothing", Ends),
    script("a signature that is too short", "once signature:100=length:63", Ends),
    // Sessions and logins that go away
    script("a session is lost", "once C_SignInit:100=lose-session", Ends),
    script("a session is lost between the two calls", "once C_Sign:100=lose-session", Ends),
    script("a login is forgotten", "once C_SignInit:100=logout", Ends),
    script("a login is forgotten at the mark", "once C_CreateObject:2=logout", Ends),
    with_logins("a PIN is refused", "C_Login=0xa0", Halts, 1),
    with_logins("a PIN is locked", "C_Login=0xa4", Halts, 1),
    with_logins("a PIN has expired", "C_Login=0xa3", Halts, 1),
    with_logins("a PIN stops being right", "once signature:100=crash\nlater C_Login=0xa0", Halts, 2),
    // Attributes and objects
    script("a public point that is too short", "C_GetAttributeValue=shorten:0x181:10:xmpp-1", Halts),
    script("a public point that is not told", "C_GetAttributeValue=unavailable:0x181:xmpp-1", Halts),
    script("CKA_EXTRACTABLE is not told", "C_GetAttributeValue=unavailable:0x162:xmpp-1", Halts),
    script("CKA_EXTRACTABLE without an octet", "C_GetAttributeValue=shorten:0x162:0:xmpp-1", Halts),
    script("the mark is cut short", "C_GetAttributeValue=shorten:0x11:4:coldroot mark", Halts),
    script("each object twice", "C_FindObjects=double", Halts),
    script("each object twice for the next worker", "once signature:9=crash\nlater C_FindObjects=double", Halts),
    script("an object that is none", "once C_FindObjects:8=stranger", Either),
    script("more objects than there is room for", "once C_FindObjects:8=count:4096", Ends),
    script("the mark is not found", "once C_FindObjects:1=no-objects", Halts),
    script("no keys for the next worker", "once signature:9=crash\nlater C_FindObjects=no-objects", Halts),
    script("a mechanism that is gone", "*:600-9999=no-mechanism:0x1041", Halts),
    script("no more sessions", "C_OpenSession:3=0xb1", Halts),
    script("no room for the mark", "C_CreateObject=0x31", Halts),
    script("the old mark cannot be removed", "C_DestroyObject=0x30", Halts),
    script("a token that has become read-only", "C_CreateObject:2-99=0xe2", Halts),
    script("another token for the next worker", "once signature:9=crash\nlater C_GetTokenInfo=serial:0000", Halts),
    script("a module that does not start again", "once signature:9=crash\nlater C_Initialize=0x5", Halts),
    // A process that is not its own
    script("it reads standard input", "C_SignInit:50=read-stdin\nC_Login=read-stdin", Ends),
    script("it prints escapes", "C_SignInit:50=print:\\e[2J\\e]0;title\\x07\\n", Ends),
    script("it prints escapes and dies", "C_SignInit:50=print:\\e[31mred\\x9b2J\\n\nonce signature:60=crash", Ends),
    script("it prints more than a pipe holds", "C_SignInit:50=flood:300000", Ends),
    script("it forks", "C_SignInit:50=fork", Ends),
    script("it forks and dies", "once C_SignInit:50=fork\nonce signature:60=crash", Ends),
    script("it closes descriptors", "once C_SignInit:100=close-fds", Ends),
    script("it is slow", "signature:every:5=sleep:10", Ends),
    // Its end
    script("C_Finalize hangs", "C_Finalize=hang", Ends),
    script("C_Finalize aborts", "C_Finalize=crash", Ends),
    script("C_CloseSession hangs", "C_CloseSession=hang", Ends),
    script("C_Logout fails", "C_Logout=0x30", Ends),
    // Now and then
    script("one signature of a hundred fails", "signature:random:1:7=0x30", Either),
    script("every 200th signature of a worker fails", "signature:every:200=0x30", Either),
];
