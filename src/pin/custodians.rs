//! The custodians: shown their shares, one at a time, and asked for them.

use std::fs::File;
use std::io::{self, Write};

use rustix::process::getppid;

use super::cannot_ask;
use super::shares::{KnownSet, Mistake, Share, Split, Typed, WORDS, called};
use super::terminal::{Terminal, octet};
use crate::refusal::Refusal;
use crate::secret::Secret;
use crate::text::hex;

/// Words that are asked for in one line.
const IN_LINE: usize = 6;
/// A line holds all of a share, with room to spare.
const LONGEST: usize = 400;
/// Screen and scrollback empty, the cursor at the top. Between the two a screen of its own, where the terminal has one.
const ENTER: &str = "\x1b[?1049h\x1b[H\x1b[2J\x1b[3J";
const LEAVE: &str = "\x1b[H\x1b[2J\x1b[3J\x1b[?1049l";
/// What is typed in place of a share: to see it again; the PIN from before the split.
const AGAIN: &str = "again";
const BEFORE: &str = "pin";

/// Where custodians are.
pub(super) enum Room {
    /// In front of the terminal, where a mistake is said and asked for again.
    Terminal(Terminal),
    /// Rehearsals: a line for each share, read from one descriptor and written to the other. A mistake is refused.
    Descriptors { from: File, to: Option<File> },
}

/// What was typed: a share, or the word that may stand in place of one.
enum Entry {
    Share(Share),
    Word,
}

/// What custodians brought.
pub(super) enum Brought {
    Shares(Vec<Share>),
    /// Nothing: the PIN from before the split is to be asked for.
    Before,
}

impl Room {
    pub(super) fn terminal() -> Result<Room, Refusal> {
        Terminal::open().map(Room::Terminal).map_err(|e| cannot_ask("the shares", &e))
    }

    /// Shows each share, and has it typed back at once. The shares as they were typed, all of them right.
    pub(super) fn hand_out(&mut self, about: &str, split: &Split, known: &KnownSet) -> Result<Vec<Share>, Refusal> {
        let mut typed = Vec::with_capacity(split.shares.len());
        for share in &split.shares {
            let whose = known.shares.get(usize::from(share.number()).wrapping_sub(1));
            let called = called(share.number(), &whose.and_then(|share| share.custodian.clone()));
            loop {
                self.show(about, &called, share, split)?;
                if let Some(back) = self.back(&called, share)? {
                    typed.push(back);
                    break;
                }
            }
        }
        self.say(&format!("All {} shares were typed back as they were shown.\n", typed.len()))?;
        Ok(typed)
    }

    fn show(&mut self, about: &str, called: &str, share: &Share, split: &Split) -> Result<(), Refusal> {
        let shown = match self {
            Room::Terminal(terminal) => {
                let head = format!(
                    "{ENTER}{about}\n\nNow only {called} of {} looks at this screen. Any {} shares open the token.\n\
                     Set {}. Write down number, set and words:\n\n",
                    split.shares.len(),
                    split.threshold,
                    hex(&split.set)
                );
                let shown = terminal
                    .say(&head)
                    .and_then(|()| show_words(terminal, share))
                    .and_then(|()| terminal.say("\nEnter clears the screen; then the words are typed back: "))
                    .and_then(|()| terminal.hidden(0).map(drop));
                // Whatever happened, nobody else sees it.
                terminal.say(LEAVE).and(shown)
            }
            Room::Descriptors { to, .. } => {
                let mut line = Vec::with_capacity(LONGEST);
                share.words().for_each(|word| line.extend(word.bytes().chain([b' '])));
                line.pop();
                line.push(b'\n');
                let line = Secret::new(line);
                let to = to.as_mut().ok_or_else(|| io::Error::other("--shares-to is missing"));
                to.and_then(|to| to.write_all(line.expose()))
            }
        };
        shown.map_err(|e| cannot_ask("the shares", &e))
    }

    /// The share typed back. `None`: it is to be shown again.
    fn back(&mut self, called: &str, shown: &Share) -> Result<Option<Share>, Refusal> {
        loop {
            let heading = format!("Type {called} back, or `{AGAIN}` to see it again.\n");
            match self.entry(&heading, Some(AGAIN))? {
                Entry::Word => return Ok(None),
                Entry::Share(share) if share.digest() == shown.digest() => return Ok(Some(share)),
                Entry::Share(_) => self.wrong(&format!("this is not {called}, which was just shown"))?,
            }
        }
    }

