//! The documents say what the program does: their commands exist, the manual's are run in order, the examples of the formats are
//! read back, and the table of checks is the code's.

mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::{bundle, cbor, cli, plan, policy::Check, release};
use harness::forged::Forged;
use harness::station::{HIERARCHY, Station};

const COLDROOT: &str = env!("CARGO_BIN_EXE_coldroot");

fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(checkout().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The fenced blocks of a document: what stands behind the opening fence, and the lines.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(info), None) => open = Some((info.to_string(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, body))) => *body += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn block(text: &str, info: &str) -> String {
    let mut found = blocks(text).into_iter().filter(|(i, _)| i == info).map(|(_, body)| body);
    let one = found.next().unwrap_or_else(|| panic!("no block `{info}`"));
    assert!(found.next().is_none(), "two blocks `{info}`");
    one
}

/// Commands of a block, continued lines joined, with the exit code that a comment `(exit N)` announces.
fn commands(body: &str) -> Vec<(String, i32)> {
    let joined = body.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let code = |line: &str| line.split_once("(exit ").and_then(|(_, rest)| rest.chars().next()?.to_digit(10));
    lines.map(|line| (line.to_string(), code(line).map_or(0, |c| i32::try_from(c).unwrap()))).collect()
}

/// Runs commands one after the other in one shell, and stops at the first whose exit code is not the announced one.
fn run(commands: &[(String, i32)], directory: &Path, set: &[(&str, &str)]) {
    let mut script = String::new();
    for (line, wanted) in commands {
        let quoted = line.replace('\'', "'\\''");
        script += &format!("{line}\n");
        script += &format!("code=$?; [ $code -eq {wanted} ] || {{ echo \"exit $code:\" '{quoted}'; exit 99; }}\n");
    }
    let path = format!("{}:{}", Path::new(COLDROOT).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(&script).current_dir(directory).env("PATH", path).stdin(std::process::Stdio::null());
    let out = bash.envs(set.iter().copied()).output().unwrap();
    let (said, erred) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{said}\n{erred}");
}

fn softhsm() -> Option<&'static str> {
    let known = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
    known.into_iter().find(|path| Path::new(path).exists())
}

#[test]
fn the_table_of_checks_is_the_codes() {
    let mut wanted =
        String::from("| check | question | source | rule sets | to mend |\n| --- | --- | --- | --- | --- |\n");
    for check in Check::ALL {
        let (question, source, mend) = (check.question(), check.source(), check.mend());
        let sets: Vec<String> = check.rule_sets().iter().map(|set| format!("`{}`", set.name())).collect();
        wanted += &format!("| `{check}` | {question} | {source} | {} | {mend} |\n", sets.join(", "));
    }
    let text = read("docs/checks.md");
    let table: String = text.lines().filter(|line| line.starts_with('|')).map(|line| format!("{line}\n")).collect();
    assert_eq!(table, wanted, "put this table into docs/checks.md:\n{wanted}");
}

#[test]
fn the_page_of_the_command_line_is_the_programs() {
    let path = checkout().join("docs/cli.md");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, cli::page()).unwrap();
    }
    let again = "after a change of the command line: UPDATE_EXPECTED=1 cargo test --test docs command_line";
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), cli::page(), "{again}");
}

