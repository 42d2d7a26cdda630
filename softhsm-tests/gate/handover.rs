//! A parent that lies, and a clone of the token that has the mark.

use std::fs;
use std::path::PathBuf;
use std::sync::MutexGuard;

use coldroot::audit::Log;
use coldroot::audit::entry::{Approved, Body, Decision, Entry, HandedOver, HierarchyAdopted};
use coldroot::audit::mark::Mark;
use coldroot::change::{self, Shown, TakeOver};
use coldroot::config::Hierarchy;
use coldroot::gate::{Gate, Proven, Reply, Request};

use super::log::copy_dir;
use super::station::{World, gate_at, nonsense, refused, world};

pub const STANDBY: [&str; 2] = ["5ba9d8b15ba9d8b1", "5ba9d8b15ba9d8b2"];
const OWN: &str = STANDBY[0];

/// A copy of the station's directory, so that what is written to its log concerns nobody else, and a clone of its token.
struct Scene {
    world: MutexGuard<'static, World>,
    station: PathBuf,
    clone: PathBuf,
    log: Log,
    mark: Mark,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.clone);
    }
}

impl Scene {
    fn new() -> Scene {
        let world = world();
        let station = world.dir.join("with-a-standby");
        let _ = fs::remove_dir_all(&station);
        copy_dir(&world.station, &station);
        let serial = world.hierarchy.token("log").unwrap().serial.clone().unwrap();
        let tokens = world.dir.join("tokens");
        let holds = |dir: &PathBuf| {
            let object = fs::read(dir.join("token.object")).unwrap_or_default();
            object.windows(16).any(|window| window == serial.as_bytes())
        };
        let original = fs::read_dir(&tokens).unwrap().map(|dir| dir.unwrap().path()).find(holds).unwrap();
        let clone = tokens.join("a-clone");
        let _ = fs::remove_dir_all(&clone);
        copy_dir(&original, &clone);
        let mut object = fs::read(clone.join("token.object")).unwrap();
        let at = object.windows(16).position(|window| window == serial.as_bytes()).unwrap();
        object[at..at + 16].copy_from_slice(OWN.as_bytes());
        fs::write(clone.join("token.object"), object).unwrap();
        let (mark, log) = (world.mark(), Log::open(&station.join("audit")).unwrap());
        Scene { world, station, clone, log, mark }
    }

    /// A gate with the clone.
    fn gate(&self) -> Gate {
        let mut gate = gate_at(&self.station);
        gate.serial(OWN, true).unwrap();
        gate.login("log").unwrap();
        gate
    }

    /// What the clone holds.
    fn held(&self) -> Mark {
        Mark::decode(&self.gate().mark().unwrap().unwrap()).unwrap()
    }

    fn decision(&self, change: u64) -> Decision {
        let (reason, operator, witness) = ("why".into(), "carol".into(), "dave".into());
        let (release, approvals) = (self.mark.release, Vec::new());
        Decision { reason, release, change, approvals, operator, witness, witness_time: None }
    }

    fn handed(&self, to: &str, change: u64) -> Body {
        let (size, from) = (self.log.sealed_size(), self.mark.token.clone());
        let (token, to, root) = ("log".into(), to.into(), self.log.root_at(size).unwrap());
        let (lost, plan, decision) = (true, None, self.decision(change));
        Body::HandedOver(HandedOver { token, from, to, lost, size, root, plan, decision })
    }

    /// Puts a change on record that these persons have signed, whatever that is worth; what the gate is to be shown of it.
    fn decide(
        &mut self,
        by: &Hierarchy,
        new: Option<&Hierarchy>,
        mut body: Body,
        persons: &[&str],
    ) -> (u64, Vec<String>) {
        let signatures = self.world.sign(&change::statement(by, new, &body).unwrap(), persons);
        let fingerprint = |armored: &String| Approved {
            person: "alice".into(),
            fingerprint: "SHA256:x".into(),
            signature: coldroot::digest::Digest::of(armored.as_bytes()),
        };
        let statement = change::statement(by, new, &body).unwrap();
        let rosters: Vec<_> = by.persons.iter().chain(new.iter().flat_map(|new| &new.persons)).cloned().collect();
        let counted = |armored: &String| match coldroot::approval::verify_person(&statement, armored, &rosters) {
            Ok(approval) => change::recorded(&[approval]).remove(0),
            Err(_) => fingerprint(armored),
        };
        body.decision_mut().unwrap().approvals = signatures.iter().map(counted).collect();
        (self.log.append(&Entry::new(1_795_305_600, body)).unwrap(), signatures)
    }

