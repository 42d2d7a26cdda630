//! The mark of a station whose token stores no data objects: a note in the audit directory, signed by the audit key, and a page of
//! the minutes that says whether it is the newest one.
//!
//! Nobody but the gate can make such a note, so what it says was true once. That it still is only the paper knows: the note names
//! the root whose words stand on the newest page, and at each login some of them are typed from it. Whoever puts an older note back
//! is asked for the words of an older page.
//!
//! The root is enough. The rest of a mark (release, open plan, changes, floor, hierarchy) moves only by an entry that the gate has
//! seen in the tree under that root: an older mark with the same root is one that has not yet followed its own log, and follows it again.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use data_encoding::BASE64;

use super::durable;
use super::mark::Mark;
use super::note::{self, MAX_NOTE, VerifierKey};
use crate::cbor;
use crate::digest::Digest;
use crate::text::{hex_groups, utc, words};

/// The first line of a mark's note. An origin holds no space, a key proof begins with another word, and DER does not begin with a
/// letter: it can be taken for nothing else that the audit key signs.
pub const HEAD: &str = "coldroot mark v0";
/// The note's file in the audit directory.
pub const FILE: &str = "mark";
/// The line for a page that there is not.
const NONE: &str = "none";
/// Words of a digest.
pub const WORDS: usize = 32;

/// The root of an adoption that does not know which log is lost, because its minutes are too. No tree has it.
pub const LOST: Digest = Digest([0; 32]);

/// Why a note is no mark.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Note(#[from] note::Error),
    #[error("its text is not a mark: {0}")]
    NotAMark(&'static str),
    #[error("its mark is damaged: {0}")]
    Mark(#[from] cbor::Error),
}

/// What a note says. Stored: a change needs a new version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    pub mark: Mark,
    /// The root on the newest page that was typed back; `None` before the first one.
    pub paper: Option<Digest>,
    /// The root on a page that was shown and perhaps copied: a run was stopped before it was typed back.
    pub shown: Option<Digest>,
}

impl Marked {
    /// The text that the audit key signs.
    pub fn text(&self) -> Result<String, cbor::Error> {
        let page = |root: &Option<Digest>| root.map_or(NONE.into(), |root| BASE64.encode(&root.0));
        let mark = BASE64.encode(&self.mark.encode()?);
        Ok(format!("{HEAD}\n{mark}\n{}\n{}\n", page(&self.paper), page(&self.shown)))
    }

    /// Verifies a note; only what [`Marked::text`] writes is a mark, and only of the log that the key is named for.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Marked, Error> {
        let text = note::verified(note, key)?;
        let bad = Error::NotAMark;
        let mut lines = text.split('\n');
        if lines.next() != Some(HEAD) {
            return Err(bad("it begins otherwise"));
        }
        let mark = lines.next().and_then(|line| BASE64.decode(line.as_bytes()).ok());
        let mark = Mark::decode(&mark.ok_or(bad("its second line is no base64"))?)?;
        let mut page = || match lines.next() {
            Some(NONE) => Some(None),
            Some(line) => Some(Some(Digest(BASE64.decode(line.as_bytes()).ok()?.try_into().ok()?))),
            None => None,
        };
        let (paper, shown) = page().zip(page()).ok_or(bad("a page is no SHA-256 digest"))?;
        let marked = Marked { mark, paper, shown };
        match marked.text()? == text && marked.mark.origin == key.name() {
            true => Ok(marked),
            false => Err(bad("it is not written as this program writes it, or is of another log")),
        }
    }
}

/// The note of an audit directory, not looked at.
pub fn read(audit: &Path) -> Result<Option<String>, super::Error> {
    let path = audit.join(FILE);
    let io = |source| super::Error::Io { path: path.clone(), source };
    match fs::metadata(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
        // One that is too long is no note, which its reader says.
        Ok(file) if file.len() > MAX_NOTE as u64 => return Ok(Some(String::new())),
        Ok(_) => {}
    }
    Ok(Some(String::from_utf8_lossy(&fs::read(&path).map_err(io)?).into_owned()))
}

/// Puts a note in the place of the one before: after a cut there is one of the two.
pub fn write(audit: &Path, note: &str) -> Result<(), super::Error> {
    replace(&audit.join(FILE), note)
}

/// As `durable::replace`, but through no link: this is the gate's hand, which no sandbox holds, in a directory where a hostile parent
/// may have left one.
pub fn replace(path: &Path, text: &str) -> Result<(), super::Error> {
    let tmp = durable::beside(path);
    let io = |source| super::Error::Io { path: tmp.clone(), source };
    match fs::remove_file(&tmp) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(io(e)),
        _ => {}
    }
    let mut file = fs::File::create_new(&tmp).map_err(io)?;
    file.write_all(text.as_bytes()).map_err(io)?;
    durable::flush_file(&file, &tmp)?;
    durable::rename(&tmp, path)?;
    durable::sync_dir(path.parent().unwrap_or(path))
}

