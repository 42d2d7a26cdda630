//! How long a certificate is valid.

use std::fmt;

/// A validity in whole hours. A day has 86,400 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Validity {
    hours: u32,
}

impl Validity {
    pub const fn days(days: u32) -> Validity {
        Validity { hours: days.saturating_mul(24) }
    }

    /// `36h`, or `90d`, at least one of either.
    pub(in crate::config) fn parse(text: &str) -> Option<Validity> {
        let (digits, hours) = match text.strip_suffix('h') {
            Some(digits) => (digits, 1),
            None => (text.strip_suffix('d')?, 24),
        };
        let plain = !digits.starts_with('0') && digits.len() <= 6 && digits.bytes().all(|c| c.is_ascii_digit());
        let count: u32 = digits.parse().ok().filter(|_| plain)?;
        Some(Validity { hours: count * hours })
    }

    pub fn seconds(self) -> i64 {
        i64::from(self.hours) * 3_600
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = if self.hours.is_multiple_of(24) { (self.hours / 24, "day") } else { (self.hours, "hour") };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_days_are_read_and_told() {
        for (text, seconds, told) in [
            ("1h", 3_600, "1 hour"),
            ("36h", 129_600, "36 hours"),
            ("24h", 86_400, "1 day"),
            ("90d", 7_776_000, "90 days"),
        ] {
            let validity = Validity::parse(text).unwrap();
            assert_eq!((validity.seconds(), validity.to_string().as_str()), (seconds, told));
        }
        for wrong in ["", "h", "0h", "01h", "36", "36m", "-1h", "+1h", " 1h", "1.5h", "9999999h", "1 h", "\u{661}h"] {
            assert_eq!(Validity::parse(wrong), None, "{wrong}");
        }
    }
}
