//! The plan file: written once, read as a whole before anything is believed, then item by item.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::cbor::{self, FrameError};
use crate::digest::{Digest, Hasher};
use crate::x509::fields::{NO_SCTS, reason_name};

use super::{Certificate, Count, Error, Head, Item, Kind, MAGIC, MAX_FRAME, MAX_ITEMS, Refusal};

/// A plan that was read from its first octet to its last: digest, head and counts agree. Items are fetched from the same
/// open file and compared with the digest taken on the first reading, so a later change of the file goes nowhere.
pub struct Plan {
    head: Head,
    digest: Digest,
    file: File,
    slots: Vec<Slot>,
    refusals_at: u64,
}

struct Slot {
    offset: u64,
    digest: Digest,
}

impl Plan {
    /// Reads and checks the whole file.
    pub fn open(path: &Path) -> Result<Plan, Error> {
        let open = |cause| Error::Open { path: path.display().to_string(), cause };
        // Looked at before it is opened: opening a pipe would wait for its other end.
        if !std::fs::metadata(path).map_err(open)?.is_file() {
            return Err(open(io::Error::other("it is no regular file")));
        }
        let file = File::open(path).map_err(open)?;
        let mut reader = Counting { inner: BufReader::new(&file), hasher: Hasher::default(), read: 0 };
        let magic = cbor::magic(MAGIC);
        let mut first = vec![0; magic.len()];
        reader.read_exact(&mut first).map_err(|_| Error::Magic)?;
        if first != magic {
            return Err(Error::Magic);
        }
        let head: Head = part(&mut reader, 0)?.ok_or(Error::Damaged { part: 0, cause: cbor::Error::Truncated })?;
        if head.items > MAX_ITEMS || head.refused > MAX_ITEMS {
            return Err(Error::Contradiction(format!("more than {MAX_ITEMS} items")));
        }
        let mut tally = Tally::default();
        let mut slots = Vec::new();
        for n in 0..head.items {
            let offset = reader.read;
            let bytes =
                frame(&mut reader, 1 + n)?.ok_or(Error::Damaged { part: 1 + n, cause: cbor::Error::Truncated })?;
            let item: Item = cbor::from_slice(&bytes).map_err(|cause| Error::Damaged { part: 1 + n, cause })?;
            tally.add(&item, head.kind)?;
            if let Item::KeyAct(act) = &item
                && !act.is_lawful(&head)
            {
                return Err(Error::Contradiction(format!("item {n} is no act that may be done in this plan")));
            }
            slots.push(Slot { offset, digest: Digest::of(&bytes) });
        }
        let refusals_at = reader.read;
        for n in 0..head.refused {
            let at = 1 + head.items + n;
            part::<Refusal>(&mut reader, at)?.ok_or(Error::Damaged { part: at, cause: cbor::Error::Truncated })?;
        }
        if frame(&mut reader, 1 + head.items + head.refused)?.is_some() {
            return Err(Error::Contradiction("it goes on after its last refusal".into()));
        }
        if tally.counts != head.counts {
            return Err(Error::Contradiction("the counts of its head are not those of its items".into()));
        }
        let digest = reader.hasher.finish();
        Ok(Plan { head, digest, file, slots, refusals_at })
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    /// SHA-256 of the whole file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Item `n`, from 0, exactly as it was when the plan was opened.
    pub fn item(&mut self, n: u64) -> Result<Item, Error> {
        let slot = usize::try_from(n).ok().and_then(|n| self.slots.get(n)).ok_or(Error::NoItem(n))?;
        self.file.seek(SeekFrom::Start(slot.offset))?;
        let bytes = frame(&mut BufReader::new(&self.file), 1 + n)?.ok_or(Error::Changed(n))?;
        if Digest::of(&bytes) != slot.digest {
            return Err(Error::Changed(n));
        }
        cbor::from_slice(&bytes).map_err(|cause| Error::Damaged { part: 1 + n, cause })
    }

    /// The refused requests, in the order of the bundle.
    pub fn refusals(&mut self) -> Result<Vec<Refusal>, Error> {
        self.file.seek(SeekFrom::Start(self.refusals_at))?;
        let mut reader = BufReader::new(&self.file);
        let mut refusals = Vec::new();
        for n in 0..self.head.refused {
            let at = 1 + self.head.items + n;
            refusals.push(part(&mut reader, at)?.ok_or(Error::Damaged { part: at, cause: cbor::Error::Truncated })?);
        }
        Ok(refusals)
    }
}

/// Writes a plan: items and refusals first, to unnamed files, since the head counts them.
pub struct PlanWriter {
    kind: Kind,
    items: BufWriter<File>,
    refusals: BufWriter<File>,
    tally: Tally,
    item_count: u64,
    refused: u64,
}

impl PlanWriter {
    /// `scratch` is a directory on the station's own disk; nothing with a name is left there.
    pub fn new(kind: Kind, scratch: &Path) -> Result<PlanWriter, Error> {
        Ok(PlanWriter {
            kind,
            items: BufWriter::new(tempfile::tempfile_in(scratch)?),
            refusals: BufWriter::new(tempfile::tempfile_in(scratch)?),
            tally: Tally::default(),
            item_count: 0,
            refused: 0,
        })
    }

