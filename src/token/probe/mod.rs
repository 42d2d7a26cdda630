//! What a token can really do: tried on throw-away session objects, a step at a time.
//!
//! Every step opens a session of its own, makes what it needs with `CKA_TOKEN=false`, and closes the session, which takes the
//! objects with it even where the module refuses to destroy them. One step alone touches the token's memory: [`Step::Data`]
//! writes a data object of its own label and removes it; [`Step::Sweep`] removes what an earlier, interrupted probe left of
//! it. No step looks for a key, so none can reach one that it has not made itself; messages are made here too. So whoever
//! chooses the steps (a parent that lies, say) gets signatures of keys that nobody knows over texts that it did not choose,
//! and nothing else.

mod bench;
mod limits;
mod protection;
mod speed;
mod step;

pub use step::{
    Attempt, Burst, Claim, Facts, Found, Guarded, LABEL, MESSAGE, Memory, Probed, SPEED_MESSAGE, Step, Taken, Trial,
    Wrapping, message,
};

use super::fault::{Doing, Misuse, Result};
use super::module::{Module, Token};
use bench::Bench;

const MOST_SESSIONS: u32 = 1024;
const MOST_OCTETS: u32 = 3 << 20;
/// Of one burst.
const MOST_MILLISECONDS: u32 = 10_000;

/// Takes one step. The user is logged in.
pub(super) fn take(step: &Step, module: &Module, token: &Token) -> Result<Found> {
    let bounded = |value: u32, least: u32, most: u32, what: &'static str| {
        let (value, least, most) = (u64::from(value), u64::from(least), u64::from(most));
        if value < least || value > most { Err(Misuse::Range { what, value, least, most }) } else { Ok(()) }
    };
    match step {
        Step::Message { octets, .. } => bounded(*octets, 0, MOST_OCTETS, "the length of a message")?,
        Step::Sessions { most } => bounded(*most, 1, MOST_SESSIONS, "the number of sessions")?,
        Step::Speed { sessions, milliseconds, .. } => {
            bounded(*sessions, 1, MOST_SESSIONS, "the number of sessions")?;
            bounded(*milliseconds, 1, MOST_MILLISECONDS, "the length of a burst")?;
        }
        _ => {}
    }
    bench::calling("C_OpenSession");
    let session = module.pkcs11.open_rw_session(token.slot).doing("opening a session")?;
    let functions = module.functions()?;
    let bench = Bench { session: &session, module, token, functions: &functions };
    let found = match step {
        Step::Facts => limits::facts(&bench).map(|facts| Found::Facts(Box::new(facts))),
        Step::Sign { algorithm } => bench.signed(*algorithm, MESSAGE),
        Step::Message { algorithm, octets } => bench.signed(*algorithm, *octets),
        Step::Attribute { algorithm, trial } => bench.attribute(*algorithm, *trial).map(Found::Attribute),
        Step::Protect { algorithm, attempt } => protection::attempt(&bench, *algorithm, *attempt).map(Found::Guarded),
        Step::Sessions { most } => limits::sessions(&bench, *most),
        Step::Data => limits::data(&bench).map(|()| Found::Data),
        Step::Speed { algorithm, sessions, milliseconds } => {
            speed::burst(&bench, *algorithm, *sessions, *milliseconds).map(Found::Burst)
        }
        Step::Sweep => limits::sweep(&bench),
    };
    bench::calling("C_CloseSession");
    let closed = session.close().doing("closing a session");
    let found = found?;
    closed.map(|()| found)
}
