//! The page of a release.

use super::*;
use crate::text::{escape, hex_groups};

/// Set `COLDROOT_REPORT_SAMPLE` to a path and the sample page is written there, to be looked at in a browser.
const SAMPLE: &str = "COLDROOT_REPORT_SAMPLE";

fn report(environment: Environment) -> ReleaseReport {
    let digest = |n: u8| hex_groups(&[n; 32]);
    let ca = |id: &str, cn: &str, algorithm: &str, n: u8| CaRow {
        id: id.into(),
        issuer: Some("root".into()),
        subject: format!("O=REHEARSAL, CN={cn}"),
        not_before: "2026-11-22T01:00:00Z".into(),
        not_after: "2046-11-17T01:00:00Z".into(),
        key_algorithm: algorithm.into(),
        serial: hex_groups(&[n; 17]),
        sha256: digest(n),
    };
    let crl = |ca: &str, number, entries| CrlRow {
        ca: ca.into(),
        number,
        this_update: "2026-11-22T01:00:00Z".into(),
        next_update: "2027-05-22T01:00:00Z".into(),
        entries,
    };
    let certificates: Vec<CertificateRow> = (0u8..24)
        .map(|n| CertificateRow {
            request: format!("req-{n:04}"),
            profile: "xmpp-server".into(),
            names: vec![
                format!("dns chat{n}.example.org"),
                format!("srv _xmpp-server.chat{n}.example.org"),
                format!("srv _xmpp-client.chat{n}.example.org"),
            ],
            not_after: "2027-02-20T01:00:00Z".into(),
            serial: hex_groups(&[n.saturating_add(1); 17]),
            sha256: digest(n),
        })
        .collect();
    let refusal = |request: &str, check: &str, reason: &str| RefusalRow {
        request: request.into(),
        check: check.into(),
        reason: reason.into(),
    };
    let refusals = vec![
        refusal(
            "req-0100",
            "key-size",
            "the RSA key has 1024 bits; make one with at least 2048 bits and send a new request",
        ),
        refusal(
            "req-0101",
            "names-validated",
            "`evil.example.net` is not among the validated names; ask for its validation first",
        ),
        refusal("req-0102", "subject-text", &format!("subject has {}", escape("<script>alert(1)</script>\u{202e}&"))),
    ];
    ReleaseReport {
        hierarchy: "Example XMPP Trust".into(),
        hierarchy_digest: digest(0xa1),
        environment,
        origin: "ca.example.org/rehearsal-2026".into(),
        release: 3,
        plan_digest: digest(0xb2),
        sign_from: "2026-11-22T01:00:00Z".into(),
        sign_until: "2026-11-29T01:00:00Z".into(),
        operator: "olga".into(),
        witness: "wim".into(),
        approvals: ["ada", "ben"]
            .map(|id| Approval {
                person: id.into(),
                fingerprint: "SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8".into(),
            })
            .to_vec(),
        cas: vec![ca("root", "Example Root", "ecdsa-p384", 7), ca("servers-1", "Example Servers 1", "ecdsa-p256", 8)],
        crls: vec![crl("root", 1, 0), crl("servers-1", 4, 1_204)],
        csrs: vec![CsrRow {
            ca: "outside-1".into(),
            subject: "CN=Example Outside 1".into(),
            sha256: digest(0xc3),
        }],
        signed: tally(certificates.iter().map(|c| (c.profile.as_str(), "servers-1"))),
        refused: tally(refusals.iter().map(|r| (r.check.as_str(), ""))),
        certificates,
        refusals,
        revoked: vec![RevokedRow {
            ca: "servers-1".into(),
            serial: hex_groups(&[9; 17]),
            reason: "key-compromise".into(),
            date: "2026-11-22T01:00:00Z".into(),
        }],
        revocations: 1,
        void: None,
        linters: vec![LinterRow {
            linter: "pkilint".into(),
            summary: "24 linted, 0 refused, 0 warnings, 24 accepted findings".into(),
            program: Some(digest(0xd4)),
            found: vec![FindingRow {
                finding: "pkix.subject_key_identifier_rfc7093_method_1_identified".into(),
                level: "warning".into(),
                shape: "servers-1 xmpp-server".into(),
                count: 24,
                accepted: Some("identifiers are made by RFC 7093, method 1".into()),
            }],
            more: 3,
        }],
        block_lists: vec![digest(0xe5)],
        broken_keys: vec!["certificate 0102030405".into()],
        tokens: vec![TokenRow {
            token: "main".into(),
            serial: "0badcafe".into(),
            before: Some(TokenState {
                entry: 41,
                time: "2026-11-22T01:00:00Z".into(),
                right: 3,
                missing: 0,
                wrong: 0,
                unexpected: 1,
            }),
            after: None,
        }],
        keys: vec![KeyRow {
            change: "came".into(),
            token: "main".into(),
            key: "servers-key".into(),
            label: "servers 1".into(),
            cka_id: hex_groups(&[6; 32]),
            kind: "key pair, ecdsa-p256".into(),
            has: ["SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL", "SIGN"].map(String::from).to_vec(),
            lacks: ["EXTRACTABLE", "DECRYPT", "UNWRAP"].map(String::from).to_vec(),
        }],
        log: LogPosition {
            size: 1_234,
            root: digest(0xc3),
            checkpoint: "ca.example.org/rehearsal-2026\n1234\nw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8M=\n\n\u{2014} ca.example.org/rehearsal-2026 AbCdEf0123456789AbCdEf0123456789AbCdEf0123456789AbCdEf0123456789AbCdEf0123456789AbCdEf==\n".into(),
            verifier_key: "ca.example.org/rehearsal-2026+1a2b3c4d+AhtLjgYw4vVYpPbqCYjMn8uA9bjWJmwOXbRPYjNpWkXQ".into(),
        },
    }
}

