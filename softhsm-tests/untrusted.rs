//! Hostile text through every door and out of every output (`untrusted/corpus.txt`), compared octet for octet with what is kept in
//! `untrusted/expected/`. After a change that is meant: `UPDATE_EXPECTED=1 cargo test --test untrusted`, then read the diff.

#[path = "untrusted/corpus.rs"]
mod corpus;
#[path = "untrusted/der.rs"]
mod der;
#[path = "untrusted/expected.rs"]
mod expected;
#[path = "untrusted/files.rs"]
mod files;
#[path = "untrusted/fuzzed.rs"]
mod fuzzed;
mod harness;
#[path = "untrusted/outputs.rs"]
mod outputs;
#[path = "untrusted/page.rs"]
mod page;
#[path = "untrusted/road.rs"]
mod road;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use corpus::{Sample, corpus};
use expected::Expected;
use harness::station::COLDROOT;
use serde_json::Value;

/// What a run printed.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// No line for people is longer.
const LONGEST: usize = coldroot::text::LINE + 256;

/// Runs the binary; whatever it says is printable ASCII in lines of bounded length.
pub fn say(dir: &Path, args: &[&OsStr]) -> Said {
    let run =
        Command::new(COLDROOT).args(args).current_dir(dir).env("COLUMNS", "100").stdin(Stdio::null()).output().unwrap();
    for bytes in [&run.stdout, &run.stderr] {
        let bad = bytes.iter().find(|c| **c != b'\n' && !(b' '..=b'~').contains(c));
        assert_eq!(bad, None, "{args:?}: {}", String::from_utf8_lossy(bytes).escape_debug());
    }
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let said = Said { code: run.status.code().expect("no signal"), out: text(run.stdout), err: text(run.stderr) };
    assert!(!said.err.contains("panicked"), "{args:?}: {}", said.err);
    said
}

/// The same for people, as one text.
pub fn told(dir: &Path, args: &[&OsStr]) -> String {
    let said = say(dir, args);
    for line in said.out.lines().chain(said.err.lines()) {
        assert!(line.len() <= LONGEST, "{args:?}: {}...", &line[..200]);
    }
    format!("{}{}[exit {}]\n", said.out, said.err, said.code)
}

/// The same for machines: JSON that a second writer writes the same.
pub fn json(dir: &Path, args: &[&OsStr]) -> Value {
    let said = say(dir, &[&[OsStr::new("--json")], args].concat());
    assert_eq!(said.err, "", "{args:?}");
    let value: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", said.out));
    assert_eq!(said.out, coldroot::text::ascii_json(&format!("{value:#}\n")), "{args:?}");
    value
}

fn os(args: &[&str]) -> Vec<std::ffi::OsString> {
    args.iter().map(|arg| arg.into()).collect()
}

/// One kind of file that holds hostile text, shown in both forms.
fn through(
    kind: &str,
    forge: impl Fn(&Path, &Sample) -> Option<Vec<&'static str>>,
    judge: impl Fn(&Sample, &Value),
) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Expected::new(kind);
    let mut shown = 0;
    for sample in corpus() {
        let Some(args) = forge(dir.path(), &sample) else { continue };
        let args = os(&args);
        let args: Vec<&OsStr> = args.iter().map(|arg| arg.as_os_str()).collect();
        // The fields that a file may have grow; what a message quotes stays.
        let told = told(dir.path(), &args);
        let lines = told.lines().map(|line| line.split(", expected one of").next().unwrap_or_default());
        expected.add(&sample.name, &lines.fold(String::new(), |all, line| all + line + "\n"));
        let json = json(dir.path(), &args);
        if json.get("error").is_none() {
            shown += 1;
            judge(&sample, &json);
        }
    }
    expected.finish();
    shown
}

/// Is it there, as it is?
#[track_caller]
fn same(sample: &Sample, found: &Value) {
    assert_eq!(found.as_str(), sample.text.as_deref(), "{}", sample.name);
}

#[test]
fn p07_untrusted_text_in_certificates_is_shown_exactly() {
    through("certificate", files::certificate, |sample, json| {
        let names = json["subject-alt-name"].as_array().unwrap();
        let of = |kind: &str| names.iter().filter_map(|name| name.get(kind)).collect::<Vec<_>>();
        same(sample, of("xmpp-addr")[0]);
        for kind in ["dns", "email", "uri", "srv"] {
            of(kind).into_iter().for_each(|name| same(sample, name));
        }
        assert_eq!(of("dns").len(), usize::from(sample.is_ascii()), "{}", sample.name);
        json["crl-urls"].as_array().unwrap().iter().for_each(|url| same(sample, url));
        json["issuer-urls"].as_array().unwrap().iter().for_each(|url| same(sample, url));
        json["policies"].as_array().unwrap().iter().for_each(|policy| same(sample, &policy["cps"]));
    });
}

