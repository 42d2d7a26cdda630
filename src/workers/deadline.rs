//! How long each kind of question may take, before its worker is given up.

use std::time::Duration;

use crate::algorithm::SignatureAlgorithm;
use crate::config::Deadlines;
use crate::token::ask::Ask;

/// The deadline of this question. Finding out that a token hangs takes as long, so it is no longer than a slow token needs:
/// making an RSA key takes minutes in some, and a login may wait for people at a keypad.
pub(super) fn of(declared: &Deadlines, ask: &Ask) -> Duration {
    let seconds = match ask {
        Ask::Open { .. } | Ask::List { .. } => declared.open.unwrap_or(30),
        Ask::Login | Ask::SetPin | Ask::InitToken { .. } => declared.login.unwrap_or(60),
        Ask::FindKey { .. } | Ask::FindKeysByLabel { .. } => declared.find.unwrap_or(30),
        Ask::Inventory { .. } => declared.find.unwrap_or(120),
        Ask::GenerateKey { .. } => declared.generate.unwrap_or(300),
        Ask::ReadData { .. } | Ask::WriteData { .. } => declared.data.unwrap_or(30),
        Ask::Probe { step } => return Duration::from_secs(declared.other.map_or(step.seconds(), u64::from)),
        Ask::Sign { algorithm, messages, .. } => return signing(declared, *algorithm, messages.len()),
        _ => declared.other.unwrap_or(30),
    };
    Duration::from_secs(seconds.into())
}

/// So much for the question, and so much again for each signature.
fn signing(declared: &Deadlines, algorithm: SignatureAlgorithm, messages: usize) -> Duration {
    let each = declared.sign_each_ms.unwrap_or_else(|| each_ms(algorithm));
    let messages = u32::try_from(messages).unwrap_or(u32::MAX);
    Duration::from_secs(declared.sign.unwrap_or(30).into()) + Duration::from_millis(each.into()) * messages
}

/// Milliseconds that one signature may take, ten times what slow tokens need: a smart card signs with RSA-4096 in some
/// seconds, but nobody has it sign a batch. SLH-DSA with small signatures hashes for seconds even in a fast one.
fn each_ms(algorithm: SignatureAlgorithm) -> u32 {
    match algorithm.name().to_ascii_lowercase() {
        small if small.starts_with("slh-dsa") && small.ends_with('s') => 20_000,
        fast if fast.starts_with("slh-dsa") => 2_000,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::PostQuantum;
    use crate::token::ask::ToSign;

    fn sign(messages: u64) -> Ask {
        let messages = (0..messages).map(|item| ToSign { item, message: vec![0; 32].into() }).collect();
        Ask::Sign { handle: 1, algorithm: SignatureAlgorithm::EcdsaSha256, messages }
    }

    #[test]
    fn each_kind_has_a_deadline_of_its_own_and_signing_one_that_grows() {
        let usual = Deadlines::default();
        let seconds = |ask: &Ask| of(&usual, ask).as_secs();
        let data = || Ask::ReadData { label: "mark".into() };
        assert_eq!([seconds(&Ask::Login), seconds(&data()), seconds(&Ask::Close)], [60, 30, 30]);
        assert_eq!([seconds(&sign(1)), seconds(&sign(2)), seconds(&sign(256))], [30, 31, 158]);
        let declared = Deadlines { sign: Some(5), sign_each_ms: Some(100), data: Some(7), ..usual };
        assert_eq!((of(&declared, &sign(256)).as_millis(), of(&declared, &data()).as_secs()), (30_600, 7));
        assert_eq!(of(&declared, &Ask::Login).as_secs(), 60);
        let each = |set| each_ms(SignatureAlgorithm::PostQuantum(set));
        let sets = [PostQuantum::SlhDsaSha2_128s, PostQuantum::SlhDsaSha2_128f, PostQuantum::MlDsa65];
        assert_eq!(sets.map(each), [20_000, 2_000, 500]);
    }
}
