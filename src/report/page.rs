//! What all pages share: one frame, one set of styles, and one way from values to markup.
//!
//! A page's template extends `page.html` and fills its blocks `title`, `style` (what it needs beside `page.css`), `banner` (what
//! a rehearsal says of it) and `main`; its data has a boolean `rehearsal`.

use std::collections::BTreeMap;

use minijinja::{AutoEscape, Environment as Templates, UndefinedBehavior, Value};

use super::Error;
use super::terminal::human_count;

const FRAME: &str = include_str!("page.html");
const STYLES: &str = include_str!("page.css");

/// The template `source`, named `name`, filled with `data`. Same input, same octets. Everything that is filled in is escaped for
/// HTML; a value that the template names and the data lack is a fault.
pub(super) fn fill(name: &str, source: &str, data: serde_json::Value) -> Result<String, Error> {
    let mut templates = Templates::new();
    // The name's ending would turn escaping on as well; said outright, since a page of untrusted names depends on it.
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.add_filter("n", |count: u64| human_count(count));
    templates.add_filter("share", |count: u64, most: u64| count.saturating_mul(100) / most.max(1));
    templates.add_template("page.html", FRAME)?;
    templates.add_template("page.css", STYLES)?;
    templates.add_template(name, source)?;
    Ok(templates.get_template(name)?.render(value(data))?)
}

/// The template engine is built without serde; JSON values map one to one.
fn value(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(()),
        Json::Bool(b) => Value::from(b),
        Json::Number(n) => n.as_u64().map(Value::from).unwrap_or_else(|| Value::from(n.to_string())),
        Json::String(s) => Value::from(shown(&s)),
        Json::Array(items) => Value::from(items.into_iter().map(value).collect::<Vec<_>>()),
        Json::Object(map) => Value::from(map.into_iter().map(|(k, v)| (k, value(v))).collect::<BTreeMap<_, _>>()),
    }
}

/// The last guard before the page, as [`crate::text::lines`] before a terminal: what was escaped passes unchanged, and so does the
/// dash that begins a signature line of the checkpoint (C2SP signed-note).
fn shown(text: &str) -> String {
    text.split('\u{2014}').map(crate::text::lines).collect::<Vec<_>>().join("\u{2014}")
}
