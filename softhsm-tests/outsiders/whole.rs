//! One lawful log that holds every kind of entry, with what they name: a hierarchy of persons who have signed, certificates and CRLs by
//! OpenSSL. Four verifiers take it, and none takes it changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::algorithm::KeyAlgorithm;
use coldroot::audit::entry::*;
use coldroot::audit::{Log, View, check, withheld};
use coldroot::cbor::Bytes;
use coldroot::change;
use coldroot::config::{Environment, Hierarchy};
use coldroot::digest::Digest;
use coldroot::plan::{BundleRef, Count, Kind, NAMESPACE};
use coldroot::x509;

use super::agreement::{Signer, all_accept, all_refuse, forge};
use super::demo;
use super::harness::station::Run;
use super::harness::{copy_tree, repository};

const NOW: i64 = 1_795_305_600;

/// A CA, a certificate and two CRLs, DER.
struct Pki {
    root: Vec<u8>,
    leaf: Vec<u8>,
    crls: [Vec<u8>; 2],
    /// The request of another CA, its certificate, and the one above that.
    csr: Vec<u8>,
    outer: [Vec<u8>; 2],
}

impl Pki {
    fn new(dir: &Path) -> Pki {
        let config = "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\ncrlnumber = crlnumber\ndefault_md = sha256\ndefault_crl_days = 30\n\
            crl_extensions = crl\n[crl]\nauthorityKeyIdentifier = keyid\n[req]\ndistinguished_name = dn\nx509_extensions = v3\n[dn]\n\
            [v3]\nsubjectKeyIdentifier = hash\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n[sub]\nsubjectKeyIdentifier = hash\n\
            authorityKeyIdentifier = keyid\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n[leaf]\nbasicConstraints = CA:FALSE\n";
        for (file, text) in [("ca.cnf", config), ("index.txt", ""), ("crlnumber", "01\n")] {
            fs::write(dir.join(file), text).unwrap();
        }
        let openssl = |args: &str| {
            let run = Run::of(Command::new("openssl").current_dir(dir).args(args.split(' ')));
            assert_eq!(run.code, 0, "{args}: {run:?}");
        };
        let made = |name: &str| fs::read(dir.join(name)).unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&format!("req -x509 -config ca.cnf {key} -keyout root.key -out root.pem -days 30 -subj /CN=Root"));
        openssl(&format!("req -new -config ca.cnf {key} -keyout leaf.key -out leaf.csr -subj /CN=leaf"));
        openssl(
            "x509 -req -in leaf.csr -CA root.pem -CAkey root.key -set_serial 4711 -days 9 -extfile ca.cnf -extensions leaf -outform DER \
             -out leaf.der",
        );
        openssl("x509 -in root.pem -outform DER -out root.der");
        openssl(&format!("req -x509 -config ca.cnf {key} -keyout top.key -out top.pem -days 30 -subj /CN=Top"));
        openssl("x509 -in top.pem -outform DER -out top.der");
        openssl(&format!("req -new -config ca.cnf {key} -keyout sub.key -out sub.csr -subj /CN=Sub"));
        openssl("req -in sub.csr -outform DER -out csr.der");
        openssl(
            "x509 -req -in sub.csr -CA top.pem -CAkey top.key -set_serial 4712 -days 9 -extfile ca.cnf -extensions sub -outform DER -out sub.der",
        );
        let crls = ["1", "2"].map(|n| {
            openssl(&format!("ca -config ca.cnf -gencrl -keyfile root.key -cert root.pem -out {n}.pem"));
            openssl(&format!("crl -in {n}.pem -outform DER -out {n}.crl"));
            made(&format!("{n}.crl"))
        });
        let (csr, outer) = (made("csr.der"), ["sub.der", "top.der"].map(made));
        Pki { root: made("root.der"), leaf: made("leaf.der"), crls, csr, outer }
    }
}

fn text(words: &str) -> String {
    words.into()
}

/// The log under construction.
struct Made {
    log: Log,
    /// Where the officers' keys and the texts that they sign lie.
    officers: PathBuf,
    scratch: PathBuf,
    hierarchy: Hierarchy,
    changes: u64,
}

impl Made {
    fn put(&mut self, body: Body) {
        self.log.append(&Entry::new(NOW, body)).unwrap();
    }

