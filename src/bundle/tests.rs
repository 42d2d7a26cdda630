use std::io::Cursor;
use std::process::Command;

use super::*;
use crate::cbor::Bytes;
use crate::config::Environment;
use crate::text::Untrusted;

fn item(id: &str) -> Item {
    Item::Request(Request {
        request: id.into(),
        profile: "xmpp-server".into(),
        requester: Untrusted::new("hostmaster@example.org"),
        names: vec!["a.example".into(), "b.example".into()],
        csr: Bytes::from(vec![0x30; 400]),
    })
}

fn about() -> About {
    About {
        hierarchy: "Example".into(),
        origin: "example.org/root".into(),
        environment: Environment::Rehearsal,
        desk: "desk-1".into(),
        sequence: 1,
        answers: Answers::default(),
        created: 1_795_305_600,
        expires: 1_795_305_600 + 14 * 86_400,
        salt: [7; 16],
    }
}

fn draft(ids: &[&str]) -> Draft<Vec<u8>> {
    let mut body = BodyWriter::new(Vec::new());
    ids.iter().for_each(|id| body.push(&item(id)).unwrap());
    body.finish(about()).unwrap()
}

fn container(draft: &Draft<Vec<u8>>, signature: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let digest = write_container(&mut out, &draft.head_bytes, signature, &mut draft.body.as_slice()).unwrap();
    assert_eq!(digest, Digest::of(&out));
    out
}

/// Every item of a bundle whose signature is taken as good.
fn items(bytes: &[u8]) -> Result<Vec<Item>, Error> {
    let (mut bundle, ()) = open(Cursor::new(bytes))?.verify(|_, _, _| Ok::<_, Error>(()))?;
    bundle.items()?.collect()
}

/// A container as a careless or hostile desk would sign it: the given head and body, whatever they say.
fn raw(head: &Head, body: &[u8]) -> Vec<u8> {
    let head = cbor::to_vec(head).unwrap();
    let parts = [(TEXT, MAGIC.as_bytes()), (BYTE_STRING, &head), (TEXT, b"signature")];
    let mut out: Vec<u8> =
        parts.iter().flat_map(|(major, part)| [&cbor_header(*major, part.len() as u64), *part].concat()).collect();
    out.extend_from_slice(body);
    out
}

fn with_body(items: &[Vec<u8>], change: impl FnOnce(&mut Head)) -> Vec<u8> {
    let mut root = MerkleRoot::default();
    let mut body = Vec::new();
    for item in items {
        root.push(item);
        body.extend_from_slice(&cbor_header(BYTE_STRING, item.len() as u64));
        body.extend_from_slice(item);
    }
    let mut head = draft(&["x"]).head;
    head.count = items.len() as u64;
    head.root = root.finish();
    change(&mut head);
    head.body_length = body.len() as u64;
    head.body_digest = Digest::of(&body);
    raw(&head, &body)
}

fn encoded(id: &str) -> Vec<u8> {
    cbor::to_vec(&item(id)).unwrap()
}

#[test]
fn what_was_written_is_read_in_its_order() {
    let draft = draft(&["zz", "a.1", "M-2"]);
    let bytes = container(&draft, "armor");
    let unverified = open(Cursor::new(&bytes)).unwrap();
    assert_eq!(unverified.head(), &draft.head);
    assert_eq!(unverified.digest(), Digest::of(&bytes));
    let (mut bundle, seen) = unverified
        .verify(|head, signed, armor| Ok::<_, Error>((head.sequence, signed.to_vec(), armor.to_string())))
        .unwrap();
    assert_eq!(seen, (1, draft.head_bytes.clone(), "armor".to_string()));
    for _ in 0..2 {
        let read: Vec<Item> = bundle.items().unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(read, [item("zz"), item("a.1"), item("M-2")]);
    }
}

/// The stored bytes of format v0: when this fails, the format has changed and needs a new version.
#[test]
fn the_encoding_is_frozen() {
    let draft = draft(&["a"]);
    let bytes = container(&draft, "armor");
    let head_at = 1 + MAGIC.len();
    assert_eq!(&bytes[..head_at], b"\x72coldroot-bundle-v0");
    assert_eq!(bytes[head_at], 0x59);
    let keys = [
        "desk",
        "root",
        "salt",
        "count",
        "lists",
        "origin",
        "answers",
        "created",
        "expires",
        "sequence",
        "hierarchy",
        "body-digest",
        "body-length",
        "environment",
    ];
    let text = String::from_utf8_lossy(&draft.head_bytes).into_owned();
    let places: Vec<_> = keys.iter().map(|key| text.find(key).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(Digest::of(&bytes).hex(), "3c24859be27bf275084921f629f2821a22bac442ef104d21ecb0416cf5109f66");
}

#[test]
fn p07_any_changed_octet_is_noticed() {
    let draft = draft(&["a", "b"]);
    let good = container(&draft, "armor");
    let armor_at = good.windows(5).position(|w| w == b"armor").unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        // What the desk has signed: with another head, or another armor, its signature does not verify.
        let result = open(Cursor::new(&bad)).and_then(|unverified| {
            unverified.verify(|_, signed, armor| match signed == draft.head_bytes && armor == "armor" {
                true => Ok(()),
                false => Err(Error::SignatureText),
            })
        });
        assert!(result.is_err(), "octet {at}");
        assert!(
            (armor_at..armor_at + 5).contains(&at) || result.is_err_and(|e| e.fault() == Fault::Copy),
            "octet {at}"
        );
    }
    for length in 0..good.len() {
        assert_eq!(open(Cursor::new(&good[..length])).unwrap_err().fault(), Fault::Copy, "cut to {length}");
    }
    let longer = [&good[..], &[0]].concat();
    assert!(matches!(open(Cursor::new(&longer)), Err(Error::Trailing { offset }) if offset == good.len() as u64));
}

