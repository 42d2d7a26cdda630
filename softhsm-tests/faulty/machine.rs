//! What the station's machine gives: the sandbox and locked pages, seen from outside, and runs on a machine without.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use super::harness::faulty::{count, not_asked, play};
use super::harness::processes::assert_gone;
use super::harness::station::{COLDROOT, HIERARCHY, Run, Station};
use super::{Body, Day};

/// A line of /proc/PID/status or of /proc/PID/limits.
fn line(process: &str, file: &str, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{process}/{file}")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn only_child(process: &str) -> String {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap();
    let [child] = children.split_whitespace().collect::<Vec<_>>()[..] else { panic!("children: `{children}`") };
    child.to_owned()
}

#[test]
fn p08_the_parent_is_in_its_sandbox_while_the_token_signs_and_nobody_dumps_core() {
    // A worker that hangs is a worker at work: all three processes stand still until its deadline.
    let day = Day::of("C_Sign:4=hang");
    let mut run = day.station.command(&day.station.sign_args(&day.plan, &day.approvals));
    let mut sign = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while day.count("C_Sign") < 4 {
        assert!(sign.try_wait().unwrap().is_none(), "it ended before the token hung");
        std::thread::sleep(Duration::from_millis(5));
    }
    let parent = sign.id().to_string();
    let gate = only_child(&parent);
    let worker = only_child(&gate);
    let filters = |process: &str| line(process, "status", "Seccomp_filters:").parse::<u32>().unwrap();
    let (status, limits) = (["NoNewPrivs:", "Seccomp:"], "Max core file size");
    assert_eq!(status.map(|name| line(&parent, "status", name)), ["1", "2"]);
    // A container has filters of its own.
    assert_eq!([&parent, &gate, &worker].map(|p| filters(p) - filters("self")), [1, 0, 0]);
    for process in [&parent, &worker, &gate] {
        assert_eq!(line(process, "limits", limits), "0 0 bytes");
    }
    // This test may lock pages (CAP_IPC_LOCK), or it may not; the gate under it neither.
    let capable = u64::from_str_radix(&line("self", "status", "CapEff:"), 16).unwrap() >> 14 & 1 == 1;
    let locked = |process: &str| line(process, "status", "VmLck:") != "0 kB";
    assert!(!capable || (locked(&gate) && locked(&worker)));
    // The worker goes first: a gate that waits for it hears of nothing else.
    for process in [&worker, &gate, &parent] {
        let id = rustix::process::Pid::from_raw(process.parse().unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    }
    sign.wait().unwrap();
    assert_gone(&day.station.dir());
    day.mended();
}

/// A run on a kernel that answers ENOSYS to some system calls, as one does that is older or configured otherwise.
fn without(station: &Station, calls: &[i64], args: &[&str]) -> Run {
    let calls: Vec<String> = calls.iter().map(i64::to_string).collect();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "machine::poor", "--nocapture"]).current_dir(station.dir());
    command.env("POOR", calls.join(",")).env("POOR_ARGS", [&["--json", "--plain"], args].concat().join("\n"));
    let mut run = Run::of(&mut command);
    // The test program says that it begins; then it has become another one.
    run.out = run.out.split_once('{').map(|(_, json)| format!("{{{json}")).unwrap_or_default();
    run
}

#[test]
#[ignore = "run by without() in a process of its own"]
fn poor() {
    let (Ok(calls), Ok(args)) = (std::env::var("POOR"), std::env::var("POOR_ARGS")) else { return };
    let rules = calls.split(',').map(|call| (call.parse().unwrap(), Vec::new())).collect();
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let filter: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, missing, arch).unwrap().try_into().unwrap();
    seccompiler::apply_filter(&filter).unwrap();
    panic!("{}", Command::new(COLDROOT).args(args.lines()).exec());
}

/// A station whose hierarchy has this line in its `[station]`.
fn station_with(line: &str) -> Station {
    let station = Station::bare_of(
        super::harness::faulty::hierarchy("").replace("[audit]", &format!("[station]\n{line}\n\n[audit]")),
    );
    station.init().ok();
    station
}

const MISSING: [(i64, &str); 2] = [
    (libc::SYS_landlock_create_ruleset, "the kernel has no Landlock"),
    (libc::SYS_seccomp, "the kernel takes no seccomp filter"),
];

#[test]
fn p08_where_a_sandbox_is_required_and_missing_nothing_is_planned_or_signed() {
    let station = station_with("sandbox = \"required\"");
    fs::write(station.path("ceremony.toml"), super::harness::station::CEREMONY).unwrap();
    for (call, said) in MISSING {
        let before = station.state();
        without(&station, &[call], &["plan", "--ceremony", "ceremony.toml"]).fails(1, said);
        assert_eq!(station.state(), before);
    }
    let plan = station.planned_ceremony();
    let approvals = station.approve(&plan);
    for (call, said) in MISSING {
        play(&station, "");
        let before = station.state();
        without(&station, &[call], &station.sign_args(&plan, &approvals)).fails(1, said);
        assert_eq!(station.state(), before);
        not_asked(&station);
    }
    station.sign(&plan, &approvals).ok();
}

#[test]
fn a_rehearsal_without_a_sandbox_says_so_once_and_goes_on() {
    let day = Day::of("");
    let args = day.station.sign_args(&day.plan, &day.approvals);
    let run = without(&day.station, &[libc::SYS_landlock_create_ruleset], &args);
    assert_eq!(run.err.matches("no sandbox: the kernel has no Landlock").count(), 1, "{run:?}");
    run.ok();
    day.ended();
}

#[test]
fn p08_where_locked_pages_are_required_and_missing_no_pin_is_asked_for() {
    let station = station_with("locked-pages = \"required\"");
    let plan = station.planned_ceremony();
    let approvals = station.approve(&plan);
    let before = station.bodies().len();
    play(&station, "");
    let args = station.sign_args(&plan, &approvals);
    without(&station, &[libc::SYS_mlockall], &args).fails(1, "cannot be kept out of the swap");
    assert_eq!(count(&station, "C_Login"), 0);
    let [Body::PinTry { .. }, Body::Failure { .. }] = &station.bodies()[before..] else { panic!() };
    station.sign(&plan, &approvals).ok();

    // A rehearsal goes on, and warns where the PIN does not lie in a file anyway.
    let relaxed = Station::bare_of(HIERARCHY.into());
    let init = relaxed.init_args();
    let quiet = without(&relaxed, &[libc::SYS_mlockall], &init);
    assert!(!quiet.err.contains("swap"), "{quiet:?}");
    quiet.ok();
    assert!(Path::new(&relaxed.path("audit/checkpoint")).exists());
}