    fn keep(&mut self, octets: &[u8]) -> Digest {
        self.log.put_artefact(octets).unwrap()
    }

    /// Both officers sign a change under the hierarchy in force, and it is put on record.
    fn decided(&mut self, adopted: Option<&Hierarchy>, mut body: Body) {
        self.changes += 1;
        body.decision_mut().unwrap().change = self.changes;
        let statement = change::statement(&self.hierarchy, adopted, &body).unwrap();
        let signatures = ["alice", "bob"].map(|person| {
            let file = self.scratch.join(person);
            let signature = file.with_extension("sig");
            let _ = fs::remove_file(&signature);
            fs::write(&file, &statement).unwrap();
            let mut sign = Command::new("ssh-keygen");
            sign.args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"]).arg(self.officers.join(person)).arg(&file);
            assert_eq!(Run::of(&mut sign).code, 0);
            fs::read_to_string(&signature).unwrap()
        });
        let entry = Entry::new(NOW, body.clone());
        body.decision_mut().unwrap().approvals =
            change::approved(&self.hierarchy, adopted, &entry, &signatures).unwrap();
        for armored in &signatures {
            self.keep(armored.as_bytes());
        }
        self.put(body);
    }
}

fn decision(release: u64) -> Decision {
    Decision {
        reason: text("the year's review"),
        release,
        change: 0,
        approvals: Vec::new(),
        operator: text("carol"),
        witness: text("dave"),
        witness_time: Some(NOW - 9),
    }
}

/// A published log with all that there is, under two checkpoints.
fn every_kind(dir: &Path) -> (PathBuf, Signer) {
    let (path, mut signer, pki) = (dir.join("log"), Signer::new(9), Pki::new(dir));
    let station = demo().join("demo/station");
    let declared = fs::read_to_string(station.join("hierarchy.toml")).unwrap();
    let token = |line: &str| line.starts_with("serial = ").then_some("serial = \"1a2b\"\nstandby = [\"3c4d\"]");
    let declared: Vec<&str> = declared.lines().map(|line| token(line).unwrap_or(line)).collect();
    let hierarchy = Hierarchy::parse(&(declared.join("\n") + "\n")).unwrap();
    let log = Log::create(&path, signer.key.name()).unwrap();
    let (officers, scratch) = (station.join("officers"), dir.to_path_buf());
    let mut made = Made { log, officers, scratch, hierarchy, changes: 0 };
    begin(&mut made, &signer);
    keys(&mut made);
    certificates(&mut made, &pki);
    voided(&mut made);
    made.log.checkpoint(&mut signer).unwrap();
    changes(&mut made, &pki);
    people(&mut made);
    made.log.checkpoint(&mut signer).unwrap();
    drop(made);
    // What is published has no tail.
    fs::remove_file(path.join("tail")).unwrap();
    (path, signer)
}

fn begin(made: &mut Made, signer: &Signer) {
    let (file, requesters) = (made.hierarchy.text.clone(), made.keep(&[7; 32]));
    let hierarchy = made.keep(file.as_bytes());
    let genesis = Genesis {
        origin: signer.key.name().into(),
        name: text("Whole"),
        environment: Environment::Rehearsal,
        hierarchy,
        verifier_key: signer.key.to_string(),
        approvals: Vec::new(),
        requesters,
        program: text("0.1.0"),
    };
    made.put(Body::Genesis(genesis));
    made.put(Body::Open { mark_size: 1, cut: 0 });
    let (token, serial, module) = (text("main"), text("1a2b"), text("SoftHSM"));
    made.put(Body::PinTry { token: token.clone() });
    made.put(Body::Login { token: token.clone(), serial: serial.clone(), module });
    let report = made.keep(b"{}");
    let (able, protected) = (true, Some(true));
    made.put(Body::Probe { token: token.clone(), serial: serial.clone(), report, able, protected });
    let (right, missing, wrong, unexpected) = (1, 0, 0, 0);
    made.put(Body::Inventory { token: token.clone(), serial, report, right, missing, wrong, unexpected });
    let set = Bytes::from(vec![1, 2, 3]);
    let shares = [1, 2].map(|n| ShareOf { custodian: None, digest: Digest([n; 32]) }).to_vec();
    made.put(Body::PinSplit(PinSplit { token: token.clone(), set: set.clone(), threshold: 2, shares }));
    made.put(Body::PinSplitDone { token, set, new_pin: true });
}