#[test]
fn p07_the_body_is_not_parsed_before_the_signature_is_good() {
    let mut head = draft(&["a"]).head;
    let body = [0xff; 100];
    head.body_length = 100;
    head.body_digest = Digest::of(&body);
    let bytes = raw(&head, &body);
    let refused = open(Cursor::new(&bytes)).unwrap().verify(|_, _, _| Err::<(), _>("not the desk's"));
    assert_eq!(refused.unwrap_err(), "not the desk's");
    let error = items(&bytes).unwrap_err();
    assert!(matches!(error, Error::Framing { part: "item", .. }));
    assert_eq!(error.fault(), Fault::Desk);
}

#[test]
fn p07_a_signed_lie_about_the_items_is_the_desks_fault() {
    let two = [encoded("a"), encoded("b")];
    assert_eq!(items(&with_body(&two, |_| ())).unwrap().len(), 2);
    let cases = [
        with_body(&two, |head| head.count = 3),
        with_body(&two, |head| head.count = 1),
        with_body(&two, |head| head.root = Digest([1; 32])),
        with_body(&[encoded("a"), encoded("A")], |_| ()),
        with_body(&[encoded("../a")], |_| ()),
        with_body(&[cbor::to_vec(&"text").unwrap()], |_| ()),
        with_body(&[[&encoded("a")[..], &[0]].concat()], |_| ()),
        with_body(&[vec![0; limits::ITEM as usize + 1], encoded("a")], |_| ()),
    ];
    let found: Vec<Error> = cases.iter().map(|bytes| items(bytes).unwrap_err()).collect();
    assert!(found.iter().all(|e| e.fault() == Fault::Desk && e.hint().is_some()), "{found:?}");
    assert!(matches!(found[0], Error::Count { wanted: 3, found: 2 }));
    assert!(matches!(found[1], Error::Count { wanted: 1, found: 2 }));
    assert!(matches!(found[2], Error::Root { .. }));
    assert!(matches!(&found[3], Error::Twice { first: 0, second: 1, request } if request == "A"));
    assert!(matches!(found[4], Error::ItemField { number: 0, field: "request", .. }));
    assert!(matches!(found[5], Error::Item { number: 0, .. }));
    assert!(matches!(found[6], Error::Item { number: 0, .. }));
    assert!(matches!(found[7], Error::TooLarge { part: "item", .. }));
}

fn list(octets: usize) -> Item {
    Item::Validations(Validations { list: Bytes::from(vec![b'x'; octets]), signature: "armor".into() })
}

#[test]
fn p07_validators_lists_stand_first_and_are_counted() {
    let encoded_list = |octets| cbor::to_vec(&list(octets)).unwrap();
    let good = with_body(&[encoded_list(1), encoded_list(limits::LIST as usize), encoded("a")], |head| head.lists = 2);
    assert_eq!(items(&good).unwrap().len(), 3);
    let cases = [
        with_body(&[encoded("a"), encoded_list(1)], |head| head.lists = 1),
        with_body(&[encoded_list(1), encoded("a")], |_| ()),
        with_body(&[encoded_list(limits::LIST as usize + 1), encoded("a")], |head| head.lists = 1),
        with_body(&[encoded_list(1), encoded_list(1), encoded("a")], |head| head.lists = 2),
        with_body(&[encoded_list(1)], |head| head.lists = 1),
        with_body(&[encoded_list(1), encoded("a")], |head| head.lists = limits::LISTS + 1),
    ];
    let found: Vec<Error> = cases.iter().map(|bytes| items(bytes).unwrap_err()).collect();
    assert!(matches!(found[0], Error::LateList { number: 1 }), "{found:?}");
    assert!(matches!(found[1], Error::Lists { wanted: 0, found: 1 }), "{found:?}");
    assert!(matches!(found[2], Error::ItemField { number: 0, field: "list", .. }), "{found:?}");
    assert!(matches!(found[3], Error::Twice { first: 0, second: 1, .. }), "{found:?}");
    assert!(matches!(found[4], Error::Empty), "{found:?}");
    assert!(matches!(found[5], Error::HeadField { field: "lists", .. }), "{found:?}");
    let mut body = BodyWriter::new(Vec::new());
    body.push(&item("a")).unwrap();
    assert!(matches!(body.push(&list(1)), Err(Error::LateList { number: 1 })));
}

