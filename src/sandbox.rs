//! The sandbox of the parent, the process that parses what strangers wrote: once it has started its gate, it drops what
//! it does not need. It then writes below a few directories, reads a few more, starts no program, opens no connection,
//! and neither dumps core nor can be traced.
//!
//! Landlock rules the files; seccomp denies the calls that Landlock knows nothing of. The list is one of denials, since a
//! list of permissions would break with each new C library; what it must not miss are ways out of Landlock. Gate and
//! workers are started before, so they are outside.

use std::collections::BTreeMap;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, RestrictSelfAttr,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// The oldest Landlock that is a sandbox for us: Linux 5.19, which rules renames between directories. What is newer
/// (truncation, network, signals, devices) is taken where the kernel has it.
const LEAST: ABI = ABI::V2;
const NEWEST: ABI = ABI::V6;

/// Reading, and the making and changing of plain files and directories: nothing executable, no devices, no links.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
});
const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the kernel has no Landlock, or an older one than Linux 5.19: {0}")]
    Landlock(String),
    #[error("the kernel takes no seccomp filter: {0}")]
    Seccomp(String),
    #[error("core dumps cannot be switched off: {0}")]
    Dumps(std::io::Error),
    #[error("the directory {0} cannot be opened for the sandbox: {1}")]
    Directory(String, String),
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Error::Directory(..) => "see to the station's directories",
            _ => {
                "run it on Linux 5.19 or later with `landlock` among the boot option `lsm=` and outside of containers that \
                 forbid it; or say in the hierarchy, before `init`: [station] sandbox = \"if-available\""
            }
        };
        Some(text.into())
    }
}

/// Puts this process inside; there is no way back. `write`: below these directories files come and go; they must be
/// there. `read`: these are read too; one that is missing is nobody's permission. Threads that are made afterwards
/// are inside too, so it is called before there are any.
pub fn enter(read: &[&Path], write: &[&Path]) -> Result<(), Error> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| Error::Dumps(e.into()))?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(|e| Error::Dumps(e.into()))?;
    let rules = rules(read, write)?;
    let filter = filter(DENIED.iter())?;
    rule_files(rules)?;
    // Sets PR_SET_NO_NEW_PRIVS as well, as Landlock has done before.
    seccompiler::apply_filter_all_threads(&filter).map_err(|e| Error::Seccomp(e.to_string()))
}

/// Puts this process inside for a program of others that is to take its place: it reads and runs what lies below `read`,
/// which may be files too, writes below `write`, and has no network, no other session and no way to end other processes.
pub fn enter_program(read: &[&Path], write: &Path) -> Result<(), Error> {
    let mut rules = Rules::new();
    for path in read {
        let Ok(open) = PathFd::new(path) else { continue };
        let allowed = if path.is_dir() { READ | AccessFs::Execute } else { AccessFs::ReadFile | AccessFs::Execute };
        rules.push(PathBeneath::new(open, allowed));
    }
    for device in ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"] {
        let Ok(open) = PathFd::new(device) else { continue };
        rules.push(PathBeneath::new(open, AccessFs::ReadFile | AccessFs::WriteFile));
    }
    let open = PathFd::new(write).map_err(|e| Error::Directory(write.display().to_string(), e.to_string()))?;
    rules.push(PathBeneath::new(open, WRITE));
    let filter = filter(DENIED.iter().filter(|call| **call != libc::SYS_execve).chain(DENIED_TO_PROGRAMS))?;
    rule_files(rules)?;
    seccompiler::apply_filter_all_threads(&filter).map_err(|e| Error::Seccomp(e.to_string()))
}

type Rules = Vec<PathBeneath<PathFd>>;

fn rules(read: &[&Path], write: &[&Path]) -> Result<Rules, Error> {
    let mut rules: Rules =
        read.iter().filter_map(|path| Some(PathBeneath::new(PathFd::new(path).ok()?, READ))).collect();
    for path in write {
        let open = PathFd::new(path).map_err(|e| Error::Directory(path.display().to_string(), e.to_string()))?;
        rules.push(PathBeneath::new(open, WRITE));
    }
    Ok(rules)
}

fn rule_files(rules: Rules) -> Result<(), Error> {
    let restricted = || -> Result<RulesetStatus, RulesetError> {
        let status = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(LEAST))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?
            .add_rules(rules.into_iter().map(Ok::<_, RulesetError>))?
            .all_threads(true)?
            .restrict_self()?;
        Ok(status.ruleset)
    };
    match restricted() {
        Ok(RulesetStatus::NotEnforced) => Err(Error::Landlock("it enforces nothing".into())),
        Ok(_) => Ok(()),
        Err(e) => Err(Error::Landlock(e.to_string())),
    }
}

