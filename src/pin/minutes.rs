//! The minutes: some of their words are typed at a login, and a new page is shown and typed back at the end of a run.

use std::path::{Path, PathBuf};

use crate::audit::mark::Mark;
use crate::audit::note::VerifierKey;
use crate::audit::paper;
use crate::audit::paper::{LOST, Marked, Page};
use crate::cbor::Bytes;
use crate::config::{Environment, Hierarchy};
use crate::digest::Digest;
use crate::refusal::Refusal;
use crate::text::words;
use crate::token::ask::KeyFacts;

use super::cannot_ask;
use super::terminal::Terminal;

/// Words that are asked for at a login. Whoever does not have the page guesses them in one of 2^64 tries.
const ASKED: usize = 8;
/// Words that are typed back from a page that was just copied.
const BACK: usize = 4;
const TRIES: usize = 3;
/// What is typed when there is no page.
const NO_MINUTES: &str = "no minutes";
/// What is said before it is typed.
const NONE_KNOWN: &str = "The station knows of no page that counts. If none was ever copied out for this log";
const ALL_LOST: &str = "Adopted is a log whose minutes are all lost. If there is no page any more";
/// No word has so many letters, nor has what is typed in place of one.
const LONGEST: usize = 24;
const WHAT: &str = "the words of the minutes";

/// How the CKA_ID of an audit key ends whose mark is on paper. The key itself says where its mark is: a parent that brings a
/// hierarchy of its own, with the other kind of mark, would find none, and could begin the log anew.
const ON_PAPER: &[u8; 5] = b"paper";

/// A page as people say it: log size, release, root.
pub type Newest = (u64, u64, Digest);

/// A station's mark that lies in the audit directory, and its minutes. Made for every station; those with the mark in the token use
/// no more of it than [`Minutes::judge_key`] and [`Minutes::name_key`].
///
/// ```text
/// login   PIN → note read, verified with the audit key → words typed from the newest page
/// MARK    each move of the mark: note signed → fsync               at the very places where a token's mark is written
/// page    note that says which page is shown → fsync → logout      both pages count at the next login
/// copied  the page shown and typed back → its note → fsync         this page alone counts
/// ```
pub struct Minutes {
    station: PathBuf,
    name: String,
    origin: String,
    environment: Environment,
    on_paper: bool,
    file: Option<PathBuf>,
    /// The note as it was read or written last.
    note: Option<String>,
    /// The root on the newest page.
    page: Option<Digest>,
    /// The note that is written when the page that is shown was typed back.
    copied: Option<String>,
    /// What an adoption says of the newest page, before it has become the mark's: its size, release and root; or that there is none
    /// any more.
    claim: Option<Option<Newest>>,
}

impl Minutes {
    pub fn of(hierarchy: &Hierarchy, station: &Path) -> Minutes {
        Minutes {
            station: station.into(),
            name: hierarchy.name.clone(),
            origin: hierarchy.origin.clone(),
            environment: hierarchy.environment,
            on_paper: hierarchy.marks_on_paper(),
            file: hierarchy.minutes_file.as_ref().map(|file| station.join(file)),
            note: None,
            page: None,
            copied: None,
            claim: None,
        }
    }

    /// The directory is not the one that the minutes are of, and nothing newer is left: the next login is for an adoption alone.
    pub fn claim(&mut self, newest: Option<Newest>) -> Result<(), Refusal> {
        if !self.on_paper || self.note.is_some() {
            let what = "minutes are adopted where the mark is on paper, before a login";
            return Err(Refusal::no(what, "leave --minutes out: the token knows what is the newest"));
        }
        self.claim = Some(newest);
        Ok(())
    }

    /// The mark is what people have said it was; nothing but an adoption may come of that.
    pub fn adopts(&self) -> bool {
        self.claim.is_some() && self.note.is_some()
    }