#[test]
fn each_verb_has_a_manual_page_and_each_shell_its_completions() {
    let dir = tempfile::tempdir().unwrap();
    let told = |args: &[&str]| {
        let out = Command::new(COLDROOT).args(args).current_dir(dir.path()).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    told(&["man", "--to", "man"]);
    let page = |name: &str| fs::read_to_string(dir.path().join("man").join(format!("{name}.1"))).unwrap();
    assert!(page("coldroot-record-sample").contains("coldroot record sample out/plan"));
    assert!(page("coldroot-sign").contains("approval"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = told(&["completions", shell]);
        assert!(script.contains("adopt-hierarchy") && script.contains("witness"), "{shell}");
    }
    let script = dir.path().join("coldroot.bash");
    fs::write(&script, told(&["completions", "bash"])).unwrap();
    assert!(Command::new("bash").arg("-n").arg(script).status().unwrap().success());
}

/// What the examples of a page of formats are: read back by the program, and about each other.
fn judge_examples(page: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = |info: &str, name: &str| {
        let hex: String = block(page, info).split_whitespace().collect();
        let path = dir.path().join(name);
        fs::write(&path, data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap();
        path
    };
    let opened = plan::Plan::open(&file("hex plan", "plan")).unwrap();
    assert_eq!(plan::statement(opened.head(), &opened.digest()), block(page, "text statement"));

    let unverified = bundle::open(fs::File::open(file("hex bundle", "bundle")).unwrap()).unwrap();
    let (mut read_back, ()) = unverified
        .verify(|_, octets, signature| {
            // The signer is whoever the signature names: it must be over these octets, under the namespace of the page.
            let signature: ssh_key::SshSig = signature.parse().unwrap();
            let signer = ssh_key::PublicKey::from(signature.public_key().clone());
            signer.verify("coldroot-bundle-v0", octets, &signature)
        })
        .unwrap();
    let items: Vec<_> = read_back.items().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(items.iter().map(bundle::Item::id).collect::<Vec<_>>(), ["r1"]);
    let list = bundle::List::parse(block(page, "toml").as_bytes()).unwrap();
    let head = read_back.head();
    assert_eq!((&list.hierarchy, &list.origin), (&head.hierarchy, &head.origin));
    assert!(list.validations[0].takes_over);

    file("hex release", "release.cbor");
    file("hex manifest", "manifest.cbor");
    let opened_release = release::Release::open(dir.path()).unwrap();
    assert_eq!(opened_release.head.plan, opened.digest());
    let mut keys = 0;
    opened_release
        .parts(|part| {
            keys += u32::from(matches!(part, release::Part::Key { .. }));
            Ok(())
        })
        .unwrap();
    assert_eq!(keys, 1);
    assert!(block(page, "text checkpoint").starts_with("example.org/log\n"));
}

const ANEW: &str = "cargo test --test docs write_the_examples_anew -- --ignored";

#[test]
fn the_examples_of_the_formats_are_read_by_the_program() {
    println!("after a change of a format write them anew: {ANEW}");
    judge_examples(&read("docs/formats.md"));
}

#[test]
fn the_examples_of_the_formats_can_be_made_anew() {
    judge_examples(&with_new_examples(&read("docs/formats.md")));
}

/// Writes the examples of docs/formats.md and the sample log anew; run by hand after a change of a format.
#[test]
#[ignore = "changes the checkout"]
fn write_the_examples_anew() {
    let page = with_new_examples(&read("docs/formats.md"));
    fs::write(checkout().join("docs/formats.md"), page).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (demo, sample) = (dir.path().join("demo"), checkout().join("audit-logs/sample"));
    let made = Command::new(COLDROOT).args(["demo", "--requests", "3", "--dir"]).arg(&demo).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::remove_dir_all(sample.join("log")).unwrap();
    harness::copy_tree(&demo.join("log"), &sample.join("log"));
    fs::copy(demo.join("root.pem"), sample.join("root.pem")).unwrap();
    fs::copy(demo.join("station/verifier-key"), sample.join("verifier-key")).unwrap();
}

/// The page with the files of a new small rehearsal in its blocks: one key made, and a bundle with one request.
fn with_new_examples(page: &str) -> String {
    let hierarchy = HIERARCHY
        .replace("\"Road\"", "\"Example\"")
        .replace("example.org/coldroot/demo", "example.org/log")
        .replace("id = \"xmpp-server\"", "id = \"leaf\"")
        .replace("[\"xmpp-server\"]", "[\"leaf\"]")
        .replace("algorithm = \"ecdsa-p384\"", "algorithm = \"ecdsa-p256\"")
        .replace("desk-1\"", "desk\"");
    let station = Station::bare_of(hierarchy);
    station.init().ok();
    let act = "\n[[act]]\nkind = \"generate-key\"\nkey = \"root-key\"\n";
    let plan = station.planned_ceremony_of(&format!("format = \"coldroot-ceremony-v0\"\ntitle = \"One key\"\n{act}"));
    let release = station.carried_out(&plan);
    let mut request = coldroot::requests::generate(1, 1).next().unwrap().unwrap();
    let csr = coldroot::requests::embedded().unwrap().remove(0);
    (request.request, request.profile, request.csr) = ("r1".into(), "leaf".into(), csr.csr);
    (request.requester, request.names) = (coldroot::text::Untrusted::new("Bea"), vec!["a.example".into()]);
    let about = |about: &mut bundle::About| {
        (about.hierarchy, about.origin) = ("Example".into(), "example.org/log".into());
        about.desk = "desk".into();
    };
    let made = Forged::new().about(about).items([bundle::Item::Request(request)]).write(&station, "example");

    let plan = station.dir().join(plan);
    let statement = fs::read_to_string(plan.with_extension("statement")).unwrap();
    let checkpoint = fs::read_to_string(release.join("checkpoint")).unwrap();
    let hex = |path: &Path| {
        let hex = data_encoding::HEXLOWER.encode(&fs::read(path).unwrap());
        hex.as_bytes().chunks(96).map(|line| format!("{}\n", std::str::from_utf8(line).unwrap())).collect::<String>()
    };
    let blocks = [
        ("hex bundle", hex(&made)),
        ("hex plan", hex(&plan)),
        ("text statement", statement),
        ("hex release", hex(&release.join("release.cbor"))),
        ("hex manifest", hex(&release.join("manifest.cbor"))),
        ("text checkpoint", checkpoint),
    ];
    blocks.iter().fold(page.to_string(), |page, (info, body)| {
        let old = format!("```{info}\n{}```", block(&page, info));
        assert!(page.contains(&old), "no block `{info}`");
        page.replacen(&old, &format!("```{info}\n{body}```"), 1)
    })
}

#[test]
fn the_page_of_formats_names_the_magics_and_limits_of_the_code() {
    let page = read("docs/formats.md");
    let magics = [
        plan::MAGIC,
        bundle::MAGIC,
        release::RELEASE_MAGIC,
        release::LOG_MAGIC,
        release::MANIFEST_MAGIC,
        bundle::VALIDATIONS,
        plan::NAMESPACE,
    ];
    assert!(magics.iter().all(|magic| page.contains(&format!("`{magic}`"))));
    let hex = data_encoding::HEXLOWER.encode(&cbor::magic(plan::MAGIC));
    assert!(page.contains(&format!("{} {}", &hex[..2], &hex[2..])), "{hex}");
    let grouped = |n: u64| {
        let digits = n.to_string();
        let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap()).collect();
        groups.join(",")
    };
    let limits = [bundle::limits::COUNT, bundle::limits::ITEM, bundle::limits::HEAD, bundle::limits::SIGNATURE];
    let lists = [bundle::limits::LIST, bundle::limits::LISTS];
    let approval = coldroot::approval::MAX_SIGNATURE as u64;
    for limit in limits.into_iter().chain(lists).chain([plan::MAX_ITEMS, approval]) {
        assert!(page.contains(&grouped(limit)), "the limit {} is not on the page", grouped(limit));
    }
}

/// The pages whose commands must exist.
const PAGES: [&str; 10] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/operator.md",
    "docs/auditor.md",
    "docs/cli.md",
    "docs/recovery.md",
    "docs/assurance.md",
    "docs/formats.md",
    "ceremony-scripts/hierarchy.example.toml",
];

#[test]
fn every_command_in_the_documents_is_one_of_the_program() {
    let help = |words: &[&str]| {
        let out = Command::new(COLDROOT).args(words).arg("--help").output().unwrap();
        out.status.success().then(|| String::from_utf8(out.stdout).unwrap())
    };
    let mut seen = 0;
    for page in PAGES {
        let text = read(page);
        let fenced = blocks(&text).into_iter().flat_map(|(_, body)| commands(&body)).map(|(line, _)| line);
        let mut fence = false;
        let prose = text.lines().filter(|line| {
            fence ^= line.starts_with("```");
            !fence
        });
        // A span of code never goes over the end of a line here.
        let inline = prose.flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_string);
        for line in fenced.chain(inline) {
            let line = line.split(" #").next().unwrap_or_default();
            let program = |word: &str| word == "coldroot" || word.ends_with("/coldroot");
            let mut words = line.split_whitespace().skip_while(|word| !program(word)).skip(1).peekable();
            let Some(verb) = words.next_if(|w| w.chars().all(|c| c.is_ascii_lowercase()) && *w != "help") else {
                continue;
            };
            let sub = words
                .next_if(|w| ["token", "record"].contains(&verb) && !w.starts_with(['[', '<', '-']))
                .unwrap_or_default();
            let path: Vec<&str> = [verb, sub].into_iter().filter(|w| !w.is_empty()).collect();
            let known = help(&path).unwrap_or_else(|| panic!("{page}: there is no `coldroot {}`", path.join(" ")));
            for option in words.filter(|w| w.starts_with("--")) {
                let option = option.split('=').next().unwrap_or_default();
                let there = known.split_whitespace().any(|w| w.trim_end_matches(',') == option);
                assert!(there, "{page}: `coldroot {}` has no {option}", path.join(" "));
            }
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} commands found");
}

#[test]
fn every_named_test_exists() {
    let assurance = read("docs/assurance.md");
    let mut named = 0;
    for name in assurance.split('`').skip(1).step_by(2) {
        let Some((file, test)) = name.split_once("::").filter(|(_, test)| !test.is_empty()) else { continue };
        let ours = checkout().join(format!("softhsm-tests/{file}.rs"));
        let path = if ours.exists() { ours } else { checkout().join(format!("src/{file}.rs")) };
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("docs/assurance.md: {}: {e}", path.display()));
        assert!(text.contains(&format!("fn {test}(")), "docs/assurance.md names {}: {test}", path.display());
        named += 1;
    }
    assert!(named > 30, "only {named} tests named");
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "audit-logs/FORMAT.md"].map(PathBuf::from);
    let docs = fs::read_dir(checkout().join("docs")).unwrap().map(|e| Path::new("docs").join(e.unwrap().file_name()));
    for page in pages.into_iter().chain(docs) {
        let text = fs::read_to_string(checkout().join(&page)).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if !target.starts_with("http") && !file.is_empty() {
                let to = checkout().join(page.parent().unwrap()).join(file);
                assert!(to.exists(), "{}: {target}", page.display());
            }
        }
    }
}

