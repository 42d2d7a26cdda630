//! Rule sets of CAs, and declarations that contradict them.

use coldroot::config::{Hierarchy, RuleSet};
use coldroot::text::parse_utc;

use super::Edit::{self, Push, Remove, Set};
use super::{EXAMPLE, THIRD_KEY, changed, field_of};

/// The example as one that keeps the Baseline Requirements.
const CABF: &[Edit] = &[
    Set("ca[0].rules", "['rfc5280', 'cabf-tls']"),
    Set("ca[0].subject", "[{ O = 'REHEARSAL' }, { C = 'DE' }, { O = 'Example' }, { CN = 'Example Root' }]"),
    Set("ca[1].rules", "['cabf-tls']"),
    Set("ca[1].subject", "[{ O = 'REHEARSAL' }, { C = 'DE' }, { O = 'Example' }, { CN = 'Example TLS 1' }]"),
    Set("ca[1].crl-days", "10"),
    Set("profile[1].policies", "[{ oid = '2.23.140.1.2.1' }]"),
    Set("profile[2].base", "'cabf-tls-dv'"),
    Remove("profile[2].names"),
    Remove("profile[2].policies"),
    Set("profile[2].window-hours", "48"),
    Set("profile[3].policies", "[{ oid = '2.23.140.1.2.1' }]"),
    Set("profile[3].window-hours", "24"),
    // Several cases change this one.
    Remove("profile[4].days"),
    Remove("profile[4].keys"),
    Set("profile[4].base", "'cabf-tls-dv'"),
];

fn cabf(edits: &[Edit]) -> Result<Hierarchy, coldroot::config::Error> {
    Hierarchy::parse(&changed(&changed(EXAMPLE, CABF), edits))
}

const MAIL_CA: Edit = Push(
    "ca",
    "{ id = 'mail', key = 'k3', issuer = 'root', profile = 'mail', subject = [{ O = 'REHEARSAL' }, { C = 'DE' }, { O = 'Example' }, \
     { CN = 'Example Mail 1' }], days = 3650, crl-days = 30, limits = { eku = ['email-protection'] } }",
);
const MAIL_PROFILE: Edit = Push("profile", "{ id = 'mail', base = 'intermediate', policies = [] }");

#[test]
fn a_hierarchy_of_the_browser_forum_is_lawful() {
    let h = cabf(&[]).unwrap();
    assert!(h.cas.iter().all(|ca| ca.cabf() && ca.rules.len() == 2));
    // A CA for another purpose may stand under the same root.
    let h = cabf(&[THIRD_KEY, MAIL_CA, MAIL_PROFILE]).unwrap();
    assert!(!h.ca("mail").unwrap().cabf());
    assert_eq!(Hierarchy::parse(EXAMPLE).unwrap().cas[0].rules, [RuleSet::Rfc5280].into(), "always, and it alone");
}

