//! The station: its hierarchy, its log, and a gate that agrees with both.

mod login;
mod opening;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::audit::entry::{Body, Entry};
use crate::audit::{Log, Sealer};
use crate::config::{self, Environment, Guard, Hierarchy};
use crate::digest::Tagger;
use crate::gate::Gate;
use crate::ledger::{Ledger, PinSet};
use crate::pin::PinSource;
use crate::sandbox;

use super::reading::reading;
use super::{Failure, Globals, clock, failure::Code, flushed};

/// Why much of the log is read.
const NO_INDEX: &str = "no index covers them yet; the next `coldroot sign` stores one";
/// Characters of a failure that are recorded.
const MAX_FAILURE: usize = 2_000;

/// An opened station directory.
pub struct Station {
    pub dir: PathBuf,
    /// For files without a name: `out/`, since the sandbox lets nothing be written beside `hierarchy.toml`.
    pub scratch: PathBuf,
    pub hierarchy: Hierarchy,
    pub hierarchy_text: String,
    now: Option<i64>,
    /// Where the log's copy lies.
    copy: Option<PathBuf>,
    pins: BTreeMap<String, PinSource>,
    /// What the log said of PINs in shares when it was opened.
    pin_sets: RefCell<BTreeMap<String, Vec<PinSet>>>,
    /// The log indices of the changes of state.
    changes: RefCell<Vec<u64>>,
    /// The serial number of the token that has the mark, where the log says it; otherwise the hierarchy does.
    token: RefCell<Option<String>>,
    /// The time of the log's last entry: none that follows is of an earlier one.
    latest: Cell<i64>,
    last: bool,
    /// No progress bars.
    pub plain: bool,
}

impl Station {
    pub fn load(globals: &Globals) -> Result<Station, Failure> {
        let path = globals.station.join("hierarchy.toml");
        let hierarchy = Hierarchy::load(&path).map_err(|e| {
            let hint = e.hint();
            let what = match e {
                config::Error::Field { .. } => format!("{}: {e}", crate::text::path(&path)),
                // The others name the file themselves.
                _ => e.to_string(),
            };
            Failure { code: Code::Usage, what, hint }
        })?;
        if globals.now.is_some() && hierarchy.environment == Environment::Real {
            return Err(Failure::usage("--now belongs to rehearsals", "leave it out; the station's clock counts"));
        }
        let hierarchy_text = fs::read_to_string(&path).map_err(|e| Failure::io(&path, e))?;
        let mut pins = BTreeMap::new();
        for (token, fd) in descriptors("--pin-fd", &globals.pin_fd, &hierarchy)? {
            pins.insert(token, PinSource::Fd(fd));
        }
        for (token, from) in descriptors("--shares-fd", &globals.shares_fd, &hierarchy)? {
            if pins.insert(token, PinSource::Shares { from, to: None }).is_some() {
                let what = "--pin-fd and --shares-fd name the same token";
                return Err(Failure::usage(what, "give the PIN as one, or its shares"));
            }
        }
        Ok(Station {
            dir: globals.station.clone(),
            scratch: globals.station.join("out"),
            copy: globals.copy.clone().or_else(|| Some(globals.station.join(hierarchy.audit_copy.as_ref()?))),
            hierarchy,
            hierarchy_text,
            now: globals.now,
            pins,
            pin_sets: RefCell::default(),
            changes: RefCell::default(),
            token: RefCell::default(),
            latest: Cell::new(i64::MIN),
            last: globals.last,
            plain: globals.plain,
        })
    }

    /// Where the log's copy lies, if there is to be one.
    pub fn copy(&self) -> Option<&Path> {
        self.copy.as_deref()
    }

    /// What the clock says.
    pub fn clock(&self) -> i64 {
        clock(self.now)
    }

    /// The present time, by which entries are dated and windows judged: what the clock says, but never before the log's last
    /// entry. A clock that stands before it when the log is opened is refused ([`Station::judge_clock`]).
    pub fn now(&self) -> i64 {
        self.clock().max(self.latest.get())
    }

    /// The time of the log's last entry that counts.
    pub fn latest(&self) -> i64 {
        self.latest.get()
    }

    /// Dates what follows by this entry, which has just been written. A clock that was corrected counts again.
    pub fn follow(&self, entry: &Entry) {
        self.latest.set(entry.time);
    }

    pub fn audit_dir(&self) -> PathBuf {
        self.dir.join("audit")
    }

