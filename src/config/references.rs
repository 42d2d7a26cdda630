//! The judgement of what the tables say about each other.

use std::collections::BTreeSet;

use super::PinEntry;
use super::hierarchy::{Ca, Environment, Hierarchy, MarkPlace, Token};
use super::line::{plain_line, show};
use super::profile::{Base, Validity};
use super::{Error, field};

impl Hierarchy {
    /// Every reference resolves, every id stands once, and no declaration contradicts another.
    pub(super) fn check_references(&self) -> Result<(), Error> {
        unique("person", self.persons.iter().map(|p| p.id.as_str()))?;
        unique("desk", self.desks.iter().map(|d| d.id.as_str()))?;
        unique("validator", self.validators.iter().map(|v| v.id.as_str()))?;
        unique("token", self.tokens.iter().map(|t| t.id.as_str()))?;
        unique("key", self.keys.iter().map(|k| k.id.as_str()))?;
        unique("wrapping-key", self.wrapping_keys.iter().map(|k| k.id.as_str()))?;
        unique("ca", self.cas.iter().map(|c| c.id.as_str()))?;
        unique("profile", self.profiles.iter().map(|p| p.id.as_str()))?;
        self.check_copies()?;
        self.check_minutes()?;
        self.check_keys()?;
        self.check_wrapping_keys()?;
        for (i, ca) in self.cas.iter().enumerate() {
            self.check_ca(ca, i)?;
        }
        self.check_profiles()?;
        // Only now does every chain of issuers reach a root.
        for (i, ca) in self.cas.iter().enumerate() {
            self.check_under_issuer(ca, i)?;
        }
        self.check_rules()?;
        unique("linter", self.linters.iter().map(|l| l.id.as_str()))?;
        self.check_linters()?;
        self.check_desks()
    }

    /// A file in place of paper says nothing of what is newest. It stands only where the PIN lies in a file too: whoever types a PIN
    /// is asked for the words, whatever hierarchy a parent has brought.
    fn check_minutes(&self) -> Result<(), Error> {
        let Some(file) = &self.minutes_file else { return Ok(()) };
        let at = "audit.minutes-file";
        plain_line(at, &file.to_string_lossy(), 4096)?;
        let by_file = |token: &Token| token.pin == PinEntry::Prompt && token.pin_file.is_some();
        if self.environment == Environment::Real {
            return Err(field(at, "belongs to rehearsals; here the words are typed from the minutes"));
        }
        if self.audit_mark != MarkPlace::Paper {
            return Err(field(at, "belongs to `mark = \"paper\"`"));
        }
        match self.token(&self.audit_token).is_none_or(by_file) {
            true => Ok(()),
            false => Err(field(at, "belongs to an audit token with a `pin-file`: who types a PIN types the words too")),
        }
    }

    /// A copy is a copy of one that is none, and no two tables name one token: its second login would wait for the first.
    fn check_copies(&self) -> Result<(), Error> {
        for (i, token) in self.tokens.iter().enumerate() {
            let name = |t: &super::Token| (t.module.clone(), t.env.clone(), t.label.clone(), t.serial.clone(), t.slot);
            let twin = self.tokens.iter().take(i).find(|t| t.serial.is_some() && name(t) == name(token));
            if let Some(twin) = twin {
                return Err(field(format!("token[{i}].serial"), format!("names the same token as `{}`", twin.id)));
            }
            self.check_standby(token, i)?;
            let Some(original) = &token.same_keys_as else { continue };
            let at = format!("token[{i}].same-keys-as");
            match self.token(original) {
                None => return Err(unknown(&at, "token", original)),
                Some(t) if t.same_keys_as.is_some() || t.id == token.id => {
                    return Err(field(at, "names a copy; all copies name the token that the keys were made in"));
                }
                Some(_) => {}
            }
            if self.audit_token == token.id {
                return Err(field("audit.token", "is a copy; the mark stands in one token, which is no copy"));
            }
            if let Some(n) = self.keys.iter().position(|key| key.token == token.id) {
                let message = format!("is a copy; the key is declared with `{}`", show(original));
                return Err(field(format!("key[{n}].token"), message));
            }
        }
        Ok(())
    }

    /// Standby tokens are clones of the one that has the mark. The spare of any other is a copy that signs with it.
    fn check_standby(&self, token: &Token, i: usize) -> Result<(), Error> {
        let at = |n: usize| format!("token[{i}].standby[{n}]");
        if !token.standby.is_empty() && token.id != self.audit_token {
            let message = "belongs to the token of the audit key; another one's spare is a token with `same-keys-as`";
            return Err(field(format!("token[{i}].standby"), message));
        }
        for (n, serial) in token.standby.iter().enumerate() {
            if token.standby.iter().take(n).any(|before| before == serial) {
                return Err(field(at(n), format!("`{}` stands twice", show(serial))));
            }
            let is_it = |t: &&Token| {
                t.serial.as_ref() == Some(serial) && (&t.module, &t.label) == (&token.module, &token.label)
            };
            if let Some(other) = self.tokens.iter().find(is_it) {
                return Err(field(at(n), format!("is the serial of token `{}` itself", other.id)));
            }
        }
        Ok(())
    }

