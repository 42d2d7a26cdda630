//! What the kernel says of the machine: `/sys` and `/proc`, read below a root so that a test can bring its own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::text::{escape, path, utc};

use super::Finding;

/// IFF_UP of `<linux/if.h>`.
const UP: u64 = 1;
/// Seconds that the clock on the board may differ from the system's.
const DRIFT: u64 = 60;
/// The longest file of `/proc` or `/sys` that is read.
const LONGEST: usize = 1 << 16;

/// A machine, by its `/sys` and `/proc`.
pub struct Machine {
    root: PathBuf,
}

impl Machine {
    pub fn at(root: impl Into<PathBuf>) -> Machine {
        Machine { root: root.into() }
    }

    /// Everything that a machine for ceremonies must not have.
    pub fn findings(&self, clock: i64) -> Vec<Finding> {
        vec![self.network(), self.wireless(), self.swap(), self.board_clock(clock)]
    }

    fn read(&self, file: &str) -> Option<String> {
        let bytes = fs::read(self.root.join(file)).ok().filter(|bytes| bytes.len() <= LONGEST)?;
        Some(String::from_utf8_lossy(&bytes).trim().to_string())
    }

    /// The names in a directory, sorted; none where it is missing.
    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(directory)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn network(&self) -> Finding {
        let what = "network";
        if !self.root.join("sys/class/net").is_dir() {
            return Finding::look(what, "the kernel does not say which interfaces there are", "mount /sys");
        }
        let flags = |name: &str| {
            let text = self.read(&format!("sys/class/net/{name}/flags"))?;
            u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
        };
        // A file such as `bonding_masters` is no interface: it has no flags.
        let all: Vec<(String, u64)> =
            self.names("sys/class/net").into_iter().filter_map(|n| Some((n.clone(), flags(&n)?))).collect();
        let others: Vec<&(String, u64)> = all.iter().filter(|(name, _)| name != "lo").collect();
        let up: Vec<String> = others.iter().filter(|(_, f)| f & UP != 0).map(|(name, _)| escape(name)).collect();
        match (up.first(), others.len()) {
            (Some(first), _) => {
                let found = format!("{} up: there is no air gap", list(&up, "is", "are"));
                Finding::bad(what, found, format!("pull the cable; ip link set {first} down"))
            }
            (None, 0) => Finding::good(what, "no interface but the loopback"),
            (None, n) => Finding::good(what, format!("no interface is up, of {n}")),
        }
    }

    fn wireless(&self) -> Finding {
        let what = "wireless";
        let mut found = self.names("sys/class/ieee80211");
        found.extend(self.names("sys/class/bluetooth"));
        // 1: the transmitter is switched off (Documentation/ABI/stable/sysfs-class-rfkill).
        let radios = self.names("sys/class/rfkill");
        let off = |radio: &String| {
            ["soft", "hard"]
                .iter()
                .any(|switch| self.read(&format!("sys/class/rfkill/{radio}/{switch}")).as_deref() == Some("1"))
        };
        let names: Vec<String> = found.iter().map(|name| escape(name)).collect();
        match (found.is_empty(), !radios.is_empty() && radios.iter().all(off)) {
            (true, _) => Finding::good(what, "no radio of a network or of Bluetooth"),
            (false, true) => Finding::look(
                what,
                format!("{} there, switched off", list(&names, "is", "are")),
                "take the radio out of the machine",
            ),
            (false, false) => {
                let found = format!("{} there and on", list(&names, "is", "are"));
                Finding::bad(what, found, "take the radio out of the machine; until then: rfkill block all")
            }
        }
    }

    fn swap(&self) -> Finding {
        let areas: Vec<String> = self
            .read("proc/swaps")
            .iter()
            .flat_map(|text| text.lines().skip(1))
            .filter_map(|line| Some(escape(line.split_whitespace().next()?)))
            .collect();
        match areas.is_empty() {
            true => Finding::good("swap", "none"),
            false => Finding::bad(
                "swap",
                format!("{} in use: a PIN could reach a disk", list(&areas, "is", "are")),
                "swapoff -a",
            ),
        }
    }

