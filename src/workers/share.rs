//! One batch of signatures, shared among the workers that have the key.
//!
//! All take from one board, each as much at once as a part of what is left, so that faster ones take more and nobody is
//! waited for long at the end. What a worker has not answered goes back onto the board before anybody waits; what is answered
//! is never asked again. One that fails beyond its retries is left out, and the others go on; the last one's failure is the
//! batch's. The same message may be signed twice, where an answer was lost: of each, one signature is given out.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::algorithm::SignatureAlgorithm;
use crate::cbor::Bytes;
use crate::plan::KeyRef;
use crate::refusal::Refusal;
use crate::token::ask::{Answer, Ask, Signature, ToSign};

use super::Declared;
use super::slot::Slot;
use super::trouble::{Diary, Setback, unexpected};

/// Octets of messages in one question to a worker, and of signatures in its answer: the longest message there is
/// ([`SignatureAlgorithm::longest_message`]), which with its frame stays below [`crate::wire::MAX_FRAME`].
const MOST_OCTETS: usize = 3 << 20;
/// With several workers, each takes so large a part of what is left as if there were this many times as many.
const FAIRNESS: usize = 2;

/// What is to be signed, with which key.
pub(super) struct Job<'a> {
    pub(super) key: &'a KeyRef,
    pub(super) declared: Declared,
    pub(super) algorithm: SignatureAlgorithm,
    /// Item numbers, each once, and what is signed for each.
    pub(super) messages: &'a [(u64, Vec<u8>)],
}

/// Has the crew sign all messages; the answers are in their order.
pub(super) fn sign(crew: Vec<&mut Slot>, job: &Job, diary: &Diary) -> Result<Vec<Signature>, Refusal> {
    let board = Board::new(job, crew.len());
    let mut crew = crew.into_iter();
    let first = crew.next();
    std::thread::scope(|scope| {
        for slot in crew {
            let board = &board;
            scope.spawn(move || serve(slot, board, diary));
        }
        // One alone needs no thread.
        if let Some(slot) = first {
            serve(slot, &board, diary);
        }
    });
    board.result()
}

fn serve(slot: &mut Slot, board: &Board, diary: &Diary) {
    slot.patience.reset();
    while let Some(part) = board.take(slot.most) {
        let (signatures, setback) = attempt(slot, board.job, &part);
        if !signatures.is_empty() {
            slot.patience.reset();
        }
        board.put(&part, signatures);
        let Some(setback) = setback else {
            slot.most = slot.most.saturating_mul(2);
            continue;
        };
        match slot.patience.after(setback) {
            Ok(pause) => board.rest(pause),
            Err(refusal) => return leave(slot, board, diary, refusal),
        }
    }
}

/// One question, and what came of it: signatures of some or all of the part, and why not of the rest.
fn attempt(slot: &mut Slot, job: &Job, part: &[usize]) -> (Vec<Signature>, Option<Setback>) {
    let messages: Vec<&(u64, Vec<u8>)> = part.iter().filter_map(|n| job.messages.get(*n)).collect();
    let asked = slot.find(job.key, job.declared).and_then(|facts| {
        let (handle, algorithm) = (facts.handle, job.algorithm);
        let messages = messages.iter().map(|(item, m)| ToSign { item: *item, message: Bytes::from(m.clone()) });
        let answer = slot.once(&Ask::Sign { handle, algorithm, messages: messages.collect() });
        if let Err(Setback::Trouble { same_worker: false, .. }) = &answer {
            slot.most = (part.len() / 4).max(1);
        }
        answer
    });
    let (signatures, setback) = match asked {
        Ok(Answer::Signatures(signatures)) if signatures.len() == part.len() => (signatures, None),
        Ok(Answer::Partly { signatures, failure }) => (signatures, Some(Setback::from(failure))),
        Ok(other) => return (Vec::new(), Some(unexpected(other).into())),
        Err(setback) => return (Vec::new(), Some(setback)),
    };
    // In the order asked, none twice, none that was not asked for.
    let mut asked = messages.iter().map(|(item, _)| *item);
    if !signatures.iter().all(|signature| asked.any(|item| item == signature.item)) {
        let refusal = Refusal::halt("the worker answered other items than it was asked for");
        return (Vec::new(), Some(refusal.into()));
    }
    if let Some(setback) = &setback {
        slot.part(setback);
    }
    (signatures, setback)
}

fn leave(slot: &mut Slot, board: &Board, diary: &Diary, refusal: Refusal) {
    let what = refusal.what.clone();
    if board.leave(refusal) {
        diary.left_out(&slot.token.id, &what);
        slot.left_out = true;
    }
}

