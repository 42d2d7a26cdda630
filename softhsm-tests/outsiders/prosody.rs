//! Prosody serves certificates of ours to OpenSSL's client, and judges those that peers present, with CRL checking on.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::harness::station::{Run, Station};
use super::{EC, RSA, demo, issue, request, unpack};

/// How long another program may take to answer before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends with the test.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Prosody that talks to other servers only, on a loopback port of its own.
struct Prosody {
    dir: tempfile::TempDir,
    port: u16,
    process: Guarded,
}

/// A virtual host: its name, and the files of its certificate chain and key.
type Host<'a> = (&'a str, PathBuf, PathBuf);

impl Prosody {
    /// `s2s_ssl` are the TLS settings of connections between servers; `DIR` in them is where `trust.pem` is.
    fn start(hosts: &[Host], trust: &str, s2s_ssl: &str) -> Prosody {
        let dir = tempfile::Builder::new().prefix("prosody-").tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let own = dir.path().display();
        fs::create_dir(path("certs")).unwrap();
        fs::write(path("trust.pem"), trust).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut text = format!(
            r#"run_as_root = true
data_path = "{own}"
pidfile = "{own}/prosody.pid"
log = {{ debug = "{own}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
s2s_ports = {{ {port} }}
modules_enabled = {{ "tls", "saslauth", "s2s", "s2s_auth_certs" }}
modules_disabled = {{ "c2s" }}
certificates = "{own}/certs"
s2s_secure_auth = true
s2s_ssl = {{ {} }}
"#,
            s2s_ssl.replace("DIR", &own.to_string())
        );
        // Prosody finds a host's certificate by the names in it, whatever the file is called.
        for (n, (host, chain, key)) in hosts.iter().enumerate() {
            fs::copy(chain, path(&format!("certs/{n}.crt"))).unwrap();
            fs::copy(key, path(&format!("certs/{n}.key"))).unwrap();
            text += &format!("VirtualHost \"{host}\"\n");
        }
        fs::write(path("prosody.cfg.lua"), text).unwrap();
        let said = File::create(path("said")).unwrap();
        let mut command = Command::new("prosody");
        command.arg("--config").arg(path("prosody.cfg.lua")).arg("-F").stdin(Stdio::null());
        let child = command.stdout(said.try_clone().unwrap()).stderr(said).spawn();
        let process = Guarded(child.expect("Prosody is not installed: softhsm-tests/run-all installs it"));
        let mut prosody = Prosody { dir, port, process };
        prosody.wait_until_it_listens();
        prosody
    }

    fn wait_until_it_listens(&mut self) {
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = self.process.0.try_wait().unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "Prosody does not start ({ended:?}): {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it printed and logged.
    fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        format!("{}{}", read("said"), read("prosody.log"))
    }

    /// OpenSSL's client, which starts TLS with `host` and wants a chain to `root` and that name in the certificate.
    fn client(&self, host: &str, expected: &str, root: &Path) -> Command {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &format!("127.0.0.1:{}", self.port), "-starttls", "xmpp-server"]);
        openssl.args(["-xmpphost", host, "-verify_return_error", "-verify_hostname", expected, "-no-CApath"]);
        openssl.args(["-no-CAstore", "-CAfile"]).arg(root);
        openssl
    }