/// Puts a page where it can be printed from, below a directory that exists.
pub fn print(base: &Path, file: &Path, page: &str) -> Result<(), super::Error> {
    durable::make_dirs(base, file.parent().unwrap_or(base))?;
    replace(file, page)
}

/// A page of the minutes: what is copied by hand, or printed.
pub struct Page<'a> {
    pub name: &'a str,
    pub environment: String,
    pub origin: &'a str,
    pub time: i64,
    pub mark: &'a Mark,
}

impl Page<'_> {
    /// The page, 80 columns wide.
    pub fn text(&self) -> String {
        let Page { name, environment, origin, time, mark } = self;
        let mut page = format!(
            "Minutes of {name} ({environment})\n{origin}\n{}, release {}, log size {}\n\n",
            utc(*time),
            mark.release,
            mark.size
        );
        for (place, octet) in mark.root.0.iter().enumerate() {
            let end = if place % 4 == 3 { "\n" } else { "" };
            let cell = format!("  {:2} {:<14}", place + 1, words::word(place, *octet));
            page.push_str(if end.is_empty() { &cell } else { cell.trim_end() });
            page.push_str(end);
        }
        page.push_str(&format!("\nThe same in hex:\n{}\n", hex_groups(&mark.root.0)));
        page
    }
}

/// Log size, release and root of a page as [`Page::text`] writes it. The words count, not the hex digits.
pub fn read_page(text: &str) -> Option<(u64, u64, Digest)> {
    let (head, body) = text.split_once("\n\n")?;
    let (head, size) = head.strip_prefix("Minutes of ")?.rsplit_once(", log size ")?;
    let release = head.rsplit_once(", release ")?.1.parse().ok()?;
    let spoken = body.split("\n\n").next()?.split_whitespace().filter(|word| word.parse::<u8>().is_err());
    Some((size.parse().ok()?, release, read_words(spoken)?))
}

/// The same as people type it: log size, release, and the 32 words.
pub fn read_line(text: &str) -> Option<(u64, u64, Digest)> {
    let mut parts = text.split_whitespace();
    let (size, release) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((size, release, read_words(parts)?))
}

fn read_words<'a>(spoken: impl Iterator<Item = &'a str>) -> Option<Digest> {
    let octets: Option<Vec<u8>> = spoken.enumerate().map(|(place, word)| words::octet(place, word)).collect();
    Some(Digest(octets?.try_into().ok()?))
}

/// Which of the 32 words are asked for: `n` places, ascending, by this many random octets.
pub fn places(n: usize, random: &[u8; 4 * WORDS]) -> Vec<usize> {
    let mut drawn: Vec<(&[u8], usize)> = random.chunks(4).zip(0..WORDS).collect();
    drawn.sort_unstable();
    let mut places: Vec<usize> = drawn.into_iter().take(n).map(|(_, place)| place).collect();
    places.sort_unstable();
    places
}

/// Compares words typed, by their places, with the pages that may be the newest: the page that fits best, and the places where it does
/// not. `None`: there is no page.
pub fn judge(pages: &[Digest], typed: &[(usize, Option<u8>)]) -> Option<(Digest, Vec<usize>)> {
    let wrong = |page: &Digest| -> Vec<usize> {
        let differs = |(place, octet): &&(usize, Option<u8>)| octet.is_none() || page.0.get(*place).copied() != *octet;
        typed.iter().filter(differs).map(|(place, _)| *place).collect()
    };
    pages.iter().map(|page| (*page, wrong(page))).min_by_key(|(_, wrong)| wrong.len())
}

#[cfg(test)]
mod tests {
    use super::super::station::Signer;
    use super::*;
    use crate::audit::note::{assemble, checkpoint_text};
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    fn mark() -> Mark {
        let first = Mark::first("example.org/root", Digest([3; 32]), "0a1b");
        Mark { size: 59, root: Digest(std::array::from_fn(|n| n as u8 * 7)), release: 4, ..first }
    }

    fn signed(text: &str) -> (String, VerifierKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = VerifierKey::new("example.org/root", pair.public_key().as_ref().try_into().unwrap()).unwrap();
        (assemble(text, &key, pair.sign(text.as_bytes()).as_ref()), key)
    }

    #[test]
    fn p04_a_note_is_read_as_it_was_written_and_no_octet_of_it_may_change() {
        for (paper, shown) in [(None, None), (Some(Digest([1; 32])), None), (None, Some(Digest([2; 32])))] {
            let marked = Marked { mark: mark(), paper, shown };
            let (note, key) = signed(&marked.text().unwrap());
            assert!(note.len() < MAX_NOTE);
            assert_eq!(Marked::open(&note, &key).unwrap(), marked);
            for at in 0..note.len() {
                let mut bytes = note.clone().into_bytes();
                bytes[at] ^= 1;
                if let Ok(changed) = String::from_utf8(bytes) {
                    assert!(Marked::open(&changed, &key).is_err(), "octet {at}");
                }
            }
            // Signed by another log's key.
            assert!(matches!(Marked::open(&note, Signer::new().key()), Err(Error::Note(note::Error::NoSignature))));
        }
    }

