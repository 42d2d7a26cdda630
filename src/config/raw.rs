//! The shapes of the TOML files, before any judgement.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::algorithm::KeyAlgorithm;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hierarchy {
    pub format: String,
    pub name: String,
    pub environment: String,
    pub origin: String,
    pub audit: Audit,
    #[serde(default)]
    pub station: Station,
    #[serde(default)]
    pub programs: Programs,
    #[serde(default)]
    pub keys: Keys,
    #[serde(default)]
    pub quorum: Quorums,
    #[serde(default)]
    pub person: Vec<Person>,
    #[serde(default)]
    pub desk: Vec<Desk>,
    #[serde(default)]
    pub validator: Vec<Validator>,
    #[serde(default)]
    pub token: Vec<Token>,
    #[serde(default)]
    pub key: Vec<Key>,
    #[serde(default)]
    pub wrapping_key: Vec<WrappingKey>,
    #[serde(default)]
    pub ca: Vec<Ca>,
    #[serde(default)]
    pub profile: Vec<Profile>,
    #[serde(default)]
    pub linter: Vec<Linter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Linter {
    pub id: String,
    pub form: String,
    pub judges: Option<String>,
    pub program: String,
    #[serde(default)]
    pub arguments: Vec<String>,
    pub sha256: Option<String>,
    #[serde(default)]
    pub read: Vec<String>,
    pub seconds: Option<u32>,
    pub memory_mb: Option<u32>,
    #[serde(default)]
    pub cas: Vec<String>,
    #[serde(default)]
    pub profiles: Vec<String>,
    #[serde(default)]
    pub accepted: Vec<AcceptedFinding>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AcceptedFinding {
    pub finding: String,
    pub ca: Option<String>,
    pub profile: Option<String>,
    pub reason: String,
    pub until: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Audit {
    pub token: String,
    pub key_label: String,
    pub copy: Option<String>,
    pub algorithm: Option<String>,
    pub mark: Option<String>,
    pub minutes_file: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Station {
    pub sandbox: Option<String>,
    pub locked_pages: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Programs {
    pub age: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Keys {
    #[serde(default)]
    pub block_lists: Vec<String>,
    #[serde(default)]
    pub badkeys_lists: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quorums {
    pub init: Option<BTreeMap<String, u32>>,
    pub keys: Option<BTreeMap<String, u32>>,
    pub certificates: Option<BTreeMap<String, u32>>,
    pub hierarchy: Option<BTreeMap<String, u32>>,
    pub recovery: Option<BTreeMap<String, u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Person {
    pub id: String,
    pub name: String,
    pub roles: Vec<String>,
    pub keys: Option<Vec<String>>,
    pub expires: Option<String>,
    pub user_verification: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Desk {
    pub id: String,
    pub keys: Vec<String>,
    pub profiles: Vec<String>,
    pub suffixes: Option<Vec<String>>,
    pub max_items: Option<u64>,
    pub max_items_per_day: Option<u64>,
    pub max_revocations: Option<u64>,
    pub max_revocations_per_day: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Validator {
    pub id: String,
    pub keys: Vec<String>,
    pub expires: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Token {
    pub id: String,
    pub module: String,
    pub label: Option<String>,
    pub serial: Option<String>,
    pub uri: Option<String>,
    pub slot: Option<u64>,
    pub init_args: Option<String>,
    pub accept_unprotected: Option<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    pub pin: Option<String>,
    pub pin_file: Option<String>,
    pub pin_age: Option<String>,
    pub pin_age_identity: Option<String>,
    pub pin_form: Option<String>,
    pub pin_user: Option<String>,
    pub pin_key_id: Option<String>,
    pub so_pin_file: Option<String>,
    pub sessions: Option<u32>,
    pub same_keys_as: Option<String>,
    #[serde(default)]
    pub standby: Vec<String>,
    pub processes: Option<u32>,
    pub retries: Option<u32>,
    pub deadline_seconds: Option<u32>,
    #[serde(default)]
    pub deadlines: Deadlines,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Deadlines {
    pub open: Option<u32>,
    pub login: Option<u32>,
    pub find: Option<u32>,
    pub generate: Option<u32>,
    pub sign: Option<u32>,
    pub sign_each_ms: Option<u32>,
    pub data: Option<u32>,
    pub other: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Key {
    pub id: String,
    pub token: String,
    pub label: Option<String>,
    pub uri: Option<String>,
    pub algorithm: KeyAlgorithm,
    pub backup: String,
    pub always_authenticate: Option<bool>,
    pub wrapped_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WrappingKey {
    pub id: String,
    pub token: String,
    pub label: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ca {
    pub id: String,
    pub key: String,
    pub issuer: String,
    pub issuer_certificate: Option<String>,
    pub issuer_sha256: Option<String>,
    pub profile: String,
    pub subject: Vec<BTreeMap<String, String>>,
    pub days: Option<u32>,
    pub expires: Option<String>,
    pub crl_days: u32,
    #[serde(default)]
    pub crl_urls: Vec<String>,
    #[serde(default)]
    pub issuer_urls: Vec<String>,
    #[serde(default)]
    pub rules: Vec<String>,
    #[serde(default)]
    pub limits: Limits,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    pub eku: Option<Vec<String>>,
    pub name_constraints: Option<NameConstraints>,
    pub require_explicit_policy: Option<u32>,
    pub inhibit_policy_mapping: Option<u32>,
    pub inhibit_any_policy: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NameConstraints {
    #[serde(default)]
    pub permitted: Vec<NameBase>,
    #[serde(default)]
    pub excluded: Vec<NameBase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NameBase {
    pub dns: Option<String>,
    pub ip: Option<String>,
    pub email: Option<String>,
    pub directory: Option<Vec<BTreeMap<String, String>>>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    pub id: String,
    pub base: String,
    pub issuer: Option<String>,
    pub days: Option<u32>,
    pub validity: Option<String>,
    pub window_hours: Option<u32>,
    pub path_len: Option<u32>,
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    #[serde(default)]
    pub extensions: BTreeMap<String, String>,
    pub common_name: Option<bool>,
    pub eku: Option<Vec<String>>,
    pub must_staple: Option<bool>,
    pub added_extensions: Option<Vec<AddedExtension>>,
    pub policies: Option<Vec<Policy>>,
    pub keys: Option<Vec<KeyAlgorithm>>,
    pub key_reuse: Option<String>,
    pub validators: Option<u32>,
    pub validation_days: Option<u32>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AddedExtension {
    pub oid: String,
    pub der: String,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    pub oid: String,
    pub cps: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ceremony {
    pub format: String,
    pub title: String,
    #[serde(default)]
    pub act: Vec<Act>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Act {
    pub kind: String,
    pub key: Option<String>,
    pub ca: Option<String>,
    pub serial: Option<String>,
    pub reason: Option<String>,
    pub even_though: Option<String>,
    pub text: Option<String>,
    pub id: Option<String>,
    pub certificate: Option<String>,
    pub issuer_certificate: Option<String>,
    pub subject_ca: Option<String>,
    pub subject: Option<Vec<BTreeMap<String, String>>>,
    pub request: Option<String>,
    pub profile: Option<String>,
    pub days: Option<u32>,
    pub eku: Option<Vec<String>>,
}