    /// A peer's server connects, presents its certificate, and asks to be authenticated by it (XEP-0178).
    fn peer_connects(&self, host: &str, peer: &Peer) -> Answer {
        let mut client = self.client(host, host, &peer.root);
        client.arg("-quiet").arg("-cert").arg(&peer.chain).arg("-cert_chain").arg(&peer.chain);
        client.arg("-key").arg(&peer.key).stdin(Stdio::piped()).stdout(Stdio::piped());
        let stderr = File::create(self.dir.path().join("client")).unwrap();
        let mut child = client.stderr(stderr).spawn().unwrap();
        let (mut to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let _guarded = Guarded(child);
        let mut stream = Stream { pieces: pieces(from), heard: String::new() };
        say(&mut to, &STREAM.replace("PEER", peer.name).replace("HOST", host));
        stream.until(&["</stream:features>", "</stream:stream>"], self);
        if stream.heard.contains("<mechanism>EXTERNAL</mechanism>") {
            say(&mut to, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
            stream.until(&["<success", "<failure", "</stream:stream>"], self);
        }
        Answer { heard: stream.heard, log: self.log() }
    }
}

const STREAM: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' version='1.0' from='PEER' to='HOST' \
    xmlns:stream='http://etherx.jabber.org/streams'>";

/// An error is not the test's: a server that refuses may close the connection first, and its answer says why.
fn say(to: &mut ChildStdin, what: &str) {
    let _ = to.write_all(what.as_bytes()).and_then(|()| to.flush());
}

fn pieces(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if send.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receive
}

struct Stream {
    pieces: Receiver<Vec<u8>>,
    heard: String,
}

impl Stream {
    /// Listens until one of these was said, or the other side has hung up.
    fn until(&mut self, ends: &[&str], server: &Prosody) {
        while !ends.iter().any(|end| self.heard.contains(end)) {
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => self.heard += &String::from_utf8_lossy(&piece),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("no answer: {}\n{}", self.heard, server.log()),
            }
        }
    }
}

/// Another server, as its certificate and key; `root` is what it believes.
struct Peer {
    name: &'static str,
    chain: PathBuf,
    key: PathBuf,
    root: PathBuf,
}

/// What a peer was told, and Prosody's log.
struct Answer {
    heard: String,
    log: String,
}

impl Answer {
    #[track_caller]
    fn is_welcome(&self) {
        assert!(
            self.heard.contains("<success") && !self.heard.contains("<stream:error>"),
            "{}\n{}",
            self.heard,
            self.log
        );
    }