    /// The CKA_ID of a new audit key.
    pub fn name_key(&self, mut cka_id: [u8; 16]) -> Bytes {
        if let Some((_, end)) = cka_id.split_last_chunk_mut().filter(|_| self.on_paper) {
            *end = *ON_PAPER;
        }
        Bytes::from(cka_id.to_vec())
    }

    /// Whether the hierarchy and the audit key say the same of where the mark is.
    pub fn judge_key(&self, cka_id: &[u8]) -> Result<(), Refusal> {
        let (made, said) = match (cka_id.ends_with(ON_PAPER), self.on_paper) {
            (true, false) => ("on paper", "token"),
            (false, true) => ("in the token", "paper"),
            _ => return Ok(()),
        };
        let what =
            format!("this token's audit key was made for a mark {made}, and the hierarchy says `mark = \"{said}\"`");
        Err(Refusal::no(what, "put the right hierarchy.toml back, or insert the right token"))
    }

    /// An audit key without a note: `init` was stopped, or the note was taken away. The token cannot tell, people can.
    pub fn never(&self) -> Result<(), Refusal> {
        if self.on_paper {
            self.ask(None, None, NONE_KNOWN)?;
        }
        Ok(())
    }

    /// The mark of the note that lies in the directory, if that is the one that the minutes are of. `keys`: those with the audit key's
    /// label.
    pub fn read(&mut self, keys: &[KeyFacts]) -> Result<Option<Mark>, Refusal> {
        let (Some(note), [key]) = (paper::read(&self.audit()).map_err(on_disk)?, keys) else { return Ok(None) };
        let key = VerifierKey::of_spki(&self.origin, &key.spki).map_err(paper::Error::from);
        let Marked { mark, paper, shown } = key.and_then(|key| Marked::open(&note, &key)).map_err(|e| Refusal {
            what: format!("audit/{} is no mark of this log: {e}", paper::FILE),
            hint: Some("restore the newest copy of the audit directory, or insert the token of this station".into()),
            halted: true,
        })?;
        // What the note says already needs no adoption: it is made, or nothing is lost.
        self.claim = self.claim.take().filter(|claim| {
            let root = claim.as_ref().map(|(.., root)| *root);
            root != paper && (root.is_none() || root != shown)
        });
        let (page, mark) = match self.claim {
            None => (self.ask(paper, shown, NONE_KNOWN)?, mark),
            Some(None) => (self.ask(None, None, ALL_LOST)?, Mark { root: LOST, ..mark }),
            Some(Some((size, release, root))) => {
                let page = self.ask(
                    Some(root),
                    None,
                    &format!("Adopted is what follows release {release}, log size {size}."),
                )?;
                (page, Mark { size, root, release: release.max(mark.release), ..mark })
            }
        };
        (self.page, self.note) = (page, Some(note));
        Ok(Some(mark))
    }

    /// Whether the note on disk is the one that this process knows.
    pub fn is_held(&self) -> Result<bool, Refusal> {
        Ok(paper::read(&self.audit()).map_err(on_disk)? == self.note)
    }

    /// The text of the note of a mark that has moved.
    pub fn text(&self, mark: &Mark) -> Result<String, Refusal> {
        Ok(Marked { mark: mark.clone(), paper: self.page, shown: None }.text()?)
    }

    /// Puts a note into the directory.
    pub fn put(&mut self, note: String) -> Result<(), Refusal> {
        paper::write(&self.audit(), &note).map_err(on_disk)?;
        // A mark that has moved on is not the one of a page that was announced before.
        (self.note, self.claim, self.copied) = (Some(note), None, None);
        Ok(())
    }

    /// The texts of two notes, if the mark stands on no page yet: that its page is shown, and that it was copied.
    pub fn page(&self, mark: &Mark) -> Result<Option<[String; 2]>, Refusal> {
        if !self.on_paper || self.adopts() || self.page == Some(mark.root) {
            return Ok(None);
        }
        let new = Some(mark.root);
        let shown = Marked { mark: mark.clone(), paper: self.page, shown: new }.text()?;
        Ok(Some([shown, Marked { mark: mark.clone(), paper: new, shown: None }.text()?]))
    }

