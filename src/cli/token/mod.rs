//! `token`: what concerns a token by itself, before and beside every plan.

mod inventory;
mod list;
mod probe;
mod split_pin;

use clap::Subcommand;
use serde_json::json;

use crate::audit::Log;
use crate::config::{Token, TokenUri};
use crate::gate::Gate;
use crate::text::escape;
use crate::token::ask::TokenFacts;

pub(super) use inventory::take as take_inventory;

use super::station::Station;
use super::{Answer, Failure, Globals};

/// Tokens.
#[derive(Subcommand)]
pub enum TokenVerb {
    /// Rehearsals: initialise the free token of a module
    #[command(after_help = "Example:\n  coldroot --station demo token init --token main")]
    Init {
        /// The token's id in the hierarchy, where it has no serial yet
        #[arg(long, value_name = "ID")]
        token: String,
    },
    /// List the tokens that the hierarchy's modules show
    #[command(after_help = "Examples:\n  coldroot --station demo token list\n  \
        coldroot --station demo token list --uri")]
    List(list::ListArgs),
    /// Compare what a token holds with hierarchy and log
    Inventory(inventory::InventoryArgs),
    /// Try what a token really can do, and how it protects its keys
    Probe(probe::ProbeArgs),
    /// Replace a token's PIN by one that is split among custodians
    SplitPin(split_pin::SplitPinArgs),
}

pub fn token(globals: &Globals, verb: TokenVerb) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    match verb {
        TokenVerb::Init { token } => init(&station, &token),
        TokenVerb::List(args) => list::list(&station, &args),
        TokenVerb::Inventory(args) => inventory::inventory(&station, &args),
        TokenVerb::Probe(args) => probe::probe(&station, &args, globals.plain),
        TokenVerb::SplitPin(args) => split_pin::split_pin(station, &args),
    }
}

fn init(station: &Station, token: &str) -> Result<Answer, Failure> {
    let mut gate = station.start_gate()?;
    let facts = gate.init_token(token)?;
    gate.close()?;
    let uri = uri(&facts);
    let text = format!(
        "Token `{token}` is initialised. In its [[token]] table of hierarchy.toml write:\n\n  serial = \"{}\"\n\nor, \
         instead of label and serial:\n\n  uri = \"{uri}\"\n",
        escape(&facts.serial),
    );
    Ok(Answer::new(text, json!({ "token": token, "label": facts.label, "serial": facts.serial, "uri": uri })))
}

/// The token of this id, or what there is instead.
fn declared_token<'s>(station: &'s Station, id: &str) -> Result<&'s Token, Failure> {
    station.hierarchy.token(id).ok_or_else(|| {
        let known: Vec<&str> = station.hierarchy.tokens.iter().map(|token| token.id.as_str()).collect();
        let what = format!("the hierarchy declares no token `{}`", escape(id));
        Failure::usage(what, format!("it declares: {}", known.join(", ")))
    })
}

/// A gate that is logged in to these tokens. With a log, the tries and logins are on record as for every run; a draft has
/// none yet.
fn logged_in(station: &Station, tokens: Vec<String>) -> Result<(Gate, Option<Log>), Failure> {
    if !station.begun() {
        let mut gate = station.start_gate()?;
        for token in &tokens {
            gate.login(token)?;
        }
        return Ok((gate, None));
    }
    let (mut log, _) = station.open_log()?;
    let mut gate = station.start_gate()?;
    station.enter_sandbox(&[], None)?;
    let cut = log.cut();
    station.log_in(&mut log, &mut gate, tokens, cut)?;
    Ok((gate, Some(log)))
}

/// The URI that names a token in a hierarchy.
fn uri(facts: &TokenFacts) -> String {
    let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let uri = TokenUri {
        token: facts.label.clone(),
        serial: known(&facts.serial),
        manufacturer: known(&facts.manufacturer),
        model: known(&facts.model),
        ..TokenUri::default()
    };
    uri.to_string()
}
