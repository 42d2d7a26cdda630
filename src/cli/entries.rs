//! Which entries of a log are meant: the filters of `show` and `export`.

use clap::Args;

use crate::audit::about::{About, KINDS};
use crate::audit::entry::{Body, Entry};
use crate::audit::{View, check};

use super::Failure;

/// Entries to take; several options must all fit, several values of one option are alternatives.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Entries of a log (several options: all must fit; one option several times: any)")]
pub struct Filter {
    /// From this time on: 2026-11-22 or 2026-11-22T00:00:00Z
    #[arg(long, value_name = "UTC", value_parser = since)]
    pub since: Option<i64>,
    /// Up to this time, and with it; a day alone means all of it
    #[arg(long, value_name = "UTC", value_parser = until)]
    pub until: Option<i64>,
    /// Of this kind, such as certificate, refused, start, pin-try
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(KINDS), hide_possible_values = true)]
    pub kind: Vec<String>,
    /// About this key, by the hierarchy's id
    #[arg(long, value_name = "ID")]
    pub key: Vec<String>,
    /// Of this CA, by the hierarchy's id
    #[arg(long, value_name = "ID")]
    pub ca: Vec<String>,
    /// In which this person approved, operated, watched or did something, by roster id
    #[arg(long, value_name = "ID")]
    pub person: Vec<String>,
    /// Of this request
    #[arg(long, value_name = "ID")]
    pub request: Vec<String>,
    /// Of the certificate with this serial number, hex digits as `show` or OpenSSL prints them
    #[arg(long, value_name = "HEX", value_parser = serial)]
    pub serial: Vec<Serial>,
    /// Of the plan whose SHA-256 begins with these hex digits (four at least)
    #[arg(long, value_name = "HEX", value_parser = plan)]
    pub plan: Vec<String>,
}

/// A serial number without leading zero octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serial(Vec<u8>);

impl Serial {
    pub fn of(octets: &[u8]) -> Serial {
        Serial(octets.iter().copied().skip_while(|octet| *octet == 0).collect())
    }

    /// The content octets of the INTEGER, which is not negative.
    pub fn content(&self) -> Vec<u8> {
        match self.0.first() {
            Some(first) if *first < 0x80 => self.0.clone(),
            _ => [&[0], self.0.as_slice()].concat(),
        }
    }
}

impl Filter {
    /// Is anything asked for?
    pub fn given(&self) -> bool {
        let lists = [&self.kind, &self.key, &self.ca, &self.person, &self.request, &self.plan];
        self.since.is_some() || self.until.is_some() || !self.serial.is_empty() || lists.iter().any(|l| !l.is_empty())
    }

    pub fn takes(&self, entry: &Entry) -> bool {
        let when = self.since.is_none_or(|t| entry.time >= t) && self.until.is_none_or(|t| entry.time <= t);
        when && (self.kind.is_empty() || self.kind.iter().any(|k| k == check::kind(&entry.body)))
            && self.names(&entry.body)
    }

    fn names(&self, body: &Body) -> bool {
        let about = About::new(body);
        let one_of = |wanted: &[String], found: &[&str]| {
            wanted.is_empty() || wanted.iter().any(|wanted| found.contains(&wanted.as_str()))
        };
        one_of(&self.key, &about.keys)
            && one_of(&self.ca, &about.cas)
            && one_of(&self.person, &about.persons)
            && one_of(&self.request, about.request.as_slice())
            && (self.serial.is_empty() || about.serial.is_some_and(|s| self.serial.contains(&Serial::of(s))))
            && (self.plan.is_empty()
                || about.plan.is_some_and(|p| self.plan.iter().any(|prefix| p.hex().starts_with(prefix))))
    }

    /// Calls `each` for the entries meant from `first` on, in order, until it says stop (`false`). Memory: one tile.
    pub fn each<E: From<Failure>>(
        &self,
        log: &View,
        first: u64,
        mut each: impl FnMut(u64, Entry) -> Result<bool, E>,
    ) -> Result<(), E> {
        for found in log.entries(first..log.size()) {
            let (index, entry, _) = found.map_err(Failure::from)?;
            if self.takes(&entry) && !each(index, entry)? {
                break;
            }
        }
        Ok(())
    }
}

