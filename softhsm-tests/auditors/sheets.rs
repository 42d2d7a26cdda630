//! What `show` and `check` answer in other forms: a page of its own, QR codes, plain text.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::termios::{Winsize, tcsetwinsize};

use super::harness::station::{COLDROOT, Run};
use super::harness::terminal::pair;
use super::{coldroot, demo, key};

/// A directory of one's own in which pages are written.
fn pages() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The last plan of the demo, which is of a batch.
fn plan() -> String {
    let mut plans: Vec<PathBuf> =
        fs::read_dir(demo().join("station/out")).unwrap().map(|e| e.unwrap().path()).collect();
    plans.retain(|path| path.extension().is_some_and(|ending| ending == "plan"));
    plans.sort_by_key(|path| fs::metadata(path).unwrap().len());
    plans.pop().unwrap().to_str().unwrap().to_owned()
}

/// Something of every kind, shown and checked.
fn every_kind() -> Vec<Vec<String>> {
    let (key, plan) = (key(), plan());
    let own = |args: &[&str]| args.iter().map(|arg| (*arg).to_string()).collect::<Vec<String>>();
    vec![
        own(&["show", &plan]),
        own(&["show", &plan, "--item", "0"]),
        own(&["show", &plan.replace(".plan", ".statement")]),
        own(&["show", "desk/bundle-0001.bundle"]),
        own(&["show", "station/out/release-0003"]),
        own(&["show", "station/audit"]),
        own(&["show", "log/checkpoint"]),
        own(&["show", "proofs/keytool-ec.tlog-proof"]),
        own(&["show", "root.pem"]),
        own(&["show", "crls/root.crl"]),
        own(&["show", "station/hierarchy.toml"]),
        own(&["show", "station/hierarchy.toml", "--profile", "xmpp-server"]),
        own(&["show", "station/ceremony.toml"]),
        own(&["show", "--diff", "crls/root.crl", "crls/xmpp-1.crl"]),
        own(&["show", "--diff", &plan, &plan]),
        own(&["check", &plan]),
        own(&["check", "desk/bundle-0001.bundle", "--hierarchy", "station/hierarchy.toml"]),
        own(&["check", "station/out/release-0003", "--verifier-key", &key, "--root", "root.pem"]),
        own(&["check", "log", "--verifier-key", &key]),
        own(&["check", "log/checkpoint", "--verifier-key", &key]),
        own(&["check", "proofs/keytool-ec.tlog-proof", "--verifier-key", &key]),
        own(&["check", "station/hierarchy.toml"]),
        own(&["check", "station/ceremony.toml", "--hierarchy", "station/hierarchy.toml"]),
    ]
}

fn run(args: &[String], more: &[&str]) -> Run {
    let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    coldroot(&args)
}

#[test]
fn everything_has_a_page_of_its_own_that_says_what_the_terminal_says() {
    let dir = pages();
    for (at, args) in every_kind().iter().enumerate() {
        let file = dir.path().join(format!("{at}.html"));
        let file = file.to_str().unwrap();
        let json = run(args, &["--html", file, "--json"]).ok();
        assert_eq!(json["html"], file, "{args:?}");
        let page = fs::read_to_string(file).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "{args:?}");
        assert!(page.contains("default-src 'none'; style-src 'unsafe-inline'"), "{args:?}");
        for alien in ["<script", "<link", "<img", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(alien), "{args:?}: {alien}");
        }
        let text = run(args, &[]).out;
        let first = text.lines().next().unwrap();
        let words: Vec<&str> = first.split_whitespace().take(4).collect();
        let said = page.replace("&#x27;", "'").replace("&quot;", "\"").replace("&lt;", "<");
        assert!(said.contains(&words.join(" ")) || args[1].contains("audit"), "{args:?}: {first}");
        assert_eq!(
            page.contains("class=\"verdict good\""),
            args[0] == "check" || args[args.len() - 1].ends_with(".plan") && args[1] == "--diff",
            "{args:?}"
        );
        // The same, and the same octets, once more.
        let again = dir.path().join(format!("{at}-again.html"));
        run(args, &["--html", again.to_str().unwrap(), "--json"]).ok();
        assert!(args.contains(&"--profile".to_owned()) || page == fs::read_to_string(again).unwrap(), "{args:?}");
    }
}