#[test]
fn what_contradicts_a_rule_set_is_named_with_it() {
    let (root, ca) = ("`ca[0].rules`", "`ca[1].rules`");
    let cases: &[(&[Edit], [&str; 3])] = &[
        (&[Set("ca[0].rules", "['etsi']")], ["ca[0].rules[0]", "rfc5280, cabf-tls", ""]),
        (&[Set("ca[0].rules", "['cabf-tls', 'cabf-tls']")], ["ca[0].rules[1]", "twice", ""]),
        (&[Remove("ca[0].rules")], ["ca[0].rules", ca, "1.1"]),
        // An issuing CA without them would certify servers by no rules.
        (&[Remove("ca[1].rules")], ["ca[1].limits.eku", root, "server-auth"]),
        (&[Remove("ca[1].rules"), Remove("ca[1].limits.eku")], ["ca[1].limits.eku", root, "names no purposes"]),
        (&[Set("ca[0].limits", "{ eku = ['server-auth'] }")], ["ca[0].limits.eku", root, "7.1.2.3.3"]),
        (&[Set("ca[1].limits.eku", "['client-auth']")], ["ca[1].limits.eku", root, "server-auth"]),
        (&[Set("ca[1].limits.eku", "['server-auth', 'email-protection']")], ["ca[1].limits.eku", root, "email"]),
        (&[Set("ca[1].limits.eku", "['server-auth', 'ocsp-signing']")], ["ca[1].limits.eku", root, "ocsp-signing"]),
        (&[Remove("ca[0].days"), Set("ca[0].expires", "'never'")], ["ca[0].expires", root, "9132"]),
        (&[Set("ca[0].days", "9133")], ["ca[0].days", root, "7.1.2.1.1"]),
        (&[Set("ca[0].days", "2921"), Set("ca[1].days", "365")], ["ca[0].days", root, "2922"]),
        (&[Set("ca[1].subject", "[{ O = 'REHEARSAL' }, { C = 'DE' }, { CN = 'x' }]")], ["ca[1].subject", root, "no O"]),
        (
            &[Set("ca[1].subject", "[{ O = 'REHEARSAL' }, { O = 'E' }, { C = 'DE' }, { CN = 'x' }]")],
            ["ca[1].subject", root, "order"],
        ),
        (
            &[Set("ca[1].subject", "[{ O = 'REHEARSAL' }, { C = 'DE' }, { O = 'E' }, { OU = 'x' }, { CN = 'x' }]")],
            ["ca[1].subject", root, "has OU"],
        ),
        (
            &[Set("ca[1].subject", "[{ O = 'REHEARSAL' }, { C = 'DE' }, { O = 'E' }, { O = 'F' }, { CN = 'x' }]")],
            ["ca[1].subject", root, "twice"],
        ),
        (
            &[Set("ca[1].subject", "[{ O = 'REHEARSAL' }, { C = 'DE' }, { O = 'E', CN = 'x' }]")],
            ["ca[1].subject", root, "several"],
        ),
        (&[Set("key[1].algorithm", "'ed25519'")], ["key[1].algorithm", root, "6.1.5"]),
        (&[Set("key[0].algorithm", "'ml-dsa-65'")], ["key[0].algorithm", root, "6.1.5"]),
        (&[Set("ca[1].crl-days", "11")], ["ca[1].crl-days", ca, "at most 10"]),
        (&[Set("ca[0].crl-days", "366")], ["ca[0].crl-days", root, "at most 365"]),
        (&[Set("ca[1].crl-urls", "[]")], ["ca[1].crl-urls", ca, "no place"]),
        (&[Set("ca[0].crl-urls", "['ldap://ca.example.org/x']")], ["ca[0].crl-urls", root, "ldap"]),
        (&[Set("ca[1].issuer-urls", "[]")], ["ca[1].issuer-urls", ca, "7.1.2.7.7"]),
        (&[Set("profile[1].policies", "[]")], ["profile[1].policies", root, "0 reserved"]),
        (
            &[Set("profile[1].policies", "[{ oid = '2.23.140.1.2.1' }, { oid = '2.23.140.1.2.2' }]")],
            ["profile[1].policies", root, "2 reserved"],
        ),
        (
            &[Set("profile[1].policies", "[{ oid = '2.23.140.1.2.1' }, { oid = '2.5.29.32.0' }]")],
            ["profile[1].policies", root, "anyPolicy"],
        ),
        (&[Set("profile[1].window-hours", "25")], ["profile[1].window-hours", root, "at most 24"]),
        (&[Set("profile[2].window-hours", "49")], ["profile[2].window-hours", ca, "at most 48"]),
        (&[Set("profile[2].issuer", "'root'")], ["profile[2].issuer", root, "6.1.7"]),
        (&[Set("profile[2].base", "'xmpp-server'")], ["profile[2].base", ca, "otherNames"]),
        (&[Set("profile[4].base", "'xmpp-client'")], ["profile[4].eku", ca, "server-auth"]),
        (&[Set("profile[4].base", "'tls-client'")], ["profile[4].eku", ca, "server-auth"]),
        (&[Set("profile[4].base", "'device'")], ["profile[4].eku", ca, "server-auth"]),
        (&[Set("profile[4].eku", "['server-auth', 'code-signing']")], ["profile[4].eku", ca, "code-signing"]),
        (&[Remove("profile[3].policies")], ["profile[3].policies", ca, "2.23.140.1.2.1"]),
        (
            &[Set("profile[3].policies", "[{ oid = '2.23.140.1.2.2' }]")],
            ["profile[3].policies", ca, "domain-validated"],
        ),
        (&[Set("profile[3].policies[0].cps", "'ldap://a'")], ["profile[3].policies", ca, "http"]),
        (&[Set("profile[3].keys", "['ecdsa-p256', 'ed25519']")], ["profile[3].keys", ca, "ed25519"]),
        (
            &[Set("profile[3].added-extensions", "[{ oid = '1.3.6.1.4.1.11129.2.4.3', der = '0500' }]")],
            ["profile[3].added-extensions", ca, "Transparency"],
        ),
        (&[Set("profile[3].days", "399")], ["profile[3].days", ca, "at most 398"]),
        (&[Set("profile[3].validity", "'9553h'")], ["profile[3].days", ca, "9553 hours"]),
        (
            &[Remove("ca[0].rules"), Remove("ca[1].rules"), Set("profile[3].base", "'cabf-tls-dv'")],
            ["profile[2].base", ca, "tls-server"],
        ),
        // Under a CA for another purpose.
        (
            &[THIRD_KEY, MAIL_CA, MAIL_PROFILE, Set("ca[2].limits.eku", "['email-protection', 'server-auth']")],
            ["ca[2].limits.eku", root, "server-auth"],
        ),
        (
            &[THIRD_KEY, MAIL_CA, MAIL_PROFILE, Set("profile[5].policies", "[{ oid = '2.23.140.1.2.1' }]")],
            ["profile[5].policies", root, "reserved"],
        ),
    ];
    for (edits, [field, other, word]) in cases {
        let (found, message) = field_of(cabf(edits), field);
        assert_eq!(found, *field, "{message}");
        assert!(message.contains(other) && message.contains(word) && message.is_ascii(), "{field}: {message}");
    }
}

#[test]
fn each_validity_of_servers_ends_at_its_date() {
    let at = |text: &str| parse_utc(text).unwrap();
    for (days, last) in
        [("398", "2026-03-15T00:00:00Z"), ("200", "2027-03-15T00:00:00Z"), ("100", "2029-03-15T00:00:00Z")]
    {
        let text = changed(EXAMPLE, CABF).replace("days = 90", &format!("days = {days}"));
        let h = Hierarchy::parse(&changed(&text, &[Set("profile[3].days", "47")])).unwrap();
        assert_eq!(h.check_dates(at(last) - 1).unwrap(), [("xmpp-server", at(last))]);
        let (field, message) = field_of(h.check_dates(at(last)), "too long");
        assert!(field == "profile[2].days" && message.contains("`ca[1].rules`") && message.contains(last), "{message}");
    }
    let h = cabf(&[Set("profile[2].days", "47"), Set("profile[3].days", "47")]).unwrap();
    assert_eq!(h.check_dates(at("2040-01-01T00:00:00Z")).unwrap(), []);
}
