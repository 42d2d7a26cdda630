//! `token split-pin`: a new PIN, made by the tool, in shares that custodians keep.
//!
//! ```text
//! login    with the PIN as it is, as for every run             a stop leaves nothing behind
//! draw     the gate draws a PIN and splits it                   the same: it is gone with the gate
//! record   PinSplit, PIN tries → fsync → MARK → checkpoint      the token has its old PIN. The next login asks which one it is
//! show     each share, and it is typed back at once             the same; the shares are waste paper
//! set      C_SetPIN, and a login with the new PIN               it has the old PIN or the new one. Custodians have the new one whole
//! done     PinSplitDone → fsync → MARK → checkpoint             the next login finds out, by the PIN that opens it, and records it
//! ```
//! So whatever a power cut leaves, the PIN that the token has is in somebody's hands: nothing is set before every share was
//! typed back, and nobody needs the old PIN once it is set.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

use crate::audit::Log;
use crate::audit::entry::{Body, Entry, PinSplit, ShareOf};
use crate::cbor::Bytes;
use crate::config::{PinEntry, Token};
use crate::gate::Gate;
use crate::pin::shares::MOST;
use crate::report::terminal::{Table, pairs};
use crate::text::{escape, hex, shell};

use super::super::run::proven;
use super::super::station::{Station, seal};
use super::super::{Answer, Failure};

/// Splits a PIN.
#[derive(Args)]
#[command(
    after_help = "The PIN as it is is asked for first. Then each custodian alone sees a share of 24 words, writes it down, \
    and types it back. Only when all have done so the token gets the new PIN, which nobody has seen.\n\nExample:\n  \
    coldroot token split-pin main --shares 5 --threshold 3 \\\n    \
    --custodian ada --custodian ben --custodian cyd --custodian dan --custodian eve"
)]
pub struct SplitPinArgs {
    /// The token's id in the hierarchy, where it has pin = "shares"
    #[arg(value_name = "TOKEN")]
    pub token: String,
    /// How many shares are made
    #[arg(long, value_name = "N")]
    pub shares: u8,
    /// How many of them open the token
    #[arg(long, value_name = "M")]
    pub threshold: u8,
    /// Who keeps a share, a person of the hierarchy; give one for each, in the order of the shares
    #[arg(long, value_name = "PERSON")]
    pub custodian: Vec<String>,
    /// Rehearsals only: write the shares to descriptor N, a line for each, and read them back from --shares-fd
    #[arg(long, value_name = "N")]
    pub shares_to: Option<String>,
}

pub(super) fn split_pin(mut station: Station, args: &SplitPinArgs) -> Result<Answer, Failure> {
    let token = super::declared_token(&station, &args.token)?.clone();
    judge(&station, &token, args)?;
    if let Some(to) = &args.shares_to {
        station.write_shares_to(&token.id, to)?;
    }
    if !station.begun() {
        let next = format!("coldroot --station {} init", shell(&station.dir));
        return Err(Failure::refused("a split is recorded, and this station has no log yet", next));
    }
    let (mut log, _) = station.open_log()?;
    let mut gate = station.start_gate()?;
    station.enter_sandbox(&[], None)?;
    let cut = log.cut();
    station.log_in(&mut log, &mut gate, vec![token.id.clone()], cut)?;
    let split = carry_out(&station, &mut log, &mut gate, &token, args)?;
    station.close(&mut log, gate)?;
    Ok(told(&station, &token, &split))
}

