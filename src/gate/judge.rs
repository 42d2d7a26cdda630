//! What the gate judges of a plan, and how it carries its items out.

use std::collections::BTreeMap;
use std::path::Path;

use crate::algorithm::SignatureAlgorithm;
use crate::approval;
use crate::audit::entry::{Body, End, Entry, Start};
use crate::audit::{changed::raised, mark::Mark, merkle};
use crate::change::{self, TakeOver, recorded};
use crate::config::{Key, Token};
use crate::digest::Digest;
use crate::plan::{self, GenerateKey, Item, KeyRef, Plan};

use super::MAX_CHUNK;
use super::message::{Outcome, Proven, Reply};
use super::server::Gate;
use crate::refusal::Refusal;
use crate::workers::Declared;

/// Why a plan is none of this station's, or not any more.
const ELSEWHERE: &str = "the plan was made for another hierarchy";
/// Octets of signatures in one reply: less than [`crate::wire::MAX_FRAME`] by more than what CBOR adds.
const MOST_ANSWERED: usize = 3 << 20;

/// Messages of one key, with their item numbers, and what the hierarchy declares of it.
type Group = (KeyRef, Declared, SignatureAlgorithm, Vec<(u64, Vec<u8>)>);
/// Keys to be made, messages to be signed, acts on keys, and what signs nothing: each of them lawful.
type Judged = (Vec<(u64, GenerateKey)>, Vec<Group>, Vec<(u64, Item)>, Vec<u64>);

impl Gate {
    pub(super) fn start(
        &mut self,
        path: &Path,
        approvals: &[String],
        entry: &[u8],
        index: u64,
        inclusion: &[Digest],
    ) -> Result<Reply, Refusal> {
        let mark = self.marked()?;
        if self.plan.is_some() {
            return Err(Refusal::bug("a plan is open in this process; a second one needs a new run"));
        }
        let plan = Plan::open(path)?;
        let (head, digest) = (plan.head(), plan.digest());
        self.judge_place(head, digest, &mark)?;
        if head.hierarchy != self.hierarchy.digest || head.hierarchy != mark.hierarchy {
            return Err(Refusal::no(ELSEWHERE, "plan again at this station"));
        }
        if head.release_before != mark.release {
            return Err(out_of_place(head, &mark));
        }
        self.judge_window(head)?;
        let quorum = self.hierarchy.quorum(head.kind);
        let quorate =
            approval::quorate(&plan::statement(head, &digest), approvals, &self.hierarchy, quorum, head.sign_from)?;
        let Entry { time, body: started, .. } = included(&mark, entry, index, inclusion)?;
        match &started {
            Body::Start(Start { plan, approvals, .. })
                if *plan == digest && *approvals == recorded(quorate.approvals()) => {}
            _ => return Err(Refusal::bug("the start entry does not name this plan and these approvals")),
        }
        // As whoever reads the log has it, and no later than this clock.
        let floor = raised(mark.floor, started.witnessed(), time.min(self.now()?));
        self.write_mark(Mark { open_plan: Some(digest), floor, ..mark })?;
        self.plan = Some(plan);
        Ok(Reply::Started)
    }

    /// What a plan is bound to, besides its window, the release that it follows, and the hierarchy: a lost log may have left one as
    /// started that was made for the hierarchy before, and that is voided.
    fn judge_place(&self, head: &plan::Head, digest: Digest, mark: &Mark) -> Result<(), Refusal> {
        let h = &self.hierarchy;
        if (&head.origin, &head.name, head.environment) != (&h.origin, &h.name, h.environment) {
            return Err(Refusal::no(ELSEWHERE, "plan again at this station"));
        }
        if let Some(open) = mark.open_plan.filter(|open| *open != digest) {
            let what = format!("plan {open} was started and not ended");
            return Err(Refusal::no(what, "finish it first: run `coldroot sign` with that plan"));
        }
        Ok(())
    }

    fn judge_window(&self, head: &plan::Head) -> Result<(), Refusal> {
        let now = self.now()?;
        if now < head.sign_from || now > head.sign_until {
            let [now, from, until] = [now, head.sign_from, head.sign_until].map(crate::text::utc);
            let what = format!("it is {now}; the plan's window is from {from} until {until}");
            return Err(Refusal::no(what, "wait for the window, or plan again"));
        }
        Ok(())
    }

