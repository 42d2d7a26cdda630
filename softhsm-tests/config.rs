//! The starter files of `ceremony-scripts/` are lawful as they are, they explain every field, and each lawless change of them is
//! refused with the path of the field that is wrong.

use std::path::{Path, PathBuf};

use coldroot::algorithm::KeyAlgorithm;
use coldroot::config::{Act, Ceremony, Environment, Error, Guard, Hierarchy, MAX_FILE};

#[path = "config/rules.rs"]
mod rules;

const EXAMPLE: &str = include_str!("../ceremony-scripts/hierarchy.example.toml");
const CEREMONY: &str = include_str!("../ceremony-scripts/root-and-intermediate.toml");
const EXTERNAL: &str = include_str!("../ceremony-scripts/external-root.toml");
const SIGNERS: &str = include_str!("../ceremony-scripts/signers.toml");
const CROSS: &str = include_str!("../ceremony-scripts/cross-certificate.toml");

/// A change of the example before it is parsed.
enum Edit {
    /// Puts a TOML value at a path; the last key may be new.
    Set(&'static str, &'static str),
    Remove(&'static str),
    /// Adds a TOML value at the end of an array.
    Push(&'static str, &'static str),
}
use Edit::{Push, Remove, Set};

fn literal(value: &str) -> toml::Value {
    let mut table: toml::Table = format!("x = {value}").parse().unwrap();
    table.remove("x").unwrap()
}

/// Follows a path such as `ca[1].subject` to the value.
fn at<'a>(root: &'a mut toml::Value, path: &str) -> &'a mut toml::Value {
    path.split(['.', '[']).filter(|step| !step.is_empty()).fold(root, |value, step| match step.strip_suffix(']') {
        Some(index) => value.get_mut(index.parse::<usize>().unwrap()).unwrap_or_else(|| panic!("no {path}")),
        None => value.get_mut(step).unwrap_or_else(|| panic!("no {path}")),
    })
}

fn changed(text: &str, edits: &[Edit]) -> String {
    let mut root = toml::Value::Table(text.parse().unwrap());
    for edit in edits {
        let (Set(path, _) | Remove(path) | Push(path, _)) = edit;
        let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
        match edit {
            Push(_, value) => at(&mut root, path).as_array_mut().unwrap().push(literal(value)),
            Set(_, value) => drop(at(&mut root, parent).as_table_mut().unwrap().insert(last.into(), literal(value))),
            Remove(_) => drop(at(&mut root, parent).as_table_mut().unwrap().remove(last).expect(path)),
        }
    }
    toml::to_string(&root).unwrap()
}

fn hierarchy() -> Hierarchy {
    Hierarchy::parse(EXAMPLE).unwrap()
}

fn field_of<T>(result: Result<T, Error>, what: &str) -> (String, String) {
    match result {
        Err(Error::Field { field, message }) => (field, message),
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what}: accepted"),
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ceremony-scripts")
}

#[test]
fn the_example_is_lawful_as_it_is() {
    let h = Hierarchy::load(&scripts().join("hierarchy.example.toml")).unwrap();
    assert_eq!(h.environment, Environment::Rehearsal);
    assert_eq!(h.digest, coldroot::digest::Digest::of(EXAMPLE.as_bytes()));
    assert!(h.ca("root").unwrap().is_root() && !h.ca("servers-1").unwrap().is_root());
    assert_eq!(h.profile("xmpp-server").unwrap().issuer.as_deref(), Some("servers-1"));
    // The comments name the defaults, so the same file without the fields means the same.
    let bare = [
        Remove("quorum"),
        Remove("station"),
        Remove("audit.algorithm"),
        Remove("token[0].sessions"),
        Remove("profile[2].days"),
        Remove("profile[2].window-hours"),
        Remove("profile[2].names"),
        Remove("profile[2].extensions"),
        Remove("profile[2].eku"),
        Remove("profile[2].must-staple"),
        Remove("profile[2].added-extensions"),
        Remove("profile[2].common-name"),
        Remove("profile[2].keys"),
        Remove("profile[2].key-reuse"),
        Remove("profile[2].validators"),
        Remove("profile[2].validation-days"),
        Remove("desk[0].max-revocations"),
        Remove("profile[4].days"),
    ];
    let bare = Hierarchy::parse(&changed(EXAMPLE, &bare)).unwrap();
    assert_eq!((bare.sandbox, bare.locked_pages), (h.sandbox, h.locked_pages));
    assert_eq!((bare.audit_algorithm, h.audit_algorithm), (KeyAlgorithm::Ed25519, KeyAlgorithm::Ed25519));
    assert_eq!((bare.quorum_init, bare.quorum_keys), (h.quorum_init, h.quorum_keys));
    assert_eq!(bare.quorum_certificates, h.quorum_certificates);
    assert_eq!(bare.tokens[0].sessions, h.tokens[0].sessions);
    let (a, b) = (&bare.profiles[2], &h.profiles[2]);
    assert_eq!((a.validity, a.window_hours, &a.names), (b.validity, b.window_hours, &b.names));
    assert_eq!((a.common_name, &a.eku, &a.added), (b.common_name, &b.eku, &b.added));
    assert_eq!(a.other_extensions, b.other_extensions);
    assert_eq!(bare.profiles[4].validity, h.profiles[4].validity);
    // Every kind of key that a CA may have.
    let refused = ["rsa-2048", "rsa-2048-pss"];
    for kind in KeyAlgorithm::ALL.into_iter().map(KeyAlgorithm::name).filter(|kind| !refused.contains(kind)) {
        let h =
            Hierarchy::parse(&EXAMPLE.replace("algorithm = \"ecdsa-p384\"", &format!("algorithm = '{kind}'"))).unwrap();
        assert_eq!(h.keys[0].algorithm.name(), kind);
    }
    assert_eq!((&a.keys, a.key_reuse), (&b.keys, b.key_reuse));
    assert_eq!((a.validators, a.validation_days), (b.validators, b.validation_days));
    assert_eq!(bare.desks[0].max_revocations, h.desks[0].max_revocations);
}

#[test]
fn the_starter_files_show_every_field_the_parser_knows() {
    let parser = include_str!("../src/config/raw.rs");
    let fields: Vec<String> = parser
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'))
        .map(|(name, _)| name.replace('_', "-"))
        .collect();
    assert!(fields.len() > 50, "raw.rs is read wrongly: {}", fields.len());
    for name in fields {
        let shown = [EXAMPLE, CEREMONY, CROSS, SIGNERS].iter().flat_map(|text| text.lines()).any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{name} = "))
                || line.contains(&format!(" {name} = "))
                || line.starts_with(&format!("[{name}]"))
                || line.starts_with(&format!("[[{name}]]"))
                || (line.starts_with('[') && line.trim_end_matches(']').ends_with(&format!(".{name}")))
        });
        assert!(shown, "`{name}` is explained nowhere");
    }
}

