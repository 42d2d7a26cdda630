//! The QR codes of digests, as another program reads them: out of the page, and out of what a terminal shows.

use std::process::Command;

use super::harness::repository;
use super::harness::station::{COLDROOT, Run};
use super::{demo, demo_key};

/// Draws each symbol, four pixels a module, and reads it: the path of an SVG, or half blocks of which the lit ones are light.
const ZXING: &str = r#"
import re, sys, zxingcpp
def read(dark):
    pixels = [[0 if cell else 255 for cell in row for _ in range(4)] for row in dark for _ in range(4)]
    image = memoryview(bytes(sum(pixels, []))).cast("B", [len(pixels), len(pixels[0])])
    print(*[found.text for found in zxingcpp.read_barcodes(image)])
text = open(sys.argv[1]).read()
for side, path in re.findall(r'viewBox="0 0 (\d+) \1".*?<path d="([^"]*)"', text):
    dark = [[False] * int(side) for _ in range(int(side))]
    for x, y, run in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", path):
        for column in range(int(x), int(x) + int(run)):
            dark[int(y)][column] = True
    read(dark)
for drawn in re.findall("(?:[\u2580\u2584\u2588 ]+\n){10,}", text):
    lines = drawn.splitlines()
    read([[cell not in half for cell in line] for line in lines for half in ("\u2588\u2580", "\u2588\u2584")])
"#;

fn codes(file: &str) -> Vec<String> {
    let mut python = Command::new("python3");
    python.args(["-B", "-c", ZXING, file]).current_dir(demo()).env("PYTHONPATH", repository().join("target/judges"));
    let run = Run::of(&mut python);
    assert_eq!(run.code, 0, "softhsm-tests/run-all installs zxing-cpp: {run:?}");
    run.out.lines().map(str::to_owned).collect()
}

fn coldroot(args: &[&str]) -> Run {
    Run::of(Command::new(COLDROOT).args(args).current_dir(demo()).env("TERM", "xterm"))
}

#[test]
fn a_reader_of_qr_codes_finds_the_digests_in_pages_and_on_terminals() {
    let key = demo_key();
    let plan = std::fs::read_dir(demo().join("demo/station/out")).unwrap().map(|entry| entry.unwrap().path());
    let plan = plan.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "plan")).unwrap();
    let shown: [(&[&str], &str); 4] = [
        (&["show", plan.to_str().unwrap()], "digest"),
        (&["show", "demo/station/hierarchy.toml"], "digest"),
        (&["show", "demo/log/checkpoint"], "root"),
        (&["check", "demo/log", "--verifier-key", &key], "root"),
    ];
    for (at, (args, digest)) in shown.into_iter().enumerate() {
        let digest = coldroot(&[args, &["--json"]].concat()).ok()[digest].as_str().unwrap().to_ascii_uppercase();
        let (page, screen) = (format!("qr-{at}.html"), format!("qr-{at}.txt"));
        let run = coldroot(&[args, &["--html", &page]].concat());
        assert_eq!(run.code, 0, "{run:?}");
        assert_eq!(codes(&page), [format!("SHA256:{digest}")], "{args:?}");
        let run = coldroot(&[args, &["--qr"]].concat());
        let drawn: Vec<&str> = run.out.lines().filter(|line| !line.is_ascii()).collect();
        assert!(run.code == 0 && drawn.iter().all(|line| line.chars().count() <= 80), "{run:?}");
        std::fs::write(demo().join(&screen), run.out).unwrap();
        assert_eq!(codes(&screen), [format!("SHA256:{digest}")], "{args:?}");
    }
}