fn planned(made: &mut Made, name: &[u8], kind: Kind, items: u64, refused: u64, bundle: Option<BundleRef>) -> Digest {
    let plan = made.keep(name);
    let counts = vec![Count { act: text("batch"), ca: text("root"), detail: text("leaf"), count: items }];
    made.put(Body::Planned { plan, kind, items, refused, bundle, counts });
    plan
}

fn started(made: &mut Made, plan: Digest) {
    let (operator, witness, witness_time) = (text("carol"), text("dave"), Some(NOW - 20));
    made.put(Body::Start(Start { plan, approvals: Vec::new(), operator, witness, witness_time }));
}

fn ended(made: &mut Made, plan: Digest, release: u64, done: u64, refused: u64) {
    let (manifest, target) = (Digest([release as u8; 32]), text("/media/out"));
    made.put(Body::End(End { plan, release, done, refused, manifest }));
    let checkpoint = made.keep(b"the note of a release");
    made.put(Body::ReleaseWritten { release, manifest, checkpoint, target });
}

fn keys(made: &mut Made) {
    let plan = planned(made, b"a plan of keys", Kind::Keys, 6, 0, None);
    started(made, plan);
    let spki = b"a public half".to_vec();
    let of = Digest::of(&spki);
    let (key, token, label, cka_id) = (text("root-key"), text("main"), text("root"), Bytes::from(vec![1; 16]));
    let (signature, backup, inventory) = (made.keep(b"a proof"), made.keep(b"wrapped"), made.keep(b"objects"));
    let attributes = vec![text("CKA_SENSITIVE=true")];
    made.put(Body::KeyGenerated(KeyGenerated {
        plan,
        item: 0,
        key: key.clone(),
        token: token.clone(),
        label: label.clone(),
        cka_id: cka_id.clone(),
        algorithm: KeyAlgorithm::EcdsaP256,
        spki: spki.into(),
        attributes: attributes.clone(),
        adopted: false,
    }));
    made.put(Body::WrappingKeyGenerated(WrappingKeyGenerated {
        plan,
        item: 1,
        key: text("wrap"),
        token: token.clone(),
        label: text("wrap"),
        cka_id: cka_id.clone(),
        check_value: None,
        attributes: attributes.clone(),
        adopted: false,
    }));
    made.put(Body::KeyBackedUp(KeyBackedUp {
        plan,
        item: 2,
        key: key.clone(),
        token: token.clone(),
        spki: of,
        wrapping_key: text("wrap"),
        mechanism: text("CKM_AES_KEY_WRAP_KWP"),
        backup,
        signature,
    }));
    made.put(Body::KeyProven(KeyProven { plan, item: 3, key: key.clone(), token: token.clone(), spki: of, signature }));
    made.put(Body::KeyDestroyed(KeyDestroyed {
        plan,
        item: 4,
        key: key.clone(),
        token: token.clone(),
        label,
        cka_id,
        spki: of,
        found: true,
        inventory,
    }));
    made.put(Body::KeyRestored(KeyRestored {
        plan,
        item: 5,
        key,
        token,
        spki: of,
        backup,
        attributes,
        adopted: false,
        signature,
    }));
    ended(made, plan, 1, 6, 0);
}