    #[test]
    fn p04_nothing_else_that_the_audit_key_signs_is_a_mark_and_a_mark_is_nothing_else() {
        let marked = Marked { mark: mark(), paper: None, shown: None };
        let text = marked.text().unwrap();
        let (note, key) = signed(&text);
        assert!(matches!(note::open(&note, &key), Err(note::Error::NotACheckpoint(_))));
        assert!(note::parse(&note).is_err());
        assert!(!note::valid_origin(text.lines().next().unwrap()));
        let another = Marked { mark: Mark { origin: "example.org/other".into(), ..mark() }, ..marked };
        for text in [
            checkpoint_text("example.org/root", 7, &Digest([9; 32])),
            format!("{text}more\n"),
            text.replace("none\nnone\n", "none\n"),
            text.replace("none\nnone\n", "none\nAAAA\n"),
            text.replace(HEAD, "coldroot mark v1"),
            another.text().unwrap(),
        ] {
            let (note, key) = signed(&text);
            assert!(matches!(Marked::open(&note, &key), Err(Error::NotAMark(_))), "{text}");
        }
    }

    #[test]
    fn p01_a_note_is_written_through_no_link() {
        let dir = super::super::station::scratch();
        let rules = dir.path().join("hierarchy.toml");
        fs::write(&rules, "rules").unwrap();
        let symlink = |from: &Path, to: &Path| std::os::unix::fs::symlink(from, to);
        for link in [symlink, |from: &Path, to: &Path| fs::hard_link(from, to)] {
            for name in ["mark.tmp", "mark"] {
                let _ = fs::remove_file(dir.path().join(name));
                link(&rules, &dir.path().join(name)).unwrap();
                write(dir.path(), "note").unwrap();
                assert_eq!(fs::read_to_string(&rules).unwrap(), "rules");
                assert_eq!(read(dir.path()).unwrap().as_deref(), Some("note"));
                assert!(fs::symlink_metadata(dir.path().join(FILE)).unwrap().is_file());
                assert!(!dir.path().join("mark.tmp").exists());
            }
        }
    }

    #[test]
    fn a_page_has_eighty_columns_and_is_read_back() {
        let mark = mark();
        let (name, environment, origin) = ("Road", "rehearsal".to_string(), "example.org/root");
        let page = Page { name, environment, origin, time: 1_795_305_600, mark: &mark }.text();
        assert!(page.lines().all(|line| line.len() <= 80 && line == line.trim_end()), "{page}");
        assert!(page.contains("   1 aardvark ") && page.contains("release 4, log size 59\n"), "{page}");
        assert_eq!(read_page(&page), Some((59, 4, mark.root)));
        let spoken = words::spoken(&mark.root.0);
        assert_eq!(read_line(&format!(" 59  4 {spoken}\n")), Some((59, 4, mark.root)));
        for bad in [format!("59 {spoken}"), format!("59 4 {spoken} Zulu"), "59 4".into(), "lost".into()] {
            assert_eq!(read_line(&bad), None, "{bad}");
        }
        assert_eq!(read_page(&page.replace("aardvark", "absurd")).unwrap().2.0[0], 1);
        for bad in ["", "Minutes of x", &page.replace("aardvark", "adviser"), &page.replace("size 59", "size x")] {
            assert_eq!(read_page(bad), None, "{bad}");
        }
    }

    #[test]
    fn places_are_distinct_ascending_and_drawn_evenly() {
        let mut counts = [0; WORDS];
        for seed in 0..2_000u32 {
            let mut random = [0; 4 * WORDS];
            let digests = (0..4).map(|part: u32| Digest::of(&[seed.to_be_bytes(), part.to_be_bytes()].concat()));
            random.chunks_mut(32).zip(digests).for_each(|(part, digest)| part.copy_from_slice(&digest.0));
            let drawn = places(8, &random);
            assert!(drawn.len() == 8 && drawn.is_sorted_by(|a, b| a < b) && drawn[7] < WORDS);
            drawn.iter().for_each(|place| counts[*place] += 1);
        }
        // 500 each on the average.
        assert!(counts.iter().all(|count| (400..600).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_page_that_fits_best_says_which_words_are_wrong() {
        let (old, new) = (Digest([1; 32]), Digest([2; 32]));
        assert_eq!(judge(&[old, new], &[(3, Some(2)), (9, Some(2))]), Some((new, vec![])));
        assert_eq!(judge(&[old, new], &[(3, Some(1)), (9, Some(1))]), Some((old, vec![])));
        // Half of one page and half of another is neither.
        assert_eq!(judge(&[old, new], &[(3, Some(1)), (9, Some(2)), (11, None)]), Some((old, vec![9, 11])));
        assert_eq!(judge(&[], &[(3, Some(1))]), None);
    }
}
