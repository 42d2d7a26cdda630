use super::*;

#[test]
fn every_profile_is_whole_and_each_setting_has_its_source() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/token/vendors");
    let mut there: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut listed: Vec<&str> = FILES.iter().map(|(id, _)| *id).collect();
    there.sort();
    listed.sort();
    assert_eq!(there, listed);
    assert_eq!(profiles().len(), FILES.len());
    for (id, text) in FILES {
        let profile: Profile = toml::from_str(text).unwrap_or_else(|e| panic!("{id}: {e}"));
        assert!(!profile.library.value.is_empty(), "{id}");
        let table: toml::Table = text.parse().unwrap();
        for (name, value) in table.iter().filter(|(name, _)| *name != "name") {
            let settings = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            for setting in settings {
                assert!(setting["source"].as_str().unwrap().len() > 8, "{id}: {name} has no source");
            }
        }
    }
}

#[test]
fn a_setting_without_its_source_and_one_that_is_not_known_are_refused() {
    let head = "name = \"x\"\nlibrary = { value = [{ manufacturer = \"x\" }], source = \"s\", tried = \"here\" }\n";
    assert!(toml::from_str::<Profile>(head).is_ok());
    for wrong in [
        "data-objects = true",
        "data-objects = { value = true, tried = \"here\" }",
        "data-objects = { value = true, source = \"s\" }",
        "data-objects = { value = true, source = \"s\", tried = \"somewhere\" }",
        "data-object = { value = true, source = \"s\", tried = \"here\" }",
        "private-omits = { value = [\"CKA_SIGN\"], source = \"s\", tried = \"here\" }",
    ] {
        assert!(toml::from_str::<Profile>(&format!("{head}{wrong}\n")).is_err(), "{wrong}");
    }
}

#[test]
fn a_module_is_known_by_what_it_says_of_itself() {
    let id = |manufacturer, description| Vendor::of(manufacturer, description, ("", "")).id();
    assert_eq!(id("SoftHSM", "Implementation of PKCS11"), "softhsm");
    assert_eq!(id("softhsm  ", ""), "softhsm");
    assert_eq!(id("IBM", "Meta PKCS11 LIBRARY"), "opencryptoki");
    assert_eq!(id("tpm2-software.github.io", "TPM2.0 Cryptoki"), "tpm2");
    assert_eq!(id("Mozilla Foundation", "NSS Internal Crypto Services"), "nss");
    assert_eq!(id("SafeNet", "Chrystoki"), "luna");
    assert_eq!(id("SafeNet, Inc.", "SafeNet eToken PKCS#11"), "unknown");
    assert_eq!(id("Yubico (www.yubico.com)", "YubiHSM PKCS#11 Library"), "yubihsm2");
    assert_eq!(id("Nitrokey", "Nitrokey NetHsm PKCS#11 library"), "nethsm");
    assert_eq!(id("", ""), "unknown");
    for (name, _) in FILES {
        assert_eq!(Vendor::by_id(name).id(), *name);
    }
}

#[test]
fn behind_a_module_that_passes_calls_through_the_tokens_maker_counts_too() {
    let behind = |maker, model| Vendor::of("PKCS#11 Kit", "PKCS#11 Kit Proxy Module", (maker, model));
    let softhsm = behind("SoftHSM project", "SoftHSM v2\0\0");
    assert_eq!((softhsm.id().as_str(), softhsm.name().as_str()), ("p11-kit/softhsm", "SoftHSM 2 through p11-kit"));
    assert_eq!(softhsm.pin_octets(), Some((4, 255)));
    assert!(softhsm.weaknesses().count() > Vendor::by_id("softhsm").weaknesses().count());
    assert_eq!(Vendor::by_id("p11-kit/softhsm").id(), "p11-kit/softhsm");
    assert_eq!(behind("Somebody", "").id(), "p11-kit");
    // Only there: a token's maker says nothing of a module that answers for itself.
    assert_eq!(Vendor::of("Somebody", "", ("SoftHSM project", "SoftHSM v2")).id(), "unknown");
}

#[test]
fn of_a_module_that_nobody_knows_nothing_is_believed() {
    let unknown = Vendor::of("Somebody", "Something", ("Somebody", "One"));
    assert!(!unknown.is_known() && !unknown.slot_by_number() && !unknown.allowed_mechanisms());
    assert_eq!((unknown.public_private(), unknown.edwards()), (ThreeWay::False, Edwards::Name));
    assert_eq!((unknown.pin_form(), unknown.pin_octets(), unknown.data_objects()), (None, None, None));
    assert!(unknown.may_have_keypad() && !unknown.private_omits(Usage::Copyable));
}
