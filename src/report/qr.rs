//! A digest as a QR code (ISO/IEC 18004), equal in rank to its words and its hex groups: `SHA256:` and 64 upper-case hex digits, in
//! alphanumeric mode at level L, which is a symbol of 29 modules. Drawn as half blocks for a terminal, as the path of an SVG for a
//! page. Whoever reads it with a camera compares text with text.

use qrcode::{Color, EcLevel, QrCode};

use crate::digest::Digest;

/// Light modules around the symbol (ISO/IEC 18004, 5.3.8).
pub const QUIET: usize = 4;

/// A symbol, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qr {
    /// Modules a side, without the quiet zone.
    width: usize,
    dark: Vec<bool>,
}

/// The text in the symbol.
pub fn text(digest: &Digest) -> String {
    format!("SHA256:{}", digest.hex().to_ascii_uppercase())
}

impl Qr {
    pub fn of(digest: &Digest) -> Result<Qr, super::Error> {
        // 71 characters: a symbol that holds seven times as many is at hand, so this does not fail.
        let code = QrCode::with_error_correction_level(text(digest), EcLevel::L)?;
        let dark = code.to_colors().into_iter().map(|module| module == Color::Dark).collect();
        Ok(Qr { width: code.width(), dark })
    }

    /// Modules a side, with the quiet zone.
    pub fn side(&self) -> usize {
        self.width + 2 * QUIET
    }

    /// Is the module dark, counted with the quiet zone?
    fn is_dark(&self, row: usize, column: usize) -> bool {
        let inside = |n: usize| n.checked_sub(QUIET).filter(|n| *n < self.width);
        match (inside(row), inside(column)) {
            (Some(row), Some(column)) => self.dark.get(row * self.width + column) == Some(&true),
            _ => false,
        }
    }

    /// Two rows of modules a line. Light modules are drawn, dark ones left out: on a dark screen it is a symbol as it should be, on a
    /// light one its negative, which readers take as well.
    pub fn half_blocks(&self) -> String {
        let mut out = String::new();
        for row in (0..self.side()).step_by(2) {
            for column in 0..self.side() {
                out.push(match (self.is_dark(row, column), row + 1 == self.side() || self.is_dark(row + 1, column)) {
                    (false, false) => '\u{2588}',
                    (false, true) => '\u{2580}',
                    (true, false) => '\u{2584}',
                    (true, true) => ' ',
                });
            }
            out.push('\n');
        }
        out
    }

    /// The dark modules as the `d` of an SVG path, one unit a module, quiet zone included: a bar for each run in a row.
    pub fn path(&self) -> String {
        let mut out = String::new();
        for row in 0..self.side() {
            let mut column = 0;
            while column < self.side() {
                let run = (column..self.side()).take_while(|at| self.is_dark(row, *at)).count();
                if run > 0 {
                    out.push_str(&format!("M{column} {row}h{run}v1h-{run}z"));
                }
                column += run.max(1);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_fits_a_screen_and_has_its_quiet_zone() {
        let qr = Qr::of(&Digest::of(b"any")).unwrap();
        assert_eq!((qr.width, qr.side()), (29, 37));
        let drawn = qr.half_blocks();
        assert_eq!(drawn.lines().count(), 19);
        assert!(drawn.lines().all(|line| line.chars().count() == 37));
        assert!(drawn.lines().take(QUIET / 2).all(|line| line.chars().all(|c| c == '\u{2588}')), "{drawn}");
        // The upper bar of a finder pattern: seven dark modules.
        assert!(qr.path().starts_with("M4 4h7v1h-7z"), "{}", qr.path());
    }

    #[test]
    fn the_text_is_of_the_alphanumeric_mode() {
        let text = text(&Digest([0xab; 32]));
        assert_eq!(text, format!("SHA256:{}", "AB".repeat(32)));
        assert_ne!(Qr::of(&Digest::of(b"a")).unwrap(), Qr::of(&Digest::of(b"b")).unwrap());
    }
}
