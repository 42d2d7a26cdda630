//! One item of a plan, every field of it.

use serde_json::{Value, json};

use crate::cli::Failure;
use crate::digest::Digest;
use crate::plan::Item;
use crate::report::sheet::Sheet;
use crate::text::{escape, hex, utc};
use crate::x509;
use crate::x509::fields::reason_name;

use super::ROWS;
use super::certificate::{certificate_json, certificate_rows, crl_sheet, request_rows};
use super::plan::agrees;

/// The item `n`, for people and for machines.
pub(super) fn item(item: Item, n: u64) -> Result<(Sheet, Value), Failure> {
    agrees(&item).map_err(|what| Failure::refused(format!("item {n}: {what}"), "do not approve this plan"))?;
    let of = |what: &str| Sheet::new(format!("Item {n}: {what}"));
    let tbs = |tbs: &[u8]| [("TBS", format!("{} octets", tbs.len()))];
    Ok(match item {
        Item::GenerateKey(k) => {
            let facts = [
                ("key", escape(&k.key)),
                ("token", escape(&k.token)),
                ("label", escape(&k.label)),
                ("CKA_ID", hex(&k.cka_id)),
                ("algorithm", k.algorithm.to_string()),
                ("backup", format!("{:?}", k.backup).to_lowercase()),
            ];
            (of("a key pair to be made").facts(&facts), json!(k))
        }
        Item::GenerateWrappingKey(k) => {
            let facts = [
                ("key", escape(&k.key)),
                ("token", escape(&k.token)),
                ("label", escape(&k.label)),
                ("CKA_ID", hex(&k.cka_id)),
            ];
            (of("an AES-256 key to be made, which wraps other keys").facts(&facts), json!(k))
        }
        Item::KeyAct(act) => {
            let key = &act.key;
            let mut facts = vec![
                ("act", act.deed.act().to_string()),
                ("key", escape(&key.key)),
                ("token", escape(&key.token)),
                ("label", escape(&key.label)),
                ("CKA_ID", hex(&key.cka_id)),
                ("detail", escape(&act.detail())),
            ];
            facts.extend(act.deed.text().map(|text| ("signs", crate::text::lines(&String::from_utf8_lossy(text)))));
            (of("an act on a key").facts(&facts).digest("public half", &Digest::of(&key.spki)), json!(act))
        }
        Item::Certificate(c) => {
            let what =
                format!("a certificate to be signed by CA `{}` with key `{}`", escape(&c.ca), escape(&c.signer.key));
            let sheet = of(&what).facts(&certificate_rows(&c.fields)).facts(&tbs(&c.tbs));
            (sheet.digest("TBS, SHA-256", &Digest::of(&c.tbs)), certificate_json(&c.fields))
        }
        Item::Revoke(r) => {
            let facts = [
                ("CA", escape(&r.ca)),
                ("serial", hex(&r.serial)),
                ("reason", reason_name(r.reason).to_string()),
                ("date", utc(r.date)),
            ];
            (of("a certificate to be revoked").facts(&facts), json!(r))
        }
        Item::Csr(c) => {
            let (ca, key) = (escape(&c.ca), escape(&c.signer.key));
            let what = format!("a request of CA `{ca}` for its external issuer, to be signed by its key `{key}`");
            let sheet = of(&what).facts(&request_rows(&c.fields)).facts(&tbs(&c.tbs));
            let json = json!({ "ca": c.ca, "subject": x509::name_text(&c.fields.subject) });
            (sheet.digest("TBS, SHA-256", &Digest::of(&c.tbs)), json)
        }
        Item::Crl(c) => {
            let sheet = of(&format!("a CRL to be signed by CA `{}`", escape(&c.ca)));
            (crl_sheet(sheet, &c.fields, ROWS), json!({ "ca": c.ca, "number": c.fields.number }))
        }
    })
}