/// Stands in for the operator's editor: fills in the persons' keys, SoftHSM's configuration and, once there is one, the serial.
const EDITOR: &str = r#"#!/bin/bash
set -e
for person in ada ben cyd desk; do
    sed -i "s|keys = \[\"ssh-ed25519 [^\"]* $person (example)\"\]|keys = [\"$(cat "keys/$person.pub")\"]|" "$1"
done
sed -i "s|SOFTHSM2_CONF = \"[^\"]*\"|SOFTHSM2_CONF = \"$PWD/softhsm2.conf\"|; s|^module = .*|module = \"$MODULE\"|" "$1"
serial=$(coldroot --json token list | sed -n 's/.*"serial": "\([0-9a-f]\+\)".*/\1/p' | head -n 1)
[ -z "$serial" ] || sed -i "s|^# serial = .*|serial = \"$serial\"|" "$1"
"#;

#[test]
fn the_operators_manual_can_be_typed_as_it_stands() {
    let module = softhsm().expect("SoftHSM is not installed: softhsm-tests/run-all installs it");
    let dir = tempfile::tempdir().unwrap();
    let editor = dir.path().join("editor");
    harness::script(&editor, EDITOR);
    let page = read("docs/operator.md");
    let typed: Vec<_> =
        blocks(&page).into_iter().filter(|(info, _)| info == "sh").flat_map(|(_, body)| commands(&body)).collect();
    assert!(typed.len() > 25, "only {} commands found", typed.len());
    let (editor, checkout) = (editor.display().to_string(), checkout().display().to_string());
    run(&typed, dir.path(), &[("EDITOR", &editor), ("CHECKOUT", &checkout), ("MODULE", module)]);
    let (station, www) = (dir.path().join("station"), dir.path().join("station/www"));
    assert!(station.join("out/release-0003/release.cbor").exists() && www.join("report.html").exists());
    let issued = fs::read_dir(www.join("certs")).unwrap().count();
    assert_eq!(issued, 14, "the requests of softhsm-tests/requests that are lawful");
}

