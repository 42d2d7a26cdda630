//! What modules really do, vendor by vendor: data, not code. Each setting says where it is from and whether it was tried
//! here; a setting that a profile leaves out, and a module that no profile knows, get the careful default.
//!
//! The files in `vendors/` are compiled in: what the program believes of a module is part of the program that was
//! reviewed, and no file beside it changes that.

mod profile;

use std::sync::OnceLock;

use crate::algorithm::KeyAlgorithm;

pub use profile::*;

/// The files, in the order in which they are compared.
const FILES: &[(&str, &str)] = &[
    ("softhsm", include_str!("vendors/softhsm.toml")),
    ("kryoptic", include_str!("vendors/kryoptic.toml")),
    ("opencryptoki", include_str!("vendors/opencryptoki.toml")),
    ("tpm2", include_str!("vendors/tpm2.toml")),
    ("nss", include_str!("vendors/nss.toml")),
    ("p11-kit", include_str!("vendors/p11-kit.toml")),
    ("luna", include_str!("vendors/luna.toml")),
    ("nshield", include_str!("vendors/nshield.toml")),
    ("cloudhsm", include_str!("vendors/cloudhsm.toml")),
    ("yubihsm2", include_str!("vendors/yubihsm2.toml")),
    ("utimaco", include_str!("vendors/utimaco.toml")),
    ("nethsm", include_str!("vendors/nethsm.toml")),
];

/// What a module is called where no profile knows it.
const UNKNOWN: &str = "unknown";

/// One of a profile's lists of attributes.
type List = fn(&Profile) -> Option<&Setting<Vec<Usage>>>;

/// The profiles that hold for one token: its module's own, and behind a module that passes calls through, that of the
/// token's maker. What the first one says goes before the second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vendor {
    own: Option<&'static Profile>,
    behind: Option<&'static Profile>,
}

/// All profiles, by id.
pub fn profiles() -> &'static [(&'static str, Profile)] {
    static PARSED: OnceLock<Vec<(&'static str, Profile)>> = OnceLock::new();
    PARSED.get_or_init(|| {
        let parsed = FILES.iter().map(|(id, text)| Ok((*id, toml::from_str(text)?)));
        // The texts are compiled in, and a test parses each of them: no profile can be wrong in a build that passed.
        parsed.collect::<Result<_, toml::de::Error>>().unwrap_or_default()
    })
}

fn profile(id: &str) -> Option<&'static Profile> {
    profiles().iter().find(|(known, _)| *known == id).map(|(_, profile)| profile)
}

fn begins(text: &str, with: &str) -> bool {
    text.trim_matches([' ', '\0']).to_lowercase().starts_with(with)
}

impl Vendor {
    /// The profile of a module by C_GetInfo. `token` is C_GetTokenInfo's manufacturer and model.
    pub fn of(manufacturer: &str, description: &str, token: (&str, &str)) -> Vendor {
        let known = |profile: &Profile| {
            let is = |l: &Library| begins(manufacturer, &l.manufacturer) && begins(description, &l.description);
            profile.library.value.iter().any(is)
        };
        let own = profiles().iter().map(|(_, profile)| profile).find(|profile| known(profile));
        let passes = own.is_some_and(|own| own.passes_through.as_ref().is_some_and(|through| through.value));
        let made = |profile: &&Profile| {
            let is = |m: &Maker| begins(token.0, &m.manufacturer) && begins(token.1, &m.model);
            profile.token.as_ref().is_some_and(|makers| makers.value.iter().any(is))
        };
        let behind = profiles().iter().map(|(_, profile)| profile).find(|profile| passes && made(profile));
        Vendor { own, behind }
    }

    /// The same by [`Vendor::id`].
    pub fn by_id(id: &str) -> Vendor {
        match id.split_once('/') {
            Some((own, behind)) => Vendor { own: profile(own), behind: profile(behind) },
            None => Vendor { own: profile(id), behind: None },
        }
    }

