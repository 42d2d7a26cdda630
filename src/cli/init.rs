//! `init`: the station's beginning.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::approval::quorate;
use crate::audit::Log;
use crate::audit::entry::{Body, Entry, Genesis};
use crate::audit::mark::{Mark, Standing};
use crate::change::recorded;
use crate::gate::Gate;
use crate::plan::init_statement;
use crate::report::terminal::pairs;

use super::approvals::read_signatures;
use super::station::{Station, fold, seal};
use super::{Answer, Failure, Globals, flushed};

/// Begins a station.
#[derive(Args)]
#[command(after_help = "Without --approval, it writes the statement that the roster signs.\n\nExample:\n  \
    coldroot init\n  coldroot approve hierarchy.toml --person alice --key ~/.ssh/id_ed25519\n  \
    coldroot init --approval hierarchy.toml.alice.sig --approval hierarchy.toml.bob.sig")]
pub struct InitArgs {
    /// An officer's signature over the init statement; give one for each
    #[arg(long, value_name = "FILE")]
    pub approval: Vec<PathBuf>,
}

/// ```text
/// audit key in the token      a cut leaves a key without a mark: the next run adopts it
/// artefacts, genesis → fsync  the log exists, unsealed: the next run goes on with it
/// verifier-key → fsync        the same
/// MARK                        the next run makes the first checkpoint
/// first checkpoint            the station has begun; from here on `init` is refused
/// ```
pub fn init(globals: &Globals, args: InitArgs) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    let hierarchy = &station.hierarchy;
    let statement = init_statement(hierarchy);
    if args.approval.is_empty() {
        let example = hierarchy.persons.iter().find(|p| !p.keys.is_empty()).map_or("ID", |p| p.id.as_str());
        let what = format!("no approval was given. The roster signs this statement:\n\n{statement}");
        let dir = crate::text::shell(&station.dir);
        return Err(Failure::refused(
            what,
            format!("each person of the quorum: coldroot approve {dir}/hierarchy.toml --person {example} --key SSHKEY"),
        ));
    }
    let signatures = read_signatures(&args.approval, &station.dir.join("in"))?;
    let approved = quorate(&statement, &signatures, hierarchy, &hierarchy.quorum_init, station.now())?;

    let mut gate = station.start_gate()?;
    // Before anybody types a PIN for a token that could not hold the audit key.
    gate.fit(&hierarchy.audit_token, hierarchy.audit_algorithm, true)?;
    if let Some(dir) = station.missing_copy() {
        let e = crate::audit::copy::Error::Missing(dir.to_path_buf());
        return Err(Failure::refused(format!("the log's copy: {e}"), e.hint()));
    }
    let facts = gate.login(&hierarchy.audit_token)?;
    let audit = station.audit_dir();
    if let Some(mark) = gate.mark()? {
        return finish(&station, gate, &mark);
    }
    let (verifier_key, adopted) = gate.init(&signatures)?;
    let mut log = match audit.join("tail").exists() {
        false => Log::create(&audit, &hierarchy.origin)?,
        true => Log::open(&audit)?,
    };
    if log.size() == 0 {
        log.put_artefact(station.hierarchy_text.as_bytes())?;
        let mut tags = [0; 32];
        getrandom::fill(&mut tags)
            .map_err(|e| Failure::refused(format!("no random numbers: {e}"), "see to the operating system"))?;
        let requesters = log.put_artefact(&tags)?;
        for signature in &signatures {
            log.put_artefact(signature.as_bytes())?;
        }
        let genesis = Genesis {
            origin: hierarchy.origin.clone(),
            name: hierarchy.name.clone(),
            environment: hierarchy.environment,
            hierarchy: hierarchy.digest,
            verifier_key: verifier_key.clone(),
            approvals: recorded(approved.approvals()),
            requesters,
            program: env!("CARGO_PKG_VERSION").into(),
        };
        log.append(&Entry::new(station.now(), Body::Genesis(genesis)))?;
    }
    let genesis = fold(&log, globals.plain)?.genesis.clone();
    if genesis.as_ref().is_none_or(|g| g.verifier_key != verifier_key || g.hierarchy != hierarchy.digest) {
        return Err(Failure::refused(
            "the audit directory holds the log of another token or hierarchy",
            "move it away, or insert the token that belongs to it",
        ));
    }
    station.keep_copy(&mut log)?;
    let login = Body::Login { token: hierarchy.audit_token.clone(), serial: facts.serial, module: facts.module };
    log.append(&Entry::new(station.now(), login))?;
    // Before the mark, behind which nothing is left to do but the checkpoint: whoever stops it anywhere still gets the key.
    write_verifier_key(&station, &verifier_key)?;
    seal(&mut log, &mut gate)?;
    station.close(&mut log, gate)?;
    Ok(begun(&station, &log, &verifier_key, adopted))
}

/// The token carries a mark: either the station has begun, or the last run was stopped between the mark and the first
/// checkpoint, which is made now.
fn finish(station: &Station, mut gate: Gate, mark: &[u8]) -> Result<Answer, Failure> {
    let refused = || {
        Failure::refused(
            "this station is initialised: its token carries the mark",
            format!("coldroot --station {} plan --help", crate::text::shell(&station.dir)),
        )
    };
    let audit = station.audit_dir();
    if audit.join("checkpoint").exists() {
        return Err(refused());
    }
    if !audit.join("tail").exists() {
        let dir = crate::text::shell(&station.dir);
        return Err(Failure::refused(
            format!("{dir}/audit holds no log, but this station is initialised: its token carries the mark"),
            format!("coldroot --station {dir} restore COPY, the newest copy of the audit directory"),
        ));
    }
    let mut log = Log::open(&audit)?;
    let mark =
        Mark::decode(mark).map_err(|e| Failure::refused(format!("the mark is damaged: {e}"), "see to the token"))?;
    if log.size() == 0 || !matches!(mark.compare(&log)?, Standing::Equal | Standing::Ahead { .. }) {
        return Err(refused());
    }
    let verifier_key = log.genesis()?.verifier_key;
    gate.grow_from(mark.size, mark.root);
    write_verifier_key(station, &verifier_key)?;
    seal(&mut log, &mut gate)?;
    station.close(&mut log, gate)?;
    Ok(begun(station, &log, &verifier_key, true))
}

fn write_verifier_key(station: &Station, verifier_key: &str) -> Result<(), Failure> {
    let path = station.dir.join("verifier-key");
    flushed::file(&path, format!("{verifier_key}\n").as_bytes())
}

fn begun(station: &Station, log: &Log, verifier_key: &str, adopted: bool) -> Answer {
    let hierarchy = &station.hierarchy;
    let dir = crate::text::shell(&station.dir);
    let text = format!(
        "The station has begun.\n\n{}\nKeep origin and verifier key where every check is made, apart from the releases.\n  next: coldroot --station {dir} plan --ceremony CEREMONY.toml\n",
        pairs(&[
            ("hierarchy", hierarchy.name.clone()),
            ("environment", hierarchy.environment.to_string()),
            ("origin", hierarchy.origin.clone()),
            ("verifier key", verifier_key.to_string()),
            ("audit key", if adopted { "adopted from the token".into() } else { "made in the token".to_string() }),
            ("log", format!("{} entries, sealed and marked", log.size())),
        ])
    );
    Answer::new(text, json!({ "origin": hierarchy.origin, "verifier-key": verifier_key, "size": log.size() }))
}