#[test]
fn p07_untrusted_text_in_names_of_every_string_type_is_shown_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Expected::new("names");
    for sample in corpus() {
        let mut all = String::new();
        for (kind, tag, octets) in files::strings(&sample) {
            let issuer = der::name(&[der::attribute(10, tag, &octets), der::attribute(3, der::UTF8, b"end")]);
            fs::write(dir.path().join("crl"), der::crl(&issuer)).unwrap();
            let told = told(dir.path(), &[OsStr::new("show"), OsStr::new("crl")]);
            // A value is broken at single spaces only, so its lines are joined again by one.
            let lines = told
                .lines()
                .skip_while(|line| !line.starts_with("issuer"))
                .take_while(|line| !line.starts_with("number"));
            let lines: Vec<&str> = lines.map(|line| line.trim_start_matches("issuer").trim_start()).collect();
            let shown = if lines.is_empty() { "(not read)".into() } else { lines.join(" ") };
            all.push_str(&format!("{kind:<10} {shown}\n"));
        }
        expected.add(&sample.name, &all);
    }
    expected.finish();
}

#[test]
fn p07_untrusted_text_in_crls_is_shown_exactly() {
    assert!(through("crl", files::crl, |_, _| ()) > 50);
}

#[test]
fn p07_untrusted_text_in_requests_is_shown_exactly() {
    through("request", files::request, |sample, json| {
        same(sample, &json["subject-alt-name"][0]["xmpp-addr"]);
    });
}

#[test]
fn p07_untrusted_text_in_plans_is_shown_exactly() {
    through("plan", files::plan, |sample, json| {
        same(sample, &json["head"]["name"]);
        same(sample, &json["head"]["origin"]);
        for field in ["ca", "detail"] {
            let counts = json["head"]["counts"].as_array().unwrap();
            assert!(counts.iter().any(|count| count[field].as_str() == sample.text.as_deref()), "{field}");
        }
        for field in ["request", "check", "reason"] {
            same(sample, &json["refused"][0][field]);
        }
    });
    through("plan-item", files::key_plan, |sample, json| {
        for field in ["key", "token", "label"] {
            same(sample, &json[field]);
        }
    });
}

/// Two plans, two certificates, two CRLs side by side, and a drawn sample: ASCII in lines of bounded length, and the text as it is in
/// what machines read.
#[test]
fn p07_untrusted_text_in_comparisons_and_samples_is_shown_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let plain = Sample { name: "plain".into(), bytes: b"name".to_vec(), text: Some("name".into()) };
    let dice = "3526146152116342551163342";
    for sample in corpus() {
        let mut compared = 0;
        for make in [files::plan, files::key_plan, files::certificate, files::crl] {
            let Some(hostile) = make(dir.path(), &sample).and_then(|args| args.get(1).copied()) else { continue };
            let calm = make(other.path(), &plain).and_then(|args| args.get(1).copied()).unwrap();
            let calm = other.path().join(calm);
            for args in [
                [OsStr::new("show"), OsStr::new("--diff"), calm.as_os_str(), OsStr::new(hostile)],
                [OsStr::new("show"), OsStr::new("--diff"), OsStr::new(hostile), calm.as_os_str()],
                [OsStr::new("sample"), OsStr::new("--dice"), OsStr::new(dice), OsStr::new(hostile)],
            ] {
                told(dir.path(), &args);
                let json = json(dir.path(), &args);
                compared += usize::from(json.get("error").is_none());
            }
        }
        // A text that is no UTF-8 stands in certificates and CRLs only, and some of it makes them unreadable.
        assert!(compared >= 4 || sample.text.is_none(), "{}: {compared}", sample.name);
    }
}

#[test]
fn p07_untrusted_text_in_releases_is_shown_exactly() {
    through("release", files::release, |sample, json| same(sample, &json["name"]));
}

#[test]
fn p07_untrusted_text_in_logs_is_shown_exactly() {
    through("log", files::log, |sample, json| {
        let entries = json["entries"].as_array().unwrap();
        let failure = entries.iter().find(|entry| entry["what"] == "failure").unwrap();
        assert_eq!(failure["of"], coldroot::text::escape(sample.text.as_deref().unwrap()), "{}", sample.name);
    });
}

#[test]
fn p07_untrusted_text_in_bundles_is_shown_exactly() {
    through("bundle", files::bundle, |sample, json| same(sample, &json["desk"]));
    through("signature-namespace", files::signature, |_, _| panic!("a foreign namespace was accepted"));
}

#[test]
fn p07_untrusted_text_in_statements_and_ceremonies_is_shown_exactly() {
    through("statement", files::statement, |sample, json| {
        assert_eq!(json["statement"], files::statement_text(sample), "{}", sample.name);
    });
    through("ceremony", files::ceremony, |sample, json| {
        assert_eq!(json["ceremony"], files::ceremony_text(sample), "{}", sample.name);
    });
}