/// What needs neither token nor log.
fn judge(station: &Station, token: &Token, args: &SplitPinArgs) -> Result<(), Failure> {
    let (shares, threshold) = (args.shares, args.threshold);
    if token.pin != PinEntry::Shares {
        let what = format!("the hierarchy does not say that the PIN of token `{}` is in shares", token.id);
        return Err(Failure::refused(what, "pin = \"shares\" belongs into its [[token]], before `init`"));
    }
    if !(2..=MOST).contains(&shares) || !(2..=shares).contains(&threshold) {
        let what = format!("{threshold} of {shares} is no quorum for shares");
        return Err(Failure::usage(what, format!("--shares 2 to {MOST}, --threshold 2 to the number of shares")));
    }
    let named: BTreeSet<&String> = args.custodian.iter().collect();
    if let Some(unknown) = args.custodian.iter().find(|id| station.hierarchy.person(id).is_none()) {
        let what = format!("the hierarchy declares no person `{}`", escape(unknown));
        return Err(Failure::usage(what, "see [[person]] in hierarchy.toml"));
    }
    if !args.custodian.is_empty() && (named.len() != args.custodian.len() || named.len() != usize::from(shares)) {
        let what = format!("{shares} shares have {} different custodians", named.len());
        return Err(Failure::usage(what, "name as many persons as there are shares, each once, or none"));
    }
    Ok(())
}

fn carry_out(
    station: &Station,
    log: &mut Log,
    gate: &mut Gate,
    token: &Token,
    args: &SplitPinArgs,
) -> Result<PinSplit, Failure> {
    let (set, digests) = gate.split_pin(&token.id, args.shares, args.threshold)?;
    let custodians = args.custodian.iter().cloned().map(Some).chain(std::iter::repeat(None));
    let shares = custodians.zip(digests).map(|(custodian, digest)| ShareOf { custodian, digest }).collect();
    let split = PinSplit { token: token.id.clone(), set, threshold: args.threshold, shares };
    let entry = Entry::new(station.now(), Body::PinSplit(split.clone()));
    let index = log.append(&entry)?;
    // C_SetPIN judges the old PIN once more, and the login behind it the new one.
    for _ in 0..2 {
        log.append(&Entry::new(station.now(), Body::PinTry { token: token.id.clone() }))?;
    }
    seal(log, gate)?;
    match gate.hand_out(proven(log, index, &entry)?) {
        Ok(()) => done(station, log, &split.token, &split.set, true)?,
        Err(e) => {
            // Refused: the token was not asked, or has said no. Halted: nobody knows, and the next login will.
            if !e.halted() {
                done(station, log, &split.token, &split.set, false)?;
            }
            station.record_failure(log, &format!("split of the PIN of token {}: {e}", token.id));
            return Err(e.into());
        }
    }
    seal(log, gate)?;
    Ok(split)
}

fn done(station: &Station, log: &mut Log, token: &str, set: &Bytes, new_pin: bool) -> Result<(), Failure> {
    let body = Body::PinSplitDone { token: token.into(), set: set.clone(), new_pin };
    log.append(&Entry::new(station.now(), body))?;
    log.sync()?;
    Ok(())
}

fn told(station: &Station, token: &Token, split: &PinSplit) -> Answer {
    let mut table = Table::new(&["share", "custodian", "digest"]);
    let mut shares = Vec::new();
    for (number, share) in (1..).zip(&split.shares) {
        let custodian = share.custodian.as_deref().map_or("-".into(), escape);
        let digest = share.digest.hex();
        table.row([number.to_string(), custodian, format!("{}…", &digest[..16]).replace('…', "..")]);
        shares.push(json!({ "number": number, "custodian": share.custodian, "digest": digest }));
    }
    let text = format!(
        "The PIN of token `{}` is in shares now, and nobody has seen it.\n\n{}\n{}\n\
         Each login asks for {} of them. The PIN from before opens nothing any more.\n  next: coldroot --station {} show audit\n",
        token.id,
        pairs(&[("set", hex(&split.set)), ("opens with", format!("{} of {}", split.threshold, split.shares.len()))]),
        table.render(),
        split.threshold,
        shell(&station.dir),
    );
    let json = json!({ "token": token.id, "set": hex(&split.set), "threshold": split.threshold, "shares": shares });
    Answer::new(text, json)
}
