//! What an officer sees and types.

use std::fs;
use std::path::{Path, PathBuf};

use coldroot::audit::paper::read_page;
use coldroot::text::words::word;

use super::{NO_DATA, bare, refused};
use crate::harness::faulty::play;
use crate::harness::station::{Run, Station};
use crate::harness::terminal::OnTerminal;

const PAPER: &str = "mark = \"paper\"";

/// An officer with a page, as it was shown on the terminal.
#[derive(Clone)]
struct Officer {
    page: Vec<String>,
}

impl Officer {
    /// Copies the page that is on the screen.
    fn copies(terminal: &mut OnTerminal) -> Officer {
        terminal.expect("Minutes of Road (rehearsal)");
        let body = terminal.expect("\r\nThe same in hex:");
        assert!(body.lines().all(|line| line.len() <= 80), "{body}");
        let words = body.split_whitespace().collect::<Vec<_>>();
        let first = words.windows(2).position(|pair| pair[0] == "1" && pair[1].parse::<u8>().is_err()).unwrap();
        let page: Vec<String> = words[first..].chunks(2).map(|pair| pair[1].to_owned()).collect();
        assert_eq!(page.len(), 32, "{body}");
        Officer { page }
    }

    /// Types `count` words as they are asked for; the numbers asked.
    fn types(&self, terminal: &mut OnTerminal, count: usize) -> Vec<usize> {
        (0..count)
            .map(|_| {
                terminal.expect("  word ");
                let number: usize = terminal.expect(": ").trim().parse().unwrap();
                terminal.line(&self.page[number - 1]);
                number
            })
            .collect()
    }

    /// A page of which every word is another one.
    fn of_another_day(&self) -> Officer {
        let other = |(place, known): (usize, &String)| {
            [1, 2].map(|octet| word(place, octet)).into_iter().find(|word| word != known).unwrap().to_owned()
        };
        Officer { page: self.page.iter().enumerate().map(other).collect() }
    }
}

fn on_terminal(station: &Station, args: &[&str]) -> OnTerminal {
    OnTerminal::start(&station.command(args))
}

const NEWEST: &str = "Type these words from the newest whole page:\r\n";

/// Station, and the officer with its first page.
fn begun() -> (Station, Officer) {
    let station = bare(PAPER);
    let mut init = on_terminal(&station, &station.init_args());
    let officer = Officer::copies(&mut init);
    officer.types(&mut init, 4);
    init.expect("The page counts now. Date and sign it.");
    init.end().ok();
    (station, officer)
}

fn sign(station: &Station, plan: &Path, approvals: &[PathBuf]) -> OnTerminal {
    on_terminal(station, &station.sign_args(plan, approvals))
}

#[test]
fn p04_words_are_typed_from_the_newest_page_and_a_new_one_is_copied_at_the_end() {
    let (station, first) = begun();
    let plan = station.planned_ceremony();
    let approvals = station.approve(&plan);
    let mut run = sign(&station, &plan, &approvals);
    let about = run.expect(NEWEST);
    assert!(about.contains("Road (rehearsal): the minutes."), "{about}");
    assert!(!run.echoes(), "the gate shows what is typed itself");
    // A slip of the pen: no word of the list is asked for again, a wrong word is named by its number and only it is asked for again.
    run.expect("  word ");
    let number: usize = run.expect(": ").trim().parse().unwrap();
    run.line("xyzzy");
    run.expect("There is no such word at this number.");
    run.expect(": ");
    run.line(&first.of_another_day().page[number - 1]);
    let asked = first.types(&mut run, 7);
    assert!(asked.iter().all(|other| *other > number), "{number} {asked:?}");
    run.expect(&format!("  Not as on the newest page: word {number}. Once more:"));
    assert_eq!(first.types(&mut run, 1), [number]);
    let second = Officer::copies(&mut run);
    assert_ne!(first.page, second.page);
    // Nothing has left yet.
    assert!(!station.path("out/release-0001").exists());
    // The copy has a mistake, which is found when it is typed back; mended, it counts.
    second.of_another_day().types(&mut run, 4);
    run.expect("  Not as shown above: words ");
    run.expect("Mend the copy, and once more:");
    second.types(&mut run, 4);
    run.expect("The page counts now.");
    let ended = run.end();
    assert!(run.echoes(), "the terminal is given back");
    ended.ok();
    assert!(run.shown().lines().all(|line| line.trim_end().len() <= 80), "{}", run.shown());
    // The printed page is the one that was shown.
    let printed = fs::read_dir(station.path("out")).unwrap().map(|e| e.unwrap().path());
    let printed = printed.filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with("minutes-"));
    let roots: Vec<_> = printed.map(|p| read_page(&fs::read_to_string(p).unwrap()).unwrap().2).collect();
    let spoken = |officer: &Officer| officer.page.join(" ");
    assert_eq!(roots.len(), 2);
    assert!(roots.iter().any(|root| coldroot::text::words::spoken(&root.0) == spoken(&second)));
    station.check_log();
}