    pub fn item(&mut self, item: &Item) -> Result<(), Error> {
        let at = 1 + self.item_count;
        let bytes = cbor::to_vec(item).map_err(|cause| Error::Damaged { part: at, cause })?;
        let octets = bytes.len() as u64;
        if octets > MAX_FRAME {
            return Err(Error::TooLarge { item: self.item_count, octets });
        }
        if self.item_count >= MAX_ITEMS {
            return Err(Error::Contradiction(format!("more than {MAX_ITEMS} items")));
        }
        self.tally.add(item, self.kind)?;
        cbor::write_frame(&mut self.items, &bytes)?;
        self.item_count += 1;
        Ok(())
    }

    pub fn refusal(&mut self, refusal: &Refusal) -> Result<(), Error> {
        let bytes = cbor::to_vec(refusal).map_err(|cause| Error::Damaged { part: self.refused, cause })?;
        cbor::write_frame(&mut self.refusals, &bytes)?;
        self.refused += 1;
        Ok(())
    }

    pub fn item_count(&self) -> u64 {
        self.item_count
    }

    /// Writes the whole file to `out`; `head` gets kind and counts from what was added. Returns the finished head.
    pub fn finish(self, mut head: Head, out: &mut File) -> Result<Head, Error> {
        head.kind = self.kind;
        head.items = self.item_count;
        head.refused = self.refused;
        head.counts = self.tally.counts;
        let mut to = BufWriter::new(&mut *out);
        to.write_all(&cbor::magic(MAGIC))?;
        let bytes = cbor::to_vec(&head).map_err(|cause| Error::Damaged { part: 0, cause })?;
        cbor::write_frame(&mut to, &bytes)?;
        for part in [self.items, self.refusals] {
            let mut part = part.into_inner().map_err(|e| Error::Io(e.into_error()))?;
            part.seek(SeekFrom::Start(0))?;
            io::copy(&mut part, &mut to)?;
        }
        to.flush()?;
        Ok(head)
    }
}

/// One line for each act, CA and profile, in the order of their first item.
#[derive(Default)]
struct Tally {
    counts: Vec<Count>,
}

impl Tally {
    fn add(&mut self, item: &Item, kind: Kind) -> Result<(), Error> {
        let (act, ca, detail) = match (item, kind) {
            (Item::GenerateKey(k), Kind::Keys) => ("generate-key", &k.key, k.algorithm.name().to_string()),
            (Item::Certificate(c), Kind::Certificates) => (c.act.as_str(), &c.ca, certified(c)),
            (Item::Revoke(r), Kind::Certificates) => ("revoke", &r.ca, reason_name(r.reason).to_string()),
            (Item::GenerateWrappingKey(k), Kind::Keys) => ("generate-key", &k.key, "aes-256-wrapping".to_string()),
            (Item::KeyAct(act), Kind::Keys) => (act.deed.act(), &act.key.key, act.detail()),
            (Item::Csr(c), Kind::Certificates) => ("csr", &c.ca, c.profile.clone()),
            (Item::Crl(c), Kind::Certificates) => ("crl", &c.ca, format!("number-{}", c.fields.number)),
            _ => return Err(Error::Contradiction("keys and certificates stand in different plans".into())),
        };
        if !matches!(
            act,
            "generate-key"
                | "root"
                | "intermediate"
                | "cross-certificate"
                | "csr"
                | "signer"
                | "batch"
                | "revoke"
                | "crl"
                | "key-proof"
                | "backup-key"
                | "restore-key"
                | "destroy-key"
        ) {
            return Err(Error::Contradiction("an act has no such name".into()));
        }
        if let Some(count) = self.counts.iter_mut().find(|c| c.act == act && &c.ca == ca && c.detail == detail) {
            count.count += 1;
        } else {
            self.counts.push(Count { act: act.into(), ca: ca.clone(), detail, count: 1 });
        }
        Ok(())
    }
}

/// The profile; who reads the statement compares the file besides from which the key of a CA comes, and takes nothing for what
/// browsers trust.
fn certified(c: &Certificate) -> String {
    match c.outside {
        Some(outside) => format!("{} sha256-{outside}", c.profile),
        None if c.fields.lacks_scts() => format!("{} ({NO_SCTS})", c.profile),
        None => c.profile.clone(),
    }
}

struct Counting<R> {
    inner: R,
    hasher: Hasher,
    read: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.read += n as u64;
        Ok(n)
    }
}