#[test]
fn the_commands_of_the_readme_can_be_typed() {
    softhsm().expect("SoftHSM is not installed: softhsm-tests/run-all installs it");
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().display();
    let demo = format!("coldroot demo --dir {here}/demo --requests {}/softhsm-tests/requests", checkout().display());
    let page = read("README.md");
    let mut typed = vec![(demo, 0)];
    for (line, code) in commands(&block(&page, "sh next")) {
        let line = line.replace("target/debug/coldroot", "coldroot").replace("target/demo", &format!("{here}/demo"));
        typed.push((line.replace("/tmp/thousand", &format!("{here}/thousand")).replace("1000", "40"), code));
    }
    assert!(typed.len() > 4);
    run(&typed, dir.path(), &[]);
}

#[test]
fn the_auditors_manual_can_be_typed_as_it_stands() {
    softhsm().expect("SoftHSM is not installed: softhsm-tests/run-all installs it");
    let dir = tempfile::tempdir().unwrap();
    let page = read("docs/auditor.md");
    let held = [
        "coldroot demo --dir www",
        "cp www/station/verifier-key www/station/hierarchy.toml www/root.pem .",
        "cp -r www/station/out/release-0003 release",
        "cp www/station/out/release-0002/checkpoint older-checkpoint",
        "coldroot unpack www/station/out/release-0002 --to before --verifier-key verifier-key",
        "cp -r before/log older-log",
    ];
    let mut typed: Vec<_> = held.iter().map(|line| (line.to_string(), 0)).collect();
    typed.extend(
        blocks(&page).into_iter().filter(|(info, _)| info == "sh auditor").flat_map(|(_, body)| commands(&body)),
    );
    assert!(typed.len() > 28, "only {} commands found", typed.len());
    let (checkout, cache) = (checkout().display().to_string(), dir.path().join("go").display().to_string());
    run(&typed, dir.path(), &[("CHECKOUT", &checkout), ("GOCACHE", &cache), ("GOFLAGS", ""), ("CGO_ENABLED", "0")]);
}

#[test]
fn the_sample_log_is_good_and_its_verifier_tests_itself() {
    let sample = checkout().join("audit-logs/sample");
    let key = read("audit-logs/sample/verifier-key");
    let verifier = checkout().join("audit-logs/verify.py");
    let judge = |log: &Path| {
        let root = sample.join("root.pem");
        let run = Command::new("python3")
            .arg(&verifier)
            .arg(log)
            .args(["--verifier-key", key.trim(), "--root"])
            .arg(root)
            .output();
        run.expect("python3 runs").status.code()
    };
    assert_eq!(judge(&sample.join("log")), Some(0));
    let checked = Command::new(COLDROOT)
        .args(["--json", "check"])
        .arg(sample.join("log"))
        .args(["--verifier-key", key.trim()])
        .output();
    assert!(checked.expect("coldroot runs").status.success());
    assert_ne!(judge(&checkout().join("audit-logs")), Some(0));

    let tests = Command::new("python3")
        .arg("-B")
        .arg(checkout().join("audit-logs/test_verify.py"))
        .output()
        .expect("python3 runs");
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stderr));
}