#[test]
fn p07_after_an_error_nothing_more_is_read() {
    let bytes = with_body(&[encoded("a"), encoded("../b"), encoded("c")], |_| ());
    let (mut bundle, ()) = open(Cursor::new(&bytes)).unwrap().verify(|_, _, _| Ok::<_, Error>(())).unwrap();
    let mut items = bundle.items().unwrap();
    assert!(items.next().unwrap().is_ok());
    assert!(items.next().unwrap().is_err());
    assert!(items.next().is_none());
}

#[test]
fn p07_a_huge_length_is_refused_before_memory_is_taken() {
    let huge = [b"\x72coldroot-bundle-v0".as_slice(), &[0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]].concat();
    assert!(matches!(open(Cursor::new(&huge)), Err(Error::TooLarge { part: "head", limit: limits::HEAD, .. })));
    for not_shortest in [&[0x58, 1, 0][..], &[0x59, 0, 24], &[0x5f]] {
        let bytes = [b"\x72coldroot-bundle-v0".as_slice(), not_shortest].concat();
        assert!(matches!(open(Cursor::new(&bytes)), Err(Error::Framing { part: "head", .. })), "{not_shortest:x?}");
    }
    assert!(matches!(open(Cursor::new(b"-----BEGIN")), Err(Error::Magic)));
}

#[test]
fn heads_outside_the_limits_are_neither_written_nor_read() {
    type Change = fn(&mut Head);
    let cases: [(&str, Change); 8] = [
        ("hierarchy", |h| h.hierarchy = "two\nlines".into()),
        ("desk", |h| h.desk = String::new()),
        ("sequence", |h| h.sequence = 0),
        ("answers", |h| h.answers.release = 1),
        ("answers", |h| h.answers = Answers { release: 1, checkpoint: Some("x".repeat(limits::CHECKPOINT + 1)) }),
        ("expires", |h| h.expires = h.created),
        ("body-length", |h| h.body_length = u64::MAX),
        ("salt", |h| h.salt = Bytes::from(vec![1; 15])),
    ];
    for (name, change) in cases {
        let mut head = draft(&["a"]).head;
        change(&mut head);
        assert!(matches!(head.encode(), Err(Error::HeadField { field, .. }) if field == name), "{name}");
        assert!(
            matches!(open(Cursor::new(raw(&head, &[]))), Err(Error::HeadField { field, .. }) if field == name),
            "{name}"
        );
    }
    assert!(matches!(BodyWriter::new(Vec::new()).finish(about()), Err(Error::Empty)));
    let mut body = BodyWriter::new(Vec::new());
    body.push(&item("a")).unwrap();
    assert!(matches!(body.push(&item("A")), Err(Error::Twice { first: 0, second: 1, .. })));
}

#[test]
fn a_body_that_changes_under_the_writer_is_noticed() {
    let draft = draft(&["a"]);
    let mut other = draft.body.clone();
    other[50] ^= 1;
    let changed = write_container(&mut Vec::new(), &draft.head_bytes, "armor", &mut other.as_slice());
    assert!(matches!(changed, Err(Error::BodyDigest { .. })));
    let shorter = write_container(&mut Vec::new(), &draft.head_bytes, "armor", &mut &draft.body[1..]);
    assert!(matches!(shorter, Err(Error::BodyLength { .. })));
}

/// The stock tool signs the head, and the armor goes through the container unchanged.
#[test]
fn a_signature_of_ssh_keygen_verifies_after_the_way_through_the_container() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let status = Command::new("ssh-keygen").args(args).current_dir(dir.path()).output().unwrap().status;
        assert!(status.success(), "ssh-keygen {args:?}");
    };
    run(&["-q", "-t", "ed25519", "-N", "", "-C", "desk", "-f", "key"]);
    let draft = draft(&["a", "b"]);
    std::fs::write(dir.path().join("head"), &draft.head_bytes).unwrap();
    run(&["-q", "-Y", "sign", "-n", NAMESPACE, "-f", "key", "head"]);
    let armor = std::fs::read_to_string(dir.path().join("head.sig")).unwrap();
    let key = std::fs::read_to_string(dir.path().join("key.pub")).unwrap();
    let key = ssh_key::PublicKey::from_openssh(&key).unwrap();
    let bytes = container(&draft, &armor);
    let check = |_: &Head, signed: &[u8], armor: &str| {
        key.verify(NAMESPACE, signed, &ssh_key::SshSig::from_pem(armor)?)?;
        Ok::<_, ssh_key::Error>(key.fingerprint(ssh_key::HashAlg::Sha256))
    };
    let (mut bundle, signer) = open(Cursor::new(&bytes)).unwrap().verify(check).unwrap();
    assert_eq!(signer, key.fingerprint(ssh_key::HashAlg::Sha256));
    assert_eq!(bundle.items().unwrap().count(), 2);
}
