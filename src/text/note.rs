//! Notes on shown text: what an A-label stands for, and scripts that are mixed within one word.

use unicode_script::{Script, ScriptExtension, UnicodeScript};

use super::code_point;

/// A-labels that get a note; the rest is counted.
const LABELS: usize = 3;

/// The notes on a text; of a `cut` one the last word is not known whole, and nothing is said of it.
pub(super) fn notes(text: &str, cut: bool) -> Vec<String> {
    let mut words: Vec<&str> = text.split(|c: char| c.is_whitespace() || (c.is_ascii() && !in_label(c))).collect();
    if cut {
        words.pop();
    }
    let labels: Vec<&str> = words.iter().copied().filter(|word| a_label(word).is_some()).collect();
    let mut notes: Vec<String> = labels.iter().take(LABELS).map(|label| of_label(label)).collect();
    if labels.len() > LABELS {
        notes.push(format!("{} more A-labels", labels.len() - LABELS));
    }
    if let Some(scripts) = words.iter().find(|word| mixed(word)).map(|word| scripts(word)) {
        notes.push(format!("mixed scripts {scripts}"));
    }
    notes
}

fn in_label(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

/// What follows `xn--` (RFC 5890 §2.3.2.1), which has no case.
fn a_label(word: &str) -> Option<&str> {
    let (prefix, rest) = word.split_at_checked(4)?;
    prefix.eq_ignore_ascii_case("xn--").then_some(rest)
}

fn of_label(label: &str) -> String {
    // A label has at most 63 octets (RFC 1035 §2.3.4).
    let decoded = a_label(label)
        .filter(|_| label.len() <= 63)
        .and_then(idna::punycode::decode_to_string)
        .filter(|decoded| !decoded.is_ascii());
    let label = super::lines(label);
    let Some(text) = decoded else { return format!("{label} is no A-label") };
    let shown: String = text.chars().map(|c| if in_label(c) { c.to_string() } else { code_point(c) }).collect();
    let mixing = if mixed(&text) { "mixed scripts " } else { "" };
    format!("{label} is {shown} in {mixing}{}", scripts(&text))
}

/// Whether no single script has all characters of the word (UTS #39 §5.1). Han goes with the other scripts of Japanese, Korean and
/// Chinese (UTS #39 §5.1, augmented script sets); Common and Inherited characters go with every script.
fn mixed(word: &str) -> bool {
    const WITH_HAN: [&[Script]; 3] = [
        &[Script::Han, Script::Hiragana, Script::Katakana],
        &[Script::Han, Script::Hangul],
        &[Script::Han, Script::Bopomofo],
    ];
    // Most text by far: nothing to look up.
    if word.is_ascii() {
        return false;
    }
    let one_language = |set: &&[Script]| {
        word.chars().all(|c| {
            let scripts = c.script_extension();
            scripts.is_common() || scripts.is_inherited() || set.iter().any(|script| scripts.contains_script(*script))
        })
    };
    word.chars().fold(ScriptExtension::default(), |sum, c| sum.intersection(c.script_extension())).is_empty()
        && !WITH_HAN.iter().any(one_language)
}

/// The scripts of a word by name, each once.
fn scripts(word: &str) -> String {
    let of_its_own = |script: &Script| !matches!(script, Script::Common | Script::Inherited);
    let names: std::collections::BTreeSet<&str> =
        word.chars().map(|c| c.script()).filter(of_its_own).map(Script::full_name).collect();
    match names.is_empty() {
        true => "no script".into(),
        false => names.into_iter().collect::<Vec<_>>().join(" and "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_one_language_are_not_mixed() {
        let fine = [
            "plain",
            "m\u{fc}ller",
            "\u{65e5}\u{672c}\u{306e}\u{30c4}",
            "\u{d55c}\u{6f22}",
            "\u{430}\u{431}-1",
            "\u{301}",
        ];
        let mix = ["p\u{430}y", "\u{3b1}b", "\u{306e}\u{d55c}", "a\u{200d}\u{430}"];
        assert!(fine.iter().all(|word| !mixed(word)));
        assert!(mix.iter().all(|word| mixed(word)));
    }

    #[test]
    fn notes_are_few_and_say_nothing_of_a_word_that_was_cut() {
        let many = ["xn--mller-kva"; 5].join(" ");
        assert_eq!(notes(&many, false).len(), 4);
        assert_eq!(notes(&many, false).last().unwrap(), "2 more A-labels");
        assert_eq!(notes("xn--mller-kva", true), [""; 0]);
        assert_eq!(notes("xn--99999999", false), ["xn--99999999 is no A-label"]);
        assert_eq!(notes(&format!("xn--{}", "a".repeat(60)), false).len(), 1);
    }
}
