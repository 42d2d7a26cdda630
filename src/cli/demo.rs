//! `demo`: the whole road on a throw-away SoftHSM token, by the same verbs that people type.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::audit;
use crate::bundle::{Answers, Item};
use crate::config::Hierarchy;
use crate::release;
use crate::report::terminal::{duration, human_count, pairs};
use crate::requests;
use crate::text::{escape, hex_groups};

use super::init::{InitArgs, init};
use super::offline::{ApproveArgs, UnpackArgs, approve_quietly, unpack};
use super::pack::{PackArgs, Seal, pack};
use super::people::People;
use super::plan::{PlanArgs, plan};
use super::show::refusal_list;
use super::sign::{SignArgs, sign};
use super::token::{TokenVerb, token};
use super::{Answer, Failure, Globals, clock};

/// Runs a demonstration.
#[derive(Args)]
#[command(
    after_help = "It leaves root.pem, intermediates.pem, certs/, crls/, refused.json, report.html, log/ and manifest.json in DIR, \
    and beside them station/ and desk/, in which the next commands can be tried.\n\nExamples:\n  \
    coldroot demo\n  coldroot demo --dir /tmp/d --requests 1000\n  coldroot demo --requests softhsm-tests/requests"
)]
pub struct DemoArgs {
    /// Where everything goes: a new or empty directory
    #[arg(long, value_name = "DIR", default_value = "coldroot-demo")]
    dir: PathBuf,
    /// A directory of certificate requests with its table, or a number of requests to generate [default: the built-in ones]
    #[arg(long, value_name = "DIR|N")]
    requests: Option<String>,
    /// Seed of the generated requests' keys
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

/// Where Debian and others put SoftHSM.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

const PEOPLE: [(&str, &str); 4] =
    [("alice", "officer"), ("bob", "officer"), ("carol", "operator"), ("dave", "witness")];

pub fn demo(globals: &Globals, args: DemoArgs) -> Result<Answer, Failure> {
    let begun = Instant::now();
    let demo = Demo::prepare(globals, &args)?;
    step("token", "initialise a SoftHSM token");
    demo.write_hierarchy(None)?;
    let made = token(&demo.globals, TokenVerb::Init { token: "main".into() })?;
    let serial = made.json["serial"].as_str().unwrap_or_default().to_string();
    demo.write_hierarchy(Some(&serial))?;

    step("init", "audit key, genesis, first checkpoint, mark");
    let hierarchy_file = demo.station.join("hierarchy.toml");
    let approvals = demo.approve(&hierarchy_file)?;
    let begun_log = init(&demo.globals, InitArgs { approval: approvals })?;
    let verifier_key = begun_log.json["verifier-key"].as_str().unwrap_or_default().to_string();

    let ceremony = demo.station.join("ceremony.toml");
    write(&ceremony, CEREMONY)?;
    step("keys", "plan, approve and make the CA keys");
    demo.carry_out(PlanArgs { ceremony: Some(ceremony.clone()), ..PlanArgs::default() })?;
    step("CAs", "plan, approve and sign root, intermediate and CRL");
    let second = demo.carry_out(PlanArgs { ceremony: Some(ceremony), ..PlanArgs::default() })?;
    demo.unpack(&second, &verifier_key)?;

    step("bundle", "the desk packs the requests");
    let bundle = demo.pack(&args, &second)?;
    step("batch", "plan, approve, sign and verify");
    let third = demo.carry_out(PlanArgs { bundle: Some(bundle), ..PlanArgs::default() })?;
    step("check", "the release against verifier key, hierarchy and root kept apart from it");
    demo.unpack(&third, &verifier_key)?;
    demo.summary(&third, &verifier_key, begun)
}

/// A running demonstration.
struct Demo {
    dir: PathBuf,
    station: PathBuf,
    desk: PathBuf,
    globals: Globals,
}

impl Demo {
    fn prepare(globals: &Globals, args: &DemoArgs) -> Result<Demo, Failure> {
        let dir = std::path::absolute(&args.dir).map_err(|e| Failure::io(&args.dir, e))?;
        if fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Failure::refused(
                format!("{} is not empty", crate::text::path(&dir)),
                "name a new directory: coldroot demo --dir DIR",
            ));
        }
        if args.requests.as_deref() == Some("0") {
            return Err(Failure::usage("a batch has at least one request", "coldroot demo --requests 10"));
        }
        if let Some(path) = args.requests.as_ref().filter(|r| r.parse::<u64>().is_err())
            && !Path::new(path).is_dir()
        {
            return Err(Failure::usage(
                format!("{} is neither a directory nor a number", escape(path)),
                "coldroot demo --help",
            ));
        }
        module()?;
        let (station, desk) = (dir.join("station"), dir.join("desk"));
        for path in [&dir, &station, &desk, &desk.join("requests"), &station.join("token"), &station.join("officers")] {
            fs::create_dir_all(path).map_err(|e| Failure::io(path, e))?;
        }
        let conf = station.join("softhsm2.conf");
        write(
            &conf,
            &format!(
                "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
                station.join("token").display()
            ),
        )?;
        for (name, pin) in [("pin.txt", random_pin()?), ("so-pin.txt", random_pin()?)] {
            write(&station.join(name), &format!("{pin}\n"))?;
        }
        for (person, _) in PEOPLE {
            ssh_key(&station.join("officers").join(person), person)?;
        }
        ssh_key(&desk.join("desk-1"), "desk-1")?;
        write(&desk.join("requests/requests.csv"), OWN_REQUEST)?;
        let globals = Globals {
            station: station.clone(),
            json: false,
            plain: globals.plain,
            now: globals.now,
            pin_fd: Vec::new(),
            shares_fd: Vec::new(),
            copy: None,
            // One process plays every station run, each of which starts a gate.
            last: false,
        };
        Ok(Demo { dir, station, desk, globals })
    }

    fn write_hierarchy(&self, serial: Option<&str>) -> Result<(), Failure> {
        let public =
            |path: PathBuf| fs::read_to_string(&path).map_err(|e| Failure::io(&path, e)).map(|t| t.trim().to_string());
        let mut people = String::new();
        for (id, role) in PEOPLE {
            let key = public(self.station.join("officers").join(format!("{id}.pub")))?;
            people.push_str(&format!(
                "\n[[person]]\nid = \"{id}\"\nname = \"{id} (rehearsal)\"\nroles = [\"{role}\"]\nkeys = [\"{key}\"]\n"
            ));
        }
        let text = HIERARCHY
            .replace("@MODULE@", &module()?.display().to_string())
            .replace("@CONF@", &self.station.join("softhsm2.conf").display().to_string())
            .replace("@SERIAL@", &serial.map_or(String::new(), |s| format!("serial = \"{s}\"\n")))
            .replace("@DESK@", &public(self.desk.join("desk-1.pub"))?)
            .replace("@PEOPLE@", &people);
        write(&self.station.join("hierarchy.toml"), &text)
    }

    /// Both officers sign.
    fn approve(&self, path: &Path) -> Result<Vec<PathBuf>, Failure> {
        ["alice", "bob"]
            .into_iter()
            .map(|person| {
                let key = self.station.join("officers").join(person);
                approve_quietly(&ApproveArgs { path: path.into(), person: person.into(), key, yes: true })
            })
            .collect()
    }

    /// Plan, approvals, signing: the release's directory.
    fn carry_out(&self, args: PlanArgs) -> Result<PathBuf, Failure> {
        let planned = plan(&self.globals, args)?;
        let path = PathBuf::from(planned.json["plan"].as_str().unwrap_or_default());
        let approval = self.approve(&path)?;
        let people = People { operator: "carol".into(), witness: "dave".into(), witness_time: None };
        let args = SignArgs { plan: path, people, approval, media: None };
        let signed = sign(&self.globals, args)?;
        Ok(PathBuf::from(signed.json["directory"].as_str().unwrap_or_default()))
    }

    fn pack(&self, args: &DemoArgs, answered: &Path) -> Result<PathBuf, Failure> {
        let out = self.desk.join("bundle-0001.bundle");
        let hierarchy = self.station.join("hierarchy.toml");
        let key = self.desk.join("desk-1");
        let fail = |e: super::pack::Error| Failure::refused(e.to_string(), e.hint().unwrap_or_default());
        if let Some(dir) = args.requests.as_ref().filter(|r| r.parse::<u64>().is_err()) {
            let args = PackArgs {
                hierarchy,
                desk: "desk-1".into(),
                key,
                requests: Some(dir.into()),
                table: None,
                validations: Vec::new(),
                revocations: None,
                sequence: 1,
                answers: Some(answered.into()),
                release: Some(2),
                expires_days: 14,
                out: out.clone(),
            };
            pack(&args).map_err(fail)?;
            return Ok(out);
        }
        let checkpoint = answered.join("checkpoint");
        let note = fs::read_to_string(&checkpoint).map_err(|e| Failure::io(&checkpoint, e))?;
        let parsed = Hierarchy::load(&hierarchy)?;
        let seal = Seal {
            hierarchy: &parsed,
            desk: "desk-1",
            key: &key,
            sequence: 1,
            answers: Answers { release: 2, checkpoint: Some(note) },
            created: clock(self.globals.now),
            expires_days: 14,
            out: &out,
        };
        let own = |e: requests::Error| Failure::refused(e.to_string(), "this is a fault of coldroot itself");
        match args.requests.as_ref().and_then(|n| n.parse::<u64>().ok()) {
            Some(n) => {
                let mut failed = None;
                let made = requests::generate(n, args.seed).map_while(|r| r.map_err(|e| failed = Some(e)).ok());
                seal.write(made.map(|request| Ok(Item::Request(request)))).map_err(fail)?;
                if let Some(e) = failed {
                    return Err(own(e));
                }
            }
            None => {
                let rows = requests::embedded().map_err(own)?;
                seal.write(rows.into_iter().map(|request| Ok(Item::Request(request)))).map_err(fail)?;
            }
        }
        Ok(out)
    }

    fn unpack(&self, release: &Path, verifier_key: &str) -> Result<(), Failure> {
        let root = self.dir.join("root.pem");
        let args = UnpackArgs {
            release: release.into(),
            to: self.dir.clone(),
            verifier_key: verifier_key.into(),
            hierarchy: Some(self.station.join("hierarchy.toml")),
            root: root.exists().then_some(root).into_iter().collect(),
        };
        unpack(&self.globals, args)?;
        Ok(())
    }

    /// What to look at, and the first commands of a batch of one's own; each of them prints those that follow it.
    fn next(&self, release: &Path) -> String {
        let dir = crate::text::shell(&self.dir);
        let name = release.file_name().unwrap_or_default().to_string_lossy().into_owned();
        format!(
            "\nLook at {dir}/report.html in a browser; then go to the station:\n\n  \
             go there:  cd {dir}/station{path}\n\n\
             What lies there is shown and checked, and nothing is changed:\n\n  \
             coldroot show audit\n  coldroot show out/{name}\n  \
             coldroot check out/{name} --verifier-key verifier-key \\\n      \
             --hierarchy hierarchy.toml\n\n\
             Your turn, with a request of your own (each command prints what follows it):\n\n  \
             request:   openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 \\\n                 \
             -subj /CN={OWN_NAME} \\\n                 \
             -addext subjectAltName=DNS:{OWN_NAME} -nodes \\\n                 \
             -keyout ../desk/own.key -out ../desk/requests/own.csr\n  \
             pack it:   coldroot pack --requests ../desk/requests --desk desk-1 --sequence 2 \\\n                 \
             --key ../desk/desk-1 --answers out/{name} --release 3 \\\n                 \
             --out ../desk/bundle-0002.bundle\n",
            path = search_path()
        )
    }

    fn summary(&self, release: &Path, verifier_key: &str, begun: Instant) -> Result<Answer, Failure> {
        let opened = release::Release::open(release)?;
        let (mut signed, mut refused) = (0u64, Vec::new());
        let mut crls = 0u64;
        opened.parts(|part| {
            match part {
                release::Part::Certificate { .. } => signed += 1,
                release::Part::Refused(r) => refused.push(r),
                release::Part::Crl { .. } => crls += 1,
                _ => {}
            }
            Ok(())
        })?;
        let key = super::offline::verifier_key(verifier_key)?;
        let report = audit::check::check(&self.dir.join("log"), &key)
            .map_err(|e| Failure::refused(e.to_string(), e.hint().unwrap_or_default()))?;
        let mut text = format!(
            "\nA rehearsal from token to release, in {}.\n\n{}",
            duration(begun.elapsed()),
            pairs(&[
                ("signed", format!("{} certificates, 2 CA certificates, {crls} CRLs", human_count(signed))),
                ("refused", human_count(refused.len() as u64)),
                (
                    "recorded",
                    format!("{} log entries, root {}", human_count(report.size), hex_groups(&report.root.0[..8]))
                ),
                ("lies in", crate::text::path(&self.dir)),
            ])
        );
        if !refused.is_empty() {
            text.push_str(&format!("\n{}", refusal_list(&refused, 6)));
        }
        text.push_str(&self.next(release));
        let json = json!({
            "dir": self.dir.to_string_lossy(), "signed": signed, "refused": refused.len(), "crls": crls, "log-size": report.size,
            "log-root": report.root.hex(), "verifier-key": verifier_key, "release": release.to_string_lossy(),
        });
        Ok(Answer::new(text, json))
    }
}