    /// The notes of these texts: the first goes into the directory.
    pub fn announce(&mut self, shown: String, copied: String) -> Result<(), Refusal> {
        self.put(shown)?;
        self.copied = Some(copied);
        Ok(())
    }

    /// Has the page that was announced copied.
    pub fn close(&mut self, mark: &Mark, time: i64) -> Result<(), Refusal> {
        let Some(note) = self.copied.take() else { return Ok(()) };
        let environment = self.environment.to_string();
        let page = Page { name: &self.name, environment, origin: &self.origin, time, mark }.text();
        let file = self.station.join("out").join(format!("minutes-{}.txt", mark.size));
        paper::print(&self.station, &file, &page).map_err(on_disk)?;
        self.show(&page, &mark.root, &file)?;
        self.put(note)
    }

    fn audit(&self) -> PathBuf {
        self.station.join("audit")
    }

    /// Has words typed from the newest page. `paper` and `shown` are the roots that it may have; the one that it has. `None`: there
    /// was never any page, which counts only where the mark knows of none that was typed back.
    fn ask(&self, paper: Option<Digest>, shown: Option<Digest>, said: &str) -> Result<Option<Digest>, Refusal> {
        let pages: Vec<Digest> = paper.into_iter().chain(shown).collect();
        match &self.file {
            Some(file) => self.by_file(file, &pages, paper.is_none()),
            None => self.at_terminal(&pages, paper.is_none(), said),
        }
    }

    fn by_file(&self, file: &Path, pages: &[Digest], may_be_none: bool) -> Result<Option<Digest>, Refusal> {
        if may_be_none && !file.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(file).map_err(|e| {
            let what = format!("cannot read the minutes-file {}: {e}", crate::text::path(file));
            Refusal::no(what, "the hierarchy's minutes-file is relative to the station; it holds the newest page")
        })?;
        let (.., root) = paper::read_page(&text).ok_or_else(|| {
            let what = format!("the minutes-file {} is no page of minutes", crate::text::path(file));
            Refusal::no(what, "put back the newest of out/minutes-*.txt")
        })?;
        let typed: Vec<(usize, Option<u8>)> = root.0.iter().copied().map(Some).enumerate().collect();
        match paper::judge(pages, &typed) {
            Some((page, wrong)) if wrong.is_empty() => Ok(Some(page)),
            judged => Err(refused(judged.map(|(_, wrong)| wrong))),
        }
    }

    fn at_terminal(&self, pages: &[Digest], may_be_none: bool, said: &str) -> Result<Option<Digest>, Refusal> {
        let mut terminal = Terminal::open().map_err(|e| cannot_ask(WHAT, &e))?;
        let asked = self.typed(&mut terminal, pages, may_be_none, said);
        match asked.map_err(|e| cannot_ask(WHAT, &e))? {
            Ok(page) => Ok(page),
            Err(wrong) => Err(refused(wrong)),
        }
    }

    /// The inner result: the page, or which words were wrong in the end.
    fn typed(
        &self,
        terminal: &mut Terminal,
        pages: &[Digest],
        may_be_none: bool,
        said: &str,
    ) -> std::io::Result<Result<Option<Digest>, Option<Vec<usize>>>> {
        terminal.say(&format!("{} ({}): the minutes.\n", self.name, self.environment))?;
        if may_be_none {
            terminal.say(&format!("{said}, type\n`{NO_MINUTES}`; otherwise only Return: "))?;
            if terminal.shown(LONGEST)?.trim() == NO_MINUTES {
                return Ok(Ok(None));
            }
            if pages.is_empty() {
                return Ok(Err(None));
            }
        }
        if !may_be_none && said != NONE_KNOWN {
            terminal.say(&format!("{said}\n"))?;
        }
        terminal.say("Type these words from the newest whole page:\n")?;
        let mut wanted = places(ASKED)?;
        let mut typed = Vec::new();
        for tried in 1.. {
            for place in &wanted {
                let octet = word(terminal, *place)?;
                typed.retain(|(other, _)| other != place);
                typed.push((*place, Some(octet)));
            }
            match paper::judge(pages, &typed) {
                Some((page, wrong)) if wrong.is_empty() => return Ok(Ok(Some(page))),
                Some((_, wrong)) if tried < TRIES => {
                    terminal.say(&format!("  Not as on the newest page: {}. Once more:\n", numbers(&wrong)))?;
                    wanted = wrong;
                }
                judged => return Ok(Err(judged.map(|(_, wrong)| wrong))),
            }
        }
        Ok(Err(None))
    }

