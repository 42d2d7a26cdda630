//! Results too long to be held: written to standard output as they are found.

use std::io::{BufWriter, ErrorKind, Stdout, Write};

use super::Failure;
use super::failure::Code;

/// Standard output, everything through the last guard before a terminal.
pub struct Stream {
    out: BufWriter<Stdout>,
    /// The reader has gone, as a closed pager does: no failure, but nothing is written any more.
    gone: bool,
}

impl Stream {
    pub fn new() -> Stream {
        Stream { out: BufWriter::new(std::io::stdout()), gone: false }
    }

    /// Writes text for people. `false`: nobody reads any more.
    pub fn text(&mut self, text: &str) -> Result<bool, Failure> {
        self.put(&crate::text::lines(text))
    }

    /// Writes JSON.
    pub fn json(&mut self, json: &str) -> Result<bool, Failure> {
        self.put(&crate::text::ascii_json(json))
    }

    pub fn finish(mut self) -> Result<(), Failure> {
        let flushed = self.out.flush();
        self.done(flushed).map(drop)
    }

    fn put(&mut self, text: &str) -> Result<bool, Failure> {
        if self.gone {
            return Ok(false);
        }
        let written = self.out.write_all(text.as_bytes());
        self.done(written)
    }

    fn done(&mut self, result: std::io::Result<()>) -> Result<bool, Failure> {
        match result {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(false)
            }
            Err(e) => Err(Failure {
                code: Code::Halted,
                what: format!("the result could not be written out whole: {e}"),
                hint: Some("make room where it goes, then run the same command again".into()),
            }),
        }
    }
}
