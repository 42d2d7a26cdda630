//! Told while much of a log is read, which takes minutes where no index covers it.

use indicatif::ProgressBar;

use crate::report::terminal::{human_count, progress};

/// So many entries are read in a second or two, and nobody needs to hear of it.
const LONG: u64 = 100_000;

/// What hears how many of so many entries are read: says once why they are, then shows how far it is.
pub fn reading(plain: bool, why: &'static str) -> impl FnMut(u64, u64) {
    let mut bar: Option<ProgressBar> = None;
    move |done, total| {
        if total <= LONG {
            return;
        }
        let bar = bar.get_or_insert_with(|| {
            eprintln!("coldroot: {} entries of the log are read: {why}", human_count(total));
            progress("reading", total, plain)
        });
        match done < total {
            true => bar.set_position(done),
            false => bar.finish_and_clear(),
        }
    }
}
