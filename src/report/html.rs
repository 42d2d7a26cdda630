//! `report.html`: one page for one release, without scripts, fonts, pictures or anything fetched.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::Environment;

use super::{Error, page, picture};

/// At most this many certificates and this many refusals are listed; the rest is counted. The full lists are in the release.
pub const MAX_ROWS: usize = 500;

const TEMPLATE: &str = include_str!("release.html");

/// What the page says, ready to show. Digests are hex groups ([`crate::text::hex_groups`]), times are [`crate::text::utc`].
#[derive(Clone, Debug, Serialize)]
pub struct ReleaseReport {
    /// The hierarchy's name and the digest of its file.
    pub hierarchy: String,
    pub hierarchy_digest: String,
    pub environment: Environment,
    pub origin: String,
    /// The release's number.
    pub release: u64,
    pub plan_digest: String,
    pub sign_from: String,
    pub sign_until: String,
    /// Roster ids.
    pub operator: String,
    pub witness: String,
    pub approvals: Vec<Approval>,
    pub cas: Vec<CaRow>,
    pub crls: Vec<CrlRow>,
    /// Requests of CAs for their external issuers.
    pub csrs: Vec<CsrRow>,
    /// Signed certificates by CA and profile, over the whole release.
    pub signed: Vec<Count>,
    /// Refused requests by check, over the whole release.
    pub refused: Vec<Count>,
    /// The first of them; more than [`MAX_ROWS`] need not be given.
    pub certificates: Vec<CertificateRow>,
    pub refusals: Vec<RefusalRow>,
    /// What this release's plan revoked; more than [`MAX_ROWS`] need not be given.
    pub revoked: Vec<RevokedRow>,
    /// All of them.
    pub revocations: u64,
    /// Why the rest of the plan was voided.
    pub void: Option<String>,
    pub log: LogPosition,
}

/// A person's approval of the plan.
#[derive(Clone, Debug, Serialize)]
pub struct Approval {
    /// Roster id.
    pub person: String,
    /// As `ssh-keygen -l` prints it.
    pub fingerprint: String,
}

/// A CA of the hierarchy whose certificate is in the release.
#[derive(Clone, Debug, Serialize)]
pub struct CaRow {
    pub id: String,
    /// The CA of the release that issued it, by its id; itself for a root, `None` where it is none of them.
    pub issuer: Option<String>,
    pub subject: String,
    pub not_before: String,
    pub not_after: String,
    pub key_algorithm: String,
    pub serial: String,
    /// SHA-256 of the certificate's DER.
    pub sha256: String,
}

/// The newest CRL of a CA.
#[derive(Clone, Debug, Serialize)]
pub struct CrlRow {
    pub ca: String,
    pub number: u64,
    pub this_update: String,
    pub next_update: String,
    pub entries: u64,
}

/// The request of a CA.
#[derive(Clone, Debug, Serialize)]
pub struct CsrRow {
    pub ca: String,
    pub subject: String,
    /// SHA-256 of its DER.
    pub sha256: String,
}

/// How many of one kind; `by` is the CA for certificates and empty for refusals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    pub what: String,
    pub by: String,
    pub count: u64,
}

/// A signed end-entity certificate.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateRow {
    pub request: String,
    pub profile: String,
    pub names: Vec<String>,
    pub not_after: String,
    pub serial: String,
    pub sha256: String,
}

/// A request that was not signed.
#[derive(Clone, Debug, Serialize)]
pub struct RefusalRow {
    pub request: String,
    pub check: String,
    pub reason: String,
}

/// A certificate that was revoked.
#[derive(Clone, Debug, Serialize)]
pub struct RevokedRow {
    pub ca: String,
    pub serial: String,
    pub reason: String,
    pub date: String,
}

/// Where the log stood when the release was made.
#[derive(Clone, Debug, Serialize)]
pub struct LogPosition {
    pub size: u64,
    /// Root hash of the Merkle tree, hex groups.
    pub root: String,
    /// The signed note, whole.
    pub checkpoint: String,
    /// C2SP signed-note verifier key. Shown to be compared, never to be trusted because it stands here.
    pub verifier_key: String,
}

