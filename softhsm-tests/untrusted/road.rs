//! The whole road: hostile requests, tables and reasons, from the desk to the page.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

use super::corpus::{Sample, corpus};
use super::expected::Expected;
use super::harness::station::{Station, fresh};
use super::{der, json, page, told};

/// A request under a key of its own, signed by it: nothing is wrong with it but the text.
fn csr(subject: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let mut spki = der::spki();
    let at = spki.len() - key.public_key().as_ref().len();
    spki.splice(at.., key.public_key().as_ref().iter().copied());
    let info = der::request_info(subject, &spki, extensions);
    // A refusal may tell the request's length, and an ECDSA signature has 70 to 72 octets as a rule: one of 71 is taken.
    let mut signatures = std::iter::repeat_with(|| key.sign(&SystemRandom::new(), &info).unwrap());
    let signature = signatures.find(|signature| signature.as_ref().len() == 71).unwrap();
    der::seq(&[&info, der::ECDSA_SHA256, &der::tlv(0x03, &[&[0], signature.as_ref()].concat())])
}

/// The requests that carry a sample, each in another place.
fn requests(sample: &Sample) -> Vec<(String, Vec<u8>)> {
    // A bundle's item has at most 128 KiB; what is longer is no request for anybody.
    if sample.bytes.len() > 100_000 {
        return Vec::new();
    }
    let san = |name: Vec<u8>| csr(&der::common_name(b"x"), &[der::extension(b"\x55\x1d\x11", &der::tlv(0x30, &name))]);
    let text = &sample.bytes;
    let mut all = vec![("cn", csr(&der::common_name(text), &[])), ("xmpp", san(der::xmpp_addr(text)))];
    if sample.is_ascii() {
        all.extend([("dns", san(der::tlv(0x82, text))), ("mail", san(der::tlv(0x81, text)))]);
        all.extend([
            ("uri", san(der::tlv(0x86, text))),
            ("srv", san(der::srv(&[b"_xmpp-server.", &text[..]].concat()))),
        ]);
    }
    all.into_iter().map(|(place, csr)| (format!("{}.{place}", sample.name), csr)).collect()
}

fn quote(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

/// From the line that begins with `from` to the next that begins with `to`.
fn part<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap_or_else(|| panic!("no `{from}` in {text}"));
    let rest = &text[start..];
    &rest[..rest.find(to).unwrap_or(rest.len())]
}

#[test]
fn p07_untrusted_text_in_a_bundle_is_answered_exactly_on_the_whole_road() {
    let station = Station::ready();
    let good = fresh("good", &["name.example"]);
    let dir = station.requests("hostile", std::slice::from_ref(&good));
    let mut table = fs::read_to_string(dir.join("requests.csv")).unwrap();
    for sample in corpus() {
        let one_line =
            sample.text.as_ref().filter(|t| (1..=256).contains(&t.len()) && !t.chars().any(char::is_control));
        let requester = quote(one_line.map_or("requester", String::as_str));
        for (id, csr) in requests(&sample) {
            fs::write(dir.join(format!("{id}.der")), csr).unwrap();
            table.push_str(&format!("{id},xmpp-server,{requester},name.example\n"));
        }
    }
    fs::write(dir.join("requests.csv"), table).unwrap();

    let plan = station.planned(&station.pack(&dir, 1));
    let mut expected = Expected::new("road");
    let show = |args: &[&str]| {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        (told(&station.dir(), &args), json(&station.dir(), &args))
    };
    let (text, _) = show(&["show", plan.to_str().unwrap(), "--all"]);
    expected.add("plan", part(&text, "Refused:", "\n  one item:"));

    let release = station.carried_out(&plan);
    show(&["show", release.to_str().unwrap(), "--all"]);
    let (text, log) = show(&["show", "audit", "--all"]);
    let refused: Vec<&str> = text.lines().filter(|line| line.contains("  refused  ")).collect();
    let listed = log["entries"].as_array().unwrap().iter().filter(|entry| entry["what"] == "refused").count();
    assert_eq!(refused.len(), listed);

    let key = station.verifier_key();
    station.run(&["unpack", release.to_str().unwrap(), "--to", "www", "--verifier-key", &key]).ok();
    let www = station.path("www");
    let answers = fs::read_to_string(www.join("refused.json")).unwrap();
    expected.add("refused.json", &answers);
    judge_answers(&answers, listed);
    let html = fs::read_to_string(www.join("report.html")).unwrap();
    expected.add("report.html", part(&html, "<section id=\"refusals\">", "<section id=\"crls\">"));
    expected.finish();
    judge_page(&html);
    for file in ["manifest.json", "refused.json", "report.html"] {
        let content = fs::read_to_string(www.join(file)).unwrap();
        assert!(content.chars().all(|c| matches!(c, '\n' | '\u{2014}' | ' '..='~')), "{file}");
    }
    station.check_log();
}

