//! Vendors' habits, played by the faulty module in front of SoftHSM: what each profile leaves out is refused by the module, and
//! the keys are made all the same; what a token cannot do is refused before anything is asked of it.

mod harness;

use coldroot::audit::entry::Body;
use harness::faulty::{self, hierarchy, mend, not_asked, play};
use harness::station::Station;

/// CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT, CKR_GENERAL_ERROR.
const TYPE_INVALID: &str = "0x12";
const INCONSISTENT: &str = "0xd1";
const GENERAL: &str = "0x5";

/// A module that calls itself so, and another rule.
fn as_vendor(library: &str, rule: &str) -> String {
    format!("C_GetInfo=library:{library}\n{rule}\n")
}

fn attributes_of_keys(station: &Station) -> Vec<Vec<String>> {
    let made = |body| match body {
        Body::KeyGenerated(key) => Some(key.attributes),
        _ => None,
    };
    station.bodies().into_iter().filter_map(made).collect()
}

#[test]
fn what_a_vendors_module_refuses_in_a_template_is_not_in_it() {
    for (library, profile, rule) in [
        // CKA_DECRYPT and CKA_ENCRYPT.
        ("tpm2-software.github.io:TPM2.0", "tpm2", format!("C_GenerateKeyPair=refuse-attribute:0x105,0x104:{GENERAL}")),
        // CKA_ALLOWED_MECHANISMS.
        ("SafeNet:Chrystoki", "luna", format!("C_GenerateKeyPair=refuse-attribute:0x40000600:{TYPE_INVALID}")),
        (
            "Utimaco IS GmbH:CryptoServer",
            "utimaco",
            format!("C_GenerateKeyPair=refuse-attribute:0x40000600:{TYPE_INVALID}"),
        ),
        // CKA_PRIVATE is obligatory.
        ("nCipher Corp. Ltd:nShield", "nshield", format!("C_GenerateKeyPair=need-attribute:0x2:{INCONSISTENT}")),
        // Nobody knows this one: CKA_COPYABLE, and the second, lean try does without.
        ("Somebody:Something", "unknown", format!("C_GenerateKeyPair=refuse-attribute:0x171:{TYPE_INVALID}")),
    ] {
        let station = Station::bare_of(hierarchy(""));
        play(&station, &as_vendor(library, &rule));
        station.init().ok();
        let plan = station.planned_ceremony();
        station.carried_out(&plan);
        let keys = attributes_of_keys(&station);
        assert_eq!(keys.len(), 2, "{library}");
        for key in &keys {
            assert!(key.contains(&format!("profile={profile}")), "{library}: {key:?}");
        }
        station.check_log();
    }
}

#[test]
fn a_module_that_refuses_what_its_tried_profile_allows_makes_no_key() {
    let station = Station::bare_of(hierarchy(""));
    station.init().ok();
    let plan = station.planned_ceremony();
    let approvals = station.approve(&plan);
    // SoftHSM's profile was tried: no second guess, with less in the template, makes a weaker key in silence.
    play(&station, &format!("C_GenerateKeyPair=refuse-attribute:0x171:{TYPE_INVALID}"));
    station.sign(&plan, &approvals).fails(3, "CKR_ATTRIBUTE_TYPE_INVALID");
    assert_eq!(faulty::count(&station, "C_GenerateKeyPair"), 1);
    assert!(attributes_of_keys(&station).is_empty());
    mend(&station);
    station.sign(&plan, &approvals).ok();
    assert_eq!(attributes_of_keys(&station).len(), 2);
}

#[test]
fn a_token_that_cannot_hold_audit_key_and_mark_is_refused_before_a_pin_is_asked_for() {
    for (rule, said) in [
        // CKM_EDDSA.
        ("*=no-mechanism:0x1057".to_owned(), "not fit for ed25519 keys: it does not list CKM_EDDSA"),
        (
            as_vendor("Nitrokey:Nitrokey NetHsm PKCS#11 library", ""),
            "stores no data objects, so it cannot hold the mark",
        ),
        (as_vendor("Mozilla Foundation:NSS Internal Crypto Services", ""), "stores no data objects"),
    ] {
        let station = Station::bare_of(hierarchy(""));
        play(&station, &rule);
        let refused = station.init().fails(1, said);
        assert!(refused["hint"].as_str().unwrap().contains("[[token]]"), "{refused}");
        not_asked(&station);
        assert!(!station.path("audit").exists());
        mend(&station);
        station.init().ok();
    }
}

/// CKM_EC_EDWARDS_KEY_PAIR_GEN and CKM_EDDSA; CKM_EC_KEY_PAIR_GEN and CKM_ECDSA.
const EDWARDS: &str = "0x1055,0x1057";
const WEIERSTRASS: &str = "0x1040,0x1041";