const AGE: Edit = Set("programs", "{ age = '/usr/bin/age' }");
/// The example's first officer's key, under another comment.
const ADA: &str = "['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAaqxanBPLmSTHFSRGF914oCqvlfwzpg2B3+gOu/+JLT somebody else']";
const RSA: &str = "'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCJP3Z2m7RspwauNJMPWy3sqPOzC2QMYkEa404Zbel8SvORLqD/ivO8d3dlyvlpX1VaRUTLgg9W9AUwvLJoFxf63fkJ86ZLHXbDr0HeIeXqtWWt1gj9jhF7DH6QuLu6pFGafbEDZBz0wmCIRS0cNaloEexekDni1Qg538r9VOCboW3VAUjHsg+7gDABgDtNSqytDGJyT5G8+fDkh94zdmqefd/q2JQUp9j4p9FL2pYTTClYtgGuW7Z5x04M/nnb2V72cYWq1G+x3rlT8tki9NZ7OPTaMlsqwT5rkmDw+jXsPD0sTpDnk3JAA+P/sMRD+fk7SuYnXIOItXfPpy6Os0Rl'";
const P384: &str = "'ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBI3y5xBB2gCVHc1Zp1icqHfohEDndF6V27paQBFGydxQFlC3hz60Ps+3Ord96Dt5OsU+AtiT00ntTLzL8b39PfMA84Vm0VvlWHRlgCig3lt2afi20N41qL2B/XvFVUJZ6Q=='";
const P256: &str = "'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBDssELsorQJoFqTa/o2rDKpWuQP69U5v7tjJti3HyQeFP9rEdNe7J36/e8XuJX2kGyOgCPCZqyKsxLcZbaw6Yhc='";
/// Of a certificate, in the form of `openssl x509 -fingerprint`.
const SHA256: &str =
    "'5D:1C:0F:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC'";
/// The example's desk's key.
const DESK: &str = "['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICWhR7j4q5h5bjoNOqU3H9kwhBImRxuNfnDasDlco3bL']";
const VALIDATOR: Edit = Set(
    "validator",
    "[{ id = 'val', keys = ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILlMg+hpccDHXdtBMaTN4PUF1R5vPvNj44MxiEW1ureW'] }]",
);
const SK: &str = "['sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAaqxanBPLmSTHFSRGF914oCqvlfwzpg2B3+gOu/+JLTAAAABHNzaDo=']";
/// A third CA under the second, by the same profile.
const THIRD_KEY: Edit =
    Push("key", "{ id = 'k3', token = 'main', label = 'k3', algorithm = 'ecdsa-p256', backup = 'none' }");
const THIRD_CA: Edit = Push(
    "ca",
    "{ id = 'c3', key = 'k3', issuer = 'servers-1', profile = 'intermediate', subject = [{ O = 'REHEARSAL' }, { CN = 'c3' }], days = 1, crl-days = 1 }",
);

#[test]
fn tokens_and_keys_have_a_name_a_pin_and_its_form() {
    use coldroot::config::{PinEntry, PinForm};
    let parsed = |edits: &[Edit]| Hierarchy::parse(&changed(EXAMPLE, edits)).unwrap();
    let plain = parsed(&[Set("token[0].pin", "'prompt'")]);
    assert_eq!((&plain.tokens[0].pin, &plain.tokens[0].pin_form), (&PinEntry::Prompt, &PinForm::Plain));
    assert_eq!(plain.age, None);
    let age = parsed(&[AGE, Remove("token[0].pin-file"), Set("token[0].pin-age", "'pin.age'")]);
    assert_eq!(age.tokens[0].pin, PinEntry::Age { file: "pin.age".into(), identity: None });
    assert_eq!(age.age.as_deref(), Some(Path::new("/usr/bin/age")));
    let user = parsed(&[Set("token[0].pin-form", "'user-password'"), Set("token[0].pin-user", "'co1'")]);
    assert_eq!(user.tokens[0].pin_form.prefix(), "co1:");
    let id = parsed(&[Set("token[0].pin-form", "'key-id'"), Set("token[0].pin-key-id", "'00aB'")]);
    assert_eq!(id.tokens[0].pin_form.prefix(), "00aB");
    // A rehearsal's file holds the PIN until it is split.
    assert_eq!(parsed(&[Set("token[0].pin", "'shares'")]).tokens[0].pin, PinEntry::Shares);
    let uri = parsed(&[Remove("key[0].label"), Set("key[0].uri", "'pkcs11:type=private;object=my%20key'")]);
    assert_eq!(uri.keys[0].label, "my key");
    let token = "'pkcs11:token=a;serial=1;library-version=2;slot-description=x'";
    let token = &parsed(&[Remove("token[0].label"), Set("token[0].uri", token)]).tokens[0];
    assert_eq!((token.label.as_str(), token.serial.as_deref()), ("a", Some("1")));
    assert_eq!((token.uri.library_version, token.uri.slot_description.as_deref()), (Some((2, 0)), Some("x")));
}