fn frame(reader: &mut impl Read, at: u64) -> Result<Option<Vec<u8>>, Error> {
    cbor::read_frame(reader, MAX_FRAME).map_err(|e| match e {
        FrameError::Io(e) => Error::Io(e),
        FrameError::Cbor(cause) => Error::Damaged { part: at, cause },
    })
}

fn part<T: serde::Serialize + serde::de::DeserializeOwned>(
    reader: &mut impl Read,
    at: u64,
) -> Result<Option<T>, Error> {
    match frame(reader, at)? {
        None => Ok(None),
        Some(bytes) => Ok(Some(cbor::from_slice(&bytes).map_err(|cause| Error::Damaged { part: at, cause })?)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::algorithm::KeyAlgorithm;
    use crate::cbor::Bytes;
    use crate::config::{Backup, Environment};
    use crate::plan::GenerateKey;

    pub(in crate::plan) fn head() -> Head {
        Head {
            kind: Kind::Keys,
            name: "Test".into(),
            origin: "example.org/test".into(),
            environment: Environment::Rehearsal,
            hierarchy: Digest::of(b"h"),
            release_before: 0,
            sign_from: 0,
            sign_until: 10,
            bundle: None,
            dry_run: None,
            block_lists: Vec::new(),
            broken_keys: Vec::new(),
            lints: Vec::new(),
            nonce: Bytes::from(vec![1; 16]),
            items: 0,
            refused: 0,
            counts: vec![],
        }
    }

    fn sample() -> Vec<u8> {
        let mut writer = PlanWriter::new(Kind::Keys, &std::env::temp_dir()).unwrap();
        for n in 0..3u8 {
            let key = GenerateKey {
                key: format!("k{n}"),
                token: "main".into(),
                label: format!("label {n}"),
                cka_id: Bytes::from(vec![n; 16]),
                algorithm: KeyAlgorithm::EcdsaP384,
                backup: Backup::None,
            };
            writer.item(&Item::GenerateKey(key)).unwrap();
        }
        let refusal = Refusal { request: "r1".into(), check: "key-size".into(), reason: "too small".into() };
        writer.refusal(&refusal).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writer.finish(head(), file.as_file_mut()).unwrap();
        std::fs::read(file.path()).unwrap()
    }

    fn open(bytes: &[u8]) -> Result<(tempfile::NamedTempFile, Plan), Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let plan = Plan::open(file.path())?;
        Ok((file, plan))
    }

    #[test]
    fn reads_back_what_was_written() {
        let bytes = sample();
        let (_file, mut plan) = open(&bytes).unwrap();
        assert_eq!(plan.digest(), Digest::of(&bytes));
        assert_eq!(plan.head().items, 3);
        assert_eq!(plan.head().counts.len(), 3);
        assert!(matches!(plan.item(2).unwrap(), Item::GenerateKey(k) if k.key == "k2"));
        assert!(matches!(plan.item(3), Err(Error::NoItem(3))));
        assert_eq!(plan.refusals().unwrap()[0].check, "key-size");
    }

    #[test]
    fn every_changed_byte_is_refused_or_changes_the_digest() {
        let bytes = sample();
        let digest = Digest::of(&bytes);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if let Ok((_file, plan)) = open(&changed) {
                assert_ne!(plan.digest(), digest, "octet {at}");
            }
        }
        for end in 0..bytes.len() {
            assert!(open(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(open(&[bytes.as_slice(), &[0x40]].concat()).is_err());
    }

    #[test]
    fn an_item_that_changes_after_the_reading_is_not_given_out() {
        let bytes = sample();
        let (file, mut plan) = open(&bytes).unwrap();
        let at = bytes.windows(7).position(|w| w == b"label 1").unwrap();
        let mut changed = bytes.clone();
        changed[at + 6] = b'9';
        std::fs::write(file.path(), changed).unwrap();
        assert!(plan.item(0).is_ok());
        assert!(matches!(plan.item(1), Err(Error::Changed(1))));
    }
}
