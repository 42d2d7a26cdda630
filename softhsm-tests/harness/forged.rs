//! Bundles that `pack` would not make, under a good signature or another one.

use std::fs::{self, File};
use std::io::{BufWriter, Cursor, Write};
use std::path::PathBuf;

use coldroot::bundle::{self, About, Answers, Head, Item, MerkleRoot};
use coldroot::cbor::{self, Bytes};
use coldroot::config::Environment;
use coldroot::digest::Digest;

use super::bundles::ssh_sign;
use super::station::Station;
pub use super::station::now;

/// A bundle to be written; without edits it is a good one of `desk-1` with the number 1.
pub struct Forged {
    pub about: About,
    // Not by the library's writer, which refuses what these tests are about.
    body: Vec<u8>,
    root: MerkleRoot,
    revocations: u64,
    lists: u64,
    key: &'static str,
    namespace: &'static str,
    edit: Box<dyn FnOnce(&mut Head)>,
}

impl Forged {
    pub fn new() -> Forged {
        let now = now();
        let about = About {
            hierarchy: "Road".into(),
            origin: "example.org/coldroot/demo".into(),
            environment: Environment::Rehearsal,
            desk: "desk-1".into(),
            sequence: 1,
            answers: Answers::default(),
            created: now,
            expires: now + 86_400,
            salt: [1; 16],
        };
        Forged {
            about,
            body: Vec::new(),
            root: MerkleRoot::default(),
            revocations: 0,
            lists: 0,
            key: "desk-1",
            namespace: bundle::NAMESPACE,
            edit: Box::new(|_| {}),
        }
    }

    /// Changes what the head says of itself.
    pub fn about(mut self, edit: impl FnOnce(&mut About)) -> Forged {
        edit(&mut self.about);
        self
    }

    pub fn items(mut self, items: impl IntoIterator<Item = Item>) -> Forged {
        for item in items {
            let encoded = cbor::to_vec(&item).unwrap();
            self.root.push(&encoded);
            self.body.extend(cbor::to_vec(&Bytes::from(encoded)).unwrap());
            self.revocations += u64::from(matches!(item, Item::Revoke(_)));
            self.lists += u64::from(matches!(item, Item::Validations(_)));
        }
        self
    }

    /// Changes the head after it was made from the body, and before it is signed.
    pub fn head(mut self, edit: impl FnOnce(&mut Head) + 'static) -> Forged {
        self.edit = Box::new(edit);
        self
    }

    /// Signs with another key of the desk's directory, under a namespace.
    pub fn signed_by(mut self, key: &'static str, namespace: &'static str) -> Forged {
        (self.key, self.namespace) = (key, namespace);
        self
    }

    /// Writes it to the desk; gives its path.
    pub fn write(self, station: &Station, name: &str) -> PathBuf {
        let about = self.about;
        let mut head = Head {
            hierarchy: about.hierarchy,
            origin: about.origin,
            environment: about.environment,
            desk: about.desk,
            sequence: about.sequence,
            answers: about.answers,
            created: about.created,
            expires: about.expires,
            count: self.root.leaves(),
            revocations: self.revocations,
            lists: self.lists,
            body_length: self.body.len() as u64,
            body_digest: Digest::of(&self.body),
            root: self.root.finish(),
            salt: Bytes::from(about.salt.to_vec()),
        };
        (self.edit)(&mut head);
        let head_bytes = cbor::to_vec(&head).unwrap();
        let to_sign = station.desk(&format!("{name}.head"));
        // ssh-keygen asks before it writes over a signature, and takes no answer for a no.
        let _ = fs::remove_file(station.desk(&format!("{name}.head.sig")));
        fs::write(&to_sign, &head_bytes).unwrap();
        let signature = fs::read_to_string(ssh_sign(&station.desk(self.key), self.namespace, &to_sign)).unwrap();
        let path = station.desk(&format!("{name}.bundle"));
        let mut file = BufWriter::new(File::create(&path).unwrap());
        let mut body = Cursor::new(self.body);
        bundle::write_container(&mut file, &head_bytes, &signature, &mut body).unwrap();
        file.flush().unwrap();
        path
    }
}