#[test]
fn p04_words_of_another_day_are_refused_after_three_tries_and_the_failure_is_on_record() {
    let (station, first) = begun();
    let plan = station.planned_ceremony();
    let approvals = station.approve(&plan);
    let wrong = first.of_another_day();
    let told = refused(&station, 3, "not the words of the newest minutes: words ", || {
        let mut run = sign(&station, &plan, &approvals);
        run.expect(NEWEST);
        (0..3).for_each(|_| drop(wrong.types(&mut run, 8)));
        run.end()
    });
    assert!(told["hint"].as_str().unwrap().contains("coldroot restore COPY"), "{told}");
    let last = station.entries().pop().unwrap().body;
    assert!(format!("{last:?}").contains("not the words of the newest minutes"), "{last:?}");
    // Given up by ^C, and without a terminal: nothing was signed either.
    refused(&station, 1, "was not typed", || {
        let mut run = sign(&station, &plan, &approvals);
        run.expect(NEWEST);
        run.keys("\x03");
        run.end()
    });
    refused(&station, 1, "cannot ask for the words of the minutes", || {
        let args = station.sign_args(&plan, &approvals);
        let exe = crate::harness::station::COLDROOT;
        Run::of(&mut station.command_of("setsid", &["--wait", exe], &args))
    });
    let mut run = sign(&station, &plan, &approvals);
    run.expect(NEWEST);
    first.types(&mut run, 8);
    let second = Officer::copies(&mut run);
    second.types(&mut run, 4);
    run.end().ok();
    station.check_log();
}

#[test]
fn p03_a_run_stopped_while_the_page_is_copied_takes_that_page_or_the_one_before() {
    let (station, first) = begun();
    let plan = station.planned_ceremony();
    let approvals = station.approve(&plan);
    let before = station.save_audit("before");
    let mut run = sign(&station, &plan, &approvals);
    run.expect(NEWEST);
    first.types(&mut run, 8);
    let second = Officer::copies(&mut run);
    run.expect("  word ");
    run.keys("\x03");
    let told = run.end().fails(3, "the new page of the minutes was not typed back");
    assert!(told["hint"].as_str().unwrap().contains("or of the one before"), "{told}");
    assert!(!station.path("out/release-0001").exists(), "nothing leaves before the page was copied");
    let stopped = station.save_audit("stopped");
    for page in [&first, &second] {
        station.restore_audit(&stopped);
        let _ = fs::remove_dir_all(station.path("out/release-0001"));
        let mut run = sign(&station, &plan, &approvals);
        run.expect(NEWEST);
        page.types(&mut run, 8);
        let third = Officer::copies(&mut run);
        third.types(&mut run, 4);
        run.end().ok();
        assert!(station.path("out/release-0001").exists());
        station.check_log();
        // From now on that page alone counts, and never again one of before.
        let ended = station.save_audit("ended");
        let (later, approvals_later) = super::some_plan(&station);
        for old in [&first, &second] {
            refused(&station, 3, "not the words of the newest minutes", || {
                let mut run = sign(&station, &later, &approvals_later);
                run.expect(NEWEST);
                old.types(&mut run, 8);
                // Some words of two pages may be the same; those that are not are asked for twice more.
                for _ in 0..2 {
                    run.expect("  Not as on the newest page: word");
                    let wrong = run.expect(". Once more:").matches(',').count() + 1;
                    old.types(&mut run, wrong);
                }
                run.end()
            });
        }
        // Nor does the newest page fit the directory of before, or of the stop.
        for directory in [&before, &stopped] {
            station.restore_audit(directory);
            refused(&station, 3, "not the words of the newest minutes", || {
                let mut run = sign(&station, &plan, &approvals);
                run.expect(NEWEST);
                third.types(&mut run, 8);
                for _ in 0..2 {
                    run.expect("  Not as on the newest page: word");
                    let wrong = run.expect(". Once more:").matches(',').count() + 1;
                    third.types(&mut run, wrong);
                }
                run.end()
            });
        }
        station.restore_audit(&ended);
        play(&station, NO_DATA);
    }
}

#[test]
fn p03_an_init_whose_page_was_not_copied_asks_whether_there_is_one() {
    let station = bare(PAPER);
    let mut init = on_terminal(&station, &station.init_args());
    let page = Officer::copies(&mut init);
    init.expect("  word ");
    init.keys("\x03");
    init.end().fails(3, "was not typed back");
    // Two stations that went on from here.
    for (station, copied) in [(station.copy(), false), (station.copy(), true)] {
        let plan = station.planned_ceremony();
        let approvals = station.approve(&plan);
        let mut run = sign(&station, &plan, &approvals);
        run.expect("otherwise only Return: ");
        run.line(if copied { "" } else { "no minutes" });
        if copied {
            run.expect(NEWEST);
            page.types(&mut run, 8);
        }
        let next = Officer::copies(&mut run);
        next.types(&mut run, 4);
        run.end().ok();
        station.check_log();
        // Now there is a page that counts, and `no minutes` is no answer any more.
        let (plan, approvals) = super::some_plan(&station);
        let mut run = sign(&station, &plan, &approvals);
        assert!(!run.expect(NEWEST).contains("no minutes"));
        next.types(&mut run, 8);
        Officer::copies(&mut run).types(&mut run, 4);
        run.end().ok();
    }
}