/// System calls that answer EPERM from now on.
const DENIED: &[libc::c_long] = &[
    // other programs, and their memory
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    // connections beyond the one to the gate, which is open
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // another view of the file system
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // ways around the filter, and large surfaces of the kernel
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // the machine itself
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_acct,
    libc::SYS_syslog,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// And to programs of others: leaving the process group by which they are ended, and ending what is not theirs.
const DENIED_TO_PROGRAMS: &[libc::c_long] = &[
    libc::SYS_setsid,
    libc::SYS_setpgid,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_send_signal,
];

/// Typing into one's own terminal: a shell that reads it afterwards runs outside.
const DENIED_IOCTLS: [libc::c_ulong; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// Calls of the x32 interface have these numbers with this bit, under the same architecture mark.
#[cfg(target_arch = "x86_64")]
const X32: libc::c_long = 0x4000_0000;

fn filter<'a>(denied: impl Iterator<Item = &'a libc::c_long>) -> Result<BpfProgram, Error> {
    let refused = |e: seccompiler::BackendError| Error::Seccomp(e.to_string());
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = denied.map(|call| (*call, Vec::new())).collect();
    let typed = |request| {
        let number = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, request)?;
        SeccompRule::new(vec![number])
    };
    let typed: Result<Vec<SeccompRule>, _> = DENIED_IOCTLS.into_iter().map(typed).collect();
    rules.insert(libc::SYS_ioctl, typed.map_err(refused)?);
    #[cfg(target_arch = "x86_64")]
    for (call, conditions) in rules.clone() {
        rules.insert(call | X32, conditions);
    }
    let eperm = SeccompAction::Errno(rustix::io::Errno::PERM.raw_os_error().unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(refused)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, eperm, arch).map_err(refused)?;
    filter.try_into().map_err(refused)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::net::TcpListener;
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use super::*;

    /// A sandbox has no way out, so it is tried in a process of its own.
    #[test]
    fn p08_inside_there_are_no_programs_no_connections_and_no_other_files() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["read", "write", "else"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("old"), "old").unwrap();
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "sandbox::tests::inside", "--nocapture"])
            .env("SANDBOX", dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("was inside"), "{text}");
        let left = |name: &str| fs::read_dir(dir.path().join(name)).unwrap().count();
        assert_eq!((left("read"), left("write"), left("else")), (1, 2, 1));
    }

    #[test]
    #[ignore = "run by the test above in a process of its own"]
    fn inside() {
        let Some(dir) = std::env::var_os("SANDBOX") else { return };
        let dir = Path::new(&dir);
        let [read, write, other] = ["read", "write", "else"].map(|name| dir.join(name));
        let missing = dir.join("missing");
        enter(&[&read, &missing], &[&write]).unwrap();

        let denied = |result: std::io::Result<()>| {
            // EXDEV is what Landlock answers to a link or a rename between directories of other rights.
            let kind = result.unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::PermissionDenied | ErrorKind::CrossesDevices), "{kind}");
        };
        // Files: as told, and no others.
        assert_eq!(fs::read_to_string(read.join("old")).unwrap(), "old");
        fs::write(write.join("new"), "new").unwrap();
        fs::rename(write.join("new"), write.join("newer")).unwrap();
        File::open(&write).unwrap().sync_all().unwrap();
        denied(fs::write(read.join("new"), "new"));
        denied(fs::write(read.join("old"), "new"));
        denied(fs::remove_file(read.join("old")));
        denied(fs::rename(write.join("newer"), other.join("newer")));
        denied(File::open(other.join("old")).map(drop));
        denied(fs::read_dir(&other).map(drop));
        denied(File::open("/etc/passwd").map(drop));
        denied(std::os::unix::fs::symlink("/etc/passwd", write.join("link")));
        denied(fs::hard_link(read.join("old"), write.join("hard")));
        // Programs and connections.
        denied(Command::new("/bin/true").status().map(drop));
        denied(TcpListener::bind("127.0.0.1:0").map(drop));
        denied(UnixStream::connect(write.join("socket")).map(drop));
        denied(UnixStream::pair().map(drop));
        // A thread that is made inside is inside.
        let elsewhere = other.join("old");
        std::thread::spawn(move || File::open(elsewhere).map(drop)).join().unwrap().unwrap_err();
        let status = fs::read_to_string("/proc/self/status");
        assert!(status.is_err(), "/proc is no place of ours");
        assert_eq!(rustix::process::getrlimit(Resource::Core).maximum, Some(0));
        let dumpable = rustix::process::dumpable_behavior().unwrap();
        assert!(matches!(dumpable, DumpableBehavior::NotDumpable));
        println!("was inside");
    }
}