#[test]
fn a_rehearsal_says_so_first_and_a_real_release_never() {
    let page = render(&report(Environment::Rehearsal)).unwrap();
    let body = page.split_once("<body>").unwrap().1;
    assert!(body.trim_start().starts_with("<p class=\"rehearsal\""), "{}", &body[..80]);
    assert!(page.split_once("<title>").unwrap().1.starts_with("REHEARSAL"));
    let real = render(&report(Environment::Real)).unwrap();
    assert!(!real.split_once("<body>").unwrap().1.contains("class=\"rehearsal\""));
    assert!(!real.split_once("<title>").unwrap().1.starts_with("REHEARSAL"));
    if let Some(path) = std::env::var_os(SAMPLE) {
        std::fs::write(path, page).unwrap();
    }
}

#[test]
fn untrusted_text_stays_text() {
    let mut hostile = report(Environment::Real);
    hostile.refusals[0].request = "\"><img src=x onerror=alert(1)>".into();
    hostile.hierarchy = "</title><script>".into();
    hostile.log.checkpoint = "</pre><b>".into();
    hostile.operator = "o\u{202e}\u{85}\r".into();
    let page = render(&hostile).unwrap();
    assert!(page.contains("o\\u{202e}\\u{85}\\u{d}<"));
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("</pre><b>"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;"), "escaped, not dropped");
    assert!(page.contains("\\u{202e}"));
}

#[test]
fn nothing_is_fetched_and_nothing_runs() {
    let page = render(&report(Environment::Rehearsal)).unwrap();
    assert!(page.contains("default-src 'none'"));
    for bad in ["<script", "<link", "<img", "<iframe", "http://", "https://", "url(", "@import", "javascript:"] {
        assert!(!page.contains(bad), "{bad}");
    }
}

#[test]
fn every_fact_stands_on_the_page() {
    let data = report(Environment::Real);
    let page = render(&data).unwrap();
    let mut facts = vec![&data.hierarchy_digest, &data.plan_digest, &data.sign_from, &data.sign_until, &data.log.root];
    facts.extend(data.cas.iter().flat_map(|c| [&c.id, &c.subject, &c.not_after, &c.serial, &c.sha256]));
    facts.extend(data.certificates.iter().flat_map(|c| [&c.request, &c.serial, &c.sha256, &c.names[1]]));
    facts.extend(data.refusals.iter().take(1).flat_map(|r| [&r.request, &r.check, &r.reason]));
    facts.extend(data.approvals.iter().flat_map(|a| [&a.person, &a.fingerprint]));
    facts.extend(data.keys.iter().flat_map(|k| [&k.key, &k.label, &k.cka_id, &k.kind, &k.has[1], &k.lacks[0]]));
    facts.extend(data.linters.iter().flat_map(|l| [&l.linter, &l.summary, &l.found[0].finding, &l.found[0].shape]));
    facts.extend(data.linters[0].found[0].accepted.iter().chain(&data.block_lists).chain(&data.broken_keys));
    assert!(page.contains("not taken") && page.contains("0badcafe"), "one inventory of two");
    for fact in facts {
        assert!(page.contains(fact.as_str()), "{fact}");
    }
    assert!(page.contains("1,204") && page.contains("1,234"), "large numbers are grouped");
}

#[test]
fn long_lists_are_cut_and_the_cut_is_counted() {
    let mut long = report(Environment::Real);
    long.certificates = (0..MAX_ROWS + 20).map(|_| long.certificates[0].clone()).collect();
    long.signed = vec![Count { what: "xmpp-server".into(), by: "servers-1".into(), count: 1_000_000 }];
    let page = render(&long).unwrap();
    assert_eq!(page.matches("req-0000").count(), MAX_ROWS);
    assert!(page.contains("999,500 more"));
}

#[test]
fn a_release_without_a_batch_has_no_empty_tables() {
    let mut keys = report(Environment::Real);
    (keys.signed, keys.refused, keys.certificates, keys.refusals) = (vec![], vec![], vec![], vec![]);
    keys.crls.clear();
    (keys.linters, keys.block_lists, keys.broken_keys) = (vec![], vec![], vec![]);
    (keys.tokens, keys.keys) = (vec![], vec![]);
    assert!(render(&keys).unwrap().contains("<code>csrs/outside-1.csr</code>"));
    keys.csrs.clear();
    let page = render(&keys).unwrap();
    assert!(!page.contains("id=\"batch\"") && !page.contains("id=\"refusals\"") && !page.contains("id=\"crls\""));
    assert!(!page.contains("id=\"csrs\"") && !page.contains("id=\"judged\"") && !page.contains("id=\"tokens\""));
}

#[test]
fn the_cas_are_a_tree_and_a_circle_of_issuers_ends() {
    let mut data = report(Environment::Real);
    let trees = picture::trees(&data);
    assert_eq!((trees.len(), trees[0].id.as_str(), trees[0].below.len()), (1, "root", 1));
    assert_eq!((trees[0].below[0].id.as_str(), trees[0].below[0].signed), ("servers-1", 24));
    let page = render(&data).unwrap();
    assert!(
        page.contains("<li><div class=\"box\"><b>root</b>") && page.contains("<ul><li><div class=\"box\"><b>servers-1")
    );
    data.cas[1].issuer = None;
    assert_eq!(picture::trees(&data).len(), 2, "a CA whose issuer is elsewhere begins a tree");
    // What a log cannot hold, a hostile one may claim.
    (data.cas[0].issuer, data.cas[1].issuer) = (Some("servers-1".into()), Some("root".into()));
    assert!(picture::trees(&data).is_empty() && render(&data).is_ok());
    let third = CaRow { id: "third".into(), issuer: Some("third".into()), ..data.cas[0].clone() };
    data.cas.push(third);
    data.cas[0].issuer = Some("third".into());
    assert_eq!(picture::trees(&data).len(), 1);
    render(&data).unwrap();
}

#[test]
fn the_line_of_time_has_a_bar_for_each_certificate_and_crl() {
    let line = picture::line(&report(Environment::Real)).unwrap();
    let bars: Vec<(&str, &str, bool)> = line.bars.iter().map(|b| (b.name.as_str(), b.of, b.beyond)).collect();
    let wanted = [
        ("root", "certificate", true),
        ("its CRL 1", "crl", false),
        ("servers-1", "certificate", true),
        ("its CRL 4", "crl", false),
        ("end entities", "leaf", false),
    ];
    assert_eq!(bars, wanted);
    assert_eq!(line.bars[0].left, line.now);
    assert_eq!(line.ticks.first().map(|(_, label)| label.as_str()), Some("2027-01"));
    for bar in &line.bars {
        let [left, width] = [&bar.left, &bar.width].map(|text| text.parse::<f64>().unwrap());
        assert!(left >= 0.0 && width > 0.0 && left + width <= 100.0, "{bar:?}");
    }
    let mut timeless = report(Environment::Real);
    timeless.sign_from = "(out of range: 99999999999999 s)".into();
    assert!(picture::line(&timeless).is_none());
    assert!(!render(&timeless).unwrap().contains("class=\"line\""));
}

#[test]
fn tallies_are_sorted_by_count_then_name() {
    let rows = tally([("b", ""), ("a", ""), ("c", ""), ("c", "")].into_iter());
    assert_eq!(rows.iter().map(|r| (r.what.as_str(), r.count)).collect::<Vec<_>>(), [("c", 2), ("a", 1), ("b", 1)]);
}