    fn check_keys(&self) -> Result<(), Error> {
        if self.token(&self.audit_token).is_none() {
            return Err(unknown("audit.token", "token", &self.audit_token));
        }
        let needs_age = |t: &Token| matches!(t.pin, PinEntry::Age { .. }) && self.age.is_none();
        if let Some(i) = self.tokens.iter().position(needs_age) {
            let message = "needs `age` of [programs]: the absolute path of the program that decrypts it";
            return Err(field(format!("token[{i}].pin-age"), message));
        }
        for (i, key) in self.keys.iter().enumerate() {
            if self.token(&key.token).is_none() {
                return Err(unknown(&format!("key[{i}].token"), "token", &key.token));
            }
            let twin = self.keys.iter().any(|k| k.id != key.id && k.token == key.token && k.label == key.label);
            if twin || (key.token == self.audit_token && key.label == self.audit_key_label) {
                return Err(field(format!("key[{i}].label"), "stands twice on the same token"));
            }
        }
        Ok(())
    }

    /// A wrapping key has an id and a label of its own, and wraps in its own token: what it wraps comes back there.
    fn check_wrapping_keys(&self) -> Result<(), Error> {
        for (i, key) in self.wrapping_keys.iter().enumerate() {
            let at = |name: &str| format!("wrapping-key[{i}].{name}");
            if self.token(&key.token).is_none() {
                return Err(unknown(&at("token"), "token", &key.token));
            }
            if self.key(&key.id).is_some() {
                return Err(field(at("id"), "is the id of a `key` too"));
            }
            let others = self.wrapping_keys.iter().filter(|k| k.id != key.id).map(|k| (&k.token, &k.label));
            let mut named = others.chain(self.keys.iter().map(|k| (&k.token, &k.label)));
            let audit = (&self.audit_token, &self.audit_key_label);
            if named.any(|name| name == (&key.token, &key.label)) || audit == (&key.token, &key.label) {
                return Err(field(at("label"), "stands twice on the same token"));
            }
        }
        for (i, key) in self.keys.iter().enumerate() {
            let Some(by) = &key.wrapped_by else { continue };
            match self.wrapping_key(by) {
                None => return Err(unknown(&format!("key[{i}].wrapped-by"), "wrapping-key", by)),
                Some(wrapping) if wrapping.token != key.token => {
                    return Err(field(format!("key[{i}].wrapped-by"), "names a wrapping key of another token"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn check_ca(&self, ca: &Ca, i: usize) -> Result<(), Error> {
        let at = |name: &str| format!("ca[{i}].{name}");
        if self.key(&ca.key).is_none() && !ca.key_is_elsewhere() {
            return Err(unknown(&at("key"), "key", &ca.key));
        }
        if ca.key_is_elsewhere() && (ca.is_root() || self.key(&ca.key).is_some()) {
            let message = "`elsewhere` is a key outside of this station, which a root or a declared key cannot be";
            return Err(field(at("key"), message));
        }
        if self.ca(&ca.issuer).is_some_and(|issuer| !ca.is_root() && issuer.key_is_elsewhere()) {
            return Err(field(at("issuer"), "names a CA whose key is elsewhere, which signs nothing here"));
        }
        if ca.is_external() && ca.key_is_elsewhere() {
            return Err(field(at("key"), "is elsewhere, and so is its issuer: nothing of this CA is here"));
        }
        if self.ca(&ca.issuer).is_none() && !ca.is_external() {
            return Err(unknown(&at("issuer"), "ca", &ca.issuer));
        }
        let profile = self.profile(&ca.profile).ok_or_else(|| unknown(&at("profile"), "profile", &ca.profile))?;
        let wanted = if ca.is_root() { Base::Root } else { Base::Intermediate };
        if profile.base != wanted {
            let (id, base, wanted) = (&profile.id, profile.base.name(), wanted.name());
            return Err(field(at("profile"), format!("`{id}` is based on `{base}`, this CA needs `{wanted}`")));
        }
        if self.cas.iter().any(|other| other.id != ca.id && other.subject == ca.subject) {
            return Err(field(
                at("subject"),
                "is another CA's name; who reads a certificate could not tell the two apart",
            ));
        }
        if self.cas.iter().any(|other| other.id != ca.id && other.key == ca.key && !ca.key_is_elsewhere()) {
            return Err(field(at("key"), "is another CA's key; each CA has its own"));
        }
        let mut seen = BTreeSet::from([ca.id.as_str()]);
        let mut above = ca;
        while !above.is_root() {
            let Some(next) = self.ca(&above.issuer) else { break };
            if !next.is_root() && !seen.insert(next.id.as_str()) {
                return Err(field(at("issuer"), "the issuers run in a circle and reach no root"));
            }
            above = next;
        }
        Ok(())
    }

    /// What no ceremony could carry out: a CA that outlives its issuer, or one that its issuer's path length leaves no
    /// room for (RFC 5280 §4.2.1.9). `policy` would refuse both too, but only when the people are assembled.
    fn check_under_issuer(&self, ca: &Ca, i: usize) -> Result<(), Error> {
        if ca.is_root() {
            return Ok(());
        }
        let place = |id: &str| self.cas.iter().position(|c| c.id == id).unwrap_or_default();
        let Some(issuer) = self.ca(&ca.issuer) else { return Ok(()) };
        let above = place(&issuer.id);
        match (ca.days, issuer.days) {
            (Some(own), Some(limit)) if own > limit => {
                let message = format!("is {own}, more than the {limit} of `ca[{above}].days`, its issuer's");
                return Err(field(format!("ca[{i}].days"), message));
            }
            (None, Some(limit)) => {
                let message = format!("is `never`, and its issuer `ca[{above}]` is valid for {limit} days");
                return Err(field(format!("ca[{i}].expires"), message));
            }
            _ => {}
        }
        let path_len = |ca: &Ca| self.profile(&ca.profile).and_then(|profile| profile.path_len);
        let place = |ca: &Ca| self.profiles.iter().position(|p| p.id == ca.profile).unwrap_or_default();
        match (path_len(issuer), path_len(ca)) {
            (None, _) => Ok(()),
            (Some(0), _) => {
                let message = format!("is 0, which leaves no room for `ca[{i}]` under `ca[{above}]`");
                Err(field(format!("profile[{}].path-len", place(issuer)), message))
            }
            (Some(limit), Some(own)) if own < limit => Ok(()),
            (Some(limit), own) => {
                let own = own.map_or("is left out".into(), |own| format!("is {own}"));
                let issuers = format!("profile[{}].path-len", place(issuer));
                let message =
                    format!("{own}; `ca[{i}]` needs one smaller than the {limit} of `{issuers}`, its issuer's");
                Err(field(format!("profile[{}].path-len", place(ca)), message))
            }
        }
    }

    fn check_profiles(&self) -> Result<(), Error> {
        for (i, profile) in self.profiles.iter().enumerate() {
            let declared = self.validators.len();
            if profile.validators as usize > declared {
                let message = format!("is {}; the hierarchy declares {declared}", profile.validators);
                return Err(field(format!("profile[{i}].validators"), message));
            }
            let at = format!("profile[{i}].issuer");
            match (&profile.issuer, profile.base.is_ca()) {
                (Some(issuer), false) => {
                    let place = self.cas.iter().position(|c| c.id == *issuer);
                    let Some((place, ca)) = place.and_then(|n| Some((n, self.cas.get(n)?))) else {
                        return Err(unknown(&at, "ca", issuer));
                    };
                    if ca.key_is_elsewhere() {
                        return Err(field(at, "names a CA whose key is elsewhere, which signs nothing here"));
                    }
                    if let Some(limit) = ca.days.filter(|limit| profile.validity > Validity::days(*limit)) {
                        let message = format!(
                            "is {}, more than the {limit} of `ca[{place}].days`, its issuer's",
                            profile.validity
                        );
                        return Err(field(format!("profile[{i}].days"), message));
                    }
                }
                (None, false) => return Err(field(at, "an end-entity profile names the CA that issues it")),
                (Some(_), true) => {
                    return Err(field(at, "the issuer of a CA stands with the CA, not with its profile"));
                }
                (None, true) => {}
            }
        }
        Ok(())
    }

    fn check_desks(&self) -> Result<(), Error> {
        for (i, desk) in self.desks.iter().enumerate() {
            for name in &desk.profiles {
                match self.profile(name) {
                    None => return Err(unknown(&format!("desk[{i}].profiles"), "profile", name)),
                    Some(p) if p.issuer.is_none() => {
                        return Err(field(format!("desk[{i}].profiles"), "CA certificates never come from a desk"));
                    }
                    Some(p) if p.base.is_signer() => {
                        let message = "certificates of signers never come from a desk; the act `signer` makes them";
                        return Err(field(format!("desk[{i}].profiles"), message));
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }
}

fn unknown(at: &str, kind: &str, id: &str) -> Error {
    field(at, format!("names the {kind} `{}`, which is not declared", show(id)))
}

fn unique<'a>(kind: &str, ids: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for (i, id) in ids.enumerate() {
        if !seen.insert(id) {
            return Err(field(format!("{kind}[{i}].id"), format!("`{id}` stands twice")));
        }
    }
    Ok(())
}
