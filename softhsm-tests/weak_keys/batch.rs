//! Ten thousand RSA requests of which two share a prime, on the whole road: found, refused, and the others signed.
//!
//! The keys are made in seconds: each modulus is the product of 32 primes of 64 bits, which no test of a single key can tell from one
//! of two, and who knows the primes signs by the remainders.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use coldroot::digest::Digest;
use dashu_int::UBig;

use crate::harness::refused_in;
use crate::harness::station::{COLDROOT, Row, Run, Station};

const KEYS: usize = 10_000;
const PRIMES: usize = 32;
const E: u64 = 65_537;

/// xorshift64*: the same keys in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A prime of 64 bits that is so large that 32 of them give 2,048 bits, and by which the exponent has an inverse.
    fn prime(&mut self, before: &mut HashSet<u64>) -> u64 {
        loop {
            let candidate = self.next() | 0xfc00_0000_0000_0001;
            let divisible =
                [3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47].iter().any(|p| candidate.is_multiple_of(*p));
            let fits = !divisible && candidate % E != 1 && power(2, candidate - 1, candidate) == 1;
            if fits && before.insert(candidate) {
                return candidate;
            }
        }
    }
}

fn times(a: u64, b: u64, modulus: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64
}

fn power(base: u64, exponent: u64, modulus: u64) -> u64 {
    (0..64).rev().fold(1, |power, bit| {
        let square = times(power, power, modulus);
        if exponent >> bit & 1 == 1 { times(square, base, modulus) } else { square }
    })
}

/// The inverse of a modulo m, by Euclid's algorithm.
fn inverse(a: u64, m: u64) -> u64 {
    let (mut old, mut new) = ((i128::from(m), 0), (i128::from(a % m), 1));
    while new.0 != 0 {
        let quotient = old.0 / new.0;
        (old, new) = (new, (old.0 - quotient * new.0, old.1 - quotient * new.1));
    }
    u64::try_from(old.1.rem_euclid(i128::from(m))).unwrap()
}

fn small(number: &UBig, modulus: u64) -> u64 {
    number % modulus
}

/// m^d modulo the product of the primes, by the Chinese remainder theorem.
fn sign(primes: &[u64], n: &UBig, m: &UBig) -> UBig {
    let part = |p: &u64| {
        let others = n / *p;
        let residue = power(small(m, *p), inverse(E, p - 1), *p);
        others.clone() * times(residue, inverse(small(&others, *p), *p), *p)
    };
    primes.iter().map(part).sum::<UBig>() % n
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match content.len() {
        short @ 0..=0x7f => vec![short as u8],
        one @ 0x80..=0xff => vec![0x81, one as u8],
        two => [&[0x82][..], &u16::try_from(two).unwrap().to_be_bytes()].concat(),
    };
    [&[tag][..], &length, content].concat()
}

/// A request for a name under the key of these primes (RFC 2986, RSASSA-PKCS1-v1_5 of RFC 8017 with SHA-256).
fn request(id: &str, primes: &[u64]) -> Row {
    let n: UBig = primes.iter().map(|p| UBig::from(*p)).product();
    let name = format!("{id}.example.org");
    let rsa = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let number = |n: &[u8]| tlv(0x02, &[&[0][..usize::from(n[0] >> 7)], n].concat());
    let key = tlv(0x30, &[number(&n.to_be_bytes()), number(&[1, 0, 1])].concat());
    let spki = tlv(0x30, &[&rsa[..], &tlv(0x03, &[&[0][..], &key].concat())].concat());
    let cn = tlv(0x30, &[b"\x06\x03\x55\x04\x03", &tlv(0x0c, name.as_bytes())[..]].concat());
    let subject = tlv(0x30, &tlv(0x31, &cn));
    let info = tlv(0x30, &[b"\x02\x01\x00", &subject[..], &spki, b"\xa0\x00"].concat());
    let sha256 = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
    let digest = [&sha256[..], &Digest::of(&info).0].concat();
    let padded = [&[1][..], &vec![0xff; 256 - 3 - digest.len()], &[0], &digest].concat();
    let signature = sign(primes, &n, &UBig::from_be_bytes(&padded)).to_be_bytes();
    let signature = [vec![0; 257 - signature.len()], signature.to_vec()].concat();
    let algorithm = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00";
    let csr = tlv(0x30, &[&info[..], algorithm, &tlv(0x03, &signature)].concat());
    Row { request: id.into(), names: vec![name], csr }
}

/// Runs the binary in the station, and prints its seconds, those of processors, and the peak of its memory.
fn measured(station: &Station, what: &str, args: &[&str]) -> Run {
    const MEASURE: &str = "import resource, subprocess, sys\ncode = subprocess.run(sys.argv[1:]).returncode\n\
                           use = resource.getrusage(resource.RUSAGE_CHILDREN)\n\
                           print(f'processor {use.ru_utime + use.ru_stime:.1f} s, peak {use.ru_maxrss // 1024} MiB', file=sys.stderr)\nsys.exit(code)";
    let begin = Instant::now();
    let mut python = Command::new("python3");
    python.args(["-B", "-c", MEASURE, COLDROOT, "--json", "--plain"]).args(args).current_dir(station.dir());
    let run = Run::of(&mut python);
    println!("{what}: {:.1} s, {}", begin.elapsed().as_secs_f64(), run.err.lines().next_back().unwrap_or_default());
    run
}

#[test]
#[ignore = "some minutes: softhsm-tests/shared-prime runs it"]
fn p01_two_of_ten_thousand_requests_that_share_a_prime_are_refused_and_the_others_signed() {
    let station = Station::ready();
    let begin = Instant::now();
    let (mut numbers, mut before) = (Numbers(0x9e37_79b9_7f4a_7c15), HashSet::new());
    let dir = station.desk("rsa");
    fs::create_dir_all(&dir).unwrap();
    let mut table = String::from("request,profile,requester,names\n");
    let mut shared = 0;
    for n in 0..KEYS {
        let mut primes: Vec<u64> = (0..PRIMES).map(|_| numbers.prime(&mut before)).collect();
        // The first and the last but one hold one prime both.
        match n {
            0 => shared = primes[7],
            _ if n == KEYS - 2 => primes[20] = shared,
            _ => {}
        }
        let row = request(&format!("r{n}"), &primes);
        fs::write(dir.join(format!("{}.der", row.request)), &row.csr).unwrap();
        writeln!(table, "{},xmpp-server,hostmaster@example.org,{}", row.request, row.names[0]).unwrap();
    }
    fs::write(dir.join("requests.csv"), table).unwrap();
    println!("{KEYS} requests made: {:.1} s", begin.elapsed().as_secs_f64());

    let bundle = station.pack(&dir, 1);
    let plan = measured(&station, "plan", &["plan", "--bundle", bundle.to_str().unwrap()]).ok();
    let plan = Path::new(plan["plan"].as_str().unwrap()).to_path_buf();
    let wanted = [0, KEYS - 2].map(|n| (format!("r{n}"), "shared-factor".to_owned()));
    assert_eq!(crate::refusals(&station.dir().join(&plan)), wanted);
    let approvals = station.approve(&plan);
    let signed = measured(&station, "sign", &station.sign_args(&plan, &approvals));
    let (release, key) = (station.released(signed), station.verifier_key());
    let www = station.desk("www");
    let args = ["unpack", release.to_str().unwrap(), "--to", www.to_str().unwrap(), "--verifier-key", &key];
    measured(&station, "unpack", &args).ok();
    assert_eq!(refused_in(&www), wanted);
    assert_eq!(station.leaves().len(), KEYS - 2);
}
