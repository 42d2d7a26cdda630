//! A run under strace, as operations on a [`Disk`].
//!
//! All processes are followed. A call that changes files and that is not known here ends the recording with a panic: what is not
//! modelled may not be overlooked.

use std::collections::HashMap;
use std::fs;
use std::process::Stdio;

use super::disk::{Area, Change, Disk, Inode, Op};
use crate::harness::station::{COLDROOT, Station};

/// Calls that are understood.
const KNOWN: &str = "open,openat,openat2,creat,read,pread64,write,pwrite64,writev,lseek,close,ftruncate,fsync,fdatasync,syncfs,sync,\
    rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,dup,dup2,dup3,fcntl,copy_file_range,mmap,execve";
/// Calls that change files or the meaning of paths, and that no run may make on the station without this model learning them.
const UNKNOWN: &str = "truncate,pwritev,pwritev2,link,linkat,symlink,symlinkat,fallocate,sendfile,splice,tee,\
    vmsplice,io_uring_setup,io_submit,chdir,fchdir,mknod,mknodat,sync_file_range,msync,chroot,preadv,preadv2,readv";
/// Longer than any one write.
const STRINGS: &str = "4194304";

/// An open file of a traced thread.
#[derive(Clone)]
struct Open {
    node: Inode,
    at: usize,
}

pub struct Recorder<'a> {
    station: &'a Station,
    /// The directory that the disk begins at, as strace writes it.
    root: String,
    open: HashMap<(u32, u32), Open>,
}