    /// Shows a page, and has words of it typed back from its copy. `file`: where it lies to be printed.
    fn show(&self, page: &str, root: &Digest, file: &Path) -> Result<(), Refusal> {
        if let Some(minutes) = &self.file {
            return paper::replace(minutes, page)
                .map_err(|e| Refusal::no(format!("the minutes-file: {e}"), "see to the disk"));
        }
        let asked = Terminal::open().and_then(|mut terminal| {
            terminal.say(&format!(
                "\n{page}\nCopy this page into the minutes, all 32 words with their numbers, or print it:\n{}\n\
                 The next login asks for words of it. Now type these back, from the copy:\n",
                crate::text::path(file)
            ))?;
            let mut wanted = places(BACK)?;
            while !wanted.is_empty() {
                let mut wrong = Vec::new();
                for place in wanted {
                    if root.0.get(place).copied() != Some(word(&mut terminal, place)?) {
                        wrong.push(place);
                    }
                }
                if !wrong.is_empty() {
                    terminal
                        .say(&format!("  Not as shown above: {}. Mend the copy, and once more:\n", numbers(&wrong)))?;
                }
                wanted = wrong;
            }
            terminal.say("The page counts now. Date and sign it.\n")
        });
        asked.map_err(|e| {
            Refusal {
            what: format!("the new page of the minutes was not typed back: {e}"),
            hint: Some(
                "everything else is on record; run the same command again. The next login asks for words of this page, \
                 if it was copied whole, or of the one before"
                    .into(),
            ),
            halted: true,
        }
        })
    }
}

fn on_disk(e: crate::audit::Error) -> Refusal {
    let hint = "see to the station's disk, then run the same command again: it goes on where it stopped";
    Refusal { what: e.to_string(), hint: Some(hint.into()), halted: true }
}

/// The paper has spoken: this is another directory than the one that it is of. Nothing about the token is wrong, and the same
/// command will end in the same way.
fn refused(wrong: Option<Vec<usize>>) -> Refusal {
    let words = wrong.map_or("there are minutes of another state of this log".into(), |wrong| {
        format!("not the words of the newest minutes: {}", numbers(&wrong))
    });
    Refusal {
        what: format!("the audit directory is not the one that the minutes are of: {words}"),
        hint: Some(
            "take the newest whole page; is that what was typed, the directory is older: restore its newest copy (coldroot restore \
             COPY); if every newer one is lost, or the minutes are: coldroot adopt-log --minutes PAGE, which --help explains"
                .into(),
        ),
        halted: true,
    }
}

/// One word; what the list does not have at this place is asked for again.
fn word(terminal: &mut Terminal, place: usize) -> std::io::Result<u8> {
    loop {
        terminal.say(&format!("  word {:2}: ", place + 1))?;
        if let Some(octet) = words::octet(place, terminal.shown(LONGEST)?.trim()) {
            return Ok(octet);
        }
        terminal.say("  There is no such word at this number.\n")?;
    }
}

fn places(n: usize) -> std::io::Result<Vec<usize>> {
    let mut random = [0; 4 * paper::WORDS];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    Ok(paper::places(n, &random))
}

/// As people count.
fn numbers(places: &[usize]) -> String {
    let numbers: Vec<String> = places.iter().map(|place| (place + 1).to_string()).collect();
    format!("{} {}", if places.len() == 1 { "word" } else { "words" }, numbers.join(", "))
}

#[cfg(test)]
mod tests;
