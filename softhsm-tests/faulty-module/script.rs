//! The script: which call of which function goes wrong, and how.

use std::collections::HashMap;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_PTR, CK_ATTRIBUTE_TYPE, CK_FLAGS, CK_MECHANISM_PTR, CK_MECHANISM_TYPE, CK_RV,
    CK_SESSION_HANDLE, CK_ULONG, CKR_MECHANISM_INVALID,
};

/// One line: `[once|later] FUNCTION[:CALLS]=FAULT`.
pub struct Rule {
    pub when: When,
    function: String,
    calls: Calls,
    pub fault: Fault,
}

/// In which processes.
pub enum When {
    Always,
    /// `once`: in the one that comes to it first.
    Once,
    /// `later`: in all but the first that loads the module.
    Later,
}

/// Which calls of one process, counted from 1.
enum Calls {
    All,
    /// `N` or `N-M`.
    Range(u64, u64),
    /// `every:K`.
    Every(u64),
    /// `random:P:SEED`: P of a hundred.
    Random(u64, u64),
}

/// What goes wrong.
pub enum Fault {
    /// Done, and then the real module is asked, unless the deed is an answer or the end.
    Before(Deed),
    /// `after:DEED`: the real module does its work first.
    After(Deed),
    /// The real module is not asked, if the call has this about it.
    Refusal(About, CK_RV),
    /// The real module's answer, changed.
    Change(Change),
}

/// What needs no look at a call's arguments, but for its session.
pub enum Deed {
    Return(CK_RV),
    Hang,
    Crash,
    Segv,
    Exit(i32),
    Kill(Victim),
    ReadStdin,
    Print(Vec<u8>),
    /// So many octets, to standard error.
    Flood(usize),
    /// A child that holds every descriptor for so many seconds.
    Fork(u64),
    CloseFds,
    /// Milliseconds.
    Sleep(u64),
    /// Until the test has made this file.
    Wait(String),
    LoseSession,
    Logout,
}

/// Who gets SIGKILL.
#[derive(Clone, Copy)]
pub enum Victim {
    Worker,
    Gate,
    Parent,
    All,
}

pub enum About {
    /// One of its templates has one of these attributes, with this value if one is given.
    Attribute(Vec<CK_ATTRIBUTE_TYPE>, Option<Vec<u8>>),
    /// None of its templates has this attribute.
    NoAttribute(CK_ATTRIBUTE_TYPE),
    /// Its mechanism is one of these.
    Mechanism(Vec<CK_MECHANISM_TYPE>),
}

pub enum Change {
    // C_Sign, C_SignFinal
    /// A bit, counted from the first octet's highest; `None`: the last one.
    Flip(Option<usize>),
    Swap,
    Zero,
    Nothing,
    Length(u64),
    // C_GetTokenInfo
    Flags(CK_FLAGS),
    NoFlags(CK_FLAGS),
    Serial(String),
    // C_GetInfo: manufacturer and description
    Library(String, String),
    // C_GetAttributeValue, of the objects with this CKA_LABEL if one is given
    Attribute {
        kind: CK_ATTRIBUTE_TYPE,
        octets: Vec<u8>,
        label: Option<String>,
    },
    Shorten {
        kind: CK_ATTRIBUTE_TYPE,
        octets: u64,
        label: Option<String>,
    },
    Unavailable {
        kind: CK_ATTRIBUTE_TYPE,
        label: Option<String>,
    },
    // C_FindObjects
    Double,
    Stranger,
    NoObjects,
    Count(u64),
    // C_GetMechanismList
    NoMechanism(Vec<CK_MECHANISM_TYPE>),
}

/// What a rule may look at.
pub struct Call<'a> {
    pub name: &'static str,
    pub session: Option<CK_SESSION_HANDLE>,
    pub mechanism: Option<CK_MECHANISM_TYPE>,
    pub templates: [&'a [CK_ATTRIBUTE]; 2],
    /// It asks for a signature, not for its length alone.
    pub signature: bool,
}

impl Call<'_> {
    pub fn of(name: &'static str) -> Self {
        Call { name, session: None, mechanism: None, templates: [&[], &[]], signature: false }
    }

    /// The names under which it is counted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        [self.name, "*"].into_iter().chain(self.signature.then_some("signature"))
    }
}

/// The mechanism of a call.
pub fn mechanism(mechanism: CK_MECHANISM_PTR) -> Option<CK_MECHANISM_TYPE> {
    // SAFETY: NULL, or a mechanism that lives as long as the call.
    unsafe { mechanism.as_ref() }.map(|mechanism| mechanism.mechanism)
}

/// The template of a call.
pub fn template<'a>(template: CK_ATTRIBUTE_PTR, count: CK_ULONG) -> &'a [CK_ATTRIBUTE] {
    match (template.is_null(), usize::try_from(count)) {
        // SAFETY: so many attributes by the standard, for the life of the call.
        (false, Ok(count)) => unsafe { std::slice::from_raw_parts(template, count) },
        _ => &[],
    }
}