#[test]
fn the_tables_of_a_page_are_whole_and_what_is_cut_is_counted() {
    let dir = pages();
    let all = coldroot(&["show", "station/audit", "--all", "--json"]).ok()["size"].as_u64().unwrap();
    let page = |name: &str, more: &[&str]| {
        let file = dir.path().join(name);
        let args = [&["show", "station/audit", "--html", file.to_str().unwrap()], more].concat();
        assert_eq!(coldroot(&args).code, 0);
        fs::read_to_string(file).unwrap()
    };
    let rows = |page: &str| page.matches("data-label=\"entry\"").count() as u64;
    assert_eq!(rows(&page("whole.html", &[])), all);
    let cut = page("cut.html", &["--rows", "3"]);
    assert!(rows(&cut) == 3 && cut.contains(&format!("{} earlier ones are not shown", all - 3)), "{cut}");
}

#[test]
fn a_page_overwrites_nothing_and_a_check_that_fails_has_one() {
    let dir = pages();
    let (old, new, link) = (dir.path().join("old.html"), dir.path().join("new.html"), dir.path().join("link.html"));
    fs::write(&old, "mine").unwrap();
    std::os::unix::fs::symlink("elsewhere", &link).unwrap();
    for there in [&old, &link] {
        for args in every_kind() {
            let refused = run(&args, &["--html", there.to_str().unwrap()]);
            assert!(
                refused.code == 1 && refused.err.contains("is there already\n  next: name a new file"),
                "{refused:?}"
            );
            assert_eq!(refused.out, "");
        }
    }
    assert_eq!((fs::read(&old).unwrap(), fs::read_dir(dir.path()).unwrap().count()), (b"mine".to_vec(), 2));
    let nowhere = coldroot(&["show", "root.pem", "--html", dir.path().join("no/page.html").to_str().unwrap()]);
    assert_eq!((nowhere.code, nowhere.out.as_str()), (1, ""), "{nowhere:?}");

    // Wrong usage leaves no page; a log that is another one leaves a page that says so.
    let new = new.to_str().unwrap();
    coldroot(&["check", "log", "--html", new, "--json"]).fails(2, "is checked against its verifier key");
    assert!(!Path::new(new).exists());
    let altered = dir.path().join("checkpoint");
    let note = fs::read_to_string(demo().join("log/checkpoint")).unwrap();
    let size = note.lines().nth(1).unwrap();
    fs::write(&altered, note.replacen(&format!("\n{size}\n"), "\n1\n", 1)).unwrap();
    let altered = altered.to_str().unwrap();
    let failed = coldroot(&["check", altered, "--verifier-key", &key(), "--html", new]);
    assert!(failed.code == 4 && failed.err.contains("does not verify with the given key"), "{failed:?}");
    let page = fs::read_to_string(new).unwrap();
    assert!(page.contains("class=\"verdict bad\"") && page.contains("does not verify with the given key"), "{page}");
}

#[test]
fn plain_text_has_no_escape_and_no_block_character_and_fits_the_screen() {
    for args in every_kind() {
        for (name, value, more) in [("TERM", "dumb", &[][..]), ("NO_COLOR", "1", &[]), ("TERM", "xterm", &["--plain"])]
        {
            let mut command = Command::new(COLDROOT);
            let said = Run::of(command.args(&args).args(more).current_dir(demo()).env(name, value));
            assert!(said.code == 0 && said.out.bytes().all(|c| c == b'\n' || (b' '..=b'~').contains(&c)), "{said:?}");
            // Statements, files as they stand and commands are there to be copied, so they are whole.
            let copied = |line: &str| {
                line.starts_with("  ")
                    || ["plan ", "bundle ", "keys = ", "#"].iter().any(|begin| line.starts_with(begin))
            };
            let wide: Vec<&str> = said.out.lines().filter(|line| line.len() > 80 && !copied(line)).collect();
            assert!(wide.is_empty(), "{args:?}: {wide:?}");
        }
    }
}