    /// `why` is OpenSSL's word for it in Prosody's log: the peer is told only that it is not trusted.
    #[track_caller]
    fn is_refused(&self, why: &str) {
        let told = self.heard.contains("<stream:error><not-authorized") && !self.heard.contains("<success");
        assert!(told && !self.heard.contains("EXTERNAL"), "{}\n{}", self.heard, self.log);
        assert!(self.log.contains(why), "not because of `{why}`: {}", self.log);
    }
}

#[test]
fn prosody_starts_tls_with_the_chain_of_a_release() {
    let dir = demo();
    let (root, file) = (dir.join("demo/root.pem"), |id: &str| dir.join(format!("demo/certs/{id}.pem")));
    let host = |name: &'static str, id: &str| (name, file(id), dir.join(format!("requests/{id}.key")));
    let prosody = Prosody::start(&[host(EC[0], "ec"), host(RSA[0], "rsa")], "", "capath = false");
    for name in [EC[0], RSA[0]] {
        let run = Run::of(prosody.client(name, name, &root).arg("-showcerts"));
        assert!(run.code == 0 && run.out.contains("Verify return code: 0 (ok)"), "{run:?}\n{}", prosody.log());
        assert!(run.out.contains(&format!("Verified peername: {name}\n")), "{run:?}");
        // Leaf and intermediate: what the file holds goes over the wire, and the root is not in it.
        assert_eq!(run.out.matches("-----BEGIN CERTIFICATE-----").count(), 2, "{run:?}");
    }
    // The component is in the same certificate; another host is not.
    for (asked, expected, code) in [(EC[0], EC[1], 0), (EC[0], RSA[0], 1), (RSA[0], RSA[1], 0), (RSA[0], EC[1], 1)] {
        let run = Run::of(&mut prosody.client(asked, expected, &root));
        assert_eq!(run.code, code, "{run:?}");
        assert_eq!(run.err.contains("hostname mismatch"), code == 1, "{run:?}");
    }
    // Another root.
    let other = Run::of(&mut prosody.client(EC[0], EC[0], &dir.join("demo/certs/rsa.pem")));
    assert!(other.code == 1 && other.err.contains("unable to get issuer certificate"), "{other:?}");
}

#[test]
fn prosody_without_the_intermediate_is_not_believed() {
    let dir = demo();
    let whole = fs::read_to_string(dir.join("demo/certs/ec.pem")).unwrap();
    let (leaf, rest) = whole.split_once("-----END CERTIFICATE-----\n").unwrap();
    assert!(rest.contains("BEGIN CERTIFICATE"));
    let alone = tempfile::NamedTempFile::new().unwrap();
    fs::write(alone.path(), format!("{leaf}-----END CERTIFICATE-----\n")).unwrap();
    let host = (EC[0], alone.path().to_owned(), dir.join("requests/ec.key"));
    let prosody = Prosody::start(&[host], "", "capath = false");
    let run = Run::of(&mut prosody.client(EC[0], EC[0], &dir.join("demo/root.pem")));
    assert!(run.code == 1 && run.err.contains("unable to get local issuer certificate"), "{run:?}\n{}", prosody.log());
}

/// What a server's operator sets to have revocations honoured. Prosody has no setting for CRLs: LuaSec's store takes them out
/// of the file of CAs. Without `capath = false` the system's CAs are believed too.
const CRL_CHECKING: &str =
    r#"capath = false, cafile = "DIR/trust.pem", verifyext = { "crl_check", "crl_check_chain" }"#;

/// The file of CAs: the root, and a CRL of each CA named.
fn trust(www: &Path, crls: &[&str]) -> String {
    let mut text = fs::read_to_string(www.join("root.pem")).unwrap();
    for ca in crls {
        let mut convert = Command::new("openssl");
        convert.args(["crl", "-inform", "DER", "-in"]).arg(www.join(format!("crls/{ca}.crl")));
        let converted = Run::of(&mut convert);
        assert_eq!(converted.code, 0, "{converted:?}");
        text += &converted.out;
    }
    text
}

#[test]
fn prosody_with_crl_checking_refuses_a_revoked_peer() {
    let station = Station::ready();
    let requests = station.desk("servers");
    fs::create_dir(&requests).unwrap();
    let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let rows = [("home", "home.example.org"), ("peer", "peer.example.org"), ("other", "other.example.org")];
    let table: String = rows.iter().map(|(id, name)| request(&requests, id, &ec, &[name])).collect();
    fs::write(requests.join("requests.csv"), format!("request,profile,requester,names\n{table}")).unwrap();
    issue(&station, &station.pack(&requests, 1));
    // The root and its CRL are in the release of the ceremony.
    unpack(&station, 2);
    let www = unpack(&station, 3);
    let (file, key) = (|id: &str| www.join(format!("certs/{id}.pem")), |id: &str| requests.join(format!("{id}.key")));
    let start = |crls: &[&str]| {
        let home = ("home.example.org", file("home"), key("home"));
        Prosody::start(&[home], &trust(&www, crls), CRL_CHECKING)
    };
    let connects = |prosody: &Prosody, (id, name): (&str, &'static str)| {
        let peer = Peer { name, chain: file(id), key: key(id), root: www.join("root.pem") };
        prosody.peer_connects("home.example.org", &peer)
    };
    // Checking is on: without the CRL of a CA in the chain nobody is believed.
    connects(&start(&["root"]), rows[1]).is_refused("unable to get certificate CRL");
    let prosody = start(&["root", "xmpp-1"]);
    connects(&prosody, rows[1]).is_welcome();
    connects(&prosody, rows[2]).is_welcome();
    // A good certificate under a name that is not in it.
    connects(&prosody, ("other", "peer.example.org")).is_refused("certificate identity validation result: invalid");

    // The station revokes one of them. Whoever has the new CRL refuses it, and it alone.
    let serial = Run::of(Command::new("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(file("peer"))).out;
    let serial = serial.trim().strip_prefix("serial=").unwrap();
    let revoked = station.run(&["plan", "--revoke", serial, "--reason", "key-compromise"]).ok();
    let plan = PathBuf::from(revoked["plan"].as_str().unwrap());
    station.sign(&plan, &station.approve(&plan)).ok();
    unpack(&station, 4);
    connects(&prosody, rows[1]).is_welcome();
    let prosody = start(&["root", "xmpp-1"]);
    connects(&prosody, rows[1]).is_refused("certificate error(s) at depth 0: certificate revoked");
    connects(&prosody, rows[2]).is_welcome();
}