    fn by_both(&mut self, body: Body) -> (u64, Vec<String>) {
        let hierarchy = self.world.hierarchy.clone();
        self.decide(&hierarchy, None, body, &["alice", "bob"])
    }

    /// The request that shows these changes and the whole log.
    fn request(&self, since: &[(u64, Vec<String>)]) -> TakeOver {
        let size = self.log.size();
        let shown = |(index, armored): &(u64, Vec<String>)| {
            let (_, _, bytes) = self.log.entries(*index..index + 1).next().unwrap().unwrap();
            let inclusion = self.log.inclusion_proof(*index, size).unwrap();
            Shown { entry: bytes.into(), index: *index, inclusion, armored: armored.clone() }
        };
        TakeOver {
            since: since.iter().map(shown).collect(),
            size,
            root: self.log.root().unwrap(),
            from_mark: self.log.consistency_proof(self.mark.size, size).unwrap(),
            from_handed: self.log.consistency_proof(self.log.sealed_size(), size).unwrap(),
        }
    }

    /// Each is refused, and the clone's mark stays as it was made.
    fn refuses(&self, why: &str, since: &[(u64, Vec<String>)], saying: &str) {
        let what = refused(&mut self.gate(), Request::TakeOver(self.request(since)));
        assert!(what.contains(saying), "{why}: {what}");
        assert_eq!(self.held(), self.mark, "{why}");
    }
}