/// What a terminal of so many columns is given.
fn on_screen(columns: u16, args: &[String], colours: bool) -> String {
    let (mut ours, theirs) = pair();
    tcsetwinsize(&theirs, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let mut command = Command::new(COLDROOT);
    command.args(args).current_dir(demo()).env("TERM", "xterm").env_remove("NO_COLOR").stdout(theirs);
    if !colours {
        command.env("NO_COLOR", "1");
    }
    let mut child = command.spawn().unwrap();
    // The last of our own ends of the terminal, so that it ends with the program.
    drop(command);
    let (mut shown, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = ours.read(&mut piece) {
        shown.extend_from_slice(&piece[..read]);
    }
    assert!(child.wait().unwrap().success(), "{args:?}");
    String::from_utf8(shown).unwrap().replace('\r', "")
}

#[test]
fn a_narrow_terminal_has_narrow_tables_and_no_escape_beside_a_qr_code() {
    let mut all = Vec::new();
    for args in every_kind() {
        let shown = on_screen(60, &args, true);
        assert!(shown.bytes().all(|c| c == b'\n' || (b' '..=b'~').contains(&c)), "{args:?}: {shown}");
        let copied = |line: &str| {
            let long_word = line.split_whitespace().any(|word| word.len() > 28);
            let text = ["plan ", "bundle ", "rules ", "window ", "act ", "keys = ", "#"]
                .iter()
                .any(|begin| line.starts_with(begin));
            line.starts_with("  ") || text || long_word
        };
        let wide: Vec<&str> = shown.lines().filter(|line| line.len() > 60 && !copied(line)).collect();
        // A ceremony is shown as it stands.
        if !args.contains(&"station/ceremony.toml".to_owned()) {
            all.extend(wide.into_iter().map(str::to_owned));
        }
    }
    assert!(all.is_empty(), "{all:#?}");
    let qr = ["show", "log/checkpoint", "--qr"].map(str::to_owned);
    let (colours, none) = (on_screen(60, &qr, true), on_screen(60, &qr, false));
    assert!(colours.contains("\u{1b}[97;40m\u{2588}") && colours.contains("\u{1b}[0m\n"), "{colours}");
    assert!(!none.contains('\u{1b}') && none.contains("\n\u{2588}"), "{none}");
}

#[test]
fn a_qr_code_is_drawn_when_it_is_asked_for_and_can_be() {
    let qr = |term: &str, more: &[&str]| {
        let mut command = Command::new(COLDROOT);
        Run::of(command.args(["show", "log/checkpoint", "--qr"]).args(more).current_dir(demo()).env("TERM", term))
    };
    let drawn = qr("xterm", &[]);
    assert!(drawn.code == 0 && drawn.out.contains("\nroot, as a QR code:\n\n\u{2588}"), "{drawn:?}");
    assert!(!drawn.out.contains('\u{1b}') && drawn.out.lines().all(|line| line.chars().count() <= 80), "{drawn:?}");
    for refused in [qr("dumb", &[]), qr("xterm", &["--plain"])] {
        assert!(refused.code == 2 && refused.err.contains("--html FILE, which has it as a picture"), "{refused:?}");
        assert_eq!(refused.out, "");
    }
    qr("xterm", &["--json"]).fails(2, "a QR code is drawn of block characters");
    let none = coldroot(&["show", "crls/root.crl", "--qr"]);
    assert!(none.code == 2 && none.err.contains("there is no digest in this"), "{none:?}");
}