impl Rule {
    /// A rule for every function skips those that its fault has nothing to do with.
    pub fn applies(&self, call: &Call, counted: &HashMap<&'static str, u64>, process: u64) -> bool {
        let named = call.names().any(|name| name == self.function) && self.fault.concerns(call.name);
        let count = || counted.get(self.function.as_str()).copied().unwrap_or_default();
        named
            && match self.calls {
                Calls::All => true,
                Calls::Range(first, last) => (first..=last).contains(&count()),
                Calls::Every(step) => count().is_multiple_of(step),
                Calls::Random(percent, seed) => {
                    let word = count() ^ process.rotate_right(16) ^ seed.rotate_right(32);
                    self.function.bytes().fold(mixed(word), |word, octet| mixed(word ^ u64::from(octet))) % 100
                        < percent
                }
            }
            && self.fault.hits(call)
    }
}

/// The finaliser of SplitMix64: the same draw for the same function, call, process and seed.
fn mixed(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Fault {
    fn concerns(&self, function: &str) -> bool {
        let one_of = |names: &[&str]| names.contains(&function);
        match self {
            Fault::Before(_) | Fault::After(_) | Fault::Refusal(..) => true,
            Fault::Change(change) => one_of(match change {
                Change::Zero => &["C_Sign", "C_SignFinal", "C_GenerateRandom"],
                Change::Flip(_) | Change::Swap | Change::Nothing | Change::Length(_) => &["C_Sign", "C_SignFinal"],
                Change::Flags(_) | Change::NoFlags(_) | Change::Serial(_) => &["C_GetTokenInfo"],
                Change::Library(..) => &["C_GetInfo"],
                Change::Attribute { .. } | Change::Shorten { .. } | Change::Unavailable { .. } => {
                    &["C_GetAttributeValue"]
                }
                Change::Double | Change::Stranger | Change::NoObjects | Change::Count(_) => &["C_FindObjects"],
                Change::NoMechanism(_) => &["C_GetMechanismList"],
            }),
        }
    }

    fn hits(&self, call: &Call) -> bool {
        let has = |kind: &CK_ATTRIBUTE_TYPE, value: Option<&[u8]>| {
            let same = |a: &&CK_ATTRIBUTE| a.type_ == *kind && value.is_none_or(|value| value == octets(a));
            call.templates.iter().copied().flatten().any(|a| same(&a))
        };
        match self {
            Fault::Refusal(About::Attribute(kinds, value), _) => kinds.iter().any(|kind| has(kind, value.as_deref())),
            Fault::Refusal(About::NoAttribute(kind), _) => !has(kind, None),
            Fault::Refusal(About::Mechanism(kinds), _) => call.mechanism.is_some_and(|kind| kinds.contains(&kind)),
            Fault::Before(Deed::LoseSession | Deed::Logout) | Fault::After(Deed::LoseSession | Deed::Logout) => {
                call.session.is_some()
            }
            // A change of a signature waits for the call that asks for one, not for its length alone.
            Fault::Change(Change::Flip(_) | Change::Swap | Change::Nothing | Change::Length(_)) => call.signature,
            Fault::Change(Change::Zero) => call.signature || call.name == "C_GenerateRandom",
            _ => true,
        }
    }
}

fn octets(attribute: &CK_ATTRIBUTE) -> &[u8] {
    match (attribute.pValue.is_null(), usize::try_from(attribute.ulValueLen)) {
        // SAFETY: so many octets by the standard, for the life of the call.
        (false, Ok(length)) => unsafe { std::slice::from_raw_parts(attribute.pValue.cast(), length) },
        _ => &[],
    }
}

/// Reads a script; the error is the line that is none. `names` are the functions.
pub fn parse(script: &str, names: &[&str]) -> Result<Vec<Rule>, String> {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read = |line: &str| rules(line, names).ok_or_else(|| line.to_owned());
    lines.map(read).collect::<Result<Vec<_>, _>>().map(|rules| rules.into_iter().flatten().collect())
}

/// One line is one rule, but that a missing mechanism is missing in two ways: not listed, and refused.
fn rules(line: &str, names: &[&str]) -> Option<Vec<Rule>> {
    let (when, rest): (fn() -> When, _) = match line.split_once(' ') {
        Some(("once", rest)) => (|| When::Once, rest),
        Some(("later", rest)) => (|| When::Later, rest),
        _ => (|| When::Always, line),
    };
    let (place, fault) = rest.split_once('=')?;
    let (function, calls) = place.split_once(':').map_or((place, None), |(function, calls)| (function, Some(calls)));
    let rule = |fault| Some(Rule { when: when(), function: function.into(), calls: self::calls(calls)?, fault });
    if let Some(kinds) = fault.strip_prefix("no-mechanism:") {
        let refused = Fault::Refusal(About::Mechanism(numbers(kinds)?), CKR_MECHANISM_INVALID);
        return Some(vec![rule(refused)?, rule(Fault::Change(Change::NoMechanism(numbers(kinds)?)))?]);
    }
    let rule = rule(self::fault(fault)?)?;
    let known = names.contains(&function) && rule.fault.concerns(function);
    (known || ["*", "signature"].contains(&function)).then(|| vec![rule])
}

fn calls(text: Option<&str>) -> Option<Calls> {
    let Some(text) = text else { return Some(Calls::All) };
    match text.split(':').collect::<Vec<_>>().as_slice() {
        ["every", step] => Some(Calls::Every(step.parse().ok().filter(|step| *step > 0)?)),
        ["random", percent, seed] => Some(Calls::Random(percent.parse().ok()?, seed.parse().ok()?)),
        [range] => {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(Calls::Range(first.parse().ok()?, last.parse().ok()?))
        }
        _ => None,
    }
}

fn fault(text: &str) -> Option<Fault> {
    if let Some(deed) = text.strip_prefix("after:") {
        return Some(Fault::After(self::deed(deed)?));
    }
    let label = |rest: &[&str]| rest.first().map(|label| (*label).to_owned());
    let change = match text.split(':').collect::<Vec<_>>().as_slice() {
        ["refuse-attribute", kinds, rv, value @ ..] if value.len() <= 1 => {
            let value = value.first().map(|value| hex(value));
            let value = if let Some(None) = value { return None } else { value.flatten() };
            return Some(Fault::Refusal(About::Attribute(numbers(kinds)?, value), number(rv)?));
        }
        ["need-attribute", kind, rv] => return Some(Fault::Refusal(About::NoAttribute(number(kind)?), number(rv)?)),
        ["garble"] => Change::Flip(None),
        ["flip", bit] => Change::Flip(Some(bit.parse().ok()?)),
        ["swap"] => Change::Swap,
        ["zero"] => Change::Zero,
        ["nothing"] => Change::Nothing,
        ["length", octets] => Change::Length(octets.parse().ok()?),
        ["flags", flags] => Change::Flags(number(flags)?),
        ["no-flags", flags] => Change::NoFlags(number(flags)?),
        ["library", maker, text] if maker.len() <= 32 && text.len() <= 32 => {
            Change::Library((*maker).into(), (*text).into())
        }
        ["serial", text] if text.len() <= 16 => Change::Serial((*text).into()),
        ["attribute", kind, octets, rest @ ..] if rest.len() <= 1 => {
            Change::Attribute { kind: number(kind)?, octets: hex(octets)?, label: label(rest) }
        }
        ["shorten", kind, octets, rest @ ..] if rest.len() <= 1 => {
            Change::Shorten { kind: number(kind)?, octets: octets.parse().ok()?, label: label(rest) }
        }
        ["unavailable", kind, rest @ ..] if rest.len() <= 1 => {
            Change::Unavailable { kind: number(kind)?, label: label(rest) }
        }
        ["double"] => Change::Double,
        ["stranger"] => Change::Stranger,
        ["no-objects"] => Change::NoObjects,
        ["count", count] => Change::Count(count.parse().ok()?),
        _ => return Some(Fault::Before(deed(text)?)),
    };
    Some(Fault::Change(change))
}

fn deed(text: &str) -> Option<Deed> {
    // What is printed may have colons of its own.
    if let Some(text) = text.strip_prefix("print:") {
        return Some(Deed::Print(unescaped(text)?));
    }
    Some(match text.split(':').collect::<Vec<_>>().as_slice() {
        ["hang"] => Deed::Hang,
        ["crash"] => Deed::Crash,
        ["segv"] => Deed::Segv,
        ["exit", code] => Deed::Exit(code.parse().ok()?),
        ["kill", "worker"] => Deed::Kill(Victim::Worker),
        ["kill", "gate"] => Deed::Kill(Victim::Gate),
        ["kill", "parent"] => Deed::Kill(Victim::Parent),
        ["kill", "all"] => Deed::Kill(Victim::All),
        ["read-stdin"] => Deed::ReadStdin,
        ["flood", octets] => Deed::Flood(octets.parse().ok()?),
        ["fork"] => Deed::Fork(60),
        ["fork", seconds] => Deed::Fork(seconds.parse().ok()?),
        ["close-fds"] => Deed::CloseFds,
        ["wait", file] if !file.is_empty() && !file.contains('/') => Deed::Wait((*file).to_owned()),
        ["sleep", milliseconds] => Deed::Sleep(milliseconds.parse().ok()?),
        ["lose-session"] => Deed::LoseSession,
        ["logout"] => Deed::Logout,
        [rv] => Deed::Return(number(rv)?),
        _ => return None,
    })
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split(',').map(number).collect()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let octet = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(octet).collect()
}

/// `\e`, `\n`, `\r`, `\\` and `\xHH`; the rest as it stands.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match (octet, octet == b'\\') {
            (octet, false) => octet,
            _ => match rest.next()? {
                b'e' => 0x1b,
                b'n' => b'\n',
                b'r' => b'\r',
                b'\\' => b'\\',
                b'x' => *hex(std::str::from_utf8(&[rest.next()?, rest.next()?]).ok()?)?.first()?,
                _ => return None,
            },
        });
    }
    Some(octets)
}