/// Counts equal pairs of (what, by), largest first, then by name.
pub fn tally<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Count> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for pair in pairs {
        *counts.entry(pair).or_default() += 1;
    }
    let mut rows: Vec<Count> = counts
        .into_iter()
        .map(|((what, by), count)| Count { what: what.to_string(), by: by.to_string(), count })
        .collect();
    // Stable: equal counts stay in the order of their names.
    rows.sort_by_key(|row| std::cmp::Reverse(row.count));
    rows
}

/// The page. Same input, same octets.
pub fn render(report: &ReleaseReport) -> Result<String, Error> {
    let mut shown = report.clone();
    shown.certificates.truncate(MAX_ROWS);
    shown.refusals.truncate(MAX_ROWS);
    let total = |counts: &[Count]| counts.iter().fold(0u64, |sum, row| sum.saturating_add(row.count));
    // `usize` is at most 64 bits wide on every target of Rust, so these casts lose nothing.
    let left_out = |total: u64, shown: usize| total.saturating_sub(shown as u64);
    let (signed, refused) = (total(&shown.signed), total(&shown.refused));

    let mut data = serde_json::to_value(&shown)?;
    if let Some(map) = data.as_object_mut() {
        map.insert("rehearsal".into(), (report.environment != Environment::Real).into());
        map.insert("trees".into(), serde_json::to_value(picture::trees(&shown))?);
        map.insert("line".into(), serde_json::to_value(picture::line(&shown))?);
        let most = shown.signed.iter().chain(&shown.refused).map(|row| row.count).max().unwrap_or(1).max(1);
        map.insert("most".into(), most.into());
        map.insert("total_signed".into(), signed.into());
        map.insert("total_refused".into(), refused.into());
        map.insert("certificates_left_out".into(), left_out(signed, shown.certificates.len()).into());
        map.insert("revoked_left_out".into(), left_out(report.revocations, shown.revoked.len()).into());
        map.insert("refusals_left_out".into(), left_out(refused, shown.refusals.len()).into());
    }
    page::fill("release.html", TEMPLATE, data)
}

#[cfg(test)]
mod tests {
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
            refusal(
                "req-0102",
                "subject-text",
                &format!("subject has {}", escape("<script>alert(1)</script>\u{202e}&")),
            ),
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
        let mut facts =
            vec![&data.hierarchy_digest, &data.plan_digest, &data.sign_from, &data.sign_until, &data.log.root];
        facts.extend(data.cas.iter().flat_map(|c| [&c.id, &c.subject, &c.not_after, &c.serial, &c.sha256]));
        facts.extend(data.certificates.iter().flat_map(|c| [&c.request, &c.serial, &c.sha256, &c.names[1]]));
        facts.extend(data.refusals.iter().take(1).flat_map(|r| [&r.request, &r.check, &r.reason]));
        facts.extend(data.approvals.iter().flat_map(|a| [&a.person, &a.fingerprint]));
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
        assert!(render(&keys).unwrap().contains("<code>csrs/outside-1.csr</code>"));
        keys.csrs.clear();
        let page = render(&keys).unwrap();
        assert!(!page.contains("id=\"batch\"") && !page.contains("id=\"refusals\"") && !page.contains("id=\"crls\""));
        assert!(!page.contains("id=\"csrs\""));
    }

    #[test]
    fn the_cas_are_a_tree_and_a_circle_of_issuers_ends() {
        let mut data = report(Environment::Real);
        let trees = picture::trees(&data);
        assert_eq!((trees.len(), trees[0].id.as_str(), trees[0].below.len()), (1, "root", 1));
        assert_eq!((trees[0].below[0].id.as_str(), trees[0].below[0].signed), ("servers-1", 24));
        let page = render(&data).unwrap();
        assert!(
            page.contains("<li><div class=\"box\"><b>root</b>")
                && page.contains("<ul><li><div class=\"box\"><b>servers-1")
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
}
