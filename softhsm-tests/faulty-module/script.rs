//! The script: which call of which function goes wrong, and how.

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_FLAGS, CK_RV};

/// One line: `[once|later] FUNCTION[:N]=FAULT`.
pub struct Rule {
    pub when: When,
    function: String,
    /// The number of the call in its process, from 1; every call without it.
    call: Option<u64>,
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

/// What goes wrong.
pub enum Fault {
    /// `0x30`: this return value, and the real module is not asked.
    Return(CK_RV),
    /// `after:0x30`: the real module does it, and the answer is lost.
    After(CK_RV),
    /// `hang`: no answer at all.
    Hang,
    /// `crash`: the process aborts.
    Crash,
    /// `garble`, C_Sign: a signature with a wrong bit.
    Garble,
    /// `flags:0x40000`, C_GetTokenInfo: these flags too.
    Flags(CK_FLAGS),
    /// `serial:TEXT`, C_GetTokenInfo: every token has this serial number.
    Serial(String),
    /// `attribute:TYPE:HEX[:LABEL]`, C_GetAttributeValue: other octets for an attribute, of the objects with that label.
    Attribute { kind: CK_ATTRIBUTE_TYPE, octets: Vec<u8>, label: Option<String> },
}

impl Rule {
    pub fn applies(&self, function: &str, call: u64) -> bool {
        self.function == function && self.call.is_none_or(|wanted| wanted == call)
    }
}

/// Reads a script; the error is the line that is none.
pub fn parse(script: &str) -> Result<Vec<Rule>, String> {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| rule(line).ok_or_else(|| line.to_owned())).collect()
}

fn rule(line: &str) -> Option<Rule> {
    let (when, rest) = match line.split_once(' ') {
        Some(("once", rest)) => (When::Once, rest),
        Some(("later", rest)) => (When::Later, rest),
        _ => (When::Always, line),
    };
    let (place, fault) = rest.split_once('=')?;
    let (function, call) = match place.split_once(':') {
        Some((function, call)) => (function, Some(call.parse().ok()?)),
        None => (place, None),
    };
    Some(Rule { when, function: function.into(), call, fault: self::fault(fault)? })
}

fn fault(text: &str) -> Option<Fault> {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        ["hang"] => Some(Fault::Hang),
        ["crash"] => Some(Fault::Crash),
        ["garble"] => Some(Fault::Garble),
        ["after", rv] => Some(Fault::After(number(rv)?)),
        ["flags", flags] => Some(Fault::Flags(number(flags)?)),
        ["serial", text] if text.len() <= 16 => Some(Fault::Serial((*text).into())),
        ["attribute", kind, octets, rest @ ..] if rest.len() <= 1 => {
            let label = rest.first().map(|label| (*label).to_owned());
            Some(Fault::Attribute { kind: number(kind)?, octets: hex(octets)?, label })
        }
        [rv] => Some(Fault::Return(number(rv)?)),
        _ => None,
    }
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let octet = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(octet).collect()
}
