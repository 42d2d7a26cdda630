//! Why the gate, its workers or the PIN entry do not do what was asked.

/// A refusal, or a halt. It crosses to the parent, so it never holds a PIN.
#[derive(Debug)]
pub struct Refusal {
    pub what: String,
    pub hint: Option<String>,
    /// The token is in trouble and state is kept; otherwise the request itself is at fault.
    pub halted: bool,
}

impl Refusal {
    pub fn no(what: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal { what: what.into(), hint: Some(hint.into()), halted: false }
    }

    pub fn halt(what: impl Into<String>) -> Refusal {
        let hint = "see to the token, then run the same command again: it goes on where it stopped";
        Refusal { what: what.into(), hint: Some(hint.into()), halted: true }
    }

    /// The parent asked for something that no honest parent asks for.
    pub fn bug(what: &str) -> Refusal {
        Refusal { what: what.into(), hint: None, halted: false }
    }
}

impl From<crate::algorithm::TooLong> for Refusal {
    fn from(e: crate::algorithm::TooLong) -> Refusal {
        Refusal::no(e.to_string(), "plan again: a plan with such an item is refused when it is made")
    }
}

impl From<crate::config::Error> for Refusal {
    fn from(e: crate::config::Error) -> Refusal {
        Refusal { what: format!("hierarchy.toml: {e}"), hint: e.hint(), halted: false }
    }
}

impl From<crate::plan::Error> for Refusal {
    fn from(e: crate::plan::Error) -> Refusal {
        Refusal { what: e.to_string(), hint: e.hint(), halted: false }
    }
}

impl From<crate::approval::Error> for Refusal {
    fn from(e: crate::approval::Error) -> Refusal {
        Refusal { what: format!("not approved: {e}"), hint: e.hint(), halted: false }
    }
}

impl From<crate::cbor::Error> for Refusal {
    fn from(e: crate::cbor::Error) -> Refusal {
        Refusal::halt(e.to_string())
    }
}

impl From<crate::change::Error> for Refusal {
    fn from(e: crate::change::Error) -> Refusal {
        Refusal { what: format!("the change is not made: {e}"), hint: e.hint(), halted: false }
    }
}