fn certificates(made: &mut Made, pki: &Pki) {
    let bundle = BundleRef { desk: text("desk-1"), sequence: 1, digest: made.keep(b"a bundle") };
    made.put(Body::MediumRead { name: text("first.bundle"), digest: bundle.digest, octets: 8 });
    made.put(Body::BundleReceived { bundle: bundle.clone(), count: 2, revocations: 1 });
    let plan = planned(made, b"a plan of certificates", Kind::Certificates, 5, 1, Some(bundle));
    started(made, plan);
    let certificate = |item, subject_ca: Option<String>, der: &[u8]| {
        let request = subject_ca.is_none().then(|| text("r-1"));
        let requester = subject_ca.is_none().then_some(Digest([8; 32]));
        let (ca, profile, der) = (text("root"), text("any"), Bytes::from(der.to_vec()));
        Body::Certificate(CertificateIssued { plan, item, ca, subject_ca, request, profile, requester, der })
    };
    made.put(certificate(0, Some(text("root")), &pki.root));
    made.put(certificate(1, None, &pki.leaf));
    let serial = x509::read_certificate(&pki.leaf).unwrap().serial;
    made.put(Body::Revoked(Revoked { plan, item: 2, ca: text("root"), serial, reason: Some(4), date: NOW }));
    let (crl, fields) = (made.keep(&pki.crls[0]), x509::read_crl(&pki.crls[0]).unwrap());
    made.put(Body::Crl(CrlIssued {
        plan,
        item: 3,
        ca: text("root"),
        number: fields.number,
        this_update: fields.this_update,
        next_update: fields.next_update,
        crl,
    }));
    made.put(Body::Csr(CsrMade { plan, item: 4, ca: text("sub"), der: Bytes::from(pki.csr.clone()) }));
    made.put(Body::Refused { plan, request: text("r-2"), check: text("names"), reason: text("not validated") });
    ended(made, plan, 2, 5, 1);
}

fn voided(made: &mut Made) {
    let plan = planned(made, b"a plan that nobody carries out", Kind::Certificates, 1, 0, None);
    let (dice, persons) = ("6".repeat(25), vec![text("carol"), text("dave")]);
    made.put(Body::Sampled(Sampled { plan, items: 1, count: 1, dice, differs: vec![0], persons }));
    let (reason, operator, witness) = (text("withdrawn"), text("carol"), text("dave"));
    let void = Void { plan, reason, done: 0, approvals: Vec::new(), operator, witness, witness_time: None };
    made.put(Body::Void(void));
    made.put(Body::Refused { plan, request: text("r-3"), check: text("void"), reason: text("not processed") });
    ended(made, plan, 3, 0, 1);
}

fn changes(made: &mut Made, pki: &Pki) {
    let other = |made: &Made, words: &str| Hierarchy::parse(&format!("{}# {words}\n", made.hierarchy.text)).unwrap();
    let reviewed = other(made, "reviewed");
    let hierarchy = made.keep(reviewed.text.as_bytes());
    let adopted = HierarchyAdopted { before: made.hierarchy.digest, hierarchy, decision: decision(3) };
    made.decided(Some(&reviewed), Body::HierarchyAdopted(adopted));
    made.hierarchy = reviewed;
    let (crl, fields) = (made.keep(&pki.crls[1]), x509::read_crl(&pki.crls[1]).unwrap());
    let adopted = CrlAdopted {
        ca: text("root"),
        number: fields.number,
        this_update: fields.this_update,
        next_update: fields.next_update,
        crl,
        entries: 0,
        unknown: 0,
        decision: decision(3),
    };
    made.decided(None, Body::CrlAdopted(adopted));
    let [der, top] = pki.outer.clone();
    let fields = x509::read_certificate(&der).unwrap();
    let adopted = CertificateAdopted {
        ca: text("sub"),
        csr: Digest::of(&pki.csr),
        der: Bytes::from(der),
        above: vec![Bytes::from(top)],
        replaces: None,
        not_before: fields.not_before,
        not_after: fields.not_after,
        differs: Vec::new(),
        decision: decision(3),
    };
    made.decided(None, Body::CertificateAdopted(adopted));
    let clock = ClockCorrected { from: NOW + 9, to: NOW, decision: decision(3) };
    made.decided(None, Body::ClockCorrected(clock));
    let sealed = made.log.sealed_size();
    let handed = HandedOver {
        token: text("main"),
        from: text("1a2b"),
        to: text("3c4d"),
        lost: false,
        size: sealed,
        root: made.log.root_at(sealed).unwrap(),
        plan: None,
        decision: decision(3),
    };
    made.decided(None, Body::HandedOver(handed));
    let lost = other(made, "reviewed again");
    let (size, hierarchy) = (made.log.sealed_size(), made.hierarchy.digest);
    let adopted = LogAdopted {
        mark_size: 90,
        mark_root: Digest([9; 32]),
        mark_release: 5,
        mark_plan: Some(Digest([6; 32])),
        mark_hierarchy: made.keep(lost.text.as_bytes()),
        token: text("3c4d"),
        size,
        root: made.log.root_at(size).unwrap(),
        release: 3,
        hierarchy,
        decision: decision(5),
    };
    made.hierarchy = lost;
    made.decided(None, Body::LogAdopted(adopted));
}