    /// Asks until there are as many shares as the set needs. Each is judged when it is typed.
    pub(super) fn collect(&mut self, about: &str, sets: &[KnownSet]) -> Result<Brought, Refusal> {
        let mut shares: Vec<Share> = Vec::new();
        let mut wanted = None;
        // Nobody knows yet whether the token has taken a new PIN.
        let doubtful = sets.iter().all(|known| !known.confirmed);
        self.say(&format!("{about}\n"))?;
        if sets.iter().any(|known| !known.confirmed) {
            self.say(
                "The PIN was being split when a run was stopped: the token has the one from before, or the new one.\n",
            )?;
        }
        while wanted.is_none_or(|wanted| shares.len() < usize::from(wanted)) {
            let of = wanted.map_or(String::new(), |wanted| format!(" of {wanted}"));
            let or = if doubtful && shares.is_empty() { ", or `pin` for the PIN from before" } else { "" };
            let word = Some(BEFORE).filter(|_| !or.is_empty());
            match self.entry(&format!("Share, the {}.{of}{or}:\n", shares.len() + 1), word)? {
                Entry::Word => return Ok(Brought::Before),
                Entry::Share(share) => match share.judge(sets, &shares) {
                    Ok(known) => {
                        let (number, place) = (share.number(), usize::from(share.number()).wrapping_sub(1));
                        let custodian = known.shares.get(place).and_then(|share| share.custodian.clone());
                        wanted = Some(share.threshold());
                        shares.push(share);
                        self.say(&format!("  {} is right.\n", called(number, &custodian)))?;
                    }
                    Err(wrong) => self.wrong(&wrong.to_string())?,
                },
            }
        }
        Ok(Brought::Shares(shares))
    }

    /// One share, or `word`.
    fn entry(&mut self, heading: &str, word: Option<&str>) -> Result<Entry, Refusal> {
        match self {
            Room::Terminal(terminal) => {
                terminal.say(heading).and_then(|()| typed(terminal, word)).map_err(|e| cannot_ask("the shares", &e))
            }
            Room::Descriptors { from, .. } => {
                let line = line(from).map_err(|e| cannot_ask("the shares", &e))?;
                if line.is_empty() {
                    return Err(refused("--shares-fd brings no further share"));
                }
                let mut typed = Typed::new();
                let share = typed.add(text(&line)).and_then(|()| typed.share());
                share.map(Entry::Share).map_err(|mistake| refused(&mistake.to_string()))
            }
        }
    }

    /// At the terminal it is said, and asked again.
    fn wrong(&mut self, what: &str) -> Result<(), Refusal> {
        match self {
            Room::Terminal(_) => self.say(&format!("  {what}.\n")),
            Room::Descriptors { .. } => Err(refused(what)),
        }
    }

    fn say(&mut self, text: &str) -> Result<(), Refusal> {
        match self {
            Room::Terminal(terminal) => terminal.say(text).map_err(|e| cannot_ask("the shares", &e)),
            Room::Descriptors { .. } => Ok(()),
        }
    }
}

fn refused(what: &str) -> Refusal {
    Refusal::no(format!("a share is not taken: {what}"), "nothing was tried on the token; bring the right shares")
}

/// Words in columns, with their numbers: each is written by itself, so that no copy of the whole is made.
fn show_words(terminal: &mut Terminal, share: &Share) -> io::Result<()> {
    const COLUMNS: usize = 4;
    for (n, word) in (1..).zip(share.words()) {
        let end = if n % COLUMNS == 0 { "\n" } else { "" };
        terminal.say(&format!("  {n:2} {word:<12}{end}"))?;
    }
    Ok(())
}

/// Line by line, each checked at once, and at the end the whole.
fn typed(terminal: &mut Terminal, word: Option<&str>) -> io::Result<Entry> {
    loop {
        let mut typed = Typed::new();
        while typed.count() < WORDS {
            let (from, to) = (typed.count() + 1, WORDS.min(typed.count() + IN_LINE));
            terminal.say(&format!("  words {from} to {to}: "))?;
            let line = terminal.hidden(LONGEST)?;
            if typed.count() == 0 && word.is_some_and(|word| text(&line).trim().eq_ignore_ascii_case(word)) {
                return Ok(Entry::Word);
            }
            if let Err(mistake) = typed.add(text(&line)) {
                terminal.say(&format!("  {mistake}; this line again.\n"))?;
            }
        }
        loop {
            match typed.share() {
                Ok(share) => return Ok(Entry::Share(share)),
                Err(Mistake::Misfit(position)) => {
                    terminal.say(&format!("  word {position} is mistyped. Word {position} alone: "))?;
                    let line = terminal.hidden(LONGEST)?;
                    if let Err(mistake) = typed.replace(position, text(&line)) {
                        terminal.say(&format!("  {mistake}.\n"))?;
                    }
                }
                Err(mistake) => {
                    terminal.say(&format!("  {mistake}; all words again.\n"))?;
                    break;
                }
            }
        }
    }
}

/// What is no UTF-8 is no word either.
fn text(line: &Secret) -> &str {
    std::str::from_utf8(line.expose()).unwrap_or("?")
}

/// One line of a descriptor, octet by octet: what follows it belongs to the next question. Empty at the end.
fn line(from: &mut File) -> io::Result<Secret> {
    let parent = getppid();
    let mut line = Vec::with_capacity(LONGEST);
    while let Some(octet) = octet(from, parent)?.filter(|octet| *octet != b'\n') {
        if line.len() < LONGEST {
            line.push(octet);
        }
    }
    Ok(Secret::new(line))
}
