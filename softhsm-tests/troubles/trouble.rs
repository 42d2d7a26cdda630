//! What goes wrong in one run.

use std::process::Stdio;
use std::time::Duration;

use super::small_disk::SmallDisk;
use crate::harness::draw::Draw;
use crate::harness::faulty::play;
use crate::harness::processes::in_directory;
use crate::harness::station::{Run, Station};

/// Who is killed, by the first argument of its command line; the parent has none of these.
const VICTIMS: [&str; 3] = ["parent", " gate", " worker"];
const FUNCTIONS: [&str; 8] =
    ["*", "*", "signature", "signature", "C_SignInit", "C_FindObjects", "C_CreateObject", "C_DestroyObject"];
const DEEDS: [&str; 16] = [
    "0x5",
    "0x6",
    "0x30",
    "0x31",
    "0x32",
    "0xb3",
    "0xe0",
    "0x101",
    "crash",
    "exit:3",
    "kill:worker",
    "kill:gate",
    "kill:parent",
    "kill:all",
    "lose-session",
    "logout",
];
const SIGNATURES: [&str; 4] = ["flip:77", "garble", "zero", "hang"];

#[derive(Debug)]
pub enum Trouble {
    Nothing,
    /// A script for the faulty module.
    Module(String),
    /// SIGKILL after so many milliseconds.
    Kill(&'static str, u64),
    /// So many pages are free.
    Full(usize),
}

impl Trouble {
    /// The same number of draws whatever comes of them.
    pub fn draw(draw: &mut Draw, verb: &str) -> Trouble {
        let (kind, rules) = (draw.below(8), 1 + draw.below(3));
        let script: Vec<String> = (0..3).map(|_| rule(draw)).collect();
        let (victim, moment, pages) = (VICTIMS[draw.below(3)], draw.below(700), draw.below(120));
        match (kind, verb) {
            (0, _) => Trouble::Nothing,
            (1 | 2, "sign") => Trouble::Module(script[..rules].join("\n")),
            (1..=4, _) => Trouble::Kill(victim, moment as u64),
            _ => Trouble::Full(pages),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Trouble::Nothing => "no trouble",
            Trouble::Module(_) => "faulty module",
            Trouble::Kill("parent", _) => "parent killed",
            Trouble::Kill(" gate", _) => "gate killed",
            Trouble::Kill(..) => "worker killed",
            Trouble::Full(_) => "full disk",
        }
    }

    pub fn run(&self, station: &Station, disk: &SmallDisk, args: &[&str]) -> Run {
        match self {
            Trouble::Nothing => {}
            Trouble::Module(script) => play(station, script),
            Trouble::Kill(victim, moment) => return killed(station, args, victim, *moment),
            Trouble::Full(pages) => disk.fill(*pages),
        }
        station.run(args)
    }
}

/// One to three of these are a script. A PIN that the token refuses is not among them: it is never tried twice by itself.
fn rule(draw: &mut Draw) -> String {
    let (when, function) = (draw.of(&["once ", "once ", "later "]), draw.of(&FUNCTIONS));
    let most = match function {
        "*" => 250,
        "signature" | "C_SignInit" => 20,
        "C_FindObjects" => 12,
        _ => 6,
    };
    let (call, deed, signature, after) = (1 + draw.below(most), draw.of(&DEEDS), draw.of(&SIGNATURES), draw.below(3));
    let fault = match (function, after) {
        ("signature", 0) => signature.to_owned(),
        (_, 1) => format!("after:{deed}"),
        _ => deed.to_owned(),
    };
    format!("{when}{function}:{call}={fault}")
}

/// A run of which one process is killed. When it is not there yet, or any more, nothing is.
fn killed(station: &Station, args: &[&str], victim: &str, moment: u64) -> Run {
    let mut command = station.command(args);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(moment));
    let process = match victim {
        "parent" => Some(child.id()),
        role => {
            in_directory(&station.dir()).into_iter().find(|(_, line)| line.trim_end().ends_with(role)).map(|(id, _)| id)
        }
    };
    if let Some(id) = process {
        let id = rustix::process::Pid::from_raw(id.try_into().unwrap()).unwrap();
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
    }
    let output = child.wait_with_output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}