fn people(made: &mut Made) {
    let (size, root) = (made.log.sealed_size(), made.log.root_at(made.log.sealed_size()).unwrap());
    made.put(Body::CopyWritten { target: text("/media/copy"), size, root });
    made.put(Body::Indexed { size, digest: Digest([4; 32]) });
    let (script, persons) = (made.keep(b"format = \"coldroot-ceremony-v0\"\n"), vec![text("carol"), text("dave")]);
    made.put(Body::Step { script, number: 1, persons: persons.clone() });
    made.put(Body::Deviation { what: text("the lamp failed"), persons });
    let artefact = made.keep(b"a photo");
    let shown = Evidence {
        kind: EvidenceKind::Photo,
        what: text("the seals"),
        artefact,
        withheld: false,
        octets: 7,
        person: text("carol"),
    };
    let minutes = [&withheld::head(&[5; 32])[..], b"the minutes"].concat();
    let kept = Evidence {
        kind: EvidenceKind::Minutes,
        artefact: made.keep(&minutes),
        withheld: true,
        octets: 11,
        ..shown.clone()
    };
    made.put(Body::Evidence(shown));
    made.put(Body::Evidence(kept));
    made.put(Body::Failure { what: text("the token did not answer") });
}

/// The kinds that the schema knows.
fn kinds() -> BTreeSet<String> {
    let schema = fs::read_to_string(repository().join("audit-logs/schema.cddl")).unwrap();
    let list = schema.split("body = ").nth(1).unwrap().split("digest = ").next().unwrap();
    let kind = |line: &str| Some(line.split_once('{')?.1.split_once(':')?.0.trim().to_owned());
    list.lines().filter_map(kind).collect()
}

#[test]
fn p04_four_verifiers_agree_on_a_log_of_every_kind_of_entry_and_refuse_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (log, signer) = every_kind(dir.path());
    let key = signer.key.to_string();
    let (size, _) = all_accept(&log, &key);
    let report = check::check(&log, &signer.key).unwrap();
    let there: BTreeSet<String> = report.counts.keys().map(|kind| kind.to_string()).collect();
    assert_eq!(there, kinds());
    assert_eq!(report.absent, 3, "the manifests of three releases are elsewhere");
    let view = View::read(&log).unwrap();
    let judged = change::judge_log(&view, &report.changes).unwrap();
    assert_eq!((judged.approved, judged.not_judged), (6, 0));
    let entries: Vec<Vec<u8>> = view.entries(0..size).map(|found| found.unwrap().2).collect();
    drop(view);

    // An octet of one entry in the middle, two entries that change places, a cut: with the tiles made anew, under the true checkpoint,
    // and under one that a stranger has signed.
    let forged = dir.path().join("forged");
    copy_tree(&log, &forged);
    let true_note = fs::read_to_string(log.join("checkpoint")).unwrap();
    let middle = entries.len() / 2;
    let (mut flipped, mut swapped) = (entries.clone(), entries.clone());
    *flipped[middle].last_mut().unwrap() ^= 1;
    swapped.swap(middle, middle + 1);
    let stranger = Signer::new(10);
    for (name, entries) in [("flipped", flipped), ("swapped", swapped), ("cut", entries[..middle].to_vec())] {
        let root = forge(&forged, &entries);
        for note in [&true_note, &stranger.note(entries.len() as u64, &root)] {
            fs::write(forged.join("checkpoint"), note).unwrap();
            all_refuse(&forged, &key, name);
        }
    }
    // The whole log under a forged checkpoint.
    let root = forge(&forged, &entries);
    for (name, note) in [
        ("a stranger's", stranger.note(size, &root)),
        ("another root", signer.note(size, &Digest([3; 32]))),
        ("another size", signer.note(size - 1, &root)),
    ] {
        fs::write(forged.join("checkpoint"), note).unwrap();
        all_refuse(&forged, &key, name);
    }
    fs::write(forged.join("checkpoint"), true_note).unwrap();
    all_accept(&forged, &key);
}