#[test]
fn p07_untrusted_text_in_hierarchies_is_shown_exactly() {
    through("hierarchy-name", files::hierarchy_name, |sample, json| same(sample, &json["name"]));
    through("hierarchy-field", files::hierarchy_field, |_, _| ());
    through("hierarchy-value", files::hierarchy_value, |_, _| ());
    through("ceremony-title", files::ceremony_title, |sample, json| same(sample, &json["title"]));
}

#[test]
fn p07_untrusted_names_of_files_are_shown_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Expected::new("file-name");
    for sample in corpus().into_iter().filter(|sample| !sample.bytes.contains(&0) && sample.bytes.len() < 4096) {
        let name = OsStr::from_bytes(&sample.bytes);
        let dashes = [OsStr::new("--"), name];
        // Nothing there; then something unknown; then a plan, whose name stands in the next command.
        let [missing, unknown, known] = [1, 2, 3].map(|step| {
            let path = dir.path().join(name);
            let possible = !sample.bytes.contains(&b'/') && (1..=255).contains(&sample.bytes.len());
            match step {
                2 if possible => fs::write(&path, "what is this?").unwrap(),
                3 if possible => fs::write(&path, files::plan_bytes("x")).unwrap(),
                _ => {}
            }
            let told = told(dir.path(), &[&[OsStr::new("show")], &dashes[..]].concat());
            json(dir.path(), &[&[OsStr::new("show")], &dashes[..]].concat());
            if step == 3 && possible {
                command_names_the_file(&told, &sample);
                fs::remove_file(path).unwrap();
            }
            told
        });
        let known = known.lines().rfind(|line| line.contains("one item")).unwrap_or_default().to_string();
        let what = [missing, unknown].map(|told| told.lines().next().unwrap_or_default().to_string());
        expected.add(&sample.name, &format!("{}\n{known}\n", what.join("\n")));
    }
    expected.finish();
}

/// The next command, read by a shell, names the very file.
fn command_names_the_file(told: &str, sample: &Sample) {
    let line = told.lines().find_map(|line| line.strip_prefix("  one item: coldroot show ")).unwrap();
    let word = line.strip_suffix(" --item 0").unwrap();
    let run = Command::new("bash").args(["-c", &format!("printf %s {word}")]).output().unwrap();
    let name = [if sample.bytes.starts_with(b"-") { &b"./"[..] } else { b"" }, &sample.bytes].concat();
    assert_eq!(run.stdout, name, "{}: {word}", sample.name);
}

#[test]
fn p07_untrusted_arguments_are_shown_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Expected::new("arguments");
    for sample in corpus().into_iter().filter(|sample| !sample.bytes.contains(&0) && sample.bytes.len() < 4096) {
        let text = OsStr::from_bytes(&sample.bytes);
        let o = OsStr::new;
        let mut all = String::new();
        for args in [
            vec![text],
            vec![o("show"), o("x"), o("--"), text],
            vec![o("show"), o("--item"), text, o("x")],
            vec![o("--now"), text, o("show"), o("x")],
            vec![o("check"), o("--verifier-key"), text, o(".")],
            vec![o("approve"), o("x"), o("--person"), text, o("--key"), o("x")],
            vec![o("show"), &std::ffi::OsString::from_vec_of(b"--", &sample.bytes)],
        ] {
            let told = told(dir.path(), &args);
            // What clap says besides (usage, tips) is not ours to keep.
            all.push_str(told.lines().next().unwrap_or_default());
            all.push('\n');
        }
        expected.add(&sample.name, &all);
    }
    expected.finish();
}

trait FromVecOf {
    fn from_vec_of(before: &[u8], bytes: &[u8]) -> Self;
}

impl FromVecOf for std::ffi::OsString {
    fn from_vec_of(before: &[u8], bytes: &[u8]) -> Self {
        std::os::unix::ffi::OsStringExt::from_vec([before, bytes].concat())
    }
}

/// A thousand texts of random characters, the same in every run.
#[test]
fn p07_random_text_is_shown_in_ascii_and_can_be_read_back() {
    use coldroot::text::{escape, line, lines, page, quoted};
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..1000 {
        let length = next() % 300;
        let text: String = (0..length)
            .filter_map(|_| {
                let (range, at) = (next() % 4, next());
                let code = match range {
                    0 => at % 0x20,
                    1 => 0x20 + at % 0x60,
                    2 => at % 0x3000,
                    _ => at % 0x11_0000,
                };
                char::from_u32(u32::try_from(code).unwrap())
            })
            .collect();
        for shown in [escape(&text), quoted(&text), line(&text)] {
            assert!(shown.bytes().all(|c| (b' '..=b'~').contains(&c)), "{text:?}");
            assert_eq!(lines(&shown), shown);
        }
        assert!(page(&text).bytes().all(|c| c == b'\n' || (b' '..=b'~').contains(&c)), "{text:?}");
        assert!(escape(&text).starts_with(&quoted(&text)));
        let back: String = text.chars().take(coldroot::text::SHOWN).collect();
        assert_eq!(corpus::unescape(&quoted(&back)), back.as_bytes(), "{text:?}");
        page::same_elements(&text);
    }
}