#[test]
fn lawless_hierarchies_are_refused_by_the_path_of_the_field() {
    #[rustfmt::skip]
    let cases: &[(&str, &[Edit], &str)] = &[
        // unknown, missing and mistyped fields
        ("unknown field", &[Set("surprise", "1")], "surprise"),
        ("unknown field in a CA", &[Set("ca[0].subjct", "[]")], "ca[0].subjct"),
        ("unknown field in a profile", &[Set("profile[2].sans", "[]")], "profile[2].sans"),
        ("unknown quorum", &[Set("quorum.revoke", "{ officer = 1 }")], "quorum.revoke"),
        ("unknown field in a policy", &[Set("profile[1].policies[0].notice", "'x'")], "profile[1].policies[0].notice"),
        ("missing field", &[Remove("ca[1].crl-days")], "ca[1]"),
        ("wrong type", &[Set("ca[1].days", "'ten'")], "ca[1].days"),
        ("negative number", &[Set("ca[1].days", "-1")], "ca[1].days"),
        // the head
        ("other format", &[Set("format", "'coldroot-hierarchy-v1'")], "format"),
        ("other environment", &[Set("environment", "'test'")], "environment"),
        ("no name", &[Set("name", "''")], "name"),
        ("control character in the name", &[Set("name", r#""a\u001b[31m""#)], "name"),
        ("spaces around the name", &[Set("name", "' a'")], "name"),
        ("long origin", &[Set("origin", "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'")], "origin"),
        ("space in the origin", &[Set("origin", "'a b'")], "origin"),
        ("plus in the origin", &[Set("origin", "'a+b'")], "origin"),
        // persons and quorums
        ("capital in an id", &[Set("person[0].id", "'Ada'")], "person[0].id"),
        ("path in an id", &[Set("key[0].id", "'../root'")], "key[0].id"),
        ("id that begins with a dot", &[Set("ca[1].id", "'.x'")], "ca[1].id"),
        ("unknown role", &[Set("person[1].roles", "['boss']")], "person[1].roles"),
        ("no SSH key", &[Set("person[1].keys", "['ssh-ed25519 AAAA']")], "person[1].keys[0]"),
        ("no SSH key of a desk", &[Set("desk[0].keys", "['x']")], "desk[0].keys[0]"),
        ("quorum of an unknown role", &[Set("quorum.keys", "{ boss = 1 }")], "quorum.keys"),
        ("quorum of nobody", &[Set("quorum.init", "{}")], "quorum.init"),
        ("quorum of zero", &[Set("quorum.init", "{ officer = 0 }")], "quorum.init"),
        ("quorum larger than the roster", &[Set("quorum.certificates", "{ officer = 4 }")], "quorum.certificates"),
        ("quorum of persons without keys", &[Remove("person[0].keys"), Remove("person[1].keys")], "quorum.init"),
        ("quorum beyond 32 bits", &[Set("quorum.init", "{ officer = 4294967295, witness = 4294967295 }")], "quorum.init"),
        // SSH keys: one holder each, and of a kind that is verified here
        ("key of two persons", &[Set("person[1].keys", ADA)], "person[1].keys[0]"),
        ("key of a person and a desk", &[Set("desk[0].keys", ADA)], "desk[0].keys[0]"),
        ("key twice with one person", &[Push("person[0].keys", "'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAaqxanBPLmSTHFSRGF914oCqvlfwzpg2B3+gOu/+JLT phone'")], "person[0].keys[1]"),
        ("RSA key", &[Push("person[0].keys", RSA)], "person[0].keys[1]"),
        ("P-384 key of a desk", &[Push("desk[0].keys", P384)], "desk[0].keys[1]"),
        ("empty list of a person's keys", &[Set("person[2].keys", "[]")], "person[2].keys"),
        ("desk without keys", &[Set("desk[0].keys", "[]")], "desk[0].keys"),
        ("person without a name", &[Set("person[0].name", "''")], "person[0].name"),
        ("override in a person's name", &[Set("person[0].name", r#""Ada\u202e""#)], "person[0].name"),
        ("no-break space in a person's name", &[Set("person[0].name", r#""Ada\u00a0Example""#)], "person[0].name"),
        // things that stand twice
        ("person twice", &[Set("person[1].id", "'ada'")], "person[1].id"),
        ("desk twice", &[Push("desk", "{ id = 'desk', keys = ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAC+g76LJT3HxVf7Us7aVVGVUteXqx5ZJ4CR7Y+aqxyw x'], profiles = [] }")], "desk[1].id"),
        ("token twice", &[Push("token", "{ id = 'main', module = '/m', label = 'l' }")], "token[1].id"),
        ("key twice", &[Set("key[1].id", "'root-key'")], "key[1].id"),
        ("CA twice", &[Set("ca[1].id", "'root'")], "ca[1].id"),
        ("profile twice", &[Set("profile[2].id", "'root'")], "profile[2].id"),
        ("label twice on a token", &[Set("key[0].label", "'x'"), Set("key[1].label", "'x'")], "key[0].label"),
        ("label of the audit key", &[Set("key[1].label", "'coldroot-audit'")], "key[1].label"),
        ("key of two CAs", &[Set("ca[1].key", "'root-key'")], "ca[0].key"),
        // references
        ("unknown audit token", &[Set("audit.token", "'x'")], "audit.token"),
        ("P-384 for the audit key", &[Set("audit.algorithm", "'ecdsa-p384'")], "audit.algorithm"),
        ("RSA for the audit key", &[Set("audit.algorithm", "'rsa-3072'")], "audit.algorithm"),
        ("capitals in the audit key's algorithm", &[Set("audit.algorithm", "'Ed25519'")], "audit.algorithm"),
        ("no text for the audit key's algorithm", &[Set("audit.algorithm", "2")], "audit.algorithm"),
        ("unknown token of a key", &[Set("key[1].token", "'x'")], "key[1].token"),
        ("unknown key of a CA", &[Set("ca[1].key", "'x'")], "ca[1].key"),
        ("unknown issuer of a CA", &[Set("ca[1].issuer", "'x'")], "ca[1].issuer"),
        ("unknown profile of a CA", &[Set("ca[1].profile", "'x'")], "ca[1].profile"),
        ("root with an intermediate's profile", &[Set("ca[0].profile", "'intermediate'")], "ca[0].profile"),
        ("intermediate with a root's profile", &[Set("ca[1].profile", "'root'")], "ca[1].profile"),
        ("issuers in a circle", &[
            THIRD_KEY,
            THIRD_CA,
            Set("ca[1].issuer", "'c3'"),
        ], "ca[1].issuer"),
        ("unknown issuer of a profile", &[Set("profile[2].issuer", "'x'")], "profile[2].issuer"),
        ("end-entity profile without issuer", &[Remove("profile[2].issuer")], "profile[2].issuer"),
        ("CA profile with issuer", &[Set("profile[1].issuer", "'root'")], "profile[1].issuer"),
        ("unknown profile of a desk", &[Set("desk[0].profiles", "['x']")], "desk[0].profiles"),
        ("a signer's profile of a desk", &[Push("profile", "{ id = 'log', base = 'audit-signer', issuer = 'root' }"), Set("desk[0].profiles", "['log']")], "desk[0].profiles"),
        ("names of a signer", &[Push("profile", "{ id = 'log', base = 'audit-signer', issuer = 'root', names = { dns = 'taken' } }")], "profile[5].names"),
        ("a signer that nobody issues", &[Push("profile", "{ id = 'log', base = 'crl-signer' }")], "profile[5].issuer"),
        ("CA profile of a desk", &[Set("desk[0].profiles", "['intermediate']")], "desk[0].profiles"),
        // validators and limits of desks
        ("validator with a desk's key", &[VALIDATOR, Set("validator[0].keys", DESK)], "validator[0].keys[0]"),
        ("validator with a person's key", &[VALIDATOR, Set("validator[0].keys", ADA)], "validator[0].keys[0]"),
        ("validator without a key", &[VALIDATOR, Set("validator[0].keys", "[]")], "validator[0].keys"),
        ("validator twice", &[VALIDATOR, Push("validator", "{ id = 'val', keys = ['ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBDssELsorQJoFqTa/o2rDKpWuQP69U5v7tjJti3HyQeFP9rEdNe7J36/e8XuJX2kGyOgCPCZqyKsxLcZbaw6Yhc='] }")], "validator[1].id"),
        ("validator until a day that is none", &[VALIDATOR, Set("validator[0].expires", "'2027-13-01'")], "validator[0].expires"),
        ("more validators than there are", &[VALIDATOR, Set("profile[2].validators", "2")], "profile[2].validators"),
        ("validators of a CA profile", &[Set("profile[1].validators", "0")], "profile[1].validators"),
        ("age of validations of a CA profile", &[Set("profile[1].validation-days", "9")], "profile[1].validation-days"),
        ("validations of no age", &[Set("profile[2].validation-days", "0")], "profile[2].validation-days"),
        ("validations too old", &[Set("profile[2].validation-days", "3651")], "profile[2].validation-days"),
        ("no suffix", &[Set("desk[0].suffixes", "[]")], "desk[0].suffixes"),
        ("suffix with a dot before", &[Set("desk[0].suffixes", "['a.example', '.example.org']")], "desk[0].suffixes[1]"),
        ("suffix with a dot behind", &[Set("desk[0].suffixes", "['example.org.']")], "desk[0].suffixes[0]"),
        ("suffix in capitals", &[Set("desk[0].suffixes", "['Example.org']")], "desk[0].suffixes[0]"),
        ("wildcard as suffix", &[Set("desk[0].suffixes", "['*.example.org']")], "desk[0].suffixes[0]"),
        ("empty suffix", &[Set("desk[0].suffixes", "['']")], "desk[0].suffixes[0]"),
        ("bundles of nothing", &[Set("desk[0].max-items", "0")], "desk[0].max-items"),
        ("days of nothing", &[Set("desk[0].max-items-per-day", "0")], "desk[0].max-items-per-day"),
        // expiry and verification of persons
        ("day that is none", &[Set("person[0].expires", "'2027-02-30'")], "person[0].expires"),
        ("time of a day", &[Set("person[0].expires", "'2027-06-30T00:00:00Z'")], "person[0].expires"),
        ("date of another form", &[Set("person[0].expires", "'30.06.2027'")], "person[0].expires"),
        ("verification by a key in a file", &[Set("person[0].user-verification", "true")], "person[0].keys[0]"),
        // tokens and keys
        ("PIN file in a real hierarchy", &[Set("environment", "'real'"), Remove("token[0].so-pin-file")], "token[0].pin-file"),
        ("SO PIN file in a real hierarchy", &[Set("environment", "'real'"), Remove("token[0].pin-file")], "token[0].so-pin-file"),
        ("token label too long", &[Set("token[0].label", "'123456789012345678901234567890123'")], "token[0].label"),
        ("mark elsewhere", &[Set("audit.mark", "'cloud'")], "audit.mark"),
        ("minutes by file without paper", &[Set("audit.minutes-file", "'m'")], "audit.minutes-file"),
        ("minutes by file where a PIN is typed", &[Set("audit.mark", "'paper'"), Set("audit.minutes-file", "'m'"), Remove("token[0].pin-file")], "audit.minutes-file"),
        ("minutes by file where shares are typed", &[Set("audit.mark", "'paper'"), Set("audit.minutes-file", "'m'"), Set("token[0].pin", "'shares'")], "audit.minutes-file"),
        ("minutes-file with a control character", &[Set("audit.mark", "'paper'"), Set("audit.minutes-file", r#""a\u001b""#)], "audit.minutes-file"),
        ("audit key without label", &[Set("audit.key-label", "''")], "audit.key-label"),
        ("empty serial", &[Set("token[0].serial", "''")], "token[0].serial"),
        ("serial longer than PKCS #11 has", &[Set("token[0].serial", "'12345678901234567'")], "token[0].serial"),
        ("sandbox that is neither", &[Set("station.sandbox", "'no'")], "station.sandbox"),
        ("locked pages that are neither", &[Set("station.locked-pages", "'yes'")], "station.locked-pages"),
        ("token without a name", &[Remove("token[0].label")], "token[0].label"),
        ("token with two names", &[Set("token[0].uri", "'pkcs11:token=l;serial=1'")], "token[0].uri"),
        ("PIN in a token's URI", &[Remove("token[0].label"), Set("token[0].uri", "'pkcs11:token=l?pin-value=1'")], "token[0].uri"),
        ("slot number in a token's URI", &[Remove("token[0].label"), Set("token[0].uri", "'pkcs11:token=l;slot-id=1'")], "token[0].uri"),
        ("PIN from nowhere", &[Set("token[0].pin", "'yubikey'")], "token[0].pin"),
        ("PIN from file and keypad", &[Set("token[0].pin", "'keypad'")], "token[0].pin-file"),
        ("PIN from two files", &[AGE, Set("token[0].pin-age", "'pin.age'")], "token[0].pin-age"),
        ("PIN from age and keypad", &[AGE, Remove("token[0].pin-file"), Set("token[0].pin", "'keypad'"), Set("token[0].pin-age", "'pin.age'")], "token[0].pin-age"),
        ("PIN from age without age", &[Remove("token[0].pin-file"), Set("token[0].pin-age", "'pin.age'")], "token[0].pin-age"),
        ("PIN from an age file without a name", &[AGE, Remove("token[0].pin-file"), Set("token[0].pin-age", "''")], "token[0].pin-age"),
        ("identity without a name", &[AGE, Remove("token[0].pin-file"), Set("token[0].pin-age", "'p'"), Set("token[0].pin-age-identity", "''")], "token[0].pin-age-identity"),
        ("identity for nothing", &[AGE, Set("token[0].pin-age-identity", "'id'")], "token[0].pin-age-identity"),
        ("relative age", &[Set("programs", "{ age = 'age' }")], "programs.age"),
        ("NUL in age's path", &[Set("programs", r#"{ age = "/a\u0000" }"#)], "programs.age"),
        ("another program", &[Set("programs", "{ rm = '/bin/rm' }")], "programs.rm"),
        ("unknown form of PIN", &[Set("token[0].pin-form", "'pkcs15'")], "token[0].pin-form"),
        ("user form without a user", &[Set("token[0].pin-form", "'user-password'")], "token[0].pin-user"),
        ("user for another form", &[Set("token[0].pin-user", "'co1'")], "token[0].pin-user"),
        ("user with a colon", &[Set("token[0].pin-form", "'user-password'"), Set("token[0].pin-user", "'co:1'")], "token[0].pin-user"),
        ("user without a name", &[Set("token[0].pin-form", "'user-password'"), Set("token[0].pin-user", "''")], "token[0].pin-user"),
        ("key-id form without a key id", &[Set("token[0].pin-form", "'key-id'")], "token[0].pin-key-id"),
        ("key id for another form", &[Set("token[0].pin-form", "'user-password'"), Set("token[0].pin-user", "'u'"), Set("token[0].pin-key-id", "'0001'")], "token[0].pin-key-id"),
        ("key id of three digits", &[Set("token[0].pin-form", "'key-id'"), Set("token[0].pin-key-id", "'001'")], "token[0].pin-key-id"),
        ("key id that is no hex", &[Set("token[0].pin-form", "'key-id'"), Set("token[0].pin-key-id", "'000g'")], "token[0].pin-key-id"),
        ("form at a keypad", &[Remove("token[0].pin-file"), Set("token[0].pin", "'keypad'"), Set("token[0].pin-form", "'key-id'"), Set("token[0].pin-key-id", "'0001'")], "token[0].pin-form"),
        ("form of shares", &[Set("token[0].pin", "'shares'"), Set("token[0].pin-form", "'key-id'"), Set("token[0].pin-key-id", "'0001'")], "token[0].pin-form"),
        ("key with two names", &[Set("key[0].uri", "'pkcs11:object=k'")], "key[0].uri"),
        ("key without a name", &[Remove("key[0].label")], "key[0].label"),
        ("key with an id of its own", &[Remove("key[0].label"), Set("key[0].uri", "'pkcs11:object=k;id=%01'")], "key[0].uri"),
        ("key named with its token", &[Remove("key[0].label"), Set("key[0].uri", "'pkcs11:object=k;token=t'")], "key[0].uri"),
        ("key named twice by URI", &[Remove("key[0].label"), Set("key[0].uri", "'pkcs11:object=servers-1-2026'")], "key[0].label"),
        ("module without a path", &[Set("token[0].module", "'libsofthsm2.so'")], "token[0].module"),
        ("relative module", &[Set("token[0].module", "'./libsofthsm2.so'")], "token[0].module"),
        ("NUL in the module's path", &[Set("token[0].module", r#""/m\u0000""#)], "token[0].module"),
        ("variable without a name", &[Set("token[0].env", "{ '' = 'x' }")], "token[0].env"),
        ("equals sign in a variable's name", &[Set("token[0].env", "{ 'A=B' = 'x' }")], "token[0].env"),
        ("NUL in a variable's name", &[Set("token[0].env", r#"{ "A\u0000" = "x" }"#)], "token[0].env"),
        ("NUL in a variable", &[Set("token[0].env", r#"{ A = "x\u0000" }"#)], "token[0].env.A"),
        ("PIN file without a name", &[Set("token[0].pin-file", "''")], "token[0].pin-file"),
        ("no session", &[Set("token[0].sessions", "0")], "token[0].sessions"),
        ("too many sessions", &[Set("token[0].sessions", "65")], "token[0].sessions"),
        ("arguments of two lines", &[Set("token[0].init-args", "\"a\\nb\"")], "token[0].init-args"),
        ("no arguments", &[Set("token[0].init-args", "\"\"")], "token[0].init-args"),
        ("accepted without a reason", &[Set("token[0].accept-unprotected", "''")], "token[0].accept-unprotected"),
        ("accepted by a switch", &[Set("token[0].accept-unprotected", "true")], "token[0].accept-unprotected"),
        ("a slot below the first", &[Set("token[0].slot", "-1")], "token[0].slot"),
        ("a slot by its name", &[Set("token[0].slot", "\"3\"")], "token[0].slot"),
        ("no time to answer", &[Set("token[0].deadline-seconds", "0")], "token[0].deadline-seconds"),
        ("more than an hour to answer", &[Set("token[0].deadline-seconds", "3601")], "token[0].deadline-seconds"),
        ("no time to sign", &[Set("token[0].deadlines", "{ sign = 0 }")], "token[0].deadlines.sign"),
        ("more than an hour to log in", &[Set("token[0].deadlines", "{ login = 3601 }")], "token[0].deadlines.login"),
        ("too long for one signature", &[Set("token[0].deadlines", "{ sign-each-ms = 600001 }")], "token[0].deadlines.sign-each-ms"),
        ("unknown deadline", &[Set("token[0].deadlines", "{ verify = 1 }")], "token[0].deadlines.verify"),
        ("too many retries", &[Set("token[0].retries", "21")], "token[0].retries"),
        ("copy of nothing", &[Set("token[0].same-keys-as", "'ghost'")], "token[0].same-keys-as"),
        ("copy of itself", &[Set("token[0].same-keys-as", "'main'")], "token[0].same-keys-as"),
        ("standby twice", &[Set("token[0].standby", "['b', 'c', 'b']")], "token[0].standby[2]"),
        ("standby that is the token", &[Set("token[0].serial", "'b'"), Set("token[0].standby", "['b']")], "token[0].standby[0]"),
        ("standby that is no serial", &[Set("token[0].standby", "['12345678901234567']")], "token[0].standby[0]"),
        (
            "standby of a token without the audit key",
            &[Push("token", "{ id = 't2', module = '/m', label = 't2', standby = ['b'] }")],
            "token[1].standby",
        ),
        ("no process", &[Set("token[0].processes", "0")], "token[0].processes"),
        ("too many processes", &[Set("token[0].processes", "17")], "token[0].processes"),
        ("key without label", &[Set("key[0].label", "''")], "key[0].label"),
        ("unknown algorithm", &[Set("key[0].algorithm", "'ecdsa-p224'")], "key[0].algorithm"),
        ("weak algorithm for a CA", &[Set("key[0].algorithm", "'rsa-2048'")], "key[0].algorithm"),
        ("weak algorithm for a CA, padded", &[Set("key[0].algorithm", "'rsa-2048-pss'")], "key[0].algorithm"),
        ("unknown set of SLH-DSA", &[Set("key[0].algorithm", "'slh-dsa-sha2-128'")], "key[0].algorithm"),
        ("padding of a request's key", &[Set("profile[2].keys", "['rsa-2048-pss']")], "profile[2].keys"),
        ("wrapping key of a key that is never wrapped", &[WRAPPING, Set("key[0].wrapped-by", "'wrap-1'")], "key[0].wrapped-by"),
        ("wrapping key that is not declared", &[Set("key[0].backup", "'wrap'"), Set("key[0].wrapped-by", "'x'")], "key[0].wrapped-by"),
        ("wrapping key on no token", &[WRAPPING, Set("wrapping-key[0].token", "'x'")], "wrapping-key[0].token"),
        ("wrapping key with a key's id", &[WRAPPING, Set("wrapping-key[0].id", "'root-key'")], "wrapping-key[0].id"),
        ("wrapping key with a key's label", &[WRAPPING, Set("wrapping-key[0].label", "'root-2026'")], "wrapping-key[0].label"),
        ("wrapping key twice", &[WRAPPING, Push("wrapping-key", WRAP_1)], "wrapping-key[1].id"),
        ("unknown backup", &[Set("key[0].backup", "'usb'")], "key[0].backup"),
        // CAs
        ("CA without a name", &[Set("ca[0].subject", "[]")], "ca[0].subject"),
        ("two attributes in one", &[Set("ca[0].subject", "[{ O = 'REHEARSAL', CN = 'x' }]")], "ca[0].subject[0]"),
        ("unknown attribute", &[Set("ca[0].subject", "[{ O = 'REHEARSAL' }, { UID = 'x' }]")], "ca[0].subject[1]"),
        ("attribute too long", &[Set("ca[0].subject", "[{ O = 'REHEARSAL' }, { CN = '12345678901234567890123456789012345678901234567890123456789012345' }]")], "ca[0].subject[1]"),
        ("control character in a name", &[Set("ca[0].subject", r#"[{ O = "REHEARSAL" }, { CN = "a\u0007" }]"#)], "ca[0].subject[1]"),
        ("override in a name", &[Set("ca[0].subject", r#"[{ O = "REHEARSAL" }, { CN = "a\u202eb" }]"#)], "ca[0].subject[1]"),
        ("zero-width space in a name", &[Set("ca[0].subject", r#"[{ O = "REHEARSAL" }, { CN = "a\u200bb" }]"#)], "ca[0].subject[1]"),
        ("hidden tag in a name", &[Set("ca[0].subject", r#"[{ O = "REHEARSAL" }, { CN = "a\U000e0041" }]"#)], "ca[0].subject[1]"),
        ("private-use character in a name", &[Set("ca[0].subject", r#"[{ O = "REHEARSAL" }, { CN = "a\ue000" }]"#)], "ca[0].subject[1]"),
        ("line separator in a name", &[Set("ca[0].subject", r#"[{ O = "REHEARSAL" }, { CN = "a\u2028b" }]"#)], "ca[0].subject[1]"),
        ("space behind a name", &[Set("ca[0].subject", "[{ O = 'REHEARSAL' }, { CN = 'a ' }]")], "ca[0].subject[1]"),
        ("country of one letter", &[Set("ca[0].subject", "[{ O = 'REHEARSAL' }, { C = 'D' }]")], "ca[0].subject[1]"),
        ("country in small letters", &[Set("ca[0].subject", "[{ O = 'REHEARSAL' }, { C = 'de' }]")], "ca[0].subject[1]"),
        ("serial number that is not printable", &[Set("ca[0].subject", "[{ O = 'REHEARSAL' }, { serialNumber = 'a*b' }]")], "ca[0].subject[1]"),
        ("domain component beyond ASCII", &[Set("ca[0].subject", "[{ O = 'REHEARSAL' }, { DC = 'bücher' }]")], "ca[0].subject[1]"),
        ("two CAs of one name", &[Set("ca[1].subject", "[{ O = 'REHEARSAL' }, { O = 'Example XMPP Trust' }, { CN = 'Example Root 2026' }]")], "ca[0].subject"),
        ("rehearsal that does not say so", &[Set("ca[1].subject", "[{ O = 'Example' }]")], "ca[1].subject[0]"),
        ("rehearsal that says so second", &[Set("ca[1].subject", "[{ C = 'DE' }, { O = 'REHEARSAL' }]")], "ca[1].subject[0]"),
        ("real hierarchy that says rehearsal", &[Set("environment", "'real'"), Remove("token[0].pin-file"), Remove("token[0].so-pin-file")], "ca[0].subject[0]"),
        ("no validity", &[Set("ca[0].days", "0")], "ca[0].days"),
        ("validity too long", &[Set("ca[0].days", "36526")], "ca[0].days"),
        ("a root whose key is elsewhere", &[Set("ca[0].key", "'elsewhere'")], "ca[0].key"),
        ("a CA called external", &[Set("ca[0].id", "'external'")], "ca[0].id"),
        ("a CA of which nothing is here", &[Set("ca[1].issuer", "'external'"), Set("ca[1].key", "'elsewhere'")], "ca[1].key"),
        ("an issuer's certificate of a CA of ours", &[Set("ca[1].issuer-certificate", "'a.pem'"), Set("ca[1].issuer-sha256", SHA256)], "ca[1].issuer-certificate"),
        ("an issuer's certificate without its digest", &[Set("ca[1].issuer", "'external'"), Set("ca[1].issuer-certificate", "'a.pem'")], "ca[1].issuer-sha256"),
        ("an issuer's digest without its certificate", &[Set("ca[1].issuer", "'external'"), Set("ca[1].issuer-sha256", SHA256)], "ca[1].issuer-certificate"),
        ("an issuer's digest that is none", &[Set("ca[1].issuer", "'external'"), Set("ca[1].issuer-certificate", "'a.pem'"), Set("ca[1].issuer-sha256", "'00'")], "ca[1].issuer-sha256"),
        ("a profile of roots for a CA outside", &[Set("ca[1].issuer", "'external'"), Set("ca[1].profile", "'root'")], "ca[1].profile"),
        ("an issuer whose key is elsewhere", &[Set("ca[1].key", "'elsewhere'")], "profile[2].issuer"),
        ("days beside no end", &[Set("ca[0].expires", "'never'")], "ca[0].expires"),
        ("an end that is no word", &[Remove("ca[0].days"), Set("ca[0].expires", "'2099'")], "ca[0].expires"),
        ("neither days nor no end", &[Remove("ca[0].days")], "ca[0].days"),
        ("intermediate that never ends under a root that does", &[Remove("ca[1].days"), Set("ca[1].expires", "'never'")], "ca[1].expires"),
        ("RDN without an attribute", &[Set("ca[0].subject", "[{ O = 'REHEARSAL' }, {}]")], "ca[0].subject[1]"),
        ("rehearsal that says so beside another attribute", &[Set("ca[0].subject", "[{ O = 'REHEARSAL', CN = 'x' }]")], "ca[0].subject[0]"),
        // what a CA leaves to those below it
        ("no purpose", &[Set("ca[1].limits.eku", "[]")], "ca[1].limits.eku"),
        ("a purpose that is none", &[Set("ca[1].limits.eku", "['tls']")], "ca[1].limits.eku[0]"),
        ("a purpose twice", &[Set("ca[1].limits.eku", "['server-auth', '1.3.6.1.5.5.7.3.1']")], "ca[1].limits.eku[1]"),
        ("every purpose", &[Set("ca[1].limits.eku", "['2.5.29.37.0']")], "ca[1].limits.eku[0]"),
        ("a name of two forms", &[Set("ca[1].limits.name-constraints", "{ permitted = [{ dns = 'a.example', ip = '10.0.0.0/8' }] }")], "ca[1].limits.name-constraints.permitted[0]"),
        ("a name of no form", &[Set("ca[1].limits.name-constraints", "{ excluded = [{}] }")], "ca[1].limits.name-constraints.excluded[0]"),
        ("a domain with a dot in front", &[Set("ca[1].limits.name-constraints", "{ permitted = [{ dns = '.a.example' }] }")], "ca[1].limits.name-constraints.permitted[0].dns"),
        ("a domain beyond ASCII", &[Set("ca[1].limits.name-constraints", "{ permitted = [{ dns = 'bücher.example' }] }")], "ca[1].limits.name-constraints.permitted[0].dns"),
        ("a network with bits behind its prefix", &[Set("ca[1].limits.name-constraints", "{ permitted = [{ ip = '10.0.0.1/8' }] }")], "ca[1].limits.name-constraints.permitted[0].ip"),
        ("no mailbox", &[Set("ca[1].limits.name-constraints", "{ permitted = [{ email = '@a.example' }] }")], "ca[1].limits.name-constraints.permitted[0].email"),
        ("a name twice", &[Set("ca[1].limits.name-constraints", "{ permitted = [{ dns = 'a.example' }, { dns = 'A.example' }] }")], "ca[1].limits.name-constraints.permitted[1]"),
        ("an attribute that is none", &[Set("ca[1].limits.name-constraints", "{ permitted = [{ directory = [{ X = 'a' }] }] }")], "ca[1].limits.name-constraints.permitted[0].directory[0]"),
        ("a count beyond any", &[Set("ca[1].limits.inhibit-any-policy", "256")], "ca[1].limits.inhibit-any-policy"),
        ("CRL validity too long", &[Set("ca[1].crl-days", "3651")], "ca[1].crl-days"),
        ("CRL over https", &[Set("ca[1].crl-urls", "['http://ok.example/', 'https://ca.example.org/x.crl']")], "ca[1].crl-urls[1]"),
        ("space in a URL", &[Set("ca[1].issuer-urls", "['http://ca.example.org/a b']")], "ca[1].issuer-urls[0]"),
        // CAs under their issuers: what no ceremony could carry out
        ("intermediate that outlives its issuer", &[Set("ca[1].days", "7301")], "ca[1].days"),
        ("leaf that outlives its issuer", &[Set("ca[1].days", "89")], "profile[2].days"),
        ("root without room for an intermediate", &[Set("profile[0].path-len", "0")], "profile[0].path-len"),
        ("no room below an intermediate", &[THIRD_KEY, THIRD_CA], "profile[1].path-len"),
        ("path length that is left out under a limit", &[Set("profile[0].path-len", "1"), Remove("profile[1].path-len")], "profile[1].path-len"),
        ("path length not smaller than the issuer's", &[Set("profile[0].path-len", "1"), Set("profile[1].path-len", "1")], "profile[1].path-len"),
        ("path length beyond any", &[Set("profile[0].path-len", "256")], "profile[0].path-len"),
        // lists of compromised keys
        ("block list outside the station", &[Set("keys", "{ block-lists = ['../list.txt'] }")], "keys.block-lists"),
        ("absolute block list", &[Set("keys", "{ badkeys-lists = ['/list.dat'] }")], "keys.badkeys-lists"),
        ("block list without a name", &[Set("keys", "{ block-lists = [''] }")], "keys.block-lists"),
        ("block list twice", &[Set("keys", "{ block-lists = ['a'], badkeys-lists = ['./a'] }")], "keys.badkeys-lists"),
        ("unknown kind of block list", &[Set("keys", "{ lists = ['a'] }")], "keys.lists"),
        // profiles
        ("no kind of key", &[Set("profile[2].keys", "[]")], "profile[2].keys"),
        ("policy twice", &[Push("profile[1].policies", "{ oid = '1.3.6.1.4.1.32473.1' }")], "profile[1].policies[1].oid"),
        ("OID written in another way", &[Set("profile[1].policies", "[{ oid = '1.03.6' }]")], "profile[1].policies[0].oid"),
        ("unknown base", &[Set("profile[0].base", "'tls'")], "profile[0].base"),
        ("path length of a leaf", &[Set("profile[2].path-len", "0")], "profile[2].path-len"),
        ("days of a CA profile", &[Set("profile[1].days", "30")], "profile[1].days"),
        ("IP addresses of an XMPP profile", &[Set("profile[2].names", "{ ip = 'taken' }")], "profile[2].names.ip"),
        ("names of a CA profile", &[Set("profile[1].names", "{ ip = 'refused' }")], "profile[1].names"),
        ("xmppAddr of a TLS profile", &[Set("profile[3].names", "{ xmpp-addr = 'taken' }")], "profile[3].names.xmpp-addr"),
        ("wildcards of a device profile", &[Set("profile[4].names", "{ wildcard = 'taken' }")], "profile[4].names.wildcard"),
        ("server without domain names", &[Set("profile[2].names", "{ dns = 'refused' }")], "profile[2].names.dns"),
        ("device without an id", &[Set("profile[4].names", "{ id = 'taken' }")], "profile[4].names.id"),
        ("name that is asked for and ignored", &[Set("profile[3].names", "{ ip = 'ignored' }")], "profile[3].names.ip"),
        ("rule that is none", &[Set("profile[3].names", "{ ip = 'allowed' }")], "profile[3].names.ip"),
        ("form of name that is none", &[Set("profile[3].names", "{ x400 = 'taken' }")], "profile[3].names.x400"),
        ("client without a form of name", &[Set("profile[4].base", "'tls-client'"), Set("profile[4].names", "{ id = 'refused', dns = 'refused', mail = 'refused', uri = 'refused' }")], "profile[4].names"),
        ("extension that is copied", &[Set("profile[2].extensions", "{ key-usage = 'taken' }")], "profile[2].extensions.key-usage"),
        ("extension that has no name", &[Set("profile[2].extensions", "{ usage = 'refused' }")], "profile[2].extensions.usage"),
        ("extension that is a name", &[Set("profile[2].extensions", "{ '2.5.29.17' = 'refused' }")], "profile[2].extensions.2.5.29.17"),
        ("extension of two rules", &[Set("profile[2].extensions", "{ '2.5.29.15' = 'refused', key-usage = 'ignored' }")], "profile[2].extensions.key-usage"),
        ("staple that is always there and refused", &[Set("profile[2].must-staple", "true"), Set("profile[2].extensions", "{ tls-feature = 'refused' }")], "profile[2].extensions.tls-feature"),
        ("staple of a client", &[Set("profile[4].must-staple", "true")], "profile[4].must-staple"),
        ("added extension of ours", &[Set("profile[2].added-extensions", "[{ oid = '2.5.29.19', der = '3000' }]")], "profile[2].added-extensions[0].oid"),
        ("added extension twice", &[Set("profile[2].added-extensions", "[{ oid = '1.3.6.1.4.1.32473.9', der = '0500' }, { oid = '1.3.6.1.4.1.32473.9', der = '0500' }]")], "profile[2].added-extensions[1].oid"),
        ("added extension that is no DER", &[Set("profile[2].added-extensions", "[{ oid = '1.3.6.1.4.1.32473.9', der = '020200' }]")], "profile[2].added-extensions[0].der"),
        ("added extension with a tail", &[Set("profile[2].added-extensions", "[{ oid = '1.3.6.1.4.1.32473.9', der = '050000' }]")], "profile[2].added-extensions[0].der"),
        ("added extension that is BER", &[Set("profile[2].added-extensions", "[{ oid = '1.3.6.1.4.1.32473.9', der = '02020001' }]")], "profile[2].added-extensions[0].der"),
        ("purpose of any kind", &[Set("profile[2].eku", "['server-auth', '2.5.29.37.0']")], "profile[2].eku[1]"),
        ("purpose that speaks for the CA", &[Set("profile[2].eku", "['server-auth', '1.3.6.1.5.5.7.3.9']")], "profile[2].eku[1]"),
        ("purpose twice", &[Set("profile[2].eku", "['server-auth', '1.3.6.1.5.5.7.3.1']")], "profile[2].eku[1]"),
        ("purposes without TLS", &[Set("profile[2].eku", "['1.3.6.1.5.5.7.3.4']")], "profile[2].eku"),
        ("device that is a server", &[Set("profile[4].eku", "['server-auth']")], "profile[4].eku[0]"),
        ("bases in a circle", &[Set("profile[3].base", "'device'"), Set("profile[4].base", "'tls-server'")], "profile[3].base"),
        ("base of one's own that is none", &[Set("profile[3].id", "'web'"), Set("profile[3].base", "'web'")], "profile[3].base"),
        ("CA profile that a leaf inherits", &[Set("profile[4].base", "'intermediate'"), Remove("profile[4].days"), Remove("profile[4].keys")], "profile[4].issuer"),
        ("commonName of a device profile", &[Set("profile[4].common-name", "false")], "profile[4].common-name"),
        ("path length of a device profile", &[Set("profile[4].path-len", "0")], "profile[4].path-len"),
        ("device profile without an issuer", &[Remove("profile[4].issuer")], "profile[4].issuer"),
        ("CA of a device profile", &[Set("ca[1].profile", "'device'")], "ca[1].profile"),
        ("key-reuse of a CA profile", &[Set("profile[1].key-reuse", "'never'")], "profile[1].key-reuse"),
        ("leaf validity too long", &[Set("profile[2].days", "3651")], "profile[2].days"),
        ("leaf validity in minutes", &[Remove("profile[2].days"), Set("profile[2].validity", "'90m'")], "profile[2].validity"),
        ("leaf validity too long in hours", &[Remove("profile[2].days"), Set("profile[2].validity", "'87601h'")], "profile[2].validity"),
        ("leaf validity said twice", &[Set("profile[2].validity", "'36h'")], "profile[2].validity"),
        ("validity of a CA profile", &[Set("profile[1].validity", "'36h'")], "profile[1].validity"),
        ("no window", &[Set("profile[2].window-hours", "0")], "profile[2].window-hours"),
        ("window too long", &[Set("profile[2].window-hours", "745")], "profile[2].window-hours"),
        ("no OID", &[Set("profile[1].policies", "[{ oid = '1.3.x' }]")], "profile[1].policies[0].oid"),
        ("OID of one arc", &[Set("profile[1].policies", "[{ oid = '1' }]")], "profile[1].policies[0].oid"),
        ("OID outside the tree", &[Set("profile[1].policies", "[{ oid = '1.40.1' }]")], "profile[1].policies[0].oid"),
        ("practice statement beyond ASCII", &[Set("profile[1].policies[0].cps", "'http://bücher.example/'")], "profile[1].policies[0].cps"),
    ];
    for (what, edits, wanted) in cases {
        let result = Hierarchy::parse(&changed(EXAMPLE, edits));
        let (field, message) = field_of(result, what);
        assert_eq!(&field, wanted, "{what}: {message}");
        assert!(message.is_ascii(), "{what}: text of the file reaches the terminal unescaped: {message}");
    }
}

const WRAP_1: &str = "{ id = 'wrap-1', token = 'main', label = 'wrap' }";
const WRAPPING: Edit = Set("wrapping-key", "[{ id = 'wrap-1', token = 'main', label = 'wrap' }]");

#[test]
fn lawful_hierarchies_that_look_close_to_lawless_ones() {
    let cases: &[(&str, &[Edit])] = &[
        ("ECDSA P-256 key", &[Push("person[0].keys", P256)]),
        ("audit key of ECDSA P-256", &[Set("audit.algorithm", "'ecdsa-p256'")]),
        ("witness without a key", &[Remove("person[2].keys")]),
        ("as many validators as there are", &[VALIDATOR, Set("profile[2].validators", "1")]),
        ("suffixes of several labels", &[Set("desk[0].suffixes", "['xn--bcher-kva.example', 'org']")]),
        ("desk that has nothing revoked", &[Set("desk[0].max-revocations", "0")]),
        ("last day of February", &[Set("person[0].expires", "'2028-02-29'")]),
        ("verification by FIDO keys", &[Set("person[0].keys", SK), Set("person[0].user-verification", "true")]),
        ("no verification asked of a key in a file", &[Set("person[0].user-verification", "false")]),
        ("a person and a desk of one id", &[Set("desk[0].id", "'ada'")]),
        (
            "international names",
            &[
                Set("ca[0].subject", "[{ O = 'REHEARSAL' }, { CN = 'Bücher-Wurzel 書' }]"),
                Set("person[0].name", "'Ada Übel-Example'"),
            ],
        ),
        ("intermediate as old as its issuer", &[Set("ca[1].days", "7300")]),
        ("path lengths that fall", &[Set("profile[0].path-len", "1"), Set("profile[1].path-len", "0")]),
        ("several CAs without a limit", &[Remove("profile[1].path-len"), THIRD_KEY, THIRD_CA]),
        ("serial of 16", &[Set("token[0].serial", "'1234567890123456'")]),
        ("no environment", &[Set("token[0].env", "{}")]),
        ("key that is wrapped", &[WRAPPING, Set("key[0].backup", "'wrap'"), Set("key[0].wrapped-by", "'wrap-1'")]),
        ("PIN for each signature", &[Set("key[0].always-authenticate", "true")]),
    ];
    for (what, edits) in cases {
        if let Err(e) = Hierarchy::parse(&changed(EXAMPLE, edits)) {
            panic!("{what}: {e}");
        }
    }
}

#[test]
fn a_contradiction_names_both_fields() {
    let cases: &[(&[Edit], [&str; 2])] = &[
        (&[Set("ca[1].days", "7301")], ["ca[1].days", "ca[0].days"]),
        (&[Set("ca[1].days", "89")], ["profile[2].days", "ca[1].days"]),
        (&[Set("profile[0].path-len", "0")], ["profile[0].path-len", "ca[1]"]),
        (
            &[Set("profile[0].path-len", "1"), Remove("profile[1].path-len")],
            ["profile[1].path-len", "profile[0].path-len"],
        ),
        (&[Set("person[1].keys", ADA)], ["person[1].keys[0]", "person[0].keys[0]"]),
        (&[Push("person[0].keys", RSA)], ["ssh-rsa", "ed25519-sk"]),
    ];
    for (edits, named) in cases {
        let error = Hierarchy::parse(&changed(EXAMPLE, edits)).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(named.iter().all(|name| error.contains(name)), "{named:?} in `{error}`");
    }
}

#[test]
fn a_real_hierarchy_is_the_example_without_its_rehearsal() {
    let real = [
        Set("environment", "'real'"),
        Remove("station"),
        Remove("token[0].pin-file"),
        Remove("token[0].so-pin-file"),
        Set("ca[0].subject", "[{ CN = 'Example Root 2026' }]"),
        Set("ca[1].subject", "[{ DC = 'org' }, { DC = 'example' }, { CN = 'Example Servers 1' }]"),
    ];
    let h = Hierarchy::parse(&changed(EXAMPLE, &real)).unwrap();
    assert_eq!(h.environment, Environment::Real);
    assert_eq!((h.sandbox, h.locked_pages), (Guard::Required, Guard::Required), "what is not said is required");
    assert_eq!(h.ca("servers-1").unwrap().subject.len(), 3, "repeated attribute types are kept");
}

#[test]
fn files_that_are_no_hierarchy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hierarchy.toml");
    assert!(matches!(Hierarchy::load(&path), Err(Error::Read { .. })));
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    field_of(Hierarchy::load(&path), "not UTF-8");
    std::fs::write(&path, "a = = 1").unwrap();
    field_of(Hierarchy::load(&path), "not TOML");
    std::fs::write(&path, "").unwrap();
    field_of(Hierarchy::load(&path), "empty");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(MAX_FILE + 1).unwrap();
    let error = Hierarchy::load(&path).err().unwrap();
    assert!(matches!(error, Error::TooLarge { limit: MAX_FILE, .. }), "{error}");
}

#[test]
fn the_ceremony_makes_a_root_and_an_intermediate() {
    let ceremony = Ceremony::load(&scripts().join("root-and-intermediate.toml"), &hierarchy()).unwrap();
    let acts: Vec<&Act> = ceremony.acts.iter().filter(|act| !matches!(act, Act::Step { .. })).collect();
    let wanted = [
        Act::GenerateKey { key: "root-key".into() },
        Act::GenerateKey { key: "servers-1-key".into() },
        Act::Root { ca: "root".into() },
        Act::Intermediate { ca: "servers-1".into() },
    ];
    assert_eq!(acts, wanted.iter().collect::<Vec<_>>());
    assert!(ceremony.acts.len() > wanted.len(), "the script has steps for people");
}

#[test]
fn lawless_ceremonies_are_refused_by_the_path_of_the_field() {
    let cases: &[(&str, &[Edit], &str)] = &[
        ("other format", &[Set("format", "'x'")], "format"),
        ("unknown field", &[Set("act[0].note", "'x'")], "act[0].note"),
        ("no act", &[Set("act", "[]")], "act"),
        ("unknown kind", &[Set("act[0].kind", "'destroy'")], "act[0].kind"),
        ("step without text", &[Remove("act[0].text")], "act[0].text"),
        ("step with an empty text", &[Set("act[0].text", "''")], "act[0].text"),
        ("override in a step", &[Set("act[0].text", r#""a\u202e""#)], "act[0].text"),
        ("no title", &[Set("title", "''")], "title"),
        ("control character in the title", &[Set("title", r#""a\u001b[2J""#)], "title"),
        ("key act without key", &[Remove("act[3].key")], "act[3].key"),
        ("key act with a CA", &[Set("act[3].ca", "'root'")], "act[3].ca"),
        ("unknown key", &[Set("act[3].key", "'x'")], "act[3].key"),
        ("key twice", &[Set("act[4].key", "'root-key'")], "act[4]"),
        ("unknown CA", &[Set("act[6].ca", "'x'")], "act[6].ca"),
        ("root act for an intermediate", &[Set("act[6].ca", "'servers-1'")], "act[6].ca"),
        ("intermediate act for a root", &[Set("act[7].ca", "'root'")], "act[7].ca"),
        ("CRL of an unknown CA", &[Push("act", "{ kind = 'crl', ca = 'x' }")], "act[9].ca"),
        ("reason of another act", &[Set("act[3].even-though", "'x'")], "act[3].even-though"),
        ("proof beside other acts", &[Push("act", "{ kind = 'key-proof', key = 'root-key' }")], "act[3]"),
        ("end beside other acts", &[Push("act", "{ kind = 'destroy-key', key = 'root-key' }")], "act[3]"),
        ("proof without a key", &[Set("act", "[{ kind = 'key-proof' }]")], "act[0].key"),
        ("proof of an unknown key", &[Set("act", "[{ kind = 'key-proof', key = 'x' }]")], "act[0].key"),
        (
            "two acts on a key",
            &[Set("act", "[{ kind = 'key-proof', key = 'root-key' }, { kind = 'destroy-key', key = 'root-key' }]")],
            "act[1].key",
        ),
        (
            "end for no reason",
            &[Set("act", "[{ kind = 'destroy-key', key = 'root-key', even-though = '' }]")],
            "act[0].even-though",
        ),
    ];
    let hierarchy = hierarchy();
    // The files that it names are beside the ceremony; its text alone is judged without them.
    assert!(
        matches!(&Ceremony::parse(CROSS, &hierarchy).unwrap().acts[1], Act::Cross(cross) if cross.id == "partner-by-root")
    );
    let profiles = [
        Push("profile", "{ id = 'audit-signer', base = 'audit-signer', issuer = 'root' }"),
        Push("profile", "{ id = 'crl-signer', base = 'crl-signer', issuer = 'root', days = 100 }"),
    ];
    let with_signers = Hierarchy::parse(&changed(EXAMPLE, &profiles)).unwrap();
    let acts = Ceremony::parse(SIGNERS, &with_signers).unwrap().acts;
    assert!(acts.iter().all(|act| matches!(act, Act::Signer(signer) if signer.ca == "root")), "{acts:?}");
    // The same under an external root.
    let edits = [
        Set("ca[1].issuer", "'external'"),
        Set("ca[1].issuer-certificate", "'external-root.pem'"),
        Set("ca[1].issuer-sha256", SHA256),
    ];
    let under = Hierarchy::parse(&changed(&EXAMPLE.replace("servers-1", "issuing"), &edits)).unwrap();
    let acts = Ceremony::parse(EXTERNAL, &under).unwrap().acts;
    assert!(acts.contains(&Act::Csr { ca: "issuing".into() }), "{acts:?}");
    for (what, edits, wanted) in cases {
        let (field, message) = field_of(Ceremony::parse(&changed(CEREMONY, edits), &hierarchy), what);
        assert_eq!(&field, wanted, "{what}: {message}");
    }
    let keys = "[{ kind = 'key-proof', key = 'root-key' }, { kind = 'step', text = 'Look.' }, \
                { kind = 'destroy-key', key = 'servers-1-key', even-though = 'moved' }]";
    let acts = Ceremony::parse(&changed(CEREMONY, &[Set("act", keys)]), &hierarchy).unwrap().acts;
    assert_eq!(acts.iter().filter_map(Act::on_key).collect::<Vec<_>>(), ["root-key", "servers-1-key"]);
    let crl = changed(CEREMONY, &[Push("act", "{ kind = 'crl', ca = 'servers-1' }")]);
    let acts = Ceremony::parse(&crl, &hierarchy).unwrap().acts;
    assert_eq!(acts.last(), Some(&Act::Crl { ca: "servers-1".into() }));
}
