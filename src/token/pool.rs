//! Parallel sessions: each lives in a thread of its own, and all take from one queue.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use super::ask::Signature;
use super::context::Context;
use super::fault::{Doing, Fault, Result};
use super::ffi::Functions;
use super::keys::{Key, private_object};
use super::sign;
use crate::algorithm::SignatureAlgorithm;

/// So many messages are taken at once: enough that the queue costs nothing, few enough that no thread waits at the end.
const TAKEN_AT_ONCE: usize = 16;

/// One message, made ready for C_Sign.
pub(super) struct Input {
    pub(super) item: u64,
    pub(super) octets: Vec<u8>,
}

/// The threads. Dropping the pool closes their sessions.
pub(super) struct Pool {
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

struct Job {
    key: Arc<Key>,
    algorithm: SignatureAlgorithm,
    /// The place of the first input in the answer.
    place: usize,
    inputs: Vec<Input>,
    /// Set by the first failure, so that the token is not asked for signatures that nobody will use.
    stop: Arc<AtomicBool>,
    answers: mpsc::Sender<(usize, Vec<Signature>, Option<Fault>)>,
}

/// What all threads use.
struct Shared {
    queue: Mutex<mpsc::Receiver<Job>>,
    functions: Functions,
    context: Context,
}

impl Pool {
    /// Moves each session into a thread of its own: a session may not be used by two.
    pub(super) fn start(sessions: Vec<Session>, functions: Functions, context: Context) -> Pool {
        let (jobs, queue) = mpsc::channel();
        let shared = Arc::new(Shared { queue: Mutex::new(queue), functions, context });
        let threads = sessions
            .into_iter()
            .map(|session| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&session, &shared))
            })
            .collect();
        Pool { jobs: Some(jobs), threads }
    }

    /// Signs all inputs; the answers are in their order. After a failure they are what was made until then, and the fault
    /// is the earliest cause: what a token has signed is not asked for again.
    pub(super) fn sign(
        &self,
        key: &Arc<Key>,
        algorithm: SignatureAlgorithm,
        inputs: Vec<Input>,
    ) -> Result<(Vec<Signature>, Option<Fault>)> {
        let wanted = inputs.len();
        let share = wanted.div_ceil(self.threads.len().max(1)).clamp(1, TAKEN_AT_ONCE);
        let stop = Arc::new(AtomicBool::new(false));
        let (answers, collected) = mpsc::channel();
        let jobs = self.jobs.as_ref().ok_or(Fault::SessionLost)?;
        let mut inputs = inputs.into_iter().peekable();
        let mut place = 0;
        while inputs.peek().is_some() {
            let inputs: Vec<Input> = inputs.by_ref().take(share).collect();
            let next = place + inputs.len();
            let (key, stop, answers) = (Arc::clone(key), Arc::clone(&stop), answers.clone());
            jobs.send(Job { key, algorithm, place, inputs, stop, answers }).map_err(|_| Fault::SessionLost)?;
            place = next;
        }
        // The loop below ends when the last job has dropped its sender, whether it was done, stopped, or lost in a panic.
        drop(answers);
        let mut parts: Vec<(usize, Vec<Signature>, Option<Fault>)> = collected.iter().collect();
        parts.sort_by_key(|(place, ..)| *place);
        let mut signatures = Vec::with_capacity(wanted);
        let mut failed = None;
        for (_, part, fault) in parts {
            signatures.extend(part);
            failed = failed.or(fault);
        }
        if signatures.len() != wanted && failed.is_none() {
            failed = Some(Fault::SessionLost);
        }
        Ok((signatures, failed))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Without a sender the queue ends, and with it each thread and its session.
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve(session: &Session, shared: &Shared) {
    let mut handles = HashMap::new();
    loop {
        let next = shared.queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if job.stop.load(Ordering::Relaxed) {
            continue;
        }
        let mut part = Vec::with_capacity(job.inputs.len());
        let fault = sign_part(session, shared, &mut handles, &job, &mut part).err();
        if fault.is_some() {
            job.stop.store(true, Ordering::Relaxed);
        }
        // The receiver is gone only when the question was given up.
        let _ = job.answers.send((job.place, part, fault));
    }
}

/// A key is looked for once per session: a search costs more than a signature where a token holds many objects.
/// What was signed before a failure stays in `part`.
fn sign_part(
    session: &Session,
    shared: &Shared,
    handles: &mut HashMap<u64, ObjectHandle>,
    job: &Job,
    part: &mut Vec<Signature>,
) -> Result<()> {
    let handle = match handles.get(&job.key.number) {
        Some(known) => *known,
        None => {
            let found = private_object(session, &job.key)?;
            handles.insert(job.key.number, found);
            found
        }
    };
    let mechanism = sign::mechanism(job.algorithm);
    let longest = sign::octets(job.key.algorithm);
    for input in &job.inputs {
        let raw = match job.key.always_authenticate {
            false => shared.functions.sign_whole(session, &mechanism, handle, &input.octets, longest),
            true => {
                session.sign_init(&mechanism, handle).doing("signing")?;
                shared.context.login(session)?;
                shared.functions.sign(session, &input.octets, longest)
            }
        };
        let raw = raw.doing("signing")?;
        let value = sign::output(job.key.algorithm, input.item, raw)?;
        part.push(Signature { item: input.item, value: value.into() });
    }
    Ok(())
}