    /// What to do about a directory that is older than what others know.
    pub fn restore_hint(&self) -> String {
        let (dir, copy) = (crate::text::shell(&self.dir), self.copy.as_ref().map(crate::text::shell));
        let copy = copy.unwrap_or_else(|| "COPY".into());
        format!(
            "restore the newest copy, then run this again: coldroot --station {dir} restore {copy} (is every newer one lost: coldroot adopt-log)"
        )
    }

    /// `out/`, made when it is missing.
    pub fn out_dir(&self) -> Result<PathBuf, Failure> {
        let out = self.dir.join("out");
        flushed::directory(&out)?;
        Ok(out)
    }

    /// There is a log; `init` has at least begun.
    pub fn begun(&self) -> bool {
        ["tail", "checkpoint"].iter().any(|file| self.audit_dir().join(file).exists())
    }

    /// What makes the tags of requesters; its key is an artefact that never leaves the station.
    pub fn tagger(&self, log: &Log) -> Result<Tagger, Failure> {
        let key = log.artefact(&log.genesis()?.requesters)?;
        let key: [u8; 32] = key.as_slice().try_into().map_err(|_| Failure {
            code: Code::Halted,
            what: "the key of the requesters' tags has not 32 octets".into(),
            hint: Some("restore the newest copy of the audit directory".into()),
        })?;
        Ok(Tagger::new(&key))
    }

    /// The gate, for the token that has the mark: after a hand-over that is one which may have to take over first.
    pub fn start_gate(&self) -> Result<Gate, Failure> {
        let token = self.token.borrow().clone();
        self.start_gate_for(token.as_deref(), true)
    }

    /// The same for the token with this serial number, which may be a `standby`.
    pub(super) fn start_gate_for(&self, serial: Option<&str>, standby: bool) -> Result<Gate, Failure> {
        let mut gate = Gate::start(&self.dir, self.now, self.pins.clone())?;
        if let Some(serial) = serial {
            gate.serial(serial, standby)?;
        }
        Ok(gate)
    }

    /// The serial number of the token that has the mark, as the log says it, or the hierarchy.
    pub(super) fn token_in_force(&self) -> Option<String> {
        let declared = || self.hierarchy.token(&self.hierarchy.audit_token)?.serial.clone();
        self.token.borrow().clone().or_else(declared)
    }

    /// The log indices of the changes of state.
    pub(super) fn changes(&self) -> Vec<u64> {
        self.changes.borrow().clone()
    }

    /// Another one has come on record.
    pub(super) fn decided(&self, index: u64) {
        self.changes.borrow_mut().push(index);
    }

    /// Drops what the rest of the run does not need: it writes below `audit/`, `in/` and `out/`, and reads the station and
    /// the directories of `inputs`, and to the medium if there is one. The gate must have been started before, or be of no more use.
    pub fn enter_sandbox(&self, inputs: &[&Path], medium: Option<&Path>) -> Result<(), Failure> {
        if !self.last {
            return Ok(());
        }
        let (inbox, out) = (self.dir.join("in"), self.out_dir()?);
        flushed::directory(&inbox)?;
        // What is judged in a private directory is judged there too, and not below /tmp.
        let _ = tempfile::env::override_temp_dir(&out);
        let audit = self.audit_dir();
        let mut write = vec![audit.as_path(), &inbox, &out];
        write.extend(medium);
        write.extend(self.copy.as_deref().filter(|copy| copy.is_dir()));
        let mut read = vec![self.dir.as_path()];
        read.extend(inputs.iter().map(|path| match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }));
        match sandbox::enter(&read, &write) {
            Ok(()) => Ok(()),
            Err(e) if self.hierarchy.sandbox == Guard::IfAvailable => {
                eprintln!("coldroot: no sandbox: {e}; a real hierarchy would refuse to go on");
                Ok(())
            }
            Err(e) => Err(Failure { code: Code::Refused, what: format!("no sandbox: {e}"), hint: e.hint() }),
        }
    }

    /// The copy's directory, when a real hierarchy declares one that is not there.
    pub fn missing_copy(&self) -> Option<&Path> {
        let wanted = self.copy.as_deref().filter(|_| self.hierarchy.environment == Environment::Real);
        wanted.filter(|dir| !dir.is_dir())
    }

    /// Brings the copy up to the log before anything is done: a medium that is missing, full or another one is known before a PIN
    /// is tried, and what the last run could not copy is copied now. A real hierarchy that declares a copy does not go on
    /// without; a rehearsal does, on record.
    pub fn keep_copy(&self, log: &mut Log) -> Result<(), Failure> {
        let Some(dir) = &self.copy else { return Ok(()) };
        let Err(e) = log.keep_copy(dir) else { return Ok(()) };
        match self.hierarchy.environment {
            Environment::Real => Err(Failure::refused(format!("the log's copy: {e}"), e.hint())),
            Environment::Rehearsal => {
                eprintln!("coldroot: WARNING: no copy of the log: {e}; a real hierarchy would refuse to go on");
                eprintln!("  next: {}", e.hint());
                Ok(())
            }
        }
    }

    /// Writes a failure down. What went wrong is the failure itself: that it could not be written as well changes nothing.
    pub fn record_failure(&self, log: &mut Log, what: &str) {
        let what: String = what.chars().take(MAX_FAILURE).collect();
        if log.append(&Entry::new(self.now(), Body::Failure { what })).is_ok() {
            let _ = log.sync();
        }
    }

    /// Writes down what went wrong with tokens and was met since this was last done. A gate that has gone has told its own.
    pub fn record_troubles(&self, log: &mut Log, gate: &mut Gate) {
        for trouble in gate.troubles().unwrap_or_default() {
            self.record_failure(log, &trouble.to_string());
        }
    }

    /// Rehearsals: where the shares of a new PIN are written.
    pub fn write_shares_to(&mut self, token: &str, option: &str) -> Result<(), Failure> {
        let fd = option.parse().map_err(|_| Failure::usage("--shares-to takes a number", "--shares-to 4 4> FILE"))?;
        match self.pins.get_mut(token) {
            Some(PinSource::Shares { to, .. }) => *to = Some(fd),
            _ => {
                let what = "--shares-to needs --shares-fd, from which the shares are typed back";
                return Err(Failure::usage(what, format!("--shares-fd {token}=3 --shares-to 4")));
            }
        }
        Ok(())
    }
}

