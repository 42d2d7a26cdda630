//! SSH keys and signatures: whose they are by the hierarchy at hand, and whether a signature fits what lies beside it.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Part, Verdict, parent};
use crate::approval::{self, Claim};
use crate::bundle;
use crate::cli::Failure;
use crate::cli::recognise::{self, Kind, MAX_WHOLE};
use crate::config::Hierarchy;
use crate::plan::{NAMESPACE, Plan, init_statement, statement};
use crate::report::sheet::Sheet;
use crate::text::{escape, line, path as shown, shell};

/// How far up a hierarchy is looked for.
const UP: usize = 3;

/// A signature: by which key, over what.
pub fn signature(path: &Path, armored: &str) -> Result<Part, Failure> {
    let claim = approval::claim(armored)?;
    let mut facts = vec![
        ("namespace", escape(&claim.namespace)),
        ("key", claim.fingerprint.clone()),
        ("whose", whose(path, &claim.fingerprint)),
    ];
    let json = json!({ "namespace": claim.namespace, "fingerprint": claim.fingerprint });
    let part = |facts: &[(&str, String)]| Part::new("SSH signature", Sheet::new("An SSH signature").facts(facts));
    let Some((over, text)) = signed(path)? else {
        facts.push(("over", "what it is over does not lie beside it".into()));
        return Ok(part(&facts).json(json));
    };
    facts.push(("over", shown(&over)));
    let verdict = match approval::verify(&claim.namespace, text.as_bytes(), armored, std::slice::from_ref(&claim.key)) {
        Ok(_) if claim.namespace != NAMESPACE && claim.namespace != bundle::VALIDATIONS => Verdict::Bad(format!(
            "the signature is of the namespace `{}`, which nothing here asks for",
            escape(&claim.namespace)
        )),
        Ok(_) => Verdict::Good(format!(
            "The signature fits what lies beside it. Whether its key counts the hierarchy says: {}.",
            whose(path, &claim.fingerprint)
        )),
        Err(e) => Verdict::Bad(format!("{} is no signature over {}: {e}", shown(path), shown(&over))),
    };
    let mut part = part(&facts);
    part.sheet = part.sheet.next("show what it is over", format!("coldroot show {}", shell(&over)));
    Ok(part.json(json).judged(verdict))
}

/// The file that `NAME.PERSON.sig` or `NAME.sig` is over, and the text that was signed.
fn signed(path: &Path) -> Result<Option<(PathBuf, String)>, Failure> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".sig")) else {
        return Ok(None);
    };
    let beside = [Some(name), name.rsplit_once('.').map(|(name, _)| name)];
    let Some(over) = beside.into_iter().flatten().map(|name| path.with_file_name(name)).find(|path| path.is_file())
    else {
        return Ok(None);
    };
    let text = match recognise::kind_of(&over)? {
        Some(Kind::Plan) => {
            let plan = Plan::open(&over)?;
            statement(plan.head(), &plan.digest())
        }
        Some(Kind::Hierarchy(text)) => init_statement(&Hierarchy::parse(&text)?),
        Some(Kind::Statement(text)) => text,
        _ => recognise::read_text(&over, MAX_WHOLE)?,
    };
    Ok(Some((over, text)))
}

/// A public key, as `ssh-keygen` writes it.
pub fn public_key(path: &Path, text: &str) -> Option<Part> {
    let Claim { fingerprint, key, .. } = approval::public_key(text.trim())?;
    let sheet = Sheet::new("An SSH public key").facts(&[
        ("key", line(&key)),
        ("fingerprint", fingerprint.clone()),
        ("whose", whose(path, &fingerprint)),
    ]);
    let good = Verdict::Good("The key is well formed. Whether it counts the hierarchy says.".into());
    Some(Part::new("SSH public key", sheet).json(json!({ "fingerprint": fingerprint })).judged(good))
}

/// A private key, of SSH or another: named, and no more.
pub fn private_key(path: &Path) -> Part {
    let public = PathBuf::from(format!("{}.pub", path.display()));
    let sheet = Sheet::new("A private key; nothing of it is shown");
    let sheet = match public.is_file() {
        true => sheet.next("show its public half", format!("coldroot show {}", shell(&public))),
        false => sheet,
    };
    Part::new("private key", sheet)
}

/// Who has the key by the nearest hierarchy.
fn whose(path: &Path, fingerprint: &str) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| parent(path));
    let dirs = absolute.ancestors().skip(1).take(UP).flat_map(|dir| [dir.to_path_buf(), dir.join("station")]);
    let Some(file) = dirs.map(|dir| dir.join("hierarchy.toml")).find(|file| file.is_file()) else {
        return "no hierarchy.toml lies near to say".into();
    };
    let Ok(h) = Hierarchy::load(&file) else { return format!("{} cannot be read", shown(&file)) };
    let has = |keys: &[String]| {
        keys.iter().filter_map(|key| approval::public_key(key)).any(|claim| claim.fingerprint == fingerprint)
    };
    let persons = h.persons.iter().filter(|p| has(&p.keys)).map(|p| format!("person `{}`", escape(&p.id)));
    let desks = h.desks.iter().filter(|d| has(&d.keys)).map(|d| format!("desk `{}`", escape(&d.id)));
    let validators = h.validators.iter().filter(|v| has(&v.keys)).map(|v| format!("validator `{}`", escape(&v.id)));
    let found: Vec<String> = persons.chain(desks).chain(validators).collect();
    match found.is_empty() {
        true => format!("nobody of {}", shown(&file)),
        false => format!("{} of {}", found.join(", "), shown(&file)),
    }
}
