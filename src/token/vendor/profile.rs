//! What a profile may say of a module: the fields of the files in `vendors/`.

use serde::Deserialize;

use crate::algorithm::KeyAlgorithm;

/// Where a setting is from, and whether a module was seen to behave so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting<T> {
    pub value: T,
    pub source: String,
    pub tried: Tried,
}

/// Whether a setting was seen to be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Tried {
    /// With a module that the tests run.
    #[serde(rename = "here")]
    Here,
    /// Read in the source named, or told by those who have the device.
    #[serde(rename = "not on hardware")]
    NotOnHardware,
}

/// What is known of one vendor's module.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// What people call it.
    pub name: String,
    /// C_GetInfo of its library: any of these.
    pub library: Setting<Vec<Library>>,
    /// C_GetTokenInfo of its tokens, for those that stand behind a module that passes calls through.
    pub token: Option<Setting<Vec<Maker>>>,
    /// The module passes calls through to another one, whose profile the token's maker tells.
    pub passes_through: Option<Setting<bool>>,
    /// Attributes that must not stand in the template of a private half, and of a public one.
    pub private_omits: Option<Setting<Vec<Usage>>>,
    pub public_omits: Option<Setting<Vec<Usage>>>,
    /// CKA_PRIVATE in the template of a public half.
    pub public_private: Option<Setting<ThreeWay>>,
    /// Whether a private half is made with CKA_ALLOWED_MECHANISMS, its one mechanism.
    pub allowed_mechanisms: Option<Setting<bool>>,
    /// Attributes that the module cannot be asked for: reading one fails, or spoils the others.
    pub not_readable: Option<Setting<Vec<Usage>>>,
    /// Attributes whose value, read back, means nothing here: recorded and not compared.
    pub private_not_compared: Option<Setting<Vec<Usage>>>,
    pub public_not_compared: Option<Setting<Vec<Usage>>>,
    /// How an Edwards curve is named in CKA_EC_PARAMS at generation.
    pub edwards: Option<Setting<Edwards>>,
    /// A `slot` of the hierarchy may name its token.
    pub slot_by_number: Option<Setting<bool>>,
    /// Parallel sessions: more than these are refused.
    pub most_sessions: Option<Setting<u32>>,
    /// What is typed as PIN.
    pub pin_form: Option<Setting<PinForm>>,
    /// The least and the most octets of a PIN, in place of what C_GetTokenInfo says.
    pub pin_octets: Option<Setting<(usize, usize)>>,
    /// CKF_PROTECTED_AUTHENTICATION_PATH is not believed.
    pub no_keypad: Option<Setting<bool>>,
    /// The most octets in one signature, where the message itself is signed.
    pub longest_message: Option<Setting<u64>>,
    /// The mechanism that wraps a private key with padding.
    pub wrap: Option<Setting<Wrap>>,
    /// Algorithms that it lists, or seems to, and that do not work.
    #[serde(default)]
    pub refuses: Vec<Setting<Refused>>,
    /// Private data objects can be stored, for the mark and the log's name.
    pub data_objects: Option<Setting<bool>>,
    /// How long to wait before asking again, in milliseconds: it throttles, or takes so long to come back.
    pub pause: Option<Setting<u64>>,
    /// What an officer must know before trusting it with a key.
    #[serde(default)]
    pub weakness: Vec<Setting<String>>,
}

/// C_GetInfo's texts, in lower case; each begins with what stands here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Library {
    pub manufacturer: String,
    #[serde(default)]
    pub description: String,
}

/// C_GetTokenInfo's texts, in the same way.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maker {
    pub manufacturer: String,
    #[serde(default)]
    pub model: String,
}

/// The attributes of a key that modules disagree about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Usage {
    #[serde(rename = "CKA_SIGN_RECOVER")]
    SignRecover,
    #[serde(rename = "CKA_DECRYPT")]
    Decrypt,
    #[serde(rename = "CKA_UNWRAP")]
    Unwrap,
    #[serde(rename = "CKA_DERIVE")]
    Derive,
    #[serde(rename = "CKA_VERIFY_RECOVER")]
    VerifyRecover,
    #[serde(rename = "CKA_ENCRYPT")]
    Encrypt,
    #[serde(rename = "CKA_WRAP")]
    Wrap,
    #[serde(rename = "CKA_MODIFIABLE")]
    Modifiable,
    #[serde(rename = "CKA_COPYABLE")]
    Copyable,
    #[serde(rename = "CKA_LOCAL")]
    Local,
    #[serde(rename = "CKA_ALWAYS_AUTHENTICATE")]
    AlwaysAuthenticate,
    #[serde(rename = "CKA_MODULUS_BITS")]
    ModulusBits,
}

impl Usage {
    /// The standard's name.
    pub fn name(self) -> &'static str {
        match self {
            Usage::SignRecover => "CKA_SIGN_RECOVER",
            Usage::Decrypt => "CKA_DECRYPT",
            Usage::Unwrap => "CKA_UNWRAP",
            Usage::Derive => "CKA_DERIVE",
            Usage::VerifyRecover => "CKA_VERIFY_RECOVER",
            Usage::Encrypt => "CKA_ENCRYPT",
            Usage::Wrap => "CKA_WRAP",
            Usage::Modifiable => "CKA_MODIFIABLE",
            Usage::Copyable => "CKA_COPYABLE",
            Usage::Local => "CKA_LOCAL",
            Usage::AlwaysAuthenticate => "CKA_ALWAYS_AUTHENTICATE",
            Usage::ModulusBits => "CKA_MODULUS_BITS",
        }
    }
}

/// Whether an attribute stands in a template, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThreeWay {
    False,
    Absent,
    True,
}

/// CKA_EC_PARAMS of an Edwards curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edwards {
    /// Its name as PrintableString.
    Name,
    /// Its object identifier (RFC 8410).
    Oid,
}

/// What a PIN looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinForm {
    Plain,
    /// `user:password`.
    UserPassword,
    /// Four hexadecimal digits, the id of an authentication key, and its password.
    KeyIdPassword,
}

/// CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_PAD, CKM_AES_KEY_WRAP_KWP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Wrap {
    #[serde(rename = "0x2109")]
    AesKeyWrap,
    #[serde(rename = "0x210A")]
    AesKeyWrapPad,
    #[serde(rename = "0x210B")]
    AesKeyWrapKwp,
}

/// An algorithm that is refused, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    pub algorithm: KeyAlgorithm,
    pub because: String,
}
