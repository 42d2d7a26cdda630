//! Which names a certificate gets: those asked for, each lawful, each of a form that the profile takes, each validated.
//!
//! Names are compared in one spelling ([`crate::text::idn`]): domain names in lower-case A-labels, JIDs by PRECIS. Any form that a
//! profile does not know refuses the request: a certificate without a name that somebody relies on helps nobody. The rules of each
//! kind of holder stand in [`super::server`], [`super::client`] and [`super::device`].

use super::check::{Check, Refused};
use super::{client, device, server};
use crate::config::{Base, NameForm, Profile, Rule};
use crate::text::{escape, idn};
use crate::x509::fields::GeneralName;
use crate::x509::{Request, general_name_text};

/// More names than this in one certificate make handshakes slow, and are a sign of a mistake.
pub const MAX_NAMES: usize = 100;
/// Octets of a subjectAltName, about. The rest of the 12 KiB that a TBSCertificate may have is for keys, URLs and
/// the signature: one that is too long would stop its batch when it is signed.
const MAX_SAN: usize = 8 * 1024;
/// The upper bound of commonName (RFC 5280 appendix A, ub-common-name).
pub(super) const MAX_COMMON_NAME: usize = 64;
/// The most that the desk's table holds of one name.
pub(super) const MAX_URN: usize = 253;

/// The names of one certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// The only attribute of the subject; `None`: an empty subject.
    pub common_name: Option<String>,
    pub san: Vec<GeneralName>,
}

pub(super) fn judge(request: &Request, validated: &[String], profile: &Profile) -> Result<Names, Refused> {
    let mut asked: Vec<&GeneralName> = Vec::new();
    for name in request.san.iter().flatten() {
        if takes(profile, name)? {
            asked.push(name);
        }
    }
    let names = match profile.base {
        Base::Device => device::judge(request, &asked, validated)?,
        Base::TlsClient => client::tls(request, &asked, validated, profile)?,
        Base::XmppClient => client::xmpp(&asked, validated, profile)?,
        _ => server::judge(request, &asked, validated, profile)?,
    };
    let given = |form: &NameForm| match form {
        // An id is only ever a commonName; a server without a subjectAltName gives its domain there.
        NameForm::Id => names.common_name.is_some(),
        form => names
            .san
            .iter()
            .filter(|_| request.san.is_none())
            .chain(asked.iter().copied())
            .any(|n| is(n) == Some(*form)),
    };
    let needed = profile.names.iter().filter(|(_, rule)| **rule == Rule::Needed).map(|(form, _)| form);
    if let Some(form) = needed.into_iter().find(|form| !given(form)) {
        let wrong = format!("the request asks for no name of the form `{}`, which this profile needs", form.name());
        return Err(Refused::new(Check::NamesRequested, wrong));
    }
    let octets: usize = names.san.iter().map(octets).sum();
    if octets > MAX_SAN {
        let wrong = format!("its names would need {octets} octets in the certificate, more than {MAX_SAN}");
        return Err(Refused::new(Check::NamesRequested, wrong));
    }
    Ok(names)
}

/// The form of a name; `None`: one that no profile knows.
fn is(name: &GeneralName) -> Option<NameForm> {
    match name {
        GeneralName::Dns(text) if text.starts_with("*.") => Some(NameForm::Wildcard),
        GeneralName::Dns(_) => Some(NameForm::Dns),
        GeneralName::Srv(_) => Some(NameForm::Srv),
        GeneralName::XmppAddr(_) => Some(NameForm::XmppAddr),
        GeneralName::Ip(_) => Some(NameForm::Ip),
        GeneralName::Email(_) | GeneralName::Utf8Mailbox(_) => Some(NameForm::Mail),
        GeneralName::Uri(_) => Some(NameForm::Uri),
        GeneralName::Other(_) => None,
    }
}

/// Whether the profile takes a name of this form; if not, it is left out, or refuses the request.
pub(super) fn takes(profile: &Profile, name: &GeneralName) -> Result<bool, Refused> {
    let form = is(name);
    match form.and_then(|form| profile.names.get(&form)) {
        Some(Rule::Taken | Rule::Needed) => Ok(true),
        Some(Rule::Ignored) => Ok(false),
        Some(Rule::Refused) if form == Some(NameForm::Wildcard) => {
            let text = general_name_text(name);
            let wrong = format!("the name `{text}` is a wildcard, which this profile never certifies");
            Err(Refused::new(Check::NameForm, wrong))
        }
        Some(Rule::Refused) | None => Err(never(name)),
    }
}