    /// All items are judged before the first one is carried out.
    pub(super) fn carry_out(&mut self, numbers: &[u64]) -> Result<Reply, Refusal> {
        let mark = self.marked()?;
        let mut plan = self.plan.take().filter(|plan| mark.open_plan == Some(plan.digest()));
        let judged = match &mut plan {
            Some(plan) => self.judge_items(plan, numbers),
            None => Err(Refusal::bug("no plan is open")),
        };
        self.plan = plan;
        let (keys, groups, acts, plain) = judged?;
        acts.iter().try_for_each(|(_, item)| self.judge_key_act(item))?;
        let crews =
            groups.iter().map(|(key, declared, ..)| self.crew(key, *declared)).collect::<Result<Vec<_>, _>>()?;
        let mut outcomes: BTreeMap<u64, Outcome> = plain.into_iter().map(|n| (n, Outcome::Noted)).collect();
        for (n, key) in keys {
            let token = self.token(&key.token)?;
            self.belongs(&token, true, &key.cka_id)?;
            let always = self.hierarchy.key(&key.key).is_some_and(|declared| declared.always_authenticate);
            outcomes.insert(n, Outcome::Key(self.workers.generate(&token, &key, always)?));
        }
        for (n, act) in acts {
            outcomes.insert(n, self.key_act(&act)?);
        }
        for ((key, declared, algorithm, messages), crew) in groups.into_iter().zip(crews) {
            for signature in self.workers.sign(&crew, &key, declared, algorithm, &messages)? {
                outcomes.insert(signature.item, Outcome::Signature(signature.value));
            }
        }
        // One outcome for each number: the numbers ascend, so the map gives them in the order asked.
        Ok(Reply::Done(outcomes.into_values().collect()))
    }