/// Every refusal is there, and no text of it is cut or changed by the JSON around it.
fn judge_answers(answers: &str, count: usize) {
    let parsed: Vec<serde_json::Value> = serde_json::from_str(answers).unwrap();
    assert_eq!(parsed.len(), count);
    for sample in corpus() {
        let id = format!("{}.cn", sample.name);
        let Some(answer) = parsed.iter().find(|answer| answer["request"] == id.as_str()) else { continue };
        let reason = answer["reason"].as_str().unwrap();
        if let (Some(text), "name-form") = (&sample.text, answer["check"].as_str().unwrap()) {
            assert!(reason.contains(&coldroot::text::escape(text)), "{id}: {reason}");
        }
    }
}

/// The page has no element that the template has not, and no attribute.
fn judge_page(html: &str) {
    let harmless = page::page("x");
    let known = page::tags(&harmless);
    let unknown: Vec<&str> = page::tags(html).into_iter().filter(|tag| !known.contains(tag)).collect();
    // What the small page has not: the count of refusals beyond the page's limit, a CA below another, and bars, of which
    // places and days are numbers.
    let numberless = |tag: &&str| tag.replace(|c: char| c.is_ascii_digit() || c == '.', "");
    let pictures = [
        "<code>",
        "</code>",
        "<ul>",
        "</u>",
        "<u style=\"left:%\">",
        "<div class=\"line\">",
        "<div class=\"track ticks\">",
        "<div class=\"track\" title=\"-- to --\">",
        "<span class=\"name certificate\">",
        "<span class=\"name crl\">",
        "<span class=\"name leaf\">",
        "<i class=\"certificate beyond\" style=\"left:%;width:%\">",
        "<i class=\"crl\" style=\"left:%;width:%\">",
        "<i class=\"leaf\" style=\"left:%;width:%\">",
        "<b style=\"left:%\">",
        "<i style=\"width:%\">",
        "<i class=\"bad\" style=\"width:%\">",
    ];
    let unknown: Vec<String> = unknown.iter().map(numberless).filter(|tag| !pictures.contains(&tag.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(!html.contains("<script") && !html.contains("<img"));
}

#[test]
fn p07_untrusted_text_in_the_desks_table_is_named_exactly() {
    let station = Station::bare();
    let desk = station.desk("");
    fs::create_dir(desk.join("t")).unwrap();
    let mut expected = Expected::new("table");
    for sample in corpus() {
        let mut all = String::new();
        let field = |bytes: &[u8]| {
            let quoted: Vec<u8> = bytes.iter().flat_map(|c| vec![*c; if *c == b'"' { 2 } else { 1 }]).collect();
            [b"\"", &quoted[..], b"\""].concat()
        };
        for place in 0..5 {
            let mut fields = [&b"request"[..], b"profile", b"requester", b"names"].map(field);
            if place == 4 {
                fields[3] = field(&sample.bytes);
            }
            let mut row = [&b"req-1"[..], b"xmpp-server", b"requester", b"name.example"].map(field);
            if let Some(cell) = row.get_mut(place) {
                *cell = field(&sample.bytes);
            }
            let lines = [fields.join(&b','), row.join(&b','), Vec::new()].join(&b'\n');
            fs::write(desk.join("t/requests.csv"), lines).unwrap();
            let args = "pack --hierarchy ../station/hierarchy.toml --desk desk-1 --key desk-1 --requests t --sequence 1 --out x";
            let args: Vec<&OsStr> = args.split(' ').map(OsStr::new).collect();
            all.push_str(&told(&desk, &args));
            assert_ne!(json(&desk, &args)["error"], serde_json::Value::Null);
        }
        expected.add(&sample.name, &all);
    }
    expected.finish();
    assert!(!desk.join("x").exists());
}

#[test]
fn p07_untrusted_text_in_the_reason_of_a_void_is_shown_exactly() {
    let station = Station::ready();
    let plan = station.planned(&station.bundle(1, 1));
    let before = station.entries();
    let mut expected = Expected::new("void");
    for sample in corpus().into_iter().filter(|s| !s.bytes.contains(&0) && s.bytes.len() < 100_000) {
        let mut reason = OsString::from("--reason=");
        reason.push(OsStr::from_bytes(&sample.bytes));
        let args =
            [["void", "--plan", plan.to_str().unwrap()], ["--operator=carol", "--witness=dave", "--plain"]].concat();
        let mut args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        args.push(&reason);
        let told = told(&station.dir(), &args);
        let act = told.lines().filter(|line| line.starts_with("act ") || line.starts_with("coldroot:"));
        let mut act: Vec<&str> = act.collect();
        act.extend(told.lines().next_back());
        expected.add(&sample.name, &format!("{}\n", act.join("\n")));
        readable(&station.dir(), &told);
    }
    expected.finish();
    assert_eq!(station.entries(), before, "nothing is recorded before the quorum has signed");
}

/// A statement that was written can be shown and signed: it is what it says.
fn readable(dir: &Path, told: &str) {
    let Some(command) = told.lines().find_map(|line| line.strip_prefix("  next: coldroot approve ")) else { return };
    let path = command.split(' ').next().unwrap();
    let shown = super::told(dir, &[OsStr::new("show"), OsStr::new(path)]);
    assert_eq!(shown, format!("{}[exit 0]\n", fs::read_to_string(dir.join(path)).unwrap()));
}