impl<'a> Recorder<'a> {
    pub fn new(station: &'a Station) -> Recorder<'a> {
        let root = fs::canonicalize(station.root()).unwrap().to_str().unwrap().to_owned();
        Recorder { station, root, open: HashMap::new() }
    }

    /// Runs a command, which must succeed, and adds what it did to the disk. Returns its standard output.
    pub fn record(&mut self, disk: &mut Disk, command: usize, args: &[&str]) -> String {
        let log = self.station.root().with_extension("strace");
        let trace = format!(
            "trace={}",
            [KNOWN, UNKNOWN].join(",").split(',').map(|c| format!("?{c}")).collect::<Vec<_>>().join(",")
        );
        let before = [
            "-f",
            "-y",
            "-xx",
            "-qq",
            "-s",
            STRINGS,
            "-o",
            log.to_str().unwrap(),
            "-e",
            "signal=none",
            "-e",
            &trace,
            COLDROOT,
        ];
        let output = self.station.command_of("strace", &before, args).stdin(Stdio::null()).output();
        let output = output.expect("strace is needed: apt-get install strace (./softhsm-tests/run-all installs it)");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        self.open.clear();
        let text = fs::read_to_string(&log).unwrap();
        fs::remove_file(log).unwrap();
        let mut unfinished: HashMap<u32, String> = HashMap::new();
        for line in text.lines() {
            let (thread, rest) = line.split_once(' ').unwrap();
            let (thread, rest) = (thread.parse().unwrap(), rest.trim_start());
            if let Some(begun) = rest.strip_suffix(" <unfinished ...>").or(rest.strip_suffix("<unfinished ...>")) {
                unfinished.insert(thread, begun.to_owned());
            } else if let Some(resumed) = rest.strip_prefix("<... ") {
                let (_, tail) = resumed.split_once(" resumed>").unwrap();
                let whole = unfinished.remove(&thread).unwrap() + tail;
                self.call(disk, command, thread, &whole);
            } else {
                self.call(disk, command, thread, rest);
            }
        }
        String::from_utf8(output.stdout).unwrap()
    }

    fn call(&mut self, disk: &mut Disk, command: usize, thread: u32, line: &str) {
        // The end of a process, and calls that never returned.
        let Some((call, result)) = line.rsplit_once(" = ") else { return };
        let call = call.trim_end();
        let (name, arguments) = call
            .strip_suffix(')')
            .and_then(|c| c.split_once('('))
            .unwrap_or_else(|| panic!("not a call: {}", &line[..line.len().min(200)]));
        if result.starts_with('-') || result.starts_with('?') {
            return;
        }
        let arguments: Vec<&str> = arguments.split(", ").collect();
        let push = |disk: &mut Disk, op: Op, on: &str, more: String| {
            disk.push(command, op, format!("{name} {}{more}", on.strip_prefix("station/").unwrap_or(on)));
        };
        match name {
            "open" | "creat" | "openat" | "openat2" => self.opened(disk, command, thread, name, &arguments, result),
            "close" => drop(self.open.remove(&(thread, descriptor(arguments[0])))),
            "dup" | "dup2" | "dup3" | "fcntl" => {
                let copies = name != "fcntl" || arguments[1].starts_with("F_DUPFD");
                // The copy would share its position: no file of the station is written through both.
                if let Some(open) = self.open.get(&(thread, descriptor(arguments[0]))).filter(|_| copies).cloned() {
                    self.open.insert((thread, descriptor(result)), open);
                }
            }
            "read" | "lseek" => {
                let moved = number(result);
                if let Some(open) = self.open.get_mut(&(thread, descriptor(arguments[0]))) {
                    open.at = if name == "read" { open.at + moved } else { moved };
                }
            }
            "pread64" => {}
            "write" | "writev" | "pwrite64" => {
                let Some(path) = self.below(arguments[0]) else { return };
                let open = self.open.get_mut(&(thread, descriptor(arguments[0])));
                let Some(open) = open else { return self.unnamed(&path, line) };
                let octets = match name {
                    "writev" => arguments
                        .iter()
                        .filter_map(|a| a.trim_start_matches('[').strip_prefix("{iov_base="))
                        .flat_map(string)
                        .collect(),
                    _ => string(arguments[1]),
                };
                assert!(octets.len() >= number(result), "{path}: the string is cut");
                let octets = octets[..number(result)].to_vec();
                let at = if name == "pwrite64" { number(arguments[3]) } else { open.at };
                if name != "pwrite64" {
                    open.at += octets.len();
                }
                let (file, more) = (open.node, format!(" {}+{}", at, octets.len()));
                push(disk, Op::Change(Change::Data { file, at, octets }), &path, more);
            }
            "copy_file_range" => {
                let Some(path) = self.below(arguments[2]) else { return };
                assert!([arguments[1], arguments[3]] == ["NULL", "NULL"], "{path}: copied from a position");
                let key = |n: usize| (thread, descriptor(arguments[n]));
                let (from, to) = (self.open[&key(0)].clone(), self.open[&key(2)].clone());
                let octets = disk.octets(from.node)[from.at..from.at + number(result)].to_vec();
                for n in [0, 2] {
                    self.open.get_mut(&key(n)).unwrap().at += octets.len();
                }
                let (file, at, more) = (to.node, to.at, format!(" {}+{}", to.at, octets.len()));
                push(disk, Op::Change(Change::Data { file, at, octets }), &path, more);
            }
            "ftruncate" => {
                let Some(path) = self.below(arguments[0]) else { return };
                let Some(open) = self.open.get(&(thread, descriptor(arguments[0]))) else {
                    return self.unnamed(&path, line);
                };
                push(
                    disk,
                    Op::Change(Change::Length { file: open.node, to: number(arguments[1]) }),
                    &path,
                    format!(" {}", arguments[1]),
                );
            }
            "fsync" | "fdatasync" => {
                let Some(path) = self.below(arguments[0]) else { return };
                let Some(open) = self.open.get(&(thread, descriptor(arguments[0]))) else {
                    return self.unnamed(&path, line);
                };
                push(disk, Op::Flush(open.node), &path, String::new());
            }
            "sync" | "syncfs" => push(disk, Op::FlushAll, "", String::new()),
            "rename" | "renameat" | "renameat2" => {
                let (from, to) = match name {
                    "rename" => (self.path(None, arguments[0]), self.path(None, arguments[1])),
                    _ => (self.path(Some(arguments[0]), arguments[1]), self.path(Some(arguments[2]), arguments[3])),
                };
                match (from, to) {
                    (Some(from), Some(to)) => renamed(disk, command, name, &from, &to),
                    (None, None) => {}
                    moved => panic!("a file goes in or out: {moved:?}"),
                }
            }
            "unlink" | "rmdir" | "unlinkat" => {
                let path = if name == "unlinkat" {
                    self.path(Some(arguments[0]), arguments[1])
                } else {
                    self.path(None, arguments[0])
                };
                let Some(path) = path else { return };
                let (dir, last) = disk.parent(&path);
                assert!(disk.named(dir, &last).is_some(), "{path} is not there");
                push(disk, Op::Change(Change::Names { dir, names: vec![(last, None)] }), &path, String::new());
            }
            "mkdir" | "mkdirat" => {
                let path = if name == "mkdirat" {
                    self.path(Some(arguments[0]), arguments[1])
                } else {
                    self.path(None, arguments[0])
                };
                let Some(path) = path else { return };
                let (dir, last) = disk.parent(&path);
                let node = disk.node(disk.area(dir), true, Vec::new());
                push(disk, Op::Change(Change::Names { dir, names: vec![(last, Some(node))] }), &path, String::new());
            }
            "mmap" => {
                let written = arguments[2].contains("PROT_WRITE") && arguments[3].contains("MAP_SHARED");
                assert!(
                    !written || self.below(arguments[4]).is_none(),
                    "a file of the station is mapped for writing: {line}"
                );
            }
            "execve" => {}
            // Reading with vectors moves nothing that is written here; the rest is looked at for paths below the root.
            _ => {
                let here = arguments.iter().any(|a| self.below(a).is_some() || self.path(None, a).is_some());
                assert!(
                    !here && name != "io_uring_setup",
                    "a call that the model does not know: {}",
                    &line[..line.len().min(400)]
                );
            }
        }
    }

    fn opened(&mut self, disk: &mut Disk, command: usize, thread: u32, name: &str, arguments: &[&str], result: &str) {
        let (path, flags) = match name {
            "open" => (self.path(None, arguments[0]), arguments[1]),
            "creat" => (self.path(None, arguments[0]), "O_WRONLY|O_CREAT|O_TRUNC"),
            _ => (self.path(Some(arguments[0]), arguments[1]), arguments[2]),
        };
        let descriptor = descriptor(result);
        self.open.remove(&(thread, descriptor));
        let Some(path) = path else { return };
        let node = match disk.find(&path) {
            // A file that never gets a name is lost with its process.
            _ if flags.contains("O_TMPFILE") => disk.node(Area::Unnamed, false, Vec::new()),
            Some(node) => node,
            None => {
                assert!(flags.contains("O_CREAT"), "{path} was opened and is not known");
                let (dir, last) = disk.parent(&path);
                let node = disk.node(disk.area(dir), false, Vec::new());
                let op = Op::Change(Change::Names { dir, names: vec![(last, Some(node))] });
                disk.push(command, op, format!("create {}", path.strip_prefix("station/").unwrap_or(&path)));
                node
            }
        };
        if flags.contains("O_TRUNC") && !disk.is_directory(node) {
            let op = Op::Change(Change::Length { file: node, to: 0 });
            disk.push(command, op, format!("truncate {}", path.strip_prefix("station/").unwrap_or(&path)));
        }
        let writes = flags.contains("O_WRONLY") || flags.contains("O_RDWR");
        assert!(
            !writes || !flags.contains("O_APPEND"),
            "{path} is opened for appending, which the model does not know"
        );
        self.open.insert((thread, descriptor), Open { node, at: 0 });
    }

    /// A change through a descriptor that was opened by nobody here: allowed for files without names only.
    fn unnamed(&self, path: &str, line: &str) {
        assert!(
            path.contains('#') || line.contains("(deleted)"),
            "nobody opened {path}: {}",
            &line[..line.len().min(300)]
        );
    }

    /// The path of a descriptor (`3<\x2f…>`), when it lies below the root.
    fn below(&self, argument: &str) -> Option<String> {
        let (_, path) = argument.split_once('<')?;
        self.relative(&text(path.split('>').next()?))
    }

    /// The path that a call names, when it lies below the root.
    fn path(&self, at: Option<&str>, argument: &str) -> Option<String> {
        let quoted = argument.strip_prefix('"')?;
        let path = text(quoted.split('"').next()?);
        let base = match at.and_then(|at| at.split_once('<')) {
            Some((_, base)) => text(base.split('>').next()?),
            None => format!("{}/station", self.root),
        };
        self.relative(&if path.starts_with('/') { path } else { format!("{base}/{path}") })
    }

    fn relative(&self, path: &str) -> Option<String> {
        let mut parts = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let whole = format!("/{}/", parts.join("/"));
        let inside = whole.strip_prefix(&format!("{}/", self.root))?.trim_end_matches('/');
        // What officers carry about comes from other machines.
        (inside.split('/').next() != Some("carried")).then(|| inside.to_owned())
    }
}

fn renamed(disk: &mut Disk, command: usize, name: &str, from: &str, to: &str) {
    let ((from_dir, old), (to_dir, new)) = (disk.parent(from), disk.parent(to));
    let node = disk.named(from_dir, &old).unwrap_or_else(|| panic!("{from} is not there"));
    let short = |path: &str| path.strip_prefix("station/").unwrap_or(path).to_owned();
    let what = format!("{name} {} {}", short(from), short(to));
    if from_dir == to_dir {
        let names = vec![(old, None), (new, Some(node))];
        disk.push(command, Op::Change(Change::Names { dir: to_dir, names }), what);
    } else {
        let named = Op::Change(Change::Names { dir: to_dir, names: vec![(new, Some(node))] });
        disk.push(command, named, format!("{what} (the new name)"));
        let gone = Op::Change(Change::Names { dir: from_dir, names: vec![(old, None)] });
        disk.push(command, gone, format!("{what} (the old name)"));
    }
    if disk.area(node) == Area::Fat && !disk.is_directory(node) {
        disk.push(command, Op::Change(Change::Entry { file: node }), format!("{name} {}: its new entry", short(to)));
    }
}

fn descriptor(argument: &str) -> u32 {
    let digits = argument.split('<').next().unwrap_or_default();
    digits.trim().parse().unwrap_or(u32::MAX)
}

fn number(argument: &str) -> usize {
    argument.split([' ', '<']).next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no number: {argument}"))
}

/// The octets of `"\x61\x62"`.
fn string(argument: &str) -> Vec<u8> {
    let Some(quoted) = argument.strip_prefix('"') else { panic!("no string: {argument}") };
    let (inside, rest) = quoted.split_once('"').unwrap();
    assert!(!rest.starts_with("..."), "strace has cut a string");
    octets(inside)
}

fn octets(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(4), "not hexadecimal: {hex}");
    let digit = |d: u8| (d as char).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(4).map(|c| digit(c[2]) << 4 | digit(c[3])).collect()
}

fn text(hex: &str) -> String {
    String::from_utf8(octets(hex)).unwrap()
}