#[test]
fn a_token_without_ed25519_is_told_before_init_what_audit_key_it_could_hold() {
    let p256 = || hierarchy("").replacen("[audit]\n", "[audit]\nalgorithm = \"ecdsa-p256\"\n", 1);
    let (with, without) = ("write `algorithm = \"ecdsa-p256\"` into [audit]", "leave `algorithm` out of [audit]");
    for (text, hidden, said, hints) in [
        (hierarchy(""), EDWARDS, "not fit for ed25519 keys: it does not list CKM_EC_EDWARDS_KEY_PAIR_GEN", Some(with)),
        (p256(), WEIERSTRASS, "not fit for ecdsa-p256 keys: it does not list CKM_EC_KEY_PAIR_GEN", Some(without)),
        // What the token cannot do either is no advice.
        (hierarchy(""), &format!("{EDWARDS},{WEIERSTRASS}"), "not fit for ed25519 keys", None),
        (p256(), &format!("{EDWARDS},{WEIERSTRASS}"), "not fit for ecdsa-p256 keys", None),
    ] {
        let station = Station::bare_of(text);
        play(&station, &format!("*=no-mechanism:{hidden}"));
        let refused = station.init().fails(1, said);
        let hint = refused["hint"].as_str().unwrap();
        assert!(hint.contains("[[token]]"), "{refused}");
        for words in [with, without] {
            assert_eq!(hint.contains(words), hints == Some(words), "{refused}");
        }
        not_asked(&station);
        assert!(!station.path("audit").exists());
    }
    // As the hint says: nothing on the token has to be undone.
    let station = Station::bare_of(hierarchy(""));
    play(&station, &format!("*=no-mechanism:{EDWARDS}"));
    station.init().fails(1, "not fit for ed25519 keys");
    let file = station.path("hierarchy.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("[audit]\n", "[audit]\nalgorithm = \"ecdsa-p256\"\n", 1)).unwrap();
    // The old approvals are over the old file.
    station.init().fails(1, "is not over this text");
    not_asked(&station);
    station.approve_again();
    station.init().ok();
    station.carried_out(&station.planned_ceremony());
    assert!(station.verifier_key().contains("+AjBZMBMG"), "{}", station.verifier_key());
    station.check_log();
}

/// NSS and others have neither Ed25519 nor data objects: each has its own way, and both ways go together.
#[test]
fn a_token_with_neither_ed25519_nor_data_objects_carries_a_station() {
    let paper = |more: &str| {
        let audit = format!("[audit]\nmark = \"paper\"\nminutes-file = \"minutes.txt\"\n{more}");
        Station::bare_of(hierarchy("").replacen("[audit]\n", &audit, 1))
    };
    let rules = format!(
        "{}*=refuse-attribute:0x0:{INCONSISTENT}:0000000000000000\n*=no-mechanism:{EDWARDS}",
        as_vendor("Mozilla Foundation:NSS Internal Crypto Services", "")
    );
    let station = paper("");
    play(&station, &rules);
    let refused = station.init().fails(1, "not fit for ed25519 keys");
    assert!(refused["hint"].as_str().unwrap().contains("write `algorithm = \"ecdsa-p256\"`"), "{refused}");
    not_asked(&station);
    let station = paper("algorithm = \"ecdsa-p256\"\n");
    play(&station, &rules);
    station.init().ok();
    for _ in ["keys", "certificates"] {
        station.carried_out(&station.planned_ceremony());
    }
    station.check_log();
    mend(&station);
}

#[test]
fn a_key_that_its_token_cannot_make_is_refused_when_it_is_planned() {
    let station = Station::bare_of(hierarchy(""));
    station.init().ok();
    let before = station.state();
    // CKM_ECDSA.
    play(&station, "*=no-mechanism:0x1041");
    std::fs::write(station.path("ceremony.toml"), harness::station::CEREMONY).unwrap();
    let refused = station.run(&["plan", "--ceremony", "ceremony.toml"]);
    refused.fails(1, "not fit for ecdsa-p384 keys: it does not list CKM_ECDSA");
    not_asked(&station);
    assert_eq!(station.state(), before);
    mend(&station);
    station.carried_out(&station.planned_ceremony());
}

#[test]
fn p08_a_pin_that_a_vendor_cannot_take_is_not_tried() {
    let station = Station::bare_of(hierarchy(""));
    station.init().ok();
    let plan = station.planned_ceremony();
    let approvals = station.approve(&plan);
    // opencryptoki's PINs have at most 8 octets; this one has 9.
    play(&station, &as_vendor("IBM:Meta PKCS11 LIBRARY", ""));
    station.sign(&plan, &approvals).fails(1, "has 9 octets, the token takes 4 to 8");
    not_asked(&station);
    assert!(attributes_of_keys(&station).is_empty());
    mend(&station);
    station.sign(&plan, &approvals).ok();
}