    /// `softhsm`, `p11-kit/softhsm`, `unknown`: for the record.
    pub fn id(&self) -> String {
        let id = |wanted: &'static Profile| {
            profiles().iter().find(|(_, profile)| std::ptr::eq(profile, wanted)).map_or(UNKNOWN, |(id, _)| id)
        };
        match (self.own, self.behind) {
            (None, _) => UNKNOWN.into(),
            (Some(own), None) => id(own).into(),
            (Some(own), Some(behind)) => format!("{}/{}", id(own), id(behind)),
        }
    }

    /// What people call it.
    pub fn name(&self) -> String {
        match (self.own, self.behind) {
            (None, _) => "no profile knows this module".into(),
            (Some(own), None) => own.name.clone(),
            (Some(own), Some(behind)) => format!("{} through {}", behind.name, own.name),
        }
    }

    pub fn is_known(&self) -> bool {
        self.own.is_some()
    }

    /// Whether the profile is of a module that the tests run.
    pub fn was_tried(&self) -> bool {
        self.own.is_some_and(|own| own.library.tried == Tried::Here)
    }

    /// For the record of a key: the profile, and what it left out of the template or out of the comparison.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!("profile={}", self.id())];
        let kinds: [(&str, List); 5] = [
            ("not in the template", |p| p.private_omits.as_ref()),
            ("public not in the template", |p| p.public_omits.as_ref()),
            ("not asked for", |p| p.not_readable.as_ref()),
            ("not compared", |p| p.private_not_compared.as_ref()),
            ("public not compared", |p| p.public_not_compared.as_ref()),
        ];
        for (what, of) in kinds {
            let names: Vec<&str> =
                self.both().filter_map(of).flat_map(|s| &s.value).map(|usage| usage.name()).collect();
            if !names.is_empty() {
                notes.push(format!("{what}={}", names.join(",")));
            }
        }
        notes
    }

    fn both(&self) -> impl Iterator<Item = &'static Profile> + use<> {
        [self.own, self.behind].into_iter().flatten()
    }

    fn first<T>(&self, of: impl Fn(&'static Profile) -> Option<&'static Setting<T>>) -> Option<&'static T> {
        self.both().find_map(of).map(|setting| &setting.value)
    }

    fn flag(&self, of: impl Fn(&'static Profile) -> Option<&'static Setting<bool>>) -> Option<bool> {
        self.first(of).copied()
    }

    fn lists(&self, usage: Usage, of: impl Fn(&'static Profile) -> Option<&'static Setting<Vec<Usage>>>) -> bool {
        self.both().filter_map(of).any(|setting| setting.value.contains(&usage))
    }

    pub fn private_omits(&self, usage: Usage) -> bool {
        self.lists(usage, |p| p.private_omits.as_ref())
    }

    pub fn public_omits(&self, usage: Usage) -> bool {
        self.lists(usage, |p| p.public_omits.as_ref())
    }

    pub fn not_readable(&self, usage: Usage) -> bool {
        self.lists(usage, |p| p.not_readable.as_ref())
    }

    pub fn private_not_compared(&self, usage: Usage) -> bool {
        self.lists(usage, |p| p.private_not_compared.as_ref())
    }

    pub fn public_not_compared(&self, usage: Usage) -> bool {
        self.lists(usage, |p| p.public_not_compared.as_ref())
    }

    pub fn public_private(&self) -> ThreeWay {
        self.first(|p| p.public_private.as_ref()).copied().unwrap_or(ThreeWay::False)
    }

    pub fn allowed_mechanisms(&self) -> bool {
        self.flag(|p| p.allowed_mechanisms.as_ref()).unwrap_or(false)
    }

    pub fn edwards(&self) -> Edwards {
        self.first(|p| p.edwards.as_ref()).copied().unwrap_or(Edwards::Name)
    }

    pub fn slot_by_number(&self) -> bool {
        self.flag(|p| p.slot_by_number.as_ref()).unwrap_or(false)
    }

    pub fn most_sessions(&self) -> Option<u32> {
        self.first(|p| p.most_sessions.as_ref()).copied()
    }

    pub fn pin_form(&self) -> Option<PinForm> {
        self.first(|p| p.pin_form.as_ref()).copied()
    }

    /// `None`: what C_GetTokenInfo says holds for new PINs, and nothing for a login.
    pub fn pin_octets(&self) -> Option<(usize, usize)> {
        self.first(|p| p.pin_octets.as_ref()).copied()
    }

    /// Whether CKF_PROTECTED_AUTHENTICATION_PATH may be believed.
    pub fn may_have_keypad(&self) -> bool {
        !self.flag(|p| p.no_keypad.as_ref()).unwrap_or(false)
    }

    pub fn longest_message(&self) -> Option<u64> {
        self.first(|p| p.longest_message.as_ref()).copied()
    }

    pub fn wrap(&self) -> Option<Wrap> {
        self.first(|p| p.wrap.as_ref()).copied()
    }

    /// Why an algorithm is refused, although the module may list it.
    pub fn refuses(&self, algorithm: KeyAlgorithm) -> Option<&'static str> {
        let refused = self.both().flat_map(|p| &p.refuses).find(|refused| refused.value.algorithm == algorithm);
        refused.map(|refused| refused.value.because.as_str())
    }

    /// `None`: only a try can tell.
    pub fn data_objects(&self) -> Option<bool> {
        self.flag(|p| p.data_objects.as_ref())
    }

    /// Milliseconds.
    pub fn pause(&self) -> Option<u64> {
        self.first(|p| p.pause.as_ref()).copied()
    }

    pub fn weaknesses(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.both().flat_map(|p| &p.weakness).map(|weakness| weakness.value.as_str())
    }
}

#[cfg(test)]
mod tests;
