//! The modules: how each gets a token of its own that is thrown away, and what its `[[token]]` says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::harness::SoftHsm;
use super::harness::station::{PIN, Run};

/// Where Debian puts modules, and other distributions do.
const LIBRARIES: [&str; 4] = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    SoftHsm,
    Kryoptic,
    Opencryptoki,
    Tpm2,
    Nss,
    P11Kit,
}

impl Kind {
    pub const ALL: [Kind; 6] = [Kind::SoftHsm, Kind::Kryoptic, Kind::Opencryptoki, Kind::Tpm2, Kind::Nss, Kind::P11Kit];

    pub fn name(self) -> &'static str {
        match self {
            Kind::SoftHsm => "softhsm",
            Kind::Kryoptic => "kryoptic",
            Kind::Opencryptoki => "opencryptoki",
            Kind::Tpm2 => "tpm2",
            Kind::Nss => "nss",
            Kind::P11Kit => "p11-kit",
        }
    }

    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the audit key lives in a SoftHSM beside it: the module has no Ed25519, or no data objects.
    pub fn needs_a_second_token(self) -> bool {
        !matches!(self, Kind::SoftHsm | Kind::Kryoptic)
    }
}

/// A token that is thrown away, and the services it needs.
pub struct Bench {
    /// The lines of its `[[token]]`, but `id` and the PIN files; `@SERIAL@` where `coldroot token init` is to make it.
    pub lines: String,
    pub pin: &'static str,
    // Services end before their directory goes.
    _services: Vec<Service>,
    _dir: tempfile::TempDir,
    _behind: Option<SoftHsm>,
}

/// A program that was started here, and ends with this.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Bench {
    pub fn new(kind: Kind) -> Bench {
        let dir = tempfile::Builder::new().prefix("coldroot-matrix-").tempdir().unwrap();
        match kind {
            Kind::SoftHsm => softhsm(dir),
            Kind::Kryoptic => kryoptic(dir),
            Kind::Opencryptoki => opencryptoki(dir),
            Kind::Tpm2 => tpm2(dir),
            Kind::Nss => nss(dir),
            Kind::P11Kit => p11_kit(dir),
        }
    }
}

fn of(dir: tempfile::TempDir, services: Vec<Service>, lines: String) -> Bench {
    Bench { lines, pin: PIN, _services: services, _dir: dir, _behind: None }
}

fn softhsm(dir: tempfile::TempDir) -> Bench {
    let tokens = dir.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let conf = dir.path().join("softhsm2.conf");
    fs::write(&conf, format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display())).unwrap();
    let module = super::harness::softhsm().display().to_string();
    of(dir, Vec::new(), table(&module, "matrix", "@SERIAL@", &[("SOFTHSM2_CONF", conf.to_str().unwrap())]))
}

fn kryoptic(dir: tempfile::TempDir) -> Bench {
    let module = match std::env::var("COLDROOT_KRYOPTIC") {
        Ok(path) => path,
        Err(_) => {
            let script = super::harness::repository().join("softhsm-tests/build-kryoptic");
            run(Command::new(script)).trim().to_owned()
        }
    };
    let conf = dir.path().join("kryoptic.conf");
    let store = dir.path().join("token.sql");
    let text = format!("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", store.display());
    fs::write(&conf, text).unwrap();
    of(dir, Vec::new(), table(&module, "matrix", "@SERIAL@", &[("KRYOPTIC_CONF", conf.to_str().unwrap())]))
}

/// The soft token. Its directories have fixed names: they are replaced by empty ones, which only a mount namespace of one's
/// own may do (`run-matrix` makes one).
fn opencryptoki(dir: tempfile::TempDir) -> Bench {
    assert!(
        std::env::var_os("COLDROOT_MATRIX_NAMESPACE").is_some(),
        "opencryptoki needs a mount namespace of its own, which softhsm-tests/run-matrix makes where it may"
    );
    let group = |path: &str| run(program("chgrp", &["-R", "pkcs11", path]));
    for (place, inside) in [
        ("/run", &["lock/opencryptoki/swtok"][..]),
        ("/var/lib/opencryptoki", &["swtok/TOK_OBJ"]),
        ("/var/log/opencryptoki", &[]),
        ("/etc/opencryptoki", &[]),
    ] {
        fs::create_dir_all(place).unwrap();
        run(program("mount", &["-t", "tmpfs", "-o", "mode=755", "coldroot", place]));
        for inside in inside {
            fs::create_dir_all(Path::new(place).join(inside)).unwrap();
        }
    }
    for path in ["/run/lock/opencryptoki", "/var/lib/opencryptoki", "/var/log/opencryptoki"] {
        group(path);
        run(program("chmod", &["-R", "770", path]));
    }
    let conf = "version opencryptoki-3.8\nslot 3\n{\nstdll = libpkcs11_sw.so\n}\n";
    fs::write("/etc/opencryptoki/opencryptoki.conf", conf).unwrap();
    let slots = service(Command::new("pkcsslotd").arg("-f"), dir.path());
    until("pkcsslotd", || Path::new("/run/pkcsslotd.socket").exists());
    let init = format!("echo matrix | pkcsconf -I -c 3 -S 87654321 >{}/init 2>&1", dir.path().display());
    run(program("sh", &["-c", &init]));
    // Both PINs that it ships with must be changed before they are of use.
    run(program("pkcsconf", &["-P", "-c", "3", "-S", "87654321", "-n", "11223344"]));
    run(program("pkcsconf", &["-u", "-c", "3", "-S", "11223344", "-n", "11111111"]));
    run(program("pkcsconf", &["-p", "-c", "3", "-U", "11111111", "-n", "user1234"]));
    let module = library("pkcs11/libopencryptoki.so");
    let lines = table(&module, "matrix", "serial = \"123\"\nslot = 3", &[]);
    Bench { pin: "user1234", ..of(dir, vec![slots], lines) }
}