/// Signs and marks the log as it stands, then brings its copy up to it. A copy that cannot be written stops no run on its way:
/// the log is whole without it. It is told, on record under the next checkpoint, and the next run begins with it.
pub fn seal(log: &mut Log, gate: &mut Gate) -> Result<(), Failure> {
    log.note_copy()?;
    log.checkpoint(gate).map(drop).map_err(|e| match e {
        crate::audit::Error::Sealer(inner) => match inner.downcast::<<Gate as Sealer>::Error>() {
            Ok(gate) => Failure::from(*gate),
            Err(other) => Failure { code: Code::Halted, what: other.to_string(), hint: None },
        },
        other => other.into(),
    })?;
    copy_over(log);
    Ok(())
}

/// Brings the log's copy up to it, if there is one; what went wrong is told, and goes on record later.
pub fn copy_over(log: &mut Log) {
    if let Err(e) = log.bring_copy_over() {
        eprintln!("coldroot: WARNING: the log's copy was not brought up to it: {e}");
    }
}

/// Folds a whole log.
pub fn fold(log: &Log, plain: bool) -> Result<Ledger, Failure> {
    Ok(Ledger::open_telling(log, reading(plain, NO_INDEX))?)
}

/// Stores the index once there is enough behind the last one, and appends the entry that vouches for it; a checkpoint is next.
pub fn index(log: &mut Log, ledger: &mut Ledger, now: i64) -> Result<(), Failure> {
    if !ledger.is_due() || ledger.size() != log.size() {
        return Ok(());
    }
    log.sync()?;
    let (size, digest) = (ledger.size(), ledger.store(log)?);
    log.append(&Entry::new(now, Body::Indexed { size, digest }))?;
    Ok(ledger.follow(log)?)
}

/// Descriptors as options give them: `3`, for the audit key's token, or `TOKEN=3`.
fn descriptors(option: &str, given: &[String], hierarchy: &Hierarchy) -> Result<Vec<(String, u32)>, Failure> {
    let one = |text: &String| {
        let (token, fd) = match text.split_once('=') {
            Some((token, fd)) => (token.to_string(), fd),
            None => (hierarchy.audit_token.clone(), text.as_str()),
        };
        let fd: u32 = fd
            .parse()
            .map_err(|_| Failure::usage(format!("{option} takes a number"), format!("{option} 3 3< <(command)")))?;
        if hierarchy.token(&token).is_none() {
            return Err(Failure::usage(
                format!("{option} names the token `{}`, which is not declared", crate::text::escape(&token)),
                "see [[token]]",
            ));
        }
        Ok((token, fd))
    };
    given.iter().map(one).collect()
}