/// The refusal of a form of name that the profile does not know.
pub(super) fn never(name: &GeneralName) -> Refused {
    let wrong = match name {
        GeneralName::Other(_) => "the request asks for a form of name that this profile does not know".into(),
        name => format!("the request asks for `{}`, which this profile never certifies", general_name_text(name)),
    };
    Refused::new(Check::NameForm, wrong)
}

pub(super) fn not_validated(missing: &[String]) -> Refused {
    Refused::new(Check::NamesValidated, format!("not validated for this requester: {}", few(missing)))
}

/// Takes a name in, once.
pub(super) fn add<T: PartialEq>(names: &mut Vec<T>, name: T) -> Result<(), Refused> {
    if !names.contains(&name) {
        if names.len() == MAX_NAMES {
            return Err(Refused::new(
                Check::NamesRequested,
                format!("the request asks for more than {MAX_NAMES} names"),
            ));
        }
        names.push(name);
    }
    Ok(())
}

/// What a name takes up in a certificate: its text and at most 24 octets of tags, lengths and object identifiers.
fn octets(name: &GeneralName) -> usize {
    match name {
        GeneralName::Dns(text) | GeneralName::Uri(text) | GeneralName::Email(text) => text.len() + 4,
        GeneralName::Srv(text) | GeneralName::XmppAddr(text) | GeneralName::Utf8Mailbox(text) => text.len() + 24,
        GeneralName::Ip(octets) | GeneralName::Other(octets) => octets.len() + 4,
    }
}

/// A domain name in A-labels, lower-cased: labels of letters, digits and hyphens (RFC 1034 §3.5), `xn--` the only use of
/// hyphens in places three and four (RFC 5890 §2.3.1), the whole first label perhaps `*`, the last label not all digits
/// (it would be taken for an IP address, RFC 1123 §2.1). An A-label is what its U-label is written as, and nothing else
/// (RFC 5891 §5.4).
pub(super) fn domain(text: &str) -> Result<String, Refused> {
    let refuse = |what: &str| Err(Refused::new(Check::NameForm, format!("the name `{}` {what}", escape(text))));
    if !text.is_ascii() {
        return refuse("is not ASCII");
    }
    if text.is_empty() || text.len() > 253 {
        return refuse("does not have 1 to 253 characters");
    }
    let lower = text.to_ascii_lowercase();
    let labels: Vec<&str> = lower.split('.').collect();
    let (wildcard, rest) = match labels.as_slice() {
        ["*", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    for label in rest {
        if label.is_empty() || label.len() > 63 {
            return refuse("has a label that does not have 1 to 63 characters");
        }
        if label.contains('*') {
            return refuse("has a wildcard that is not the whole first label");
        }
        if !label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
            return refuse("has characters other than letters, digits and hyphens");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return refuse("has a label that begins or ends with a hyphen");
        }
        if label.get(2..4) == Some("--") && (!label.starts_with("xn--") || label.len() == 4) {
            return refuse("has a label with hyphens in places three and four that is no A-label");
        }
    }
    if wildcard && rest.len() < 2 {
        return refuse("has a wildcard right before a top-level domain");
    }
    if rest.last().is_none_or(|label| label.bytes().all(|c| c.is_ascii_digit())) {
        return refuse("is an IP address, or could be taken for one");
    }
    if lower.contains("xn--") && idn::a_labels(&lower).as_ref() != Some(&lower) {
        return refuse("has a label that is no A-label: what it stands for is no name, or is written in another way");
    }
    Ok(lower)
}

/// The first few of a list.
fn few(names: &[String]) -> String {
    match names.get(..5) {
        Some(shown) if names.len() > 5 => format!("{} and {} more", shown.join(", "), names.len() - 5),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_names_are_lawful_and_lower_case() {
        assert_eq!(domain("Chat.Example.ORG").unwrap(), "chat.example.org");
        assert_eq!(domain("*.xn--mller-kva.example").unwrap(), "*.xn--mller-kva.example");
        assert_eq!(domain("localhost").unwrap(), "localhost");
        for bad in [
            "m\u{fc}ller.example",
            "",
            "a..b",
            "example.org.",
            "-a.example",
            "a-.example",
            "a_b.example",
            "*",
            "*.org",
            "a.*.example",
            "f*.example.org",
            "192.0.2.1",
            "1.2.3.4.5",
            "ab--cd.example",
            "xn--.example",
            "xn--99999999.example",
            "xn--45h.example",
            "a b.example",
            "2001:db8::1",
        ] {
            assert_eq!(domain(bad).unwrap_err().check, Check::NameForm, "{bad}");
        }
        assert!(domain(&format!("{}.example", "a".repeat(64))).is_err());
        assert!(domain(&format!("{}.example", "a.".repeat(125))).is_err());
    }
}