/// swtpm behind the resource manager on a bus of its own: without it a TPM is out of memory after a few keys.
fn tpm2(dir: tempfile::TempDir) -> Bench {
    let at = |name: &str| dir.path().join(name).display().to_string();
    for inside in ["state", "store"] {
        fs::create_dir(dir.path().join(inside)).unwrap();
    }
    let (state, socket, bus) = (at("state"), at("tpm"), at("bus"));
    let tpm = service(
        Command::new("swtpm").args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"]).args([
            "--tpmstate",
            &format!("dir={state}"),
            "--server",
            &format!("type=unixio,path={socket}"),
            "--ctrl",
            &format!("type=unixio,path={socket}.ctrl"),
        ]),
        dir.path(),
    );
    until("swtpm", || Path::new(&socket).exists() && Path::new(&format!("{socket}.ctrl")).exists());
    let address = format!("unix:path={bus}");
    let daemon = service(
        Command::new("dbus-daemon").args(["--session", "--nofork", &format!("--address={address}")]),
        dir.path(),
    );
    until("dbus-daemon", || Path::new(&bus).exists());
    let manager = service(
        Command::new("tpm2-abrmd")
            .args(["--session", "--allow-root", "--tcti", &format!("swtpm:path={socket}")])
            .env("DBUS_SESSION_BUS_ADDRESS", &address),
        dir.path(),
    );
    let env = [
        ("DBUS_SESSION_BUS_ADDRESS", address.as_str()),
        ("TPM2_PKCS11_STORE", &at("store")),
        ("TPM2_PKCS11_TCTI", "tabrmd:bus_type=session"),
        ("TPM2TOOLS_TCTI", "tabrmd:bus_type=session"),
    ];
    // The manager has no file of its own to wait for: it is there when it answers.
    until("tpm2-abrmd", || {
        let mut asked = program("tpm2_getcap", &["properties-fixed"]);
        asked.envs(env).output().is_ok_and(|output| output.status.success())
    });
    let tool = |args: &[&str]| run(program("tpm2_ptool", args).envs(env));
    tool(&["init"]);
    tool(&["addtoken", "--pid", "1", "--label", "matrix", "--sopin", "so-87654321", "--userpin", PIN]);
    let module = library("pkcs11/libtpm2_pkcs11.so");
    let lines = table(&module, "matrix", "serial = \"0000000000000000\"", &env[..3]);
    of(dir, vec![manager, daemon, tpm], lines)
}

fn nss(dir: tempfile::TempDir) -> Bench {
    let at = dir.path().display().to_string();
    fs::write(dir.path().join("password"), PIN).unwrap();
    run(program("certutil", &["-N", "-d", &format!("sql:{at}"), "-f", &format!("{at}/password")]));
    let init = format!(
        "configdir='sql:{at}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=optimizeSpace dbTokenDescription='matrix'"
    );
    let more = format!("serial = \"0000000000000000\"\ninit-args = \"{init}\"");
    of(dir, Vec::new(), table(&library("libsoftokn3.so"), "matrix", &more, &[]))
}

/// A SoftHSM behind p11-kit's server, reached over its socket.
fn p11_kit(dir: tempfile::TempDir) -> Bench {
    let behind = SoftHsm::new();
    let serial = behind.init("matrix", "so-87654321", PIN);
    let socket = dir.path().join("socket").display().to_string();
    let provider = behind.module().to_str().unwrap().to_owned();
    let mut server = Command::new("p11-kit");
    server.args(["server", "--foreground", "--provider", &provider, "--name", &socket, "pkcs11:token=matrix"]);
    let server = service(server.envs(behind.env()), dir.path());
    until("p11-kit server", || Path::new(&socket).exists());
    let address = format!("unix:path={socket}");
    let serial = format!("serial = \"{serial}\"");
    let lines = table(&library("pkcs11/p11-kit-client.so"), "matrix", &serial, &[("P11_KIT_SERVER_ADDRESS", &address)]);
    Bench { _behind: Some(behind), ..of(dir, vec![server], lines) }
}

fn table(module: &str, label: &str, more: &str, env: &[(&str, &str)]) -> String {
    let env: Vec<String> = env.iter().map(|(name, value)| format!("{name} = \"{value}\"")).collect();
    format!("module = \"{module}\"\nlabel = \"{label}\"\n{more}\nenv = {{ {} }}\n", env.join(", "))
}

fn library(name: &str) -> String {
    let found = LIBRARIES.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is not installed: softhsm-tests/run-matrix does that")).display().to_string()
}

fn program(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args);
    command
}

/// Runs a program that must succeed; its standard output.
#[track_caller]
fn run(mut command: impl std::borrow::BorrowMut<Command>) -> String {
    let shown = format!("{:?}", command.borrow_mut());
    let run = Run::of(command.borrow_mut());
    assert_eq!(run.code, 0, "{shown}: {run:?}");
    run.out
}

fn service(command: &mut Command, dir: &Path) -> Service {
    let log = |name: &str| fs::File::create(log_of(command, dir, name)).unwrap();
    let (out, err) = (log("out"), log("err"));
    let started = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
    Service(started.unwrap_or_else(|e| panic!("{command:?}: {e}")))
}

fn log_of(command: &Command, dir: &Path, stream: &str) -> PathBuf {
    dir.join(format!("{}.{stream}", command.get_program().to_string_lossy()))
}

/// Waits for a service, at most a minute.
#[track_caller]
fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(Instant::now() < limit, "{what} did not start");
        std::thread::sleep(Duration::from_millis(50));
    }
}