/// This program's directory, as it was called: what is printed from here on says `coldroot` alone.
fn search_path() -> String {
    let called = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    match called.parent().filter(|dir| !dir.as_os_str().is_empty()).map(std::path::absolute) {
        Some(Ok(dir)) => format!(" && PATH={}:$PATH", crate::text::shell(dir)),
        _ => String::new(),
    }
}

fn step(name: &str, what: &str) {
    eprintln!("  {name:<8} {what}");
}

fn module() -> Result<PathBuf, Failure> {
    let found = MODULES.iter().map(PathBuf::from).find(|path| path.exists());
    found.ok_or_else(|| Failure::usage("SoftHSM is not installed", "apt-get install softhsm2"))
}

fn random_pin() -> Result<String, Failure> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|e| Failure::refused(format!("no random numbers: {e}"), "see to the operating system"))?;
    Ok(crate::text::hex(&bytes))
}

/// Writes a file that only its owner reads.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|e| Failure::io(path, e))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|e| Failure::io(path, e))
}

fn ssh_key(path: &Path, comment: &str) -> Result<(), Failure> {
    let run =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(path).output();
    match run {
        Ok(run) if run.status.success() => Ok(()),
        Ok(run) => {
            Err(Failure::refused(format!("ssh-keygen: {}", escape(String::from_utf8_lossy(&run.stderr).trim())), ""))
        }
        Err(e) => Err(Failure::usage(format!("cannot run ssh-keygen: {e}"), "apt-get install openssh-client")),
    }
}

/// The name that a newcomer's own request asks for, and its row of the desk's table.
const OWN_NAME: &str = "im.newcomer.example";
const OWN_REQUEST: &str = "request,profile,requester,names\nown,xmpp-server,me@newcomer.example,im.newcomer.example\n";
const CEREMONY: &str = include_str!("demo/ceremony.toml");
/// `@NAME@` stands for what only the machine knows.
const HIERARCHY: &str = include_str!("demo/hierarchy.toml");
