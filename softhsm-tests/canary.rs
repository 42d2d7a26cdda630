//! The canary: a PIN that is a unique string, typed at `init` and `sign`. Afterwards it is found nowhere: in no file, no output,
//! no environment, no command line, and in no page of parent, gate and worker once the worker has logged out.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::faulty::{calls, hierarchy, mend, play};
use harness::files;
use harness::station::{CEREMONY, Station};
use harness::terminal::OnTerminal;
use memchr::memmem;

/// Longer than anything takes; it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// 26 characters that stand nowhere else.
fn canary() -> String {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).unwrap();
    data_encoding::BASE32_NOPAD.encode(&octets)
}

fn holds(octets: &[u8], canary: &str) -> bool {
    memmem::find(octets, canary.as_bytes()).is_some()
}

/// A process, by what it is: `coldroot gate` and `coldroot worker` say so; the parent is the one that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Parent,
    Gate,
    Worker,
}

/// The process and its descendants.
fn family(parent: u32) -> Vec<(u32, Role)> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // Behind the name, which stands in brackets: state, parent.
        let above = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents.extend(above.map(|above| (id, above)));
    }
    let children = |of: u32| parents.iter().filter(move |(_, above)| **above == of).map(|(id, _)| *id);
    let mut found = vec![(parent, Role::Parent)];
    for gate in children(parent) {
        found.push((gate, Role::Gate));
        found.extend(children(gate).map(|worker| (worker, Role::Worker)));
    }
    found
}

/// Where in a process's memory the canary stands: the mapping, and the address. `None`: the memory cannot be read.
fn in_memory(id: u32, canary: &str) -> Option<Vec<String>> {
    let maps = fs::read_to_string(format!("/proc/{id}/maps")).ok()?;
    let memory = File::open(format!("/proc/{id}/mem")).ok()?;
    let mut found = Vec::new();
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let name = rest.split_whitespace().nth(4).unwrap_or("anonymous");
        if !rest.starts_with('r') || name.starts_with("[v") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let mut octets = vec![0; usize::try_from(to - from).unwrap()];
        // A guard page or a hole cannot be read; what comes before it was.
        let mut read = 0;
        while let Ok(more @ 1..) = memory.read_at(&mut octets[read..], from + read as u64) {
            read += more;
        }
        let places = memmem::find_iter(&octets[..read], canary.as_bytes());
        found.extend(places.map(|at| format!("{name} at {:x}", from + at as u64)));
    }
    Some(found)
}

/// What of the family says the canary while it works: environment and command line of all, and the parent's memory.
fn sample(parent: u32, canary: &str, seen: &mut BTreeSet<Role>) {
    for (id, role) in family(parent) {
        for file in ["environ", "cmdline"] {
            let octets = fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
            assert!(!holds(&octets, canary), "{role:?}: {file}");
        }
        match in_memory(id, canary) {
            Some(found) if found.is_empty() => {}
            Some(found) if role == Role::Parent => panic!("the parent knows it: {found:?}"),
            Some(_) => drop(seen.insert(role)),
            None => {}
        }
    }
}

struct Nest {
    station: Station,
    canary: String,
}

impl Nest {
    /// A station whose token has the canary for its PIN, which no file holds from now on.
    fn new() -> Nest {
        let canary = canary();
        let station = Station::new_of(hierarchy("deadline-seconds = 60"));
        fs::write(station.path("pin.txt"), &canary).unwrap();
        let made = station.run(&["token", "init", "--token", "main"]).ok();
        fs::remove_file(station.path("pin.txt")).unwrap();
        let text = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
        let serial = format!("serial = \"{}\"\nlabel = \"road\"", made["serial"].as_str().unwrap());
        let text = text.replace("pin-file = \"pin.txt\"\n", "").replace("label = \"road\"", &serial);
        fs::write(station.path("hierarchy.toml"), text).unwrap();
        station.approve(Path::new("hierarchy.toml"));
        Nest { station, canary }
    }

    /// Runs a command that asks for the PIN, and stands still when its worker has logged out: then nobody knows it any more.
    fn fly(&self, args: &[&str]) {
        // The mark is not written before somebody has looked, while the PIN is in use.
        play(&self.station, "once C_CreateObject=wait:seen\nC_Finalize=hang\n");
        let temp = self.station.path("temp");
        fs::create_dir_all(&temp).unwrap();
        let mut command = self.station.command(args);
        command.env("TMPDIR", &temp);
        let mut run = OnTerminal::start(&command);
        run.expect("PIN of token `main`: ");
        run.line(&self.canary);
        let (parent, until, mut seen) = (run.id(), Instant::now() + PATIENCE, BTreeSet::new());
        while !calls(&self.station).iter().any(|call| call == "C_Finalize") {
            sample(parent, &self.canary, &mut seen);
            if seen.contains(&Role::Gate) || !rustix::process::geteuid().is_root() {
                fs::write(self.station.path("faulty/seen"), "").unwrap();
            }
            assert!(Instant::now() < until, "{args:?} does not end: {}", run.shown());
        }
        assert!(calls(&self.station).iter().any(|call| call == "C_Logout"));
        let family = family(parent);
        let roles: Vec<Role> = family.iter().map(|(_, role)| *role).collect();
        assert_eq!(roles, [Role::Parent, Role::Gate, Role::Worker]);
        if rustix::process::geteuid().is_root() {
            // That it is found where it must be shows that it would be found where it must not.
            assert!(seen.contains(&Role::Gate), "{args:?}: the search is blind");
            for (id, role) in &family {
                let found = in_memory(*id, &self.canary).expect("root reads every process's memory");
                assert!(found.is_empty(), "{args:?}: the {role:?} keeps it after the logout: {found:?}");
            }
        } else {
            eprintln!("the memory of processes that cannot be traced is searched by root alone");
        }
        // The worker hangs; nobody waits for it that long.
        let worker = rustix::process::Pid::from_raw(i32::try_from(family[2].0).unwrap()).unwrap();
        rustix::process::kill_process(worker, rustix::process::Signal::KILL).unwrap();
        let shown = run.shown();
        let ended = run.end();
        for (what, text) in [("terminal", &shown), ("output", &ended.out), ("errors", &ended.err)] {
            assert!(!text.contains(&self.canary), "{args:?}: {what}");
        }
        ended.ok();
        mend(&self.station);
    }

    fn assert_in_no_file(&self) {
        let root: PathBuf = self.station.dir().parent().unwrap().into();
        let all = files(&root);
        assert!(all.len() > 30, "{all:?}");
        for file in all.iter().filter(|file| file.is_file()) {
            assert!(!holds(&fs::read(file).unwrap(), &self.canary), "{}", file.display());
            assert!(!file.to_string_lossy().contains(&self.canary));
        }
    }
}

#[test]
fn p08_the_pin_of_a_run_is_found_nowhere() {
    let nest = Nest::new();
    nest.fly(&nest.station.init_args());
    for _ in ["keys", "certificates"] {
        let plan = nest.station.planned_ceremony_of(CEREMONY);
        let approvals = nest.station.approve(&plan);
        nest.fly(&nest.station.sign_args(&plan, &approvals));
    }
    nest.station.check_log();
    nest.assert_in_no_file();
}