#[test]
fn p04_a_standby_does_nothing_but_take_over_and_only_by_what_its_quorum_signed() {
    let mut scene = Scene::new();
    let made = scene.mark.changes;
    // Without the word that it may be a standby there is not even a login.
    let mut gate = gate_at(&scene.station);
    assert!(matches!(gate.ask(&Request::Serial { serial: OWN.into(), standby: false }).unwrap(), Reply::Known));
    let what = refused(&mut gate, Request::Login { token: "log".into() });
    assert!(what.contains(&format!("is a standby of token {}", scene.mark.token)), "{what}");
    assert_eq!(refused(&mut gate, Request::Mark), "nobody is logged in to that token");
    drop(gate);
    // Nor with a serial that no table declares.
    let what = refused(&mut gate_at(&scene.station), Request::Serial { serial: "0000".into(), standby: true });
    assert!(what.contains("declares no token with the serial"), "{what}");

    // Logged in, it signs nothing and follows nothing.
    let handed = scene.handed(OWN, made + 1);
    let good = scene.by_both(handed.clone());
    let size = scene.log.size();
    let (root, consistency) = (scene.log.root().unwrap(), scene.log.consistency_proof(scene.mark.size, size).unwrap());
    let inclusion = scene.log.inclusion_proof(good.0, size).unwrap();
    let entry = Entry::new(1_795_305_600, handed).encode().unwrap();
    let proven = || Proven { entry: entry.clone().into(), index: good.0, inclusion: inclusion.clone() };
    let plan = scene.station.join("hierarchy.toml");
    let mut gate = scene.gate();
    for request in [
        Request::SignCheckpoint { size, root, consistency: consistency.clone() },
        Request::SignCheckpoint { size: scene.mark.size, root: scene.mark.root, consistency: Vec::new() },
        Request::Do { items: vec![0] },
        Request::End { entry: entry.clone().into(), index: good.0, inclusion: inclusion.clone() },
        Request::Start {
            plan: plan.clone(),
            approvals: Vec::new(),
            entry: entry.clone().into(),
            index: good.0,
            inclusion: inclusion.clone(),
        },
        Request::Void { plan, approvals: Vec::new(), void: proven(), end: proven() },
        Request::Change { entry: proven(), approvals: good.1.clone() },
        Request::AdoptLog { entry: proven(), tree: (size, root, consistency), approvals: good.1.clone() },
        Request::HandOver { entry: entry.clone().into(), approvals: good.1.clone() },
        Request::SplitPin { token: "log".into(), shares: 3, threshold: 2 },
    ] {
        let shown = format!("{request:?}");
        let what = refused(&mut gate, request);
        assert!(what.contains("is a standby of token"), "{shown}: {what}");
    }
    let init = refused(&mut gate, Request::Init { approvals: Vec::new() });
    assert!(init.contains("is a standby of token"), "{init}");
    drop(gate);
    assert_eq!(scene.held(), scene.mark);

    // Forged: fewer officers, another serial, another number, nothing at all, a place where something else stands.
    let hierarchy = scene.world.hierarchy.clone();
    let body = scene.handed(OWN, made + 1);
    let one = scene.decide(&hierarchy, None, body.clone(), &["alice"]);
    scene.refuses("one officer", &[one], "must approve");
    let strangers = scene.decide(&hierarchy, None, body, &["eve", "mallory"]);
    scene.refuses("strangers", &[strangers], "not approved");
    let other = scene.handed(STANDBY[1], made + 1);
    let other = scene.by_both(other);
    scene.refuses("for another serial", std::slice::from_ref(&other), "is not to be handed over to token");
    scene.refuses("the other's approvals", &[(good.0, other.1)], "not approved");
    scene.refuses("nothing", &[], "is not to be handed over to token");
    let second = scene.handed(OWN, made + 2);
    let second = scene.by_both(second);
    scene.refuses("left out", std::slice::from_ref(&second), &format!("it is change {}", made + 2));
    scene.refuses("reordered", &[second, good.clone()], "no change of state that is made this way");
    let mut gate = scene.gate();
    let mut shown = scene.request(std::slice::from_ref(&good));
    shown.since[0].index -= 1;
    let what = refused(&mut gate, Request::TakeOver(shown));
    assert!(what.contains("does not stand in"), "{what}");
    // A tree that continues neither the clone's mark nor what the quorum has read of.
    for (mark, handed) in [(true, false), (false, true)] {
        let mut shown = scene.request(std::slice::from_ref(&good));
        shown.from_mark.iter_mut().filter(|_| mark).for_each(|hash| *hash = nonsense());
        shown.from_handed.iter_mut().filter(|_| handed).for_each(|hash| *hash = nonsense());
        let what = refused(&mut gate, Request::TakeOver(shown));
        assert!(what.contains("does not grow from"), "{what}");
    }
    drop(gate);
    // A hierarchy of the attacker's own.
    let text = scene.world.hierarchy_text().replace(&scene.world.public("alice"), &scene.world.public("eve"));
    let false_one =
        Hierarchy::parse(&text.replace(&scene.world.public("bob"), &scene.world.public("mallory"))).unwrap();
    scene.log.put_artefact(false_one.text.as_bytes()).unwrap();
    let (before, named) = (hierarchy.digest, false_one.digest);
    let adopted = HierarchyAdopted { before, hierarchy: named, decision: scene.decision(made + 1) };
    let adopted = scene.decide(&hierarchy, Some(&false_one), Body::HierarchyAdopted(adopted), &["eve", "mallory"]);
    let body = scene.handed(OWN, made + 2);
    let then = scene.decide(&false_one, None, body.clone(), &["eve", "mallory"]);
    scene.refuses("an adoption by strangers", &[adopted, then], "not approved");
    let alone = scene.handed(OWN, made + 1);
    let alone = scene.decide(&false_one, None, alone, &["eve", "mallory"]);
    scene.refuses("a hierarchy that none adopted", &[alone], "not approved");

    // The true one: in one write, and then it is the token of this log, once.
    let request = Request::TakeOver(scene.request(std::slice::from_ref(&good)));
    let mut gate = scene.gate();
    assert!(matches!(gate.ask(&request).unwrap(), Reply::Ended));
    let what = refused(&mut gate, Request::TakeOver(scene.request(&[good])));
    assert!(what.contains("is not to be handed over to token"), "{what}");
    let size = scene.log.size();
    gate.grow_from(size, scene.log.root().unwrap());
    scene.log.checkpoint(&mut gate).unwrap();
    drop(gate);
    let held = scene.held();
    assert_eq!((held.token.as_str(), held.size, held.changes), (OWN, size, made + 1));
    // The first token knows nothing of it: nobody has told it.
    assert_eq!(scene.world.mark(), scene.mark);
}
