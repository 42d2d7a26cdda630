//! `token list`: the tokens of every module that the hierarchy names, one a row.

use std::collections::BTreeSet;

use clap::Args;

use crate::config::{Hierarchy, Token};
use crate::report::terminal::{Table, pairs};
use crate::text::{escape, path, shell};
use crate::token::ask::TokenFacts;

use super::super::station::Station;
use super::super::{Answer, Failure};
use super::uri;

/// Lists tokens.
#[derive(Args)]
pub struct ListArgs {
    /// The URI of each token too, for `uri = "…"` of a [[token]]
    #[arg(long)]
    pub uri: bool,
}

pub(super) fn list(station: &Station, args: &ListArgs) -> Result<Answer, Failure> {
    let mut gate = station.start_gate()?;
    let (mut text, mut all, mut uris) = (String::new(), Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for token in &station.hierarchy.tokens {
        // Two tokens of one module are seen by one look at it; its environment may show others.
        if !seen.insert((&token.module, &token.env)) {
            continue;
        }
        let tokens = gate.list_tokens(&token.id)?;
        let library = tokens.first().map(|facts| escape(&facts.module)).unwrap_or_default();
        let mut table = Table::new(&["token", "label", "serial", "model", "PIN"]);
        for facts in &tokens {
            let id = declared(&station.hierarchy, token, facts);
            let name = id.unwrap_or(if facts.initialised { "(other)" } else { "(blank)" });
            table.row([
                name.into(),
                escape(&facts.label),
                escape(&facts.serial),
                escape(&facts.model),
                pin(facts).into(),
            ]);
            uris.push((name.to_owned(), uri(facts)));
            let mut json = serde_json::to_value(facts).unwrap_or_default();
            json["uri"] = uri(facts).into();
            json["token"] = id.into();
            json["module-path"] = token.module.to_string_lossy().into();
            all.push(json);
        }
        text.push_str(&format!("{} ({library})\n\n{}\n", path(&token.module), table.render()));
    }
    gate.close()?;
    match args.uri {
        true => text.push_str(&pairs(&uris)),
        false => text.push_str(&format!("  URIs: coldroot --station {} token list --uri\n", shell(&station.dir))),
    }
    Ok(Answer::new(text, all))
}

/// The hierarchy's id of a token that a module shows; the module and its environment are those of `by`.
fn declared<'h>(hierarchy: &'h Hierarchy, by: &Token, facts: &TokenFacts) -> Option<&'h str> {
    let same = |token: &&Token| {
        let module = token.module == by.module && token.env == by.env;
        module && facts.initialised && facts.label == token.label && Some(&facts.serial) == token.serial.as_ref()
    };
    hierarchy.tokens.iter().find(same).map(|token| token.id.as_str())
}

fn pin(facts: &TokenFacts) -> &'static str {
    match facts {
        TokenFacts { initialised: false, .. } => "none yet",
        TokenFacts { pin_locked: true, .. } => "LOCKED",
        TokenFacts { pin_final_try: true, .. } => "ONE TRY LEFT",
        TokenFacts { pin_count_low: true, .. } => "was wrong lately",
        _ => "ready",
    }
}