struct Board<'j> {
    job: &'j Job<'j>,
    state: Mutex<State>,
    /// Something was put back or is done, or somebody left.
    changed: Condvar,
}

struct State {
    /// Messages that nobody is asked for, by their place in the job.
    open: VecDeque<usize>,
    /// How many are asked for and not answered.
    out: usize,
    done: Vec<Option<Bytes>>,
    crew: usize,
    failed: Option<Refusal>,
}

impl State {
    fn over(&self) -> bool {
        self.failed.is_some() || (self.open.is_empty() && self.out == 0)
    }
}

impl<'j> Board<'j> {
    fn new(job: &'j Job<'j>, crew: usize) -> Board<'j> {
        let wanted = job.messages.len();
        let failed = (crew == 0).then(|| Refusal::halt(format!("no token is left that has the key `{}`", job.key.key)));
        let state = State { open: (0..wanted).collect(), out: 0, done: vec![None; wanted], crew, failed };
        Board { job, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next part: at most so many messages, whose question and whose answer fit a frame each (one signature of SLH-DSA has
    /// up to 49,856 octets). `None`: there is nothing left to do. Waits while
    /// others may yet put something back.
    fn take(&self, most: usize) -> Option<Vec<usize>> {
        let waiting = |state: &mut State| state.open.is_empty() && !state.over();
        let mut state = self.changed.wait_while(self.state(), waiting).unwrap_or_else(PoisonError::into_inner);
        if state.over() {
            return None;
        }
        let among = if state.crew > 1 { state.crew * FAIRNESS } else { 1 };
        let share = state.open.len().div_ceil(among).min(most).max(1);
        let (mut asked, mut answered) = (0usize, 0usize);
        let length = |n: &usize| self.job.messages.get(*n).map_or(0, |(_, message)| message.len());
        let fit = state.open.iter().take(share).take_while(|n| {
            asked = asked.saturating_add(length(n));
            answered = answered.saturating_add(self.job.key.algorithm.signature_octets());
            asked.max(answered) <= MOST_OCTETS
        });
        // One that fits nowhere goes alone: the worker refuses it.
        let fit = fit.count().max(1);
        let part: Vec<usize> = state.open.drain(..fit).collect();
        state.out += part.len();
        Some(part)
    }

    /// Takes the answers to a part in; what is not among them is open again.
    fn put(&self, part: &[usize], signatures: Vec<Signature>) {
        let mut state = self.state();
        let mut answers = signatures.into_iter().peekable();
        for n in part {
            let item = self.job.messages.get(*n).map(|(item, _)| *item);
            match answers.next_if(|signature| Some(signature.item) == item) {
                Some(signature) => {
                    state.done.get_mut(*n).into_iter().for_each(|place| *place = Some(signature.value.clone()))
                }
                None => state.open.push_back(*n),
            }
        }
        state.out -= part.len();
        self.changed.notify_all();
    }

    /// Waits before the next try, but not when the others have done everything meanwhile.
    fn rest(&self, pause: Duration) {
        let over = self.changed.wait_timeout_while(self.state(), pause, |state| !state.over());
        drop(over.unwrap_or_else(PoisonError::into_inner));
    }

    /// One of the crew gives up. Whether others go on without it.
    fn leave(&self, refusal: Refusal) -> bool {
        let mut state = self.state();
        state.crew = state.crew.saturating_sub(1);
        if state.crew == 0 && !state.over() {
            state.failed = Some(refusal);
        }
        self.changed.notify_all();
        state.crew > 0
    }

    fn result(self) -> Result<Vec<Signature>, Refusal> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(refusal) = state.failed {
            return Err(refusal);
        }
        let answered = self.job.messages.iter().zip(state.done);
        let whole = answered.map(|((item, _), value)| value.map(|value| Signature { item: *item, value }));
        whole.collect::<Option<_>>().ok_or_else(|| Refusal::bug("a signature is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::KeyAlgorithm;

    fn key(algorithm: KeyAlgorithm) -> KeyRef {
        KeyRef {
            key: "k".into(),
            token: "t".into(),
            label: "k".into(),
            cka_id: Bytes::from(vec![1]),
            algorithm,
            spki: Bytes::from(vec![2]),
        }
    }

    fn messages(lengths: &[usize]) -> Vec<(u64, Vec<u8>)> {
        (100u64..).zip(lengths).map(|(n, length)| (n, vec![0; *length])).collect()
    }

    fn with_board_of(algorithm: KeyAlgorithm, lengths: &[usize], crew: usize, test: impl FnOnce(&Board)) {
        let (key, messages) = (key(algorithm), messages(lengths));
        let (declared, algorithm) = (Declared::default(), algorithm.signs_with());
        test(&Board::new(&Job { key: &key, declared, algorithm, messages: &messages }, crew));
    }

    fn with_board(lengths: &[usize], crew: usize, test: impl FnOnce(&Board)) {
        with_board_of(KeyAlgorithm::Ed25519, lengths, crew, test);
    }

    fn signed(items: &[u64]) -> Vec<Signature> {
        items.iter().map(|item| Signature { item: *item, value: Bytes::from(vec![9]) }).collect()
    }

    #[test]
    fn messages_are_cut_into_frames_in_order() {
        let cut_for = |algorithm, lengths: &[usize]| {
            let mut parts = Vec::new();
            with_board_of(algorithm, lengths, 1, |board| {
                while let Some(part) = board.take(usize::MAX) {
                    let items: Vec<u64> = part.iter().map(|n| 100 + *n as u64).collect();
                    board.put(&part, signed(&items));
                    parts.push(part.len());
                }
            });
            parts
        };
        let cut = |lengths: &[usize]| cut_for(KeyAlgorithm::Ed25519, lengths);
        assert_eq!(cut(&[]), Vec::<usize>::new());
        assert_eq!(cut(&[32; 1024]), [1024]);
        assert_eq!(cut(&[MOST_OCTETS]), [1]);
        assert_eq!(cut(&[MOST_OCTETS - 1, 1, 1]), [2, 1]);
        assert_eq!(cut(&[1, MOST_OCTETS, MOST_OCTETS + 1, 1, 1]), [1, 1, 1, 2]);
        assert_eq!(SignatureAlgorithm::Ed25519.longest_message(), Some(MOST_OCTETS));
        // By the answer: 63 signatures of 49,856 octets, 184 of 17,088, but any chunk of RSA-4096.
        let answers = |octets: usize| {
            let algorithm = KeyAlgorithm::ALL.into_iter().find(|a| a.signature_octets() == octets).unwrap();
            cut_for(algorithm, &[32; 1024])
        };
        assert_eq!(answers(49_856), [[63; 16].as_slice(), &[16]].concat());
        assert_eq!(answers(17_088), [184, 184, 184, 184, 184, 104]);
        assert_eq!(answers(512), [1024]);
        let signatures = (0..63).map(|item| Signature { item, value: vec![0; 49_856].into() }).collect();
        assert!(crate::cbor::to_vec(&Answer::Signatures(signatures)).unwrap().len() < crate::wire::MAX_FRAME as usize);
        // What CBOR adds to a chunk of messages fits as well.
        let chunk: Vec<ToSign> = (0..1024).map(|item| ToSign { item, message: vec![0; 3 << 10].into() }).collect();
        let ask = Ask::Sign { handle: u64::MAX, algorithm: SignatureAlgorithm::Ed25519, messages: chunk };
        assert!(crate::cbor::to_vec(&ask).unwrap().len() <= crate::wire::MAX_FRAME as usize);
    }

    #[test]
    fn what_is_not_answered_is_open_again_and_what_is_answered_is_not() {
        with_board(&[1; 4], 1, |board| {
            let part = board.take(3).unwrap();
            assert_eq!(part, [0, 1, 2]);
            board.put(&part, signed(&[100, 102]));
            assert_eq!(board.take(usize::MAX).unwrap(), [3, 1]);
        });
    }

    #[test]
    fn several_take_parts_that_shrink_and_the_last_to_leave_fails_the_batch() {
        with_board(&[1; 100], 2, |board| {
            let lengths = [(); 4].map(|()| board.take(usize::MAX).unwrap().len());
            assert_eq!(lengths, [25, 19, 14, 11]);
            assert!(board.leave(Refusal::halt("one")));
            assert!(!board.leave(Refusal::halt("two")));
            assert_eq!(board.take(usize::MAX), None);
        });
        let (key, messages) = (key(KeyAlgorithm::Ed25519), messages(&[1]));
        let job = Job {
            key: &key,
            declared: Declared::default(),
            algorithm: SignatureAlgorithm::Ed25519,
            messages: &messages,
        };
        let board = Board::new(&job, 1);
        board.leave(Refusal::halt("why"));
        assert_eq!(board.result().err().unwrap().what, "why");
        assert!(Board::new(&job, 0).result().err().unwrap().what.contains("no token is left"));
    }

    #[test]
    fn who_has_nothing_to_do_waits_for_what_another_puts_back() {
        with_board(&[1], 2, |board| {
            let part = board.take(1).unwrap();
            std::thread::scope(|scope| {
                let other = scope.spawn(|| board.take(1));
                board.put(&part, Vec::new());
                assert_eq!(other.join().unwrap(), Some(vec![0]));
                board.put(&[0], signed(&[100]));
                assert_eq!(board.take(1), None);
            });
        });
    }
}
