//! Signatures a second, in several sessions at once.

use std::time::{Duration, Instant};

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use super::bench::{Bench, calling, input, one};
use super::step::{Burst, SPEED_MESSAGE};
use crate::algorithm::KeyAlgorithm;
use crate::token::fault::{Doing, Fault, Result};
use crate::token::ffi::Functions;

/// Signs in `count` sessions, each in a thread of its own, until the time is up. Each session signs at least once.
pub(super) fn burst(bench: &Bench<'_>, algorithm: KeyAlgorithm, count: u32, milliseconds: u32) -> Result<Burst> {
    let pair = bench.pair(algorithm, false)?;
    let spki = bench.spki(algorithm, &pair)?;
    let input = input(algorithm, SPEED_MESSAGE)?;
    let sessions: Vec<Session> =
        (0..count).map(|_| bench.session().doing("opening a session")).collect::<Result<_>>()?;
    calling("C_Sign");
    // The first signature of a session may load the key: it is not timed.
    for session in &sessions {
        one(bench.functions, session, algorithm, pair.private, &input)?;
    }
    let started = Instant::now();
    let until = started + Duration::from_millis(milliseconds.into());
    let (functions, key, input) = (bench.functions, pair.private, input.as_slice());
    let parts: Vec<Result<(u64, Vec<u8>)>> = std::thread::scope(|scope| {
        // A session may be moved to another thread, never shared.
        let threads: Vec<_> = sessions
            .into_iter()
            .map(|session| scope.spawn(move || until_then(functions, &session, algorithm, key, input, until)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Err(Fault::SessionLost))).collect()
    });
    let elapsed = started.elapsed();
    let mut signatures = 0;
    let mut samples = Vec::new();
    for part in parts {
        let (made, last) = part?;
        signatures += made;
        samples.push(last.into());
    }
    bench.drop_pair(&pair)?;
    let microseconds = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    Ok(Burst { signatures, microseconds, spki: spki.into(), samples })
}

fn until_then(
    functions: &Functions,
    session: &Session,
    algorithm: KeyAlgorithm,
    key: ObjectHandle,
    input: &[u8],
    until: Instant,
) -> Result<(u64, Vec<u8>)> {
    let mut made = 0;
    loop {
        let last = one(functions, session, algorithm, key, input)?;
        made += 1;
        if Instant::now() >= until {
            return Ok((made, last));
        }
    }
}
