//! Names of files on media.

use std::fmt;

use super::Error;

/// The name of one file in one directory: printable ASCII that every file system of removable media can hold, and that
/// a person can read from a screen and type. So no separators, no control or bidirectional characters, no `..`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The longest name; what is written has a few characters more until it is complete.
    pub const MAX: usize = 200;
    /// How a file is called that is not complete yet.
    pub const UNFINISHED: &'static str = ".part";

    /// Judges a name.
    pub fn parse(name: &str) -> Result<Name, Error> {
        let wrong = |problem| Err(Error::Name { name: name.to_string(), problem });
        if name.is_empty() || name.len() > Name::MAX {
            return wrong("it must have 1 to 200 characters");
        }
        if !name.bytes().all(|c| (b' '..=b'~').contains(&c)) {
            return wrong("it has a character that is not printable ASCII");
        }
        if name.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|']) {
            return wrong("it has one of / \\ : * ? \" < > |");
        }
        if name.starts_with(['.', '-', ' ']) || name.ends_with(['.', ' ']) {
            return wrong("it begins with `.`, `-` or a space, or ends with `.` or a space");
        }
        if name.to_ascii_lowercase().ends_with(Name::UNFINISHED) {
            return wrong("it ends with `.part`, as unfinished files do");
        }
        Ok(Name(name.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name while the file is being written.
    pub(super) fn unfinished(&self) -> String {
        format!("{}{}", self.0, Name::UNFINISHED)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