    /// The tokens that share the key's work. One in trouble is left out where others can go on; one that is not what it should
    /// be stops them all.
    fn crew(&mut self, key: &KeyRef, declared: Declared) -> Result<Vec<String>, Refusal> {
        let sharing: Vec<Token> =
            self.hierarchy.sharing(&key.token).filter(|token| self.workers.signs(&token.id)).cloned().collect();
        let mut crew = Vec::new();
        for token in &sharing {
            match self.belongs(token, false, &key.cka_id).and_then(|()| self.workers.find(token, key, declared)) {
                Ok(_) => crew.push(token.id.clone()),
                Err(trouble) if trouble.halted && sharing.len() > 1 => self.workers.leave_out(&token.id, &trouble.what),
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(crew)
    }

    /// The items, or as many of them from the first on as one reply has room for; the parent asks again for the rest.
    fn judge_items(&self, plan: &mut Plan, numbers: &[u64]) -> Result<Judged, Refusal> {
        if numbers.len() > MAX_CHUNK || !numbers.is_sorted_by(|a, b| a < b) {
            return Err(Refusal::bug("items are asked for in ascending order, each once, at most a chunk of them"));
        }
        let (mut keys, mut groups, mut acts, mut plain): Judged = Default::default();
        let mut answer = 0usize;
        for &n in numbers {
            let item = plan.item(n)?;
            let ca = match &item {
                Item::GenerateKey(key) => {
                    self.declared_new(key)?;
                    keys.push((n, key.clone()));
                    continue;
                }
                Item::Revoke(_) => {
                    plain.push(n);
                    continue;
                }
                Item::KeyAct(act) if item.to_sign().is_none() => {
                    self.declared(None, &act.key, act.key.algorithm.signs_with())?;
                    acts.push((n, item));
                    continue;
                }
                Item::GenerateWrappingKey(_) => {
                    acts.push((n, item));
                    continue;
                }
                Item::KeyAct(_) => None,
                Item::Certificate(c) => Some(c.ca.as_str()),
                Item::Crl(c) => Some(c.ca.as_str()),
                Item::Csr(c) => Some(c.ca.as_str()),
            };
            let (key, tbs, algorithm) = item.to_sign().ok_or_else(|| Refusal::bug("an item without a TBS"))?;
            let declared = Declared::from(self.declared(ca, key, algorithm)?);
            answer = answer.saturating_add(key.algorithm.signature_octets());
            if answer > MOST_ANSWERED {
                break;
            }
            let message = algorithm.message(tbs)?;
            match groups.iter_mut().find(|(known, _, a, _)| known == key && *a == algorithm) {
                Some((_, _, _, messages)) => messages.push((n, message)),
                None => groups.push((key.clone(), declared, algorithm, vec![(n, message)])),
            }
        }
        Ok((keys, groups, acts, plain))
    }

    fn declared_new(&self, key: &GenerateKey) -> Result<(), Refusal> {
        let planned = (&key.token, &key.label, key.algorithm, key.backup);
        let declared = self.hierarchy.key(&key.key).map(|k| (&k.token, &k.label, k.algorithm, k.backup));
        if declared != Some(planned) {
            let what = format!("the planned key `{}` is not the hierarchy's", crate::text::escape(&key.key));
            return Err(Refusal::no(what, "plan again"));
        }
        self.need_login(&key.token)
    }

    /// The key of an item must be one that the hierarchy declares, for the CA that the statement names if it names one, and
    /// use its own algorithm.
    pub(super) fn declared(
        &self,
        ca: Option<&str>,
        key: &KeyRef,
        algorithm: SignatureAlgorithm,
    ) -> Result<&Key, Refusal> {
        let of_ca = ca.is_none_or(|ca| self.hierarchy.ca(ca).is_some_and(|ca| ca.key == key.key));
        let declared = self.hierarchy.key(&key.key).filter(|_| of_ca);
        let planned = (&key.token, &key.label, key.algorithm, algorithm);
        let Some(declared) =
            declared.filter(|k| (&k.token, &k.label, k.algorithm, k.algorithm.signs_with()) == planned)
        else {
            let [ca, key] = [ca.unwrap_or("itself"), &key.key].map(crate::text::escape);
            let what = format!("the plan uses `{key}` for `{ca}`, which is not the hierarchy's key for it");
            return Err(Refusal::no(what, "plan again"));
        };
        self.need_login(&key.token)?;
        Ok(declared)
    }

    /// Closes the plan that the mark names, whoever started it: a process that died behind the end entry is followed by one
    /// that has nothing to start, and the window may have passed by then. That every item was carried out is not asked:
    /// what was not signed under this plan never will be, since the release moves on, and the log tells what is missing.
    pub(super) fn end(&mut self, entry: &[u8], index: u64, inclusion: &[Digest]) -> Result<Reply, Refusal> {
        let mark = self.marked()?;
        let open = mark.open_plan.ok_or_else(|| Refusal::bug("no plan is open"))?;
        let next = mark.release + 1;
        match included(&mark, entry, index, inclusion)?.body {
            Body::End(End { plan, release, .. }) if plan == open && release == next => {}
            _ => return Err(Refusal::bug("the end entry does not name the open plan and its release")),
        }
        self.write_mark(Mark { release: next, open_plan: None, ..mark })?;
        self.plan = None;
        Ok(Reply::Ended)
    }
}

impl Gate {
    /// Ends a plan that will not go on: the open one, or one that was never started, whose bundle needs an answer. The
    /// quorum has signed how many of its items are done; the same step moves the mark past the plan, so that none of the
    /// rest can be asked for any more. A plan that another one has overtaken never starts, but its bundle waits all the
    /// same: it may follow an earlier release than the last one.
    pub(super) fn void(
        &mut self,
        path: &Path,
        approvals: &[String],
        void: Proven,
        end: Proven,
    ) -> Result<Reply, Refusal> {
        let mark = self.marked()?;
        let plan = Plan::open(path)?;
        let (head, digest) = (plan.head(), plan.digest());
        self.judge_place(head, digest, &mark)?;
        if head.release_before > mark.release {
            return Err(out_of_place(head, &mark));
        }
        let Entry { time, body: Body::Void(body), .. } = included(&mark, &void.entry, void.index, &void.inclusion)?
        else {
            return Err(Refusal::bug("the void entry is none"));
        };
        change::not_before_floor(&mark, time)?;
        let statement = plan::void_statement(head, &digest, body.done, &body.reason);
        // The entry's time, not this process's: a void that was interrupted goes on with the approvals it began with.
        let quorum = self.hierarchy.quorum(head.kind);
        let quorate = approval::quorate(&statement, approvals, &self.hierarchy, quorum, time)?;
        if body.plan != digest || body.approvals != recorded(quorate.approvals()) {
            return Err(Refusal::bug("the void entry does not name this plan and these approvals"));
        }
        let next = mark.release + 1;
        match included(&mark, &end.entry, end.index, &end.inclusion)?.body {
            Body::End(End { plan, release, done, .. }) if plan == digest && release == next && done == body.done => {}
            _ => {
                return Err(Refusal::bug(
                    "the end entry does not name the voided plan, what is done of it, and its release",
                ));
            }
        }
        let floor = raised(mark.floor, body.witness_time, time.min(self.now()?));
        self.write_mark(Mark { release: next, open_plan: None, floor, ..mark })?;
        self.plan = None;
        Ok(Reply::Ended)
    }

    /// A change of state that signs nothing: the mark follows the log, if the quorum of the hierarchy in force has approved it.
    pub(super) fn change(&mut self, proven: &Proven, approvals: &[String]) -> Result<Reply, Refusal> {
        let mark = self.marked()?;
        let entry = included(&mark, &proven.entry, proven.index, &proven.inclusion)?;
        let adopted = change::adopts(&entry.body).map(|digest| self.on_record(&digest)).transpose()?;
        let changed = change::judge(&mark, &self.hierarchy, adopted.as_ref(), &entry, approvals, self.now()?)?;
        let obeyed = adopted.filter(|new| new.digest == changed.hierarchy);
        self.write_mark(changed)?;
        self.hierarchy = obeyed.unwrap_or_else(|| self.hierarchy.clone());
        Ok(Reply::Ended)
    }

    /// The mark names the standby, and this token is done. That comes before the entry, so no log ever tells of a hand-over that the
    /// token which is there has not heard of.
    pub(super) fn hand_over(&mut self, entry: &[u8], approvals: &[String]) -> Result<Reply, Refusal> {
        let (mark, entry) = (self.marked()?, decoded(entry)?);
        // An older note with the same root would be as good, and that one names this token.
        if self.hierarchy.marks_on_paper() {
            let hint = "destroy it, and hand the mark over as that of a token that is lost: --lost";
            return Err(Refusal::no("a token whose mark is on paper cannot be told", hint));
        }
        if !matches!(entry.body, Body::HandedOver(_)) {
            return Err(Refusal::bug("the entry hands nothing over"));
        }
        self.write_mark(change::judge(&mark, &self.hierarchy, None, &entry, approvals, self.now()?)?)?;
        Ok(Reply::Ended)
    }

    /// A standby's mark moves in one write from the day of its cloning to the log that hands the mark over to it.
    pub(super) fn take_over(&mut self, shown: &TakeOver) -> Result<Reply, Refusal> {
        let (Some(mark), own) = (self.held()?, self.own_serial()?) else {
            let what = "the token has no mark: it was cloned before `init`, or without its data objects";
            return Err(Refusal::no(what, "take another standby, or clone it again from a token that has a mark"));
        };
        let (mark, in_force) = shown.judge(&mark, &own, |digest| self.on_record(digest).ok())?;
        self.write_mark(mark)?;
        self.hierarchy = in_force;
        Ok(Reply::Ended)
    }

    /// The mark moves in one write from a log that is lost to the tree that holds the entry which says so, and which continues
    /// the log that the quorum has adopted.
    pub(super) fn adopt_log(
        &mut self,
        new: &Proven,
        (size, root, proof): &(u64, Digest, Vec<Digest>),
        approvals: &[String],
    ) -> Result<Reply, Refusal> {
        let (mark, size, root) = (self.marked()?, *size, *root);
        let entry = included(&Mark { size, root, ..mark.clone() }, &new.entry, new.index, &new.inclusion)?;
        self.write_mark(change::adopt(&mark, &self.hierarchy, &entry, approvals, (size, root, proof), self.now()?)?)?;
        Ok(Reply::Ended)
    }
}

fn out_of_place(head: &plan::Head, mark: &Mark) -> Refusal {
    let (follows, stands) = (head.release_before, mark.release);
    let what = format!("the plan follows release {follows}, the token's mark stands at release {stands}");
    Refusal::no(what, "it was carried out already, or another plan came before it: plan again")
}

/// Decodes an entry that stands in the log that the mark knows.
pub(super) fn included(mark: &Mark, entry: &[u8], index: u64, inclusion: &[Digest]) -> Result<Entry, Refusal> {
    if !merkle::verify_inclusion(&merkle::leaf_hash(entry), index, mark.size, &mark.root, inclusion) {
        return Err(Refusal::bug("the entry does not stand in the last checkpoint"));
    }
    decoded(entry)
}

fn decoded(entry: &[u8]) -> Result<Entry, Refusal> {
    Entry::decode(entry).map_err(|_| Refusal::bug("the entry does not decode"))
}