    /// The clock on the board, which runs while the machine is off: whether it says the same.
    fn board_clock(&self, clock: i64) -> Finding {
        let what = "board clock";
        let Some(board) = self.read("sys/class/rtc/rtc0/since_epoch").and_then(|text| text.parse::<i64>().ok()) else {
            return Finding::look(
                what,
                "there is none, or it cannot be read",
                "set the clock by another one at each start",
            );
        };
        match board.abs_diff(clock) {
            difference if difference <= DRIFT => Finding::good(what, format!("{}, as the system's", utc(board))),
            _ => {
                let found = format!("{}, the system's {}", utc(board), utc(clock));
                Finding::look(what, found, "compare both with another clock, then: hwclock --systohc")
            }
        }
    }
}

/// Whether others than its owner may write something.
pub fn writable(file: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(file).ok()?.permissions().mode();
    let found = format!("others may write {}", path(file));
    (mode & 0o022 != 0).then(|| Finding::bad("permissions", found, format!("chmod go-w {}", crate::text::shell(file))))
}

fn list(names: &[String], one: &str, many: &str) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    /// A machine with these files.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let machine = Machine::at(dir.path());
        (dir, machine)
    }

    const QUIET: [(&str, &str); 4] = [
        ("sys/class/net/lo/flags", "0x9\n"),
        ("sys/class/net/eth0/flags", "0x1002\n"),
        ("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"),
        ("sys/class/rtc/rtc0/since_epoch", "1000030\n"),
    ];

    #[test]
    fn a_machine_without_network_radio_and_swap_is_good() {
        let (_dir, machine) = machine(&QUIET);
        let findings = machine.findings(1_000_000);
        assert!(findings.iter().all(|f| f.state == State::Good), "{findings:?}");
        assert_eq!(findings[0].found, "no interface is up, of 1");
    }

    #[test]
    fn what_breaks_the_air_gap_is_named() {
        type Case<'a> = (&'a [(&'a str, &'a str)], usize, State, &'a str);
        let cases: [Case<'_>; 6] = [
            (&[("sys/class/net/eth0/flags", "0x1003\n")], 0, State::Bad, "eth0 is up"),
            (
                &[("sys/class/net/wlan0/flags", "0x1003"), ("sys/class/net/eth0/flags", "0x1043")],
                0,
                State::Bad,
                "eth0, wlan0 are up",
            ),
            (&[("sys/class/ieee80211/phy0/index", "0")], 1, State::Bad, "phy0 is there and on"),
            (
                &[
                    ("sys/class/bluetooth/hci0/type", ""),
                    ("sys/class/rfkill/rfkill0/soft", "1"),
                    ("sys/class/rfkill/rfkill0/hard", "0"),
                ],
                1,
                State::Look,
                "hci0 is there, switched off",
            ),
            (
                &[("proc/swaps", "Filename\n/dev/sda3  partition 1 0 -2\n/swap\u{1b}[2J file 1 0 -3\n")],
                2,
                State::Bad,
                "/dev/sda3, /swap",
            ),
            (
                &[("sys/class/rtc/rtc0/since_epoch", "940000")],
                3,
                State::Look,
                "1970-01-11T21:06:40Z, the system's 1970-01-12T13:46:40Z",
            ),
        ];
        for (more, row, state, said) in cases {
            let (_dir, machine) = machine(&[&QUIET, more].concat());
            let finding = &machine.findings(1_000_000)[row];
            assert_eq!(finding.state, state, "{finding:?}");
            assert!(finding.found.contains(said) && !finding.found.contains('\u{1b}'), "{finding:?}");
            assert!(!finding.next.is_empty());
        }
    }

    #[test]
    fn a_machine_that_says_nothing_is_not_called_good() {
        let (_dir, machine) = machine(&[]);
        let findings = machine.findings(0);
        assert_eq!((findings[0].state, findings[3].state), (State::Look, State::Look));
    }

    #[test]
    fn a_file_that_others_may_write_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, _machine) = machine(&[("hierarchy.toml", "")]);
        let file = dir.path().join("hierarchy.toml");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(writable(&file).is_none());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
        assert_eq!(writable(&file).map(|f| f.state), Some(State::Bad));
    }
}