fn since(text: &str) -> Result<i64, String> {
    moment(text, "T00:00:00Z")
}

fn until(text: &str) -> Result<i64, String> {
    moment(text, "T23:59:59Z")
}

fn moment(text: &str, of_day: &str) -> Result<i64, String> {
    crate::text::parse_utc(text)
        .or_else(|| crate::text::parse_utc(&format!("{text}{of_day}")))
        .ok_or_else(|| "write it as 2026-11-22 or 2026-11-22T00:00:00Z".into())
}

/// Reads a serial number as people find it.
pub fn serial(text: &str) -> Result<Serial, String> {
    let digits: String = text.chars().filter(|c| !" :".contains(*c)).collect();
    let digits = digits.strip_prefix("0x").unwrap_or(&digits);
    let whole = if digits.len().is_multiple_of(2) { digits.to_string() } else { format!("0{digits}") };
    match data_encoding::HEXLOWER_PERMISSIVE.decode(whole.as_bytes()) {
        Ok(octets) if !octets.is_empty() => Ok(Serial::of(&octets)),
        _ => Err("write it as hex digits, such as 4f3a90… or 4F:3A:90:…".into()),
    }
}

fn plan(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(|c| *c != ' ').collect::<String>().to_ascii_lowercase();
    match (4..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(digits),
        false => Err("give the first hex digits of its SHA-256, four at least".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_read_and_a_day_is_whole() {
        assert_eq!(since("2026-11-22"), Ok(1_795_305_600));
        assert_eq!(until("2026-11-22"), Ok(1_795_305_600 + 86_399));
        assert_eq!(
            (since("2026-11-22T01:00:00Z"), until("2026-11-22T01:00:00Z")),
            (Ok(1_795_309_200), Ok(1_795_309_200))
        );
        for bad in ["", "yesterday", "2026-13-01", "22.11.2026", "2026-11-22T01:00:00"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_serial_is_read_as_people_find_it() {
        let wanted = Serial(vec![0x4f, 0x3a]);
        for text in ["4f3a", "4F:3A", "0x4f3a", "4f 3a", "00:4f:3a", "04f3a"] {
            assert_eq!(serial(text).as_ref(), Ok(&wanted), "{text}");
        }
        for content in [&[0][..], &[1], &[0x7f, 0], &[0, 0x80], &[0, 0xff, 0]] {
            assert_eq!(Serial::of(content).content(), content);
        }
        assert_eq!((Serial::of(&[0, 0x4f, 0x3a]), serial("xy").is_err(), serial("").is_err()), (wanted, true, true));
    }

    #[test]
    fn all_options_must_fit_and_one_of_their_values() {
        let digest = crate::digest::Digest([0xab; 32]);
        let refused =
            Body::Refused { plan: digest, request: "r1".into(), check: "key-size".into(), reason: "x".into() };
        let entry = Entry::new(100, refused);
        let takes = |set: &dyn Fn(&mut Filter)| {
            let mut filter = Filter::default();
            set(&mut filter);
            assert!(filter.given());
            filter.takes(&entry)
        };
        assert!(!Filter::default().given() && Filter::default().takes(&entry));
        assert!(takes(&|f| (f.since, f.until) = (Some(100), Some(100))));
        assert!(!takes(&|f| f.since = Some(101)) && !takes(&|f| f.until = Some(99)));
        assert!(takes(&|f| f.kind = vec!["crl".into(), "refused".into()]) && !takes(&|f| f.kind = vec!["crl".into()]));
        assert!(takes(&|f| f.request = vec!["r0".into(), "r1".into()]) && !takes(&|f| f.request = vec!["r".into()]));
        assert!(takes(&|f| f.plan = vec!["abab".into()]) && !takes(&|f| f.plan = vec!["abac".into()]));
        assert!(!takes(&|f| f.serial = vec![Serial::of(&[1])]) && !takes(&|f| f.ca = vec!["root".into()]));
        assert!(!takes(&|f| (f.request, f.person) = (vec!["r1".into()], vec!["ann".into()])));
    }
}
